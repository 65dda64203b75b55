"""What a step sees: which images, and their views, as functions of the seed and the step."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_companion.data import views
from ssl_companion.data.images import ImageSet
from ssl_companion.training.compiling import compiled
from ssl_companion.training.config import RunConfig
from ssl_companion.training.distributed import shard
from ssl_companion.training.randomness import generator


class Batches:
    """The batches of a run, made on the device from uint8 images that live there.

    Args:
        images: the training set.
        config: the run's.
        device: where the images live and the views are made.
        compiles: compile the making of views.

    Attributes:
        per_epoch: number of batches in an epoch; a remainder is dropped.
    """

    def __init__(
        self, images: ImageSet, config: RunConfig, device: torch.device, compiles: bool = False
    ) -> None:
        self.config, self.device = config, device
        self.images = torch.from_numpy(images.images.copy()).to(device)
        self.labels = torch.from_numpy(images.fine.copy()).to(device)
        self.per_epoch = len(images) // config.batch
        self._order: tuple[int, Tensor] | None = None  # an epoch and its permutation
        self._apply = compiled(_normalised_views) if compiles else _normalised_views

    def rows(self, step: int) -> Tensor:
        """Indices [N] of the global batch: a fresh permutation of the images every epoch."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order is None or self._order[0] != epoch:
            shuffle = generator(self.config.seed, "order", epoch)
            order = torch.randperm(len(self.images), generator=shuffle)
            self._order = epoch, order.to(self.device)
        return self._order[1][position * self.config.batch : (position + 1) * self.config.batch]

    def views(self, step: int, rows: Tensor) -> Tensor:
        """Both views of this process's share of the batch: [2N/W, 3, H, W], normalised."""
        _, _, height, width = self.images.shape
        # Drawn for the global batch on the CPU: the same views on any device and any number of
        # processes. A few kilobytes travel.
        drawn = views.draw(
            2 * len(rows), self.config.views, generator(self.config.seed, "views", step),
            height, width,
        )  # fmt: skip
        mine = shard(torch.arange(len(rows)))
        parameters = drawn[torch.cat([mine, mine + len(rows)])].to(self.device)
        images = self.images[shard(rows)]
        x: Tensor = self._apply(torch.cat([images, images]), parameters)
        return x.contiguous(memory_format=torch.channels_last)


def _normalised_views(images: Tensor, parameters: views.ViewParameters) -> Tensor:
    return views.normalise(views.apply(images, parameters))
