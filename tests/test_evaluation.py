"""Rates, normalisers and the confusion matrix, without a model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewcli.acoustic.model import PartlyRunError, Segment
from sewcli.acoustic.statistics import wave_statistics
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import DeviceError
from sewcli.evaluation import Scored, error_rates
from sewcli.evaluation.confusion import Confusion
from sewcli.evaluation.loss import Loss
from sewcli.evaluation.measuring import Stopwatch
from sewcli.evaluation.normalizers import basic, normalizer
from sewcli.evaluation.rates import word_edits
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
