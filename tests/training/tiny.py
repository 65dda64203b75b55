"""Images of noise and a network of 8 channels: what tests train, and the processes they start."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ssl_companion.data.hierarchy import GLYPHS100
from ssl_companion.data.images import ImageSet, fingerprint
from ssl_companion.training.config import ObjectiveConfig, RunConfig
from ssl_companion.training.optim import OptimConfig


def noise_images(n: int = 20, side: int = 16, seed: int = 0) -> ImageSet:
    """Images of uniform noise, 2 of each of n / 2 classes."""
    images = np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    fine = np.arange(n, dtype=np.int64) // 2
    files = np.array([f"noise_{i}.png" for i in range(n)])
    print_ = fingerprint(images, fine)
    return ImageSet("noise", "train", fine, files, print_, GLYPHS100, True, images=images)


def tiny_config(objective: str | ObjectiveConfig = "vicreg", **fields: Any) -> RunConfig:
    """3 epochs of 4 steps, but for the fields of RunConfig or OptimConfig that are given."""
    if isinstance(objective, str):
        objective = ObjectiveConfig(name=objective)  # type: ignore[arg-type]
    names = {f.name for f in dataclasses.fields(OptimConfig)}
    optim = OptimConfig(**{key: fields.pop(key) for key in names & fields.keys()})
    defaults = {"backbone": "res-1-4", "projector_width": 8, "data": "glyphs100", "epochs": 3,
                "batch": 5, "precision": "fp32"}  # fmt: skip
    return RunConfig(objective=objective, optim=optim, **(defaults | fields))  # type: ignore[arg-type]
