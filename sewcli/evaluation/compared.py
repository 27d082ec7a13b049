"""Two result files held against each other: is B better than A? Its JSON object and its lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sewcli.evaluation.comparison import CONFIDENCE, compare
from sewcli.evaluation.normalizers import normalizer as find_normalizer
from sewcli.evaluation.pairs import pair
from sewcli.evaluation.rates import Metric
from sewcli.writers.jsonl import SCHEMA_VERSION

if TYPE_CHECKING:
    from sewcli.inputs.manifest import Row

log = logging.getLogger("sewcli")


def compare_results(
    files: tuple[Path, Path],
    rows: Sequence[Row] | None,
    normalizer: str,
    *,
    metric: Metric,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The comparison of two result files, in all and by set, for JSON; see `pair` and `compare`."""
    paired = pair(files, rows, find_normalizer(normalizer), metric)
    if paired.left_out:
        log.warning("%d utterances left out: not both results have an answer", paired.left_out)

    def compared(chosen: Any) -> dict[str, Any]:
        return compare(paired.counts[chosen], resamples=resamples, seed=seed).as_object()

    return {
        "schema_version": SCHEMA_VERSION,
        "metric": metric if paired.task == "ctc" else "error_rate",
        "a": str(files[0]),
        "b": str(files[1]),
        **compared(slice(None)),
        "left_out": paired.left_out,
        "confidence": CONFIDENCE,
        "resamples": resamples,
        "seed": seed,
        "normalizer": normalizer,
        "sets": {name: compared(paired.sets == name) for name in sorted(set(paired.sets.tolist())) if name},
    }


def lines(compared: dict[str, Any]) -> Iterator[str]:
    """The comparison for people: tab-separated columns, rates in percent."""
    rate = compared["metric"].removesuffix("_rate")
    yield f"A\t{compared['a']}"
    yield f"B\t{compared['b']}"
    interval = f"{100 * compared['confidence']:g} % interval"
    rates = [f"{rate} A", f"{rate} B", "B - A", interval]
    yield "\t".join(["set", "utterances", *rates, "P(B better)", "P(tie)"])
    for name, part in [*compared["sets"].items(), ("all", compared)]:
        low, high = part["interval"]
        yield "\t".join(
            [
                name,
                str(part["utterances"]),
                *(f"{100 * part[key]:.2f}" for key in ("rate_a", "rate_b")),
                f"{100 * part['difference']:+.2f}",
                f"{100 * low:+.2f} ... {100 * high:+.2f}",
                f"{part['probability_of_improvement']:.4f}",
                f"{part['probability_of_tie']:.4f}",
            ]
        )
