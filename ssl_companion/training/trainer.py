"""The training loop: the same on CPU and CUDA, in one process and several, whole or in pieces.

A step makes this process's share of the global batch's views, and descends (`step.Descent`). What
is drawn for it depends on the seed and the step's number alone (`runtime.generator`), so a resumed
run repeats an uninterrupted one. After a step the loop may save or stop, on which all processes
agree (`Clock`), and now and then it looks whether terms and weights still are finite numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ssl_companion.data.images import ImageSet
from ssl_companion.errors import CompanionError
from ssl_companion.io.interrupt import interrupts
from ssl_companion.training.backbones import padding
from ssl_companion.training.batches import Batches
from ssl_companion.training.checkpoint import (
    CheckpointError,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ssl_companion.training.config import LoopConfig, RunConfig
from ssl_companion.training.distributed import (
    largest,
    synchronise_batch_norm,
    wait_for_all,
    world,
)
from ssl_companion.training.model import Learner, Teacher
from ssl_companion.training.optim import (
    learning_rate,
    load_optimizer,
    make_optimizer,
)
from ssl_companion.training.runtime import (
    random_states,
    set_random_states,
    to_compile,
)
from ssl_companion.training.step import Descent

# RuntimeErrors that say something of the device, and nothing of a checkpoint. The second is not
# in every torch.
_DEVICE_FAILED = (
    torch.OutOfMemoryError,
    getattr(torch, "AcceleratorError", torch.OutOfMemoryError),
)


class DivergedError(CompanionError, RuntimeError):
    """The loss turned NaN or infinite; the message names the step, the epoch and the term."""


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
        on_step: called the same way after every step, with the number of steps taken.

    Attributes:
        first_losses: the raw terms and their total in the first step, so before any update;
            empty before it, and where that was taken by a version that did not keep them.
    """

    def __init__(
        self,
        config: RunConfig,
        images: ImageSet,
        loop: LoopConfig | None = None,
        folder: str | Path | None = None,
        on_epoch: Callable[[Trainer, int], None] | None = None,
        on_step: Callable[[Trainer, int], None] | None = None,
    ) -> None:
        self.config, self.loop = config, loop or LoopConfig()
        self.folder, self.on_epoch, self.on_step = folder, on_epoch, on_step
        self.device = self.loop.device
        if self.device.type == "cuda" and world()[1] > 1:
            self.device = torch.device("cuda", torch.cuda.current_device())
        if config.batch > len(images):
            raise ValueError(f"batch: {config.batch}; expected at most the {len(images)} images")
        if config.batch % world()[1]:
            raise ValueError(
                f"batch: {config.batch}; expected a multiple of {world()[1]}, the processes"
            )
        compiles = to_compile(self.loop.compile, self.device)
        self.batches = Batches(images, config, self.device, compiles)
        self.steps_per_epoch = self.batches.per_epoch
        self.steps = config.epochs * self.steps_per_epoch
        warmup = min(config.optim.warmup_epochs, config.epochs / 10)
        self.warmup = math.ceil(warmup * self.steps_per_epoch)
        self._build(images.hierarchy.level("fine").k, compiles)
        self.step, self.seconds, self.history = 0, 0.0, History()
        self._terms: list[Tensor] = []
        self.first_losses: dict[str, float] = {}
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
        """Train to the end, or until the minutes are used up. True when the run is complete.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; what the steps so far gave is saved.
        """
        with interrupts() as pressed:
            return self._run(Clock(self.loop, self.device, pressed))

    def _run(self, clock: Clock) -> bool:
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
                if self.on_step is not None:
                    self.on_step(self, self.step)
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
                if clock.interrupted:
                    raise KeyboardInterrupt
                if stop:
                    break
        return self.step >= self.steps

    def train_step(self) -> None:
        """One descent step; its terms are kept on the device until `check`."""
        self._rate = learning_rate(self.step, self.steps, self.warmup, self.config.optim.lr)
        self._terms.append(self._descent(self.step, self.steps, self._rate))
        if self.step == 0:
            self.first_losses = dict(
                zip(self._descent.names, self._terms[0].double().tolist(), strict=True)
            )
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
            "first_losses": self.first_losses,
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
        self.first_losses = dict(state.get("first_losses", {}))  # absent from older checkpoints
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


