"""An untrained network with normalisation statistics of its own.

Batch normalisation begins with a running mean of 0 and a running variance of 1, which are no
statistics of anything. Measured so, an untrained network is worse than it is: letting the
statistics settle, with every weight as it was, already raises NCC accuracy. What is measured
"at initialisation" is therefore the network after its statistics have seen some views.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ssl_companion.data import views
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.extract import forward_features
from ssl_companion.training.randomness import generator

_BATCHES, _BATCH = 10, 256


@torch.no_grad()
def settle_statistics(
    backbone: Backbone, images: np.ndarray, config: views.ViewConfig, precision: str = "bf16"
) -> None:
    """Set every batch normalisation's statistics to the mean over batches of training views.

    In place; weights are untouched, and the backbone is in evaluation mode afterwards.

    Args:
        backbone: untrained.
        images: uint8 [N, 3, H, W], the training images.
        config: how views vary.
        precision: of the forward passes.
    """
    device = next(backbone.parameters()).device
    layers = [m for m in backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    stream = generator(0, "settle")
    backbone.train()
    for step in range(_BATCHES if layers else 0):
        rows = torch.randint(len(images), (_BATCH,), generator=stream).numpy()
        batch = torch.from_numpy(images[rows]).to(device)
        drawn = views.draw(_BATCH, config, stream, *batch.shape[2:]).to(device)
        for layer in layers:
            layer.momentum = 1 / (step + 1)  # the plain mean over the batches so far
        forward_features(backbone, views.normalise(views.apply(batch, drawn)), precision)
    for layer in layers:
        layer.momentum = 0.1
    backbone.eval()
