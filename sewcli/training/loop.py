"""The training loop: updates, evaluations, checkpoints, and resuming as if never stopped.

Every random choice of an update follows from (seed, step) alone and the order of the clips from
(seed, epoch), so a checkpoint needs no generator states and a resumed run continues the same way.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sewcli.acoustic.batch import Batch, make_batch
from sewcli.acoustic.forward import Model
from sewcli.acoustic.statistics import wave_statistics
from sewcli.chunking import FRAME_SECONDS, SAMPLE_RATE
from sewcli.errors import UsageError
from sewcli.training.augment import Samples, add_noise, cut, load_noise
from sewcli.training.batches import Bucketing, endless
from sewcli.training.initialise import teach_front_end
from sewcli.training.recipe import Recipe

log = logging.getLogger("sewcli")


class Task(Protocol):
    """What differs between transcription and classification."""

    selection_metric: str

    @property
    def lengths(self) -> NDArray[np.int64]: ...  # noqa: D102
    def example(self, index: int, speed: float, rng: np.random.Generator) -> tuple[Samples, Any]: ...  # noqa: D102
    def loss(self, model: Model, batch: Batch, targets: list[Any]) -> torch.Tensor: ...  # noqa: D102
    def prepare_head(self, model: Model) -> None: ...  # noqa: D102
    def evaluate(  # noqa: D102
        self, model: Model, batch_samples: int
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]: ...


class StopRequest:
    """Holds SIGINT and SIGTERM back while an update is in hand: half an update is no checkpoint."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, _number: int, _frame: object) -> None:
        if self.requested:  # asked twice: at once
            raise KeyboardInterrupt
        self.requested = True


