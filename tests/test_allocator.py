"""The memory of the C library, in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

from sewcli.acoustic.engine.allocator import _DECIDED

SCRIPT = """
import resource
from sewcli.acoustic.engine.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
kept = keep_freed_memory()
faults()
print(kept, first, faults())
"""


def run(**variables):
    clean = {name: value for name, value in os.environ.items() if name not in _DECIDED}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=clean | variables
    )
    kept, before, after = done.stdout.split()
    return kept == "True", int(before), int(after)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_what_is_freed_is_kept():
    kept, before, after = run()
    assert kept
    assert before > 1000
    assert after < 100


def test_what_the_user_has_decided_stays():
    kept, _, _ = run(MALLOC_TOP_PAD_="1000000")
    assert not kept
