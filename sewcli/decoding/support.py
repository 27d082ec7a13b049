"""Whether beam search can be had here, told before a model is loaded."""

from __future__ import annotations

import importlib.util
import sys

from sewcli.errors import UsageError


def require_pyctcdecode() -> None:
    """Raise UsageError, with the reason, where pyctcdecode is not installed."""
    if importlib.util.find_spec("pyctcdecode") is not None:
        return
    if sys.version_info >= (3, 13):
        raise UsageError(
            "beam search needs pyctcdecode, which has no release for Python 3.13 or newer",
            hint="use --decoder greedy, or Python 3.11 or 3.12",
        )
    raise UsageError("beam search needs pyctcdecode, which is not installed", hint="pip install pyctcdecode")
