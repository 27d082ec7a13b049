"""Options that have other defaults for one model: keys of its entry in a models.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import soundfile
from conftest import Sew
from helpers import babble, needs_pyctcdecode, write_own

import sewcli
from sewcli.chunking import DEFAULT_CHUNK, DEFAULT_STRIDE
from sewcli.decoding.options import DEFAULT_BEAM_WIDTH, with_defaults
from sewcli.model_defaults import OptionDefaults


@pytest.fixture
def long(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "long.wav", babble(9.0, 3), 16_000)
    return tmp_path / "long.wav"


@pytest.fixture
def mine(user_directory: Path, ctc: Path) -> str:
    """An alias with a default for each option."""
    write_own(
        user_directory,
        f'[models.mine]\npath = "{ctc}"\nchunk = 4\nstride = 0.4\ndecoder = "beam"\nbeam_width = 7\n'
        "alpha = 0.25\nbeta = 0\n",
    )
    return "mine"


def test_what_is_not_given_is_that_of_the_model_and_then_that_of_all() -> None:
    assert OptionDefaults().chunk_seconds(None, None) == (DEFAULT_CHUNK, DEFAULT_STRIDE)
    assert OptionDefaults(chunk=4.0).chunk_seconds(None, 0.0) == (4.0, 0.0)
    assert OptionDefaults(stride=0.0).chunk_seconds(9.0, None) == (9.0, 0.0)
    own = OptionDefaults(decoder="greedy", alpha=0.25, beta=0.0)
    assert with_defaults({"alpha": None, "beta": None}, own) == {
        "decoder": "greedy",
        "alpha": 0.25,
        "beta": 0.0,
    }
    # a language model asks for beam search, whatever the model does without
    assert with_defaults({"lm": "builtin", "decoder": None, "alpha": 0.5}, own) == {
        "lm": "builtin",
        "alpha": 0.5,
        "beta": 0.0,
    }


@needs_pyctcdecode
def test_an_alias_has_its_own_defaults_from_both_sides(sew: Sew, ctc: Path, long: Path, mine: str) -> None:
    given = ("--chunk", "4", "--stride", "0.4", "--decoder", "beam", "--beam-width", "7")
    [expected] = sew("transcribe", long, "-m", ctc, "-f", "json", *given).records
    done = sew("transcribe", long, "-m", mine, "-f", "json")
    assert done.err == ""
    [record] = done.records
    assert (record["text"], record["words"]) == (expected["text"], expected["words"])
    assert record["settings"] == expected["settings"]
    assert (record["settings"]["chunk"], record["settings"]["beam_width"]) == (4.0, 7)
    same = {key: record["settings"][key] for key in ("dtype", "engine")}
    loaded = sewcli.load(mine, device="cpu", **same)
    assert loaded.transcribe(long).text == expected["text"]

    # what is given wins, on the command line, in the environment and from Python
    [other] = sew("transcribe", long, "-m", mine, "-f", "json", "--chunk", "6", "--decoder", "greedy").records
    assert (other["settings"]["chunk"], other["settings"]["stride"]) == (6.0, 0.4)
    assert other["settings"]["decoder"] == "greedy"
    [plain] = sew("transcribe", long, "-m", ctc, "-f", "json", "--chunk", "6", "--stride", "0.4").records
    assert other["text"] == plain["text"]
    options = {"chunk": 6.0, "decoder": "greedy"}
    assert loaded.transcribe(long, **options).text == plain["text"]


@needs_pyctcdecode
def test_the_decoder_of_an_alias_makes_its_options_count(sew: Sew, long: Path, mine: str, ctc: Path) -> None:
    assert "no effect" in sew("transcribe", long, "-m", ctc, "--beam-width", "5").err
    assert sew("transcribe", long, "-m", mine, "--beam-width", "5").err == ""
    assert sew("transcribe", long, "-m", mine, "--hotword", "A", "-q").code == 0
    assert sew("transcribe", long, "-m", ctc, "--hotword", "A", "-q").code == 2


# evaluate decodes by beam search, as the alias says
@pytest.mark.parametrize("command", ["align", "embed", pytest.param("evaluate", marks=needs_pyctcdecode)])
def test_other_commands_cut_recordings_alike(
    sew: Sew, ctc: Path, long: Path, mine: str, command: str, tmp_path: Path
) -> None:
    manifest = tmp_path / "long.jsonl"
    manifest.write_text(f'{{"audio_filepath": "{long}", "text": "A B"}}\n')
    given = {
        "align": ("align", long, "--text", "A B"),
        "embed": ("embed", long, "-f", "json"),
        "evaluate": ("evaluate", manifest, "-f", "json"),
    }[command]
    [record] = sew(*given, "-m", mine).records
    assert (record["settings"]["chunk"], record["settings"]["stride"]) == (4.0, 0.4)
    [record] = sew(*given, "-m", mine, "--chunk", "8").records
    assert (record["settings"]["chunk"], record["settings"]["stride"]) == (8.0, 0.4)


def test_settings_in_force_are_those_of_the_model(
    sew: Sew, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> dict[tuple[str | None, str], tuple[object, str | None]]:
        [shown] = sew("config", "show", "-f", "json").records
        return {
            (row["command"], row["key"]): (row["value"], row["origin"])
            for row in shown["settings"]
            if row["command"] in (None, "transcribe", "decode")
        }

    assert rows()[None, "stride"] == (DEFAULT_STRIDE, None)
    assert rows()["transcribe", "chunk"] == (8, "models.toml [nano]")
    assert rows()[None, "beam-width"] == (DEFAULT_BEAM_WIDTH, None)
    monkeypatch.setenv("SEW_MODEL", mine)
    monkeypatch.setenv("SEW_BETA", "2")
    of_model = rows()
    assert of_model[None, "stride"] == (0.4, "models.toml [mine]")
    assert of_model["transcribe", "beam-width"] == (7, "models.toml [mine]")
    assert of_model["decode", "beam-width"] == (DEFAULT_BEAM_WIDTH, None)
    assert of_model["transcribe", "decoder"] == ("beam", "models.toml [mine]")
    assert of_model[None, "beta"] == (2.0, "SEW_BETA")


def test_defaults_are_shown(sew: Sew, mine: str) -> None:
    [record] = sew("models", "show", mine, "-f", "json").records
    numbers = {"chunk": 4, "stride": 0.4, "beam_width": 7, "alpha": 0.25, "beta": 0}
    assert record["defaults"] == numbers | {"decoder": "beam"}
    shown = "defaults: chunk 4, stride 0.4, decoder beam, beam_width 7, alpha 0.25, beta 0"
    assert shown in sew("models", "show", mine).lines


@pytest.mark.parametrize(
    "line",
    [
        *('chunk = "20"', "chunk = 0", "chunk = nan", "stride = -1", 'decoder = "viterbi"'),
        *("beam_width = 0", "beam_width = 2.5", "alpha = true", "beta = inf"),
    ],
)
def test_what_no_option_takes_is_named(
    sew: Sew, user_directory: Path, ctc: Path, long: Path, line: str
) -> None:
    write_own(user_directory, f'[models.mine]\npath = "{ctc}"\n{line}\n')
    result = sew("transcribe", long, "-m", "mine")
    assert result.code == 5
    [message] = result.messages
    assert "[models.mine]" in message
    assert f"--{line.split(maxsplit=1)[0].replace('_', '-')}" in message


def test_a_model_directory_has_defaults_of_its_own(
    sew: Sew, ctc: Path, long: Path, tmp_path: Path, user_directory: Path
) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    (model / "sew.json").write_text('{"task": "ctc", "chunk": 4, "stride": 0.4, "end_offset": 0.02}')
    [expected] = sew("transcribe", long, "-m", ctc, "-f", "json", "--chunk", "4", "--stride", "0.4").records
    [record] = sew("transcribe", long, "-m", model, "-f", "json").records
    assert record["text"] == expected["text"]
    assert record["settings"] == expected["settings"]
    ends, before = ([word["end"] for word in one["words"]] for one in (record, expected))
    assert max(after - end for after, end in zip(ends, before, strict=True)) == pytest.approx(0.02)
    # what an alias says comes first
    write_own(user_directory, f'[models.mine]\npath = "{model}"\nchunk = 5\n')
    [record] = sew("transcribe", long, "-m", "mine", "-f", "json").records
    assert (record["settings"]["chunk"], record["settings"]["stride"]) == (5.0, 0.4)
    # hidden states go by the general ones
    [states] = sew("embed", long, "-m", model, "-f", "json").records
    assert states["settings"]["chunk"] == DEFAULT_CHUNK
    (model / "sew.json").write_text("{")
    result = sew("models", "verify")
    assert result.code == 5
    assert "mine\tdamaged" in result.lines


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a JSON object"),
        ('{"chunks": 4}', "unknown key 'chunks'"),
        ('{"task": "speech"}', "task is 'speech', not one of ctc"),
        ('{"chunk": "4"}', "chunk has to be what --chunk takes"),
        ('{"end_offset": 90}', "end_offset has to be seconds"),
    ],
)
def test_defaults_of_a_directory_that_make_no_sense_name_the_file(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, content: str, told: str
) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    (model / "sew.json").write_text(content)
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, len(result.messages)) == (5, 1)
    assert f"{model}/sew.json" in result.messages[0]
    assert told in result.messages[0]
