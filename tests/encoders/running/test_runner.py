"""Somebody's encoder is run as it is: what it returns, what it is, and what state torch is in."""

from __future__ import annotations

import contextlib
import gc
import itertools
import warnings
import weakref
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import DenseNet, resnet18
from torchvision.models.feature_extraction import create_feature_extractor

from ssl_companion.data.augmentation import ViewConfig, normalise
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.networks.by_name import load_encoder
from ssl_companion.encoders.record import record_encoder
from ssl_companion.encoders.running.runner import EncoderError, Runner
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


class Tokens(nn.Module):
    """A class token and 16 patches as [n, 17, 5], through two blocks that write over their input,
    as transformers of Hugging Face return them."""

    def __init__(self, returns: Callable[..., Any] = lambda tokens: tokens) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 5, 2, stride=2)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(5, 5), nn.Tanh()) for _ in range(2))
        self.over = nn.ReLU(inplace=True)
        self.returns = returns

    def forward(self, x: Tensor) -> Any:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens[:, :1] * 0 + 1, tokens], dim=1)
        for block in self.blocks:
            tokens = self.over(block(tokens)) + 0.1
        return self.returns(tokens)


IMAGES = normalise(torch.from_numpy(X).float() / 255)


@torch.no_grad()
def blocks_by_hand() -> list[Tensor]:
    """What each block of `Tokens` returns, before it is written over."""
    net, found = Tokens(), []
    tokens = net.patches(IMAGES).flatten(2).transpose(1, 2)
    tokens = torch.cat([torch.ones(N, 1, 5), tokens], dim=1)
    for linear, _ in net.blocks:  # type: ignore[attr-defined,misc]
        found.append(torch.tanh(linear(tokens)))
        tokens = found[-1].relu() + 0.1
    return [*found, tokens]


POOLED: dict[str, Callable[[Tensor], Tensor]] = {
    "cls": lambda tokens: tokens[:, 0],
    "mean": lambda tokens: tokens.double().mean(dim=1).float(),
}


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
        (
            Tokens(),
            {},
            r"tokens \(16, 17, 5\) as 'output', with pool None; .*'cls' .*`outputs",
        ),
        (Tokens(), {"pool": "gap"}, r"pool 'gap', which is for maps .*expected 'cls' .* or 'mean'"),
        (Tokens(lambda t: t[:, :0]), {"pool": "cls"}, r"tokens \(16, 0, 5\) .*one token or more"),
        (nn.Conv2d(3, 6, 3), {"pool": "cls"}, r"pool: 'cls', .*maps \(16, 6, 6, 6\).*'gap'"),
        (lambda x: x.flatten(1), {"pool": "avg"}, "pool: 'avg'; expected one of 'cls', 'mean'"),
        (Tokens(lambda t: (t, None)), {}, r"a tuple \(\(16, 17, 5\), NoneType\) .*`outputs=lambda"),
        (lambda x: (), {}, r"returned a tuple \(\) for 16 images"),
        (lambda x: x.flatten(1), {"layers": ["a"]}, "layers: a of a function; expected a module"),
        (Tokens(), {"layers": ["blocks.2"]}, "layers: 'blocks.2'; .* 'blocks.1', 'blocks.0'"),
        (Tokens(), {"layers": []}, r"layers: \[\]; expected one name or more"),
        (Tokens(), {"layers": ["over", "over"]}, "layers: .*, each once"),
        (Tokens(), {"layers": ["blocks"]}, "layers: 'blocks' returned nothing as the encoder ran"),
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


@pytest.mark.parametrize("pool", POOLED)
def test_tokens_of_layers_by_name_are_pooled_before_a_later_part_writes_over_them(
    pool: Any,
) -> None:
    net, asked = Tokens(), ["output", "blocks.1", "blocks.0"]
    found = Runner(net, layers=asked, pool=pool, batch=16)(X, "images")
    assert list(found) == asked
    first, second, last = map(POOLED[pool], blocks_by_hand())
    for layer, expected in zip(asked, (last, second, first), strict=True):
        torch.testing.assert_close(found[layer], expected, rtol=1e-5, atol=1e-6)
        assert found[layer].untyped_storage().nbytes() == N * 5 * 4
    assert not any(part._forward_hooks for part in net.modules())


def test_layers_by_name_are_those_of_torchvisions_extractor() -> None:
    net = resnet18(weights=None).eval()
    asked = {"layer1.0.conv1": "a", "layer1": "b", "avgpool": "c"}
    theirs = create_feature_extractor(net, asked)
    with torch.no_grad():
        maps = theirs(IMAGES)
    found = Runner(net, layers=list(asked), batch=16)(X, "images")
    for layer, short in asked.items():
        expected = maps[short].mean(dim=(2, 3))
        torch.testing.assert_close(found[layer], expected, rtol=1e-4, atol=1e-5)


def test_hooks_are_gone_after_an_error_too() -> None:
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Linear(7, 2))
    with pytest.raises(EncoderError, match="encoder: failed"):
        Runner(net, layers=["0"])(X, "images")
    assert not any(part._forward_hooks for part in net.modules())


