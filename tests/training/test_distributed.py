"""Several processes compute what one does: losses, gradients, normalisation, whole runs.

Everything is computed by `distributed_worker.py`, once by itself and once in two processes that
torchrun starts, and compared here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ssl_companion.training import distributed
from ssl_companion.training.config import run_config_from_dict
from ssl_companion.training.distributed import (
    any_process,
    data_parallel,
    gather,
    largest,
    process_group,
    shard,
    synchronise_batch_norm,
    world,
)
from ssl_companion.training.run import read_run
from ssl_companion.training.snapshots import load_snapshot, snapshot_epochs, snapshot_path

from .conftest import CPU, OBJECTIVES, Make

WORKER = Path(__file__).parent / "distributed_worker.py"
Found = dict[str, Any]


# --- one process: nothing changes --------------------------------------------------------


def test_alone_nothing_is_shared() -> None:
    x = torch.arange(6).view(3, 2)
    layer = nn.Sequential(nn.BatchNorm2d(2))
    assert world() == (0, 1)
    assert gather(x) is x
    assert torch.equal(shard(x), x)
    assert any_process(True, CPU)
    assert not any_process(False, CPU)
    assert largest([0.25, -1], CPU) == [0.25, -1]
    assert data_parallel(layer) is layer
    assert synchronise_batch_norm(layer, CPU) is layer
    assert type(layer[0]) is nn.BatchNorm2d
    with process_group(CPU) as device:
        assert device == CPU
        assert not torch.distributed.is_initialized()


def test_the_others_wait_for_hours_while_the_first_process_measures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setenv("WORLD_SIZE", "2")
    store = torch.distributed.HashStore()
    monkeypatch.setattr(distributed, "_rendezvous", lambda: (store, 0, 2))
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda backend, **options: seen.update(options)
    )
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    with process_group(CPU):
        pass
    assert seen["timeout"] >= timedelta(hours=6)


def test_a_batch_that_does_not_divide(new_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl_companion.training.distributed.world", lambda: (0, 3))
    monkeypatch.setattr("ssl_companion.training.trainer.world", lambda: (0, 3))
    with pytest.raises(ValueError, match="batch: 5 rows; expected a multiple of 3"):
        shard(torch.zeros(5))
    with pytest.raises(ValueError, match="batch: 5; expected a multiple of 3"):
        new_trainer(batch=5)


# --- two processes -----------------------------------------------------------------------


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def launch(command: list[str], folder: Path, *what: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    return subprocess.Popen(
        [sys.executable, *command, str(WORKER), str(folder), *what],
        env=kept | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where the work of one process and that of two stands."""
    alone, shared = (tmp_path_factory.mktemp(name) for name in ("alone", "shared"))
    for process in [launch([], alone), launch(TORCHRUN, shared)]:
        output, _ = process.communicate(timeout=570)
        assert process.returncode == 0, output
    return alone, shared


@pytest.fixture(scope="module")
def alone(folders: tuple[Path, Path]) -> Found:
    found: Found = torch.load(folders[0] / "found-0.pt")
    assert found["world"] == (0, 1)
    return found


@pytest.fixture(scope="module")
def shared(folders: tuple[Path, Path]) -> list[Found]:
    found = [torch.load(folders[1] / f"found-{rank}.pt") for rank in (0, 1)]
    assert [f["world"] for f in found] == [(0, 2), (1, 2)]
    return found


def close(a: Any, b: Any, rtol: float) -> None:
    torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