# From one vote of the processes to the next: about so many seconds, and at most so many steps.
_SECONDS, _STEPS = 0.5, 50


class Clock:
    """Looks at the time after a step, and all processes see the same.

    Each process has its own clock. If each went by it, one would save, and wait there for the
    others, while they wait for it in the next step. So they vote; and as a vote waits for the
    device, there is one about every half second rather than after every step. How many steps
    that is follows from the pace of the slowest, which they learn together too.

    Args:
        loop: says after how many minutes to stop and to save.
        device: where votes are counted.
        pressed: whether somebody asked this process to stop.

    Attributes:
        interrupted: whether any process was asked to.
    """

    def __init__(
        self,
        loop: LoopConfig,
        device: torch.device,
        pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.device, self.pressed, self.interrupted = device, pressed, False
        self._voted = self._saved = time.monotonic()
        self._deadline = self._voted + 60 * loop.minutes if loop.minutes is not None else math.inf
        self._period = 60 * loop.checkpoint_minutes
        self._steps, self._every = 0, 1  # since the last vote, and how many are to be

    def look(self, always: bool = False) -> tuple[bool, bool]:
        """Whether to stop, and whether a checkpoint is due; to be called after every step.

        Args:
            always: vote after this step however short the last vote is ago; the same in all
                processes.
        """
        self._steps += 1
        if self._steps < self._every and not always:
            return False, False
        several = world()[1] > 1
        if several and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # the pace is that of the device
        now = time.monotonic()
        stop, due, pace, pressed = largest(
            [now >= self._deadline, now - self._saved >= self._period,
             (now - self._voted) / self._steps, self.pressed()], self.device,
        )  # fmt: skip
        if several:  # a process by itself looks after every step, which costs nothing
            self._every = int(min(max(_SECONDS / max(pace, 1e-9), 1), _STEPS))
        self._voted, self._steps = now, 0
        self.interrupted = bool(pressed)
        return bool(stop or pressed), bool(due)

    def saved(self) -> None:
        """The next checkpoint is due so many minutes from now."""
        self._saved = time.monotonic()


_MEND = "The last checkpoint is good."


def check_terms(
    rows: Tensor,
    names: Sequence[str],
    first: int,
    steps_per_epoch: int,
    lr: float,
    unweighted: Collection[str] = (),
) -> None:
    """Refuse terms that are not finite, if anything depends on them.

    Args:
        rows: [S, T] values of T terms in S steps; the first column is their total.
        names: of the T terms.
        first: number of the first of these steps.
        steps_per_epoch: to say which epoch it was.
        lr: peak learning rate, for the advice.
        unweighted: names of the terms of weight 0. They are only reported, and what nothing
            holds in check may well overflow.

    Raises:
        DivergedError: one is NaN or infinite; names the first such step, and a term rather
            than the total that it spoils.
    """
    counted = torch.tensor([name not in unweighted for name in names], device=rows.device)
    bad = ~torch.isfinite(rows) & counted
    if not bad.any():
        return
    row = int(bad.any(dim=1).nonzero()[0])
    column = int(bad[row].nonzero().flatten()[-1])
    step = first + row
    raise DivergedError(
        f"step {step} (epoch {step // steps_per_epoch}): the term {names[column]!r} is "
        f"{rows[row, column].item()}; try a lower lr (now {lr}) or precision='fp32'. {_MEND}"
    )


def check_weights(module: nn.Module, step: int, lr: float) -> None:
    """Refuse weights that are not finite: the loss would say so only a step later.

    Args:
        module: what is trained.
        step: number of the step that made the weights what they are.
        lr: peak learning rate, for the advice.

    Raises:
        DivergedError: one is NaN or infinite; names the step and the parameter.
    """
    values = dict(module.named_parameters())
    # A sum of magnitudes is finite if and only if all of them are, or it overflows, which
    # the look at each of them then clears.
    sizes = torch.stack(torch._foreach_norm([p.detach() for p in values.values()], 1))
    if bool(torch.isfinite(sizes).all()):
        return
    for name, value in values.items():
        if not bool(torch.isfinite(value).all()):
            raise DivergedError(
                f"step {step}: the weights {name!r} are not finite after it; try a lower lr "
                f"(now {lr}) or precision='fp32'. {_MEND}"
            )
