"""Estimating n-gram models: worked by hand, by a slow independent computation, and as a distribution."""

from __future__ import annotations

import gzip
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Sew
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sewcli.errors import UsageError
from sewcli.lm.arpa import is_arpa, lines, read_unigrams
from sewcli.lm.counting import count, read_text
from sewcli.lm.smoothing import estimate

Arpa = dict[tuple[str, ...], tuple[float, float]]
SENTENCES = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1, max_size=7).map(" ".join),
    min_size=1,
    max_size=30,
)


def parse(content: bytes) -> Arpa:
    """Probability and backoff of every n-gram of an ARPA file."""
    model, announced = {}, {}
    for line in content.decode().splitlines():
        if line.startswith("ngram "):
            order, size = line.removeprefix("ngram ").split("=")
            announced[int(order)] = int(size)
        elif "\t" in line:
            probability, words, *backoff = line.split("\t")
            model[tuple(words.split())] = 10 ** float(probability), 10 ** float(backoff[0] if backoff else 0)
    assert Counter(announced) == Counter(map(len, model))  # in which 0 is the same as nothing
    return model


def build(sentences: Sequence[str], order: int, prune: Sequence[int] = (0,)) -> Arpa:
    text = read_text(sentences)
    return parse(b"".join(lines(text.words, estimate(count(text, order), prune))))


def probability(model: Arpa, words: tuple[str, ...]) -> float:
    """p(last word | the others), by the rule of the ARPA format."""
    if words in model:
        return model[words][0]
    return model.get(words[:-1], (0, 1))[1] * probability(model, words[1:])


#: D(1), D(2) and D(3) of `lmplz --discount_fallback`
FALLBACK = (0.5, 1.0, 1.5)


def slowly(sentences: Sequence[str], order: int, prune: Sequence[int]) -> Arpa:
    """The same model from dictionaries, one n-gram at a time, straight from the formulas."""
    raw: Counter[tuple[str, ...]] = Counter()
    for sentence in sentences:
        words = ["<s>", *sentence.split(), "</s>"]
        for size in range(1, order + 1):
            raw.update(tuple(words[i : i + size]) for i in range(len(words) - size + 1))
    limits = [*prune, *[prune[-1]] * (order - len(prune))]
    marks = {("<s>",), ("</s>",), ("<unk>",)}
    kept = {gram for gram, times in raw.items() if times > limits[len(gram) - 1]} | marks
    adjusted: dict[tuple[str, ...], int] = {("<unk>",): 0}
    for gram, times in raw.items():
        if len(gram) == order or gram[0] == "<s>":
            adjusted[gram] = times
        else:
            adjusted[gram] = len({other[0] for other in raw if other[1:] == gram})
    adjusted["<s>",] = 0
    discounts = {}
    for size in range(1, order + 1):
        t = Counter(value for gram, value in adjusted.items() if len(gram) == size)
        found = FALLBACK
        if all(t[k] for k in (1, 2, 3, 4)):
            y = t[1] / (t[1] + 2 * t[2])
            estimated = tuple(k - (k + 1) * y * t[k + 1] / t[k] for k in (1, 2, 3))
            if all(0 <= d <= k for k, d in enumerate(estimated, start=1)):
                found = estimated
        discounts[size] = found
    following = defaultdict(list)
    for gram in adjusted:
        following[gram[:-1]].append(gram)

    def taken(gram: tuple[str, ...]) -> float:
        value = adjusted[gram]
        if gram not in kept:
            return value
        return discounts[len(gram)][min(value, 3) - 1] if value else 0.0

    def backoff(history: tuple[str, ...]) -> float:
        total = sum(adjusted[gram] for gram in following[history])
        return sum(map(taken, following[history])) / total if total else 1.0

    def interpolated(gram: tuple[str, ...]) -> float:
        if not gram:
            return 1 / (sum(len(one) == 1 for one in kept) - 1)
        total = sum(adjusted[one] for one in following[gram[:-1]])
        share = (adjusted[gram] - taken(gram)) / total if total else 0.0
        return share + backoff(gram[:-1]) * interpolated(gram[1:])

    model = {gram: (interpolated(gram), backoff(gram) if len(gram) < order else 1.0) for gram in kept}
    model["<s>",] = (1e-99, model["<s>",][1])
    return model


def test_two_sentences_worked_by_hand() -> None:
    """No discount can be estimated here, so D(1) = 0.5 and D(2) = 1 are taken."""
    model = build(["a b", "a c"], 2)
    assert len(model) == 6 + 5
    # preceded by so many words: a 1, b 1, c 1, </s> 2; b() = (3 * 0.5 + 1) / 5, spread over 5 words
    expected = {"a": 0.2, "b": 0.2, "c": 0.2, "</s>": 0.3, "<unk>": 0.1}
    assert {word: model[word,][0] for word in expected} == pytest.approx(expected, abs=1e-6)
    # (2 - 1) / 2 + 1 / 2 * 0.2, and (1 - 0.5) / 2 + 0.5 * 0.2
    assert model["<s>", "a"][0] == pytest.approx(0.6, abs=1e-6)
    assert model["a", "b"][0] == pytest.approx(0.35, abs=1e-6)
    assert model["<s>",][1] == pytest.approx(0.5, abs=1e-6)
    assert probability(model, ("a", "</s>")) == pytest.approx(0.5 * 0.3, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.integers(1, 4), st.sampled_from([(0,), (0, 1), (0, 0, 2), (1, 1)]))
