"""Maps of features: UMAP (McInnes, Healy, Melville 2018, arXiv:1802.03426) with a fixed seed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np


def umap_embedding(
    features: np.ndarray,
    *,
    seed: int = 0,
    neighbours: int = 15,
    start: np.ndarray | None = None,
    found: tuple[np.ndarray, np.ndarray] | None = None,
    rounds: int | None = None,
) -> np.ndarray:
    """A map of the points: near in the map means near among the features, little else.

    Args:
        features: [N, D], N above `neighbours`.
        seed: of UMAP's own randomness.
        neighbours: how many count as near.
        start: [N, 2] where the points begin, such as the map of the epoch before, so that a
            series of maps does not turn and flip; principal components by default.
        found: the nearest other points of each, rows int [N, `neighbours` - 1] and distances of
            the same shape, where they are known already; most of the time of a map of a few
            thousand points goes into that search.
        rounds: passes over all pairs of neighbours; by default 500, and fewer for maps of more
            than 10,000 points.

    Returns:
        float32 [N, 2], centred, and scaled to a standard deviation of 1.

    Raises:
        ValueError: for too few points, or a `start` or `found` of another shape.
    """
    if features.ndim != 2 or len(features) <= neighbours:
        raise ValueError(
            f"features has shape {features.shape}: expected [N, D] with N > {neighbours}"
        )
    if start is not None and start.shape != (len(features), 2):
        raise ValueError(f"start has shape {start.shape}, expected {(len(features), 2)}")
    shape = (len(features), neighbours - 1)
    if found is not None and not found[0].shape == found[1].shape == shape:
        raise ValueError(f"found has shapes {[a.shape for a in found]}, expected {shape} twice")
    import umap  # compiles for seconds; only who draws a map waits for it

    settings: dict[str, Any] = {} if found is None else _known(*found)
    with warnings.catch_warnings():
        # Neighbours that were found elsewhere cannot place new points later; nobody asks that.
        warnings.filterwarnings("ignore", message=".*knn_search_index.*")
        fitted = umap.UMAP(
            n_neighbors=neighbours,
            n_epochs=rounds,
            init="pca" if start is None else start.astype(np.float32),
            random_state=seed,
            n_jobs=1,  # what a fixed seed makes of it anyway, without a warning
            **settings,
        ).fit_transform(features)
    points = fitted - fitted.mean(axis=0)
    scaled: np.ndarray = (points / points.std()).astype(np.float32)
    return scaled


def _known(rows: np.ndarray, distances: np.ndarray) -> dict[str, Any]:
    """UMAP's settings for neighbours that are known; it counts a point as its own first one."""
    own = np.arange(len(rows))[:, None]
    first = np.zeros((len(rows), 1))
    knn = (np.hstack([own, rows]), np.hstack([first, distances]).astype(np.float32))
    return {"precomputed_knn": knn, "force_approximation_algorithm": True}


def umap_series(features: Sequence[np.ndarray], *, seed: int = 0) -> list[np.ndarray]:
    """Maps of the same points at several epochs, each begun where the one before ended."""
    maps: list[np.ndarray] = []
    for points in features:
        maps.append(umap_embedding(points, seed=seed, start=maps[-1] if maps else None))
    return maps
