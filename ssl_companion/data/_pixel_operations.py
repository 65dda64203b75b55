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


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _choose(chosen: Tensor, then: Tensor, otherwise: Tensor) -> Tensor:
    # torch.where would say the same, but on a CPU it costs ten times as much; lerp is exact
    # at the weights 0 and 1.
    return torch.lerp(otherwise, then, _per_image(chosen.float()))


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

    Equals torchvision's `resized_crop` to the images' own size, followed by `hflip`; its
    `antialias` makes no difference there, since a crop is never larger than the image.

    Args:
        x: float32 [N, 3, H, W].
        box: int64 [N, 4], (top, left, height, width) in pixels, inside the image.
        flip: bool [N].
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
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).unsqueeze(1)


def brighten(x: Tensor, factor: Tensor) -> Tensor:
    """Multiply by `factor` [N] >= 0 and clip (torchvision's adjust_brightness)."""
    return (x * _per_image(factor)).clamp_(0, 1)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Stretch by `factor` [N] >= 0 about the image's mean luma (adjust_contrast)."""
    mean = luma(x).mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, x, _per_image(factor)).clamp_(0, 1)


def saturate(x: Tensor, factor: Tensor) -> Tensor:
    """Stretch by `factor` [N] >= 0 about each pixel's luma (adjust_saturation)."""
    return torch.lerp(luma(x), x, _per_image(factor)).clamp_(0, 1)


def shift_hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the colour circle by `shift` [N] in [-1/2, 1/2] turns (adjust_hue).

    No round trip through HSV: a turn keeps a pixel's largest and smallest channel, and each
    channel is one function of the hue's distance d (in turns, round the circle) from that
    channel's own colour: smallest + (largest - smallest) * clip(2 - 6 d, 0, 1).
    """
    red, green, blue = x.unbind(1)
    largest = torch.maximum(torch.maximum(red, green), blue)
    smallest = torch.minimum(torch.minimum(red, green), blue)
    chroma = largest - smallest
    # 6 * chroma * hue is green - blue where red is the largest channel, blue - red + 2 chroma
    # where green is, red - green + 4 chroma where blue is.
    not_red, not_green = (largest - red).sign_(), (largest - green).sign_()
    turn = torch.lerp((blue - red).add_(chroma, alpha=2), red - green + 4 * chroma, not_green)
    turn = torch.lerp(green - blue, turn, not_red)
    turn = turn.div_((6 * chroma).clamp_(min=1e-12))  # a grey pixel may have any hue
    turn = turn.add_(shift[:, None, None])
    channels = []
    for channel in range(3):
        distance = turn - channel / 3
        distance = distance.sub_(distance.round()).abs_()
        weight = distance.mul_(-6).add_(2).clamp_(0, 1)
        channels.append(weight.mul_(chroma).add_(smallest))
    turned = torch.stack(channels, dim=1)
    # Where nothing turns the pixel stays as it is, free of the formula's rounding.
    return _choose(shift != 0, turned, x)


def to_grey(x: Tensor, chosen: Tensor) -> Tensor:
    """Replace all channels of the `chosen` (bool [N]) images by their luma."""
    return _choose(chosen, luma(x), x)


def solarise(x: Tensor, chosen: Tensor) -> Tensor:
    """Invert the pixels >= 1/2 of the `chosen` (bool [N]) images (solarize).

    The smaller of x and 1 - x; the others meet 2 - x, which is never the smaller.
    """
    return torch.minimum(x, torch.where(_per_image(chosen), 1.0, 2.0) - x)
