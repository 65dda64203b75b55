"""Random streams as functions of (seed, purpose, position).

A step's randomness depends on nothing but the seed and the step's number. A run that is
killed and resumed therefore draws what an uninterrupted one draws, on any number of
processes, with no generator state to save.
"""

from __future__ import annotations

import hashlib
from typing import Any

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


def random_states(device: torch.device) -> dict[str, Any]:
    """The global random states that code on `device` may draw from, for a checkpoint.

    Of the CUDA devices only that one's: a run may go on where there are fewer of them.
    """
    cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """The inverse of `random_states`, whatever the number of `device` was then."""
    torch.set_rng_state(states["torch"].cpu())
    if device.type == "cuda" and states["cuda"]:
        torch.cuda.set_rng_state(states["cuda"][0].cpu(), device)
