"""Random streams as functions of (seed, purpose, position).

A step's randomness depends on nothing but the seed and the step's number. A run that is
killed and resumed therefore draws what an uninterrupted one draws, on any number of
processes, with no generator state to save.
"""

from __future__ import annotations

import hashlib

import torch


def derived_seed(seed: int, purpose: str, *position: int) -> int:
    """A 63-bit seed for the stream `purpose` at `position`, by SHA-256."""
    text = repr((int(seed), purpose, tuple(int(p) for p in position)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(
    seed: int, purpose: str, *position: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh generator on `device`, seeded with `derived_seed`."""
    return torch.Generator(device=device).manual_seed(derived_seed(seed, purpose, *position))
