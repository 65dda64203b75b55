"""Groups of classes that look alike: a control for levels, whose groups often look alike, too."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ssl_companion.data import Hierarchy
from ssl_companion.encoders.subsets import balanced_subset
from ssl_companion.measures import _checks
from ssl_companion.measures.kmeans import balanced_kmeans

#: Groupings of each level: from other starts of k-means come other groups.
GROUPINGS = 10
_IMAGES, _BATCH, _SIDE = 50_000, 1_000, 32


def groups_by_looks(
    images: np.ndarray | Tensor, y: np.ndarray, hierarchy: Hierarchy, *, seed: int = 0
) -> dict[str, np.ndarray]:
    """Groupings of the classes by their mean images, of the sizes of every upper level.

    Balanced k-means (Malinen and Fränti 2014, doi:10.1007/978-3-662-44415-3_4) of the classes'
    mean images, of a class-balanced subset of at most 50,000 images that are averaged over places
    to at most 32 x 32 pixels first. An encoder of which a level says more than these groups do has
    found more than colours and coarse shapes.

    Example:
        >>> images = np.zeros((4, 3, 8, 8), np.uint8)
        >>> images[2:] = 200  # classes 2 and 3 are bright
        >>> from ssl_companion.encoders.inputs.hierarchies import as_hierarchy
        >>> levels = as_hierarchy({"a": [0, 2], "b": [1, 3]}, ["0", "1", "2", "3"])
        >>> groups = groups_by_looks(images, np.arange(4), levels)["level1"]
        >>> groups.shape, bool((groups[:, 0] == groups[:, 1]).all())
        ((10, 4), True)

    Args:
        images: [N, C, H, W] or [N, H, W], numbers of any type; may be mapped.
        y: their labels, int64 [N], 0 to K-1, each of them once or more.
        hierarchy: over the K classes.
        seed: of the subset and of the starts.

    Returns:
        level -> int64 [G, K], the group of every class in each of G groupings; no level where
        pixels are not finite.
    """
    means = _mean_images(images, y, balanced_subset(y, _IMAGES, seed))
    if not np.isfinite(means).all():
        return {}
    return {
        level.name: np.stack([
            balanced_kmeans(means, level.sizes.tolist(), starts=1, seed=seed + i)
            for i in range(GROUPINGS)
        ])
        for level in hierarchy.levels[1:]
    }  # fmt: skip


def _mean_images(images: np.ndarray | Tensor, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of every class, of some images: float64 [K, C h w]."""
    sums: Tensor | None = None
    counts = np.bincount(y[rows])
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        x = _checks.as_tensor(images[some], "images").cpu().float()
        if max(x.shape[-2:]) > _SIDE:
            height, width = x.shape[-2:]
            x = adaptive_avg_pool2d(x, (min(height, _SIDE), min(width, _SIDE)))
        x = x.flatten(1).double()
        sums = x.new_zeros(len(counts), x.shape[1]) if sums is None else sums
        sums.index_add_(0, torch.from_numpy(y[some]), x)
    assert sums is not None
    return sums.numpy() / counts[:, None]
