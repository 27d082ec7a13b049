"""Counting n-grams: every order at once, in numpy.

An n-gram of order n is known by a number. It is a pair of the (n-1)-gram in front (its prefix) and its last
word, so numpy.unique over prefix * V + word counts all of them, and no string is handled after reading.

Memory: 4 bytes a word of text while it is read, and some 60 bytes a word while an order is counted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sewcli.errors import UsageError

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
#: their ids
UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2


@dataclass(frozen=True)
class Text:
    """Sentences as numbers.

    Attributes:
        words: every word once; its place is its id. The first three are <unk>, <s> and </s>.
        ids: all sentences one after the other, each between BEGIN_ID and END_ID, int32.
    """

    words: list[str]
    ids: NDArray[np.int32]

    @property
    def sentences(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self.ids == BEGIN_ID))


@dataclass(frozen=True)
class Counts:
    """The n-grams of one order, N of them, in the order of prefix and last word.

    Attributes:
        prefix: number of the n-gram without its last word, in the order below, (N,); 0 for single words.
        word: id of the last word, (N,).
        suffix: number of the n-gram without its first word, in the order below, (N,); 0 for single words.
        count: how often it is in the text, (N,).
        begins: whether its first word is <s>, (N,).
    """

    prefix: NDArray[np.int64]
    word: NDArray[np.int64]
    suffix: NDArray[np.int64]
    count: NDArray[np.int64]
    begins: NDArray[np.bool_]


def read_text(sentences: Iterable[str]) -> Text:
    """Number the words of sentences; empty ones are left out.

    Args:
        sentences: words between white space.

    Raises:
        UsageError: there are none, or a word is one of the three marks of the model.
    """
    known = {UNKNOWN: UNKNOWN_ID, BEGIN: BEGIN_ID, END: END_ID}
    ids = array("i")
    for sentence in sentences:
        words = sentence.split()
        if not words:
            continue
        ids.append(BEGIN_ID)
        for word in words:
            number = known.setdefault(word, len(known))
            # in any letter case: KenLM knows <UNK> too
            if number <= END_ID or word.lower() in (UNKNOWN, BEGIN, END):
                raise UsageError(
                    f"the text holds {word!r}, which is a mark of the model: {sentence.strip()[:60]}",
                    hint="remove it, or use --normalizer basic",
                )
            ids.append(number)
        ids.append(END_ID)
    if not ids:
        raise UsageError("the text is empty", hint="give files with a sentence on each line")
    return Text(list(known), np.frombuffer(ids, dtype=np.int32))


def count(text: Text, order: int) -> list[Counts]:
    """Count the n-grams of the orders 1 to `order`; none crosses the end of a sentence.

    Single words have their id for number: all words are there, <unk> with a count of 0.
    """
    size = len(text.words)
    ids = text.ids.astype(np.int64)
    # of the n-gram that ends at each place; -1 where the sentence has begun too late for one
    numbers = ids
    counts = [
        Counts(
            prefix=np.zeros(size, dtype=np.int64),
            word=np.arange(size),
            suffix=np.zeros(size, dtype=np.int64),
            count=np.bincount(ids, minlength=size),
            begins=np.arange(size) == BEGIN_ID,
        )
    ]
    for _ in range(order - 1):
        before = np.concatenate([[-1], numbers[:-1]])
        # the word before <s> is that of another sentence
        places = np.flatnonzero((before >= 0) & (ids != BEGIN_ID))
        keys = before[places] * size + ids[places]
        found, first, inverse, times = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        prefix, word = np.divmod(found, size)
        suffix = numbers[places[first]]
        counts.append(Counts(prefix, word, suffix, times, counts[-1].begins[prefix]))
        numbers = np.full(ids.size, -1, dtype=np.int64)
        numbers[places] = inverse
    return counts
