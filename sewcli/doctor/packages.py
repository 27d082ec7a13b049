"""The packages that sew needs, each imported or made to work."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator

from sewcli.doctor.check import Check, found
from sewcli.errors import UsageError

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


def examine_torch() -> Check:
    """Import torch."""
    import torch

    return found(torch.__version__)


def examine_transformers() -> Check:
    """Import transformers."""
    import transformers

    return found(transformers.__version__)


def examine_libsndfile() -> Check:
    """Write and read each format."""
    import soundfile

    failed = [extension for extension, coding in _FORMATS.items() if not _reads_back(*coding)]
    works = " ".join(extension for extension in _FORMATS if extension not in failed)
    version = f"libsndfile {soundfile.__libsndfile_version__}"
    if failed:
        fix = "pip install --upgrade soundfile, whose wheels carry libsndfile"
        return Check("", False, f"{version} reads {works}, not {' '.join(failed)}", fix, "wav" in failed)
    return found(f"{version}: {works}")


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


def examine_media() -> Check:
    """Find what decodes video and m4a."""
    from sewcli.inputs.formats import INSTALL_MEDIA, MEDIA_EXTENSIONS, ffmpeg_program, has_pyav

    extensions = " ".join(sorted(MEDIA_EXTENSIONS))
    if has_pyav():
        import av

        libraries = f"libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"
        return found(f"PyAV {av.__version__} with {libraries}: {extensions}")
    path = ffmpeg_program()
    if path is None:
        return Check(
            "", False, f"neither PyAV nor ffmpeg; they read {extensions}", INSTALL_MEDIA, needed=False
        )
    done = subprocess.run(
        [path, "-version"], capture_output=True, text=True, errors="replace", timeout=30, check=True
    )
    version = done.stdout.split(" Copyright")[0].splitlines()[0]
    return found(f"{version} in {path}: {extensions}")


def examine_beam_search() -> Check:
    """Import pyctcdecode."""
    from sewcli.decoding.support import require_pyctcdecode

    return _optional("pyctcdecode", require_pyctcdecode)


def examine_language_models() -> Check:
    """Import kenlm."""
    from sewcli.decoding.language_model import require_kenlm

    return _optional("kenlm", require_kenlm)


def _optional(package: str, require: Callable[[], object]) -> Check:
    """A package that only some uses need; `require` raises UsageError where it is not installed."""
    try:
        require()
    except UsageError as error:
        return Check("", False, error.message, error.hint, needed=False)
    # pyctcdecode recommends kenlm at import, which is another finding
    logging.getLogger(package).setLevel(logging.ERROR)
    importlib.import_module(package)
    return found(f"{package} {importlib.metadata.version(package)}")


def extras() -> Iterator[Check]:
    """The extras of the package, by its own metadata."""
    from sewcli.doctor.extras import missing, requirements

    try:
        metadata = importlib.metadata.metadata("sewcli")
    except importlib.metadata.PackageNotFoundError:
        yield Check("extras", False, "sewcli is not installed, only imported", "pip install .", needed=False)
        return
    for extra in metadata.get_all("Provides-Extra") or []:
        if extra not in _FOR_DEVELOPERS:
            wanted = list(requirements(extra))
            if lacking := sorted(set(missing(wanted))):
                detail, fix = f"without {', '.join(lacking)}", f"pip install 'sewcli[{extra}]'"
                yield Check(f"extra {extra}", False, detail, fix, needed=False)
            elif wanted:
                yield Check(f"extra {extra}", True, "installed", needed=False)
            else:
                python = ".".join(map(str, sys.version_info[:2]))
                yield Check(
                    f"extra {extra}", False, f"there is nothing of it for Python {python}", needed=False
                )
