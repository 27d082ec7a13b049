"""Measurements of the network alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sewcli.acoustic.cuda import settle_cuda
from sewcli.acoustic.engine.operators import OneDnnOperators, find_operators
from sewcli.acoustic.load import DTYPES, load_model
from sewcli.acoustic.model import Segment
from sewcli.acoustic.running import RunningModel
from sewcli.acoustic.statistics import wave_statistics
from sewcli.bench.apart import NetworkApart, network_apart
from sewcli.bench.material import WAV2VEC2_BASE, batch_of_speech, model_directory, speech
from sewcli.bench.table import Table
from sewcli.bench.timing import medians
from sewcli.chunking import ChunkPlan, kept_frame_count

#: models of the comparison in the paper: SEW and SEW-D against wav2vec 2.0
PAPER = ("sew-tiny", "sew-mid", "sew-d-tiny", "sew-d-mid")
#: side of the square matrices whose product is the ceiling, and on a card, which that would not fill
_CEILING_SIDE = 1536
_CARD_CEILING_SIDE = 8192
_CARD_ROWS = 32


@dataclass(frozen=True)
class NetworkOptions:
    """What is measured.

    Attributes:
        models: sizes (see `material.SIZES`) or models.
        dtypes: of the engine; transformers always runs in float32.
        seconds: length of the audio.
        repeats: rounds.
        device: of both.
        compiled: see `load_model`.
    """

    models: Sequence[str]
    dtypes: Sequence[str]
    seconds: float
    repeats: int
    device: str
    compiled: bool = False

    @property
    def on_card(self) -> bool:
        """Whether the networks run on a GPU."""
        return torch.device(self.device).type != "cpu"

    @property
    def rows(self) -> int:
        """Of a batch: one on a CPU, and on a card several, which fill it."""
        return _CARD_ROWS if self.on_card else 1


@torch.inference_mode()
def network(options: NetworkOptions) -> Iterator[Table]:
    """The engine against transformers (eager, float32) in a process of its own, with the same weights."""
    settle_cuda()
    counted = DTYPES.keys() & options.dtypes if options.on_card else set()
    ceilings = {dtype: _ceiling(options.device, DTYPES[dtype]) for dtype in sorted(counted | {"float32"})}
    kept = kept_frame_count(batch_of_speech(options.seconds).samples.shape[1])
    rows = []
    for name in options.models:
        with model_directory(name) as local, _apart(local.directory, options) as reference:
            engines = {
                dtype: load_model(
                    local,
                    "ctc",
                    engine="fast",
                    dtype=dtype,
                    device=options.device,
                    compiled=options.compiled,
                )
                for dtype in options.dtypes
            }
            runs = [_engine_run(engine, options.seconds, options.rows) for engine in engines.values()]
            base, *seconds = medians([reference.run, *runs], options.repeats)
            work = reference.operations()
            expected = torch.from_numpy(reference.logits())[:kept]
        for run, dtype, median in zip(runs, engines, seconds, strict=True):
            result = run()[0, :kept].float()
            error = float((result - expected).abs().max() / expected.abs().max())
            same = float((result.argmax(-1) == expected.argmax(-1)).float().mean())
            share = f"{100 * work / median / ceilings[dtype]:.0f}" if dtype in ceilings else "-"
            rows.append(
                (
                    name,
                    dtype,
                    _milliseconds(base),
                    _milliseconds(median),
                    f"{base / median:.2f}",
                    share,
                    f"{error:.0e}",
                    f"{100 * same:.1f}",
                )
            )
    title = (
        f"{_audio(options)}, {torch.get_num_threads()} threads, median of {options.repeats}: "
        "transformers (eager, float32) over the engine. The ceiling is the best matrix product of this "
        f"machine: {', '.join(f'{best / 1e9:.0f} GFLOP/s in {dtype}' for dtype, best in ceilings.items())}."
    )
    columns = (
        "model",
        "dtype",
        "transformers ms",
        "sew ms",
        "ratio",
        "% of ceiling",
        "error",
        "same best token %",
    )
    yield Table("network", title, columns, tuple(rows))


@torch.inference_mode()
def threads(options: NetworkOptions) -> Iterator[Table]:
    """The engine over numbers of threads."""
    most = torch.get_num_threads()
    counts = sorted({1, 2, most})
    rows = []
    try:
        for name in options.models:
            with model_directory(name) as local:
                model = load_model(
                    local, "ctc", engine="fast", device=options.device, compiled=options.compiled
                )
            forward = _engine_run(model, options.seconds)

            def run(count: int, forward: Callable[[], torch.Tensor] = forward) -> None:
                torch.set_num_threads(count)
                forward()

            taken = medians([functools.partial(run, count) for count in counts], options.repeats)
            rows.append((name, *(f"{taken[0] / seconds:.2f}" for seconds in taken)))
    finally:
        torch.set_num_threads(most)
    title = f"Speed of the engine in float32 over that with one thread, {options.seconds:g} s of audio."
    yield Table("threads", title, ("model", *map(str, counts)), tuple(rows))


@torch.inference_mode()
def chunks(options: NetworkOptions) -> Iterator[Table]:
    """The engine over lengths of chunks."""
    lengths = (5.0, 10.0, 20.0, 30.0, 60.0)
    whole = speech(120.0)
    statistics = wave_statistics(whole)
    rows = []
    for name in options.models:
        with model_directory(name) as local:
            model = load_model(local, "ctc", engine="fast", device=options.device, compiled=options.compiled)

        def run(chunk: float, model: RunningModel = model) -> None:
            for piece in ChunkPlan.from_seconds(chunk, 1.0).chunks(whole.size):
                model([Segment(whole[piece.start : piece.stop], statistics)])

        taken = medians([functools.partial(run, chunk) for chunk in lengths], max(1, options.repeats // 2))
        base = taken[lengths.index(20.0)]
        rows.append((name, *(f"{base / seconds:.2f}" for seconds in taken)))
    title = "Two minutes of audio in chunks with a stride of 1 s: speed over that with chunks of 20 s."
    yield Table("chunks", title, ("model", *(f"{length:g} s" for length in lengths)), tuple(rows))


@torch.inference_mode()
def paper(options: NetworkOptions) -> Iterator[Table]:
    """SEW and SEW-D against wav2vec 2.0 base, as the paper has it."""
    rows = []
    with _apart(WAV2VEC2_BASE, options) as baseline:
        for name in PAPER:
            with model_directory(name) as local, _apart(local.directory, options) as reference:
                engine = load_model(local, "ctc", engine="fast", device=options.device)
                runs = [
                    baseline.run,
                    reference.run,
                    _engine_run(engine, options.seconds, options.rows),
                ]
                base, plain, fast = medians(runs, options.repeats)
            rows.append((name, _milliseconds(base), f"{base / plain:.2f}", f"{base / fast:.2f}"))
    title = (
        f"{_audio(options)}: speed over wav2vec 2.0 base in transformers (eager, float32), of "
        f"SEW in transformers and in the engine."
    )
    yield Table("paper", title, ("model", "wav2vec2-base ms", "transformers", "sew"), tuple(rows))


def _apart(source: Path | str, options: NetworkOptions) -> AbstractContextManager[NetworkApart]:
    return network_apart(source, options.seconds, options.device, torch.get_num_threads(), options.rows)


def _audio(options: NetworkOptions) -> str:
    """What a network gets, for titles."""
    return f"{options.seconds:g} s of audio" + (f" in each of {options.rows} rows" if options.on_card else "")


def _milliseconds(seconds: float) -> str:
    """Three digits of them at least."""
    return f"{1000 * seconds:.0f}" if seconds >= 0.1 else f"{1000 * seconds:.3g}"


def _engine_run(model: RunningModel, seconds: float, rows: int = 1) -> Callable[[], torch.Tensor]:
    """A forward pass of the engine on speech that is on the device, logits on the CPU at its end."""
    batch = batch_of_speech(seconds, model.least_frames, rows).to(torch.device(model.device))
    return lambda: model.forward(batch).cpu()


def _ceiling(device: str, dtype: torch.dtype) -> float:
    """Operations a second of the best matrix product: torch's own and oneDNN with packed weights."""
    side = _CARD_CEILING_SIDE if torch.device(device).type == "cuda" else _CEILING_SIDE
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def synchronise() -> None:
        if left.is_cuda:
            torch.cuda.synchronize(left.device)

    def plain() -> Any:
        result = left @ right
        synchronise()
        return result

    runs = [plain]
    operators = find_operators(left.device, dtype)
    if isinstance(operators, OneDnnOperators):
        packed, bias = operators.pack(right), torch.zeros(side)
        runs.append(lambda: operators.linear(left, packed, bias))
    return 2 * side**3 / min(medians(runs, 9))
