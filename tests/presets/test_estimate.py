"""Estimates: what is timed, and room that is really taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch

from ssl_companion.data import ImageSet, load
from ssl_companion.presets import estimate as estimates
from ssl_companion.presets.catalogue import PRESET_NAMES, preset
from ssl_companion.presets.estimate import disk_bytes, estimate
from ssl_companion.presets.record import record_run
from ssl_companion.presets.runs import Run, Scale
from ssl_companion.recordings import MeasureConfig
from ssl_companion.recordings.format import EVERY_SAMPLE
from ssl_companion.recordings.measuring import Measured
from ssl_companion.training.config import LoopConfig, RunConfig

from ..conftest import halved
from ..training.tiny import tiny_config

#: The tracked tree may have 34 MB; the rest of it has about 3, and may grow.
ROOM = 29e6


def tiny(name: str = "tiny-s0", objective: str = "vicreg") -> Run:
    size = {"backbone": "res-1-16", "projector_width": 64, "images_per_class": 2, "epochs": 2}
    config = tiny_config(objective, batch=50, **size)
    measure = MeasureConfig(
        sample_images=20, sample_views=4, sample_fresh=3, probes=False, keep="all", keep_train=1,
        keep_test=2, map_views=10, keep_at=(0, 2), keep_samples=10, weights=True,
    )  # fmt: skip
    return Run(name, "tiny", config, measure, (0, 1, 2))


@pytest.mark.parametrize("scale", get_args(Scale))
def test_all_recordings_of_a_scale_fit_into_the_tree(scale: Scale) -> None:
    runs = [run for name in PRESET_NAMES for run in preset(name, scale).runs]
    assert 10e6 < sum(disk_bytes(run) for run in runs) < ROOM


def fake_clock(monkeypatch: pytest.MonkeyPatch, slow: int, new_epoch: float = 0.0) -> list[str]:
    """The first `slow` steps take ten seconds, all others ten milliseconds.

    The first step of an epoch takes `new_epoch` more, in seconds.
    """
    now, calls = [0.0], list[str]()

    class Trainer:
        def __init__(self, config: RunConfig, images: ImageSet, loop: LoopConfig) -> None:
            backbone = SimpleNamespace(eval=lambda: backbone, exported_state=dict)
            self.learner = SimpleNamespace(backbone=backbone, head=None)
            self.per_epoch = len(images) // config.batch
            calls.append(loop.compile)

        def train_step(self) -> None:
            now[0] += new_epoch * (calls.count("step") % self.per_epoch == 0)
            calls.append("step")
            now[0] += 10.0 if calls.count("step") <= slow else 0.01

        def state(self) -> dict[str, object]:
            return {}

    monkeypatch.setattr(estimates, "Trainer", Trainer)
    monkeypatch.setattr(estimates, "extract", lambda *_: None)
    monkeypatch.setattr(estimates, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    return calls


def test_the_capture_of_cuda_graphs_is_no_part_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_clock(monkeypatch, slow=4)
    cost = estimates._time(tiny(), torch.device("cuda"), "auto")
    assert cost.step == pytest.approx(0.01)
    assert cost.compile == pytest.approx(4 * (10 - 0.01))
    assert calls.count("step") == 24


def test_few_steps_are_timed_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_clock(monkeypatch, slow=1)
    cost = estimates._time(tiny(), torch.device("cpu"), "no")
    assert cost.step == pytest.approx(0.01)
    assert calls == ["no", "step", "step", "step", "step"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_no_epoch_begins_among_the_timed_steps(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    fake_clock(monkeypatch, slow=1, new_epoch=1.0)
    cost = estimates._time(tiny(), torch.device(device), "no")
    assert cost.step == pytest.approx(0.01)


def test_compiling_is_counted_for_the_first_run_of_a_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_clock(monkeypatch, slow=4)
    monkeypatch.setattr(estimates, "_measuring", lambda *_: 6.0)
    runs = [tiny("a-s0"), tiny("b-s0")]
    first, second = estimate(runs, torch.device("cuda"))
    assert first["compile_minutes"] == pytest.approx(0.67)
    assert second["compile_minutes"] == 0
    # 200 images in batches of 50 for two epochs; three snapshots of six seconds.
    for row in (first, second):
        assert row["train_minutes"] == pytest.approx(8 * 0.01 / 60, abs=0.01)
        assert row["measure_minutes"] == pytest.approx(3 * 6 / 60)


def test_an_ordinary_snapshot_is_measured_whole_once_for_each_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With small noise on a CPU, as on CUDA."""
    monkeypatch.setattr(estimates, "_MEASURED_WHOLE", ("cpu",))
    monkeypatch.setattr(estimates, "_TRAIN", {"glyphs100": 400})
    monkeypatch.setattr(estimates, "_TEST", {"glyphs100": 300})
    seen = list[tuple[int, int, int, int]]()
    real = estimates.measure_snapshot

    def counted(*given: Any) -> Measured:
        found = real(*given)
        levels = {row[2] for row in found.rows}
        against = sum(level.startswith("teacher-") for level in levels)
        seen.append((given[1], len(given[2]), len(given[3]), against))
        assert EVERY_SAMPLE not in levels
        return found

    monkeypatch.setattr(estimates, "measure_snapshot", counted)
    monkeypatch.setattr(estimates, "_clock", lambda work, device: (work(), 60.0)[1])
    run = tiny()
    run = replace(run, measure=replace(run.measure, every_sample_at=(0, 2)))
    whole = replace(run, config=replace(run.config, images_per_class=0), teacher=tiny("teacher-s0"))
    rows = estimate([run, whole, replace(run, name="again-s0")], torch.device("cpu"), "no")
    assert seen == [(-1, 200, 300, 0), (-1, 400, 300, 3)]
    assert all(row["measure_minutes"] >= len(run.snapshots) for row in rows)  # a minute each


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("objective", ["vicreg", "byol", "supervised"])
def test_room_is_that_of_the_files(objective: str, tmp_path: Path) -> None:
    run = tiny(objective=objective)
    train, test = (halved(load("glyphs100", split).subset(2)) for split in ("train", "test"))
    loop = LoopConfig(device="cpu", progress=False, checkpoint_steps=2)
    assert record_run(run, train, test, tmp_path / "runs", tmp_path / "out", loop)
    (row,) = estimate([run], torch.device("cpu"))
    assert row["disk_mb"] * 1e6 == pytest.approx(size(tmp_path / "out"), rel=0.2)
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    checkpoints = list((folder / "checkpoints").glob("step-*"))
    assert len(checkpoints) == 2
    # While the next one is written there is a third, which the estimate counts.
    taken = size(folder) + checkpoints[0].stat().st_size
    assert row["work_mb"] * 1e6 == pytest.approx(taken, rel=0.2)


def test_kept_epochs_and_samples_are_counted() -> None:
    run = tiny()
    smaller: Callable[..., float] = lambda **kept: disk_bytes(  # noqa: E731
        replace(run, measure=replace(run.measure, **kept))
    )
    whole = smaller(keep_at=(), keep_samples=0)
    assert smaller(keep_at=(0,), keep_samples=0) < whole
    assert smaller(keep_at=(), keep_samples=5) < whole
    assert smaller(keep_at=(7,), weights=False) < smaller(keep="none", weights=False) * 1.2
