"""A run killed ten times at random moments ends, bit for bit, as one that was left alone."""

from __future__ import annotations

import importlib.util
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


def last_state(folder: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("killable_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = checkpoint_paths(folder / "checkpoints")[-1]
    return load_checkpoint(path, module.CONFIG.digest(), torch.device("cpu"))


def tensors(state: Any) -> Iterator[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for key in sorted(state, key=str):
            yield from tensors(state[key])
    elif isinstance(state, list):
        for value in state:
            yield from tensors(value)


def losses(folder: Path) -> list[dict[str, float]]:
    rows = read_run(folder)["losses"]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_ten_kills_at_random_moments(runner: subprocess.Popen[str], tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start(runner, whole)
    began = time.monotonic()
    assert status(runner) == 0
    duration = time.monotonic() - began

    moments = random.Random(time.time_ns())
    kills, steps = 0, []
    for _ in range(10):
        pid = start(runner, killed)
        # Fifteenths: ten of them together are less than the run takes.
        time.sleep(moments.uniform(0.0, duration / 15))
        os.kill(pid, signal.SIGKILL)
        kills += status(runner) == -signal.SIGKILL
        steps.append([path.name for path in checkpoint_paths(killed / "checkpoints")])
    assert kills == 10
    assert steps[-1], "no process lived long enough to leave a checkpoint"
    assert steps == sorted(steps)  # no kill ever lost one
    assert all(len(kept) <= 2 for kept in steps)

    start(runner, killed)
    assert status(runner) == 0
    assert read_run(killed)["complete"] is True
    assert losses(killed) == losses(whole)
    a, b = (
        [t for key in ("learner", "teacher", "optimizer") for t in tensors(last_state(f)[key])]
        for f in (whole, killed)
    )
    assert len(a) > 50
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    snapshots = sorted(path.name for path in (whole / "snapshots").iterdir())
    assert [n for n in snapshots if n.endswith(".safetensors")] == snapshots
    for name in snapshots:
        assert (whole / "snapshots" / name).read_bytes() == (
            killed / "snapshots" / name
        ).read_bytes()
