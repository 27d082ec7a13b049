"""What works on this machine, found by trying it, and what to do for what does not."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sewcli import __version__
from sewcli.errors import SewError, UsageError

#: libsndfile's name of the format and its encoding, by the extension that they are read under
_FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
}
_FOR_DEVELOPERS = ("test", "dev")


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: of what was tried.
        ok: whether it works.
        detail: what was found.
        fix: what to do where it does not work, or None.
        needed: False for what only some uses need.
    """

    name: str
    ok: bool
    detail: str
    fix: str | None = None
    needed: bool = True


def checks(read_settings: Callable[[], object]) -> Iterator[Check]:
    """Try everything, one after the other.

    Args:
        read_settings: reads the files of settings, and raises SewError where one is bad.
    """
    for name, attempt in _ATTEMPTS.items():
        yield _tried(name, attempt)
    yield _tried("settings", partial(_settings, read_settings))
    yield from _extras()
    for alias in ("nano", "nano-keywords"):
        yield _tried(alias, partial(_model, alias))


def _tried(name: str, attempt: Callable[[], Check]) -> Check:
    """What an attempt finds; what it raises is a finding as well."""
    try:
        return replace(attempt(), name=name)
    except SewError as error:
        return Check(name, False, error.message, error.hint)
    except Exception as error:
        # a library that is broken may raise anything when it is imported
        reason = (str(error).strip().splitlines() or [""])[0]
        return Check(name, False, f"{type(error).__name__}: {reason}", "install the package again")


def _found(detail: str) -> Check:
    return Check("", True, detail)


def _sew() -> Check:
    return _found(f"{__version__} in {Path(__file__).parent}, Python {platform.python_version()}")


def _torch() -> Check:
    import torch

    return _found(torch.__version__)


def _transformers() -> Check:
    import transformers

    return _found(transformers.__version__)


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return _found(", ".join(f"cuda:{number} {name}" for number, name in enumerate(names)))
    if torch.backends.mps.is_available():
        return _found("cpu by default; mps with --device mps")
    return _found(f"cpu ({platform.processor() or platform.machine()}); torch sees no CUDA device")


def _threads() -> Check:
    import torch

    return _found(f"{torch.get_num_threads()} of {os.cpu_count()} processors; --threads changes it")


def _libsndfile() -> Check:
    import soundfile

    failed = [extension for extension, coding in _FORMATS.items() if not _reads_back(*coding)]
    works = " ".join(extension for extension in _FORMATS if extension not in failed)
    version = f"libsndfile {soundfile.__libsndfile_version__}"
    if failed:
        fix = "pip install --upgrade soundfile, whose wheels carry libsndfile"
        return Check("", False, f"{version} reads {works}, not {' '.join(failed)}", fix, "wav" in failed)
    return _found(f"{version}: {works}")


def _reads_back(form: str, coding: str) -> bool:
    """Whether a tenth of a second can be written in a format and read again."""
    import numpy as np
    import soundfile

    stream = io.BytesIO()
    try:
        soundfile.write(stream, np.zeros(4800, np.float32), 48_000, format=form, subtype=coding)
        stream.seek(0)
        return len(soundfile.read(stream)[0]) >= 4800
    except (soundfile.LibsndfileError, ValueError):
        return False


def _media() -> Check:
    from sewcli.formats import INSTALL_MEDIA, MEDIA_EXTENSIONS, ffmpeg_program, has_pyav

    extensions = " ".join(sorted(MEDIA_EXTENSIONS))
    if has_pyav():
        import av

        libraries = f"libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"
        return _found(f"PyAV {av.__version__} with {libraries}: {extensions}")
    path = ffmpeg_program()
    if path is None:
        return Check(
            "", False, f"neither PyAV nor ffmpeg; they read {extensions}", INSTALL_MEDIA, needed=False
        )
    done = subprocess.run(
        [path, "-version"], capture_output=True, text=True, errors="replace", timeout=30, check=True
    )
    version = done.stdout.split(" Copyright")[0].splitlines()[0]
    return _found(f"{version} in {path}: {extensions}")


