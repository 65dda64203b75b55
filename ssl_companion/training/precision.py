"""bfloat16 where the device computes it, float32 where it would only be imitated.

A processor or a GPU without instructions for bfloat16 still accepts it and converts back and
forth: a convolution then takes ten to twenty times as long on a CPU with AVX2 alone, and a T4
loses what it gains. What a run asks for is therefore a wish that the device answers; the answer
is written into its `run.json`.
"""

from __future__ import annotations

import functools
from typing import Literal

import torch

PRECISIONS = ("bf16", "fp32")
_AMPERE = (8, 0)  # the first compute capability with bfloat16
_X86 = ("avx512_bf16", "amx_bf16")


def check_precision(precision: str) -> None:
    """Raises a ValueError unless `precision` is "bf16" or "fp32"."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision: {precision!r}; expected 'bf16' or 'fp32'")


def computed(precision: str, device: torch.device) -> Literal["bf16", "fp32"]:
    """What a network is computed in on a device, of a run that asks for `precision`.

    Raises:
        ValueError: an unknown precision.
    """
    check_precision(precision)
    if precision == "fp32":
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= _AMPERE else "fp32"
    return "bf16" if _cpu_has_bfloat16() else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context in which a network is computed in `precision` as far as the device has it.

    Raises:
        ValueError: an unknown precision.
    """
    enabled = computed(precision, device) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@functools.cache
def _cpu_has_bfloat16() -> bool:
    """Of x86 only: training in bfloat16 on other processors is not known to be faster."""
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        return any(known.get(name, False) for name in _X86)
    # Before torch 2.10, by names that are not public.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)
