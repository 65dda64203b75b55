"""What an augmentation does to pixels, with one parameter for each image of the batch.

Every function maps float32 [N, 3, H, W] in [0, 1] to the same shape and range, agrees with
torchvision's functional transform of an image with that image's parameter, and has shapes
that never depend on the values: `torch.compile(fullgraph=True)` takes them, and on CUDA
nothing waits for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# ITU-R 601 luma, with the digits of torchvision's rgb_to_grayscale.
LUMA = (0.2989, 0.587, 0.114)
SOLARISE_THRESHOLD = 0.5


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _source(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Pixel coordinates [N, size] that a crop's resized pixels are read from.

    The centre of output pixel i lies at start + (i + 1/2) length / size - 1/2. Clamping it
    to the crop's outermost pixel centres makes the crop end at its own edge, as if it had
    been cut out first: without the clamp, interpolation reads beyond the box.
    """
    start, length = start.float()[:, None], length.float()[:, None]
    centres = torch.arange(size, device=start.device, dtype=torch.float32) + 0.5
    source = start + (centres * (length / size) - 0.5)
    return torch.minimum(torch.maximum(source, start), start + (length - 1))


def crop_resize_flip(x: Tensor, box: Tensor, flip: Tensor) -> Tensor:
    """Cut `box` out, resize it bilinearly to [H, W] and mirror it, as one affine sample.

    Parameters
    ----------
    x : float32 [N, 3, H, W]
    box : int64 [N, 4], (top, left, height, width) in pixels, inside the image
    flip : bool [N]

    Equals torchvision's `resized_crop` to the images' own size, followed by `hflip`; its
    `antialias` makes no difference there, since a crop is never larger than the image.
    """
    height, width = x.shape[-2:]
    rows = _source(box[:, 0], box[:, 2], height)
    columns = _source(box[:, 1], box[:, 3], width)
    columns = torch.where(flip[:, None], columns.flip(-1), columns)
    # grid_sample without align_corners: the pixel centre i has coordinate (2 i + 1) / size - 1.
    rows = ((2 * rows + 1) / height - 1)[:, :, None].expand(-1, -1, width)
    columns = ((2 * columns + 1) / width - 1)[:, None, :].expand(-1, height, -1)
    grid = torch.stack((columns, rows), dim=-1)
    return functional.grid_sample(
        x, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def luma(x: Tensor) -> Tensor:
    """Brightness of each pixel, [N, 1, H, W]."""
    red, green, blue = x.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)


def brighten(x: Tensor, factor: Tensor) -> Tensor:
    """Multiply by `factor` [N] >= 0 and clip (torchvision's adjust_brightness)."""
    return (x * _per_image(factor)).clamp(0, 1)


def _blend(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    factor = _per_image(factor)
    return (factor * x + (1 - factor) * other).clamp(0, 1)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Stretch by `factor` [N] >= 0 about the image's mean luma (adjust_contrast)."""
    return _blend(x, luma(x).mean((1, 2, 3), keepdim=True), factor)


def saturate(x: Tensor, factor: Tensor) -> Tensor:
    """Stretch by `factor` [N] >= 0 about each pixel's luma (adjust_saturation)."""
    return _blend(x, luma(x), factor)


def shift_hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the colour circle by `shift` [N] in [-1/2, 1/2] turns (adjust_hue).

    A shift of the hue keeps a pixel's largest and smallest channel, so there is no need for
    HSV's value and saturation: with chroma c = max - min and hue h in sixths of a turn, a
    channel is min + c clip(|h - a| - 1, 0, 1) with h - a in [-3, 3] the distance to the
    channel's opposite hue, the same piecewise linear function for all three.
    """
    red, green, blue = x.unbind(1)
    largest, smallest = x.amax(1), x.amin(1)
    chroma = largest - smallest
    divisor = torch.where(chroma == 0, 1.0, chroma)  # a grey pixel has no hue: any will do
    hue = torch.where(
        largest == red,
        (green - blue) / divisor,
        torch.where(
            largest == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor
        ),
    )
    hue = hue + 6 * shift[:, None, None]
    channels = [
        smallest + chroma * ((torch.remainder(hue + turn, 6) - 3).abs() - 1).clamp(0, 1)
        for turn in (0, 4, 2)  # red, green, blue are 0, 2, 4 sixths of a turn from red
    ]
    # Where nothing turns the pixel stays as it is, free of the round trip's rounding.
    return torch.where(_per_image(shift) == 0, x, torch.stack(channels, dim=1))


def to_grey(x: Tensor, chosen: Tensor) -> Tensor:
    """Replace all channels of the `chosen` (bool [N]) images by their luma."""
    return torch.where(_per_image(chosen), luma(x), x)


def solarise(x: Tensor, chosen: Tensor) -> Tensor:
    """Invert the pixels >= 1/2 of the `chosen` (bool [N]) images."""
    return torch.where(_per_image(chosen) & (x >= SOLARISE_THRESHOLD), 1 - x, x)