def test_outputs_pick_from_every_layer_that_is_named() -> None:
    net = Tokens(lambda tokens: tokens)
    how = {"layers": ["blocks.0", "blocks.1"], "outputs": lambda tokens: tokens[:, 3]}
    found = Runner(net, batch=16, **how)(X, "images")  # type: ignore[arg-type]
    for layer, tokens in zip(found, blocks_by_hand(), strict=False):
        torch.testing.assert_close(found[layer], tokens[:, 3], rtol=1e-5, atol=1e-6)


def test_maps_are_averaged_over_places_whichever_way_is_named() -> None:
    conv = nn.Conv2d(3, 6, 3)
    with torch.no_grad():
        expected = conv(IMAGES).double().mean(dim=(2, 3)).float()
    for pool in (None, "gap", "mean"):
        torch.testing.assert_close(features(conv, pool=pool), expected, rtol=1e-5, atol=1e-6)


class ModelOutput(OrderedDict[str, Any]):
    """As that of transformers: entries that are attributes too, those that are None left out."""

    def __init__(self, **entries: Any) -> None:
        super().__init__({name: value for name, value in entries.items() if value is not None})
        vars(self).update(entries)


@pytest.mark.parametrize(
    ("pooler", "pool", "expected"),
    [
        (lambda tokens: tokens[:, 1], None, lambda tokens: tokens[:, 1]),
        (lambda tokens: tokens[:, 1, :, None, None], None, lambda tokens: tokens[:, 1]),
        (lambda tokens: tokens[:, 1], "mean", POOLED["mean"]),
        (lambda tokens: None, "cls", POOLED["cls"]),
    ],
)
def test_of_a_model_output_the_pooled_one_or_the_last_state_is_taken(
    pooler: Any, pool: Any, expected: Any
) -> None:
    def returns(tokens: Tensor) -> ModelOutput:
        states = (tokens, tokens)
        return ModelOutput(
            last_hidden_state=tokens, pooler_output=pooler(tokens), hidden_states=states
        )

    found = features(Tokens(returns), pool=pool)
    last = blocks_by_hand()[-1]
    torch.testing.assert_close(found, expected(last), rtol=1e-5, atol=1e-6)
    first = features(Tokens(returns), outputs=lambda out: out.hidden_states[0][:, 0])
    torch.testing.assert_close(first, last[:, 0], rtol=1e-5, atol=1e-6)


Both = namedtuple("Both", "one two")


@pytest.mark.parametrize(
    ("returns", "layers", "names"),
    [
        (lambda t: (t[:, 0], t), None, ["output.0", "output.1"]),
        (lambda t: [t], None, ["output"]),
        (lambda t: Both(t[:, 0], t), None, ["one", "two"]),
        (lambda t: {"a": t, 3: t}, None, ["a", "3"]),
        (lambda t: {"a": t, 3: t}, ["output"], ["output.a", "output.3"]),
        (lambda t: (t, t), ["output", "patches"], ["output.0", "output.1", "patches"]),
    ],
)
def test_tuples_and_dictionaries_become_layers(returns: Any, layers: Any, names: list[str]) -> None:
    found = Runner(Tokens(returns), layers=layers, pool="mean")(X, "images")
    assert list(found) == names


# --- images that come in batches


class Stream:
    """Batches of images that can be gone through again, and may say how many they are."""

    def __init__(self, x: Any, sizes: tuple[int, ...], total: int | None = None) -> None:
        self.x, self.cuts, self.total = x, np.cumsum([0, *sizes]).tolist(), total

    def __iter__(self) -> Iterator[Any]:
        for start, end in itertools.pairwise(self.cuts):
            yield self.x[start:end]


