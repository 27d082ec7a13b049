"""The training loop: updates, evaluations, checkpoints, and resuming as if never stopped.

Every random choice of a batch follows from (seed, number of the batch) and the order of the clips
from (seed, pass), so a checkpoint needs no generator states and a resumed run continues the same way.
accelerate places the model and sums gradients over the processes of
`accelerate launch`; processes take the batches in turn, so that two processes with one batch each
make the update that one process makes of two.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sewcli.acoustic.batch import Batch
from sewcli.acoustic.forward import Model
from sewcli.chunking import FRAME_SECONDS, SAMPLE_RATE
from sewcli.errors import UsageError
from sewcli.training.checkpoint import (
    CHOSEN,
    STATE,
    check_same_run,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
    settings_of,
)
from sewcli.training.course import Course
from sewcli.training.feed import Feed
from sewcli.training.history import History
from sewcli.training.initialise import freeze, teach_front_end
from sewcli.training.interfaces import Observer, Task
from sewcli.training.observers import mean_loss
from sewcli.training.optimizers import learning_rate, make_optimizers, moving_average, restore_optimizers
from sewcli.training.recipe import Recipe
from sewcli.training.stopping import StopRequest

log = logging.getLogger("sewcli")

_MIB = 1 << 20


class _Objective(nn.Module):
    """Model and loss as one module, which is what accelerate can spread over processes."""

    def __init__(self, model: Model, task: Task) -> None:
        super().__init__()
        self.model = model
        self._task = task

    def forward(self, batch: Batch, targets: list[Any]) -> torch.Tensor:
        return self._task.loss(self.model, batch, targets)


class Trainer:
    """Trains one model by a recipe, in a directory that holds its checkpoints.

    Args:
        recipe: how.
        model: what, in place.
        task: on what, and by which loss.
        directory: for the checkpoints: `state-STEP` of the run and `chosen-STEP` of the averaged weights that
            become the model, which are those that did best on dev, or the last ones.
        accelerator: of accelerate.
        history: of the clips.
        observers: told of updates and evaluations (main process).
    """

    def __init__(
        self,
        recipe: Recipe,
        model: Model,
        task: Task,
        directory: Path,
        accelerator: Any,
        history: History,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.recipe = recipe
        self.model = model.to(accelerator.device)
        self.task = task
        self.directory = directory
        self.step = 0
        #: batches of all processes so far
        self.batches = 0
        self.best: tuple[float, ...] | None = None
        self.best_step = 0
        #: evaluations since that one
        self.waited = 0
        self._course = Course(recipe, directory)
        #: update of the last evaluation
        self._evaluated = 0
        #: of the updates since the last evaluation
        self._losses: list[float] = []
        self._accelerator = accelerator
        self._history = history
        self._observers = observers
        freeze(model, recipe)
        self.optimizers = make_optimizers(model, recipe.optimizer, recipe.weight_decay)
        self.average = moving_average(model, recipe)
        directory.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        """Train to the recipe's last step, from the checkpoint if there is one.

        SIGINT, SIGTERM and SIGHUP let the update in hand finish, write a checkpoint and raise
        KeyboardInterrupt.

        Raises:
            UsageError: the training has diverged: weights, gradients or the loss on dev are no numbers.
        """
        # as the main process finds it: it may be the first to write here, while others are still to look
        found, chosen = self._of_main([has_checkpoint(self.directory, kind) for kind in (STATE, CHOSEN)])
        state = load_checkpoint(self.directory) if found else None
        if state is not None:
            self._restore(state, chosen=chosen)
            log.info("resumed at step %d of %d", self.step, self.recipe.steps)
            if self.step >= self.recipe.steps and not (chosen and self._evaluated == self.step):
                # it is the end now, by another number of steps
                self._evaluate(math.nan, math.nan)
        elif self.recipe.init is None and self.recipe.front_end_steps and self.recipe.feature_encoder is None:
            self._teach_front_end()
            self._save()
        elif self.recipe.init is not None:
            # what it starts from is the first to choose from: what is learned may be worse
            self._evaluate(math.nan, math.nan)
        self.model.train()
        objective = self._accelerator.prepare(_Objective(self.model, self.task))
        try:
            with StopRequest.awaited() as stop:
                self._updates(objective, stop)
            if self.recipe.init is not None and not self.best_step and self.recipe.choose == "best":
                log.warning("no update made the model better on dev: it is what it started from")
        finally:
            for observer in self._observers:
                observer.close()

    def _updates(self, objective: Any, stop: StopRequest) -> None:
        processes = self._accelerator.num_processes
        first = self.batches + self._accelerator.process_index
        batches = iter(Feed(self.recipe, self.task, first, processes))
        started, audio = time.monotonic(), 0.0
        while self.step < self.recipe.steps and not self._gained_nothing():
            loss, seconds = self._update(objective, batches)
            self.step += 1
            self.batches += self.recipe.accumulate * processes
            audio += seconds * processes
            self._losses.append(loss)
            speed = audio / (time.monotonic() - started)
            for observer in self._observers:
                observer.updated(self.step, loss, learning_rate(self.recipe, self.step - 1), speed)
            if self.step % self.recipe.eval_every == 0 or self.step == self.recipe.steps:
                loss, self._losses = mean_loss(self._losses), []
                self._evaluate(loss, speed)
                started, audio = time.monotonic(), 0.0
            elif self.step % self.recipe.save_every == 0:
                self._save()
            if self._any_process(stop.requested):
                self._save()
                raise KeyboardInterrupt(
                    f"step {self.step} is kept in {self.directory}; go on with --resume, and with "
                    f"--set steps={self.step} beside it to end here with a model"
                )

    def _any_process(self, flag: bool) -> bool:
        if self._accelerator.num_processes == 1:
            return flag
        flags = self._accelerator.gather(torch.tensor([flag], device=self._accelerator.device))
        return bool(flags.any())

    def _update(self, objective: Any, batches: Iterator[tuple[int, Batch, list[Any]]]) -> tuple[float, float]:
        """One update; its mean loss (nan where it was skipped) and the audio seconds of this process."""
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = learning_rate(self.recipe, self.step)
        self.model.zero_grad()
        self.task.begin(self.step)
        device = self._accelerator.device
        total, seconds = torch.zeros((), device=device), 0.0
        for turn in range(self.recipe.accumulate):
            number, batch, targets = next(batches)
            seconds += float(batch.frames.sum()) * FRAME_SECONDS
            self._seed(number)
            last = turn == self.recipe.accumulate - 1
            with nullcontext() if last else self._accelerator.no_sync(objective):
                with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
                    loss = objective(batch.to(device), targets)
                self._accelerator.backward(loss / self.recipe.accumulate)
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        if not torch.isfinite(norm):
            log.warning("step %d skipped: the gradient is not finite", self.step)
            self._course.skipped(self.model, self.step)
            return math.nan, seconds
        self._course.made()
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update_parameters(self.model)
        return total.item() / self.recipe.accumulate, seconds

    def _seed(self, number: int) -> None:
        """Fix dropout, layerdrop and SpecAugment of a batch."""
        torch.manual_seed((self.recipe.seed << 32) + number)
        # transformers draws the masks of SpecAugment from numpy's global generator
        np.random.seed((self.recipe.seed * 1_000_003 + number) % 2**32)

    def _teach_front_end(self) -> None:
        def report(step: int, loss: float) -> None:
            log.info("front end %d/%d: squared error %.3f", step, self.recipe.front_end_steps, loss)

        batches = (batch for _, batch, _ in Feed(self.recipe, self.task))
        bf16 = self.recipe.precision == "bf16"
        teach_front_end(self.model, batches, self.recipe.front_end_steps, report, bf16=bf16)
        self.average = moving_average(self.model, self.recipe)

    def _evaluate(self, loss: float, speed: float) -> None:
        if self._accelerator.num_processes > 1:
            mean = torch.tensor(loss, device=self._accelerator.device)
            loss = float(self._accelerator.reduce(mean, reduction="mean"))
        if self._accelerator.is_main_process:
            model = self.average.module.eval()
            self._course.check(model, self.step)
            metrics, pairs = self.task.evaluate(model, int(4 * self.recipe.batch_seconds * SAMPLE_RATE))
            record = {"step": self.step, "train_loss": loss, "speed": speed, **metrics}
            for observer in self._observers:
                observer.evaluated(record, pairs)
            score = tuple(metrics[name] for name in self.task.selection_metrics)
            self._course.check_loss(metrics["loss"], self.step)
            better = self.best is None or score < self.best
            self.waited = 0 if better else self.waited + 1
            if better:
                self.best, self.best_step = score, self.step
            if better or self.recipe.choose == "last":
                chosen = {"model": model.state_dict(), "step": self.step}
                save_checkpoint(self.directory, self.step, chosen, self.recipe.part_mib * _MIB, CHOSEN)
        # how dev went, for early stopping
        self.best, self.best_step, self.waited = self._of_main([self.best, self.best_step, self.waited])
        self._evaluated = self.step
        self._save()

    def _of_main(self, values: list[Any]) -> list[Any]:
        """What the main process holds, in all of them."""
        if self._accelerator.num_processes == 1:
            return values
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list(values)  # type: ignore[no-any-return]

    def _gained_nothing(self) -> bool:
        """Whether the last `early_stop` evaluations brought no better one."""
        if not self.recipe.early_stop or self.waited < self.recipe.early_stop:
            return False
        log.info("stopped early: nothing gained on dev since step %d", self.best_step)
        return True

    def _save(self) -> None:
        self._course.check(self.model, self.step)
        if self._accelerator.is_main_process:
            state = {
                "step": self.step,
                "batches": self.batches,
                "processes": self._accelerator.num_processes,
                "data": self.task.fingerprint,
                "dev": self.task.dev_fingerprint,
                "learned": self._history.learned,
                "recipe": settings_of(self.recipe),
                "best": self.best,
                "best_step": self.best_step,
                "waited": self.waited,
                "evaluated": self._evaluated,
                "losses": self._losses,
                "outputs": self.task.outputs,
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            }
            save_checkpoint(self.directory, self.step, state, self.recipe.part_mib * _MIB)
        self._accelerator.wait_for_everyone()

    def _restore(self, state: dict[str, Any], *, chosen: bool) -> None:
        check_same_run(state, self.recipe, self.task.outputs, self.directory)
        if state["data"] != self.task.fingerprint:
            log.warning("the training data are others than those the run began with")
        if "learned" in state:
            self._history.resume(state["learned"])
        if state["processes"] != self._accelerator.num_processes:
            log.warning("processes: %d now, %d before", self._accelerator.num_processes, state["processes"])
        self.step, self.batches, self.best_step = state["step"], state["batches"], state["best_step"]
        self.best = None if state["best"] is None else tuple(state["best"])
        self.waited = state["waited"]
        self._evaluated, self._losses = state["evaluated"], state["losses"]
        if state["dev"] != self.task.dev_fingerprint:
            log.warning("dev is another: weights are chosen from here on")
            self.best, self.best_step, self.waited, self._evaluated = None, self.step, 0, -1
        elif self.best is not None and not chosen:
            log.warning("%s holds no chosen-*: weights are chosen from here on", self.directory)
            self.best, self.best_step, self.waited = None, self.step, 0
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise UsageError(
                f"the run in {self.directory} has other weights than the recipe makes, as of another init",
                hint="resume it with its own recipe and data, or choose another -o",
            ) from error
        self.average.load_state_dict(state["average"])
        restore_optimizers(self.optimizers, state["optimizers"], self.recipe.weight_decay)
