"""Features and means as they are kept in a recording's features.safetensors: see `format`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def compact(means: Tensor) -> Tensor:
    """Means [K, D] as float16, or as they are where rounding would move them by a tenth of how far
    they are apart, or not hold them at all."""
    half = means.half()
    apart = (means - means.mean(dim=0)).square().mean().sqrt()
    fine = bool((half.float() - means).square().mean().sqrt() <= 0.1 * apart)
    return half if fine else means.float()


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """float [N, D] -> codes uint8 [N, D] and affine float32 [2, D] (offset, scale).

    The error is at most half a step: (max - min) / 510 in every dimension.
    """
    low, high = x.amin(dim=0), x.amax(dim=0)
    scale = (high - low).clamp_min(torch.finfo(torch.float32).tiny) / 255
    codes = ((x - low) / scale).round().clamp(0, 255).to(torch.uint8)
    return codes, torch.stack([low, scale]).float()


def dequantise(codes: Tensor, affine: Tensor) -> Tensor:
    """The inverse of `quantise`, float32 [N, D]."""
    return affine[0] + affine[1] * codes.float()


def held(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """A tensor of `features.safetensors` as float32, whether it was quantised or not."""
    x = tensors[name]
    return dequantise(x, tensors[name + ".affine"]) if x.dtype == torch.uint8 else x.float()
