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
            "beam search needs pyctcdecode, which is not installed: its release asks for numpy before 2, of "
            "which Python 3.13 has none",
            hint="pip install --no-deps pyctcdecode pygtrie: it works with later ones; or --decoder greedy",
        )
    raise UsageError("beam search needs pyctcdecode, which is not installed", hint="pip install pyctcdecode")
