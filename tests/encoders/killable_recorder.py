"""Record an epoch in a process that kills itself before one of its steps on the disk.

A line on standard input is a folder, which of the steps (from 0), and whether directories can be
swapped. A child is forked for each, so that nothing has to be imported anew, and its exit status is
printed when it has ended: 0 where the recording has fewer steps than that. To be started with
OMP_NUM_THREADS=1, since threads do not survive a fork.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from ssl_companion.encoders.recorder import EncoderRecorder
from ssl_companion.io import atomic, provenance
from ssl_companion.recordings import MeasureConfig

STEPS = (
    (os, "rename"), (os, "fsync"), (os, "rmdir"), (shutil, "rmtree"), (Path, "write_text"),
    (safetensors.torch, "save_file"), (atomic, "_swap"),
)  # fmt: skip


def recorder(folder: Path) -> EncoderRecorder:
    """Of a few vectors, always the same."""
    y = np.repeat([0, 1], 10)
    x = np.random.default_rng(0).normal(size=(20, 4)) + y[:, None]
    config = MeasureConfig(keep="last", probes=False)
    return EncoderRecorder(x, y, destination=folder / "mine", config=config)


def network(epoch: int) -> nn.Module:
    """What training has come to at an epoch."""
    net = nn.Linear(4, 3)
    nn.init.constant_(net.bias, epoch)
    with torch.no_grad():
        net.weight.copy_((torch.arange(12) * (epoch + 1)).sin().reshape(3, 4))
    return net


def kill_before(step: int, swaps: bool) -> None:
    """Let this process end, as by `kill -9`, before a step on the disk."""
    if not swaps:
        atomic._swap = lambda one, other: False  # type: ignore[assignment]
    count = itertools.count()

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(count) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    provenance.git_commit = lambda: {"commit": None, "clean": False}  # which takes its time
    for where, name in STEPS:
        setattr(where, name, counted(getattr(where, name)))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:  # what is imported late is imported now
        recorder(Path(folder))(0, network(0))
    for line in sys.stdin:
        folder, step, swaps = line.split()
        if (pid := os.fork()) == 0:
            kill_before(int(step), swaps == "swaps")
            recorder(Path(folder))(1, network(1), {"total": 0.5})
            os._exit(0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
