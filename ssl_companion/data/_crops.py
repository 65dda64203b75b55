"""Where a random resized crop cuts, for many images at once.

The rule of torchvision's `RandomResizedCrop.get_params` (after arXiv:1409.4842): an area
uniform in `scale` and an aspect ratio log-uniform in `ratio` are tried until the rounded box
fits the image, ten times at most, then the largest central box of an allowed ratio is taken.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TRIES = 10
UNIFORMS = 2 * TRIES + 2  # random numbers that a box takes


def boxes(
    uniform: Tensor,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    height: int,
    width: int,
) -> Tensor:
    """Crop boxes of [height, width] images from random numbers.

    Parameters
    ----------
    uniform : float32 [N, UNIFORMS] in [0, 1)
    scale : the range of the box's area over the image's
    ratio : the range of the box's width over its height

    Returns
    -------
    int64 [N, 4], (top, left, height, width) in pixels, inside the image
    """
    areas = uniform[:, :TRIES].mul(scale[1] - scale[0]).add_(scale[0]).mul_(height * width)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = uniform[:, TRIES : 2 * TRIES].mul(high - low).add_(low).exp_()
    widths = (areas * ratios).sqrt_().round_().long()
    heights = (areas / ratios).sqrt_().round_().long()
    fit = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fit.to(torch.uint8).argmax(1, keepdim=True)  # argmax takes the first of equals
    fits = fit.any(1)

    def chosen(sizes: Tensor, central: int) -> Tensor:
        return torch.where(fits, sizes.gather(1, first).squeeze(1), central)

    box_height = chosen(heights, min(height, max(1, round(width / ratio[0]))))
    box_width = chosen(widths, min(width, max(1, round(height * ratio[1]))))

    def offset(uniform: Tensor, room: Tensor) -> Tensor:
        # uniform < 1, but in float32 its product with room + 1 may round up to room + 1.
        anywhere = torch.minimum((uniform * (room + 1)).long(), room)
        return torch.where(fits, anywhere, room // 2)

    top = offset(uniform[:, -2], height - box_height)
    left = offset(uniform[:, -1], width - box_width)
    return torch.stack((top, left, box_height, box_width), dim=1)
