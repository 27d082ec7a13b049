"""Which model a command runs, where it comes from and where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from sewcli.acoustic.checkpoint import declared_task
from sewcli.cli import garbage
from sewcli.cli.loading import ending_at_once
from sewcli.cli.preferred import PreferredModel, likely_model
from sewcli.errors import SewError
from sewcli.hub.fetching import LocalModel, fetch
from sewcli.hub.offline import set_offline
from sewcli.inputs.manifest import Task
from sewcli.model_defaults import OptionDefaults
from sewcli.registry import load_registry, resolve

if TYPE_CHECKING:
    from sewcli.acoustic.running import RunningModel


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and where it runs."""

    name: str | None
    revision: str | None
    device: str
    dtype: str
    threads: int | None
    engine: str
    offline: bool
    compile: bool = False

    def defaults(self, task: str) -> OptionDefaults:
        """Of the options, as far as they are known before the model is fetched, which tells what is wrong."""
        try:
            return likely_model(self.name, task, self.revision).defaults_for(task)
        except SewError:
            return OptionDefaults()

    def own_task(self) -> Task | None:
        """What rows the model that the command line names can answer, as far as that is known so far."""
        if self.name is None or isinstance(self.name, PreferredModel):
            return None
        try:
            spec = likely_model(self.name, "ctc", self.revision)
            found = spec.task or (None if spec.path is None else declared_task(spec.path))
        except SewError:  # what is wrong with it is told when it is fetched
            return None
        return next((task for task in get_args(Task) if task == found), None)

    def check(self, task: str) -> None:
        """Refuse a name that means no model (ModelError), and a device that is named and cannot be used.

        That is before the inputs are listed, which takes long for millions.
        """
        likely_model(self.name, task, self.revision)
        if self.device not in ("auto", "cpu"):
            with ending_at_once():
                from sewcli.acoustic.load import find_device

                find_device(self.device)

    def fetch(self, task: str, *, progress: bool) -> LocalModel:
        """The files of the model named, or of the default for `task`.

        One that the environment or a file names counts where its task is the command's; a directory tells
        its task by the architecture in its config.json.
        """
        if self.offline:
            set_offline()
        registry = load_registry()
        name = self.name
        if isinstance(name, PreferredModel):
            spec = resolve(name, registry=registry, revision=self.revision)
            # any model has hidden states
            if task == "features" or spec.task in (None, task):
                local = fetch(spec, offline=self.offline, progress=progress)
                if task == "features" or declared_task(local.directory) in (None, task):
                    return local
            name = None
        if name is None:
            name = registry.default_model(task).name
        spec = resolve(name, registry=registry, revision=self.revision)
        return fetch(spec, offline=self.offline, progress=progress)

    def load(self, local: LocalModel, task: str) -> RunningModel:
        """The network."""
        with ending_at_once():
            from sewcli.acoustic.load import load_model

            network = load_model(
                local,
                task,
                engine=self.engine,
                device=self.device,
                dtype=self.dtype,
                threads=self.threads,
                compiled=self.compile,
            )
        garbage.as_usual()
        return network
