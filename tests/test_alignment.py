"""Forced alignment against the definition and a second implementation: exact, in a band, in order, inside."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sewcli.decoding.alignment import align, frames_needed

BLANK = 0
SYMBOLS = 4
tokens_of = st.lists(st.integers(1, SYMBOLS - 1), min_size=1, max_size=3)
seeds = st.integers(0, 2**32 - 1)


def posteriors(frames, seed, spread=1.0, symbols=SYMBOLS):
    """Random log-posteriors, shape (T, V)."""
    logits = spread * np.random.default_rng(seed).standard_normal((frames, symbols))
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def best_by_enumeration(log_posteriors, tokens):
    """The score of the best path, by the definition: every path that merges to the tokens."""
    scores = [
        sum(float(log_posteriors[frame, symbol]) for frame, symbol in enumerate(path))
        for path in itertools.product({BLANK, *tokens}, repeat=len(log_posteriors))
        if [symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK] == tokens
    ]
    return max(scores, default=None)


def best_by_lattice(log_posteriors, tokens):
    """The best path as a symbol a frame, by the recursion over single states with plain lists."""
    states = [BLANK]
    for token in tokens:
        states += [token, BLANK]
    minus = float("-inf")
    rows = [[minus] * len(states)]
    rows[0][0], rows[0][1] = float(log_posteriors[0, BLANK]), float(log_posteriors[0, tokens[0]])
    came = []
    for frame in log_posteriors[1:]:
        row, back = [], []
        for place, symbol in enumerate(states):
            choices = [place]
            if place > 0:
                choices.append(place - 1)
            if place > 1 and symbol not in (BLANK, states[place - 2]):
                choices.append(place - 2)
            chosen = max(choices, key=rows[-1].__getitem__)
            back.append(chosen)
            row.append(rows[-1][chosen] + float(frame[symbol]))
        rows.append(row)
        came.append(back)
    place = max(len(states) - 1, len(states) - 2, key=rows[-1].__getitem__)
    path = [place]
    for back in reversed(came):
        place = back[place]
        path.append(place)
    return [states[place] for place in reversed(path)], max(rows[-1][-2:])


def path_of(spans, tokens, frames):
    """A symbol a frame; fails where spans overlap, run backwards or leave the recording."""
    path, end = [BLANK] * frames, 0
    for token, (first, last, _) in zip(tokens, spans, strict=True):
        assert end <= first <= last < frames
        path[first : last + 1] = [token] * (last + 1 - first)
        end = last + 1
    return path


def score_of(path, log_posteriors):
    return sum(float(log_posteriors[frame, symbol]) for frame, symbol in enumerate(path))


@settings(max_examples=100, deadline=None)
@given(tokens_of, st.integers(1, 7), seeds)
def test_the_path_is_the_best_of_all_paths(tokens, frames, seed):
    log_posteriors = posteriors(frames, seed)
    best = best_by_enumeration(log_posteriors, tokens)
    if best is None:
        assert frames < frames_needed(tokens)
        with pytest.raises(ValueError, match=f"{len(tokens)} tokens do not fit {frames} frames"):
            align(log_posteriors, tokens, BLANK)
        return
    spans = align(log_posteriors, tokens, BLANK)
    path = path_of(spans, tokens, frames)
    assert [symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK] == tokens
    assert score_of(path, log_posteriors) == pytest.approx(best, abs=1e-4)
    for token, (first, last, total) in zip(tokens, spans, strict=True):
        assert total == pytest.approx(float(log_posteriors[first : last + 1, token].sum()), abs=1e-4)


@pytest.mark.parametrize("seed", range(200))
def test_the_path_is_that_of_a_second_implementation(seed):
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, 6, generator.integers(1, 25)).tolist()
    frames = frames_needed(tokens) + int(generator.integers(0, 60))
    log_posteriors = posteriors(frames, seed, spread=3.0, symbols=6)
    path, score = best_by_lattice(log_posteriors, tokens)
    found = path_of(align(log_posteriors, tokens, BLANK), tokens, frames)
    assert score_of(found, log_posteriors) == pytest.approx(score, abs=1e-4)
    assert found == path


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(0, 50), st.integers(1, 8), seeds)
def test_in_a_band_too_tokens_are_in_order_inside_and_end_as_given(tokens, more, half_band, seed):
    frames = frames_needed(tokens) + more
    log_posteriors = posteriors(frames, seed, spread=3.0, symbols=6)
    spans = align(log_posteriors, tokens, BLANK, exact_frames=0, half_band=half_band)
    path = path_of(spans, tokens, frames)
    assert [symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK] == tokens
    exact = path_of(align(log_posteriors, tokens, BLANK), tokens, frames)
    assert score_of(path, log_posteriors) <= score_of(exact, log_posteriors) + 1e-4


def spoken(places, tokens, frames):
    """Log-posteriors of a recording in which each token is clearly heard at its place."""
    logits = np.zeros((frames, 8), dtype=np.float32)
    logits[:, BLANK] = 8.0
    logits[places, tokens] = 16.0
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


@pytest.mark.parametrize("half_band", [4, 32])
def test_the_band_widens_until_it_holds_the_path(half_band):
    """The beginning of the text is not in the recording, noise is where it would be: far off the band."""
    generator = np.random.default_rng(1)
    tokens = generator.integers(1, 8, 400)
    places = np.arange(400) * 3 + 2500
    log_posteriors = spoken(places, tokens, 4000)
    log_posteriors[:2400] = posteriors(2400, 2, symbols=8)  # heard, but no text
    exact = align(log_posteriors, tokens.tolist(), BLANK)
    assert [first for first, _, _ in exact][100:] == places.tolist()[100:]
    assert align(log_posteriors, tokens.tolist(), BLANK, exact_frames=1000, half_band=half_band) == exact


@pytest.mark.parametrize("half_band", [4, 32])
def test_it_widens_to_the_other_side_too(half_band):
    """The end of the text is not in the recording, and noise is where it would be."""
    tokens = np.random.default_rng(1).integers(1, 8, 400)
    places = np.arange(400) * 3 + 200
    log_posteriors = spoken(places, tokens, 4000)
    log_posteriors[1500:3900] = posteriors(2400, 2, symbols=8)
    exact = align(log_posteriors, tokens.tolist(), BLANK)
    assert align(log_posteriors, tokens.tolist(), BLANK, exact_frames=1000, half_band=half_band) == exact


def test_a_long_pause_needs_no_wider_band(monkeypatch):
    """What is expected where follows what is heard, so that a pause does not move the path to an edge."""
    from sewcli.decoding import alignment

    widths = []
    search = alignment._search
    monkeypatch.setattr(
        alignment,
        "_search",
        lambda *given: widths.append(int((given[3].high - given[3].low).max())) or search(*given),
    )
    tokens = np.random.default_rng(3).integers(1, 8, 600)
    places = np.concatenate([np.arange(300) * 3, np.arange(300) * 3 + 6000])
    spans = align(spoken(places, tokens, 7000), tokens.tolist(), BLANK, exact_frames=1000, half_band=32)
    assert [first for first, _, _ in spans] == places.tolist()
    assert widths == [64]


def test_choices_that_move_to_a_file_are_the_same(monkeypatch):
    from sewcli.decoding import alignment

    log_posteriors = posteriors(5000, 4, spread=3.0, symbols=6)
    tokens = np.random.default_rng(5).integers(1, 6, 900).tolist()
    in_memory = align(log_posteriors, tokens, BLANK)
    monkeypatch.setattr(alignment, "_MEMORY_BYTES", 1000)
    assert align(log_posteriors, tokens, BLANK) == in_memory


def test_as_many_tokens_as_frames_have_one_frame_each():
    assert [span[:2] for span in align(posteriors(5, 6), [1, 2, 1, 2, 3], BLANK)] == [
        (i, i) for i in range(5)
    ]


def test_no_tokens_are_no_spans():
    assert align(posteriors(5, 6), [], BLANK) == []


def test_a_token_that_no_frame_can_be_is_an_error():
    log_posteriors = posteriors(9, 7)
    log_posteriors[:, 2] = -np.inf
    with pytest.raises(ValueError, match="no probability"):
        align(log_posteriors, [1, 2], BLANK)
