"""The memory of the C library, which gives back to the system what it is about to need again."""

from __future__ import annotations

import ctypes
import functools
import os
import sys

#: of malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, and their values in bytes. The last is the most
#: that glibc takes
_OPTIONS = {-1: 1 << 29, -2: 1 << 26, -3: 1 << 25}
#: variables by which a user has decided
_DECIDED = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_")


@functools.cache
def keep_freed_memory() -> bool:
    """Have glibc keep up to half a GB of what is freed, for the rest of the process; whether it does.

    The scores of SEW-D's attention, 2 MB a head, come and go with every group of heads, and their pages were
    taken from the system anew, thousands a chunk. A chunk of 18 s takes 0.9 to 1.0 of the time in float32 and
    0.87 to 0.95 in bfloat16 (sew-d-tiny, two threads of a Xeon); two side by side take what they took. So do
    the values that int8 rounds: a chunk takes 0.7 of the time (sew-tiny, one or two threads of a Zen 5).
    Otherwise SEW gains nothing.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in _DECIDED):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    taken = [bool(mallopt(option, value)) for option, value in _OPTIONS.items()]
    return all(taken)
