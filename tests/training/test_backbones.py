"""Backbones: against torchvision's own forward passes, and padded against unpadded."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from ssl_companion.data import DataError, load
from ssl_companion.training.backbones import Backbone, ResLH, ResNet18, ViT, make_backbone
from ssl_companion.training.extract import extract
from ssl_companion.training.optim import OptimConfig, make_optimizer

WIDTHS = {"res-1-4": 4, "res-3-7": 7, "resnet18": 512, "resnet18-4": 32, "vit-2-64": 64}
BLOCKS = {"res-1-4": 1, "res-3-7": 3, "resnet18": 8, "resnet18-4": 8, "vit-2-64": 2}
by_name = pytest.mark.parametrize("name", WIDTHS)


def pixels(n: int = 4, side: int = 32, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn((n, 3, side, side), generator=g).to(dtype)


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- what every backbone promises --------------------------------------------------------


@by_name
def test_a_tap_at_every_block(name: str) -> None:
    backbone = make_backbone(name, seed=0).eval()
    features = backbone.features(pixels())
    assert tuple(features) == backbone.layers
    assert backbone.layers == ("stem", *(f"block{i}" for i in range(1, BLOCKS[name] + 1)))
    assert backbone.width == WIDTHS[name] == features[backbone.layers[-1]].shape[1]
    for values in features.values():
        assert values.ndim == 2
        assert len(values) == 4
        assert torch.isfinite(values).all()


def test_the_width_of_resnet18s_taps() -> None:
    for first in (64, 4):
        widths = [v.shape[1] for v in ResNet18(first).eval().features(pixels()).values()]
        assert widths == [first * factor for factor in (1, 1, 1, 2, 2, 4, 4, 8, 8)]


@by_name
def test_maps_are_what_the_taps_are_means_of(name: str) -> None:
    backbone = make_backbone(name, seed=0).eval()
    features, maps = backbone.features(pixels()), backbone.maps(pixels())
    assert maps.keys() == features.keys()
    for layer, values in maps.items():
        assert values.shape[:2] == features[layer].shape
        if name.startswith("vit"):  # whose taps have the class token among them, too
            assert values.shape[2:] == (8, 8)
        else:
            torch.testing.assert_close(values.mean(dim=(2, 3)), features[layer])


def test_the_maps_of_a_transformer_lie_as_their_patches_do() -> None:
    vit = make_backbone("vit-1-8", seed=0).eval()
    assert isinstance(vit, ViT)
    with torch.no_grad():
        vit.net.encoder.pos_embedding.zero_()
    x = pixels(1)
    moved = x.roll((4, 8), dims=(2, 3))  # by a patch down and two to the right
    before, after = vit.maps(x)["stem"], vit.maps(moved)["stem"]
    torch.testing.assert_close(after, before.roll((1, 2), dims=(2, 3)))


def test_maps_have_no_padding() -> None:
    narrow = make_backbone("res-1-5", seed=0).eval()
    padded = make_backbone("res-1-5", seed=0, pad_to=8).eval()
    for layer, values in padded.maps(pixels()).items():
        torch.testing.assert_close(values, narrow.maps(pixels())[layer], rtol=1e-4, atol=1e-5)


@by_name
def test_forward_is_the_last_tap(name: str) -> None:
    backbone = make_backbone(name, seed=0).eval()
    assert torch.equal(backbone(pixels()), backbone.features(pixels())[backbone.layers[-1]])


@by_name
def test_every_weight_learns(name: str) -> None:
    backbone = make_backbone(name, seed=0)
    backbone(pixels()).square().sum().backward()
    for parameter_name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@by_name
def test_the_seed_decides_the_weights(name: str) -> None:
    before = torch.get_rng_state()
    first, again, other = (make_backbone(name, seed=s).state_dict() for s in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert equal(first, again)
    assert not equal(first, other)


@by_name
def test_exported_state_loads(name: str) -> None:
    trained = make_backbone(name, seed=0)
    trained(pixels())  # moves the running statistics
    fresh = make_backbone(name, seed=1)
    fresh.load_state_dict(trained.exported_state())
    assert torch.equal(fresh.eval()(pixels(2)), trained.eval()(pixels(2)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((name, "backbone: .*; expected 'res-L-H'")
          for name in ("", "res-5", "res-5-250-1", "resnet50", "resnet18-0", "RES-5-250", "vit-6")),
        ("res-0-8", "depth: 0; expected 1 or more"),
        ("res-1-0", "width: 0; expected 1 or more"),
        ("vit-2-193", "expected a width that divides into 3 heads"),
    ],
)  # fmt: skip
def test_unknown_names_and_impossible_sizes(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_backbone(name, seed=0)
    with pytest.raises(ValueError, match="pad_to: 0; expected 1 or more"):
        ResLH(1, 4, pad_to=0)


def test_the_base_class_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="Backbone has to define features"):
        Backbone()(pixels())


# --- forward passes written by others ----------------------------------------------------


def test_reslh_is_the_network_that_its_weights_names_describe() -> None:
    backbone = make_backbone("res-2-5", seed=0)
    backbone(pixels(8))
    backbone.eval()
    w = backbone.exported_state()

    def normalised(x: Tensor, key: str) -> Tensor:
        statistics = w[f"{key}.running_mean"], w[f"{key}.running_var"]
        return F.batch_norm(x, *statistics, w[f"{key}.weight"], w[f"{key}.bias"])

    x = F.relu(normalised(F.conv2d(pixels(), w["stem.0.weight"], stride=2), "stem.1"))
    x = F.relu(normalised(F.conv2d(x, w["stem.3.weight"], stride=2), "stem.4"))
    expected = {"stem": x.mean((2, 3))}
    for i in range(2):
        y = F.conv2d(x, w[f"blocks.{i}.c1.weight"], padding=1)
        y = F.conv2d(F.relu(normalised(y, f"blocks.{i}.b1")), w[f"blocks.{i}.c2.weight"], padding=1)
        x = F.relu(x + normalised(y, f"blocks.{i}.b2"))
        assert x.shape == (4, 5, 8, 8)
        expected[f"block{i + 1}"] = x.mean((2, 3))
    for name, values in backbone.features(pixels()).items():
        torch.testing.assert_close(values, expected[name])


@pytest.mark.parametrize("training", [False, True])
def test_resnet18_is_torchvisions_with_a_cifar_stem(training: bool) -> None:
    ours = make_backbone("resnet18", seed=0).train(training)
    net = torchvision.models.resnet18(num_classes=1).train(training)
    net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    net.maxpool = net.fc = nn.Identity()
    # The same weights in the same order, under other names.
    theirs = dict(zip(net.state_dict(), ours.state_dict().values(), strict=True))
    net.load_state_dict(theirs)
    torch.testing.assert_close(ours(pixels()), net(pixels()))
    if not training:
        nodes = {f"layer{s}.{b}": f"block{2 * s + b - 1}" for s in (1, 2, 3, 4) for b in (0, 1)} | {
            "relu": "stem"
        }
        taps = create_feature_extractor(net, nodes)(pixels())
        for name, values in ours.features(pixels()).items():
            torch.testing.assert_close(values, taps[name].mean((2, 3)))


def test_vit_is_torchvisions() -> None:
    ours = make_backbone("vit-2-64", seed=0).eval()
    assert isinstance(ours, ViT)
    with torch.no_grad():  # it starts as zeros
        ours.net.class_token.normal_(generator=torch.Generator().manual_seed(0))
    nodes = {
        "encoder.dropout": "stem",
        "encoder.layers.encoder_layer_0": "block1",
        "encoder.ln": "block2",
    }
    taps = create_feature_extractor(ours.net, nodes)(pixels())
    for name, values in ours.features(pixels()).items():
        assert taps[name].shape == (4, 1 + 8 * 8, 64)  # a class token and 4x4 patches
        torch.testing.assert_close(values, taps[name].mean(dim=1))


# --- a width that the hardware likes -----------------------------------------------------


class Network(nn.Module):
    """A backbone under a small head, in float64."""

    def __init__(self, pad_to: int, width: int = 5, seed: int = 0) -> None:
        super().__init__()
        self.backbone = make_backbone(f"res-2-{width}", seed=seed, pad_to=pad_to)
        self.head = nn.Linear(width, 3)
        with torch.no_grad():
            self.head.weight.copy_(torch.linspace(-1, 1, 3 * width).view(3, width))
            self.head.bias.zero_()
        self.double()

    def loss(self, seed: int) -> Tensor:
        x = pixels(6, 16, seed, torch.float64)
        taps = self.backbone.features(x)
        # Every tap has a say, so that gradients come in at each of them.
        return self.head(taps["block2"]).square().mean() + sum(
            t.sin().mean() for t in taps.values()
        )


def corner(padded: Tensor, narrow: Tensor) -> Tensor:
    return padded[tuple(slice(0, n) for n in narrow.shape)]


def outside(padded: Tensor, narrow: Tensor) -> Tensor:
    """What of a padded tensor is padding."""
    mask = torch.ones(padded.shape, dtype=torch.bool)
    corner(mask, narrow)[...] = False
    return padded[mask]


def is_padding(name: str, value: Tensor) -> bool:
    """Exactly 0; a running variance began at 1 and goes to 0, which no output sees."""
    if name.endswith("running_var"):
        return bool(((value >= 0) & (value <= 1)).all())
    return bool((value == 0).all())


@pytest.mark.parametrize(("width", "pad_to"), [(5, 8), (5, 64), (3, 2)])
def test_padded_outputs_and_gradients_are_the_unpadded_ones(width: int, pad_to: int) -> None:
    narrow, padded = Network(1, width), Network(pad_to, width)
    tensors = padded.backbone.state_dict()
    assert tensors["stem.3.weight"].shape[0] == -(-width // pad_to) * pad_to > width
    x1, x2 = (pixels(6, 16, 0, torch.float64).requires_grad_() for _ in range(2))
    for name, values in narrow.backbone.features(x1).items():
        torch.testing.assert_close(padded.backbone.features(x2)[name], values, rtol=1e-12, atol=0)
    narrow.loss(0).backward()
    padded.loss(0).backward()
    pairs = zip(narrow.named_parameters(), padded.parameters(), strict=True)
    for (name, ours), theirs in pairs:
        assert ours.grad is not None
        assert theirs.grad is not None
        size = ours.grad.abs().max().item()
        assert size > 0, name
        torch.testing.assert_close(
            corner(theirs.grad, ours), ours.grad, rtol=1e-9, atol=1e-12 * size
        )
        assert (outside(theirs.grad, ours) == 0).all(), name
    first, second = (
        torch.autograd.grad(net(x).sum(), x)[0]
        for net, x in ((narrow.backbone, x1), (padded.backbone, x2))
    )
    torch.testing.assert_close(second, first, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    "config",
    [
        OptimConfig("lars", lr=1.0, weight_decay=1e-2, eta=0.1),
        OptimConfig("sgd", lr=0.1, weight_decay=1e-2),
        OptimConfig("adamw", lr=1e-2, weight_decay=1e-1),
    ],
    ids=lambda c: c.name,
)
def test_padding_stays_0_and_changes_nothing_in_training(config: OptimConfig) -> None:
    narrow, padded = Network(1), Network(8)
    for net in (narrow, padded):
        optimizer = make_optimizer(net, config)
        before = net.loss(0).item()
        for step in range(8):
            optimizer.zero_grad()
            net.loss(step).backward()
            optimizer.step()
        assert abs(net.loss(0).item() - before) > 1e-3  # it went somewhere
    exported, plain = padded.backbone.exported_state(), narrow.backbone.state_dict()
    assert exported.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(exported[name], value, rtol=1e-8, atol=1e-10)
        assert is_padding(name, outside(padded.backbone.state_dict()[name], value)), name
    torch.testing.assert_close(
        padded.backbone.eval()(pixels(dtype=torch.float64)),
        narrow.backbone.eval()(pixels(dtype=torch.float64)),
        rtol=1e-8,
        atol=1e-10,
    )


def test_padded_weights_begin_as_the_unpadded_ones_and_export_as_such() -> None:
    padded = make_backbone("res-2-5", seed=7, pad_to=64)
    assert equal(padded.exported_state(), make_backbone("res-2-5", seed=7).state_dict())
    padded(pixels())
    loaded = make_backbone("res-2-5", seed=0)
    loaded.load_state_dict(padded.exported_state())
    torch.testing.assert_close(loaded.eval()(pixels()), padded.eval()(pixels()))
    fits = make_backbone("res-1-64", seed=0, pad_to=64)
    assert equal(fits.state_dict(), make_backbone("res-1-64", seed=0).state_dict())


# --- features of an independent implementation -------------------------------------------


@pytest.fixture(scope="module")
def reference() -> Path:
    folder = os.environ.get("SSL_COMPANION_REFERENCE")
    if not folder:
        pytest.skip("SSL_COMPANION_REFERENCE does not name a folder of reference measurements")
    path = Path(folder)
    path = path if (path / "weights_fp16.npz").exists() else path / "vicreg_res5_250"
    if not (path / "weights_fp16.npz").exists():
        pytest.skip(f"no weights_fp16.npz under SSL_COMPANION_REFERENCE={folder}")
    return path


@pytest.mark.parametrize("pad_to", [1, 64])
def test_reference_weights_give_the_reference_features(reference: Path, pad_to: int) -> None:
    try:
        images = load("cifar100", "test")
    except DataError as error:
        pytest.skip(f"the reference features are of CIFAR-100's test images: {error}")
    with np.load(reference / "weights_fp16.npz") as file:
        weights = {name: torch.from_numpy(file[name]).float() for name in file.files}
    backbone = make_backbone("res-5-250", seed=0, pad_to=pad_to).eval()
    assert isinstance(backbone, ResLH)
    missing = {name: value for name, value in backbone.state_dict().items() if name not in weights}
    assert all(name.endswith("num_batches_tracked") for name in missing)
    if pad_to == 1:
        backbone.load_state_dict(weights | missing)
    else:
        for name, value in weights.items():
            corner(backbone.state_dict()[name], value).copy_(value)
    with np.load(reference / "features_0200.npz") as file:
        chosen = slice(None, None, 25)  # 80 images, of all classes
        expected, paths, labels = file["test"][:, chosen], file["path"][chosen], file["labels"]
    row = {str(name): i for i, name in enumerate(images.files)}
    rows = [row[str(path)] for path in paths]
    assert np.array_equal(images.fine[rows], labels[chosen])
    features = extract(backbone, images.images[rows], precision="fp32")
    for layer, theirs in zip(features.values(), expected.astype(np.float32), strict=True):
        # The reference ran in bfloat16 from weights that are rounded here to float16.
        difference = np.linalg.norm(layer.numpy() - theirs, axis=1)
        assert np.median(difference / np.linalg.norm(theirs, axis=1)) < 0.005
        assert (difference < 0.01 * np.linalg.norm(theirs, axis=1)).all()
