"""Nearest class centre: the rule behind NCC accuracy (Papyan, Han, Donoho 2020)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._search import ExactSearch
from ssl_companion.measures.class_statistics import ClassStatistics

Metric = Literal["euclidean", "cosine"]


class NearestCentroid:
    """Assign each sample to the class whose mean is nearest.

    The share of samples assigned to their own class is the NCC accuracy
    (doi:10.1073/pnas.2015509117): `fit` on a training set, `score` on it or on another set.
    FAISS searches in float32, after the mean of the centres is taken away in float64; where
    float32 cannot tell two centres apart, float64 decides. So the answer is that of float64,
    whatever offset the features share.

    Inputs are numpy arrays or torch tensors on CPU or CUDA; answers come back in kind.

    Args:
        metric: "euclidean", or "cosine": the angle between a sample and a class mean. The
            means are those of the features as they are, in both cases.
        device: where to compute; None takes that of the first batch (numpy: the CPU).

    Attributes:
        centroids_: class means, float64 [K, D].
        classes_: label of each centroid, int64 [K].
        counts_: samples behind each centroid, int64 [K] (absent after `from_centroids`).

    Example:
        >>> model = NearestCentroid().fit([[0.0], [2.0], [9.0], [11.0]], [0, 0, 1, 1])
        >>> model.predict([[4.0], [6.0]]).tolist()
        [0, 1]
    """

    def __init__(
        self, metric: Metric = "euclidean", device: torch.device | str | None = None
    ) -> None:
        self.metric: str = _checks.one_of(metric, ("euclidean", "cosine"), "metric")
        self.device = None if device is None else torch.device(device)
        self._reset()

    def _reset(self) -> None:
        self._statistics: ClassStatistics | None = None
        self._means: Tensor | None = None
        self._search: ExactSearch | None = None
        self._fixed: np.ndarray | None = None

    @classmethod
    def from_centroids(
        cls,
        centroids: ArrayLike,
        classes: ArrayLike | None = None,
        metric: Metric = "euclidean",
        device: torch.device | str | None = None,
    ) -> NearestCentroid:
        """A fitted estimator with the given class means.

        Args:
            centroids: [K, D], K >= 2.
            classes: distinct labels [K] of the rows; None means 0 to K-1.

        Raises:
            ValueError: centroids not finite or fewer than two, labels repeated or misshapen.
        """
        self = cls(metric, device)
        means = _checks.features(centroids, "centroids", device=self.device).double()
        if len(means) < 2:
            raise ValueError(f"centroids: {len(means)} row; expected two classes or more")
        self._fixed = np.arange(len(means)) if classes is None else _distinct(classes, len(means))
        self._means = means.clone()
        return self

    def fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> NearestCentroid:
        """Set the centroids to the class means of X [N, D] under labels y [N].

        Args:
            classes: the labels that may occur, each at least once; None means 0 to the
                largest of y, without gaps.

        Raises:
            ValueError: NaN or infinity, an absent or a single class, mismatched lengths,
                negative or non-integer labels, empty input.
        """
        self._reset()
        self.partial_fit(X, y, classes)
        self._fitted()
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None
    ) -> NearestCentroid:
        """Add a batch; the means are kept in float64. A class may be absent until `predict`.

        Args:
            classes: as for `fit`, at the first call (or the same ones again).

        Raises:
            ValueError: as for `fit`, and labels outside `classes` or another D than before.
        """
        if self._means is not None and self._statistics is None:
            raise ValueError(
                "partial_fit: after from_centroids, which knows no counts; expected an estimator"
                " without centroids; make a new NearestCentroid()"
            )
        if classes is not None:
            fixed = _distinct(classes)
            before = self._fixed
            if self._statistics and (before is None or not np.array_equal(fixed, before)):
                raise ValueError(
                    f"classes: {fixed.tolist()}; expected the same labels as at the first call"
                )
            self._fixed = fixed
        dims = None if self._means is None else self._means.shape[1]
        x = _checks.features(X, "X", dims=dims, device=self.device)
        y_ = _checks.labels(y, "y", length=len(x), device=x.device)
        if self._fixed is not None:
            y_ = _positions(y_, self._fixed)
        k = None if self._fixed is None else len(self._fixed)
        statistics = self._statistics or ClassStatistics("none", k, self.device)
        statistics.update(x, y_)
        self._statistics = statistics
        self._means = self._search = None
        return self

    def _fitted(self) -> ExactSearch:
        if self._search is None:
            if self._statistics is not None:
                _refuse_gaps(self._statistics, self._fixed)
                self._means = self._statistics.means
            if self._means is None:
                raise ValueError(
                    "NearestCentroid: not fitted; expected training features; call fit first"
                )
            self._search = ExactSearch(self._means, cosine=self.metric == "cosine")
        return self._search

    @property
    def centroids_(self) -> np.ndarray:
        """Class means, float64 [K, D]."""
        self._fitted()
        assert self._means is not None
        return self._means.cpu().numpy()

    @property
    def counts_(self) -> np.ndarray:
        """Samples behind each centroid so far, int64 [K]."""
        if self._statistics is None:
            raise AttributeError("counts_ is known after fit or partial_fit")
        return self._statistics.counts.cpu().numpy()

    @property
    def classes_(self) -> np.ndarray:
        """Label of each centroid, int64 [K]."""
        return np.arange(len(self.counts_)) if self._fixed is None else self._fixed

    def predict(self, X: ArrayLike) -> np.ndarray | Tensor:
        """Label of the nearest centroid, int64 [N]; the lowest row of `centroids_` wins a tie.

        Raises:
            ValueError: not fitted, an absent or a single class, bad features, or wrong D.
            UndefinedMeasure: a row of zeros (cosine).
        """
        search = self._fitted()
        assert self._means is not None
        x = _checks.features(X, "X", dims=self._means.shape[1], device=self._means.device)
        rows = search(x)
        found = torch.from_numpy(self.classes_).to(rows.device)[rows]
        return _checks.in_kind(found, X)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """NCC accuracy, a fraction in [0, 1].

        Raises:
            ValueError: as for `predict`, mismatched lengths, or labels that were not fitted.
        """
        self._fitted()
        y_ = _checks.labels(y, "y").cpu()
        _positions(y_, self.classes_)
        return _checks.accuracy(self.predict(X), y_)


def _distinct(classes: ArrayLike, length: int | None = None) -> np.ndarray:
    known = _checks.labels(classes, "classes", length=length, of="centroids").cpu().numpy()
    if len(np.unique(known)) != len(known):
        raise ValueError(f"classes: {known.tolist()}; expected distinct labels")
    return known.copy()


def _positions(y: Tensor, classes: np.ndarray) -> Tensor:
    """Row of `classes` for each label."""
    order = np.argsort(classes)
    table = torch.from_numpy(classes[order]).to(y.device)
    place = torch.searchsorted(table, y).clamp_(max=len(table) - 1)
    unknown = y[table[place] != y]
    if len(unknown):
        raise ValueError(
            f"y: a label {int(unknown[0])}; expected labels among the {len(classes)} classes"
            f" {classes[:10].tolist()}{'...' if len(classes) > 10 else ''}"
        )
    return torch.from_numpy(order).to(y.device)[place]


def _refuse_gaps(statistics: ClassStatistics, fixed: np.ndarray | None) -> None:
    named = None if fixed is None else torch.from_numpy(fixed)
    _checks.refuse_absent(statistics.counts, "y", named)
