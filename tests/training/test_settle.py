"""Normalisation statistics of an untrained network, against moments computed by hand."""

from __future__ import annotations

import torch

from ssl_companion.data import augmentation
from ssl_companion.training.backbones import make_backbone
from ssl_companion.training.extract import recalibrate_batchnorm
from ssl_companion.training.runtime import generator

from .conftest import Make

NUMBER, SIZE = 10, 256  # of batches, as recordings have it


def test_statistics_are_the_mean_over_batches_and_weights_stay(noise_images: Make) -> None:
    images, config = noise_images(20, 16).images, augmentation.ViewConfig()
    backbone = make_backbone("res-1-4", seed=0)
    before = {name: p.clone() for name, p in backbone.named_parameters()}
    backbone.stem[1].momentum = 0.3
    recalibrate_batchnorm(backbone, images, config, "fp32")
    assert not backbone.training
    assert backbone.stem[1].momentum == 0.3
    assert all(torch.equal(p, before[name]) for name, p in backbone.named_parameters())

    stream, means, variances = generator(0, "settle"), [], []
    for _ in range(NUMBER):
        rows = torch.randint(len(images), (SIZE,), generator=stream).numpy()
        drawn = augmentation.draw_parameters(SIZE, config, stream, 16, 16)
        x = augmentation.normalise(augmentation.apply(torch.from_numpy(images[rows]), drawn))
        out = torch.nn.functional.conv2d(x, before["stem.0.weight"], stride=2).double()
        means.append(out.mean(dim=(0, 2, 3)))
        variances.append(out.var(dim=(0, 2, 3)))
    first = backbone.stem[1]
    torch.testing.assert_close(first.running_mean.double(), sum(means) / NUMBER, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        first.running_var.double(), sum(variances) / NUMBER, rtol=1e-4, atol=0
    )


def test_a_network_without_batch_normalisation_is_left_alone(noise_images: Make) -> None:
    backbone = make_backbone("vit-1-64", seed=0)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    recalibrate_batchnorm(backbone, noise_images(4, 32).images, augmentation.ViewConfig(), "fp32")
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
