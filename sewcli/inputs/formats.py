"""File formats by extension, and which of them can be decoded on this machine."""

from __future__ import annotations

import importlib.util
import shutil

LIBSNDFILE_EXTENSIONS = frozenset(
    ["wav", "flac", "ogg", "oga", "opus", "mp3", "aif", "aiff", "au", "caf", "w64"]
)
"""Extensions of the formats that libsndfile reads."""

MEDIA_EXTENSIONS = frozenset(["m4a", "aac", "mp4", "mkv", "webm", "mov", "wma"])
"""Extensions of the formats that are read through PyAV or ffmpeg, where one of them is installed."""

AUDIO_EXTENSIONS = LIBSNDFILE_EXTENSIONS | MEDIA_EXTENSIONS
"""Extensions (lower case, no dot) of all files that may be read."""

INSTALL_MEDIA = (
    "pip install 'sewcli[media]', or install ffmpeg "
    "(apt install ffmpeg, brew install ffmpeg, winget install ffmpeg)"
)


def has_pyav() -> bool:
    """Whether PyAV is installed; it is not imported."""
    try:
        return importlib.util.find_spec("av") is not None
    except ValueError:  # it was kept from being imported
        return False


def ffmpeg_program() -> str | None:
    """The path of ffmpeg, or None where it is not installed."""
    return shutil.which("ffmpeg")


def decodable_extensions() -> frozenset[str]:
    """Extensions that make a file in a folder an input on this machine."""
    return AUDIO_EXTENSIONS if has_pyav() or ffmpeg_program() is not None else LIBSNDFILE_EXTENSIONS
