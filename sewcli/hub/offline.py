"""Whether the network may be used."""

from __future__ import annotations

import os

from sewcli.settings import is_true

_TRUE = {"1", "ON", "YES", "TRUE"}


def set_offline() -> None:
    """Keep huggingface_hub, transformers and inputs off the network for the rest of the process.

    The libraries read their switch when they are imported: call this before either is.
    """
    os.environ["SEW_OFFLINE"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"


def offline_variables() -> list[str]:
    """The variables that forbid the network, by the rule huggingface_hub follows and by ours."""
    hub = ["HF_HUB_OFFLINE"] if os.environ.get("HF_HUB_OFFLINE") else ["TRANSFORMERS_OFFLINE"]
    found = [name for name in hub if os.environ.get(name, "").upper() in _TRUE]
    return [*found, "SEW_OFFLINE"] if is_true(os.environ.get("SEW_OFFLINE", "")) else found
