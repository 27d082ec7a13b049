"""The machine and its settings: where networks run, and where files are kept."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sewcli.doctor.check import Check, found

#: what to do where the cache of the hub is of no use
OTHER_CACHE = "set HF_HOME to another place"


def examine_device() -> Check:
    """The device that auto takes."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return found(", ".join(f"cuda:{number} {name}" for number, name in enumerate(names)))
    if torch.backends.mps.is_available():
        return found("cpu by default; mps with --device mps")
    return found(f"cpu ({platform.processor() or platform.machine()}); torch sees no CUDA device")


def cards() -> list[str]:
    """The CUDA devices that torch sees; none where it cannot be imported."""
    try:
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    except Exception:
        return []  # `packages.examine_torch` tells


def examine_threads() -> Check:
    """The threads of torch."""
    import torch

    return found(f"{torch.get_num_threads()} of {os.cpu_count()} processors; --threads changes it")


def examine_cache() -> Check:
    """The cache of the hub."""
    from sewcli.hub.cache import cache_directory, cached_snapshot
    from sewcli.registry import load_registry

    directory = cache_directory()
    models = load_registry().models.values()
    here = sum(
        spec.repo is not None and cached_snapshot(spec.repo, spec.revision) is not None for spec in models
    )
    place = next(parent for parent in (directory, *directory.parents) if parent.exists())
    detail = f"{directory}, {here} models of the list in it, {_free(place)} free"
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Check("", False, f"{detail}, cannot be written to", OTHER_CACHE, needed=False)
    return found(detail)


def examine_hub() -> Check:
    """How the hub would be reached."""
    from sewcli.hub.offline import offline_variables

    if variables := offline_variables():
        return found(f"offline, by {' and '.join(variables)}: models come from the cache alone")
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return found(f"{endpoint}, {'with' if os.environ.get('HF_TOKEN') else 'without'} HF_TOKEN; not contacted")


def examine_temporary() -> Check:
    """The temporary directory."""
    folder = Path(tempfile.gettempdir())
    with tempfile.TemporaryFile(dir=folder, prefix=".sew-") as probe:
        probe.write(b"\0")
    return found(f"{folder}, {_free(folder)} free; an hour of audio takes 0.2 GB")


def examine_settings(read_settings: Callable[[], object]) -> Check:
    """Read the files of settings, and the lists of models."""
    from sewcli.registry import load_registry
    from sewcli.settings import settings_files

    read_settings()
    registry = load_registry()
    own = sum(spec.source == "user" for spec in registry.models.values())
    read = [str(file.path) for file in settings_files() if file.path.is_file()]
    return found(f"{' '.join(read) or 'no file of settings'}; {own} models of your own")


def examine_variables(unknown: Sequence[object]) -> Check:
    """The variables SEW_* of the environment.

    Args:
        unknown: those that no command reads, each as a message.
    """
    if unknown:
        return Check("", False, "; ".join(map(str, unknown)), "correct or unset it", needed=False)
    names = sorted(name for name in os.environ if name.startswith("SEW_"))
    return found(" ".join(names) or "no variable SEW_*")


def _free(folder: Path) -> str:
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB"
