"""The loop: one story for CPU and CUDA, one process and several, whole or in pieces.

Images live on the device as uint8. The parameters of the global batch's views are drawn a few
steps ahead; a step makes this process's share of the views, and descends. What is drawn for it
depends on the seed and its number alone (`randomness`), so a resumed run repeats an uninterrupted
one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ssl_companion.data.images import ImageSet
from ssl_companion.training.backbones import padding
from ssl_companion.training.batches import Batches
from ssl_companion.training.checkpoint import (
    CheckpointError,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ssl_companion.training.clock import Clock
from ssl_companion.training.compiling import to_compile
from ssl_companion.training.config import RunConfig
from ssl_companion.training.descent import Descent
from ssl_companion.training.distributed import synchronise_batch_norm, wait_for_all, world
from ssl_companion.training.divergence import DivergedError, check_terms, check_weights
from ssl_companion.training.learner import Learner, Teacher
from ssl_companion.training.loop_config import LoopConfig, pick_device
from ssl_companion.training.optim import learning_rate, load_optimizer, make_optimizer
from ssl_companion.training.randomness import random_states, set_random_states

__all__ = ["DivergedError", "History", "LoopConfig", "Trainer", "pick_device"]

# RuntimeErrors that say something of the device, and nothing of a checkpoint. The second is not
# in every torch.
_DEVICE_FAILED = (
    torch.OutOfMemoryError,
    getattr(torch, "AcceleratorError", torch.OutOfMemoryError),
)


@dataclass
class History:
    """A row an epoch: the mean of each raw term and of the total, learning rate, seconds."""

    rows: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """One run in memory: the network, the optimizer, the step.

    Args:
        config: what is computed.
        images: the training set.
        loop: how it is run.
        folder: where checkpoints go; None keeps none. An existing checkpoint is resumed.
        on_epoch: called as `on_epoch(trainer, epoch)` after `epoch` finished epochs, first
            with 0; by every process, so that it may measure. Nothing it draws may come from
            the global random state.
    """

    def __init__(
        self,
        config: RunConfig,
        images: ImageSet,
        loop: LoopConfig | None = None,
        folder: str | Path | None = None,
        on_epoch: Callable[[Trainer, int], None] | None = None,
    ) -> None:
        self.config, self.loop = config, loop or LoopConfig()
        self.folder, self.on_epoch = folder, on_epoch
        self.device = pick_device(self.loop.device)
        if self.device.type == "cuda" and world()[1] > 1:
            self.device = torch.device("cuda", torch.cuda.current_device())
        if config.batch > len(images):
            raise ValueError(f"batch: {config.batch}; expected at most the {len(images)} images")
        if config.batch % world()[1]:
            raise ValueError(f"batch: {config.batch}; does not divide among {world()[1]} processes")
        compiles = to_compile(self.loop.compile, self.device)
        self.batches = Batches(images, config, self.device, compiles)
        self.steps_per_epoch = self.batches.per_epoch
        self.steps = config.epochs * self.steps_per_epoch
        warmup = min(config.optim.warmup_epochs, config.epochs / 10)
        self.warmup = math.ceil(warmup * self.steps_per_epoch)
        self._build(images.hierarchy.level("fine").k, compiles)
        self.step, self.seconds, self.history = 0, 0.0, History()
        self._terms: list[Tensor] = []
        self._rate = 0.0
        if folder is not None and (path := latest_checkpoint(folder)) is not None:
            # `load` copies to where the network is, which may not have room for a second one.
            state = load_checkpoint(path, config.digest(), torch.device("cpu"))
            try:
                self.load(state)
            except _DEVICE_FAILED:
                raise
            except RuntimeError as error:
                raise CheckpointError(
                    f"{path}: does not fit this network on {self.device.type}; a run is resumed "
                    f"on the kind of device that it began on ({error})"
                ) from error

    def _build(self, classes: int, compiles: bool) -> None:
        self.learner = Learner(self.config, classes, pad_to=padding(self.device))
        self.learner.to(self.device)
        self.learner.to(memory_format=torch.channels_last)
        self.teacher = Teacher(self.learner) if self.config.objective.name == "byol" else None
        synchronise_batch_norm(self.learner, self.device)
        if self.teacher is not None:
            synchronise_batch_norm(self.teacher, self.device)
        self.optimizer = make_optimizer(self.learner, self.config.optim)
        self._descent = Descent(
            self.config, self.batches, self.learner, self.teacher, self.optimizer,
            compiles=compiles, captures=self.loop.capture,
        )  # fmt: skip

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self.step // self.steps_per_epoch

    def run(self) -> bool:
        """Train to the end, or until the minutes are used up. True when the run is complete."""
        clock = Clock(self.loop, self.device)
        if self.step == 0 and self.on_epoch is not None:
            self.on_epoch(self, 0)
        bar = tqdm(
            total=self.steps, initial=self.step, unit="step", desc="training",
            disable=not self.loop.progress or world()[0] > 0,
        )  # fmt: skip
        with bar:
            while self.step < self.steps:
                started = time.monotonic()
                self.train_step()
                bar.update()
                ended = self.step % self.steps_per_epoch == 0
                if ended or len(self._terms) % self.loop.check_every == 0:
                    self.check()
                self.seconds += time.monotonic() - started
                if ended:
                    self._end_epoch(bar)
                    if self.on_epoch is not None:
                        self.on_epoch(self, self.epoch)
                every = self.loop.checkpoint_steps
                counted = every > 0 and self.step % every == 0
                stop, due = clock.look(always=ended or counted)
                if (stop or due or counted or self.step == self.steps) and self.folder is not None:
                    self.save()
                    clock.saved()
                if stop:
                    break
        return self.step >= self.steps

    def train_step(self) -> None:
        """One descent step; its terms are kept on the device until `check`."""
        self._rate = learning_rate(self.step, self.steps, self.warmup, self.config.optim.lr)
        self._terms.append(self._descent(self.step, self.steps, self._rate))
        self.step += 1

    @property
    def replays(self) -> bool:
        """Whether steps are replayed from a CUDA graph by now."""
        return self._descent.replays

    def check(self) -> None:
        """Look at the terms of the steps since the epoch began, and at the weights.

        Raises:
            DivergedError: one of them is NaN or infinite, a term of weight 0 excepted.
        """
        lr, rows = self.config.optim.lr, self._recent()
        first, descent = self.step - len(rows), self._descent
        check_terms(rows, descent.names, first, self.steps_per_epoch, lr, descent.unweighted)
        check_weights(self.learner, self.step - 1, lr)

    def _recent(self) -> Tensor:
        """The terms of the steps since the epoch began, float64 [S, T] on the CPU."""
        return torch.stack(self._terms).double().cpu()

    def _end_epoch(self, bar: Any) -> None:
        means = self._recent().mean(dim=0).tolist()
        row = dict(zip(self._descent.names, means, strict=True))
        row["lr"] = self._rate
        row["seconds"] = self.seconds
        self.history.rows.append({"epoch": self.epoch, **row})
        self._terms.clear()
        bar.set_postfix(epoch=self.epoch, loss=f"{row['total']:.3f}")

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, in tensors and plain types."""
        return {
            "digest": self.config.digest(),
            "step": self.step,
            "seconds": self.seconds,
            "learner": self.learner.state_dict(),
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history.rows,
            "terms": torch.stack(self._terms).cpu() if self._terms else torch.zeros(0),
            "random": random_states(self.device),
        }

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.learner.load_state_dict(state["learner"])
        if self.teacher is not None:
            self.teacher.load_state_dict(state["teacher"])
        load_optimizer(self.optimizer, state["optimizer"])
        self._descent.renew()  # the optimizer's state is in other tensors now
        self.step, self.seconds = state["step"], state["seconds"]
        self.history = History(list(state["history"]))
        self._terms = [row.to(self.device) for row in state["terms"]]
        # The loop itself draws from no global state; a backbone with dropout would.
        set_random_states(state["random"], self.device)

    def save(self) -> None:
        """Write a checkpoint (the first process does) after making sure that the loss is finite."""
        assert self.folder is not None
        if self._terms:
            self.check()
        if world()[0] == 0:
            save_checkpoint(self.folder, self.step, self.state())
        wait_for_all()  # or another process might resume from the checkpoint before
