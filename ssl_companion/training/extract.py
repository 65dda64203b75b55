"""Features of images and of their views, layer by layer, from a backbone in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from ssl_companion.data import augmentation
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.config import check_precision
from ssl_companion.training.runtime import autocast, generator

# Images in a forward pass. A GPU would wait for the host with fewer.
_BATCH = {"cpu": 1000, "cuda": 2000}
# Of views that batch normalisation's statistics are taken from: number and size.
_SETTLING = 10, 256


class Collected:
    """Rows of several tensors, copied into memory of their own as they come.

    What a network returns may be a view, as of the first of many tokens, or a buffer that it will
    write to again: kept as it is, the one would keep all the tokens and the other would change.

    Args:
        n: rows of each tensor in the end.

    Attributes:
        whole: name -> [n, ...], of the type and on the device of the first rows.
    """

    def __init__(self, n: int) -> None:
        self.whole: dict[str, Tensor] = {}
        self._n, self._done = n, 0

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """The next rows of every tensor, as many of each: name -> [m, ...]."""
        for name, rows in parts.items():
            if self._done == 0:
                with torch.inference_mode(False):  # or nobody could write to it later
                    self.whole[name] = torch.empty(
                        (self._n, *rows.shape[1:]), dtype=rows.dtype, device=rows.device
                    )
            self.whole[name][self._done : self._done + len(rows)] = rows
        self._done += len(next(iter(parts.values())))


@torch.inference_mode()
def extract(
    backbone: Backbone,
    images: np.ndarray | Tensor,
    *,
    batch: int | None = None,
    precision: str = "bf16",
) -> dict[str, Tensor]:
    """Vectors of every tapped layer of unaugmented images.

    Args:
        backbone: in evaluation mode; its device is where the work is done.
        images: uint8 [N, 3, H, W].
        batch: images in a forward pass; None means 1,000 on a CPU and 2,000 on a GPU.
        precision: "bf16" (autocast where the device has it, as in training) or "fp32".

    Returns:
        name -> float32 [N, D_layer], on the backbone's device.

    Raises:
        ValueError: the backbone is in training mode, or an unknown precision.
    """
    device = _checked(backbone, precision)
    found, size = Collected(len(images)), _size(batch, device)
    for start in range(0, len(images), size):
        some = _tensor(images[start : start + size]).to(device)
        x = augmentation.normalise(some.float() / 255)
        found.add(forward_features(backbone, x, precision))
    return found.whole


@torch.inference_mode()
def extract_maps(
    backbone: Backbone, images: np.ndarray | Tensor, *, batch: int = 250, precision: str = "bf16"
) -> Iterator[tuple[slice, dict[str, Tensor]]]:
    """Maps of every tapped layer of unaugmented images, batch by batch: they are large.

    Args:
        backbone: in evaluation mode.
        images: uint8 [N, 3, H, W].
        batch: images in a forward pass.
        precision: as for `extract`.

    Yields:
        Which images, and name -> float32 [n, D_layer, h, w] of these, on the backbone's device.

    Raises:
        ValueError: as for `extract`.
    """
    device = _checked(backbone, precision)
    for start in range(0, len(images), batch):
        rows = slice(start, start + batch)
        x = augmentation.normalise(_tensor(images[rows]).to(device).float() / 255)
        x = x.contiguous(memory_format=torch.channels_last)
        with autocast(precision, device):
            maps = backbone.maps(x)
        yield rows, {name: values.float() for name, values in maps.items()}


@torch.inference_mode()
def extract_views(
    backbone: Backbone,
    images: np.ndarray | Tensor,
    n_views: int,
    config: augmentation.ViewConfig,
    generator: torch.Generator,
    *,
    batch: int | None = None,
    precision: str = "bf16",
) -> dict[str, Tensor]:
    """Vectors of every tapped layer of `n_views` random views of each image.

    Args:
        backbone: in evaluation mode.
        images: uint8 [N, 3, H, W].
        n_views: V, views of each image.
        config: how the views vary.
        generator: on the CPU; the same views on every device, whatever `batch` is.
        batch: as for `extract`, of views.

    Returns:
        name -> float32 [N, V, D_layer], on the backbone's device.

    Raises:
        ValueError: as for `extract`.
    """
    device = _checked(backbone, precision)
    n, _, height, width = images.shape
    per = max(1, _size(batch, device) // n_views)
    found = Collected(n)
    for start in range(0, n, per):
        some = _tensor(images[start : start + per]).to(device).repeat_interleave(n_views, dim=0)
        drawn = augmentation.draw_parameters(len(some), config, generator, height, width).to(device)
        x = augmentation.normalise(augmentation.apply(some, drawn))
        by_layer = forward_features(backbone, x, precision).items()
        found.add({name: values.unflatten(0, (-1, n_views)) for name, values in by_layer})
    return found.whole


def recalibrate_batchnorm(
    backbone: Backbone, images: np.ndarray, config: augmentation.ViewConfig, precision: str = "bf16"
) -> None:
    """Set every batch normalisation's statistics to the mean over batches of training views.

    Batch normalisation begins with a running mean of 0 and a running variance of 1, which are no
    statistics of anything. Measured so, an untrained network is worse than it is: letting the
    statistics settle, with every weight as it was, already raises NCC accuracy. What is measured
    "at initialisation" is therefore the network after this.

    In place; weights are untouched, and the backbone is in evaluation mode afterwards.

    Args:
        backbone: untrained.
        images: uint8 [N, 3, H, W], the training images.
        config: how views vary.
        precision: of the forward passes.
    """
    device = next(backbone.parameters()).device
    stream, (number, size) = generator(0, "settle"), _SETTLING

    def batches() -> Iterator[Tensor]:
        for _ in range(number):
            rows = torch.randint(len(images), (size,), generator=stream).numpy()
            batch = torch.from_numpy(images[rows]).to(device)
            drawn = augmentation.draw_parameters(size, config, stream, *batch.shape[2:])
            x = augmentation.normalise(augmentation.apply(batch, drawn.to(device)))
            yield x.contiguous(memory_format=torch.channels_last)

    with autocast(precision, device):
        update_bn(batches(), backbone)
    backbone.eval()


def forward_features(backbone: Backbone, x: Tensor, precision: str) -> dict[str, Tensor]:
    """Vectors of every tapped layer, float32, for normalised images [N, 3, H, W]."""
    x = x.contiguous(memory_format=torch.channels_last)
    with autocast(precision, x.device):
        return {name: values.float() for name, values in backbone.features(x).items()}


def _size(batch: int | None, device: torch.device) -> int:
    return _BATCH.get(device.type, 1000) if batch is None else batch


def _checked(backbone: Backbone, precision: str) -> torch.device:
    """The device to work on."""
    if backbone.training:
        raise ValueError("backbone: in training mode; expected evaluation mode (`eval()`)")
    check_precision(precision)
    return next(backbone.parameters()).device


def _tensor(images: np.ndarray | Tensor) -> Tensor:
    # A copy of the batch: the images are a read-only memory map, which torch cannot share.
    return torch.from_numpy(images.copy()) if isinstance(images, np.ndarray) else images
