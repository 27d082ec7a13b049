"""What goes wrong: one clear line each, the exit code of the contract, and the rest of the run unharmed."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import change_json, tiny_model, write_babble

from sewcli.training.vocabulary import ENGLISH, write_vocabulary


def bad_inputs(folder: Path) -> dict[str, tuple[str, str]]:
    """Write every kind of bad input; by file name its error code and a part of its message."""
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("This is a text, whatever its name says.\n" * 50)
    whole = write_babble(folder / "cut.flac", 3.0).read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    wav = write_babble(folder / "cut.wav", 1.0).read_bytes()
    (folder / "cut.wav").write_bytes(wav[: len(wav) // 2])
    soundfile.write(folder / "nothing.wav", np.zeros(0, np.float32), 16_000)
    soundfile.write(folder / "short.wav", np.zeros(160, np.float32), 16_000)
    samples = np.zeros(32_000, np.float32)
    samples[24_000] = np.nan
    soundfile.write(folder / "nan.wav", samples, 16_000, subtype="FLOAT")
    samples[24_000] = np.inf
    soundfile.write(folder / "inf.wav", samples, 16_000, subtype="FLOAT")
    return {
        "absent.wav": ("not_found", "no such file"),
        "empty.wav": ("empty_file", "empty"),
        "text.wav": ("not_audio", "not an audio file"),
        "cut.flac": ("damaged", "damaged or cut"),
        "cut.wav": ("damaged", "damaged or cut"),
        "nothing.wav": ("no_samples", "no samples"),
        "short.wav": ("too_short", "10 ms"),
        "nan.wav": ("not_finite", "NaN at 1.500 s"),
        "inf.wav": ("not_finite", "infinite at 1.500 s"),
    }


@pytest.mark.parametrize("batch", ["0", "30"])
def test_every_bad_input_fails_alone_with_one_line_and_an_error_object_in_its_place(
    sew: Sew, ctc: Path, tmp_path: Path, batch: str
) -> None:
    expected = bad_inputs(tmp_path)
    good = write_babble(tmp_path / "good.wav", 1.0)
    [alone] = sew("transcribe", good, "-m", ctc, "-f", "json").records
    inputs = [path for name in expected for path in (tmp_path / name, good)]
    result = sew("transcribe", *inputs, "-m", ctc, "-f", "json", "--batch-seconds", batch)
    assert result.code == 3
    records = result.records
    assert [record["path"] for record in records] == [str(path) for path in inputs]
    assert records[1::2] == [alone] * len(expected)
    assert len(result.messages) == len(expected)
    for (name, (code, part)), record, line in zip(
        expected.items(), records[::2], result.messages, strict=True
    ):
        assert list(record) == ["path", "error"]
        assert list(record["error"]) == ["code", "message"]
        assert record["error"]["code"] == code
        assert line == f"sew: {record['error']['message']}"
        assert line.startswith(f"sew: {tmp_path / name}: ")
        assert part in line
        assert line.endswith(")"), "what to do next is missing"


def test_every_input_failed_is_exit_4_and_text_output_is_empty(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    names = bad_inputs(tmp_path)
    result = sew("transcribe", *(tmp_path / name for name in names), "-m", ctc)
    assert (result.code, result.out) == (4, b"")
    assert len(result.messages) == len(names)


def test_missing_file_alone_is_exit_4_and_beside_a_good_one_3(sew: Sew, ctc: Path, audio: Path) -> None:
    assert sew("transcribe", "absent.wav", "-m", ctc).code == 4
    result = sew("transcribe", "absent.wav", audio / "b.wav", "-m", ctc)
    assert result.code == 3
    assert [line.split("\t")[0] for line in result.lines] == [str(audio / "b.wav")]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission_is_a_failed_input(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    path = write_babble(tmp_path / "locked.wav", 1.0)
    path.chmod(0)
    result = sew("transcribe", path, "-m", ctc)
    assert result.code == 4
    [message] = result.messages
    assert f"{path}: permission denied" in message


def test_bad_rows_of_a_manifest_fail_alone(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    write_babble(tmp_path / "good.wav", 1.0)
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text(
        '{"audio_filepath": "good.wav"}\n'
        '{"audio_filepath": "good.wav", "offset": 5}\n'
        '{"audio": "good.wav"}\n'
        '{"audio_filepath": \n'
        '{"audio_filepath": "good.wav", "offset": 0.99, "duration": 0.01}\n'
    )
    result = sew("transcribe", "--files-from", manifest, "-m", ctc, "-f", "json")
    assert result.code == 3
    codes = [record.get("error", {}).get("code") for record in result.records]
    assert codes == [None, "no_samples", "source", "source", "too_short"]
    assert f"{manifest}:3" in result.messages[1]
    assert f"{manifest}:4" in result.messages[2]


@pytest.mark.parametrize("command", ["transcribe", "classify"])
def test_nothing_to_do_is_wrong_usage_before_a_model_is_looked_for(
    sew: Sew, tmp_path: Path, command: str
) -> None:
    (tmp_path / "notes.txt").write_text("no audio")
    (tmp_path / "empty.txt").write_text("\n")
    for given, part in (
        ((), "no input"),
        ((tmp_path,), str(tmp_path)),
        (("",), "empty string"),
        (("-", "-"), "standard input"),
        (("--files-from", tmp_path / "absent.txt"), "absent.txt"),
    ):
        result = sew(command, *given, "-m", "no-such-model")
        assert (result.code, result.out) == (2, b"")
        [message] = result.messages
        assert part in message


def test_list_without_entries_is_wrong_usage(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    result = sew("transcribe", "--files-from", tmp_path / "empty.txt", "-m", ctc)
    assert result.code == 2
    assert "empty.txt lists no input" in result.err


def test_model_that_is_not_there_is_exit_5(sew: Sew, audio: Path, tmp_path: Path) -> None:
    for given, part in (
        (("-m", "nanno"), "did you mean nano"),
        (("-m", tmp_path / "absent"), str(tmp_path / "absent")),
        (("-m", tmp_path), "config.json"),
        (("-m", audio / "b.wav"), "not a model directory"),
        (("-m", "asapp/sew-tiny-100k-ft-ls100h", "--offline"), "asapp/sew-tiny-100k-ft-ls100h"),
        (("-m", "sew-tiny", "--offline"), "sew-tiny"),
        (("-m", "somebody/something", "--offline"), "run once without --offline"),
    ):
        result = sew("transcribe", audio / "b.wav", *given)
        assert (result.code, result.out) == (5, b""), given
        [message] = result.messages
        assert part in message
    # for all that the process loads later: both libraries read these at their import
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"


Damage = Callable[[Path], object]


def cut_weights(model: Path) -> None:
    file = model / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without_tensor(model: Path, part: str) -> None:
    from safetensors.numpy import load_file, save_file

    file = model / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(file).items() if part not in name}
    save_file(kept, file, metadata={"format": "pt"})


def big_vocabulary(model: Path) -> None:
    write_vocabulary(model, [*ENGLISH, "Ä"])


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no vocabulary": (lambda model: (model / "vocab.json").unlink(), "vocab.json"),
    "vocabulary beyond the logits": (big_vocabulary, "33 tokens"),
    "vocabulary without blank": (
        lambda model: change_json(model / "tokenizer_config.json", pad_token="_"),
        "'_'",
    ),
    "vocabulary that is no JSON": (lambda model: (model / "vocab.json").write_text("{"), "vocab.json"),
    "weights cut in half": (cut_weights, "damaged"),
    "weights of garbage": (
        lambda model: (model / "model.safetensors").write_bytes(b"garbage" * 99),
        "damaged",
    ),
    "no weights": (lambda model: (model / "model.safetensors").unlink(), "no weights"),
    "a layer is missing": (lambda model: without_tensor(model, "layers.1.attention"), "lacks weights"),
    "weights of another size": (lambda model: change_json(model / "config.json", hidden_size=128), "damaged"),
    "heads that do not divide": (
        lambda model: change_json(model / "config.json", num_attention_heads=5),
        "damaged",
    ),
    "adapter": (lambda model: change_json(model / "config.json", add_adapter=True), "add_adapter"),
    "wav2vec2": (lambda model: change_json(model / "config.json", model_type="wav2vec2"), "'wav2vec2'"),
    "other frames": (lambda model: change_json(model / "config.json", squeeze_factor=4), "squeezed by 4"),
    "configuration is no JSON": (lambda model: (model / "config.json").write_text("nonsense"), "config.json"),
    "configuration is a list": (lambda model: (model / "config.json").write_text("[]"), "config.json"),
    "other sampling rate": (
        lambda model: change_json(model / "preprocessor_config.json", sampling_rate=8000),
        "8000",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_unusable_model_directory_is_exit_5(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, what: str
) -> None:
    damage, part = DAMAGES[what]
    model = shutil.copytree(ctc, tmp_path / "model")
    damage(model)
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, result.out) == (5, b""), result.err
    [message] = result.messages
    assert str(model) in message
    assert part in message


def test_encoder_without_a_head_is_exit_5_for_both_commands(sew: Sew, audio: Path, tmp_path: Path) -> None:
    model = tiny_model(tmp_path, "sew", "features")
    write_vocabulary(model, ENGLISH)
    for command in ("transcribe", "classify"):
        result = sew(command, audio / "b.wav", "-m", model)
        assert (result.code, result.out) == (5, b"")
        [message] = result.messages
        assert str(model) in message
        assert "without a head" in message


def test_model_of_the_other_task_is_exit_5_and_names_the_right_command(
    sew: Sew, ctc: Path, classifier: Path, audio: Path
) -> None:
    for command, model, right in (
        ("transcribe", classifier, "sew classify"),
        ("classify", ctc, "sew transcribe"),
    ):
        result = sew(command, audio / "b.wav", "-m", model)
        assert (result.code, result.out) == (5, b"")
        [message] = result.messages
        assert str(model) in message
        assert right in message


def test_regression_model_is_exit_5(sew: Sew, audio: Path, tmp_path: Path) -> None:
    model = tiny_model(tmp_path, "sew", "classification", id2label={0: "score"}, label2id={"score": 0})
    result = sew("classify", audio / "b.wav", "-m", model)
    assert result.code == 5
    [message] = result.messages
    assert "num_labels 1" in message


@pytest.mark.parametrize(
    "change",
    [{"hidden_act": "nonsense"}, {"hidden_size": "wide"}, {"conv_kernel": 3}, {"conv_dim": [16]}],
    ids=str,
)
def test_configuration_that_makes_no_model_is_exit_5(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    change_json(model / "config.json", **change)
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, result.out) == (5, b""), result.err
    assert str(model) in result.err


def test_weights_the_configuration_has_no_place_for_are_exit_5(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    change_json(model / "config.json", num_hidden_layers=1)
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, result.out) == (5, b"")
    assert str(model) in result.err


def test_weights_of_nan_are_exit_5_and_not_an_empty_transcript(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    model = shutil.copytree(ctc, tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    weights["lm_head.weight"][:] = np.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    assert sew("transcribe", audio / "b.wav", "-m", model).code == 5


def test_a_pickle_is_refused_with_exit_5(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(b"garbage" * 99)
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, result.out) == (5, b"")
    assert f"sew models convert {model} -o DIR" in result.err


@pytest.mark.parametrize("name", ["vocab.json", "tokenizer_config.json"])
def test_tokenizer_files_with_values_of_a_wrong_type_are_exit_5(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, name: str
) -> None:
    model = shutil.copytree(ctc, tmp_path / "model")
    change_json(
        model / name, **{"vocab.json": {"A": "seven"}, "tokenizer_config.json": {"pad_token": {}}}[name]
    )
    result = sew("transcribe", audio / "b.wav", "-m", model)
    assert (result.code, result.out) == (5, b""), result.err


def test_file_whose_name_is_a_dash_is_read(
    sew: Sew, ctc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = write_babble(tmp_path / "good.wav", 1.0)
    wav.rename(tmp_path / "-")
    monkeypatch.chdir(tmp_path)
    result = sew("transcribe", "./-", "-m", ctc)
    assert (result.code, result.err) == (0, "")


def test_eight_channels_and_192_khz_are_good_input(sew: Sew, ctc: Path, tmp_path: Path) -> None:
    many = write_babble(tmp_path / "many.wav", 1.0, channels=8)
    high = write_babble(tmp_path / "high.flac", 1.0, rate=192_000)
    both = write_babble(tmp_path / "both.wav", 1.0, rate=192_000, channels=8)
    result = sew("transcribe", many, high, both, "-m", ctc, "-f", "json")
    assert (result.code, result.err) == (0, "")
    assert [record["duration"] for record in result.records] == [1.0, 1.0, 1.0]
    assert all(record["text"] for record in result.records)


def test_output_directory_that_is_a_file_is_wrong_usage(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    result = sew("transcribe", audio / "b.wav", "-m", ctc, "-o", tmp_path / "out")
    assert result.code == 2
    assert str(tmp_path / "out") in result.err


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
def test_list_from_a_pipe_works_with_an_output_directory(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    # what a shell makes of --files-from <(find ...)
    reading, writing = os.pipe()
    os.write(writing, f"{audio / 'b.wav'}\n".encode())
    os.close(writing)
    try:
        result = sew("transcribe", "--files-from", f"/dev/fd/{reading}", "-m", ctc, "-o", tmp_path)
    finally:
        os.close(reading)
    assert result.code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["b.txt"]


def test_debug_shows_the_traceback_and_keeps_the_exit_code(sew: Sew, audio: Path) -> None:
    result = sew("transcribe", audio / "b.wav", "-m", "nanno", "--debug")
    assert result.code == 5
    assert "Traceback" in result.err
    assert "did you mean nano" in result.err


class InterruptingStream(io.TextIOBase):
    """Standard input whose reader gets Control-C, once a file is there."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def buffer(self) -> InterruptingStream:
        return self

    def read(self, size: int | None = -1) -> str:
        for _ in range(600):
            if self._file.exists():
                break
            time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.2)
        return ""


