"""Snapshots: what is saved is what comes back, or an error that names the file."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ssl_companion.training.backbones import Backbone, make_backbone, padding
from ssl_companion.training.checkpoint import CheckpointError
from ssl_companion.training.snapshots import (
    load_classifier,
    load_snapshot,
    log_spaced,
    save_snapshot,
    snapshot_epochs,
    snapshot_path,
    snapshot_steps,
)

from ..conftest import small_disk
from .conftest import Make


def network(name: str = "res-1-4", pad_to: int = 1) -> Backbone:
    """A network whose weights and running statistics are not those of any seed."""
    backbone = make_backbone(name, seed=9, pad_to=pad_to)
    g = torch.Generator().manual_seed(0)
    for _ in range(3):
        backbone(torch.randn((4, 3, 32, 32), generator=g))
    return backbone


def features(backbone: Backbone) -> dict[str, torch.Tensor]:
    x = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return backbone.eval().features(x)


@given(st.integers(1, 10**6))
def test_log_spaced_goes_from_0_to_the_end_in_growing_steps(epochs: int) -> None:
    assert log_spaced(60) == (0, 1, 2, 3, 5, 10, 20, 30, 50, 60)
    chosen = log_spaced(epochs)
    assert chosen[0] == 0
    assert chosen[-1] == epochs
    assert all(a < b for a, b in itertools.pairwise(chosen))
    inner = chosen[1:-1]
    assert all(b <= 2 * a for a, b in itertools.pairwise(inner))
    assert len(chosen) <= 2 + 4 * len(str(epochs))


@pytest.mark.parametrize("name", ["res-1-4", "resnet18", "vit-1-16"])
def test_round_trip(tmp_path: Path, tiny: Make, name: str) -> None:
    config, backbone = tiny(backbone=name), network(name)
    path = save_snapshot(tmp_path / "new", 7, backbone, config.digest())
    assert path == snapshot_path(tmp_path / "new", 7)
    loaded = load_snapshot(path, config)
    assert not loaded.training
    torch.testing.assert_close(loaded.state_dict(), backbone.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(features(loaded), features(backbone))


@pytest.mark.parametrize("before", [1, 8])
@pytest.mark.parametrize("after", [1, 8, 64])
def test_padded_or_not_the_features_are_the_same(
    tmp_path: Path, tiny: Make, before: int, after: int
) -> None:
    config, backbone = tiny(backbone="res-2-5"), network("res-2-5", before)
    path = save_snapshot(tmp_path, 7, backbone, config.digest())
    loaded = load_snapshot(path, config, pad_to=after)
    channels = -(-5 // after) * after
    assert loaded.get_parameter("blocks.1.c2.weight").shape == (channels, channels, 3, 3)
    assert loaded.width == 5
    found, expected = features(loaded), features(backbone)
    assert found.keys() == expected.keys()
    for layer, values in expected.items():
        assert values.abs().max() > 0.1
        torch.testing.assert_close(found[layer], values)
    # And what is saved of it is what was saved.
    again = save_snapshot(tmp_path / "again", 7, loaded, config.digest())
    assert again.read_bytes() == path.read_bytes()


def test_padded_on_cuda_and_in_the_order_of_memory_of_the_images(
    tmp_path: Path, tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [padding(torch.device(name)) for name in ("cuda:3", "cpu")] == [64, 1]
    config = tiny(backbone="res-1-5")
    path = save_snapshot(tmp_path, 7, network("res-1-5", pad_to=8), config.digest())
    monkeypatch.setattr("ssl_companion.training.snapshots.padding", lambda device: 4)
    weight = load_snapshot(path, config).get_parameter("blocks.0.c1.weight")
    assert weight.shape == (8, 8, 3, 3)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    with safetensors.safe_open(path, framework="np") as file:  # without this package
        assert file.metadata() == {"digest": config.digest()}
        assert file.get_tensor("blocks.0.c1.weight").shape == (5, 5, 3, 3)
        assert set(file.keys()) == set(make_backbone("res-1-5", seed=0).state_dict())


def test_the_epochs_and_steps_that_are_there(tmp_path: Path) -> None:
    assert snapshot_epochs(tmp_path / "absent") == ()
    for epoch in (10, 0, 200):
        save_snapshot(tmp_path, epoch, network(), "d")
    for step in (50, 20):
        save_snapshot(tmp_path, step, network(), "d", unit="step")
    for name in ("epoch-7.safetensors", "epoch-00003.safetensors.bak", "epoch-abcde.safetensors"):
        (tmp_path / name).touch()
    assert snapshot_epochs(tmp_path) == (0, 10, 200)
    assert snapshot_steps(tmp_path) == (20, 50)
    assert (tmp_path / "step-00020.safetensors").exists()


def test_a_classifier_beside_the_backbone(tmp_path: Path, tiny: Make) -> None:
    config, classifier = tiny("supervised"), nn.Linear(4, 100)
    path = save_snapshot(tmp_path, 1, network(), config.digest(), classifier)
    before = torch.get_rng_state()
    loaded = load_classifier(path, config)
    assert torch.equal(before, torch.get_rng_state())
    assert not loaded.training
    x = torch.randn((3, 4))
    assert torch.equal(loaded(x), classifier(x))
    assert load_snapshot(path, config).width == 4


def test_a_foreign_snapshot_is_refused(tmp_path: Path, tiny: Make) -> None:
    path = save_snapshot(tmp_path, 1, network(), tiny(seed=1).digest())
    digests = f"digest {tiny(seed=1).digest()[:12]}, expected {tiny().digest()[:12]}"
    with pytest.raises(ValueError, match=f"epoch-00001.*another configuration .{digests}"):
        load_snapshot(path, tiny())
    safetensors.torch.save_file({"x": torch.ones(3)}, path)
    with pytest.raises(ValueError, match="another configuration"):
        load_snapshot(path, tiny())
    save_snapshot(tmp_path, 1, network(), tiny().digest())
    with pytest.raises(ValueError, match=r"epoch-00001.* holds no classifier; only supervised"):
        load_classifier(path, tiny())


@pytest.mark.parametrize("part", [None, 0, 4, 100, 0.5, -1])
def test_a_truncated_or_absent_snapshot_is_refused(
    tmp_path: Path, tiny: Make, part: float | None
) -> None:
    path = save_snapshot(tmp_path, 1, network(), tiny().digest())
    whole = path.read_bytes()
    path.unlink()
    if part is not None:
        path.write_bytes(whole[: int(part * len(whole)) if isinstance(part, float) else part])
    with pytest.raises(ValueError, match=r"epoch-00001\.safetensors: not a readable snapshot"):
        load_snapshot(path, tiny())


def test_a_full_disk_leaves_the_snapshot_that_stands(tmp_path: Path, tiny: Make) -> None:
    path = save_snapshot(tmp_path, 1, network(), tiny().digest())
    content = path.read_bytes()
    with (
        small_disk(1000),
        pytest.raises(CheckpointError, match=r"epoch-00001.* could not be written"),
    ):
        save_snapshot(tmp_path, 1, make_backbone("res-1-4", seed=0), tiny().digest())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == content
