"""Networks of transformers in a process of their own.

What the engine sets for its process would make them faster than they are for whoever runs them without
it: with the memory that glibc keeps for the engine, SEW-D takes 0.7 of the time on a Zen 4, SEW 0.95.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sewcli.acoustic.cuda import settle_cuda
from sewcli.bench.material import batch_of_speech, build_network, plain_network
from sewcli.errors import SewError
from sewcli.processes.sending import send
from sewcli.processes.serving import portable

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Request = Literal["run", "logits", "operations"]


class NetworkApart:
    """A CTC network of transformers, eager attention, in float32.

    Args:
        connection: to its process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self) -> float:
        """A forward pass, logits on the CPU at its end: its seconds."""
        return self._ask("run")  # type: ignore[no-any-return]

    def logits(self) -> NDArray[Any]:
        """Those of the first row of a forward pass: (frames, columns)."""
        return self._ask("logits")  # type: ignore[no-any-return]

    def operations(self) -> float:
        """Floating-point operations a pass needs: two for each multiplication with its addition.

        SEW-D projects its relative embeddings to queries and keys in every pass: once would do, so that is
        not counted.
        """
        return self._ask("operations")  # type: ignore[no-any-return]

    def _ask(self, request: Request) -> Any:
        try:
            send(self._connection, request)
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise SewError("the process with the network of transformers has ended") from error
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextlib.contextmanager
def network_apart(
    source: Path | str, seconds: float, device: str, threads: int, rows: int = 1
) -> Iterator[NetworkApart]:
    """A network ready to run on speech, until the end of the block.

    Args:
        source: a directory, or a published size for random weights.
        seconds: of speech.
        device: where it runs.
        threads: of torch.
        rows: of its batch.

    Raises:
        SewError: its process has ended.
        Exception: what went wrong in it, in any request.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    given = (theirs, source, seconds, device, threads, rows)
    process = context.Process(target=_serve, args=given, daemon=True)
    with ours:
        process.start()
        theirs.close()
        try:
            network = NetworkApart(ours)
            network.run()
            yield network
        finally:
            process.kill()
            process.join()


def _serve(
    connection: Connection, source: Path | str, seconds: float, device: str, threads: int, rows: int
) -> None:
    """Answer requests until there are no more; what goes wrong is an answer too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side ends this process
    os.dup2(2, 1)  # standard output is for tables
    answer: Callable[[Request], Any] | Exception
    try:
        answer = _answers(source, seconds, device, threads, rows)
    except Exception as error:
        answer = portable(error, "load the network of transformers")
    with contextlib.suppress(EOFError, OSError):
        while True:
            request = connection.recv()
            try:
                reply = answer if isinstance(answer, Exception) else answer(request)
            except Exception as error:
                reply = portable(error, "run the network of transformers")
            send(connection, reply)


def _answers(
    source: Path | str, seconds: float, device: str, threads: int, rows: int
) -> Callable[[Request], Any]:
    """Load the network; what answers requests."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    if torch.device(device).type == "cuda":
        settle_cuda()  # float32 is to be float32
    network = plain_network(source) if isinstance(source, Path) else build_network(source)
    network = network.to(device)
    samples = batch_of_speech(seconds, rows=rows).samples.to(device)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        return network(samples).logits.cpu()  # type: ignore[no-any-return]

    def answer(request: Request) -> Any:
        if request == "operations":
            return _operations(network, samples)
        start = time.perf_counter()
        logits = run()
        seconds = time.perf_counter() - start
        return logits[0].numpy() if request == "logits" else seconds

    return answer


def _operations(network: Any, samples: torch.Tensor) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # the counter cannot follow a weight norm in inference mode
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(samples)
    counted = float(counter.get_total_flops())
    config = network.config
    if config.model_type != "sew-d":
        return counted
    span = config.position_buckets if config.position_buckets > 0 else config.max_position_embeddings
    projected = 2 * 2 * (2 * span) * config.hidden_size**2 * config.num_hidden_layers
    return counted - float(projected)
