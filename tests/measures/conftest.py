"""Data and oracles for the measures: everything from a seed, oracles in plain numpy."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def clusters() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """clusters(n, k, d, spread, seed) -> X float64 [n, d], y int64 [n] with every class there."""

    def make(
        n: int = 600, k: int = 6, d: int = 8, spread: float = 0.7, seed: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        y = rng.permutation(np.arange(n) % k)
        return rng.standard_normal((k, d))[y] + spread * rng.standard_normal((n, d)), y

    return make


@pytest.fixture(scope="session")
def brute_squares() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Squared distances [N, K] by float64 differences."""

    def squares(X: np.ndarray, centres: np.ndarray) -> np.ndarray:
        x = X.astype(np.float64)
        return np.stack([((x - row) ** 2).sum(1) for row in centres.astype(np.float64)], axis=1)

    return squares


@pytest.fixture(scope="session")
def reference() -> tuple[Path, dict[str, Any]]:
    """The folder of the reference run's features, and its results."""
    root = os.environ.get("SSL_COMPANION_REFERENCE")
    if not root:
        pytest.skip("SSL_COMPANION_REFERENCE is not set: no reference features to compare with")
    folder = Path(root) / "vicreg_res5_250"
    if not (folder / "results.json").exists():
        pytest.skip(f"no reference features in {folder}")
    return folder, json.loads((folder / "results.json").read_text())
