"""Nearest neighbours among the points themselves, and among class means."""

from __future__ import annotations

import numpy as np
import torch

from . import _checks, _scaling
from ._checks import ArrayLike
from ._faiss import nearest

_SPARE = 16  # candidates beyond those asked for: float32 may have them in another order


def nearest_neighbours(X: ArrayLike, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k other points nearest to each, by Euclidean distance.

    FAISS finds candidates in float32, after the mean is taken away; their distances and their
    order are then those of float64. The lower row wins a tie.

    Args:
        X: features [N, D].
        k: neighbours wanted, 1 to N - 1.

    Returns:
        Rows, int64 [N, k], nearest first, never the point's own; and distances, float64 [N, k].

    Raises:
        ValueError: bad features, or k outside its range.
    """
    x = _checks.features(X, "X").cpu().double()
    n = len(x)
    if not 1 <= k < n:
        raise ValueError(f"k is {k}; expected 1 to {n - 1}, one less than the samples in X")
    # In units of their spread: float32 would lose squares of very small or large features.
    unit = _scaling.exponent(x - x.mean(0))
    x = _scaling.times_power_of_two(x, -unit)
    centred = (x - x.mean(0)).float()
    found = nearest(centred, centred, min(n, k + 1 + _SPARE))[1].sort(dim=1).values
    squares = torch.stack([(x[some] - x[i]).square().sum(1) for i, some in enumerate(found)])
    squares[found == torch.arange(n)[:, None]] = torch.inf
    order = squares.argsort(dim=1, stable=True)[:, :k]
    apart = _scaling.times_power_of_two(squares.gather(1, order).sqrt(), unit)
    return found.gather(1, order).numpy(), apart.numpy()
