"""Speech transcription and keyword spotting with SEW and SEW-D models.

    import sewcli

    model = sewcli.load("nano")
    print(model.transcribe("a.wav").text)

The names below are loaded when they are first used: `import sewcli` alone imports no library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sewcli.api import Model, decode, decode_many, load
    from sewcli.errors import AudioError, DeviceError, ModelError, SewError, UsageError
    from sewcli.reading.activity_options import ActivityOptions
    from sewcli.results import (
        Attention,
        Classification,
        Embedding,
        Failure,
        KeywordEvent,
        LabelScore,
        Span,
        Transcript,
    )

__version__ = "0.1.0"

__all__ = [
    "ActivityOptions",
    "Attention",
    "AudioError",
    "Classification",
    "DeviceError",
    "Embedding",
    "Failure",
    "KeywordEvent",
    "LabelScore",
    "Model",
    "ModelError",
    "SewError",
    "Span",
    "Transcript",
    "UsageError",
    "decode",
    "decode_many",
    "load",
]

_MODULES = {
    "reading.activity_options": ("ActivityOptions",),
    "api": ("Model", "decode", "decode_many", "load"),
    "results": (
        *("Attention", "Classification", "Embedding", "Failure"),
        *("KeywordEvent", "LabelScore", "Span", "Transcript"),
    ),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"sewcli.{_PLACES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
