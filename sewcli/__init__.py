"""Speech transcription and keyword spotting with SEW and SEW-D models.

    import sewcli

    model = sewcli.load("nano")
    print(model.transcribe("a.wav").text)

The names below are loaded when they are first used: `import sewcli` alone imports no library.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sewcli.api import Model, decode, decode_many, load, to_dict
    from sewcli.api.options import (
        AlignOptions,
        ClassifyOptions,
        DecodeOptions,
        EmbedOptions,
        SpotOptions,
        TranscribeOptions,
    )
    from sewcli.errors import AudioError, DeviceError, ModelError, SewError, UsageError
    from sewcli.reading.activity_options import ActivityOptions
    from sewcli.results import (
        Alternative,
        Attention,
        Classification,
        Embedding,
        Failure,
        KeywordEvent,
        LabelScore,
        ModelInfo,
        Span,
        Transcript,
    )

__version__ = "0.1.0"

__all__ = [
    "ActivityOptions",
    "AlignOptions",
    "Alternative",
    "Attention",
    "AudioError",
    "Classification",
    "ClassifyOptions",
    "DecodeOptions",
    "DeviceError",
    "EmbedOptions",
    "Embedding",
    "Failure",
    "KeywordEvent",
    "LabelScore",
    "Model",
    "ModelError",
    "ModelInfo",
    "SewError",
    "Span",
    "SpotOptions",
    "TranscribeOptions",
    "Transcript",
    "UsageError",
    "decode",
    "decode_many",
    "load",
    "to_dict",
]

_MODULES = {
    "reading.activity_options": ("ActivityOptions",),
    "api": ("Model", "decode", "decode_many", "load", "to_dict"),
    "api.options": (
        *("AlignOptions", "ClassifyOptions", "DecodeOptions", "EmbedOptions", "SpotOptions"),
        "TranscribeOptions",
    ),
    "results": (
        *("Alternative", "Attention", "Classification", "Embedding", "Failure"),
        *("KeywordEvent", "LabelScore", "ModelInfo", "Span", "Transcript"),
    ),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}

# what is told goes where the program that imports this sends it
logging.getLogger(__name__).addHandler(logging.NullHandler())

if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"sewcli.{_PLACES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
