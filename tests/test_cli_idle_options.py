"""Options that change nothing are told, once each, where they stand on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from conftest import Sew
from helpers import needs_pyctcdecode

from sewcli.cli.app import app
from sewcli.cli.options import idle as idle_options
from sewcli.results import Alternative, ModelInfo, Span, Transcript
from sewcli.writers import FORMATS, Layout
from sewcli.writers.cues import Shape


def idle(sew: Sew, *given: object) -> list[str]:
    """The options that are told, of a run that does nothing else."""
    result = sew(*map(str, given))
    told = [line for line in result.messages if "has no effect" in line]
    notes = (" (rtf), with reading", "95 % interval")
    others = [line for line in result.messages if not any(note in line for note in notes)]
    assert (result.code, told) == (0, others)
    return [line.removeprefix("sew: ") for line in told]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--vad-threshold 9", "--vad-threshold has no effect without --vad"),
        ("--vad-padding 0.1 --vad", ""),
        ("--alpha 0.5", "--alpha has no effect without --lm"),
        ("--beam-width 5", "--beam-width has no effect without --decoder beam"),
        ("--decode-workers 1", "--decode-workers has no effect without --decoder beam"),
        ("--hotword-weight 3", "--hotword-weight has no effect without --hotword"),
        (
            "--max-chars 20",
            "--max-chars has no effect without -f csv, lrc, srt, tsv, verbose_json, vtt",
        ),
        ("--max-chars 20 -f srt", ""),
        ("--max-gap 2 -f json -f vtt -o {out}", ""),
        ("--timestamps word", "--timestamps has no effect without a format that has times"),
        ("--timestamps none", ""),
        ("--timestamps char -f json", ""),
        (
            "--timestamps char -f ctm",
            "--timestamps has no effect as char without -f json, parquet, textgrid",
        ),
        ("-H -f json", "--with-path has no effect without -f text, tsv, verbose_json"),
        ("-h -o {out}", "--no-path has no effect with -o"),
        ("-H", ""),
        ("-H -h", ""),
        ("--overwrite --resume -o {out}", "--overwrite has no effect with --resume"),
        ("--overwrite --failures {out}", "--failures has no effect with --dry-run"),
        ("--overwrite", "--overwrite has no effect without -o"),
        ("--overwrite -o {out}", ""),
        ("-0", "--null has no effect without --files-from"),
        ("--include *.wav", "--include has no effect without a directory as input"),
        ("--progress log --no-progress", ""),  # silence is what is asked for
        ("--vad-threshold 9 -q", ""),
    ],
)
def test_transcribe(sew: Sew, audio: Path, tmp_path: Path, given: str, told: str) -> None:
    words = given.format(out=tmp_path / "out").split()
    assert idle(sew, "transcribe", audio / "b.wav", "--dry-run", *words) == ([told] if told else [])


@needs_pyctcdecode
def test_what_beam_search_uses_is_not_told(sew: Sew, audio: Path) -> None:
    given = ("transcribe", audio / "b.wav", "--dry-run", "--decoder", "beam", "--beam-width", "5")
    assert idle(sew, *given, "--hotword", "a", "--hotword-weight", "3") == []
    assert idle(sew, *given, "--n-best", "2", "-f", "json") == []
    assert idle(sew, *given, "--n-best", "2") == ["--n-best has no effect without -f json or parquet"]
    assert idle(sew, *given, "--beta", "1") == ["--beta has no effect without --lm"]


def test_each_option_has_its_line_and_the_run_goes_on(sew: Sew, ctc: Path, audio: Path) -> None:
    given = ("transcribe", audio / "b.wav", "-m", ctc)
    alone = sew(*given)
    result = sew(*given, "--alpha", "1", "--max-lines", "1", "--vad-silence", "2")
    assert [line.split()[1] for line in result.messages] == ["--max-lines", "--alpha", "--vad-silence"]
    assert (result.code, result.out) == (0, alone.out)


def test_only_the_command_line_is_meant(
    sew: Sew, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sew.toml").write_text("max-chars = 20\n")
    monkeypatch.setenv("SEW_VAD_THRESHOLD", "9")
    monkeypatch.setenv("SEW_HOTWORD_WEIGHT", "9")
    assert idle(sew, "transcribe", audio / "b.wav", "--dry-run") == []
    monkeypatch.setenv("SEW_VAD", "1")
    assert idle(sew, "transcribe", audio / "b.wav", "--dry-run", "--vad-silence", "2") == []


def test_other_commands(sew: Sew, audio: Path, tmp_path: Path, manifest: Path, ctc: Path) -> None:
    assert idle(sew, "classify", audio / "b.wav", "--dry-run", "--overwrite") == [
        "--overwrite has no effect without -o"
    ]
    assert idle(sew, "align", audio / "b.wav", "--text", "A", "--dry-run", "--max-chars", "9") == [
        "--max-chars has no effect without -f csv, lrc, srt, tsv, verbose_json, vtt"
    ]
    assert idle(sew, "embed", audio / "b.wav", "--dry-run", "--overwrite") == [
        "--overwrite has no effect without -o or --stack"
    ]
    given = ("--pool", "mean", "--stack", tmp_path / "s.npy", "--overwrite", "--dry-run")
    assert idle(sew, "embed", audio / "b.wav", *given) == []
    for _ in range(2):
        assert sew("models", "add", "mine", ctc, "--overwrite", "-q").err.count("no effect") == 0
    table = tmp_path / "t.jsonl"
    assert idle(sew, "evaluate", manifest, "-m", ctc, "--table", table, "--overwrite") == []
    assert idle(sew, "evaluate", "--results", table, "-m", "nano", "--chunk", "9", "--seed", "1") == [
        "--seed has no effect without --compare",
        "--model has no effect with --results",
        "--chunk has no effect with --results",
    ]
    assert idle(sew, "evaluate", "--compare", table, table, "--seed", "1", "--device", "cpu") == [
        "--device has no effect with --compare"
    ]


def _commands() -> Iterator[tuple[str, set[str]]]:
    root = typer.main.get_command(app)
    context = typer.Context(root)
    for name in root.list_commands(context):
        yield name, {parameter.name for parameter in root.get_command(context, name).params}


def test_the_table_names_parameters_that_there_are() -> None:
    commands = dict(_commands())
    everywhere = set().union(*commands.values())
    for rule in idle_options._RULES:
        assert set(rule.options) <= everywhere
        if rule.command:
            assert not commands[rule.command].isdisjoint(rule.options)


def test_what_the_table_says_of_formats_is_what_the_writers_do() -> None:
    """Written twice, a format differs in what it is said to have a use for, and in nothing else."""
    text = "ONE TWO THREE FOUR"
    words = tuple(Span(word, at, at + 0.4, 0.9) for at, word in enumerate(text.split()))
    chars = tuple(Span(letter, at / 5, at / 5 + 0.1, 0.9) for at, letter in enumerate("ONE"))
    plain = Transcript("a.wav", 5.0, text, ModelInfo("m", None), words=words)
    more = (Alternative(text, -1.0, -1.5), Alternative("ONE", -2.0, -2.5))

    def formats_that_change(result: Transcript, layout: Layout) -> set[str]:
        return {
            name
            for name, form in FORMATS.items()
            if b"".join(form.pieces(plain, Layout())) != b"".join(form.pieces(result, layout))
        }

    narrow = Layout(shape=Shape(max_chars=4, max_lines=1))
    assert formats_that_change(plain, narrow) == idle_options.WITH_CUES
    assert formats_that_change(plain, Layout(with_path=True)) == idle_options.WITH_OPTIONAL_PATH
    assert formats_that_change(replace(plain, chars=chars), Layout()) == idle_options.WITH_CHARACTERS
    assert formats_that_change(replace(plain, alternatives=more), Layout()) == idle_options.WITH_ALTERNATIVES
    assert {name for name, form in FORMATS.items() if form.times == "unused"} == idle_options.WITHOUT_TIMES


def test_settings_of_the_environment_that_the_command_could_only_refuse_are_passed_over(
    sew: Sew, ctc: Path, classifier: Path, audio: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip = audio / "b.wav"
    expected = sew("transcribe", clip, "-m", ctc).lines
    (tmp_path / "sew.toml").write_text('hotword = ["A"]\nn-best = 3\n')
    monkeypatch.chdir(tmp_path)
    assert sew("transcribe", clip, "-m", ctc).lines == expected
    names = ("N_BEST=3", "HOTWORD=A", "UNIGRAMS=w", "RAW_RATE=8000", "RESUME=1", "OUTPUT_TEMPLATE={stem}")
    for name, _, value in (name.partition("=") for name in names):
        monkeypatch.setenv(f"SEW_{name}", value)
    assert sew("transcribe", clip, "-m", ctc).lines == expected
    # on the command line it is an error
    assert sew("transcribe", clip, "-m", ctc, "--n-best", "3").code == 2
    monkeypatch.setenv("SEW_FORMAT", "srt")
    labels = sew("classify", clip, "-m", classifier)
    assert (labels.code, len(labels.lines)) == (0, 1)
    assert sew("classify", clip, "-m", classifier, "-f", "srt").code == 2


def test_values_of_the_environment_that_other_commands_take_are_passed_over(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip = audio / "b.wav"
    manifest = tmp_path / "one.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": str(clip), "text": "A B"}) + "\n")
    words = tmp_path / "words.txt"
    words.write_text("a b\nb a\n")
    scored = ("evaluate", manifest, "-m", ctc)
    aligned = ("align", clip, "--text", "A B", "-m", ctc)
    built = ("lm", "build", words, "-o")
    rates = ["set", "utterances", "wer", "cer", "ser", "sub", "del", "ins", "loss"]
    score = [line.split("\t")[:-1] for line in sew(*scored).lines]
    assert score[0] == rates
    alignment = sew(*aligned).records
    assert sew(*built, tmp_path / "a.arpa", "--order", "2").code == 0

    monkeypatch.setenv("SEW_FORMAT", "srt json vtt text")
    [record] = sew(*scored).records
    assert record["utterances"] == 1
    monkeypatch.setenv("SEW_FORMAT", "srt")
    monkeypatch.setenv("SEW_TIMESTAMPS", "none")
    monkeypatch.setenv("SEW_CASE", "sentence")
    assert [line.split("\t")[:-1] for line in sew(*scored).lines] == score
    monkeypatch.setenv("SEW_FORMAT", "json")
    assert sew(*aligned).records == alignment
    assert sew(*built, tmp_path / "b.arpa", "--order", "2").code == 0
    assert (tmp_path / "a.arpa").read_bytes() == (tmp_path / "b.arpa").read_bytes()

    # on the command line they are errors
    for command, said in (
        ((*scored, "-f", "srt"), "not for scores"),
        ((*scored, "-f", "text", "-f", "json"), "one format"),
        ((*aligned, "--timestamps", "none"), "--timestamps none"),
        ((*built, tmp_path / "c.arpa", "--case", "sentence"), "--case sentence"),
    ):
        refused = sew(*command)
        assert refused.code == 2
        assert said in refused.err


def test_every_format_is_written_by_the_commands_that_the_table_says() -> None:
    assert set(idle_options._WRITABLE["classify"]) == {"text", "json"}
