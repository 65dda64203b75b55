"""Tiny runs: images of noise, a network of 8 channels, a fraction of a second for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ssl_companion.data.hierarchy import GLYPHS100
from ssl_companion.data.images import ImageSet, fingerprint
from ssl_companion.training.config import LoopConfig, ObjectiveConfig, RunConfig
from ssl_companion.training.optim import OptimConfig

OBJECTIVES = ("vicreg", "simclr", "barlow_twins", "byol", "supervised")


@pytest.fixture(scope="session")
def noise_images() -> Callable[..., ImageSet]:
    """noise_images(n, side, seed): images of uniform noise, 2 of each of n / 2 classes."""

    def make(n: int = 20, side: int = 16, seed: int = 0) -> ImageSet:
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8)
        fine = np.arange(n, dtype=np.int64) // 2
        files = np.array([f"noise_{i}.png" for i in range(n)])
        print_ = fingerprint(images, fine)
        return ImageSet("noise", "train", fine, files, print_, GLYPHS100, True, images=images)

    return make


@pytest.fixture(scope="session")
def images(noise_images: Callable[..., ImageSet]) -> ImageSet:
    return noise_images()


@pytest.fixture(scope="session")
def tiny() -> Callable[..., RunConfig]:
    """tiny(objective, **fields of RunConfig or OptimConfig): 3 epochs of 4 steps by default."""

    def make(objective: str | ObjectiveConfig = "vicreg", **fields: Any) -> RunConfig:
        if isinstance(objective, str):
            objective = ObjectiveConfig(name=objective)  # type: ignore[arg-type]
        names = {f.name for f in dataclasses.fields(OptimConfig)}
        optim = {key: fields.pop(key) for key in names & fields.keys()}
        defaults: dict[str, Any] = {
            "backbone": "res-1-4",
            "projector_width": 8,
            "data": "glyphs100",
            "epochs": 3,
            "batch": 5,
            "precision": "fp32",
        }
        return RunConfig(objective=objective, optim=OptimConfig(**optim), **(defaults | fields))

    return make


@pytest.fixture(scope="session")
def quiet() -> Callable[..., LoopConfig]:
    """quiet(**fields): a loop on the CPU without a progress bar."""

    def make(**fields: Any) -> LoopConfig:
        return LoopConfig(**({"device": "cpu", "progress": False} | fields))

    return make
