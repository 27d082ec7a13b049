"""Hotwords: from options and files, named where they cannot be spelled, counted in what is found."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from conftest import Sew
from helpers import needs_pyctcdecode

from sewcli.cli.options.spotting import as_written
from sewcli.cli.writing import tell_hotwords
from sewcli.decoding.hotwords import RememberingScorer, found_in
from sewcli.results import Failure


def test_only_whole_words_and_whole_phrases_are_found() -> None:
    text = "THINK ENGINE THINK ENGINES RETHINK ENGINE THINK THINK"
    assert found_in(text, ["THINK ENGINE", "THINK", "ENGINE THINK", "VOYAGER"]) == {
        "THINK ENGINE": 1,
        "THINK": 4,
        "ENGINE THINK": 2,
        "VOYAGER": 0,
    }


@needs_pyctcdecode
def test_hotwords_of_a_file_join_those_of_options_and_are_counted(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("# names\nvoyager\n\n  think   engine \na\n")
    given = ("transcribe", audio, "-m", ctc, "-f", "json", "--decoder", "beam", "--beam-width", "8")
    result = sew(
        *given, "--hotword", "e", "--hotwords-file", tmp_path / "words.txt", "--hotword-weight", "30"
    )
    assert result.code == 0
    for record in result.records:
        assert record["settings"]["hotwords"] == ["E", "VOYAGER", "THINK ENGINE", "A"]
        words = record["text"].split()
        assert record["hotwords"]["E"] == words.count("E")
        assert list(record["hotwords"]) == record["settings"]["hotwords"]
    totals = {word: sum(one["hotwords"][word] for one in result.records) for word in record["hotwords"]}
    assert max(totals.values()) > 0
    report = ", ".join(f"{word} {count}" for word, count in totals.items())
    assert f"sew: hotwords found: {report}" in result.messages


@needs_pyctcdecode
@pytest.mark.parametrize(
    ("content", "named"),
    [("good\ncafé\n3d\n", "'CAFÉ', '3D': its vocabulary has no 3 É"), ("# none\n", "holds no words")],
)
def test_hotwords_that_cannot_be_used_are_named(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, content: str, named: str
) -> None:
    (tmp_path / "words.txt").write_text(content)
    given = ("transcribe", audio / "b.wav", "-m", ctc, "--decoder", "beam")
    result = sew(*given, "--hotwords-file", tmp_path / "words.txt")
    assert (result.code, result.out, named in result.err) == (2, b"", True), result.err
    assert sew(*given, "--hotwords-file", tmp_path / "gone.txt").code == 2


@needs_pyctcdecode
@pytest.mark.parametrize("hotwords", [(), ("THE",), ("THEN", "THE", "AND SO ON", "SO")])
def test_remembered_scores_are_those_of_pyctcdecode(hotwords: tuple[str, ...]) -> None:
    from pyctcdecode.language_model import HotwordScorer

    scorer = HotwordScorer.build_scorer(hotwords, weight=7.5)
    remembering = RememberingScorer(HotwordScorer.build_scorer(hotwords, weight=7.5))
    generator = random.Random(0)
    pieces = ["", "T", "TH", "THE", "THEN", "THENCE", "AND", "SO", "ON", "S", "XYZ"]
    texts = [" ".join(generator.choices(pieces, k=generator.randrange(4))) for _ in range(60)]
    for _ in range(2):
        for text in texts:
            assert remembering.score(text) == scorer.score(text)
        for piece in pieces:
            assert (piece in remembering) == (piece in scorer)
            assert remembering.score_partial_token(piece) == scorer.score_partial_token(piece)
    assert bool(hotwords) == any(remembering.score(text) for text in texts)


@pytest.mark.parametrize("told", [tell_hotwords, partial(as_written, at_once=True)])
def test_a_run_ends_where_nobody_takes_what_is_told_of_it(told: Callable[..., Iterator[Failure]]) -> None:
    """And not when the last that knows it is gone, as the traceback of an error."""
    ended = False

    def run() -> Iterator[Failure]:
        nonlocal ended
        try:
            while True:
                yield Failure("a.wav", "code", "message")
        finally:
            ended = True

    results = run()
    taken = told(results)
    next(taken)
    taken.close()  # type: ignore[attr-defined]
    assert ended
