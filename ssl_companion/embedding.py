"""Maps of features: UMAP (McInnes, Healy, Melville 2018, arXiv:1802.03426) with a fixed seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def umap_embedding(
    features: np.ndarray, *, seed: int = 0, neighbours: int = 15, start: np.ndarray | None = None
) -> np.ndarray:
    """A map of the points: near in the map means near among the features, little else.

    Args:
        features: [N, D], N above `neighbours`.
        seed: of UMAP's own randomness.
        neighbours: how many count as near.
        start: [N, 2] where the points begin, such as the map of the epoch before, so that a
            series of maps does not turn and flip; principal components by default.

    Returns:
        float32 [N, 2], centred, and scaled to a standard deviation of 1.

    Raises:
        ValueError: for too few points or a `start` of another length.
    """
    if features.ndim != 2 or len(features) <= neighbours:
        raise ValueError(
            f"features has shape {features.shape}: expected [N, D] with N > {neighbours}"
        )
    if start is not None and start.shape != (len(features), 2):
        raise ValueError(f"start has shape {start.shape}, expected {(len(features), 2)}")
    import umap  # compiles for seconds; only who draws a map waits for it

    fitted = umap.UMAP(
        n_neighbors=neighbours,
        init="pca" if start is None else start.astype(np.float32),
        random_state=seed,
        n_jobs=1,  # what a fixed seed makes of it anyway, without a warning
    ).fit_transform(features)
    points = fitted - fitted.mean(axis=0)
    scaled: np.ndarray = (points / points.std()).astype(np.float32)
    return scaled


def umap_series(features: Sequence[np.ndarray], *, seed: int = 0) -> list[np.ndarray]:
    """Maps of the same points at several epochs, each begun where the one before ended."""
    maps: list[np.ndarray] = []
    for points in features:
        maps.append(umap_embedding(points, seed=seed, start=maps[-1] if maps else None))
    return maps
