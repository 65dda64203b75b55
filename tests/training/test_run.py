"""A run in its folder: what is written there, and which folders are refused."""

from __future__ import annotations

import concurrent.futures
import errno
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ssl_companion
from ssl_companion.data.hierarchy import held_out_classes
from ssl_companion.data.images import ImageSet
from ssl_companion.io.atomic import atomic_file
from ssl_companion.io.interrupt import interrupts
from ssl_companion.io.lock import BusyError, one_at_a_time
from ssl_companion.training import run as run_module
from ssl_companion.training.checkpoint import CheckpointError, checkpoint_paths
from ssl_companion.training.config import ObjectiveConfig, run_config_from_dict
from ssl_companion.training.run import measured_images, read_run, training_images
from ssl_companion.training.snapshots import (
    load_classifier,
    load_snapshot,
    snapshot_epochs,
    snapshot_path,
    snapshot_steps,
)
from ssl_companion.training.trainer import Trainer

from .conftest import Make, assert_same_snapshots


def test_what_a_run_leaves(tmp_path: Path, trained: Make, tiny: Make, images: ImageSet) -> None:
    config = tiny()
    assert trained(tmp_path, config)
    run = read_run(tmp_path)
    assert run["complete"] is True
    assert run["digest"] == config.digest()
    assert run_config_from_dict(run["config"]) == config
    assert run["images"] == {"name": "noise", "n": 20, "fingerprint": images.fingerprint}
    assert run["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert run["versions"]["ssl-companion"] == ssl_companion.__version__
    assert run["device"].startswith("CPU (")
    assert run["processes"] == 1
    assert run["peak_memory_bytes"] is None  # no accelerator
    assert run["epochs_done"] == 3
    assert 0 < run["train_seconds"] <= run["wall_seconds"] + 0.001
    start, end = (datetime.fromisoformat(run[key]) for key in ("start", "end"))
    assert start <= end
    assert start.utcoffset() is not None
    commit = run["git"]["commit"]
    assert commit is None or re.fullmatch("[0-9a-f]{40}", commit)
    assert isinstance(run["git"]["clean"], bool)
    assert [row["epoch"] for row in run["losses"]] == [1, 2, 3]
    terms = {"total", "invariance", "variance", "covariance"}
    assert all(set(row) == terms | {"epoch", "lr", "seconds"} for row in run["losses"])
    assert snapshot_epochs(tmp_path / "snapshots") == (0, 1, 2, 3)
    assert [p.name for p in checkpoint_paths(tmp_path / "checkpoints")] == ["step-000000012.ckpt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints", "run.json", "snapshots"]


def test_snapshots_are_of_their_epochs_and_keep_a_classifier_where_there_is_one(
    tmp_path: Path, trained: Make, tiny: Make
) -> None:
    config = tiny("supervised", epochs=4)
    trained(tmp_path, config, at=(0, 2))
    assert snapshot_epochs(tmp_path / "snapshots") == (0, 2)
    paths = [snapshot_path(tmp_path / "snapshots", epoch) for epoch in (0, 2)]
    first, last = (load_snapshot(path, config).state_dict() for path in paths)
    steps = [int(state["stem.1.num_batches_tracked"]) for state in (first, last)]
    assert steps == [0, 2 * 4]  # four batches of five images an epoch
    assert not torch.equal(first["stem.0.weight"], last["stem.0.weight"])
    weights = [load_classifier(path, config).weight for path in paths]
    assert weights[0].shape == (100, 4)
    assert not torch.equal(*weights)


def test_snapshots_between_epochs_are_of_their_steps(
    tmp_path: Path, trained: Make, tiny: Make
) -> None:
    config = tiny(epochs=2)
    for name, minutes in (("whole", None), ("slices", 1e-9)):
        while not trained(tmp_path / name, config, at=(0, 2), steps=(1, 6, 8, 50), minutes=minutes):
            pass
    folder = tmp_path / "whole" / "snapshots"
    assert snapshot_epochs(folder) == (0, 2)
    assert snapshot_steps(folder) == (1, 6)  # of 8 steps the last is an epoch's
    for step in (1, 6):
        state = load_snapshot(snapshot_path(folder, step, "step"), config).state_dict()
        assert int(state["stem.1.num_batches_tracked"]) == step
    assert_same_snapshots(tmp_path / "whole", tmp_path / "slices")


def test_the_first_losses_are_those_before_any_update(
    tmp_path: Path, trained: Make, new_trainer: Make
) -> None:
    assert trained(tmp_path / "whole")
    while not trained(tmp_path / "slices", minutes=1e-9):
        pass
    whole, slices = (read_run(tmp_path / name)["first_losses"] for name in ("whole", "slices"))
    assert whole == slices
    assert set(whole) == {"total", "invariance", "variance", "covariance"}
    trainer = new_trainer()
    assert trainer.first_losses == {}
    trainer.train_step()
    assert dict(zip(whole, trainer.state()["terms"][0].tolist(), strict=True)) == whole


def test_labels_by_lot_are_the_same_labels_on_other_images(
    images: ImageSet, new_trainer: Make
) -> None:
    by_lot = ObjectiveConfig("supervised", labels="by lot")
    own, lot, again, other = (
        new_trainer(objective, seed=seed).batches.labels.numpy()
        for objective, seed in (("supervised", 0), (by_lot, 0), (by_lot, 0), (by_lot, 1))
    )
    assert (own == images.fine).all()
    assert (lot == again).all()
    assert (lot != own).any()
    assert (lot != other).any()
    assert (np.sort(lot) == np.sort(own)).all()


def test_a_run_in_slices_ends_as_a_whole_one(tmp_path: Path, trained: Make) -> None:
    trained(tmp_path / "whole")
    calls, complete = 0, False
    while not complete:
        # So few minutes are over after a step.
        complete = trained(tmp_path / "slices", minutes=1e-9)
        calls += 1
        run = read_run(tmp_path / "slices")
        assert run["complete"] is complete
        assert run["epochs_done"] == calls // 4
    assert calls == 12
    assert_same_snapshots(tmp_path / "whole", tmp_path / "slices")


def test_a_complete_run_is_left_as_it_is(tmp_path: Path, trained: Make) -> None:
    trained(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*")}
    assert tmp_path / "run.json" in before
    assert trained(tmp_path)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_lost_snapshot_is_named_and_the_advice_brings_it_back(
    tmp_path: Path, trained: Make
) -> None:
    trained(tmp_path)
    lost = snapshot_path(tmp_path / "snapshots", 1)
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(CheckpointError, match=r"no snapshot of epoch 1, .*delete .*checkpoints"):
        trained(tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")
    assert trained(tmp_path)
    assert lost.read_bytes() == content


def test_a_run_that_was_killed_before_its_note_gets_it(tmp_path: Path, trained: Make) -> None:
    trained(tmp_path)
    path = tmp_path / "run.json"
    whole = read_run(tmp_path)
    path.write_text(json.dumps({k: v for k, v in whole.items() if k != "losses"}
                               | {"complete": False}))  # fmt: skip
    assert trained(tmp_path)
    assert read_run(tmp_path)["complete"] is True
    assert read_run(tmp_path)["losses"] == whole["losses"]


def test_peak_memory_is_the_largest_of_all_calls_and_of_this_run(
    tmp_path: Path, trained: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = iter([5, 9, 7])
    forgotten: list[int] = []
    monkeypatch.setattr(run_module, "_forget_peak_memory", lambda device: forgotten.append(1))
    monkeypatch.setattr(run_module, "_peak_memory", lambda device: next(peaks))
    seen = []
    for _ in range(3):
        trained(tmp_path, minutes=1e-9)
        seen.append(read_run(tmp_path)["peak_memory_bytes"])
    assert seen == [5, 9, 9]
    assert len(forgotten) == 3  # what the process did before a call is not the run's


@pytest.mark.parametrize("begun", [False, True])
def test_a_full_disk_at_the_note(
    tmp_path: Path, trained: Make, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    path = tmp_path / "run.json"
    if begun:
        trained(tmp_path, minutes=1e-9)
    before = path.read_bytes() if begun else None

    @contextmanager
    def full(wanted: Path) -> Iterator[Path]:
        with atomic_file(wanted) as temporary:
            yield temporary
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "atomic_file", full)
        expected = r"run\.json: could not be written \(.*No space left.*\); make room there and"
        with pytest.raises(CheckpointError, match=expected):
            trained(tmp_path)
    assert (path.read_bytes() if path.exists() else None) == before
    assert trained(tmp_path)
    assert read_run(tmp_path)["complete"] is True


def test_part_of_the_images(tmp_path: Path, trained: Make, tiny: Make, images: ImageSet) -> None:
    config = tiny(images_per_class=1, epochs=1)
    assert len(training_images(config, images)) == 10
    assert training_images(tiny(), images) is images
    trained(tmp_path, config)
    assert read_run(tmp_path)["images"]["n"] == 10
    final = load_snapshot(snapshot_path(tmp_path / "snapshots", 1), config)
    assert final.state_dict()["stem.1.num_batches_tracked"] == 2  # ten images, batches of five


def test_classes_held_out_are_measured_but_not_trained_on(
    tmp_path: Path, trained: Make, tiny: Make, noise_images: Make
) -> None:
    images = noise_images(200)  # two images of each of 100 classes
    config = tiny("supervised", images_per_class=1, epochs=1, held_out=True)
    seen, measured = training_images(config, images), measured_images(config, images)
    assert len(measured) == 100
    out = held_out_classes(images.hierarchy)
    assert set(measured.fine) - set(seen.fine) == set(out.tolist())
    assert len(seen) == 80
    assert set(seen.files) <= set(measured.files)
    trained(tmp_path, config, images)
    run = read_run(tmp_path)
    assert run["images"] == {"name": "noise", "n": 80, "fingerprint": seen.fingerprint}
    assert load_classifier(snapshot_path(tmp_path / "snapshots", 1), config).weight.shape[0] == 100


# --- folders that are refused ------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"seed": 1}, "run of another configuration; choose"), ({"images": 1}, "run on other images")],
)
def test_a_folder_of_another_run(
    tmp_path: Path, trained: Make, noise_images: Make, changed: dict[str, Any], said: str
) -> None:
    trained(tmp_path, minutes=1e-9)
    before = (tmp_path / "run.json").read_text()
    if "images" in changed:
        changed = {"images": noise_images(seed=1)}
    with pytest.raises(CheckpointError, match=f"holds a {said}"):
        trained(tmp_path, **changed)
    assert (tmp_path / "run.json").read_text() == before


def test_checkpoints_of_another_configuration(tmp_path: Path, trained: Make) -> None:
    trained(tmp_path / "a", epochs=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "checkpoints").rename(tmp_path / "b" / "checkpoints")
    with pytest.raises(CheckpointError, match=r"step-000000004\.ckpt: made with another config"):
        trained(tmp_path / "b", epochs=1, seed=1)


def test_a_damaged_checkpoint_stops_the_run_until_it_is_deleted(
    tmp_path: Path, trained: Make
) -> None:
    trained(tmp_path / "whole")
    # Of the six steps of these calls, the last two have their checkpoints.
    for _ in range(6):
        trained(tmp_path / "run", minutes=1e-9)
    good, damaged = checkpoint_paths(tmp_path / "run" / "checkpoints")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"step-000000006\.ckpt: truncated or altered"):
        trained(tmp_path / "run")
    assert good.exists()
    damaged.unlink()
    assert trained(tmp_path / "run")
    assert_same_snapshots(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"digest": 1}), "\0"])
