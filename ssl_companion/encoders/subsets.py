"""Rows of features that are too large to copy, and subsets for what would take too long of all."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# A batch has so many rows, or more where these are fewer numbers than that: 32 MB of float32.
_ROWS, _AT_ONCE = 50_000, 2**23


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of features, gathered a batch at a time; all of them are never copied.

    Attributes:
        features: [N, D], possibly a mapped file.
        rows: which of them, int64 [n]; None: all.

    Example:
        >>> half = Rows(torch.arange(8.0).reshape(4, 2), np.array([1, 3]))
        >>> len(half), half.shape, half.take(np.array([1])).tolist()
        (2, (2, 2), [[6.0, 7.0]])
    """

    features: Tensor
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features) if self.rows is None else len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, D)."""
        return len(self), self.features.shape[1]

    def take(self, which: np.ndarray) -> Tensor:
        """A copy of some rows, by ascending int64 [m]; no copy where these are all features."""
        if self.rows is not None:
            which = self.rows[which]
        if len(which) == len(self.features):
            return self.features
        return self.features[torch.from_numpy(which).to(self.features.device)]

    def batches(self) -> Iterator[tuple[slice, Tensor]]:
        """Which of the n rows, and their features: all at once where nothing has to be copied."""
        step = max(_ROWS, _AT_ONCE // self.shape[1]) if self.rows is not None else len(self)
        for start in range(0, len(self), step):
            at = slice(start, min(start + step, len(self)))
            yield at, self.features if self.rows is None else self.take(np.arange(len(self))[at])


def balanced_subset(y: np.ndarray, size: int, seed: int = 0) -> np.ndarray:
    """Indices of at most `size` images, as many of each class as there are of it or as fit.

    Classes that are smaller than their share are whole, and each has one image or more. All images
    where there are no more than `size`.

    Args:
        y: labels, int64 [N].
        size: of the subset.
        seed: of the draw.

    Returns:
        int64, ascending.

    Example:
        >>> y = np.repeat([0, 1, 2], [1, 50, 80])
        >>> np.bincount(y[balanced_subset(y, 20)]).tolist()
        [1, 9, 9]
    """
    if len(y) <= size:
        return np.arange(len(y))
    counts = np.bincount(y)
    shares = range(1, int(counts.max()) + 1)
    share = max(1, bisect.bisect_right(shares, size, key=lambda s: np.minimum(counts, s).sum()))
    shuffled = np.random.default_rng(seed).permutation(len(y))
    by_class = shuffled[np.argsort(y[shuffled], kind="stable")]
    place = np.arange(len(y)) - np.repeat(counts.cumsum() - counts, counts)
    return np.sort(by_class[place < share])


def random_subset(n: int, size: int, seed: int = 0) -> np.ndarray:
    """Indices of at most `size` of n images, every one as likely as every other.

    Returns:
        int64, ascending; all where there are no more than `size`.

    Example:
        >>> random_subset(3, 5).tolist(), len(random_subset(100, 5))
        ([0, 1, 2], 5)
    """
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:size])
