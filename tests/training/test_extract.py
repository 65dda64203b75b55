"""Features are those of the backbone, whatever the size of a batch."""

from __future__ import annotations

import gc
import warnings
import weakref

import numpy as np
import pytest
import torch

from ssl_companion.data import augmentation
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.images import ImageSet
from ssl_companion.training.backbones import Backbone, make_backbone
from ssl_companion.training.extract import extract, extract_views

from .conftest import STILL


@pytest.fixture
def backbone() -> Backbone:
    made = make_backbone("res-2-5", seed=0)
    made(torch.randn((8, 3, 16, 16), generator=torch.Generator().manual_seed(0)))
    return made.eval()


def test_features_are_the_backbones_of_normalised_pixels(
    backbone: Backbone, images: ImageSet
) -> None:
    x = torch.from_numpy(images.images.copy()).float() / 255
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in (augmentation.CIFAR_MEAN, augmentation.CIFAR_STD)
    )
    with torch.no_grad():
        expected = backbone.features((x - mean) / std)
    for batch in (1, 7, 20, 1000):
        found = extract(backbone, images.images, batch=batch, precision="fp32")
        assert tuple(found) == backbone.layers
        for name, values in found.items():
            assert values.dtype == torch.float32
            torch.testing.assert_close(values, expected[name])


def test_of_a_network_that_returns_views_the_vectors_alone_are_kept(images: ImageSet) -> None:
    """Such as the first of many tokens."""

    class Tokens(Backbone):
        layers, width = ("last",), 4

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.made: list[weakref.ref[np.ndarray]] = []
            self.most = 0

        def features(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            gc.collect()
            self.most = max(self.most, sum(one() is not None for one in self.made))
            array = np.ones((len(x), 50, 4), np.float32)
            self.made.append(weakref.ref(array))
            return {"last": torch.from_numpy(array)[:, 0]}

    backbone = Tokens().eval()
    found = extract(backbone, images.images, batch=2, precision="fp32")["last"]
    some = extract_views(
        backbone, images.images, 2, STILL, torch.Generator(), batch=4, precision="fp32"
    )
    assert backbone.most <= 1
    for x in (found, some["last"]):
        assert x.untyped_storage().nbytes() == x.numel() * 4
        assert not x.is_inference()


def test_read_only_arrays_and_tensors_alike(backbone: Backbone, images: ImageSet) -> None:
    frozen = np.array(images.images)
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a = extract(backbone, frozen, precision="fp32")
        b = extract(backbone, torch.from_numpy(frozen.copy()), precision="fp32")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_views_that_change_nothing_give_the_images_features(
    backbone: Backbone, images: ImageSet
) -> None:
    plain = extract(backbone, images.images, precision="fp32")
    for batch in (3, 1000):
        found = extract_views(
            backbone, images.images, 4, STILL, torch.Generator(),
            batch=batch, precision="fp32",
        )  # fmt: skip
        for name, values in found.items():
            expected = plain[name][:, None].expand(-1, 4, -1)
            assert values.shape == expected.shape
            torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)


def test_views_are_the_generators(backbone: Backbone, images: ImageSet) -> None:
    def drawn(seed: int) -> torch.Tensor:
        g = torch.Generator().manual_seed(seed)
        before = torch.get_rng_state()
        found = extract_views(backbone, images.images, 3, ViewConfig(), g, precision="fp32")
        assert torch.equal(before, torch.get_rng_state())
        return found["block2"]

    first = drawn(0)
    assert torch.equal(first, drawn(0))
    assert not torch.equal(first, drawn(1))
    assert not torch.equal(first[:, 0], first[:, 1])
    # Each view belongs to its image: the first one's, made by hand.
    g = torch.Generator().manual_seed(0)
    some = torch.from_numpy(images.images.copy()).repeat_interleave(3, dim=0)
    x = augmentation.normalise(
        augmentation.apply(some, augmentation.draw_parameters(60, ViewConfig(), g, 16, 16))
    )
    with torch.no_grad():
        torch.testing.assert_close(first.flatten(0, 1), backbone(x))


def test_a_backbone_in_training_mode_is_refused(backbone: Backbone, images: ImageSet) -> None:
    backbone.train()
    before = backbone.state_dict()["stem.1.running_mean"].clone()
    with pytest.raises(ValueError, match="backbone: in training mode; expected evaluation mode"):
        extract(backbone, images.images)
    with pytest.raises(ValueError, match="backbone: in training mode; expected evaluation mode"):
        extract_views(backbone, images.images, 2, ViewConfig(), torch.Generator())
    assert torch.equal(before, backbone.state_dict()["stem.1.running_mean"])
