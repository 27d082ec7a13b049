"""Everything that `sew doctor` tries, one after the other."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sewcli import __version__
from sewcli.doctor import machine, packages
from sewcli.doctor.check import Check, found
from sewcli.errors import SewError

if TYPE_CHECKING:
    from sewcli.registry import ModelSpec
    from sewcli.results import Classification, Embedding, Transcript

#: relative difference of logits in float32 up to which two devices agree
_SAME = 1e-3
#: what to do where an attempt fails by more than a fault of the package
_REMEDIES = {
    "cuda": "install a torch for this card and its driver",
    "cache": machine.OTHER_CACHE,
    "temporary": "set TMPDIR to a directory that can be written to",
}


def checks(read_settings: Callable[[], object], unknown: Sequence[object] = ()) -> Iterator[Check]:
    """Try everything, one after the other.

    Args:
        read_settings: reads the files of settings, and raises SewError where one is bad.
        unknown: variables SEW_* that no command reads, each as a message.
    """
    for name, attempt in _ATTEMPTS.items():
        yield _tried(name, attempt)
    yield _tried("settings", partial(machine.examine_settings, read_settings))
    yield _tried("variables", partial(machine.examine_variables, unknown))
    yield from packages.extras()
    for alias in ("nano", "nano-keywords"):
        yield _tried(alias, partial(_embedded, alias))
    for task, spec in _own_defaults():
        yield _tried(f"default for {task}", partial(_default, spec, task))
    for device in machine.cards():
        yield _tried(device, partial(examine_card, device))


def _tried(name: str, attempt: Callable[[], Check]) -> Check:
    """What an attempt finds; what it raises is a finding as well."""
    try:
        return replace(attempt(), name=name)
    except SewError as error:
        return Check(name, False, error.message, error.hint)
    except Exception as error:
        # a library that is broken may raise anything when it is imported
        reason = (str(error).strip().splitlines() or [""])[0]
        remedy = _REMEDIES.get(name.partition(":")[0], "install the package again")
        return Check(name, False, f"{type(error).__name__}: {reason}", remedy)


def _sew() -> Check:
    return found(f"{__version__} in {Path(__file__).parent.parent}, Python {platform.python_version()}")


def examine_card(device: str) -> Check:
    """Run a model of each family on a device, and hold it against the CPU."""
    import numpy as np

    from sewcli.acoustic.load import load_model
    from sewcli.acoustic.model import Segment
    from sewcli.acoustic.statistics import wave_statistics
    from sewcli.hub.fetching import fetch
    from sewcli.registry import find_models_toml, load_registry

    models = load_registry(find_models_toml()).models
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) / 8
    # two of unequal length, so that one is padded
    segments = [Segment(samples, wave_statistics(samples)) for samples in (noise, noise[:9_000])]
    for alias in ("nano", "nano-d"):
        local = fetch(models[alias])
        expected, got = (load_model(local, "ctc", device=place)(segments) for place in ("cpu", device))
        apart = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(expected, got, strict=True))
        if not apart < _SAME:
            reason = f"{alias} gives logits that differ from those of the CPU by {apart:.0e} of the largest"
            return Check("", False, reason, "use --device cpu, and tell us")
    return found("models of both families give the logits of the CPU there")


def _embedded(alias: str) -> Check:
    from sewcli.registry import find_models_toml, load_registry

    spec = load_registry(find_models_toml()).models[alias]
    task = spec.task or "ctc"
    return found(f"the embedded model for {task} {_run(spec, task)}")


def _own_defaults() -> list[tuple[str, ModelSpec]]:
    """The default models that are not the packaged ones, by task; none where a list cannot be read."""
    from sewcli.registry import find_models_toml, load_registry

    try:
        packaged, registry = load_registry(find_models_toml()), load_registry()
    except SewError:
        return []  # `machine.examine_settings` tells
    chosen = {task: registry.models[alias] for task, alias in registry.defaults.items()}
    tried = [packaged.models[alias] for alias in packaged.defaults.values()]
    return [(task, spec) for task, spec in chosen.items() if spec not in tried]


def _default(spec: ModelSpec, task: str) -> Check:
    from sewcli.hub.cache import cached_snapshot

    if spec.repo is not None and cached_snapshot(spec.repo, spec.revision) is None:
        missing = f"{spec.alias} ({spec.repo}) is not on this machine yet"
        return Check("", False, missing, f"sew models pull {spec.alias}", needed=False)
    return found(f"{spec.alias} {_run(spec, task)}")


def _run(spec: ModelSpec, task: str) -> str:
    """Load a model and run it on a second of noise."""
    import numpy as np

    from sewcli.acoustic.load import load_model
    from sewcli.api import Model
    from sewcli.hub.fetching import fetch

    local = fetch(spec)
    model = Model(local, load_model(local, task, device="cpu"), task)
    runs: dict[str, Callable[..., Transcript | Classification | Embedding]]
    runs = {"ctc": model.transcribe, "classification": model.classify, "features": model.embed}
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) / 8
    return f"loads and runs ({runs[task](noise, 16_000).duration:g} s of noise)"


_ATTEMPTS: dict[str, Callable[[], Check]] = {
    "sew": _sew,
    "torch": packages.examine_torch,
    "transformers": packages.examine_transformers,
    "device": machine.examine_device,
    "threads": machine.examine_threads,
    "audio": packages.examine_libsndfile,
    "video and m4a": packages.examine_media,
    "beam search": packages.examine_beam_search,
    "language models": packages.examine_language_models,
    "cache": machine.examine_cache,
    "hub": machine.examine_hub,
    "temporary": machine.examine_temporary,
}
