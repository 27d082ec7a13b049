"""`sew bench`: tables of ratios, on the embedded model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sewcli.bench import networks, whole
from sewcli.bench.apart import network_apart
from sewcli.bench.timing import medians, peak_megabytes, run_process
from sewcli.errors import SewError, UsageError

if TYPE_CHECKING:
    from conftest import Sew


@pytest.mark.slow
def test_the_network_is_measured_and_agrees_with_transformers(sew: Sew) -> None:
    done = sew("bench", "network", "threads", "-m", "nano", "--seconds", "2", "--repeats", "1", "-f", "json")
    assert done.code == 0, done.err
    machine, network, threads = map(json.loads, done.out.splitlines())
    assert machine["name"] == "machine"
    (row,) = network["rows"]
    cells = dict(zip(network["columns"], row, strict=True))
    assert cells["model"] == "nano"
    assert float(cells["error"]) < 1e-5
    assert cells["same best token %"] == "100.0"
    assert float(cells["ratio"]) > 0
    assert float(cells["% of ceiling"]) > 0
    assert threads["columns"][:2] == ["model", "1"]
    assert threads["rows"][0][1] == "1.00"


@pytest.mark.slow
def test_a_card_gets_several_rows_and_a_ceiling_in_each_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU stands for it: the way is the same."""
    monkeypatch.setattr(networks.NetworkOptions, "on_card", True)
    monkeypatch.setattr(networks, "_CARD_ROWS", 3)
    [table] = networks.network(networks.NetworkOptions(["nano"], ["float32", "bfloat16"], 1.0, 1, "cpu"))
    assert "1 s of audio in each of 3 rows" in table.title
    assert "GFLOP/s in bfloat16" in table.title
    cells = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert all(float(row["% of ceiling"]) >= 0 for row in cells)
    assert float(cells[0]["error"]) < 1e-5


def test_tables_are_markdown(sew: Sew) -> None:
    done = sew("bench", "threads", "-m", "nano", "--seconds", "2", "--repeats", "1")
    assert done.code == 0, done.err
    lines = done.out.decode().splitlines()
    heads = next(line for line in lines if line.startswith("| model"))
    rows = [line for line in lines if line.startswith("| nano")]
    assert len(rows) == 1
    assert rows[0].count("|") == heads.count("|")


@pytest.mark.slow
def test_whole_runs_are_measured_against_the_pipeline_of_transformers(sew: Sew) -> None:
    done = sew("bench", "long-file", "--quick", "-m", "nano", "--repeats", "1", "-f", "json")
    assert done.code == 0, done.err
    table = json.loads(done.out.splitlines()[-1])
    assert table["rows"][0][0] == "sew, defaults"
    assert len(table["rows"]) == 3
    assert all(float(row[1]) > 0 for row in table["rows"])


def test_whole_runs_have_other_dtypes_beside_the_default() -> None:
    options = whole.WholeOptions("nano", 1, 1, quick=True, device="cpu", dtypes=["float32", "bfloat16"])
    runs = whole._transcriptions(options, Path("model"), [Path("a.wav")])
    assert list(runs) == ["sew, defaults", "sew, bfloat16"]
    assert [command[command.index("--dtype") + 1] for command in runs.values()] == ["auto", "bfloat16"]


def test_both_of_what_is_compared_run_on_the_device_asked_for() -> None:
    options = whole.WholeOptions("nano", 1, 1, quick=True, device="cuda:1")
    for command in (whole._transcribe, whole._pipeline):
        assert "cuda:1" in command(options, Path("model"), [Path("a.wav")])


def test_on_a_card_the_pipeline_has_larger_batches_and_the_dtypes_of_sew() -> None:
    def labels(device: str) -> list[str]:
        options = whole.WholeOptions("nano", 1, 1, quick=True, device=device, dtypes=["auto", "bfloat16"])
        return list(whole._pipelines(options, Path("model"), [Path("a.wav")], (1,), chunk=30.0))

    assert labels("cpu") == ["pipeline, chunks of 30 s, batch 1"]
    on_card = labels("cuda")
    assert len(on_card) == 8
    assert [label.partition("batch ")[2] for label in on_card[3:5]] == ["64", "1, bfloat16"]


def test_a_measurement_that_does_not_exist_is_wrong_usage(sew: Sew) -> None:
    done = sew("bench", "everything")
    assert done.code == 2
    assert "everything" in done.err
    assert "network" in done.err


def test_what_goes_wrong_in_the_process_of_transformers_is_told_here() -> None:
    with pytest.raises(UsageError, match="no size 'sew-huge'"), network_apart("sew-huge", 1.0, "cpu", 1):
        pass


def test_runs_take_turns() -> None:
    order: list[str] = []
    medians([lambda: order.append("a"), lambda: order.append("b")], 2)
    assert order == ["a", "b"] * 3
    assert medians([lambda: 42.0, lambda: None], 3)[0] == 42.0


def test_a_process_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(SewError, match="no good"):
        run_process([sys.executable, "-c", "raise SystemExit('no good')"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell peak memory")
def test_the_peak_is_that_of_the_process_itself() -> None:
    held = bytearray(b"x" * 200_000_000)  # zeros alone would take no memory
    small, large = (peak_megabytes([sys.executable, "-c", f"b'x' * {size}"]) for size in (1, 100_000_000))
    assert small < len(held) / 1e6
    assert 80 < large - small < 130
