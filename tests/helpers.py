"""Small models at the real architecture, synthetic audio, and what a run of the command gave."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from sewcli.errors import SewError
from sewcli.training.vocabulary import ENGLISH, write_vocabulary

needs_pyctcdecode = pytest.mark.skipif(
    importlib.util.find_spec("pyctcdecode") is None, reason="no release of pyctcdecode for this Python"
)
RATE = 16_000
#: of what `in_cache` makes
COMMIT = "d" * 40
CLASSES = {"sew": "SEW", "sew-d": "SEWD"}
HEADS = {"ctc": "ForCTC", "classification": "ForSequenceClassification", "features": "Model"}
#: windows over what `long` holds, whose events lie close together
SPOT = ("--window", "0.5", "--hop", "0.2", "--smooth", "1", "--threshold", "0.3", "--merge-gap", "0.1")
LABELS = ("yes", "no", "_silence_", "_unknown_")
#: of the 13 convolutions; kernels and strides are those of the published models
CHANNELS = (16,) * 5 + (24,) * 4 + (32,) * 4

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """What one run of the command left."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        """Standard output, line by line."""
        return self.out.decode().splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output as JSON Lines."""
        return [json.loads(line) for line in self.lines]

    @property
    def texts(self) -> list[str]:
        """The transcripts of JSON output."""
        return [record["text"] for record in self.records]

    @property
    def messages(self) -> list[str]:
        """Standard error, line by line."""
        return self.err.splitlines()


def tiny_model(
    directory: Path,
    family: str,
    task: str,
    *,
    seed: int = 1,
    bias: Mapping[str, float] | None = None,
    dtype: str = "float32",
    **config: Any,
) -> Path:
    """Save a random model of 64 dimensions and 2 layers that answers with varied tokens.

    Args:
        directory: to write to; made if it is not there.
        family: "sew" or "sew-d".
        task: "ctc", "classification" or "features" (an encoder without a head).
        seed: of the weights.
        bias: added to the logits of these tokens (ctc).
        dtype: of the weights on disk.
        config: changes to the configuration.
    """
    import torch
    import transformers

    settings: dict[str, Any] = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "conv_dim": CHANNELS,
        "num_conv_pos_embeddings": 15,
        "num_conv_pos_embedding_groups": 4,
        "vocab_size": len(ENGLISH),
        "pad_token_id": 0,
    }
    if task == "classification":
        settings |= {"id2label": dict(enumerate(LABELS)), "label2id": {k: i for i, k in enumerate(LABELS)}}
    torch.manual_seed(seed)
    made = getattr(transformers, f"{CLASSES[family]}Config")(**{**settings, **config})
    model = getattr(transformers, CLASSES[family] + HEADS[task])(made)
    with torch.no_grad():
        # the library's initialisation is so narrow that every frame would sound alike
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.xavier_uniform_(module.weight)
        if task == "ctc":
            torch.nn.init.normal_(model.lm_head.weight)
            for token, added in {"|": 4.0, **(bias or {})}.items():
                model.lm_head.bias[ENGLISH.index(token)] += added
        elif task == "classification":
            torch.nn.init.normal_(model.classifier.weight, std=0.3)
            torch.nn.init.normal_(model.projector.bias, std=3.0)
    model.to(getattr(torch, dtype)).save_pretrained(directory)
    if task == "ctc":
        write_vocabulary(directory, ENGLISH)
    extractor = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "sampling_rate": RATE,
        "do_normalize": True,
        "return_attention_mask": False,
    }
    (directory / "preprocessor_config.json").write_text(json.dumps(extractor))
    return directory


