"""What is measured on: models of the published sizes with random weights, and recordings made of speech."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sewcli.chunking import PAIR, SAMPLE_RATE
from sewcli.errors import UsageError
from sewcli.hub.fetching import LocalModel, fetch
from sewcli.registry import ModelSpec, resolve

if TYPE_CHECKING:
    from sewcli.acoustic.batch import Batch

#: hidden size, layers, heads and positional kernel of the published models
SIZES = {
    "sew-tiny": (512, 12, 8, 31),
    "sew-small": (768, 12, 12, 31),
    "sew-mid": (768, 24, 12, 31),
    "sew-d-tiny": (384, 12, 6, 31),
    "sew-d-small": (512, 12, 8, 31),
    "sew-d-mid": (512, 24, 8, 31),
    "sew-d-mid-k127": (512, 24, 8, 127),
    "sew-d-base": (768, 24, 12, 31),
}
#: the model the paper compares with: twice the frames in every layer, and a wider front end
WAV2VEC2_BASE = "wav2vec2-base"
_TOKENIZER = ("vocab.json", "tokenizer_config.json", "preprocessor_config.json")
#: level and frequency of the hum under the speech, so that no stretch is digital silence
_HUM, _HUM_HZ = 0.003, 120.0
#: samples beyond a whole number of seconds that complete their last pair of frames
_PAIR_END = 80


def build_network(name: str) -> Any:
    """A CTC network of transformers with random weights, eager attention, in float32.

    Raises:
        UsageError: no such size.
    """
    import torch
    import transformers

    if name == WAV2VEC2_BASE:
        config = transformers.Wav2Vec2Config(attn_implementation="eager")
        cls: Any = transformers.Wav2Vec2ForCTC
    elif name in SIZES:
        hidden, layers, heads, kernel = SIZES[name]
        family = "SEWD" if name.startswith("sew-d") else "SEW"
        config = getattr(transformers, f"{family}Config")(
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            num_conv_pos_embeddings=kernel,
            attn_implementation="eager",
        )
        cls = getattr(transformers, f"{family}ForCTC")
    else:
        raise UsageError(f"no size {name!r} to measure", hint=f"one of {', '.join([*SIZES, WAV2VEC2_BASE])}")
    torch.manual_seed(0)
    return cls(config).eval()


@contextmanager
def model_directory(name: str) -> Iterator[LocalModel]:
    """A directory with a random model of a published size and the vocabulary of `nano`, or the model `name`.

    Args:
        name: a key of `SIZES`, or alias, directory or repository of a real model.
    """
    if name not in SIZES:
        yield fetch(resolve(name))
        return
    with TemporaryDirectory(prefix="sew-bench-") as folder:
        target = Path(folder) / name
        build_network(name).save_pretrained(target)
        tokenizer = fetch(resolve("nano")).directory
        for file in _TOKENIZER:
            shutil.copy(tokenizer / file, target / file)
        yield LocalModel(ModelSpec(alias=name, path=target), target, None)


def plain_network(directory: Path) -> Any:
    """The CTC network of a directory in transformers itself: eager attention, float32, on the CPU."""
    import torch
    from transformers import AutoModelForCTC

    network = AutoModelForCTC.from_pretrained(directory, attn_implementation="eager", dtype=torch.float32)
    return network.eval()


def batch_of_speech(
    seconds: float, least_frames: Callable[[int], int] = lambda _: PAIR, rows: int = 1
) -> Batch:
    """Rows of speech (see `speech`), all the same, whose last pair of frames is complete.

    Args:
        seconds: of speech.
        least_frames: of the model, which may want a wider batch for so many samples.
        rows: how many.
    """
    from sewcli.acoustic.batch import make_batch
    from sewcli.acoustic.statistics import wave_statistics

    samples = speech(seconds + _PAIR_END / SAMPLE_RATE)
    least = least_frames(samples.size)
    statistics = [wave_statistics(samples)] * rows
    return make_batch([samples] * rows, statistics, normalize=True, least_frames=least)


def speech(seconds: float) -> NDArray[np.float32]:
    """Samples at 16 kHz, shape (seconds * 16000,): syllables of a voice of noise and hum, with pauses.

    Real speech does not ship in a wheel, and noise alone would make beam search and lossless compression
    look worse than they are on speech.
    """
    rng = np.random.default_rng(0)
    count = round(seconds * SAMPLE_RATE)
    samples = np.empty(count, dtype=np.float32)
    block = 60 * SAMPLE_RATE
    for start in range(0, count, block):
        size = min(block, count - start)
        time = (start + np.arange(size)) / SAMPLE_RATE
        syllables = np.clip(np.sin(2 * np.pi * 3.1 * time) + 0.4 * np.sin(2 * np.pi * 0.23 * time), 0, None)
        voice = sum(np.sin(2 * np.pi * _HUM_HZ * k * time) / k for k in range(1, 12))
        noise = rng.standard_normal(size)
        samples[start : start + size] = syllables * (0.06 * voice + 0.04 * noise) + _HUM * noise
    return samples


def write_recording(path: Path, seconds: float, rate: int = SAMPLE_RATE, channels: int = 1) -> Path:
    """Write a recording in the format of the path's suffix, a minute at a time."""
    import soundfile

    minute = speech(60.0)
    with soundfile.SoundFile(path, "w", rate, channels) as file:
        left = round(seconds * rate)
        while left > 0:
            # the rate is only declared: what is timed is the resampling of so many samples
            block = np.resize(minute, min(left, 60 * rate))
            file.write(np.repeat(block[:, None], channels, axis=1) if channels > 1 else block)
            left -= block.size
    return path


def machine(device: str) -> dict[str, str]:
    """What the figures of a device hold for: processor, cores, torch and transformers."""
    import platform
    from importlib.metadata import version

    import torch

    from sewcli import __version__
    from sewcli.acoustic.processor import has_instructions

    # it multiplies tiles of bfloat16, of which torch says nothing
    amx = has_instructions("amx_bf16")
    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability() + (", AMX" if amx else ""),
        "threads": str(torch.get_num_threads()),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": f"sew {__version__}, torch {torch.__version__}, transformers {version('transformers')}",
        "cuda": torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "none",
    }


def _processor() -> str:
    import os
    import platform

    from sewcli.acoustic.processor import described

    return f"{described('model name') or platform.processor()}, {os.cpu_count()} cores"
