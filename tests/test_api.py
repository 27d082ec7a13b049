"""`import sewcli`: the same results from Python as from the command line."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Sew
from helpers import needs_pyctcdecode, tiny_model

import sewcli
from sewcli.errors import EXIT_USAGE

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def model(ctc: Path) -> sewcli.Model:
    return sewcli.load(ctc)


@pytest.fixture(scope="module")
def labeller(classifier: Path) -> sewcli.Model:
    return sewcli.load(classifier)


def test_import_is_light_and_the_names_are_there() -> None:
    code = (
        "import sys, sewcli; print(*sorted({name.split('.')[0] for name in sys.modules}));"
        "print(*dir(sewcli)); sewcli.Failure; print('numpy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    modules, names, heavy = out.splitlines()
    assert set(modules.split()).isdisjoint({"torch", "numpy", "transformers", "soundfile", "typer"})
    assert set(sewcli.__all__) <= set(names.split())
    assert heavy == "False"
    assert (Path(sewcli.__file__).parent / "py.typed").exists()
    for name in sewcli.__all__:
        assert getattr(sewcli, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = sewcli.no_such_name


@pytest.mark.defaults
def test_transcripts_are_those_of_the_command(sew: Sew, model: sewcli.Model, ctc: Path, audio: Path) -> None:
    records = sew("transcribe", audio, "-m", ctc, "-f", "json", "--chunk", "2", "--stride", "0.5").records
    results = list(model.transcribe_many([record["path"] for record in records], chunk=2, stride=0.5))
    for record, result in zip(records, results, strict=True):
        assert isinstance(result, sewcli.Transcript)
        assert result.text == record["text"]
        assert result.settings == record["settings"]
        assert [word.start for word in result.words or ()] == [word["start"] for word in record["words"]]
        assert result == model.transcribe(record["path"], chunk=2, stride=0.5)
    assert any(record["text"] for record in records)


@pytest.mark.defaults
def test_labels_are_those_of_the_command(
    sew: Sew, labeller: sewcli.Model, classifier: Path, audio: Path
) -> None:
    [record] = sew("classify", audio / "a.wav", "-m", classifier, "-f", "json", "--top", "2").records
    result = labeller.classify(audio / "a.wav", top=2)
    assert [(one.label, one.score) for one in result.labels] == [
        (one["label"], one["score"]) for one in record["labels"]
    ]
    assert [one.path for one in labeller.classify_many([audio / "a.wav", audio / "b.wav"])] == [
        str(audio / "a.wav"),
        str(audio / "b.wav"),
    ]
    assert labeller.labels == ("yes", "no", "_silence_", "_unknown_")


def test_results_become_the_objects_of_the_format_json(
    sew: Sew, model: sewcli.Model, ctc: Path, audio: Path
) -> None:
    files = [audio / "a.wav", audio / "gone.wav"]
    records = sew("transcribe", *files, "-m", ctc, "-f", "json").records
    for record, result in zip(records, model.transcribe_many(files), strict=True):
        made = sewcli.to_dict(result)
        assert json.loads(json.dumps(made)) == record


def test_hidden_states_can_be_compared_and_kept_in_a_set(audio: Path) -> None:
    encoder = sewcli.load("nano", task="features")
    one, other = (encoder.embed(audio / "b.wav") for _ in range(2))
    assert one == one  # noqa: PLR0124 - arrays have no one truth value
    assert one != other
    assert len({one, other}) == 2


def test_what_is_told_goes_nowhere_unless_it_is_asked_for(audio: Path) -> None:
    code = (
        f"import sewcli; model = sewcli.load('nano', compiled=True);"
        f"model.align({str(audio / 'b.wav')!r}, 'completely other words')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.defaults
@needs_pyctcdecode
def test_beam_search_with_hotwords(sew: Sew, model: sewcli.Model, ctc: Path, audio: Path) -> None:
    result = model.transcribe(audio / "b.wav", decoder="beam", beam_width=5, hotwords=["abc"])
    options = ("--decoder", "beam", "--beam-width", "5", "--hotword", "abc")
    [record] = sew("transcribe", audio / "b.wav", "-m", ctc, "-f", "json", *options).records
    assert (result.text, result.settings) == (record["text"], record["settings"])


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"decoder": "magic"}, "greedy, beam"),
        ({"timestamps": "line"}, "none, word, char"),
        ({"audio_engine": "sox"}, "librosa"),
        ({"chunk": 0.1, "stride": 1.0}, "chunk"),
        ({"hotwords": ["a"]}, "beam"),
        ({"start": 2.0, "end": 1.0}, "no part"),
        ({"start": math.nan}, "no part"),
        ({"end": math.inf}, "no part"),
        ({"channel": -1}, "from 0"),
        ({"hotwords": "abc", "decoder": "beam"}, "a list of words"),
    ],
)
def test_wrong_options_are_told_at_once(
    model: sewcli.Model, audio: Path, options: dict[str, Any], part: str
) -> None:
    with pytest.raises(sewcli.UsageError, match=part) as caught:
        model.transcribe_many([audio / "b.wav"], **options)
    assert caught.value.exit_code == EXIT_USAGE
    with pytest.raises(TypeError, match="chnk"):
        model.transcribe_many([], chnk=3)  # type: ignore[call-arg]


def test_no_labels_and_no_threads_are_refused(ctc: Path, classifier: Path, audio: Path) -> None:
    with pytest.raises(sewcli.UsageError, match="at least one label"):
        sewcli.load(classifier).classify(audio / "b.wav", top=0)
    with pytest.raises(sewcli.UsageError, match="threads=0"):
        sewcli.load(ctc, threads=0)


def test_model_of_the_wrong_kind(
    model: sewcli.Model, labeller: sewcli.Model, models: Path, audio: Path
) -> None:
    with pytest.raises(sewcli.ModelError, match="its method transcribe"):
        model.classify(audio / "b.wav")
    with pytest.raises(sewcli.ModelError, match=r"its method classify.*task='ctc'"):
        labeller.transcribe(audio / "b.wav")
    with pytest.raises(sewcli.ModelError, match=r"task='features'"):
        model.embed(audio / "b.wav")
    encoder = tiny_model(models / "headless", "sew", "features")
    with pytest.raises(sewcli.ModelError, match="its method embed"):
        sewcli.load(encoder).transcribe(audio / "b.wav")
    with pytest.raises(sewcli.ModelError, match="head"):
        sewcli.load(encoder, task="ctc")
    with pytest.raises(sewcli.UsageError, match="attentions come from transformers"):
        sewcli.load(encoder, task="features").embed(audio / "b.wav", attentions=True)
    with pytest.raises(sewcli.UsageError, match="task='features_'"):
        sewcli.load(encoder, task="features_")  # type: ignore[arg-type]
    with pytest.raises(sewcli.ModelError, match="did you mean nano"):
        sewcli.load("nanno")


def test_example_of_the_readme_runs() -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    first, second, third = done.stdout.splitlines()
    assert first.isupper()
    assert second.startswith("examples/speech/explosion.opus: ")
    assert third.startswith("gone.wav: no such file")
