"""How to run: what changes the way of a run, not what it computes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class LoopConfig:
    """How to run, which does not change what is computed (and so not the digest).

    Attributes:
        device: "cuda", "cpu" or "auto".
        minutes: stop cleanly at a step after this many minutes; 0 means never. Of several
            processes, about half a second later.
        checkpoint_minutes: time between checkpoints.
        checkpoint_steps: steps between checkpoints, besides; 0 means by time alone.
        check_every: steps between looks at the loss for NaN (a look waits for the device).
        compile: compile the network and the views: "yes", "no", or "auto", which means on CUDA
            where Triton and a C compiler are there. Of several processes, the views only.
        capture: on CUDA, with one process, capture a step in a CUDA graph and replay it.
        progress: show a progress bar.
    """

    device: str = "auto"
    minutes: float = 0.0
    checkpoint_minutes: float = 2.0
    checkpoint_steps: int = 0
    check_every: int = 50
    compile: str = "auto"
    capture: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("minutes", "checkpoint_minutes", "checkpoint_steps"):
            value = getattr(self, name)
            if math.isnan(value) or value < 0:
                raise ValueError(f"{name}: {value!r}; expected 0 or more")
        if self.check_every < 1:
            raise ValueError(f"check_every: {self.check_every!r}; expected at least 1 step")
        if self.compile not in ("auto", "yes", "no"):
            raise ValueError(f"compile: {self.compile!r}; expected 'auto', 'yes' or 'no'")


def pick_device(name: str = "auto") -> torch.device:
    """The torch device for "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: another name, or the device is absent.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device: {name!r}; expected 'auto', 'cpu', 'cuda' or 'cuda:N'") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device: {name!r}, but this machine has no CUDA device; use 'cpu' or 'auto'"
        )
    if device.type == "cuda" and device.index is not None:
        count = torch.cuda.device_count()
        if device.index >= count:
            raise ValueError(
                f"device: {name!r}, but the last CUDA device of this machine is 'cuda:{count - 1}'"
            )
    return device
