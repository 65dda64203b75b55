"""Random views of images: each image of a batch with its own crop, colours and flip.

Two steps: `draw_parameters` draws the parameters of n views, `apply` makes the views. Being
apart, the parameters of a global batch can be drawn once and sliced for each process
(`parameters[rank::world]`), kept to replay a view, or written by hand in a test.

The recipe is that of SimCLR (arXiv:2002.05709) and VICReg (arXiv:2105.04906) for small
images, so without blur. Everything happens in one order, on every image: crop, resize and
flip; brightness, contrast, saturation, hue; grey; solarisation. The order of the four jitters
is fixed (torchvision's ColorJitter shuffles it), which lets them run as one pass over a batch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ssl_companion.data import _pixel_operations
from ssl_companion.data.threads import tensor_threads
from ssl_companion.data.view_config import ViewConfig as ViewConfig

# Mean and standard deviation of the training pixels of CIFAR-100, per channel, in [0, 1].
CIFAR_MEAN = (0.5071, 0.4865, 0.4409)
CIFAR_STD = (0.2673, 0.2564, 0.2762)

_TRIES = 10  # of a crop's area and aspect ratio
_UNIFORMS = 2 * _TRIES + 2  # random numbers that a box takes
_BLOCK_PIXELS = 64 * 32 * 32  # that apply() takes at a time on a CPU: 0.8 MB of float32


@dataclass(frozen=True)
class ViewParameters:
    """What makes each of N views, on one device. Slices along N like a tensor."""

    size: tuple[int, int]  #: (H, W) of the images they are drawn for
    box: Tensor  #: int64 [N, 4], the crop's (top, left, height, width) in pixels
    flip: Tensor  #: bool [N]
    brightness: Tensor  #: float32 [N], a factor; 1 changes nothing
    contrast: Tensor  #: float32 [N], likewise
    saturation: Tensor  #: float32 [N], likewise
    hue: Tensor  #: float32 [N], a shift in turns; 0 changes nothing
    grey: Tensor  #: bool [N]
    solarise: Tensor  #: bool [N]

    def __len__(self) -> int:
        return self.box.shape[0]

    def _tensors(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "size"}

    def __getitem__(self, index: slice | Tensor | Sequence[int]) -> ViewParameters:
        """The parameters of some of the views: a slice, a list of indices, or a tensor."""
        if isinstance(index, int):
            raise ValueError(f"index: {index!r}; expected a slice or a list of indices")
        return ViewParameters(self.size, **{k: v[index] for k, v in self._tensors().items()})

    def packed(self) -> Tensor:
        """All of them as one float32 [N, 11] tensor, exactly: what travels in one copy."""
        columns = [t.float().reshape(len(self), -1) for t in self._tensors().values()]
        return torch.cat(columns, dim=1)

    @classmethod
    def unpacked(cls, size: tuple[int, int], packed: Tensor) -> ViewParameters:
        """The inverse of `packed`, for images of `size`."""
        flip, brightness, contrast, saturation, hue, grey, solarise = packed[:, 4:].unbind(1)
        return cls(
            size, packed[:, :4].long(), flip > 0, brightness, contrast, saturation, hue, grey > 0,
            solarise > 0,
        )  # fmt: skip

    def to(self, device: torch.device | str) -> ViewParameters:
        """The same parameters on another device."""
        # Only towards a GPU: a copy from one that does not wait can be read too early.
        early = torch.device(device).type == "cuda"
        moved = {k: v.to(device, non_blocking=early) for k, v in self._tensors().items()}
        return ViewParameters(self.size, **moved)


def draw_parameters(
    n: int,
    config: ViewConfig,
    generator: torch.Generator | Sequence[torch.Generator],
    height: int = 32,
    width: int = 32,
) -> ViewParameters:
    """Draw the parameters of n views, on the generator's device.

    The generator advances by one call of `torch.rand` whatever the configuration says, so two
    configurations with one seed share the randomness of what they have in common.

    Args:
        n: number of views.
        config: how they vary.
        generator: of several, each draws n views, one after the other, as if called for alone.
        height, width: of the images, in pixels.

    Returns:
        n parameters, or n times the number of generators.

    Raises:
        ValueError: if `n`, `height` or `width` is not a positive integer.
    """
    for name, value in (("n", n), ("height", height), ("width", width)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: {value!r}; expected an integer of 1 or more")
    streams = [generator] if isinstance(generator, torch.Generator) else generator
    uniform = torch.cat([
        torch.rand(
            (n, _UNIFORMS + 8), generator=stream, device=stream.device, dtype=torch.float32
        )
        for stream in streams
    ])  # fmt: skip
    rest = uniform[:, _UNIFORMS:].unbind(1)
    jittered = rest[0] < config.jitter
    hue = config.hue * config.strength

    def between(uniform: Tensor, low: float, high: float, otherwise: float) -> Tensor:
        return torch.where(jittered, low + (high - low) * uniform, otherwise)

    def factor(uniform: Tensor, amount: float) -> Tensor:
        amount *= config.strength
        return between(uniform, max(0.0, 1 - amount), 1 + amount, 1.0)

    return ViewParameters(
        size=(height, width),
        box=_boxes(uniform[:, :_UNIFORMS], config.scale, config.ratio, height, width),
        flip=rest[1] < config.flip,
        brightness=factor(rest[2], config.brightness),
        contrast=factor(rest[3], config.contrast),
        saturation=factor(rest[4], config.saturation),
        hue=between(rest[5], -hue, hue, 0.0),
        grey=rest[6] < config.grey,
        solarise=rest[7] < config.solarise,
    )


def _boxes(
    uniform: Tensor,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    height: int,
    width: int,
) -> Tensor:
    """Where random resized crops cut: int64 [N, 4], (top, left, height, width) in pixels.

    The rule of torchvision's `RandomResizedCrop.get_params` (after arXiv:1409.4842): an area
    uniform in `scale` and an aspect ratio log-uniform in `ratio` are tried until the rounded box
    fits the image, ten times at most, then the largest central box of an allowed ratio is taken.

    Args:
        uniform: float32 [N, _UNIFORMS] in [0, 1).
        scale: the range of the box's area over the image's.
        ratio: the range of the box's width over its height.
        height, width: of the image.
    """
    areas = uniform[:, :_TRIES].mul(scale[1] - scale[0]).add_(scale[0]).mul_(height * width)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = uniform[:, _TRIES : 2 * _TRIES].mul(high - low).add_(low).exp_()
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


@torch.no_grad()
def apply(images: Tensor, parameters: ViewParameters) -> Tensor:
    """Make one view of each image.

    Args:
        images: uint8 [N, 3, H, W], or floating point in [0, 1] of that shape.
        parameters: N of them, drawn for [H, W] images, on the images' device.

    Returns:
        float32 [N, 3, H, W] in [0, 1], not normalised. Equal to torchvision's functional
        transforms of each image with its parameters, in float32.

    Raises:
        ValueError: if shape, type, size, number or device do not fit; values are not looked at.
    """
    _check(images, parameters)
    if images.device.type != "cpu" or torch.compiler.is_compiling():
        return _apply(images, parameters)
    # In blocks, what lies between the steps stays in the processor's cache and in reused
    # memory, which halves the time for a batch.
    views = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    size = max(1, _BLOCK_PIXELS // (images.shape[2] * images.shape[3]))
    with tensor_threads(1):
        for start in range(0, len(images), size):
            block = slice(start, start + size)
            views[block] = _apply(images[block], parameters[block])
    return views


def _apply(images: Tensor, p: ViewParameters) -> Tensor:
    x = images.float() if images.dtype.is_floating_point else images.float().div_(255)
    x = _pixel_operations.crop_resize_flip(x, p.box, p.flip)
    x = _pixel_operations.brighten(x, p.brightness)
    x = _pixel_operations.contrast(x, p.contrast)
    x = _pixel_operations.saturate(x, p.saturation)
    x = _pixel_operations.shift_hue(x, p.hue)
    return _pixel_operations.solarise(_pixel_operations.to_grey(x, p.grey), p.solarise)


def _check(images: Tensor, parameters: ViewParameters) -> None:
    shape, size = tuple(images.shape), parameters.size
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images: a tensor of shape {shape}; expected [N, 3, H, W]")
    if images.dtype != torch.uint8 and not images.dtype.is_floating_point:
        raise ValueError(f"images: of type {images.dtype}; expected uint8, or floats in [0, 1]")
    if len(parameters) != len(images):
        raise ValueError(f"parameters: of {len(parameters)} views; expected {len(images)}")
    if size != shape[2:]:
        raise ValueError(
            f"parameters: drawn for images of {size}; expected {shape[2:]}; give "
            "draw_parameters() the height and width of the images"
        )
    if parameters.box.device != images.device:
        raise ValueError(
            f"parameters: on {parameters.box.device}; expected {images.device}, where the images "
            "are; move them with .to()"
        )


def normalise(
    x: Tensor, mean: Sequence[float] = CIFAR_MEAN, std: Sequence[float] = CIFAR_STD
) -> Tensor:
    """Subtract each channel's mean and divide by its standard deviation.

    Args:
        x: floating point [N, C, H, W] in [0, 1].
        mean, std: one number for each channel; by default those of CIFAR-100.

    Returns:
        A tensor of the same shape and type.
    """
    # Compiled they are part of the graph; otherwise every call would copy them, and wait for it.
    per_channel = _per_channel if torch.compiler.is_compiling() else _kept_per_channel
    shift, scale = (per_channel(tuple(map(float, v)), x.dtype, x.device) for v in (mean, std))
    return (x - shift).div_(scale)


def _per_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device).view(1, -1, 1, 1)


@functools.lru_cache(maxsize=64)
def _kept_per_channel(
    values: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False):  # or a later call could not have a gradient
        return _per_channel(values, dtype, device)
