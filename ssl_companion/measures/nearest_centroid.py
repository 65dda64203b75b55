"""Nearest class centre: the rule behind NCC accuracy (Papyan, Han, Donoho 2020)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._search import ExactSearch
from ssl_companion.measures._torch_state import known_device, plain_torch
from ssl_companion.measures.class_statistics import ClassStatistics

Metric = Literal["euclidean", "cosine"]


class NearestCentroid:
    """Assign each sample to the class whose mean is nearest.

    The share of samples assigned to their own class is the NCC accuracy
    (doi:10.1073/pnas.2015509117): `fit` on a training set, `score` on it or on another set.
    FAISS searches in float32, after the mean of the centres is taken away in float64; where
    float32 cannot tell two centres apart, float64 decides. So the answer is that of float64,
    whatever offset the features share.

    Inputs are numpy arrays or torch tensors on CPU or CUDA; answers come back in kind. Labels are
    integers (with gaps, if need be) or text, as in scikit-learn, and so are predictions.

    Args:
        metric: "euclidean", or "cosine": the angle between a sample and a class mean. The
            means are those of the features as they are, in both cases.
        device: where to compute; None takes that of the first batch (numpy: the CPU).

    Attributes:
        centroids_: class means, float64 [K, D].
        classes_: label of each centroid [K], int64, bool or text: those of `y`, sorted, or
            `classes` in the order given.
        counts_: samples behind each centroid, int64 [K] (absent after `from_centroids`).

    Example:
        >>> model = NearestCentroid().fit([[0.0], [2.0], [9.0], [11.0]], [0, 0, 1, 1])
        >>> model.predict([[4.0], [6.0]]).tolist()
        [0, 1]
        >>> NearestCentroid().fit([[0.0], [9.0]], ["cat", "dog"]).predict([[6.0]]).tolist()
        ['dog']
    """

    def __init__(
        self, metric: Metric = "euclidean", device: torch.device | str | None = None
    ) -> None:
        self.metric: str = _checks.one_of(metric, ("euclidean", "cosine"), "metric")
        self.device = known_device(device)
        self._reset()

    def _reset(self) -> None:
        self._statistics: ClassStatistics | None = None
        self._means: Tensor | None = None
        self._search: ExactSearch | None = None
        # Labels of the statistics' rows; whether they were given, or come as batches bring them.
        self._names: np.ndarray | None = None
        self._given = False

    @classmethod
    @plain_torch()
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
            classes: distinct labels [K] of the rows, integers or text; None means 0 to K-1.

        Raises:
            ValueError: centroids not finite or fewer than two, labels repeated or misshapen.
        """
        self = cls(metric, device)
        means = _checks.features(centroids, "centroids", device=self.device).double()
        if len(means) < 2:
            raise ValueError(f"centroids: {len(means)} row; expected two classes or more")
        self._names = np.arange(len(means)) if classes is None else _distinct(classes, len(means))
        self._given = True
        self._means = means.clone()
        return self

    @plain_torch()
    def fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> NearestCentroid:
        """Set the centroids to the class means of X [N, D] under labels y [N].

        Args:
            classes: the labels that may occur, each at least once; None means those of y.

        Raises:
            ValueError: NaN or infinity, one of `classes` that is absent, a single class,
                mismatched lengths, labels of a kind that are none, empty input.
        """
        self._reset()
        self.partial_fit(X, y, classes)
        self._fitted()
        return self

    @plain_torch()
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None
    ) -> NearestCentroid:
        """Add a batch; the means are kept in float64. A class may be absent until `predict`.

        Args:
            classes: as for `fit`, at the first call (or the same ones again); None: those that
                the batches bring.

        Raises:
            ValueError: as for `fit`, and labels outside `classes` or another D than before.
        """
        if self._means is not None and self._statistics is None:
            raise ValueError(
                "partial_fit: after from_centroids, which knows no counts; expected an estimator"
                " without centroids; make a new NearestCentroid()"
            )
        names, given = self._names, self._given
        if classes is not None:
            fixed = _distinct(classes)
            if self._statistics and not (given and np.array_equal(fixed, self.classes_)):
                raise ValueError(
                    f"classes: {fixed.tolist()}; expected the same labels as at the first call"
                )
            names, given = fixed, True
        dims = None if self._statistics is None else self._statistics.means.shape[1]
        x = _checks.features(X, "X", dims=dims, device=self.device, summed=True)
        y_ = _checks.any_labels(y, "y", length=len(x))
        if not given:
            names = _with_new(names, y_)
        assert names is not None
        rows = torch.from_numpy(_rows_of(y_, names)).to(x.device)
        statistics = self._statistics or ClassStatistics(
            "none", len(names) if given else None, self.device
        )
        statistics._add(x, rows)
        self._statistics, self._names, self._given = statistics, names, given
        self._means = self._search = None
        return self

    def _fitted(self) -> Tensor:
        """Class means in the order of `classes_`, float64 [K, D]."""
        if self._means is None:
            if self._statistics is None:
                raise ValueError(
                    "NearestCentroid: not fitted; expected training features; call fit first"
                )
            named = self._names if self._given else self.classes_
            _checks.refuse_absent(self._statistics.counts, "y", named)
            means, order = self._statistics.means, self._order()
            if not np.array_equal(order, np.arange(len(means))):
                means = means[torch.from_numpy(order).to(means.device)]
            self._means = means
        return self._means

    def _order(self) -> np.ndarray:
        """Rows of the statistics in the order of `classes_`."""
        if self._names is None:
            raise AttributeError("classes_ and counts_ are known after fit or partial_fit")
        return np.arange(len(self._names)) if self._given else np.argsort(self._names)

    @property
    @plain_torch()
    def centroids_(self) -> np.ndarray:
        """Class means, float64 [K, D]."""
        return self._fitted().cpu().numpy().copy()

    @property
    def counts_(self) -> np.ndarray:
        """Samples behind each centroid so far, int64 [K]."""
        if self._statistics is None:
            raise AttributeError("counts_ is known after fit or partial_fit")
        return self._statistics.counts.cpu().numpy()[self._order()]

    @property
    def classes_(self) -> np.ndarray:
        """Label of each centroid [K]."""
        order = self._order()
        assert self._names is not None
        return self._names[order]

    @plain_torch()
    def _predicted(self, X: ArrayLike) -> Tensor:
        """Row of the nearest centroid, int64 [N]."""
        means = self._fitted()
        if self._search is None:
            self._search = ExactSearch(means, cosine=self.metric == "cosine")
        return self._search(_checks.features(X, "X", dims=means.shape[1], device=means.device))

    @plain_torch()
    def predict(self, X: ArrayLike) -> np.ndarray | Tensor:
        """Label of the nearest centroid [N]; the lowest row of `centroids_` wins a tie.

        Returns:
            A tensor if X is one and the labels are no text, else a numpy array.

        Raises:
            ValueError: not fitted, an absent or a single class, bad features, or wrong D.
            UndefinedMeasure: a row of zeros (cosine).
        """
        rows = self._predicted(X).cpu().numpy()
        found = self.classes_[rows]
        return found if found.dtype.kind == "U" else _checks.in_kind(torch.from_numpy(found), X)

    @plain_torch()
    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """NCC accuracy, a fraction in [0, 1].

        Raises:
            ValueError: as for `predict`, mismatched lengths, or labels that were not fitted.
        """
        self._fitted()
        y_ = _checks.any_labels(y, "y")
        rows = torch.from_numpy(_rows_of(y_, self.classes_))
        return _checks.accuracy(self._predicted(X), rows)


