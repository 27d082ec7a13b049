"""`import sewcli`: alignment, hidden states, pictures and saved logits, as the commands give them."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import Sew
from helpers import babble, needs_pyctcdecode

import sewcli

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def model(ctc: Path) -> sewcli.Model:
    return sewcli.load(ctc)


@pytest.fixture(scope="module")
def encoder(ctc_d: Path) -> sewcli.Model:
    return sewcli.load(ctc_d, task="features")


@pytest.fixture(scope="module")
def attending(ctc_d: Path) -> sewcli.Model:
    return sewcli.load(ctc_d, task="features", engine="reference")


def png_size(file: Path) -> tuple[int, ...]:
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG")
    return struct.unpack(">II", content[16:24])


@pytest.mark.defaults
def test_alignments_are_those_of_the_command(sew: Sew, model: sewcli.Model, ctc: Path, audio: Path) -> None:
    options = ("-f", "json", "--min-confidence", "0.03", "--chunk", "2", "--stride", "0.5")
    [record] = sew("align", audio / "a.wav", "--text", "the cat sat", "-m", ctc, *options).records
    result = model.align(audio / "a.wav", "the cat sat", min_confidence=0.03, chunk=2, stride=0.5)
    assert (result.text, result.settings) == (record["text"], record["settings"])
    for kind, found in (("word", result.words), ("char", result.chars)):
        assert [
            {kind: one.text, "start": one.start, "end": one.end, "confidence": one.confidence}
            | ({"fits": one.fits} if kind == "word" else {})
            for one in found or ()
        ] == record[f"{kind}s"]
    assert model.align(audio / "a.wav", "the cat sat", timestamps="word").chars is None


def test_texts_that_cannot_be_aligned(model: sewcli.Model, audio: Path) -> None:
    with pytest.raises(sewcli.UsageError, match="4"):
        model.align(audio / "a.wav", "4 cats")
    with pytest.raises(sewcli.UsageError, match="empty"):
        model.align(audio / "a.wav", "  ")
    pairs: list[Any] = [
        (audio / "a.wav", "the cat"),
        (audio / "a.wav", "4 cats"),
        ((babble(1.0), 16_000), "a"),
        ("gone.wav", "a"),
        ((babble(1.0), 16_000), "a long text " * 20),
    ]
    results = list(model.align_many(pairs, timestamps="word"))
    codes = [one.code if isinstance(one, sewcli.Failure) else one.text for one in results]
    assert codes == ["the cat", "source", "a", "not_found", "text_too_long"]


@pytest.mark.defaults
def test_hidden_states_are_those_of_the_command(
    sew: Sew, encoder: sewcli.Model, attending: sewcli.Model, ctc_d: Path, audio: Path, tmp_path: Path
) -> None:
    assert encoder.task == attending.task == "features"
    options = ("-m", ctc_d, "--layer", "1", "--chunk", "2", "--stride", "0.4")
    assert sew("embed", audio / "a.wav", *options, "-o", tmp_path).code == 0
    plain = encoder.embed(audio / "a.wav", layer=1, chunk=2, stride=0.4)
    assert np.array_equal(plain.states, np.load(tmp_path / "a.npy"))
    assert plain.attentions is None
    more = ("--attentions", "-f", "npz", "-o", tmp_path)
    assert sew("embed", audio / "a.wav", *options, *more).code == 0
    result = attending.embed(audio / "a.wav", layer=1, attentions=True, chunk=2, stride=0.4)
    with np.load(tmp_path / "a.npz") as saved:
        assert np.array_equal(result.states, saved["states"])
        assert result.attentions is not None
        assert len(result.attentions) == 2
        for number, chunk in enumerate(result.attentions):
            assert np.array_equal(chunk.weights, saved[f"attentions.{number}"])
    assert (result.layer, result.frame_seconds) == (1, 0.04)


def test_states_kept_of_many_clips_keep_no_files_open(encoder: sewcli.Model, audio: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0

    clip = [(babble(0.5), 16_000)]
    kept = list(encoder.embed_many(clip))
    before = open_files()
    kept += encoder.embed_many(clip * 20)
    assert open_files() < before + 5
    assert all(np.array_equal(one.states, kept[0].states) for one in kept)


def test_options_of_one_run_do_not_reach_into_another(attending: sewcli.Model, audio: Path) -> None:
    """Two runs of one model take turns."""
    encoder = attending
    inputs = [audio / "a.wav", audio / "b.wav"]
    one, other = encoder.embed_many(inputs, layer=0), encoder.embed_many(inputs, pool="mean", attentions=True)
    for layer, last, file in zip(one, other, inputs, strict=True):
        assert isinstance(layer, sewcli.Embedding)
        assert isinstance(last, sewcli.Embedding)
        assert (layer.layer, layer.attentions, last.layer, last.states.ndim) == (0, None, None, 1)
        assert last.attentions is not None
        alone = encoder.embed(file)
        np.testing.assert_allclose(last.states, alone.states.mean(axis=0), atol=1e-5)
        assert np.array_equal(layer.states, encoder.embed(file, layer=0).states)
    with pytest.raises(sewcli.UsageError, match="layer 9"):
        encoder.embed_many(inputs, layer=9)


@pytest.mark.defaults
@needs_pyctcdecode
def test_saved_logits_are_decoded_again(
    sew: Sew, model: sewcli.Model, ctc: Path, audio: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.logits.safetensors"
    greedy = model.transcribe(audio / "a.wav", save_logits=file)
    assert sew("transcribe", audio / "a.wav", "-m", ctc, "--save-logits", tmp_path / "cli").code == 0
    assert file.read_bytes() == (tmp_path / "cli" / file.name).read_bytes()
    assert sewcli.decode(file) == greedy
    beam = sewcli.decode(file, decoder="beam", beam_width=7, timestamps="none")
    assert beam == model.transcribe(audio / "a.wav", decoder="beam", beam_width=7, timestamps="none")
    (tmp_path / "bad.safetensors").write_bytes(b"no logits")
    results = list(sewcli.decode_many([file, tmp_path / "bad.safetensors", tmp_path / "gone"]))
    assert [getattr(one, "code", "") for one in results] == ["", "damaged_logits", "not_found"]
    with pytest.raises(sewcli.AudioError, match=r"gone: no such file"):
        sewcli.decode(tmp_path / "gone")
    with pytest.raises(TypeError, match="chunk"):
        sewcli.decode(file, chunk=3)  # type: ignore[call-arg]
    with pytest.raises(sewcli.SewError, match="cannot write"):
        model.transcribe(audio / "a.wav", save_logits=tmp_path / "no" / "folder")
    if os.name == "posix":  # a link stays one, and so do permissions and what is no file
        (tmp_path / "link").symlink_to(file)
        file.write_bytes(b"")
        file.chmod(0o600)
        model.transcribe(audio / "a.wav", save_logits=tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert sewcli.decode(file) == greedy
        assert file.stat().st_mode & 0o777 == 0o600
        model.transcribe(audio / "a.wav", save_logits="/dev/null")
        assert Path("/dev/null").is_char_device()
    own = shutil.copy(audio / "a.wav", tmp_path / "own.wav")
    for link in (own, tmp_path / "folder" / ".." / "own.wav"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(sewcli.UsageError, match="is the recording"):
            model.transcribe(own, save_logits=link)
        with Path(own).open("rb") as stream, pytest.raises(sewcli.UsageError, match="is the recording"):
            model.transcribe(stream, save_logits=link)
    assert own.read_bytes() == (audio / "a.wav").read_bytes()
    with pytest.raises(sewcli.UsageError, match="vad leaves frames out"):
        model.transcribe(audio / "a.wav", save_logits=tmp_path / "vad", vad=True)
    assert not (tmp_path / "vad").exists()


def test_pictures(model: sewcli.Model, classifier: Path, audio: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    labeller = sewcli.load(classifier)
    files = {name: tmp_path / f"{name}.png" for name in ("transcribe", "align", "classify", "spot")}
    model.transcribe(audio / "b.wav", plot=files["transcribe"])
    model.align(audio / "b.wav", "the cat", plot=files["align"])
    labeller.classify(audio / "b.wav", plot=files["classify"])
    list(labeller.spot(audio / "a.wav", plot=files["spot"]))
    for file in files.values():
        width, height = png_size(file)
        assert width > 500
        assert height > 200
    with pytest.raises(sewcli.UsageError, match=r"\.png"):
        model.transcribe(audio / "b.wav", plot=tmp_path / "a.jpg")


@pytest.mark.defaults
def test_long_silences_are_left_out_as_by_the_command(
    sew: Sew, model: sewcli.Model, ctc: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).normal(size=6 * 16_000).astype(np.float32) * 1e-4
    sound = np.concatenate([babble(2.0), noise, babble(2.0, seed=4)])
    soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype="FLOAT")
    [record] = sew("transcribe", tmp_path / "a.wav", "-m", ctc, "-f", "json", "--vad").records
    result = model.transcribe(tmp_path / "a.wav", vad=True)
    assert (result.text, result.settings) == (record["text"], record["settings"])
    assert result == model.transcribe(tmp_path / "a.wav", vad=sewcli.ActivityOptions())
    longer = sewcli.ActivityOptions(silence=9.0)
    assert model.transcribe(tmp_path / "a.wav", vad=longer).settings["vad"]["silence"] == 9.0
    with pytest.raises(sewcli.UsageError, match="noise"):
        model.transcribe(tmp_path / "a.wav", vad=sewcli.ActivityOptions(threshold=-1.0))


@pytest.mark.slow
def test_examples_of_the_page_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page = (ROOT / "docs" / "python.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    assert code.count("sewcli.load") == 3
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "go-forward" in done.stdout
    assert (tmp_path / "go.png").exists()


FORKING = """
import os, sys
import sewcli

alone = sewcli.load(sys.argv[1], threads=1).transcribe(sys.argv[2]).text
if not os.fork():
    print(sewcli.load(sys.argv[1], threads=2).transcribe(sys.argv[2]).text == alone, flush=True)
    os._exit(0)
os.wait()

model = sewcli.load(sys.argv[1], threads=2)
text = model.transcribe(sys.argv[2]).text
if not os.fork():
    for use in (lambda: model.transcribe(sys.argv[2]), lambda: sewcli.load(sys.argv[1])):
        try:
            use()
        except sewcli.UsageError as error:
            print(error, flush=True)
    print(sewcli.load(sys.argv[1], threads=1).transcribe(sys.argv[2]).text == text, flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_uses_no_model_of_its_parent_and_loads_one_for_a_single_thread(ctc: Path, audio: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", FORKING, ctc, audio / "b.wav"]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    of_one_thread, refused, load_refused, same = out.stdout.splitlines()
    assert of_one_thread == "True"
    assert "loaded before this process was forked" in refused
    assert "start it by spawn" in load_refused
    assert same == "True"