def change_json(file: Path, **changes: Any) -> None:
    """Set keys of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def babble(seconds: float, seed: int = 0, rate: int = RATE) -> Samples:
    """Tones of 125 ms and noise, as varied as speech and reproducible."""
    generator = np.random.default_rng(seed)
    count, step = int(seconds * rate), rate // 8
    pieces = count // step + 1
    pitch = np.repeat(generator.uniform(100, 0.25 * rate, pieces), step)[:count]
    loudness = np.repeat(generator.uniform(0.05, 0.5, pieces), step)[:count]
    tone = loudness * np.sin(2 * np.pi * np.cumsum(pitch) / rate)
    return (tone + 0.02 * generator.standard_normal(count)).astype(np.float32)


def write_babble(file: Path, seconds: float, seed: int = 0, rate: int = RATE, channels: int = 1) -> Path:
    """Write babble to a file whose extension says the format; other babble in every channel."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sound = np.stack([babble(seconds, seed + channel, rate) for channel in range(channels)], axis=1)
    soundfile.write(file, sound, rate)
    return file


def reference_text(directory: Path, samples: Samples) -> str:
    """Greedy text of the transformers library itself, for one short recording run whole."""
    import torch
    from transformers import AutoModelForCTC

    wave = torch.from_numpy((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7))
    with torch.no_grad():
        logits = AutoModelForCTC.from_pretrained(directory).eval()(wave[None]).logits[0]
    logits[:, [ENGLISH.index(token) for token in ("<s>", "</s>", "<unk>")]] = -torch.inf
    frames = ((samples.size - 400) // 320 + 1) // 2 * 2  # the odd last frame is no prediction
    tokens = torch.unique_consecutive(logits[:frames].argmax(-1)).tolist()
    letters = "".join(ENGLISH[token] for token in tokens if token)
    return " ".join(letters.replace("|", " ").split())


SPAN_KEYS = ["start", "end", "confidence"]


def until_error(results):
    """The paths of results of `Logits` up to the error that ends a run, and the error."""
    found = []
    try:
        for path, _ in results:
            found.append(path)
    except SewError as error:
        return found, error
    return found, None


class Logits:
    """Consumer of `sewcli.pipeline.run.run` that keeps what it is given: (path, logits)."""

    def __init__(self) -> None:
        self._parts: list[Any] = []

    def push(self, output: Any) -> None:
        """See `sewcli.pipeline.consumer.Consumer`."""
        self._parts.append(output)

    def result(self, recording: Any) -> tuple[str, Any]:
        """See `sewcli.pipeline.consumer.Consumer`."""
        return recording.source.path, np.concatenate(self._parts)

    def pass_over(self) -> None:
        """See `sewcli.pipeline.consumer.Consumer`."""

    def close(self) -> None:
        """See `sewcli.pipeline.consumer.Consumer`."""


def check_spans(spans: list[dict[str, Any]], key: str, begin: float, end: float) -> None:
    """Spans have the right keys, are in order, do not overlap and lie between two times."""
    assert spans
    for span in spans:
        assert list(span) == [key, *SPAN_KEYS]
        assert begin <= span["start"] < span["end"] <= end
        assert 0 < span["confidence"] <= 1
    assert all(one["end"] <= other["start"] for one, other in pairwise(spans))


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def write_own(user_directory: Path, text: str) -> Path:
    user_directory.mkdir(parents=True, exist_ok=True)
    file = user_directory / "models.toml"
    file.write_text(text)
    return file


def in_cache(model: Path, cache: Path, repo: str = "owner/name") -> Path:
    """Put a model into a hub cache, each file a link to its hash as huggingface_hub lays it out."""
    storage = cache / f"models--{repo.replace('/', '--')}"
    snapshot = storage / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (storage / "blobs").mkdir()
    (storage / "refs").mkdir()
    (storage / "refs" / "main").write_text(COMMIT)
    for file in model.iterdir():
        content = file.read_bytes()
        if file.suffix == ".safetensors":
            name = hashlib.sha256(content).hexdigest()
        else:
            name = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        (storage / "blobs" / name).write_bytes(content)
        (snapshot / file.name).symlink_to(storage / "blobs" / name)
    return snapshot


def short_of_memory(model: Any, monkeypatch: pytest.MonkeyPatch, lacks: Callable[[Any], bool]) -> None:
    """Have a model run out of memory on the batches of segments of which `lacks` says so."""
    import torch

    begin = model._begin

    def limited(segments: Any) -> Any:
        if lacks(segments):
            raise torch.OutOfMemoryError("no memory left")
        return begin(segments)

    monkeypatch.setattr(model, "_begin", limited)
