"""An untrained network with normalisation statistics of its own.

Batch normalisation begins with a running mean of 0 and a running variance of 1, which are no
statistics of anything. Measured so, an untrained network is worse than it is: letting the
statistics settle, with every weight as it was, already raises NCC accuracy. What is measured
"at initialisation" is therefore the network after its statistics have seen some views.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.optim.swa_utils import update_bn

from ssl_companion.data import views
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.precision import autocast
from ssl_companion.training.randomness import generator

BATCHNORM_BATCHES, BATCHNORM_BATCH = 10, 256


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
    stream = generator(0, "settle")

    def batches() -> Iterator[torch.Tensor]:
        for _ in range(BATCHNORM_BATCHES):
            rows = torch.randint(len(images), (BATCHNORM_BATCH,), generator=stream).numpy()
            batch = torch.from_numpy(images[rows]).to(device)
            drawn = views.draw(BATCHNORM_BATCH, config, stream, *batch.shape[2:]).to(device)
            x = views.normalise(views.apply(batch, drawn))
            yield x.contiguous(memory_format=torch.channels_last)

    with autocast(precision, device):
        update_bn(batches(), backbone)
    backbone.eval()