def test_a_foreign_run_json(tmp_path: Path, trained: Make, content: str) -> None:
    with pytest.raises(ValueError, match=r"run\.json: not a readable description of a run"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=r"run\.json: (not a readable|does not describe)"):
        trained(tmp_path)
    assert (tmp_path / "run.json").read_text() == content


def test_two_calls_at_once_do_not_train_the_same_run(tmp_path: Path, trained: Make) -> None:
    folder = tmp_path / "run"
    with (
        one_at_a_time(folder),
        pytest.raises(BusyError, match="another process is at work here; wait for it to end"),
    ):
        trained(folder)
    assert not folder.exists()
    assert trained(folder)


def test_ctrl_c_is_saved_and_the_run_goes_on_bit_for_bit(
    tmp_path: Path, trained: Make, tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, step = tiny(), Trainer.train_step

    def pressed(trainer: Trainer) -> None:
        signal.raise_signal(signal.SIGINT)  # in the middle of a step
        step(trainer)
        if trainer.step == 6:
            signal.raise_signal(signal.SIGINT)  # somebody presses it again

    def once(trainer: Trainer) -> None:
        if trainer.step == 4:
            signal.raise_signal(signal.SIGINT)
        step(trainer)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Trainer, "train_step", once)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "mine", config)
    assert signal.getsignal(signal.SIGINT) is before
    names = [p.name for p in checkpoint_paths(tmp_path / "mine/checkpoints")]
    assert names[-1] == "step-000000005.ckpt", "the step that was being taken is the last one"
    run = read_run(tmp_path / "mine")
    assert (run["complete"], run["epochs_done"]) == (False, 1)
    monkeypatch.setattr(Trainer, "train_step", pressed)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "mine", config)
    monkeypatch.setattr(Trainer, "train_step", step)
    assert trained(tmp_path / "mine", config)
    assert trained(tmp_path / "whole", config)
    assert_same_snapshots(tmp_path / "mine", tmp_path / "whole")


@pytest.mark.parametrize("elsewhere", ["ignored", "handled", "a thread"])
def test_ctrl_c_is_left_to_whom_it_belongs(elsewhere: str) -> None:
    def seen() -> object:
        with interrupts() as pressed:
            assert not pressed()
            return signal.getsignal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    try:
        if elsewhere == "a thread":
            with concurrent.futures.ThreadPoolExecutor() as pool:
                assert pool.submit(seen).result() is before
            return
        own = signal.SIG_IGN if elsewhere == "ignored" else lambda *_: None
        signal.signal(signal.SIGINT, own)
        assert seen() is own
    finally:
        signal.signal(signal.SIGINT, before)
