"""An encoder on a CUDA device: measured, compared and recorded as on a processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ssl_companion.data import load
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.examine import examine
from ssl_companion.encoders.recorder import EncoderRecorder
from ssl_companion.recordings import open_recording

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
WHICH = ("ncc", "cdnv", "nc1", "knn", "linear", "nc3", "effective_rank", "uniformity")


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions and products in float32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 24, 5, stride=2), nn.ReLU(), nn.Conv2d(24, 32, 3), nn.Tanh())


def test_measures_are_those_of_a_processor(network: nn.Module) -> None:
    images = load("glyphs100", "test").subset(8)
    expected = measure_encoder(network, images, which=WHICH, device="cpu")
    found = measure_encoder(network, images, which=WHICH, device="cuda")
    assert next(network.parameters()).device.type == "cpu", "left where it was"
    places = ["layer", "level", "split", "measure", "n", "n_fit"]
    pd.testing.assert_frame_equal(found[places], expected[places])
    exact = ~found["measure"].isin(["linear", "nc3"])  # those are fitted, step by step
    np.testing.assert_allclose(
        found["value"][exact], expected["value"][exact], rtol=1e-3, atol=2e-3
    )
    np.testing.assert_allclose(found["value"], expected["value"], rtol=0.05, atol=0.02)


@pytest.mark.parametrize("kind", ["half", "compiled", "autocast"])
def test_half_precision_and_compiled_modules_come_near(network: nn.Module, kind: str) -> None:
    images = load("glyphs100", "test").subset(8)
    expected = measure_encoder(network, images, which="ncc", device="cpu")
    if kind == "half":
        encoder = network.half().to("cuda")
    elif kind == "compiled":
        encoder = torch.compile(network.to("cuda"))
    else:
        network.to("cuda")

        def encoder(x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cuda"):
                return network(x.to("cuda"))

    found = measure_encoder(encoder, images, which="ncc", device="cuda")
    np.testing.assert_allclose(found["value"], expected["value"], atol=0.03)


def test_a_result_says_its_device_and_can_be_read_without_one(
    network: nn.Module, tmp_path: Path
) -> None:
    images = load("glyphs100", "test").subset(4)
    found = examine(network, images, which=("ncc", "cdnv"), device="cuda")["output"]
    assert torch.cuda.get_device_name() in found.about["device"]
    assert found.means.device.type == found.features.device.type == "cpu"
    found.save(tmp_path / "one.safetensors")
    assert found.rows.query("level == 'permuted'")["value"].notna().all()


def test_a_recorder_leaves_training_on_the_device_alone(network: nn.Module, tmp_path: Path) -> None:
    images = load("glyphs100", "test").subset(4)
    network.to("cuda").train()
    state = torch.cuda.get_rng_state()
    with EncoderRecorder(images, destination=tmp_path / "mine") as recorder:
        recorder(0, network)
    assert network.training
    assert next(network.parameters()).device.type == "cuda"
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert (
        torch.cuda.get_device_name() in open_recording(tmp_path / "mine").run["measured"]["device"]
    )
