"""A classification model that looks for keywords in long audio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sewcli.hub.fetching import LocalModel
from sewcli.results import Detections, Failure, KeywordEvent
from sewcli.tasks.shared import model_info, run_settings

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel
    from sewcli.inputs.source import Source
    from sewcli.spotting.options import SpottingOptions
    from sewcli.tasks.shared import Picture


class Spotting:
    """A classification model that looks for keywords in long audio.

    Args:
        local: the model's files.
        network: the model.
        spotting: windows and events.
        batch_seconds: audio in one batch.
        audio_engine: of the decoding.
        picture: see `Transcribing`.

    Attributes:
        settings: everything that can change the events.

    Raises:
        UsageError: the model has no such labels.
    """

    def __init__(
        self,
        local: LocalModel,
        network: RunningModel,
        spotting: SpottingOptions,
        batch_seconds: float,
        audio_engine: str,
        picture: Picture | None = None,
    ) -> None:
        from sewcli.spotting.spotter import Spotter

        spotting.columns(network.labels)
        self._spotter = Spotter(network, model_info(local), spotting, batch_seconds, audio_engine, picture)
        self.settings = spotting.as_settings() | run_settings(network, audio_engine)

    def results(self, sources: Iterable[Source]) -> Iterator[KeywordEvent | Detections | Failure]:
        """The events of each source as they end, then all of them; see `sewcli.spotting.spotter`."""
        return self._spotter.results(sources)
