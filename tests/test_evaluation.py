"""Rates, normalisers, the confusion matrix and the comparison of results, without a model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sewcli.acoustic.model import PartlyRunError, Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.decoding.hotwords import spellable
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import DeviceError
from sewcli.evaluation import Scored, error_rates
from sewcli.evaluation.comparison import compare
from sewcli.evaluation.confusion import Confusion
from sewcli.evaluation.intervals import RateInterval, share_interval
from sewcli.evaluation.loss import Loss
from sewcli.evaluation.measuring import Stopwatch
from sewcli.evaluation.normalizers import basic, normalizer
from sewcli.evaluation.rates import Edits, word_edits
from sewcli.evaluation.scores import AccuracySum, SumsBySet

WORDS = st.lists(st.sampled_from(["A", "BE", "SEE", "IT'S"]), max_size=6).map(" ".join)


def test_rates_are_edits_over_the_corpus_with_letter_case_ignored():
    scores = error_rates([Scored("a b c d", "A B X", "one"), Scored("HELLO", "HELLO YOU", "two")])
    assert (scores["substitutions"], scores["deletions"], scores["insertions"]) == (1, 1, 1)
    assert scores["words"] == 5
    assert scores["wer"] == pytest.approx(3 / 5)
    assert scores["sets"]["one"]["wer"] == pytest.approx(2 / 4)
    assert scores["sets"]["two"]["cer"] == pytest.approx(4 / 5)


def test_the_sentence_error_rate_counts_utterances_with_an_error():
    pairs = [("A B", "a  b"), ("A", "B"), ("A B C", "X A Y"), ("A", "A")]
    assert error_rates([Scored(a, b, "") for a, b in pairs])["ser"] == 0.5


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


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_rates_of_the_corpus_are_those_of_jiwer(pairs):
    import jiwer

    references, hypotheses = map(list, zip(*pairs, strict=True))
    if not any(references):
        return
    scores = error_rates([Scored(a, b, "") for a, b in pairs])
    assert scores["wer"] == pytest.approx(jiwer.wer(references, hypotheses))
    assert scores["cer"] == pytest.approx(jiwer.cer(references, hypotheses))


def test_marks_may_be_written_apart_from_their_letters():
    scores = error_rates([Scored("cafe\u0301 gru\u0308n", "CAF\u00c9 GR\u00dcN", "")])
    assert (scores["wer"], scores["cer"]) == (0, 0)
    vocabulary = Vocabulary(("<pad>", "c", "a", "f", "\u00e9"), 0, None, frozenset())
    assert vocabulary.encode("cafe\u0301") == vocabulary.encode("caf\u00e9") == [1, 2, 3, 4]
    apart = Vocabulary(("<pad>", "c", "a", "f", "e", "\u0301"), 0, None, frozenset())
    assert apart.encode("cafe\u0301") == [1, 2, 3, 4, 5]


@given(WORDS, WORDS)
def test_the_alignment_holds_both_texts_and_every_edit(reference, hypothesis):
    import re

    edits, alignment = word_edits(reference, hypothesis)
    said = re.sub(r"\{\+.*?\+\}", "", alignment).replace("[-", "").replace("-]", "").split()
    heard = re.sub(r"\[-.*?-\]", "", alignment).replace("{+", "").replace("+}", "").split()
    assert (said, heard) == (reference.split(), hypothesis.split())
    marks = alignment.count("[-") + alignment.count("{+") - alignment.count("-]{+")
    assert marks == edits.total


def test_an_empty_reference_has_no_rate_but_its_insertions_count():
    assert error_rates([Scored("", "A", "")])["wer"] is None
    assert error_rates([Scored("", "A", ""), Scored("B", "B", "")])["wer"] == 1.0


def test_accuracy_in_all_and_by_set():
    items = [Scored("a", "a", "x"), Scored("a", "b", "x"), Scored("b", "b", "y")]
    sums = SumsBySet(AccuracySum)
    for item in items:
        sums.add(item, None)
    scores = sums.as_object()
    assert scores["accuracy"] == pytest.approx(2 / 3)
    own = scores["sets"]["x"]
    assert (own["utterances"], own["correct"], own["accuracy"]) == (2, 1, 0.5)


def test_speed_and_loss_are_summed_by_set_over_the_utterances_that_have_them():
    items = [
        Scored("A", "A", "x", duration=2.0, network_seconds=0.5, loss=Loss(3.0)),
        Scored("A", "A", "x", duration=4.0, network_seconds=1.0, loss=Loss(None, "unspellable", "?")),
        Scored("A", "A", "y", duration=2.0, network_seconds=1.5, loss=Loss(1.0)),
        Scored("A", "A", "z"),
    ]
    scores = error_rates(items)
    assert (scores["audio_seconds"], scores["network_seconds"], scores["rtf"]) == (8.0, 3.0, 0.375)
    assert (scores["loss"], scores["loss_utterances"], scores["loss_unspellable"]) == (2.0, 2, 1)
    assert (scores["sets"]["x"]["rtf"], scores["sets"]["x"]["loss"]) == (0.25, 3.0)
    assert "rtf" not in scores["sets"]["z"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  world!", "Hello world"),
        ("don\u2019t 'quote' the dogs' O'Neill", "don't quote the dogs O'Neill"),
        ("well-known e.g. 3.5 % \u00a3", "well known e g 3 5"),
        ("\uff21\uff22\uff23 \ufb01ne", "ABC fine"),
        ("e\u0301te\u0301 co\u00adop", "\u00e9t\u00e9 coop"),
        ("don\u00ad't e\u00ad\u0301", "don't \u00e9"),
        ("a \u00a8 b \u00b8c", "a b c"),
        ("tab\tand\nline", "tab and line"),
        ("...", ""),
    ],
)
def test_basic_normalising(text, expected):
    assert basic(text) == expected


@given(st.text())
def test_basic_normalising_twice_changes_nothing_more(text):
    assert basic(basic(text)) == basic(text)


def test_the_english_normalizer_of_whisper():
    normalize = normalizer("whisper-en")
    assert normalize("Mr. Smith's colour isn't twenty-one dollars, um") == "mister smith is color is not $21"
    scores = error_rates([Scored("TWENTY ONE COLOURS", "21 colors", "")], normalize)
    assert (scores["wer"], scores["words"]) == (0.0, 2)


def test_no_normalizer_keeps_punctuation():
    assert error_rates([Scored("A, B", "A B", "")], normalizer("none"))["substitutions"] == 1
    assert error_rates([Scored("A, B", "A B", "")], normalizer("basic"))["substitutions"] == 0


def test_the_confusion_matrix_has_labels_as_rows_and_answers_as_columns():
    confusion = Confusion()
    for label, answer in [("b", "a"), ("b", "b"), ("b", "b"), ("a", "a"), ("think, engine", "a")]:
        confusion.add(label, answer)
    assert confusion.write(".csv").decode().splitlines() == [
        'label \\ answer,a,b,"think, engine"',
        "a,1,0,0",
        "b,1,2,0",
        '"think, engine",1,0,0',
    ]


def test_precision_and_recall_of_each_label():
    confusion = Confusion()
    for label, answer in [("b", "a"), ("b", "b"), ("b", "b"), ("a", "a"), ("c", "a"), ("a", "d")]:
        confusion.add(label, answer)
    found = confusion.by_label()
    assert found["a"] == {"clips": 2, "precision": 1 / 3, "recall": 1 / 2, "f1": pytest.approx(2 / 5)}
    assert found["b"] == {"clips": 3, "precision": 1.0, "recall": 2 / 3, "f1": pytest.approx(4 / 5)}
    assert found["c"] == {"clips": 1, "precision": None, "recall": 0.0, "f1": 0.0}
    assert found["d"] == {"clips": 0, "precision": 0.0, "recall": None, "f1": 0.0}
    assert confusion.macro_f1() == pytest.approx((2 / 5 + 4 / 5) / 4)
    assert Confusion().macro_f1() is None


@pytest.mark.parametrize("labels", [1, 41])
def test_the_confusion_matrix_is_drawn(labels, tmp_path):
    import io

    from matplotlib.image import imread

    confusion = Confusion()
    for number in range(labels):
        confusion.add(f"label {number}", f"label {number // 2}")
    picture = imread(io.BytesIO(confusion.write(".png")))
    assert min(picture.shape[:2]) > 300
    assert np.unique(picture[..., 0]).size > 10


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


def test_texts_are_spelled_in_the_letter_case_of_the_vocabulary():
    vocabulary = Vocabulary(("<pad>", "<unk>", "|", "A", "B", "'"), 0, 2, frozenset({1}))
    assert vocabulary.encode(" a  b'A ") == [3, 2, 4, 5, 3]
    with pytest.raises(ValueError, match=r"no 'C' '\|'"):
        vocabulary.encode("abc|")
    with pytest.raises(ValueError, match="no ' '"):
        Vocabulary(("<pad>", "A"), 0, None, frozenset()).encode("A A")


def test_the_tables_of_a_vocabulary_are_made_once():
    """A text of 20 characters took 2 s with a vocabulary of 3,500 when they were made for each."""
    characters = tuple(map(chr, range(0x4E00, 0x4E00 + 3500)))
    vocabulary = Vocabulary(("<pad>", "|", *characters), 0, 1, frozenset())
    tokens, columns = vocabulary.text_tokens, vocabulary.columns
    assert vocabulary.encode(f"{characters[0]} {characters[1]}") == [2, 1, 3]
    assert vocabulary.text_tokens is tokens
    assert vocabulary.columns is columns


def test_words_are_spelled_with_the_marks_and_apostrophes_of_the_vocabulary():
    vocabulary = Vocabulary(("<pad>", "|", *"ACDEFNOT\u00c9'"), 0, 1, frozenset())
    assert vocabulary.spelled("cafe\u0301 don\u2019t") == "CAF\u00c9 DON'T"
    assert spellable(vocabulary, ["cafe\u0301", "CAF\u00c9", "don\u2019t"]) == ("CAF\u00c9", "DON'T")


def test_the_shares_of_a_batch_that_fails_in_part_are_those_of_what_is_handed_on():
    class Model:
        labels, columns, device, head_bias = (), 2, "cpu", np.zeros(2, np.float32)

        def __call__(self, segments):
            raise PartlyRunError(DeviceError("out of memory"), [np.zeros((3, 2), np.float32)])

    silence = np.zeros(800, np.float32)
    stopwatch = Stopwatch(Model())
    with pytest.raises(PartlyRunError):
        stopwatch([Segment(silence, wave_statistics(silence))] * 2)
    assert stopwatch.share() == pytest.approx(stopwatch.total)
    with pytest.raises(IndexError):
        stopwatch.share()


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