@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is not signal.default_int_handler, reason="SIGINT is ignored here"
)
def test_interrupt_is_exit_130_and_keeps_what_is_written(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = ("transcribe", audio / "b.wav", "-", audio / "a.wav", "-m", ctc, "-o", out)
    result = sew(*given, stdin=InterruptingStream(out / "b.txt"))
    assert (result.code, result.out) == (130, b"")
    assert "Traceback" not in result.err
    assert [file.name for file in out.iterdir()] == ["b.txt"]


def test_beam_search_without_pyctcdecode_is_wrong_usage_before_a_model_is_looked_for(
    sew: Sew, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pyctcdecode" else found(name, *rest)
    )
    result = sew("transcribe", audio / "b.wav", "-m", "no-such-model", "--decoder", "beam")
    assert result.code == 2
    assert "pyctcdecode" in result.err


def test_names_that_no_file_can_have_fail_alone(sew: Sew, ctc: Path, audio: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "list"
    rows = ['{"audio_filepath": "\\ud800.wav"}', "/", "x" * 300, str(audio / "b.wav")]
    manifest.write_text("\n".join(rows))
    result = sew("transcribe", "--files-from", manifest, "-m", ctc, "-o", tmp_path / "out")
    assert result.code == 3
    assert len(result.messages) == 3
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["b.txt"]
    assert sew("transcribe", "y" * 300, "-m", ctc).code == 4


def test_no_room_for_the_samples_fails_that_input_alone(
    sew: Sew, ctc: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = write_babble(tmp_path / "long.wav", 130.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    result = sew("transcribe", long, audio / "b.wav", "-m", ctc, "-f", "json")
    assert result.code == 3
    assert result.records[0]["error"]["code"] == "no_space"
    assert "TMPDIR" in result.err


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes")
def test_closed_pipe_ends_the_run_quietly_with_exit_0(ctc: Path, audio: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEW_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sewcli", "transcribe", audio, "-m", ctc, "-f", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=120)
    assert err == b""
    assert process.returncode == 0


def test_unexpected_error_is_exit_1_with_one_line(
    sew: Sew, ctc: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sewcli.writers import jsonl

    def broken(*_arguments: object, **_options: object) -> bytes:
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr(jsonl, "as_object", broken)
    result = sew("transcribe", audio / "b.wav", "-m", ctc, "-f", "json")
    assert (result.code, result.out) == (1, b"")
    [message] = result.messages
    assert "ZeroDivisionError: first line" in message
    assert "--debug" in message


def test_error_object_is_json_also_for_an_odd_name(sew: Sew, ctc: Path) -> None:
    result = sew("transcribe", "a\nb\t[red].wav", "-m", ctc, "-f", "json")
    [record] = [json.loads(line) for line in result.out.splitlines()]
    assert record["path"] == "a\nb\t[red].wav"
    [message] = result.messages
    assert "[red].wav" in message
