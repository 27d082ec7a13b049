"""Intervals of rates, and the comparison of results."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sewcli.evaluation import Scored, error_rates
from sewcli.evaluation.comparison import compare
from sewcli.evaluation.intervals import RateInterval, share_interval
from sewcli.evaluation.rates import Edits
from sewcli.evaluation.scores import AccuracySum


def test_intervals_are_those_of_what_they_stand_beside():
    pairs = [("AB CD", "AB CD"), ("AB CD EF", "AB XY"), ("ABCDEF", "ABCDEG"), ("A B C D", "A C D")]
    scores = error_rates([Scored(a, b, "") for a, b in pairs])
    words, characters = RateInterval(), RateInterval()
    # edits and lengths by hand; a space is a character
    for interval, edits in (
        (words, [(0, 2), (2, 3), (1, 1), (1, 4)]),
        (characters, [(0, 5), (5, 8), (1, 6), (2, 7)]),
    ):
        for wrong, length in edits:
            interval.add(Edits(length, wrong, 0, 0))
    assert scores["wer_interval"] == words.of(Edits(10, 4, 0, 0))
    assert scores["cer_interval"] == characters.of(Edits(26, 8, 0, 0))
    clips = AccuracySum()
    for number in range(10):
        clips.add(Scored("yes", "no" if number < 2 else "yes", ""), None)
    assert clips.as_object()["accuracy_interval"] == share_interval(8, 10)


def test_the_interval_of_two_utterances_by_hand():
    """Edits of 1 and 3, each 1 from their mean: variance 2/1 * (1 + 1) / 20**2; and no rate is negative."""
    interval = RateInterval()
    interval.add(Edits(10, 1, 0, 0))
    interval.add(Edits(10, 3, 0, 0))
    half = 1.959964 * np.sqrt(2 * 2 / 400)
    assert interval.of(Edits(20, 4, 0, 0)) == [pytest.approx(max(0.0, 0.2 - half)), pytest.approx(0.2 + half)]
    spread = RateInterval()
    spread.add(Edits(10, 1, 0, 0))
    spread.add(Edits(10, 0, 0, 0))
    found = spread.of(Edits(20, 1, 0, 0))
    assert found is not None
    assert found[0] == 0.0


def test_the_interval_of_a_rate_is_that_of_drawing_utterances_again():
    rng = np.random.default_rng(2)
    words = rng.integers(1, 30, size=300)
    errors = rng.binomial(words, rng.beta(2, 5, size=300))
    interval, total = RateInterval(), Edits()
    for length, wrong in zip(words.tolist(), errors.tolist(), strict=True):
        one = Edits(length, substitutions=wrong)
        interval.add(one)
        total += one
    drawn = rng.integers(300, size=(4000, 300))
    rates = errors[drawn].sum(axis=1) / words[drawn].sum(axis=1)
    low, high = interval.of(total)
    assert (low + high) / 2 == pytest.approx(errors.sum() / words.sum())
    assert high - low == pytest.approx(2 * 1.96 * rates.std(), rel=0.05)
    assert RateInterval(1, 1, 2, 4).of(Edits(2, 1)) is None
    assert RateInterval(2, 0, 0, 0).of(Edits()) is None
    same, all_wrong = RateInterval(), Edits()
    for length in (3, 7, 11):
        same.add(Edits(length, substitutions=length))
        all_wrong += Edits(length, substitutions=length)
    assert same.of(all_wrong) is None


@pytest.mark.parametrize(
    ("hits", "total", "expected"),
    [(95, 100, (0.8882, 0.9785)), (10, 10, (0.7225, 1.0)), (0, 1, (0.0, 0.7935))],
)
def test_the_interval_of_a_share_is_wilsons(hits, total, expected):
    assert share_interval(hits, total) == pytest.approx(expected, abs=1e-4)


def test_a_clear_improvement_is_found_and_its_interval_is_that_of_the_normal_approximation():
    rng = np.random.default_rng(3)
    words = rng.integers(5, 20, size=400)
    a, b = rng.binomial(words, 0.30), rng.binomial(words, 0.24)
    counts = np.stack([a, b, words], axis=1)
    found = compare(counts, resamples=4000, seed=1)
    assert (found.rate_a, found.rate_b) == (a.sum() / words.sum(), b.sum() / words.sum())
    spread = np.std((b - a) - found.difference * words) * np.sqrt(400) / words.sum()
    low, high = found.interval
    assert low == pytest.approx(found.difference - 1.96 * spread, abs=0.15 * spread)
    assert high == pytest.approx(found.difference + 1.96 * spread, abs=0.15 * spread)
    assert found.probability_of_improvement > 0.999
    turned = compare(counts[:, [1, 0, 2]], resamples=4000, seed=1)
    assert turned.interval == pytest.approx((-high, -low))
    assert turned.probability_of_improvement < 0.001


def test_equal_results_tie_and_none_is_better():
    counts = np.array([[1, 1, 5]] * 19 + [[1, 0, 5]])
    same = compare(counts[:19], resamples=100, seed=0)
    assert (same.probability_of_improvement, same.probability_of_tie) == (0.0, 1.0)
    # of draws of twenty utterances (19/20) ** 20 leave the only one out that differs
    one = compare(counts, resamples=10_000, seed=0)
    assert one.probability_of_tie == pytest.approx(0.95**20, abs=0.02)
    assert one.probability_of_improvement + one.probability_of_tie == pytest.approx(1.0)


def test_the_comparison_is_paired_seeded_and_independent_of_its_blocks(monkeypatch):
    rng = np.random.default_rng(5)
    words = rng.integers(1, 30, size=200)
    errors = rng.binomial(words, 0.5)
    # B is right one word more often in each utterance: unpaired, this would drown in the spread of A
    counts = np.stack([errors + 1, errors, words], axis=1)
    first = compare(counts, resamples=1000, seed=7)
    assert first.probability_of_improvement == 1.0
    assert first == compare(counts, resamples=1000, seed=7)
    assert first.interval != compare(counts, resamples=1000, seed=8).interval
    monkeypatch.setattr("sewcli.evaluation.comparison._BLOCK", 1000)
    assert compare(counts, resamples=1000, seed=7) == first


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_equal_results_have_no_difference(rows):
    counts = np.array([(a, a, words) for a, _, words in rows])
    found = compare(counts, resamples=100, seed=0)
    assert (found.difference, found.interval, found.probability_of_improvement) == (0.0, (0.0, 0.0), 0.0)