class Trainer:
    """Trains one model by a recipe, in a directory that holds its checkpoint and its log.

    Files in the directory: `state.pt` (all that resuming needs), `best.pt` (the averaged weights that
    did best on dev), both written atomically, and `metrics.jsonl` (one line an evaluation).
    """

    def __init__(self, recipe: Recipe, model: Model, task: Task, directory: Path) -> None:
        self.recipe = recipe
        self.model = model
        self.task = task
        self.directory = directory
        self.step = 0
        self.best: float | None = None
        self.noise = load_noise(recipe.noise) if recipe.noise_probability else []
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=recipe.peak_rate,
            betas=(0.9, 0.98),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.average = _moving_average(model, recipe)
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def state_file(self) -> Path:
        """Where the checkpoint lies."""
        return self.directory / "state.pt"

    @property
    def best_file(self) -> Path:
        """The averaged weights that did best on dev."""
        return self.directory / "best.pt"

    def run(self, after_step: Callable[[int], None] | None = None) -> None:
        """Train to the recipe's last step, from the checkpoint if there is one.

        SIGINT and SIGTERM let the update in hand finish, write a checkpoint and raise KeyboardInterrupt.
        `after_step` is called with the number of updates done, after each.
        """
        if self.state_file.exists():
            self._load()
            log.info("resumed at step %d of %d", self.step, self.recipe.steps)
        elif self.recipe.init is None:
            self.task.prepare_head(self.model)
            if self.recipe.front_end_steps:
                self._teach_front_end()
        self.model.train()
        with StopRequest() as stop:
            self._updates(after_step, stop)

    def _updates(self, after_step: Callable[[int], None] | None, stop: StopRequest) -> None:
        started, audio, total_loss, since = time.monotonic(), 0.0, 0.0, 0
        for batch, targets in self._batches(self.step):
            if self.step >= self.recipe.steps:
                break
            total_loss += self._update(batch, targets)
            audio += float(batch.frames.sum()) * FRAME_SECONDS
            since += 1
            self.step += 1
            if after_step is not None:
                after_step(self.step)
            if self.step % self.recipe.eval_every == 0 or self.step == self.recipe.steps:
                speed = audio / (time.monotonic() - started)
                self._evaluate(total_loss / since, speed)
                started, audio, total_loss, since = time.monotonic(), 0.0, 0.0, 0
            elif self.step % self.recipe.save_every == 0:
                self._save(self.state_file, self._state())
            if self.step % 50 == 0 and since:
                log.info("step %d loss %.3f", self.step, total_loss / since)
            # after an evaluation that was due, which the resumed run would not make up for
            if stop.requested:
                self._save(self.state_file, self._state())
                raise KeyboardInterrupt

    def learning_rate(self, step: int) -> float:
        """Linear rise over the warm-up, then constant, then linear fall to zero."""
        decay_start = self.recipe.decay_from * self.recipe.steps
        rise = min(1.0, (step + 1) / max(1, self.recipe.warmup))
        fall = min(1.0, (self.recipe.steps - step) / max(1.0, self.recipe.steps - decay_start))
        return self.recipe.peak_rate * min(rise, fall)

    def _update(self, batch: Batch, targets: list[Any]) -> float:
        torch.manual_seed((self.recipe.seed << 32) + self.step)
        # transformers draws the masks of SpecAugment from numpy's global generator
        np.random.seed((self.recipe.seed * 1_000_003 + self.step) % 2**32)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = self.task.loss(self.model, batch, targets)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        if not torch.isfinite(norm):
            log.warning("step %d skipped: the gradient is not finite", self.step)
            return 0.0
        self.optimizer.step()
        self.average.update_parameters(self.model)
        return loss.item()

    def _teach_front_end(self) -> None:
        def report(step: int, loss: float) -> None:
            log.info("front end %d/%d: squared error %.3f", step, self.recipe.front_end_steps, loss)

        batches = (batch for batch, _ in self._batches(0))
        teach_front_end(self.model, batches, self.recipe.front_end_steps, report)
        self.average = _moving_average(self.model, self.recipe)

    def _batches(self, start_step: int) -> Iterator[tuple[Batch, list[Any]]]:
        """Batches from update `start_step` on, made ahead in a thread, whose errors are raised here."""
        ready: queue.Queue[tuple[Batch, list[Any]] | Exception] = queue.Queue(maxsize=3)
        stop = threading.Event()

        def put(item: tuple[Batch, list[Any]] | Exception) -> None:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=1.0)
                except queue.Full:
                    continue
                return

        def fill() -> None:
            try:
                for item in self._plan(start_step):
                    put(item)
                    if stop.is_set():
                        return
            except Exception as error:
                put(error)

        threading.Thread(target=fill, daemon=True).start()
        try:
            while True:
                item = ready.get()
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            stop.set()

    def _plan(self, start_step: int) -> Iterator[tuple[Batch, list[Any]]]:
        recipe = self.recipe
        batch_samples = int(recipe.batch_seconds * SAMPLE_RATE)
        bucketing = Bucketing(batch_samples, recipe.pool_batches, recipe.shortest_first)
        plan = endless(self.task.lengths, bucketing, recipe.seed, start_step)
        for step, (_, clips) in enumerate(plan, start=start_step):
            yield self._make(step, clips)

    def _make(self, step: int, clips: NDArray[np.int64]) -> tuple[Batch, list[Any]]:
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        rows, targets = [], []
        for clip in clips:
            speed = float(rng.choice(self.recipe.speeds))
            samples, target = self.task.example(int(clip), speed, rng)
            if self.noise and rng.random() < self.recipe.noise_probability:
                noise = cut(self.noise[int(rng.integers(len(self.noise)))], samples.size, rng)
                samples = add_noise(samples, noise, float(rng.uniform(*self.recipe.noise_snr)))
            rows.append(samples)
            targets.append(target)
        return make_batch(rows, [wave_statistics(row) for row in rows], normalize=True), targets

    def _evaluate(self, loss: float, speed: float) -> None:
        model = self.average.module
        model.eval()
        metrics, pairs = self.task.evaluate(model, int(4 * self.recipe.batch_seconds * SAMPLE_RATE))
        model.train()
        record = {"step": self.step, "train_loss": loss, "speed": speed, **metrics}
        with (self.directory / "metrics.jsonl").open("a") as out:
            out.write(json.dumps(record) + "\n")
        shown = ", ".join(f"{key} {value:.3f}" for key, value in metrics.items() if "_" not in key)
        log.info("step %d: train loss %.3f, dev %s, %.0f x real time", self.step, loss, shown, speed)
        for reference, hypothesis in pairs[:: max(1, len(pairs) // 4)][:4]:
            log.info("    %s | %s", reference, hypothesis)
        score = metrics[self.task.selection_metric]
        if self.best is None or score <= self.best:
            self.best = score
            self._save(self.best_file, {"model": model.state_dict(), "step": self.step})
        self._save(self.state_file, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "recipe": self._settings(),
            "best": self.best,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def _load(self) -> None:
        state = torch.load(self.state_file, weights_only=True)
        self._compare(state["recipe"])
        self.step, self.best = state["step"], state["best"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _settings(self) -> dict[str, str]:
        return {key: repr(value) for key, value in dataclasses.asdict(self.recipe).items()}

    def _compare(self, before: dict[str, str]) -> None:
        """Tell which settings are others than those of the run that is resumed; refuse another model."""
        now = self._settings()
        changed = sorted(key for key in now if now[key] != before.get(key))
        if {"task", "family", "config"} & set(changed):
            raise UsageError(
                f"the run in {self.directory} has another model: {', '.join(changed)} differ",
                hint="resume it with its own recipe, or choose another -o",
            )
        for key in changed:
            log.warning("%s is %s now; it was %s", key, now[key], before.get(key))

    @staticmethod
    def _save(target: Path, content: Any) -> None:
        temporary = target.with_suffix(".tmp")
        torch.save(content, temporary)
        temporary.replace(target)


def _moving_average(model: Model, recipe: Recipe) -> AveragedModel:
    """A copy of the model that follows its weights slowly."""
    decay = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=decay)
