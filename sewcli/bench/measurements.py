"""All measurements by their names, each as the tables it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import transformers

from sewcli.acoustic.load import find_device
from sewcli.bench import networks, whole
from sewcli.bench.material import machine
from sewcli.bench.table import Table


@dataclass(frozen=True)
class Asked:
    """What is measured, and where.

    Attributes:
        models: sizes (see `material.SIZES`) or models; none for those of each measurement.
        dtypes: of the engine; whole runs have them beside the default.
        seconds: of the audio that networks get.
        repeats: rounds.
        quick: whole runs get a tenth of the audio.
        device: as `--device` has it.
        threads: of torch, or None for as many as it takes.
        compiled: see `load_model`.
    """

    models: Sequence[str]
    dtypes: Sequence[str]
    seconds: float
    repeats: int
    quick: bool
    device: str
    threads: int | None
    compiled: bool


def tables(names: Sequence[str], asked: Asked) -> Iterator[Table]:
    """The machine, and then the measurements of these names one after the other."""
    transformers.utils.logging.disable_progress_bar()
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    device = str(find_device(asked.device))
    network = networks.NetworkOptions(
        asked.models or ["sew-tiny", "sew-d-tiny"],
        asked.dtypes,
        asked.seconds,
        asked.repeats,
        device,
        asked.compiled,
    )
    [size, *_] = asked.models or ["sew-tiny"]
    run = whole.WholeOptions(
        size, asked.repeats, torch.get_num_threads(), asked.quick, device, asked.dtypes, asked.compiled
    )
    measurements: dict[str, Callable[[], Iterator[Table]]] = {
        "network": lambda: networks.network(network),
        "threads": lambda: networks.threads(network),
        "chunks": lambda: networks.chunks(network),
        "paper": lambda: networks.paper(network),
        "long-file": lambda: whole.long_file(run),
        "many-files": lambda: whole.many_files(run),
        "start": lambda: whole.start(run),
        "audio": lambda: whole.audio(run),
        "memory": lambda: whole.memory(run),
    }
    yield Table("machine", "What the figures hold for.", ("", ""), tuple(machine(device).items()))
    for name in names:
        yield from measurements[name]()