@example(["a b c"], 2, (1, 1))
def test_equal_to_a_slow_computation_and_sums_to_one(
    sentences: list[str], order: int, prune: tuple[int, ...]
) -> None:
    prune = prune[:order]
    model, slow = build(sentences, order, prune), slowly(sentences, order, prune)
    assert model.keys() == slow.keys()
    for gram, (value, backoff) in slow.items():
        assert model[gram] == pytest.approx((value, backoff), rel=1e-4), gram
    words = [gram[0] for gram in model if len(gram) == 1 and gram != ("<s>",)]
    for history in [(), *(gram for gram in model if len(gram) < order and gram[-1] != "</s>")]:
        assert sum(probability(model, (*history, word)) for word in words) == pytest.approx(1, abs=1e-4)


def test_discounts_are_estimated_where_a_text_allows_it() -> None:
    text = read_text((Path(__file__).parent.parent / "README.md").read_text().splitlines())
    [single, *_] = estimate(count(text, 2), [0])
    assert not single.fell_back
    assert all(0 < discount < k for k, discount in enumerate(single.discounts, start=1))


def test_marks_in_the_text_and_an_empty_text_are_refused() -> None:
    for word in ("<s>", "</S>", "<UNK>"):
        with pytest.raises(UsageError, match=f"'{word}'"):
            read_text([f"a {word} b"])
    with pytest.raises(UsageError, match="empty"):
        read_text(["", "  "])


@pytest.mark.parametrize("prune", [[1, 0], [-1], [0, 0, 0, 1]])
def test_thresholds_that_fall_or_are_too_many_are_refused(prune: list[int]) -> None:
    with pytest.raises(UsageError, match="--prune"):
        estimate(count(read_text(["a b"]), 3), prune)


def test_command_reads_and_writes_gzip_and_normalises(sew: Sew, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("Good evening, Vienna!\n\nGood day.\n")
    (tmp_path / "two.gz").write_bytes(gzip.compress(b"the day is good\n"))
    texts = [tmp_path / "one.txt", tmp_path / "two.gz", "-"]
    result = sew("lm", "build", *texts, "-o", tmp_path / "lm.arpa.gz", stdin=b"from a pipe\n")
    assert (result.code, result.out) == (0, b"")
    assert "12 words in 4 sentences; n-grams: 12 of order 1" in result.err
    assert is_arpa(tmp_path / "lm.arpa.gz")
    expected = {"good", "evening", "vienna", "day", "the", "is", "from", "a", "pipe"}
    assert set(read_unigrams(tmp_path / "lm.arpa.gz")) == expected
    (tmp_path / "two.txt").write_text("the day is good\nthe day is bad\n")
    options = ("--case", "upper", "--prune", "0,0,1")
    assert sew("lm", "build", tmp_path / "two.txt", "-o", tmp_path / "lm.arpa", *options).code == 0
    model = parse((tmp_path / "lm.arpa").read_bytes())
    assert ("GOOD",) in model
    assert {gram for gram in model if len(gram) == 3} == {("<s>", "THE", "DAY"), ("THE", "DAY", "IS")}
    again = sew("lm", "build", *texts[:2], "-o", tmp_path / "lm.arpa")
    assert (again.code, "--overwrite" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["gone.txt"], "gone.txt"),
        (["latin.txt"], "latin.txt:2"),
        (["cut.gz"], "cut.gz"),
        (["good.txt", "--prune", "some"], "--prune some"),
        (["good.txt", "--prune", "2 1"], "--prune 2 1"),
        (["good.txt", "--prune", "0 0 1"], "no n-gram of order 3"),
        (["good.txt", "-o", "-"], "-o -: a language model is written to a file"),
        (["good.txt", "-", "-"], "standard input can be read only once"),
    ],
)
def test_command_names_what_is_wrong(sew: Sew, tmp_path: Path, arguments: list[str], named: str) -> None:
    (tmp_path / "good.txt").write_text("a b\n")
    (tmp_path / "latin.txt").write_bytes(b"good\ncaf\xe9\n")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a b\n" * 1000)[:-12])
    texts = [tmp_path / arguments[0], *arguments[1:]]
    result = sew("lm", "build", "-o", tmp_path / "lm.arpa", *texts)
    assert (result.code, named in result.err) == (2, True), result.err
    assert not (tmp_path / "lm.arpa").exists()


def test_builtin_model_is_a_distribution() -> None:
    from sewcli.decoding.language_model import BUILTIN_FILE

    words = read_unigrams(BUILTIN_FILE)
    assert len(words) == 46_290
    model = {word: 10**value for word, value in words.items()}
    # <unk> and </s> have the rest
    assert 0.9 < math.fsum(model.values()) < 1
    assert BUILTIN_FILE.stat().st_size < 8e6