@pytest.mark.slow
def test_gather_carries_gradients_and_sums_them(shared: list[Found]) -> None:
    for rank, found in enumerate(shared):
        seen = found["gathered"]
        rows = torch.tensor([[0, 1], [2, 3], [10, 11], [12, 13]], dtype=torch.float64)
        assert torch.equal(seen["whole"], rows)
        # Row r has weight r + 1 in the first process and twice that in the second.
        weights = torch.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=torch.float64) * 3
        assert torch.equal(seen["gradient"], weights[2 * rank : 2 * rank + 2].expand(2, 2))
        assert seen["integers"].tolist() == [0, 7, 1, 7]
        assert seen["votes"] == [True, True, False]
        assert seen["largest"] == [1.0, 0.0, 0.3]


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_loss_gradients_weights_and_running_statistics_are_the_global_ones(
    alone: Found, shared: list[Found], objective: str
) -> None:
    expected = alone["objectives"][objective]
    for mine in (found["objectives"][objective] for found in shared):
        close(mine["total"], expected["total"], 1e-12)
        close(mine["terms"], expected["terms"], 1e-12)
        close(mine["state"], expected["state"], 1e-9)
        assert mine["gradients"].keys() == expected["gradients"].keys()
        for name, gradient in expected["gradients"].items():
            size = gradient.abs().max().item()
            assert size > 0, name
            torch.testing.assert_close(
                mine["gradients"][name], gradient, rtol=1e-8, atol=1e-10 * size
            )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "rtol"), [(torch.float64, 1e-11), (torch.float32, 2e-4)], ids=str
)
def test_batch_normalisation_sees_the_global_batch(
    alone: Found, shared: list[Found], dtype: torch.dtype, rtol: float
) -> None:
    expected = alone["normalised"][str(dtype)]
    assert expected["state"]["0.num_batches_tracked"] == 3
    for found in shared:
        for part, values in expected.items():
            close(found["normalised"][str(dtype)][part], values, rtol)


@pytest.mark.slow
@pytest.mark.parametrize("objective", [*OBJECTIVES, "slices"])
def test_a_whole_run_in_two_processes_is_that_in_one(
    folders: tuple[Path, Path], objective: str
) -> None:
    one, two = (folder / objective for folder in folders)
    assert read_run(one)["processes"] == 1
    assert read_run(two)["processes"] == 2
    assert read_run(one)["complete"] is read_run(two)["complete"] is True
    rows = zip(read_run(one)["losses"], read_run(two)["losses"], strict=True)
    for a, b in rows:
        assert a.keys() == b.keys()
        for name in a.keys() - {"seconds"}:
            assert b[name] == pytest.approx(a[name], rel=1e-3, abs=1e-4), name
    config = run_config_from_dict(read_run(one)["config"])
    assert snapshot_epochs(two / "snapshots") == snapshot_epochs(one / "snapshots") == (0, 1, 2, 3)
    for epoch in (0, 1, 3):
        first, second = (
            load_snapshot(snapshot_path(f / "snapshots", epoch), config).state_dict()
            for f in (one, two)
        )
        for name, value in first.items():
            torch.testing.assert_close(second[name], value, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_a_run_goes_on_in_one_call_after_another(folders: tuple[Path, Path]) -> None:
    whole, slices = (folders[1] / name / "snapshots" for name in ("slices-whole", "slices"))
    names = sorted(path.name for path in whole.iterdir())
    assert len(names) == 4
    for name in names:
        assert (whole / name).read_bytes() == (slices / name).read_bytes()


@pytest.mark.slow
def test_only_the_first_process_writes(shared: list[Found]) -> None:
    first, second = (found["written"] for found in shared)
    assert len(first) > 50
    assert {"run.json", "step-000000009.ckpt", "epoch-00000.safetensors"} <= {
        Path(path).name for path in first
    }
    assert second == []


@pytest.mark.slow
def test_processes_save_and_stop_together_whatever_their_clocks(tmp_path: Path) -> None:
    process = launch(TORCHRUN, tmp_path, "clocks")
    try:
        output, _ = process.communicate(timeout=570)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes
        pytest.fail(f"each waits for the other: {process.communicate()[0]}")
    assert process.returncode == 0, output
    first, second = (torch.load(tmp_path / f"found-{rank}.pt") for rank in (0, 1))
    assert first["calls"] == second["calls"] == [False, True]  # stopped, then complete
    steps = [int(Path(p).stem[5:]) for p in first["written"] if p.endswith(".ckpt")]
    assert len(steps) > 3  # saved by time, besides when it stopped and at the end
    assert steps == sorted(set(steps))
    assert steps[-1] == 120
    assert second["written"] == []
    assert read_run(tmp_path / "clocks")["complete"] is True
