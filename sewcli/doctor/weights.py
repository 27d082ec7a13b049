"""Whether the files of a model are whole and belong together."""

from __future__ import annotations

from sewcli.errors import ModelError
from sewcli.hub.fetching import LocalModel


def check_model(local: LocalModel) -> None:
    """Check the hashes that the hub told, read every weight and run the network once.

    Raises:
        ModelError: a file is missing, damaged or does not belong to the others.
    """
    from sewcli.acoustic.checkpoint import declared_task
    from sewcli.hub.cache import check_hashes

    check_hashes(local.directory)
    _check_finite(local)
    _run(local, declared_task(local.directory) or local.spec.task or "features")


def _check_finite(local: LocalModel) -> None:
    """Raise ModelError for a weight that is not a number; a pickle is read by the run alone."""
    from safetensors import safe_open

    from sewcli.acoustic.files import weight_files, weight_names

    weight_names(local.directory)  # names files that are missing or cut
    for file in weight_files(local.directory):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                if not bool(tensors.get_tensor(name).isfinite().all()):
                    raise ModelError(
                        f"{file} is damaged: {name} holds values that are not numbers",
                        hint="fetch the model again",
                        code="damaged_model",
                    )


def _run(local: LocalModel, task: str) -> None:
    """Load a network, which compares all names and shapes, and run it once."""
    import numpy as np

    from sewcli.acoustic.load import load_model
    from sewcli.acoustic.model import Segment
    from sewcli.acoustic.statistics import wave_statistics
    from sewcli.chunking import SAMPLE_RATE
    from sewcli.decoding.vocabulary import load_vocabulary

    network = load_model(local, task, device="cpu")
    if task == "ctc":
        load_vocabulary(local.directory, network.columns)
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) / 8
    network([Segment(noise, wave_statistics(noise))])
