"""A run killed ten times at random moments ends, bit for bit, as one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_companion.training.checkpoint import checkpoint_paths, load_checkpoint
from ssl_companion.training.run import read_run

from .conftest import assert_same_bits, assert_same_snapshots

SCRIPT = Path(__file__).parent / "killable_run.py"


@pytest.fixture
def runner() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def start(runner: subprocess.Popen[str], folder: Path) -> int:
    """Begin or resume the run in a process of its own; its number."""
    assert runner.stdin is not None
    assert runner.stdout is not None
    runner.stdin.write(f"{folder}\n")
    runner.stdin.flush()
    return int(runner.stdout.readline())


def status(runner: subprocess.Popen[str]) -> int:
    """The exit status of the last process, once it has ended."""
    assert runner.stdout is not None
    return int(runner.stdout.readline())


def steps(folder: Path) -> list[int]:
    """0, and the steps that have a checkpoint."""
    return [0, *(int(path.stem.split("-")[1]) for path in checkpoint_paths(folder / "checkpoints"))]


def await_step(folder: Path, step: int) -> None:
    """Return soon after a checkpoint of `step` or later has landed."""
    deadline = time.monotonic() + 120
    while steps(folder)[-1] < step:
        assert time.monotonic() < deadline, f"no checkpoint of step {step} in {folder}"
        time.sleep(0.002)


def last_state(folder: Path) -> dict[str, Any]:
    path = checkpoint_paths(folder / "checkpoints")[-1]
    state = load_checkpoint(path, read_run(folder)["digest"], torch.device("cpu"))
    rows = [row | {"seconds": 0} for row in state["history"]]
    return {key: state[key] for key in ("learner", "teacher", "optimizer")} | {"history": rows}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_ten_kills_at_random_moments(runner: subprocess.Popen[str], tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start(runner, whole)
    assert status(runner) == 0

    moments = random.Random(time.time_ns())
    reached = []
    for _ in range(10):
        pid = start(runner, killed)
        # By progress rather than by the clock, so that a busy machine changes nothing: some
        # die while they start, most a few steps further, in a step or while they write.
        await_step(killed, steps(killed)[-1] + moments.randint(0, 9))
        time.sleep(moments.uniform(0.0, 0.05))
        os.kill(pid, signal.SIGKILL)
        assert status(runner) == -signal.SIGKILL
        # The start, the two that are kept, and one that a kill kept from being deleted.
        assert len(steps(killed)) <= 4
        reached.append(steps(killed)[-1])
    assert reached == sorted(reached)  # no kill ever lost a checkpoint
    assert 0 < reached[-1] < 300

    start(runner, killed)
    assert status(runner) == 0
    assert read_run(killed)["complete"] is True
    assert steps(killed) == steps(whole) == [0, 297, 300]
    assert not [p for p in (killed / "checkpoints").iterdir() if p.suffix == ".tmp"]
    assert_same_bits(last_state(killed), last_state(whole))
    assert [row["epoch"] for row in read_run(killed)["losses"]] == list(range(1, 31))
    assert_same_snapshots(killed, whole)
