"""An encoder that gives its hidden states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from sewcli.hub.fetching import LocalModel
from sewcli.results import Embedding, Failure
from sewcli.tasks.shared import chunk_settings, model_info

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel
    from sewcli.consumers.embedder import Embedder
    from sewcli.inputs.source import Source
    from sewcli.pipeline.run import Options


class Encoding:
    """An encoder with all that decides about its hidden states.

    Args:
        local: the model's files.
        network: the model, loaded for "features".
        options: how recordings are read, cut and batched.
        layer: see `Embedder`.
        pool: "none" or "mean".
        attentions: give these too.

    Attributes:
        settings: everything that can change the values, layer and pool aside.
        choice: those two, and whether there are attentions.

    Raises:
        UsageError: there is no such layer, or the network never holds attentions.
    """

    def __init__(
        self,
        local: LocalModel,
        network: RunningModel,
        options: Options,
        *,
        layer: int | None = None,
        pool: Literal["none", "mean"] = "none",
        attentions: bool = False,
    ) -> None:
        self._network = network.giving(layer, attentions=attentions)
        self._options = options
        self._info = model_info(local)
        self._layer, self._pool, self._attentions = layer, pool, attentions
        self.settings = chunk_settings(network, options)
        self.choice = {"layer": layer, "pool": pool} | ({"attentions": True} if attentions else {})

    def results(self, sources: Iterable[Source]) -> Iterator[Embedding | Failure]:
        """The hidden states or a failure for each source, in order; see `sewcli.pipeline.run.run`."""
        from sewcli.pipeline.run import run

        return run(sources, self._network, self._consumer, self._options)

    def _consumer(self) -> Embedder:
        from sewcli.consumers.embedder import Embedder

        return Embedder(
            self._network.columns, self._layer, self._pool, self._info, self.settings, self._attentions
        )
