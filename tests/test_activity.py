"""`--vad`: long silences left out before the network, with the times of the whole file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import babble, needs_pyctcdecode
from hypothesis import given
from hypothesis import strategies as st

import sewcli
from sewcli.chunking import HOP, PAIR_SAMPLES, ChunkPlan, kept_frame_count
from sewcli.decoding.beam import BeamDecoder
from sewcli.decoding.frames import FrameFile
from sewcli.decoding.hypothesis import Hypothesis
from sewcli.decoding.known import KnownText
from sewcli.decoding.pauses import PausingDecoder
from sewcli.decoding.vocabulary import Vocabulary
from sewcli.errors import UsageError
from sewcli.reading.activity import LevelMeter, active, pieces
from sewcli.reading.activity_options import ActivityOptions

RATE = 16_000


def levels_of(samples: np.ndarray) -> np.ndarray:
    meter = LevelMeter()
    meter.update(samples.astype(np.float32))
    return meter.finish()


def with_silences(noise: float = 1e-3) -> np.ndarray:
    """Babble from 3 to 5 s and from 12 to 15 s of 20 s."""
    samples = noise * np.random.default_rng(0).standard_normal(20 * RATE).astype(np.float32)
    samples[3 * RATE : 5 * RATE] += babble(2.0, seed=1)
    samples[12 * RATE : 15 * RATE] += babble(3.0, seed=2)
    return samples.astype(np.float32)


@given(cuts=st.lists(st.integers(0, 4000), max_size=8))
def test_levels_do_not_depend_on_the_blocks(cuts: list[int]) -> None:
    samples = babble(0.25, seed=3)
    meter = LevelMeter()
    for block in np.split(samples, sorted(cuts)):
        meter.update(block)
    assert np.array_equal(meter.finish(), levels_of(samples))


def test_levels_are_in_db_of_full_scale() -> None:
    tone = np.sqrt(2) * 0.1 * np.sin(2 * np.pi * 400 * np.arange(RATE) / RATE)
    assert levels_of(tone) == pytest.approx(-20, abs=0.3)
    assert levels_of(np.zeros(1000)).max() <= -115


@pytest.mark.parametrize("noise", [0.0, 1e-4, 1e-2])
def test_speech_is_kept_with_its_padding_and_long_silences_are_not(noise: float) -> None:
    kept = active(levels_of(with_silences(noise)), ActivityOptions())
    seconds = [(first / 50, stop / 50) for first, stop in kept]
    assert len(seconds) == 2
    for (first, stop), (start, end) in zip(seconds, [(3, 5), (12, 15)], strict=True):
        assert start - 0.5 <= first <= start - 0.25
        assert end + 0.25 <= stop <= end + 0.5


def test_what_levels_cannot_tell_is_kept_and_what_is_silent_is_not() -> None:
    steady = 0.05 * np.random.default_rng(1).standard_normal(10 * RATE)
    assert active(levels_of(steady), ActivityOptions()) == [(0, 500)]
    assert active(levels_of(babble(10.0)), ActivityOptions()) == [(0, 500)]
    assert active(levels_of(steady * 1e-4), ActivityOptions()) == []


def test_a_quiet_recording_is_kept_as_a_loud_one() -> None:
    loud = active(levels_of(with_silences(0.0)), ActivityOptions())
    assert active(levels_of(3e-3 * with_silences(0.0)), ActivityOptions()) == loud
    assert len(loud) == 2


def levels_with(*stretches: tuple[float, float, float], floor: float = -60.0) -> np.ndarray:
    """Levels of 20 s: `floor` dB, but for stretches from and to seconds at so many."""
    levels = np.full(20 * 50, floor, dtype=np.float32)
    for start, stop, level in stretches:
        levels[round(start * 50) : round(stop * 50)] = level
    return levels


@pytest.mark.parametrize(
    ("stretches", "kept"),
    [
        # soft beginnings and ends are as good as half of the threshold above the floor, and no more
        ([(8, 10, -20), (7, 8, -53), (10, 11, -56)], [(7, 10)]),
        # a pause that is shorter than the silences that go
        ([(5, 7, -20), (7.8, 10, -20)], [(5, 10)]),
        ([(5, 7, -20), (8.2, 10, -20)], [(5, 7), (8.2, 10)]),
        # a click is no speech, and a short word is
        ([(5, 7, -20), (12, 12.02, -10)], [(5, 7)]),
        ([(5, 7, -20), (12, 12.08, -25)], [(5, 7), (12, 12.08)]),
        # what is left out of a recording, as digital silence, says nothing of its noise
        ([(0, 9, -120), (13, 15, -10)], [(13, 15)]),
        # nor does a moment without it
        ([(0, 1, -75), (5, 7, -20)], [(5, 7)]),
        # soft sounds far below the loud ones are noise where the silence between is digital
        ([(0, 20, -120), (5, 7, -10), (12, 13, -52)], [(5, 7)]),
    ],
    ids=str,
)
def test_what_is_speech_by_its_level(
    stretches: list[tuple[float, float, float]], kept: list[tuple[float, float]]
) -> None:
    options = ActivityOptions()
    found = [(start / 50, stop / 50) for start, stop in active(levels_with(*stretches), options)]
    padded = [(start - options.padding, stop + options.padding) for start, stop in kept]
    assert np.array(found) == pytest.approx(np.array(padded), abs=0.011)


@given(
    kept=st.lists(st.integers(0, 400), min_size=2, max_size=10, unique=True).map(sorted),
    extra=st.integers(0, 900),
)
def test_pieces_are_whole_pairs_of_the_recording_and_keep_what_is_asked(kept: list[int], extra: int) -> None:
    stretches = list(zip(kept[::2], kept[1::2], strict=False))
    samples = 400 * HOP + extra
    made = pieces(stretches, samples)
    assert all(start % PAIR_SAMPLES == 0 for start, _ in made)
    for first, stop in stretches:
        assert any(start <= first * HOP and min(stop * HOP, samples) <= end for start, end in made)
    plan = ChunkPlan.from_seconds(2.0, 0.4)
    frames: list[int] = []
    for chunk in plan.chunks_of(made):
        assert chunk.first_frame == (frames[-1] + 1 if frames else 0) + chunk.skipped
        assert 0 <= chunk.start < chunk.stop <= samples
        assert chunk.start // HOP + chunk.keep_from == chunk.first_frame
        frames += range(chunk.first_frame, chunk.first_frame + chunk.kept)
    assert frames == sorted(set(frames))
    assert not frames or frames[-1] < kept_frame_count(samples)


def test_one_piece_is_cut_as_before() -> None:
    plan = ChunkPlan.from_seconds(2.0, 0.4)
    assert list(plan.chunks_of([(0, 100_000)])) == list(plan.chunks(100_000))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "long.wav", with_silences(), RATE, subtype="FLOAT")
    return tmp_path / "long.wav"


@pytest.mark.parametrize("decoder", ["greedy", pytest.param("beam", marks=needs_pyctcdecode)])
def test_pieces_are_transcribed_with_the_times_of_the_whole_file(
    sew: Sew, ctc: Path, file: Path, tmp_path: Path, decoder: str
) -> None:
    given = ("-m", ctc, "-f", "json", "--decoder", decoder, "--statistics", "chunk")
    [record] = sew("transcribe", file, *given, "--vad").records
    assert record["settings"]["vad"] == {"threshold": 10.0, "silence": 1.0, "padding": 0.3}
    sound = with_silences()
    expected = []
    for start, stop in pieces(active(levels_of(sound), ActivityOptions()), sound.size):
        soundfile.write(tmp_path / "piece.wav", sound[start:stop], RATE, subtype="FLOAT")
        [piece] = sew("transcribe", tmp_path / "piece.wav", *given).records
        expected += [
            (one["word"], round(one["start"] + start / RATE, 3), round(one["end"] + start / RATE, 3))
            for one in piece["words"]
        ]
    assert len(expected) > 4
    assert [(one["word"], one["start"], one["end"]) for one in record["words"]] == expected
    assert record["text"] == " ".join(word for word, _, _ in expected)
    assert record["duration"] == 20.0


def test_without_silence_nothing_changes(sew: Sew, ctc: Path, audio: Path) -> None:
    plain, skipping = (
        sew("transcribe", audio, "-m", ctc, "-f", "json", *more).records for more in ((), ("--vad",))
    )
    for one, other in zip(plain, skipping, strict=True):
        assert other["settings"].pop("vad")
        assert one == other


def test_silence_has_an_empty_transcript(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(3 * RATE), RATE)
    result = sew("transcribe", tmp_path / "silence.wav", "-m", ctc, "-f", "json", "--vad")
    assert result.code == 0
    assert (result.texts, result.records[0]["words"]) == ([""], [])


@pytest.mark.defaults
def test_resume_and_python_know_of_it(sew: Sew, ctc: Path, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ("transcribe", file, "-m", ctc, "-o", out, "-f", "json", "--resume")
    assert sew(*given).code == 0
    assert "done before" in sew(*given).err
    again = sew(*given, "--vad")
    assert "done before" not in again.err
    record = json.loads((out / "long.json").read_text())
    assert sewcli.load(ctc).transcribe(file, vad=True).text == record["text"]
    fine = sewcli.load(ctc).transcribe(file, vad=ActivityOptions(padding=0.1, silence=0.5))
    assert fine.settings["vad"]["padding"] == 0.1


@pytest.mark.parametrize("options", ["--vad-threshold 0", "--vad-silence 0.5", "--vad-padding -1"])
def test_settings_that_cannot_work_are_exit_2(sew: Sew, ctc: Path, file: Path, options: str) -> None:
    assert sew("transcribe", file, "-m", ctc, "--vad", *options.split()).code == 2
    with pytest.raises(UsageError):
        ActivityOptions(silence=0.5).checked()


def test_evaluate_scores_the_transcripts_of_vad(sew: Sew, ctc: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"audio_filepath": "long.wav", "text": "a cat sat"}))
    given = ("evaluate", tmp_path / "rows.jsonl", "-m", ctc, "-f", "json", "--table")
    [whole] = sew(*given, tmp_path / "whole.jsonl").records
    [kept] = sew(*given, tmp_path / "kept.jsonl", "--vad", "--vad-silence", "1.5").records
    assert kept["settings"]["vad"] == {"threshold": 10.0, "silence": 1.5, "padding": 0.3}
    assert "vad" not in whole["settings"]
    for name, options in (("whole", ()), ("kept", ("--vad", "--vad-silence", "1.5"))):
        row = json.loads((tmp_path / f"{name}.jsonl").read_text())
        assert row["hypothesis"] == sew("transcribe", file, "-m", ctc, *options).out.decode().strip()
    assert whole["audio_seconds"] == kept["audio_seconds"] == 20.0
    # the loss would be that of other frames
    assert ("loss" in whole, "loss" in kept) == (True, False)


def test_evaluate_refuses_vad_where_nothing_is_transcribed(
    sew: Sew, classifier: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"audio_filepath": "long.wav", "label": "yes"}))
    given = ("evaluate", tmp_path / "rows.jsonl", "-m", classifier)
    result = sew(*given, "--vad")
    assert (result.code, "--vad" in result.err) == (2, True)
    monkeypatch.setenv("SEW_VAD", "1")
    assert sew(*given).code == 0


def test_no_letter_is_found_in_a_pause() -> None:
    """The pause after a piece that gives nothing ends no word, and draws no weak letter to itself either."""
    vocabulary = Vocabulary(("<pad>", "|", "A", "B"), blank=0, delimiter=1, special=frozenset())
    logits = np.full((3, 6, 4), -9.0, dtype=np.float32)
    logits[:, :, 0] = 0.0
    # A, much less likely than blank, but for its neighbours, in the middle of the second piece
    logits[1, 3] = (0.0, -9.0, -3.9, -9.0)
    logits[2, 3] = (-9.0, -9.0, -9.0, 0.0)
    seen: list[Hypothesis] = []

    def search(given: FrameFile) -> Hypothesis:
        seen.append(KnownText("A B", vocabulary).align(given.mapped()))
        return seen[0]

    decoder = PausingDecoder(BeamDecoder(vocabulary, search, Hypothesis("", ())), vocabulary)
    for piece in logits:
        decoder.push(piece)
        decoder.skip(1000)
    found = decoder.finish()
    decoder.close()
    assert [token.first for token in found.tokens] == [1009, 2015]
