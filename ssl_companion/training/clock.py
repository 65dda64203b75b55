"""When a run saves and when it stops: by the clock, with one answer for all processes."""

from __future__ import annotations

import math
import time

import torch

from ssl_companion.training.distributed import largest, world
from ssl_companion.training.loop_config import LoopConfig

_BETWEEN = 0.5  # seconds from one vote to the next, about
_MOST = 50  # steps from one vote to the next


class Clock:
    """Looks at the time after a step, and all processes see the same.

    Each process has its own clock. If each went by it, one would save, and wait there for the
    others, while they wait for it in the next step. So they vote; and as a vote waits for the
    device, there is one about every half second rather than after every step. How many steps
    that is follows from the pace of the slowest, which they learn together too.

    Args:
        loop: says after how many minutes to stop and to save.
        device: where votes are counted.
    """

    def __init__(self, loop: LoopConfig, device: torch.device) -> None:
        self.device = device
        self._voted = self._saved = time.monotonic()
        self._deadline = self._voted + 60 * loop.minutes if loop.minutes else math.inf
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
        stop, due, pace = largest(
            [now >= self._deadline, now - self._saved >= self._period,
             (now - self._voted) / self._steps], self.device,
        )  # fmt: skip
        if several:  # a process by itself looks after every step, which costs nothing
            self._every = int(min(max(_BETWEEN / max(pace, 1e-9), 1), _MOST))
        self._voted, self._steps = now, 0
        return bool(stop), bool(due)

    def saved(self) -> None:
        """The next checkpoint is due so many minutes from now."""
        self._saved = time.monotonic()
