"""Weighted nearest neighbours: classify by the training samples that point the same way."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from . import _checks, _faiss, _scaling
from ._checks import ArrayLike

_ROWS = 4096  # queries at a time


class WeightedKNN:
    """Vote of the k most similar training samples, each with weight exp(cosine / temperature).

    The classifier of Wu, Xiong, Yu, Lin (2018, arXiv:1805.01978, section 3.4). FAISS searches
    exactly, over features divided by their length; inputs are numpy arrays or torch tensors
    on CPU or CUDA.

    Args:
        k: neighbours that vote.
        temperature: of the weights; small values let the nearest decide.
        device: where to compute; None takes that of the training features.

    Attributes:
        n_classes_: K, the largest training label plus one.
    """

    n_classes_: int

    def __init__(
        self,
        k: int = 200,
        temperature: float = 0.07,
        device: torch.device | str | None = None,
    ) -> None:
        self.k = _checks.at_least(k, 1, "k")
        self.temperature = _checks.positive(temperature, "temperature")
        self.device = None if device is None else torch.device(device)
        self._base: Tensor | None = None

    def fit(self, X: ArrayLike, y: ArrayLike) -> WeightedKNN:
        """Keep the training features X [N, D] and their labels y [N], 0 to K-1.

        Raises:
            ValueError: bad features or labels, an absent or a single class, a row of zeros,
                or fewer samples than k.
        """
        x = _checks.features(X, "X", device=self.device)
        y_ = _checks.labels(y, "y", length=len(x), device=x.device)
        _checks.refuse_absent(torch.bincount(y_), "y")
        if len(x) < self.k:
            raise ValueError(f"k is {self.k}; expected at most {len(x)}, the samples in X")
        self._base = torch.cat([
            _scaling.unit(rows, "X", i * _ROWS).float() for i, rows in enumerate(x.split(_ROWS))
        ])  # fmt: skip
        self._labels = y_
        self.n_classes_ = int(y_.max()) + 1
        return self

    def votes(self, X: ArrayLike) -> np.ndarray | Tensor:
        """Share of the neighbours' weight that falls on each class, float32 [N, K], rows sum to 1.

        Raises:
            ValueError: not fitted, bad features, wrong D, or a row of zeros.
        """
        return _checks.in_kind(self._votes(X), X)

    def _votes(self, X: ArrayLike) -> Tensor:
        if self._base is None:
            raise ValueError("WeightedKNN has no samples; expected a call of fit first")
        x = _checks.features(X, "X", dims=self._base.shape[1], device=self._base.device)
        shares = torch.zeros(len(x), self.n_classes_, device=x.device)
        blocks = zip(x.split(_ROWS), shares.split(_ROWS), strict=True)
        for i, (rows, out) in enumerate(blocks):
            unit = _scaling.unit(rows, "X", i * _ROWS).float()
            cosines, which = _faiss.nearest(unit, self._base, self.k, "inner-product")
            # softmax is the weights over their sum, and does not overflow
            weights = torch.softmax(cosines.double() / self.temperature, dim=1).float()
            out.scatter_add_(1, self._labels[which], weights)
        return shares

    def predict(self, X: ArrayLike) -> np.ndarray | Tensor:
        """Class with the largest vote, int64 [N].

        Raises:
            ValueError: as for `votes`.
        """
        return _checks.in_kind(self._votes(X).argmax(1), X)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Accuracy, a fraction in [0, 1].

        Raises:
            ValueError: as for `votes`, mismatched lengths, or labels of K or more.
        """
        y_ = _checks.labels(y, "y")
        predicted = self.predict(X)
        _checks.labels_below(y_, self.n_classes_)
        return _checks.accuracy(predicted, y_)
