"""k-means with clusters of given sizes: what groups of so many points lie closest together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ssl_companion.measures import _checks
from ssl_companion.measures._distances import centred, squared_distances
from ssl_companion.measures._torch_state import plain_torch

_STEPS = 100  # of Lloyd's; each lowers the cost or is the last, and some ten do


@plain_torch()
def balanced_kmeans(
    X: np.ndarray | Tensor, sizes: Sequence[int], *, starts: int = 8, seed: int = 0
) -> np.ndarray:
    """Groups of given sizes with a small sum of squared distances to their means.

    Lloyd's steps, but for the assignment, which is the cheapest that fills every group (the
    Hungarian method; Malinen and Fränti 2014, doi:10.1007/978-3-662-44415-3_4). The best of
    several starts, each from other points as first means.

    Args:
        X: float [N, D]; some hundreds of points, as the assignment takes N^3.
        sizes: of the K groups, 1 or more each, N in all.
        starts: how many, 1 or more.
        seed: of the starts.

    Returns:
        int64 [N], each from 0 to K-1; group k has `sizes[k]` members.

    Raises:
        ValueError: bad features, sizes that do not add up to N, starts below 1, or a negative
            seed.

    Example:
        >>> X = np.array([[0.0], [0.1], [5.0], [0.2], [5.1], [0.3]])
        >>> balanced_kmeans(X, [4, 2]).tolist()
        [0, 0, 1, 0, 1, 0]
    """
    x = centred(_checks.features(X, "X")).cpu().numpy()
    wanted = _checks.labels(sizes, "sizes").cpu().numpy()
    if (wanted < 1).any() or sum(wanted.tolist()) != len(x):
        raise ValueError(
            f"sizes: {wanted.tolist()}; expected integers of 1 or more that add up to the "
            f"{len(x)} points"
        )
    _checks.at_least(starts, 1, "starts")
    _checks.at_least(seed, 0, "seed")
    found = [_one_start(x, wanted, np.random.default_rng([seed, i])) for i in range(starts)]
    return min(found, key=lambda pair: pair[0])[1]


def _one_start(
    x: np.ndarray, sizes: np.ndarray, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """The cost and the groups that one start comes to."""
    from scipy.optimize import linear_sum_assignment  # slow to import, and used here only

    seats = np.repeat(np.arange(len(sizes)), sizes)
    means = x[rng.choice(len(x), len(sizes), replace=False)]
    groups = np.full(len(x), -1)
    for _ in range(_STEPS):
        distances = squared_distances(torch.from_numpy(x), torch.from_numpy(means)).numpy()
        _, taken = linear_sum_assignment(distances[:, seats])
        before, groups = groups, seats[taken]
        if np.array_equal(before, groups):
            break
        means = np.stack([x[groups == k].mean(axis=0) for k in range(len(sizes))])
    spread = sum(float(np.square(x[groups == k] - m).sum()) for k, m in enumerate(means))
    return spread, groups.astype(np.int64)
