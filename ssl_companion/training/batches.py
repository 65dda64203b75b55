"""What a step sees: which images, and their views, as functions of the seed and the step."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_companion.data import augmentation
from ssl_companion.data.images import ImageSet
from ssl_companion.training.config import RunConfig
from ssl_companion.training.distributed import shard
from ssl_companion.training.runtime import compiled_once, generator

# Steps whose views are drawn at once, on the CPU: by itself a step's draw is mostly overhead, and
# an epoch's at once would let a fast device wait.
_AHEAD = 8


class Batches:
    """The batches of a run, made on the device from uint8 images that live there.

    Args:
        images: the training set.
        config: the run's.
        device: where the images live and the views are made.
        compiles: compile the making of views.

    Attributes:
        labels: int64 [images], on the device: the images' own, or those by lot.
        per_epoch: number of batches in an epoch; a remainder is dropped.
    """

    def __init__(
        self, images: ImageSet, config: RunConfig, device: torch.device, compiles: bool = False
    ) -> None:
        self.config, self.device = config, device
        self.images = torch.from_numpy(images.images.copy()).to(device)
        labels = torch.from_numpy(images.fine.copy())
        if config.objective.labels == "by lot":
            labels = labels[torch.randperm(len(labels), generator=generator(config.seed, "labels"))]
        self.labels = labels.to(device)
        self.per_epoch = len(images) // config.batch
        self._order: tuple[int, Tensor] | None = None  # an epoch and its permutation
        self._drawn: tuple[int, Tensor] | None = None  # some steps' number and their parameters
        self._make = (
            compiled_once(_normalised_views, config.batch, images.images.shape[1:])
            if compiles
            else _normalised_views
        )

    def rows(self, step: int) -> Tensor:
        """Indices [N] of the global batch: a fresh permutation of the images every epoch."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order is None or self._order[0] != epoch:
            shuffle = generator(self.config.seed, "order", epoch)
            order = torch.randperm(len(self.images), generator=shuffle)
            self._order = epoch, order.to(self.device)
        return self._order[1][position * self.config.batch : (position + 1) * self.config.batch]

    def parameters(self, step: int) -> Tensor:
        """Of both views of this process's share of the batch, packed: [2N/W, 11].

        Drawn for the global batch on the CPU: the same views on any device and any number of
        processes. A few kilobytes travel.
        """
        block, position = divmod(step, _AHEAD)
        if self._drawn is None or self._drawn[0] != block:
            steps = range(block * _AHEAD, (block + 1) * _AHEAD)
            streams = [generator(self.config.seed, "views", s) for s in steps]
            n = self.config.batch
            _, _, height, width = self.images.shape
            drawn = augmentation.draw_parameters(
                2 * n, self.config.views, streams, height, width
            ).packed()
            mine = shard(torch.arange(n))
            drawn = drawn.view(_AHEAD, 2, n, -1)[:, :, mine].flatten(1, 2)
            if self.device.type == "cuda":
                drawn = drawn.pin_memory()  # or the copy would wait for the device
            self._drawn = block, drawn.to(self.device, non_blocking=True)
        return self._drawn[1][position]

    def shown(self, rows: Tensor, parameters: Tensor) -> Tensor:
        """Both views of this process's share of the `rows`: [2N/W, 3, H, W], normalised.

        Depends on tensors alone, so that it can be captured.
        """
        images = self.images[shard(rows)]
        x: Tensor = self._make(torch.cat([images, images]), parameters)
        return x


def _normalised_views(images: Tensor, parameters: Tensor) -> Tensor:
    size = (images.shape[2], images.shape[3])
    x = augmentation.apply(images, augmentation.ViewParameters.unpacked(size, parameters))
    return augmentation.normalise(x).contiguous(memory_format=torch.channels_last)
