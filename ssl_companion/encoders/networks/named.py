"""An encoder with its name and its images: what `by_name.load_encoder` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_companion.data.augmentation import CIFAR_MEAN, CIFAR_STD, normalise
from ssl_companion.encoders.running.runner import Encoder, in_colour

#: Mean and standard deviation of each channel of ImageNet, in [0, 1], as torchvision has them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageInput:
    """Bytes as a network wants them: resized as a whole, scaled to [0, 1] and normalised.

    An image that is not of the network's shape is squashed, not cropped, so that every encoder
    sees the same part of it. Benchmarks of ImageNet crop the border away; their numbers differ a
    little for that.

    Example:
        >>> prepare = ImageInput((16, 16), mean=(0, 0, 0), std=(1, 1, 1))
        >>> prepare(torch.full((2, 1, 20, 10), 51, dtype=torch.uint8))[1, 2, :2, :2]
        tensor([[0.2000, 0.2000],
                [0.2000, 0.2000]])

    Attributes:
        size: height and width.
        mean: of each channel in [0, 1].
        std: standard deviation of each channel.
        mode: of the interpolation with antialiasing, "bilinear" or "bicubic"; or "nearest".
        floats: whether floats may come, too; they keep their values, and are only resized.
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = CIFAR_MEAN
    std: tuple[float, ...] = CIFAR_STD
    mode: str = "bilinear"
    floats: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """What the network takes.

        Args:
            images: uint8 [N, 3, H, W], or grey ones [N, 1, H, W] or [N, H, W].

        Returns:
            float32 [N, 3, *size] on the same device.

        Raises:
            ValueError: another type or shape.
        """
        as_bytes = images.dtype == torch.uint8
        x = in_colour(images) if images.ndim in (3, 4) else images
        fits = x.ndim == 4 and x.shape[1] == 3
        if not (as_bytes or (self.floats and images.is_floating_point())) or not fits:
            kind = str(images.dtype).removeprefix("torch.")
            raise ValueError(
                f"images: {kind} of shape {tuple(images.shape)}; expected uint8 (0 to 255) of "
                "shape [N, 3, H, W]; `transpose(0, 3, 1, 2)` brings channels to the front, and "
                "floats that are normalised already go to the encoder without this `preprocess`"
            )
        x = x.float() / 255 if as_bytes else x.float()
        if x.shape[2:] != self.size:
            x = F.interpolate(x, self.size, mode=self.mode, antialias=self.mode != "nearest")
            x = x.clamp(0, 1) if as_bytes else x  # bicubic shoots over
        return normalise(x, self.mean, self.std) if as_bytes else x


@dataclass(frozen=True, eq=False)
class NamedEncoder:
    """An encoder, what it is called, and which images it wants.

    Example:
        >>> from ssl_companion.encoders.running.runner import Runner
        >>> grey = NamedEncoder("brightness", lambda x: x.mean(dim=(2, 3)))
        >>> images = torch.zeros(5, 3, 8, 8, dtype=torch.uint8)
        >>> Runner(grey.encoder, preprocess=grey.preprocess)(images, "images")["output"].shape
        torch.Size([5, 3])

    Attributes:
        name: for titles.
        encoder: a module or a function; None: the images are features already.
        preprocess: `Running`'s, of bytes; None: the rule of `Running`.
        size: height and width at which it looks at images; None: any.
        about: what it is and where it comes from, for a report: "kind", and as far as it is known
            the versions of libraries, and the SHA-256, the address or the commit of the weights.
    """

    name: str
    encoder: Encoder | None
    preprocess: Callable[[Tensor], Tensor] | None = None
    size: tuple[int, int] | None = None
    about: Mapping[str, str] = field(default_factory=dict)


def named(name: str, encoder: Encoder, images: ImageInput, **about: Any) -> NamedEncoder:
    """A `NamedEncoder` of a network that wants its images so; facts that are None are left out.

    Example:
        >>> named("flat", torch.nn.Flatten(), ImageInput((8, 8)), kind="pixels", url=None).about
        {'kind': 'pixels'}
    """
    told = {key: str(value) for key, value in about.items() if value is not None}
    return NamedEncoder(name, encoder, images, images.size, told)
