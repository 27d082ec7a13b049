"""Beam search in other processes: the same results in the same order, and what happens where one ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import write_babble

pytest.importorskip("pyctcdecode", reason="no release of pyctcdecode for this Python")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")

from sewcli.decoding.beam import BeamDecoder, BeamSearch  # noqa: E402
from sewcli.decoding.hypothesis import Hypothesis  # noqa: E402
from sewcli.decoding.options import DecodingOptions  # noqa: E402
from sewcli.decoding.search import Setup  # noqa: E402
from sewcli.decoding.search_workers import SearchWorkers, search_workers  # noqa: E402
from sewcli.decoding.vocabulary import Vocabulary  # noqa: E402
from sewcli.errors import UsageError  # noqa: E402
from sewcli.processes.pool import DeadWorkerError  # noqa: E402

TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "D", "E")
VOCABULARY = Vocabulary(TOKENS, blank=0, delimiter=4, special=frozenset({1, 2, 3}))
OPTIONS = DecodingOptions(decoder="beam", beam_width=20, n_best=2, hotwords=["ab"])
SETUP = Setup(OPTIONS, VOCABULARY, times=True)
#: of 20 000 frames it makes minutes of work
WIDE = Setup(DecodingOptions(decoder="beam", beam_width=5000), VOCABULARY, times=True)


def logits(seed: int, frames: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (frames, len(TOKENS))).astype(np.float32)


@pytest.fixture
def workers() -> Iterator[SearchWorkers]:
    pool = SearchWorkers(2)
    yield pool
    pool.close()


def decoded(values: np.ndarray, search: Callable[..., object]) -> object:
    decoder = BeamDecoder(VOCABULARY, search, Hypothesis("", ()))  # type: ignore[arg-type]
    try:
        decoder.push(values)
        return decoder.finish()
    finally:
        decoder.close()


def test_hypotheses_are_those_of_this_process(workers: SearchWorkers) -> None:
    here = BeamSearch(VOCABULARY, width=20, n_best=2, hotwords=["ab"])
    many = [logits(seed, 20 + 9 * seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda one: decoded(one, lambda rows: workers.search(SETUP, rows)), many))
    assert found == [decoded(one, lambda rows: here.search(rows.mapped())) for one in many]
    assert len({str(one) for one in found}) == 12
    assert len(workers.pids) == 2


def test_one_process_is_enough_for_one_thread(workers: SearchWorkers) -> None:
    for seed in range(3):
        decoded(logits(seed), lambda rows: workers.search(SETUP, rows))
    assert len(workers.pids) == 1


def test_a_process_that_is_killed_costs_one_recording(workers: SearchWorkers) -> None:
    def search(rows: object) -> object:
        return workers.search(SETUP, rows)  # type: ignore[arg-type]

    first = decoded(logits(1), search)
    [pid] = workers.pids
    killer = threading.Timer(1.0, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(DeadWorkerError, match=r"killed by SIGKILL.*fewer --decode-workers"):
        decoded(logits(0, 20_000), lambda rows: workers.search(WIDE, rows))
    killer.join()
    assert decoded(logits(1), search) == first
    assert workers.pids != [pid]


def test_a_search_under_way_fails_when_all_is_closed() -> None:
    pool = SearchWorkers(1)
    failures: list[Exception] = []

    def search() -> None:
        try:
            decoded(logits(0, 20_000), lambda rows: pool.search(WIDE, rows))
        except DeadWorkerError as error:
            failures.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    while thread.is_alive() and not pool.pids:
        time.sleep(0.01)
    [pid] = pool.pids
    time.sleep(0.5)
    pool.close()
    thread.join(30)
    assert len(failures) == 1
    assert not Path(f"/proc/{pid}").exists()
    assert pool.pids == []


def test_what_is_wrong_with_the_search_is_raised_here(tmp_path: Path, workers: SearchWorkers) -> None:
    pytest.importorskip("kenlm", reason="kenlm is not installed: pip install 'sewcli[lm]'")
    file = tmp_path / "bad.arpa"
    file.write_text("\\data\\\nngram 1=2\n\n\\1-grams:\nthis is none\n\\end\\\n")
    setup = Setup(DecodingOptions(lm=str(file)), VOCABULARY, times=True)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"bad\.arpa"):
            decoded(logits(1), lambda rows: workers.search(setup, rows))
    assert len(workers.pids) == 1


def test_what_is_wrong_with_the_files_of_a_search_is_told_by_the_search_alone(
    tmp_path: Path, workers: SearchWorkers, capfd: pytest.CaptureFixture[str]
) -> None:
    """Here: that of the language model is gone since it was found."""
    pytest.importorskip("kenlm", reason="kenlm is not installed: pip install 'sewcli[lm]'")
    file = tmp_path / "gone.arpa"
    file.write_text("\\data\\\nngram 1=1\n\n\\1-grams:\n-1\tAB\n\\end\\\n")
    setup = Setup(DecodingOptions(lm=str(file)), VOCABULARY, times=True)
    assert setup.options.found_lm is not None
    file.unlink()
    workers.prepare(setup)
    with pytest.raises(UsageError, match=r"--lm .*gone\.arpa: it cannot be read any more"):
        decoded(logits(1), lambda rows: workers.search(setup, rows))
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_a_search_opens_no_file_in_this_process(workers: SearchWorkers) -> None:
    """But for that of its frames: one that has too many open gets its answer all the same."""
    import resource

    decoded(logits(1), lambda rows: workers.search(SETUP, rows))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    decoder = BeamDecoder(VOCABULARY, lambda rows: workers.search(SETUP, rows), Hypothesis("", ()))
    decoder.push(logits(1))
    opened = max(int(file.name) for file in Path("/proc/self/fd").iterdir())
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        found = decoder.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        decoder.close()
    assert opened > 3
    assert found == decoded(logits(1), lambda rows: workers.search(SETUP, rows))


def test_how_many_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(wanted: int | None, cores: int, options: DecodingOptions = OPTIONS) -> int | None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
        pool = search_workers(wanted, options)
        return None if pool is None else pool.count

    assert [count(None, cores) for cores in (1, 2, 3, 8, 64)] == [None, 1, 1, 4, 8]
    assert [count(wanted, 1) for wanted in (0, 1, 5)] == [None, 1, 5]
    assert count(4, 8, DecodingOptions()) is None


def test_workers_load_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, sewcli.decoding.search_worker, sewcli.decoding.beam, sewcli.decoding.language_model;"
        "print(sorted({'torch', 'transformers', 'librosa', 'typer', 'rich'} & sys.modules.keys()))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


@pytest.mark.parametrize(
    "options",
    [
        ("--n-best", "3", "--hotword", "a", "--timestamps", "char"),
        ("--chunk", "1", "--stride", "0.2", "--channel", "0"),
        ("--vad", "--vad-silence", "0.8"),
    ],
)
def test_commands_give_the_same_whatever_their_number(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    silence = np.zeros(32_000, np.float32)
    spoken, rate = soundfile.read(audio / "a.wav", dtype="float32")
    soundfile.write(tmp_path / "pause.wav", np.concatenate([spoken, silence, spoken]), rate)
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    inputs = (audio / "a.wav", bad, tmp_path / "pause.wav", audio, "gone.wav", audio / "b.wav")
    beam = ("--decoder", "beam", "--beam-width", "9")
    given = ("transcribe", *inputs, "-m", ctc, "-f", "json", *beam, *options)
    here = sew(*given, "--decode-workers", "0")
    assert (here.code, len(here.records)) == (3, 8), here.err
    for count in ("1", "3"):
        there = sew(*given, "--decode-workers", count)
        assert (there.code, there.records, there.messages) == (3, here.records, here.messages)


def test_saved_logits_too(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.logits.safetensors").write_text("none")
    assert sew("transcribe", audio, "-m", ctc, "--save-logits", tmp_path).code == 0
    given = ("decode", tmp_path, "-f", "json", "--decoder", "beam", "--beam-width", "9", "--decode-workers")
    here, there = sew(*given, "0"), sew(*given, "2")
    assert (here.code, len(here.records)) == (3, 4)
    assert (there.code, there.records, there.messages) == (3, here.records, here.messages)


def test_language_model_and_grid_too(sew: Sew, tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm is not installed: pip install 'sewcli[lm]'")
    examples = Path(__file__).parent.parent / "examples"
    given = ("transcribe", examples / "speech" / "go-forward.wav", "--lm", "builtin", "-f", "json", "-v")
    here, there = sew(*given, "--decode-workers", "0"), sew(*given, "--decode-workers", "1")
    assert (here.code, here.records) == (0, there.records)
    row = json.loads((examples / "speech.jsonl").read_text().splitlines()[1])
    row["audio_filepath"] = str(examples / row["audio_filepath"])
    (tmp_path / "dev.jsonl").write_text(2 * (json.dumps(row) + "\n"))
    grid = ("tune-lm", tmp_path / "dev.jsonl", "--alphas", "0.5 1", "--betas", "1", "--beam-widths", "9")
    assert sew(*grid, "--decode-workers", "2").lines == sew(*grid, "--decode-workers", "0").lines


def test_a_bad_language_model_is_wrong_usage(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm is not installed: pip install 'sewcli[lm]'")
    bad = tmp_path / "bad.arpa"
    bad.write_text("\\data\\\nngram 1=2\n\n\\1-grams:\nthis is none\n\\end\\\n")
    given = ("transcribe", audio, "-m", ctc, "--lm", bad, "--decode-workers")
    here, there = sew(*given, "0"), sew(*given, "2")
    assert (here.code, there.code, there.out) == (2, 2, b"")
    assert there.messages == here.messages


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "257"])
def test_a_number_that_is_none_is_wrong_usage(sew: Sew, given: str) -> None:
    result = sew("transcribe", "a.wav", "--decode-workers", given)
    assert (result.code, "--decode-workers" in result.err) == (2, True)


def test_number_in_a_file_of_settings(sew: Sew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sew.toml").write_text("decode-workers = 2\n")
    assert "decode-workers\t2\t" in sew("config", "show").out.decode()
    (tmp_path / "sew.toml").write_text('decode-workers = "two"\n')
    assert sew("transcribe", "a.wav").code == 2


def test_python_takes_the_number(ctc: Path, audio: Path) -> None:
    import sewcli

    model = sewcli.load(ctc)
    files = [str(audio / "a.wav"), "gone.wav", str(audio / "b.wav")]
    here, there = (
        list(model.transcribe_many(files, decoder="beam", beam_width=9, decode_workers=count))
        for count in (0, 2)
    )
    assert here == there
    assert isinstance(there[1], sewcli.Failure)


def test_plots_and_logits_are_kept_too(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for count in ("0", "2"):
        folder = tmp_path / count
        kept = ("--save-logits", folder / "logits", "--plot", folder / "plots")
        folder.mkdir()
        given = ("transcribe", audio, "-m", ctc, "--decoder", "beam", "--decode-workers", count, *kept)
        assert sew(*given).code == 0
    kept_here, kept_there = (
        {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*")}
        for folder in (tmp_path / "0", tmp_path / "2")
    )
    assert len(kept_here) == 6
    assert kept_here == kept_there


@pytest.mark.skipif(shutil.which("true") is None, reason="needs true")
def test_an_interpreter_that_does_not_start_fails_the_inputs(
    sew: Sew, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    file = write_babble(tmp_path / "a.wav", 1.0)
    result = sew("transcribe", file, file, "-m", ctc, "--decoder", "beam", "--decode-workers", "1")
    assert result.code == 4
    assert len(result.messages) == 2
    assert str(file) in result.err
