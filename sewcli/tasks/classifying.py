"""A classification model that names the labels of clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sewcli.hub.fetching import LocalModel
from sewcli.results import Classification, Failure
from sewcli.tasks.shared import model_info, pictured, run_settings

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel
    from sewcli.inputs.source import Source
    from sewcli.pipeline.consumer import Consumer
    from sewcli.pipeline.run import Options
    from sewcli.tasks.shared import Picture


class Classifying:
    """A classification model with all that decides about its labels.

    Args:
        local: the model's files.
        network: the model.
        options: how recordings are read and batched, see `Options.for_clips`.
        top: how many labels to keep.
        picture: see `Transcribing`.

    Attributes:
        settings: everything that can change the labels.
    """

    def __init__(
        self,
        local: LocalModel,
        network: RunningModel,
        options: Options,
        top: int,
        picture: Picture | None = None,
    ) -> None:
        self._network = network
        self._picture = picture
        self._options = options
        self._info = model_info(local)
        self._top = top
        self.settings = {"top": top, **run_settings(network, options.audio_engine)}

    def results(self, sources: Iterable[Source]) -> Iterator[Classification | Failure]:
        """The labels or a failure for each source, in order; see `sewcli.pipeline.run.run`."""
        from sewcli.pipeline.run import run

        return run(sources, self._network, self._consumer, self._options)

    def _consumer(self) -> Consumer[Classification]:
        from sewcli.consumers.classifier import Classifier

        classifier = Classifier(self._network.labels, self._info, self._top)
        return pictured(classifier, self._picture)
