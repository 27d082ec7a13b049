"""Greedy decoding, forced alignment and beam search, from logits to words with times."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sewcli.decoding.alignment import align
from sewcli.decoding.greedy import GreedyDecoder
from sewcli.decoding.hypothesis import Hypothesis
from sewcli.decoding.known import KnownText
from sewcli.decoding.vocabulary import Vocabulary

TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C")
VOCABULARY = Vocabulary(TOKENS, blank=0, delimiter=4, special=frozenset({1, 2, 3}))
IDS = {token: index for index, token in enumerate(TOKENS)} | {"_": 0}


def logits_of(frames, peak=10.0):
    """Logits whose best tokens are spelled by `frames`, `_` for the blank."""
    logits = np.zeros((len(frames), len(TOKENS)), dtype=np.float32)
    for frame, token in zip(logits, frames, strict=True):
        frame[IDS[token]] = peak
    return logits


def greedy(logits, sizes=(), vocabulary=VOCABULARY):
    decoder = GreedyDecoder(vocabulary)
    start = 0
    for size in sizes:
        decoder.push(logits[start : start + size])
        start += size
    decoder.push(logits[start:])
    return decoder.finish()


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ("", ""),
        ("____", ""),
        ("AAA", "A"),
        ("A_A", "AA"),
        ("AAB|C", "AB C"),
        ("||A||B||", "A B"),
        ("A_|_|_B", "A B"),
        ("|||", ""),
    ],
)
def test_repeats_merge_and_blanks_and_delimiters_separate(frames, text):
    assert greedy(logits_of(frames)).text == text


@given(st.lists(st.sampled_from("_|ABC"), max_size=60), st.lists(st.integers(0, 9), max_size=12))
def test_greedy_does_not_depend_on_where_chunks_end(frames, sizes):
    logits = logits_of(frames)
    assert greedy(logits, sizes) == greedy(logits)


def test_special_tokens_are_never_text_however_probable():
    logits = logits_of("AB")
    logits[:, 1:4] = 50.0
    hypothesis = greedy(logits)
    assert hypothesis.text == "AB"
    assert hypothesis.words(1.0)[0].confidence > 0.99


def test_words_have_frames_as_times_and_end_inside_the_recording():
    words = greedy(logits_of("_AAB|_C")).words(duration=0.135, offset=2.0)
    assert [(word.text, word.start, word.end) for word in words] == [("AB", 2.02, 2.08), ("C", 2.12, 2.135)]


def test_a_text_may_need_every_frame():
    """A letter that comes twice has a blank between."""
    for text, frames in (("A", 1), ("AB", 2), ("AA", 3), ("AA B", 5)):
        known = KnownText(text, VOCABULARY)
        assert known.fits(frames)
        assert not known.fits(frames - 1)
        spelled = known.align(VOCABULARY.log_posteriors(logits_of("_" * frames)))
        assert "".join(token.text for token in spelled.tokens) == text.replace(" ", "")


def test_characters_count_from_the_beginning_of_the_file():
    characters = greedy(logits_of("_AAB|_C")).chars(duration=0.135, offset=2.0)
    times = [(one.text, one.start, one.end) for one in characters]
    assert times == [("A", 2.02, 2.06), ("B", 2.06, 2.08), ("C", 2.12, 2.135)]


def test_confidence_is_the_geometric_mean_of_the_posteriors_blanks_excluded():
    logits = logits_of("_A__B")
    logits[1, IDS["C"]] = 9.0
    logits[2, IDS["C"]] = 9.5
    posteriors = np.exp(VOCABULARY.log_posteriors(logits))
    expected = np.sqrt(posteriors[1, IDS["A"]] * posteriors[4, IDS["B"]])
    assert greedy(logits).words(1.0)[0].confidence == pytest.approx(expected, abs=1e-4)


def best_path_by_enumeration(log_posteriors, tokens, blank):
    """Every way to spell the tokens, one by one: the definition, for a few frames."""
    best, best_score = None, -np.inf
    for path in itertools.product({blank, *tokens}, repeat=len(log_posteriors)):
        merged = [token for token, _ in itertools.groupby(path)]
        if [token for token in merged if token != blank] == tokens:
            score = sum(log_posteriors[frame, token] for frame, token in enumerate(path))
            if score > best_score:
                best, best_score = path, score
    return best, best_score


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(5, 7), min_size=1, max_size=3), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_alignment_is_the_best_of_all_paths(tokens, frames, seed):
    logits = np.random.default_rng(seed).standard_normal((frames, len(TOKENS))).astype(np.float32)
    log_posteriors = VOCABULARY.log_posteriors(logits)
    path, score = best_path_by_enumeration(log_posteriors, tokens, VOCABULARY.blank)
    if path is None:
        with pytest.raises(ValueError, match="do not fit"):
            align(log_posteriors, tokens, VOCABULARY.blank)
        return
    spans = align(log_posteriors, tokens, VOCABULARY.blank)
    spelled = [VOCABULARY.blank] * frames
    for token, (first, last, _) in zip(tokens, spans, strict=True):
        spelled[first : last + 1] = [token] * (last - first + 1)
    assert sum(log_posteriors[i, token] for i, token in enumerate(spelled)) == pytest.approx(score, abs=1e-4)
    for token, (first, last, total) in zip(tokens, spans, strict=True):
        assert total == pytest.approx(float(log_posteriors[first : last + 1, token].sum()), abs=1e-4)


class TestBeamSearch:
    @pytest.fixture(autouse=True)
    def _needs_pyctcdecode(self):
        pytest.importorskip("pyctcdecode", reason="no release of pyctcdecode for this Python")

    @staticmethod
    def decode(logits, sizes=(), vocabulary=VOCABULARY, **options):
        from sewcli.decoding.beam import BeamDecoder, BeamSearch

        search = BeamSearch(vocabulary, **options)
        decoder = BeamDecoder(vocabulary, lambda frames: search.search(frames.mapped()), Hypothesis("", ()))
        start = 0
        for size in [*sizes, len(logits)]:
            decoder.push(logits[start : start + size])
            start += size
        hypothesis = decoder.finish()
        decoder.close()
        return hypothesis

    @pytest.mark.parametrize("frames", ["____", "AAB|C", "_A_A_|_BC_"])
    def test_confident_logits_give_the_greedy_text_and_words(self, frames):
        logits = logits_of(frames)
        beam, best = self.decode(logits), greedy(logits)
        assert beam.text == best.text
        assert [word.text for word in beam.words(9.0)] == [word.text for word in best.words(9.0)]

    def test_a_letter_in_every_frame_of_a_long_recording_leaves_no_room_for_spaces_between_pieces(self):
        """The text has no times then."""
        hypothesis = self.decode(logits_of("A|" + "ABC" * 1100, peak=30.0))
        first, *rest = hypothesis.text.split(" ")
        assert first == "A"
        assert len(rest) == 2
        assert "".join(rest) == "ABC" * 1100
        assert hypothesis.tokens == ()

    def test_words_split_over_chunks_stay_whole(self):
        logits = logits_of("_AB_BA_|_C_")
        assert self.decode(logits, sizes=[3, 2]).text == "ABBA C"

    def test_a_prefix_of_many_paths_beats_the_single_best_path(self):
        """Two paths of A (0.2 each) together outweigh the blank (0.36): the beam sums, greedy cannot."""
        probabilities = np.full((2, len(TOKENS)), 1e-9)
        probabilities[:, 0], probabilities[:, IDS["A"]] = 0.6, 0.4
        logits = np.log(probabilities).astype(np.float32)
        assert greedy(logits).text == ""
        assert self.decode(logits).text == "A"

    @pytest.mark.parametrize("token", ["", " ", "|", "_", "▁", "⁇"])
    def test_tokens_that_the_library_takes_for_something_else_are_text(self, token):
        """As greedy search has them; in the place of B."""
        tokens = tuple(token if one == "B" else one for one in VOCABULARY.tokens)
        vocabulary = dataclasses.replace(VOCABULARY, tokens=tokens)
        if token == "|":
            vocabulary = dataclasses.replace(vocabulary, delimiter=None)
        logits = logits_of("_A_B_A_|_C_B_")
        found, expected = self.decode(logits, vocabulary=vocabulary), greedy(logits, vocabulary=vocabulary)
        assert found.text == expected.text.strip()

    def test_special_tokens_are_never_text(self):
        logits = logits_of("A|B")
        logits[:, 1:4] = 50.0
        assert self.decode(logits).text == "A B"

    def test_hotwords_in_lower_case_work(self):
        logits = logits_of("A_C")
        logits[2, IDS["B"]] = 9.7
        assert self.decode(logits).text == "AC"
        assert self.decode(logits, hotwords=("ab",), hotword_weight=20.0).text == "AB"

    def test_a_hotword_that_cannot_be_spelled_is_named(self):
        from sewcli.errors import UsageError

        with pytest.raises(UsageError, match=r"'AX'.*X"):
            self.decode(logits_of("A"), hotwords=("ax",))
