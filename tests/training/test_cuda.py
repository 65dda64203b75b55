"""What only a CUDA device can show: CUDA graphs, padding, resuming and memory there."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest
import torch

from ssl_companion.training.backbones import Backbone, make_backbone
from ssl_companion.training.config import ObjectiveConfig, RunConfig
from ssl_companion.training.extract import forward_features
from ssl_companion.training.run import read_run
from ssl_companion.training.snapshots import load_snapshot, save_snapshot

from .conftest import OBJECTIVES, Make, after

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions in float32, by algorithms that give the same bits every time."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@pytest.fixture
def on_cuda(new_trainer: Make) -> Make:
    """on_cuda(...): `new_trainer` there, without compiling."""
    return functools.partial(new_trainer, device="cuda", compile="no")


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_compiled_it_computes_the_same(on_cuda: Make, objective: str) -> None:
    eager, fast = on_cuda(objective, capture=False), on_cuda(objective, compile="yes")
    expected, found = after(eager, 6), after(fast, 6)
    assert fast.replays
    assert not eager.replays
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("optimizer", ["lars", "sgd", "adamw"])
def test_captured_it_computes_the_same(on_cuda: Make, objective: str, optimizer: str) -> None:
    plain, captured = (
        on_cuda(objective, name=optimizer, lr=1e-3, capture=capture) for capture in (False, True)
    )
    expected, found = after(plain, 8), after(captured, 8)
    assert captured.replays
    for part in ("terms", "learner", "teacher"):
        torch.testing.assert_close(found[part], expected[part], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("switched", [ObjectiveConfig(on_from=1), ObjectiveConfig(on_until=1)])
def test_a_regularizer_that_is_switched_is_captured_anew(
    on_cuda: Make, switched: ObjectiveConfig
) -> None:
    trainers = [on_cuda(switched, capture=capture) for capture in (False, True)]
    expected, found = (after(trainer, 12) for trainer in trainers)
    assert trainers[1].replays
    torch.testing.assert_close(found["learner"], expected["learner"], rtol=2e-3, atol=1e-4)


@pytest.mark.slow
def test_networks_of_several_shapes_beside_one_another(on_cuda: Make) -> None:
    eager = [after(on_cuda(batch=batch), 6) for batch in (4, 5)]
    trainers = [on_cuda(batch=batch, compile="yes") for batch in (4, 5)]
    for _ in range(5):  # in turns: the graphs of one must not write over the other's results
        for trainer in trainers:
            trainer.train_step()
    for trainer, expected in zip(trainers, eager, strict=True):
        torch.testing.assert_close(after(trainer, 1), expected, rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_snapshot_is_padded_and_its_features_are_those_without(
    tmp_path: Path, tiny: Make, precision: str
) -> None:
    config = tiny(backbone="res-1-250")
    plain = load_snapshot_of(tmp_path, config, pad_to=1)
    padded = load_snapshot_of(tmp_path, config)
    assert padded.get_parameter("blocks.0.c1.weight").shape == (256, 256, 3, 3)
    assert plain.get_parameter("blocks.0.c1.weight").shape == (250, 250, 3, 3)
    x = torch.randn((64, 3, 32, 32), generator=torch.Generator().manual_seed(0)).cuda()
    with torch.inference_mode():
        expected = forward_features(plain, x, precision)
        found = forward_features(padded, x, precision)
    rtol = 1e-4 if precision == "fp32" else 3e-2
    torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol)


def test_a_state_loaded_into_a_run_that_replays(on_cuda: Make) -> None:
    trainer = on_cuda()
    after(trainer, 2)
    saved = copy.deepcopy(trainer.state())
    expected = copy.deepcopy(after(trainer, 6))
    trainer.load(saved)
    found = after(trainer, 6)
    assert trainer.replays
    torch.testing.assert_close(found["learner"], expected["learner"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["optimizer"], expected["optimizer"], rtol=1e-4, atol=1e-5)


def load_snapshot_of(folder: Path, config: RunConfig, **options: int) -> Backbone:
    path = save_snapshot(folder, 0, make_backbone(config.backbone, seed=3), config.digest())
    return load_snapshot(path, config, "cuda", **options)


@pytest.mark.parametrize("objective", ["vicreg", "byol"])
def test_a_padded_network_trains_as_the_unpadded_one(
    on_cuda: Make, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    padded = on_cuda(objective, backbone="res-1-250")
    monkeypatch.setattr("ssl_companion.training.trainer.padding", lambda device: 1)
    plain = on_cuda(objective, backbone="res-1-250")
    terms = [after(trainer, 3)["terms"] for trainer in (padded, plain)]
    torch.testing.assert_close(*terms, rtol=2e-3, atol=1e-4)
    states = [trainer.learner.backbone.exported_state() for trainer in (padded, plain)]
    torch.testing.assert_close(*states, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("compile", ["no", pytest.param("yes", marks=pytest.mark.slow)])
def test_interrupted_it_ends_as_an_uninterrupted_run(
    tmp_path: Path, on_cuda: Make, objective: str, compile: str
) -> None:
    whole = on_cuda(objective, compile=compile)
    assert whole.run()
    assert not on_cuda(objective, compile=compile, minutes=1e-9, folder=tmp_path).run()
    resumed = on_cuda(objective, compile=compile, folder=tmp_path)
    assert resumed.step == 1
    assert resumed.run()
    found, expected = resumed.state(), whole.state()
    for part in ("learner", "teacher", "optimizer"):
        torch.testing.assert_close(found[part], expected[part], rtol=1e-4, atol=1e-5)
    rows = zip(found["history"], expected["history"], strict=True)
    for a, b in rows:
        assert a["total"] == pytest.approx(b["total"], rel=1e-4)


def test_peak_memory_is_the_runs_own(tmp_path: Path, trained: Make) -> None:
    """cuDNN tries algorithms with workspaces of 2 GB (seen on an H100 and an H200)."""
    before = 6 * 2**30
    if torch.cuda.mem_get_info()[0] < before + 4 * 2**30:
        pytest.skip("needs 10 GB of free memory on the device")
    big = torch.empty(before, dtype=torch.uint8, device="cuda")  # by whatever ran before
    del big
    trained(tmp_path, device="cuda", compile="no")
    peak = read_run(tmp_path)["peak_memory_bytes"]
    assert 10_000 < peak < before


def test_random_states_of_more_devices_than_there_are(on_cuda: Make) -> None:
    trainer = on_cuda()
    state = trainer.state()
    assert len(state["random"]["cuda"]) == 1
    state["random"]["cuda"] *= torch.cuda.device_count() + 1
    trainer.load(state)
