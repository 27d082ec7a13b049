"""Blocks that a thread decodes ahead."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import soundfile

from sewcli.audio import read_blocks
from sewcli.inputs.source import Source
from sewcli.prefetch import prefetched


def blocks(count, made, *, error=None):
    """Numbered blocks, kept count of; at the end the error."""
    try:
        for number in range(count):
            made.append(number)
            yield np.full(3, number, dtype=np.float32)
        if error is not None:
            raise error
    finally:
        made.append("closed")


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "sew-prefetch"]


def test_they_come_in_order_and_the_thread_ends():
    made = []
    assert [int(block[0]) for block in prefetched(blocks(7, made), 2)] == list(range(7))
    assert made == [*range(7), "closed"]
    assert not threads()


def test_no_more_than_a_few_wait():
    made = []
    taken = prefetched(blocks(100, made), 2)
    next(taken)
    time.sleep(0.2)
    assert 2 <= len(made) <= 4
    taken.close()
    assert not threads()
    assert len(made) <= 5


def test_an_error_comes_after_what_was_good():
    reading = prefetched(blocks(2, [], error=ValueError("damaged")), 2)
    assert [int(next(reading)[0]) for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="damaged"):
        next(reading)
    assert not threads()


def test_a_file_that_is_left_early_is_closed(tmp_path):
    file = tmp_path / "long.flac"
    samples = np.random.default_rng(0).standard_normal(16_000 * 20) * 0.1
    soundfile.write(file, samples, 16_000)
    reading = read_blocks(Source(str(file), file))
    first = next(reading)
    assert threads()
    reading.close()
    assert not threads()
    whole = np.concatenate(list(read_blocks(Source(str(file), file))))
    np.testing.assert_array_equal(whole[: len(first)], first)
    np.testing.assert_allclose(whole, samples, atol=2e-5)


def test_a_short_file_needs_no_thread(tmp_path):
    file = tmp_path / "short.wav"
    soundfile.write(file, np.zeros(16_000), 16_000)
    reading = read_blocks(Source(str(file), file))
    next(reading)
    assert not threads()
    reading.close()