def _beam_search() -> Check:
    from sewcli.decoding.support import require_pyctcdecode

    return _optional("pyctcdecode", require_pyctcdecode)


def _language_models() -> Check:
    from sewcli.decoding.language_model import require_kenlm

    return _optional("kenlm", require_kenlm)


def _optional(package: str, require: Callable[[], object]) -> Check:
    """A package that only some uses need; `require` raises UsageError where it is not installed."""
    try:
        require()
    except UsageError as error:
        return Check("", False, error.message, error.hint, needed=False)
    importlib.import_module(package)
    return _found(f"{package} {importlib.metadata.version(package)}")


def _settings(read_settings: Callable[[], object]) -> Check:
    from sewcli.registry import load_registry
    from sewcli.settings import settings_files

    read_settings()
    registry = load_registry()
    own = sum(spec.source == "user" for spec in registry.models.values())
    read = [str(file.path) for file in settings_files() if file.path.is_file()]
    return _found(f"{' '.join(read) or 'no file of settings'}; {own} models of your own")


def _cache() -> Check:
    from sewcli.hub_cache import cache_directory, cached_snapshot
    from sewcli.registry import load_registry

    directory = cache_directory()
    models = load_registry().models.values()
    here = sum(
        spec.repo is not None and cached_snapshot(spec.repo, spec.revision) is not None for spec in models
    )
    place = next(parent for parent in (directory, *directory.parents) if parent.exists())
    detail = f"{directory}, {here} models of the list in it, {_free(place)} free"
    if not os.access(place, os.W_OK):
        return Check(
            "", False, f"{detail}, cannot be written to", "set HF_HOME to another place", needed=False
        )
    return _found(detail)


def _hub() -> Check:
    from sewcli.hub import is_offline

    if is_offline():
        return _found("offline, by HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE: models come from the cache alone")
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return _found(
        f"{endpoint}, {'with' if os.environ.get('HF_TOKEN') else 'without'} HF_TOKEN; not contacted"
    )


def _temporary() -> Check:
    folder = Path(tempfile.gettempdir())
    with tempfile.TemporaryFile(dir=folder, prefix=".sew-") as probe:
        probe.write(b"\0")
    return _found(f"{folder}, {_free(folder)} free; an hour of audio takes 0.2 GB")


def _free(folder: Path) -> str:
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB"


def _extras() -> Iterator[Check]:
    """The extras of the package, by its own metadata."""
    from sewcli.extras import missing_requirements

    try:
        metadata = importlib.metadata.metadata("sewcli")
    except importlib.metadata.PackageNotFoundError:
        yield Check("extras", False, "sewcli is not installed, only imported", "pip install .", needed=False)
        return
    for extra in metadata.get_all("Provides-Extra") or []:
        if extra not in _FOR_DEVELOPERS:
            missing = sorted(set(missing_requirements(extra)))
            if missing:
                detail, fix = f"without {', '.join(missing)}", f"pip install 'sewcli[{extra}]'"
                yield Check(f"extra {extra}", False, detail, fix, needed=False)
            else:
                yield Check(f"extra {extra}", True, "installed", needed=False)


def _model(alias: str) -> Check:
    """Load an embedded model and run it on a second of noise."""
    import numpy as np

    from sewcli.acoustic.load import load_model
    from sewcli.api import Model
    from sewcli.hub import fetch
    from sewcli.registry import find_models_toml, load_registry

    spec = load_registry(find_models_toml()).models[alias]
    task = spec.task or "ctc"
    local = fetch(spec)
    model = Model(local, load_model(local, task, device="cpu"), task)
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) / 8
    result = model.transcribe(noise, 16_000) if task == "ctc" else model.classify(noise, 16_000)
    return _found(f"the embedded model for {task} loads and runs ({result.duration:g} s of noise)")


_ATTEMPTS: dict[str, Callable[[], Check]] = {
    "sew": _sew,
    "torch": _torch,
    "transformers": _transformers,
    "device": _device,
    "threads": _threads,
    "audio": _libsndfile,
    "video and m4a": _media,
    "beam search": _beam_search,
    "language models": _language_models,
    "cache": _cache,
    "hub": _hub,
    "temporary": _temporary,
}
