"""What Linux tells of the processor, of which torch says little; nothing on other systems."""

from __future__ import annotations

import functools
from pathlib import Path

import torch


def described(key: str) -> str:
    """What stands behind `key` in /proc/cpuinfo, for the first core; empty where it has no such line."""
    return _lines().get(key, "")


def has_instructions(*names: str) -> bool:
    """Whether the processor has any of these, by the names that Linux gives them."""
    return not {*names}.isdisjoint((described("flags") or described("Features")).split())


def multiplies_bfloat16() -> bool:
    """Whether the processor has products of bfloat16, which others emulate, slowly."""
    # torch knows of AVX-512 on every system, and of nothing else
    return has_instructions("avx512_bf16", "amx_bf16", "bf16") or torch.cpu._is_avx512_bf16_supported()


@functools.cache
def _lines() -> dict[str, str]:
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
