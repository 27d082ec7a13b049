"""What is no keyword: other speech, and silence.

`_unknown_` is speech that is none of the keywords: stretches of transcribed recordings whose text holds
no keyword. `_silence_` is the absence of speech: stretches of the noise recordings, and the quietest
moments of the speech.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import SAMPLE_RATE
from sewcli.errors import UsageError
from sewcli.evaluation.normalizers import basic
from sewcli.evaluation.rates import folded
from sewcli.training.augment import Samples, cut
from sewcli.training.batches import fingerprint
from sewcli.training.cache import AudioCache

#: seconds of a cut clip of speech, at least
_SHORTEST = 0.5
_QUIET_SECONDS = 0.3
#: share of the silence that comes from the noise recordings, where there are any
_FROM_NOISE = 0.7


class OtherSounds:
    """Cuts clips of `_unknown_` and `_silence_` at random.

    Args:
        train, dev: transcribed speech of training and of dev speakers.
        noise: recordings without speech.
    """

    #: of a cut clip, at most
    LONGEST_SECONDS = 2.5

    def __init__(self, train: AudioCache, dev: AudioCache, noise: list[Samples]) -> None:
        self._speech = (train, dev)
        self._noise = noise
        self._usable = tuple(np.arange(len(cache)) for cache in self._speech)

    def leave_out(self, keywords: list[str]) -> None:
        """Cut only from recordings that hold none of the keywords and are long enough.

        Raises:
            UsageError: there is no such recording.
        """
        self._usable = tuple(_without(cache, keywords) for cache in self._speech)

    @property
    def fingerprint(self) -> str:
        """Tells the speech of training that is cut from others."""
        speech, usable = self._speech[False], self._usable[False]
        return fingerprint(speech.lengths[usable], [speech.rows[clip].text for clip in usable])

    def unknown(self, rng: np.random.Generator, *, dev: bool = False) -> Samples:
        """A stretch of speech around a loud moment of a recording without keywords, shape (n,)."""
        samples = self._recording(rng, dev=dev)
        length = min(samples.size, int(rng.uniform(_SHORTEST, self.LONGEST_SECONDS) * SAMPLE_RATE))
        starts = rng.integers(samples.size - length + 1, size=4)
        power = [float(np.mean(samples[s : s + length] ** 2)) for s in starts]
        start = int(starts[int(np.argmax(power))])
        return samples[start : start + length]

    def silence(self, rng: np.random.Generator, *, dev: bool = False) -> Samples:
        """A stretch of noise, or the quietest of several stretches of a speech recording, shape (n,)."""
        length = int(rng.uniform(_SHORTEST, self.LONGEST_SECONDS) * SAMPLE_RATE)
        if rng.random() < _FROM_NOISE and self._noise:
            return cut(self._noise[int(rng.integers(len(self._noise)))], length, rng)
        samples = self._recording(rng, dev=dev)
        length = min(int(_QUIET_SECONDS * SAMPLE_RATE), samples.size)
        starts = range(0, samples.size - length + 1, length // 2)
        quiet = min(starts, key=lambda s: float(np.mean(samples[s : s + length] ** 2)))
        return samples[quiet : quiet + length]

    def _recording(self, rng: np.random.Generator, *, dev: bool) -> Samples:
        return self._speech[dev].clip(int(rng.choice(self._usable[dev])))


def _words(text: str) -> set[str]:
    """Of a text or a label, letter case and punctuation apart."""
    return set(folded(basic(text)).split())


def _without(cache: AudioCache, keywords: list[str]) -> NDArray[np.int64]:
    """Clips of at least the shortest cut whose text holds no word of a keyword."""
    words = {word for name in keywords for word in _words(name)}
    keep = [
        i
        for i, row in enumerate(cache.rows)
        if row.text and not words & _words(row.text) and cache.lengths[i] >= _SHORTEST * SAMPLE_RATE
    ]
    if not keep:
        raise UsageError("background: no transcribed clip is free of keywords and long enough for _unknown_")
    return np.array(keep, dtype=np.int64)
