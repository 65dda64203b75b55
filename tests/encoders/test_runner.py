"""Somebody's encoder is run as it is: what it returns, what it is, and what state torch is in."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import DenseNet
from torchvision.models.feature_extraction import create_feature_extractor

from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.record import record_encoder
from ssl_companion.encoders.runner import EncoderError, Runner
from ssl_companion.recordings import MeasureConfig

N, K = 40, 4
X = np.random.default_rng(0).integers(0, 256, (N, 3, 8, 8), dtype=np.uint8)
Y = np.arange(N) % K


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.drop, self.last = nn.Dropout(0.5), nn.Linear(6 * 36, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).relu()
        out: Tensor = self.last(self.drop(x.flatten(1)))
        return out


def features(encoder: Any, x: Any = X, **how: Any) -> Tensor:
    return Runner(encoder, **({"batch": 16} | how))(x, "images")["output"]


# --- what an encoder returns


class Alive:
    """Arrays that tensors were made of, as long as anything keeps them."""

    def __init__(self) -> None:
        self._made: list[weakref.ref[np.ndarray]] = []
        self.most = 0

    def tensor(self, *shape: int) -> Tensor:
        array = np.random.default_rng(len(self._made)).normal(size=shape).astype(np.float32)
        self._made.append(weakref.ref(array))
        self.most = max(self.most, self.now)
        return torch.from_numpy(array)

    @property
    def now(self) -> int:
        gc.collect()
        return sum(made() is not None for made in self._made)


def test_of_a_view_of_every_token_the_vectors_alone_are_kept() -> None:
    alive = Alive()
    found = features(
        lambda x: alive.tensor(len(x), 50, 8), batch=4, outputs=lambda tokens: tokens[:, 0]
    )
    assert alive.now == 0
    assert alive.most <= 2  # the batch before may live while the next one is made
    assert found.untyped_storage().nbytes() == N * 8 * 4


def test_views_of_the_sample_level_are_kept_alone_too(tmp_path: Path) -> None:
    alive = Alive()
    few = MeasureConfig(sample_images=8, sample_views=4, sample_fresh=2, probes=False)
    record_encoder(
        lambda x: alive.tensor(len(x), 50, 8), X, Y, destination=tmp_path / "mine", batch=6,
        outputs=lambda tokens: tokens[:, 0], config=few, sample_views=ViewConfig(), progress=False,
    )  # fmt: skip
    assert alive.most <= 2


def test_a_buffer_that_is_written_to_again_is_no_trap() -> None:
    buffer = torch.empty(16, 3)

    def encoder(x: Tensor) -> Tensor:
        return torch.mean(x, dim=(2, 3), out=buffer[: len(x)])

    torch.testing.assert_close(features(encoder), features(lambda x: x.mean(dim=(2, 3))))


def test_an_encoder_that_writes_to_its_input_leaves_the_images_alone() -> None:
    x = torch.randn(N, 3, 8, 8)
    before = x.clone()
    features(lambda b: b.mul_(0).flatten(1) + 1, x)
    features(lambda b: b.flatten(1), x, preprocess=lambda b: b.add_(1))
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_arrays_are_taken_and_half_maps_are_averaged_in_single_precision() -> None:
    torch.testing.assert_close(
        features(lambda x: x.mean(dim=(2, 3)).numpy()), features(lambda x: x.mean(dim=(2, 3)))
    )
    maps = torch.randn(N, 2, 9, 9).bfloat16()
    torch.testing.assert_close(
        features(lambda x: x, maps), maps.double().mean(dim=(2, 3)).float(), rtol=1e-5, atol=1e-6
    )


def uneven(first: Any, then: Any) -> Callable[[Tensor], Any]:
    calls: list[int] = []

    def encoder(x: Tensor) -> Any:
        calls.append(len(x))
        return (first if len(calls) == 1 else then)(x.flatten(1))

    return encoder


@pytest.mark.parametrize(
    ("encoder", "how", "said"),
    [
        (uneven(lambda x: x[:, :5], lambda x: x[:, :4]), {}, r"\{'output': 4\} for images 16 to"),
        (uneven(lambda x: {"a": x}, lambda x: {"b": x}), {}, "'b': 192.*'a': 192} before"),
        (lambda x: {}, {}, r"returned the layers \[\]"),
        (lambda x: {1: x.flatten(1), "1": x.flatten(1)}, {}, r"layers \[1, '1'\]"),
        (lambda x: None, {}, "encoder: returned NoneType for 16 images"),
        (lambda x: x.flatten(1)[1:], {}, r"returned \(15, 192\) for 16 images"),
        (lambda x: x.flatten(1) * 1j, {}, "'output': dtype torch.complex64; expected real"),
        (lambda x: x.flatten(1).to_sparse(), {}, "encoder's 'output'.*sparse.*to_dense"),
        ("resnet18", {}, "encoder: 'resnet18'; expected a module"),
        (lambda x: x, {"outputs": 3}, "outputs: 3; expected a function"),
        (lambda x: x, {"preprocess": lambda x: x[:2]}, r"preprocess: returned .*\(2, 3, 8, 8\)"),
        (lambda x: x, {"preprocess": lambda x: x.numpy()}, "preprocess: returned ndarray"),
        (lambda x: x, {"batch": "8"}, "batch: '8'; expected an integer of 1 or more"),
        (lambda x: x, {"device": "gpu"}, "device: 'gpu'; expected a device of torch"),
        (lambda x: x.flatten(1).half() * 1e5, {}, "'output'.*expected finite"),
    ],
)
def test_what_cannot_be_features_is_said_in_a_line(
    encoder: Any, how: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as error:
        features(encoder, **how)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["encoder", "preprocess", "outputs"])
def test_an_encoder_that_fails_says_on_what(part: str) -> None:
    def fails(x: object) -> None:
        raise RuntimeError("mat1 and mat2 do not fit\nand more")

    how = {"encoder": lambda x: x, part: fails}
    said = rf"^{part}: failed \(RuntimeError: mat1 .* fit\) for \w+ of shape \(16, 3, 8, 8\) on cpu"
    with pytest.raises(EncoderError, match=said) as error:
        features(**how)
    assert isinstance(error.value.__cause__, RuntimeError)
    assert "\n" not in str(error.value)


# --- what an encoder is


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_exported_frozen_and_compiled_networks_say_what_the_network_says() -> None:
    net = Net().train()
    net(torch.randn(8, 3, 8, 8))  # statistics of batch normalisation
    expected = features(net)
    assert net.training
    some, any_number = torch.randn(2, 3, 8, 8), ({0: torch.export.Dim("n")},)
    exported = torch.export.export(net.eval(), (some,), dynamic_shapes=any_number).module()
    others = {
        "exported": exported,
        "inside another": nn.Sequential(exported, nn.Identity()),
        "scripted": torch.jit.script(net.train()),
        "frozen": torch.jit.freeze(torch.jit.script(net.eval())),
        "traced": torch.jit.trace(net.eval(), some),
        "compiled": torch.compile(net.train(), backend="eager"),
    }
    for name, other in others.items():
        torch.testing.assert_close(features(other), expected, rtol=1e-5, atol=1e-5, msg=name)


def test_a_network_exported_in_training_mode_or_for_one_size_is_refused() -> None:
    some = torch.randn(2, 3, 8, 8)
    training = torch.export.export(Net().train(), (some,)).module()
    with pytest.raises(ValueError, match=r"exported in training mode \(aten.*`torch.export"):
        features(training)
    fixed = torch.export.export(Net().eval(), (some,)).module()
    with pytest.raises(EncoderError, match=r"encoder: failed \(AssertionError.*`dynamic_shapes`"):
        features(fixed)


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_a_frozen_half_network_names_its_type_and_takes_images_of_it() -> None:
    half = torch.jit.freeze(torch.jit.script(Net().half().eval()))
    with pytest.raises(EncoderError, match=r"encoder: failed \(.*Half.*float32.*`preprocess`"):
        features(half)
    found = features(half, X.astype(np.float32) / 255, preprocess=lambda x: x.half())
    expected = features(Net(), X.astype(np.float32) / 255)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("precision", ["half", "bfloat16", "double"])
def test_networks_of_other_precisions_say_the_same_to_within_theirs(precision: str) -> None:
    found = features(getattr(Net(), precision)())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features(Net()), rtol=0.05, atol=0.05)


def test_numbers_that_half_precision_does_not_hold_are_named_with_the_way_out() -> None:
    net = Net().half()
    net.last.weight.data.fill_(6e4)
    with pytest.raises(ValueError, match=r"'output': .* float16 .* `encoder\.float\(\)`"):
        features(net)


def test_weights_without_numbers_are_refused() -> None:
    with torch.device("meta"):
        net = nn.Flatten(), nn.Linear(192, 5)
    with pytest.raises(ValueError, match="encoder: weights on the meta device"):
        features(nn.Sequential(*net))


def test_a_network_that_computes_otherwise_in_training_is_put_back() -> None:
    """torchvision's extractor has a graph for training and one for evaluation, which differ where a
    function is told the mode, as dropout is here."""
    net = DenseNet(4, (1,), 4, bn_size=1, drop_rate=0.5)
    layers = create_feature_extractor(net, ["features.denseblock1"]).eval()
    evaluation, x = str(layers.graph), torch.randn(4, 3, 16, 16)
    expected = Runner(layers)(x, "images")["features.denseblock1"]
    assert str(layers.graph) == evaluation
    training = str(layers.train().graph)
    assert training != evaluation
    found = Runner(layers)(x, "images")["features.denseblock1"]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert layers.training
    assert str(layers.graph) == training


# --- what state torch is in


@contextlib.contextmanager
def default(device: str = "cpu", dtype: torch.dtype = torch.float32) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(before)


STATES: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "default device": lambda: default("meta"),
    "default type": lambda: default(dtype=torch.float64),
    "inference mode": torch.inference_mode,
    "gradients": torch.enable_grad,
}


@pytest.mark.parametrize("state", STATES)
def test_measures_and_recordings_are_the_same_in_any_state_of_torch(
    state: str, tmp_path: Path
) -> None:
    net = Net()

    def call(name: str) -> tuple[Any, Any]:
        few = MeasureConfig(
            keep="all", sample_images=8, sample_views=4, sample_fresh=2, map_images=2, map_views=3
        )
        how = {"config": few, "sample_views": ViewConfig(), "progress": False, "batch": 16}
        mine = record_encoder(net, X, torch.from_numpy(Y), destination=tmp_path / name, **how)
        return measure_encoder(net, X, Y), mine

    (table, mine), expected = call("plain"), {}
    with STATES[state]():
        expected["table"], expected["mine"] = call("other")
    np.testing.assert_allclose(expected["table"]["value"], table["value"], rtol=1e-5)
    np.testing.assert_allclose(expected["table"]["low"], table["low"], rtol=1e-5)
    np.testing.assert_allclose(
        expected["mine"].measures["value"], mine.measures["value"], rtol=1e-5
    )
    np.testing.assert_allclose(expected["mine"].features(0), mine.features(0), atol=1e-5)


def test_what_a_network_keeps_of_a_call_can_be_trained_afterwards() -> None:
    class Keeps(nn.Module):
        table: Tensor | None = None

        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(192, 3)

        def forward(self, x: Tensor) -> Tensor:
            if self.table is None:
                self.table = torch.arange(3.0)
            out: Tensor = self.last(x.flatten(1)) * self.table
            return out

    for state in (contextlib.nullcontext(), torch.inference_mode()):
        net = Keeps()
        with state:
            features(net)
        net(torch.randn(4, 3, 8, 8)).sum().backward()  # raises with a table of inference mode
