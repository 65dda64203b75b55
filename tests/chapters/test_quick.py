"""A run that fits: the plan follows what is timed, and what it trains can be opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ssl_companion.chapters import quick
from ssl_companion.chapters.widgets.slider import BOOK_VARIABLE
from ssl_companion.data import load
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.presets.runs import Run
from ssl_companion.recordings import MeasureConfig
from ssl_companion.training.config import LoopConfig, ObjectiveConfig


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Minutes an epoch by number of threads, in place of a stopwatch."""
    minutes = {1: 0.1, torch.get_num_threads(): 0.1}

    def estimate(runs: list[Run], device: torch.device, compiled: str) -> list[dict[str, Any]]:
        assert compiled == "no", "the minutes of compiling are in no plan"
        rate = minutes[torch.get_num_threads()]
        return [
            {
                "train_minutes": rate * run.config.epochs,
                "measure_minutes": 0.05 * len(run.snapshots),
            }
            for run in runs
        ]

    monkeypatch.setattr(quick, "estimate", estimate)
    return minutes


def test_the_longest_run_that_fits_is_planned(clock: dict[int, float]) -> None:
    planned = quick.plan(minutes=2.0, device="cpu")
    assert planned.run.config.epochs == 15  # 1.5 minutes, and 0.4 for four measurements
    assert planned.minutes == pytest.approx(1.9)
    longer = quick.plan(minutes=5.0, device="cpu")
    assert longer.run.config.epochs == 40
    assert quick.plan(minutes=0.001, device="cpu").run.config.epochs == 1


def test_one_thread_is_taken_where_two_are_slower(clock: dict[int, float]) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        clock.update({1: 0.1, 2: 0.4})
        assert quick.plan(device="cpu").threads == 1
        clock.update({1: 0.1, 2: 0.06})
        assert quick.plan(device="cpu").threads == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_plan_is_what_was_asked_for(clock: dict[int, float]) -> None:
    planned = quick.plan("cifar100", 1, seed=3, objective=ObjectiveConfig("simclr"), device="cpu")
    config = planned.run.config
    assert (config.data, config.seed, config.objective.name) == ("cifar100", 3, "simclr")
    snapshots = planned.run.snapshots
    assert snapshots[0] == 0
    assert snapshots[-1] == config.epochs
    assert "SimCLR" in quick.title(planned)
    assert "CIFAR-100" in quick.title(planned)


def test_a_plan_is_carried_out_as_it_was_timed(
    clock: dict[int, float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loops: list[LoopConfig] = []

    def record_run(*arguments: Any, overwrite: bool) -> None:
        loops.append(arguments[5])

    monkeypatch.setattr(quick, "record_run", record_run)
    monkeypatch.setattr(quick, "open_recording", lambda path: path)
    planned = replace(quick.plan(device="cpu"), device=torch.device("cuda"))
    images = load("glyphs100", "test")
    quick.train_and_measure(planned, images, images, tmp_path, progress=False)
    assert loops == [LoopConfig(device=torch.device("cuda"), compile="no", progress=False)]


def test_what_moved_is_told_by_level_and_short_times_in_seconds() -> None:
    rows = [
        ("sample", 0.19, 0.44),
        ("fine", 0.018, 0.019),
        ("coarse", 0.2, 0.1),
        ("random-coarse", 0, 1),
    ]
    ncc = pd.DataFrame(
        [
            (level, epoch, value)
            for level, *ends in rows
            for epoch, value in zip((0, 4), ends, strict=True)
        ],
        columns=["level", "epoch", "value"],
    )
    assert quick.what_moved(ncc, 12.3) == (
        "NCC accuracy in 12 seconds of training: it rose on single images (19.0% to 44.0%); it "
        "fell on superclasses (20.0% to 10.0%); it hardly moved on classes (1.8% to 1.9%)."
    )
    assert quick.what_moved(ncc, 600).startswith("NCC accuracy in 10 minutes of training")
    assert " in 1 second of " in quick.what_moved(ncc, 0.7)
    small = ncc[ncc["level"] == "fine"].assign(value=[0.02, 0.04])
    assert "it rose on classes (2.0% to 4.0%)." in quick.what_moved(small, 9), "twice as much"


def test_minutes_are_fewer_in_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BOOK_VARIABLE, raising=False)
    assert (quick.minutes_for("glyphs100"), quick.minutes_for("cifar100")) == (2, 10)
    monkeypatch.setenv(BOOK_VARIABLE, "html")
    assert quick.minutes_for("glyphs100") == quick.BOOK_MINUTES < 0.75


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="data: 'mnist'; expected one of glyphs100, cifar100"):
        quick.plan("mnist")
    with pytest.raises(ValueError, match="minutes: 0; expected a positive number"):
        quick.plan(minutes=0)


@pytest.mark.slow
def test_a_trained_plan_leaves_a_recording_and_its_networks(tmp_path: Path) -> None:
    shape = quick._shape("glyphs100", torch.device("cpu"), 0, ObjectiveConfig())
    small = replace(shape, backbone="res-1-4", projector_width=8, images_per_class=2, batch=50)
    measure = MeasureConfig(
        sample_images=5,
        sample_views=3,
        sample_fresh=2,
        probes=False,
        keep="last",
        keep_train=2,
        keep_test=2,
        map_images=2,
        map_views=2,
    )
    run = Run(quick.QUICK_RUN, "a test", replace(small, epochs=2), measure, (0, 2))
    planned = quick.Plan(run, 0.1, "cpu", 1)
    train, test = (load("glyphs100", split, n=500) for split in ("train", "test"))
    recording = quick.train_and_measure(planned, train, test, tmp_path, progress=False)
    assert recording.kept_epochs() == (0, 2)
    assert recording.stand_in

    # Measured by the other way: the recording's class means and features are the network's own.
    last = quick.encoder(planned, tmp_path, 2, train)
    assert not last.training
    own = measure_encoder(
        last, train.subset(2), test_images=test, which=("ncc", "cdnv"), hierarchy=test.hierarchy
    )
    found = own.query("level == 'fine' and measure == 'cdnv'")["value"].item()
    kept = recording.select(epoch=2, layer=recording.layers[-1], level="fine", measure="cdnv")
    assert found == pytest.approx(kept["value"].item(), rel=0.05)  # bfloat16 there
    # Before training too: the normalisation statistics are those of the recording.
    first = quick.encoder(planned, tmp_path, 0, train)
    own = measure_encoder(
        first, train.subset(2), test_images=test, which=("cdnv",), hierarchy=test.hierarchy
    )
    found = own.query("level == 'fine'")["value"].item()
    kept = recording.select(epoch=0, layer=recording.layers[-1], level="fine", measure="cdnv")
    assert found == pytest.approx(kept["value"].item(), rel=0.05)
    assert not np.allclose(
        first.stem[0].weight.detach().numpy(), last.stem[0].weight.detach().numpy()
    )
    with pytest.raises(ValueError, match=r"epoch: 1; expected one of \(0, 2\)"):
        quick.encoder(planned, tmp_path, 1, train)
    with pytest.raises(ValueError, match="epoch: 0; expected a run of this plan"):
        quick.encoder(planned, tmp_path / "elsewhere", 0, train)

    # The same folder serves another plan.
    other = replace(planned, run=replace(run, config=replace(run.config, seed=1)))
    again = quick.train_and_measure(other, train, test, tmp_path, progress=False)
    assert again.run["seed"] == 1