def _distinct(classes: ArrayLike, length: int | None = None) -> np.ndarray:
    known = _checks.any_labels(classes, "classes", length=length, of="centroids")
    if len(np.unique(known)) != len(known):
        raise ValueError(f"classes: {known.tolist()}; expected distinct labels")
    return known.copy()


def _with_new(names: np.ndarray | None, y: np.ndarray) -> np.ndarray:
    """Labels so far, and after them those of y that are new."""
    here = np.unique(y)
    if names is None:
        return here
    _refuse_other_kind(y, names)
    return np.concatenate([names, np.setdiff1d(here, names)])


def _refuse_other_kind(y: np.ndarray, classes: np.ndarray) -> None:
    if y.dtype.kind != classes.dtype.kind:
        raise ValueError(
            f"y: a label {y[0].item()!r}; expected labels such as {classes[0].item()!r}, of one "
            "kind with the classes"
        )


def _rows_of(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Row of `classes` for each label, int64 [N]."""
    _refuse_other_kind(y, classes)
    rows = _by_table(y, classes) if classes.dtype.kind == "i" else None
    if rows is None:
        order = np.argsort(classes)
        rows = order[np.searchsorted(classes, y, sorter=order).clip(max=len(classes) - 1)]
    unknown = y[classes[rows] != y]
    if len(unknown):
        raise ValueError(
            f"y: a label {unknown[0].item()!r}; expected labels among the {len(classes)} classes"
            f" {classes[:10].tolist()}{'...' if len(classes) > 10 else ''}"
        )
    return rows


def _by_table(y: np.ndarray, classes: np.ndarray) -> np.ndarray | None:
    """Row of `classes` for each integer label, and some row for other labels; None where the
    labels lie too far apart for a table of all numbers between them."""
    low, high = classes.min(), classes.max()
    if int(high) - int(low) >= len(y) + len(classes):
        return None
    table = np.zeros(high - low + 1, dtype=np.int64)
    table[classes - low] = np.arange(len(classes))
    rows: np.ndarray = table[y.clip(low, high) - low]
    return rows
