"""A run in its folder: what is written there, and which folders are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import torch

import ssl_companion
from ssl_companion._lock import BusyError, one_at_a_time
from ssl_companion.data.images import ImageSet
from ssl_companion.training.checkpoint import CheckpointError, checkpoint_paths
from ssl_companion.training.config import RunConfig, run_config_from_dict
from ssl_companion.training.loop import LoopConfig
from ssl_companion.training.run import read_run, train, training_images
from ssl_companion.training.snapshots import (
    load_classifier,
    load_snapshot,
    snapshot_epochs,
    snapshot_path,
)

Make = Callable[..., RunConfig]
Quiet = Callable[..., LoopConfig]
Images = Callable[..., ImageSet]


def test_what_a_run_leaves(tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet) -> None:
    config = tiny()
    assert train(config, images, tmp_path, quiet())
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


def test_snapshots_are_of_their_epochs(
    tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet
) -> None:
    config = tiny(epochs=4)
    train(config, images, tmp_path, quiet(), epochs=(0, 2))
    assert snapshot_epochs(tmp_path / "snapshots") == (0, 2)
    seen = [
        load_snapshot(snapshot_path(tmp_path / "snapshots", epoch), config).state_dict()
        for epoch in (0, 2)
    ]
    steps = [int(state["stem.1.num_batches_tracked"]) for state in seen]
    assert steps == [0, 2 * 4]  # four batches of five images an epoch
    assert not torch.equal(seen[0]["stem.0.weight"], seen[1]["stem.0.weight"])


def test_a_supervised_run_keeps_its_classifier(
    tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet
) -> None:
    config = tiny("supervised", epochs=1)
    train(config, images, tmp_path, quiet())
    first, last = (
        load_classifier(snapshot_path(tmp_path / "snapshots", epoch), config) for epoch in (0, 1)
    )
    assert first.weight.shape == (100, 4)
    assert not torch.equal(first.weight, last.weight)


def test_a_run_in_slices_ends_as_a_whole_one(
    tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet
) -> None:
    config = tiny()
    train(config, images, tmp_path / "whole", quiet())
    calls, complete = 0, False
    while not complete:
        # So few minutes are over after a step.
        complete = train(config, images, tmp_path / "slices", quiet(minutes=1e-9))
        calls += 1
        run = read_run(tmp_path / "slices")
        assert run["complete"] is complete
        assert run["epochs_done"] == calls // 4
    assert calls == 12
    names = sorted(p.name for p in (tmp_path / "whole" / "snapshots").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "slices" / "snapshots").iterdir())
    for name in names:
        whole, slices = (tmp_path / part / "snapshots" / name for part in ("whole", "slices"))
        assert whole.read_bytes() == slices.read_bytes()


def test_a_complete_run_is_left_as_it_is(
    tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet
) -> None:
    train(tiny(), images, tmp_path, quiet())
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*") if p.name != "run.json"}
    losses = read_run(tmp_path)["losses"]
    assert train(tiny(), images, tmp_path, quiet())
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert read_run(tmp_path)["losses"] == losses


def test_part_of_the_images(tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet) -> None:
    config = tiny(images_per_class=1, epochs=1)
    assert len(training_images(config, images)) == 10
    assert training_images(tiny(), images) is images
    train(config, images, tmp_path, quiet())
    assert read_run(tmp_path)["images"]["n"] == 10
    final = load_snapshot(snapshot_path(tmp_path / "snapshots", 1), config)
    assert final.state_dict()["stem.1.num_batches_tracked"] == 2  # ten images, batches of five


# --- folders that are refused ------------------------------------------------------------


def test_a_folder_of_another_configuration(
    tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet
) -> None:
    train(tiny(epochs=1), images, tmp_path, quiet())
    before = (tmp_path / "run.json").read_text()
    with pytest.raises(CheckpointError, match="holds a run of another configuration; choose"):
        train(tiny(epochs=1, seed=1), images, tmp_path, quiet())
    assert (tmp_path / "run.json").read_text() == before


def test_a_folder_of_a_run_on_other_images(
    tmp_path: Path, tiny: Make, quiet: Quiet, noise_images: Images
) -> None:
    train(tiny(), noise_images(seed=0), tmp_path, quiet(minutes=1e-9))
    with pytest.raises(CheckpointError, match="holds a run on other images"):
        train(tiny(), noise_images(seed=1), tmp_path, quiet())


def test_checkpoints_of_another_configuration(
    tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet
) -> None:
    train(tiny(epochs=1), images, tmp_path / "a", quiet())
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "checkpoints").rename(tmp_path / "b" / "checkpoints")
    with pytest.raises(CheckpointError, match=r"step-000000004\.ckpt: made with another config"):
        train(tiny(epochs=1, seed=1), images, tmp_path / "b", quiet())


def test_a_damaged_checkpoint_stops_the_run_until_it_is_deleted(
    tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet
) -> None:
    train(tiny(), images, tmp_path / "whole", quiet())
    # Of the six steps of these calls, the last two have their checkpoints.
    for _ in range(6):
        train(tiny(), images, tmp_path / "run", quiet(minutes=1e-9))
    good, damaged = checkpoint_paths(tmp_path / "run" / "checkpoints")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"step-000000006\.ckpt: truncated or altered"):
        train(tiny(), images, tmp_path / "run", quiet())
    assert good.exists()
    damaged.unlink()
    assert train(tiny(), images, tmp_path / "run", quiet())
    last = [
        (tmp_path / part / "snapshots" / "epoch-00003.safetensors") for part in ("whole", "run")
    ]
    assert last[0].read_bytes() == last[1].read_bytes()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"digest": 1}), "\0"])
def test_a_foreign_run_json(
    tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet, content: str
) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=r"run\.json: (not a readable|does not describe)"):
        train(tiny(), images, tmp_path, quiet())
    assert (tmp_path / "run.json").read_text() == content


def test_no_run_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run\.json: not a readable description of a run"):
        read_run(tmp_path)


def test_two_calls_at_once_do_not_train_the_same_run(
    tmp_path: Path, tiny: Make, quiet: Quiet, images: ImageSet
) -> None:
    folder = tmp_path / "run"
    with (
        one_at_a_time(folder),
        pytest.raises(BusyError, match="another process is at work here; wait for it to end"),
    ):
        train(tiny(), images, folder, quiet())
    assert not folder.exists()
    assert train(tiny(), images, folder, quiet())