@pytest.mark.parametrize("total", [N, None])
@pytest.mark.parametrize("x", [X, torch.from_numpy(X), IMAGES])
def test_batches_of_any_size_say_what_the_whole_array_says(x: Any, total: int | None) -> None:
    net, expected = Net(), features(Net(), x)
    for sizes in ((N,), (7, 30, 3), (20, 0, 20)):
        found = features(net, Stream(x, sizes, total))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert found.untyped_storage().nbytes() == N * 5 * 4
    once = features(net, iter(Stream(x, (25, 15))))
    torch.testing.assert_close(once, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("total", [N, None])
def test_features_may_come_in_batches_too(total: int | None) -> None:
    x = np.random.default_rng(0).normal(size=(N, 6))
    found = Runner(None)(Stream(x, (30, 10), total), "images")["features"]
    np.testing.assert_array_equal(found.numpy(), x)


def test_a_memory_map_is_read_batch_by_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    lengths: list[int] = []

    class Spied(np.memmap):  # type: ignore[type-arg]
        def __array_finalize__(self, other: Any) -> None:
            super().__array_finalize__(other)

        def __getitem__(self, index: Any) -> Any:
            found = np.asarray(self)[index]
            lengths.append(len(found))
            return found

        def astype(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError("the whole of it was read")

        copy = __array__ = astype

    found = features(Net(), mapped.view(Spied), batch=16)
    assert lengths == [16, 16, 8]
    torch.testing.assert_close(found, features(Net()), rtol=1e-5, atol=1e-6)


def test_progress_counts_images(capsys: pytest.CaptureFixture[str]) -> None:
    Runner(Net(), progress=True)(Stream(X, (25, 15), N), "photographs")
    assert f"photographs: 100%|" in (said := capsys.readouterr().err)  # noqa: F541
    assert f"{N}/{N}" in said
    features(Net())
    assert not capsys.readouterr().err


def changing(*shapes: tuple[int, ...], dtype: str = "uint8") -> list[np.ndarray]:
    return [np.zeros(shape, "uint8" if i == 0 else dtype) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([], "photographs: no batch of images; expected one or more; .* make it anew"),
        (X[:0], "photographs: no batch of images"),
        ([X[:0]], "photographs: no batch of images"),
        (changing((2, 3, 8, 8), (2, 3, 9, 8)), r"batch 1 has images \(3, 9, 8\) .*\(3, 8, 8\)"),
        (changing((2, 3, 8, 8), (2, 3, 8, 8), dtype="float32"), "of float32, those before .*uint8"),
        ([(X, Y)], r"batch 0 is tuple; .*; `\(x for x, _ in loader\)`"),
        ([X[:4], None], "photographs: batch 1 is NoneType; expected a tensor or an array"),
        ({"a": X}, "photographs: dict; expected an array"),
        ("folder", "photographs: 'folder'; expected an array"),
        (None, "photographs: NoneType; expected an array"),
        (Stream(X, (20, 20), N + 1), "photographs: 40 in batches; expected 41, their `total`"),
        (Stream(X, (20, 20), N - 1), "photographs: 40 or more in batches; expected 39"),
        (Stream(X, (40,), -1), "photographs's total: -1; expected an integer of 1 or more"),
        ([np.zeros((2, 8, 8, 3), np.uint8)], r"shape \(2, 8, 8, 3\), channels last"),
    ],
)
def test_batches_that_are_none_are_said_in_a_line(images: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        Runner(lambda x: x.flatten(1), batch=20)(images, "photographs")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(N, 8, 8), (N, 1, 8, 8)])
def test_grey_bytes_become_three_equal_channels(shape: tuple[int, ...]) -> None:
    grey = X[:, :1]
    expected = features(Net(), grey.repeat(3, axis=1))
    torch.testing.assert_close(features(Net(), grey.reshape(shape)), expected, rtol=0, atol=0)
    seen = features(lambda x: x.flatten(1), grey.reshape(shape), preprocess=lambda x: x.float())
    np.testing.assert_array_equal(seen.numpy(), grey.reshape(N, -1))  # `preprocess` gets one


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
        "parallel": nn.DataParallel(net),
    }
    for name, other in others.items():
        torch.testing.assert_close(features(other), expected, rtol=1e-5, atol=1e-5, msg=name)


def test_layers_of_compiled_and_wrapped_networks_have_their_authors_names() -> None:
    net = Net().eval()
    expected = Runner(net, layers=["conv", "norm"])(X, "images")
    compiled = torch.compile(net, backend="eager")
    compiled(IMAGES)  # the code is made, without hooks
    inside = Net().eval()
    inside.compile(backend="eager")
    inside(IMAGES)
    for other in (compiled, nn.DataParallel(compiled), inside):
        found = Runner(other, layers=["conv", "norm"])(X, "images")
        for layer, values in expected.items():
            torch.testing.assert_close(found[layer], values, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_parts_of_programs_have_no_outputs_of_their_own() -> None:
    net, some = Net().eval(), torch.randn(2, 3, 8, 8)
    exported = torch.export.export(net, (some,), dynamic_shapes=({0: torch.export.Dim("n")},))
    for program in (exported.module(), torch.jit.script(net)):
        with pytest.raises(ValueError, match=r"layers: 'conv' .*scripted or exported"):
            Runner(program, layers=["conv"])(X, "images")
        assert "output" in Runner(program, layers=["output"])(X, "images")


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


def test_floats_that_look_like_bytes_are_told() -> None:
    images = np.full((4, 3, 8, 8), 200, np.uint8)
    run = Runner(lambda x: x.mean(dim=(2, 3)))
    with pytest.warns(UserWarning, match="images: floats up to 200"):
        run(images.astype(np.float32), "images")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(images, "images")
        run(images.astype(np.float32) / 255, "images")


def test_a_named_encoder_brings_its_preparation() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 40, 30), dtype=np.uint8)
    pixels = load_encoder("pixels")
    expected = Runner(pixels.encoder, preprocess=pixels.preprocess)(images, "images")["output"]
    assert Runner(pixels)(images, "images")["output"].equal(expected)
    with pytest.raises(EncoderError, match=r"transpose\(0, 3, 1, 2\)"):
        Runner(pixels)(images.transpose(0, 2, 3, 1), "images")
