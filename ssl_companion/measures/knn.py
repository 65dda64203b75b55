"""Weighted nearest neighbours: classify by the training samples that point the same way.

Nearest neighbours among the points themselves, and among class means.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssl_companion.measures import _checks, _faiss, _search
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._distances import centred
from ssl_companion.measures._faiss import nearest
from ssl_companion.measures._torch_state import known_device, plain_torch

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

    Example:
        >>> model = WeightedKNN(k=1).fit([[1.0, 0.0], [0.0, 1.0]], [0, 1])
        >>> model.predict(np.array([[3.0, 1.0]])).tolist()
        [0]
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
        self.device = known_device(device)
        self._base: Tensor | None = None

    @plain_torch()
    def fit(self, X: ArrayLike, y: ArrayLike) -> WeightedKNN:
        """Keep the training features X [N, D] and their labels y [N], 0 to K-1.

        Raises:
            ValueError: bad features or labels, an absent or a single class, or fewer samples
                than k.
            UndefinedMeasure: a row of zeros.
        """
        x = _checks.features(X, "X", device=self.device)
        y_ = _checks.labels(y, "y", length=len(x), device=x.device)
        _checks.class_counts(y_)
        if len(x) < self.k:
            raise ValueError(f"k: {self.k}; expected {len(x)} or fewer, the samples in X")
        self._base = torch.cat([
            _search.unit(rows, "X", i * _ROWS).float() for i, rows in enumerate(x.split(_ROWS))
        ])  # fmt: skip
        self._labels = y_.clone()  # the caller may write to theirs, or it may be a part of more
        self.n_classes_ = int(y_.max()) + 1
        return self

    @plain_torch()
    def votes(self, X: ArrayLike) -> np.ndarray | Tensor:
        """Share of the neighbours' weight that falls on each class, float32 [N, K], rows sum to 1.

        Raises:
            ValueError: not fitted, bad features, or wrong D.
            UndefinedMeasure: a row of zeros.
        """
        return _checks.in_kind(self._votes(X), X)

    @plain_torch()
    def _votes(self, X: ArrayLike) -> Tensor:
        if self._base is None:
            raise ValueError("WeightedKNN: not fitted; expected training features; call fit first")
        x = _checks.features(X, "X", dims=self._base.shape[1], device=self._base.device)
        shares = torch.zeros(len(x), self.n_classes_, dtype=torch.float32, device=x.device)
        blocks = zip(x.split(_ROWS), shares.split(_ROWS), strict=True)
        for i, (rows, out) in enumerate(blocks):
            unit = _search.unit(rows, "X", i * _ROWS).float()
            cosines, which = _faiss.nearest(unit, self._base, self.k, "inner-product")
            # softmax is the weights over their sum; of differences from the best it cannot overflow
            wide = cosines.double()
            away = (wide - wide.amax(1, keepdim=True)) / self.temperature
            weights = torch.softmax(away, dim=1).float()
            out.scatter_add_(1, self._labels[which], weights)
        return shares

    @plain_torch()
    def predict(self, X: ArrayLike) -> np.ndarray | Tensor:
        """Class with the largest vote, int64 [N].

        Raises:
            ValueError: as for `votes`.
        """
        return _checks.in_kind(self._votes(X).argmax(1), X)

    @plain_torch()
    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Accuracy, a fraction in [0, 1].

        Raises:
            ValueError: as for `votes`, mismatched lengths, or labels of K or more.
        """
        y_ = _checks.labels(y, "y", like="y_train")
        predicted = self.predict(X)
        _checks.labels_below(y_, self.n_classes_)
        return _checks.accuracy(predicted, y_)


_SPARE = 16  # candidates beyond those asked for: fewer of them leave more rows in doubt


@plain_torch()
def nearest_neighbours(X: ArrayLike, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k other points nearest to each, by Euclidean distance.

    FAISS finds candidates in float32, after the mean is taken away; their distances and their
    order are then those of float64, which looks at all points where float32 cannot tell which are
    candidates. The lower row wins a tie.

    Args:
        X: features [N, D].
        k: neighbours wanted, 1 to N - 1.

    Returns:
        Rows, int64 [N, k], nearest first, never the point's own; and distances, float64 [N, k].

    Raises:
        ValueError: bad features, or k outside its range.

    Example:
        >>> rows, distances = nearest_neighbours([[0.0], [1.0], [5.0]], k=1)
        >>> rows.tolist(), distances.tolist()
        ([[1], [0], [1]], [[1.0], [1.0], [4.0]])
    """
    x = _checks.features(X, "X").cpu().double()
    n = len(x)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k < n:
        raise ValueError(f"k: {k!r}; expected 1 to {n - 1}, one less than the samples in X")
    k = int(k)  # FAISS takes no other integer
    away = centred(x)
    largest = float(away.abs().max())
    # Float32 holds their squares so; else all rows would be in doubt, and the answers the same.
    small = (away / 2.0 ** np.frexp(largest)[1]).float()
    candidates = min(n, k + 1 + _SPARE)
    about, found = nearest(small, small, candidates)
    found, order = found.sort(dim=1)
    about = about.gather(1, order).double()
    squares = torch.stack([(x[some] - x[i]).square().sum(1) for i, some in enumerate(found)])
    squares[found == torch.arange(n)[:, None]] = torch.inf
    order = squares.argsort(dim=1, stable=True)[:, :k]
    rows, chosen = found.gather(1, order), squares.gather(1, order)
    if candidates < n:
        near, far = about.gather(1, order).amax(1), about.amax(1)
        norms = torch.linalg.vector_norm(small, dim=1)
        sure = _search.surely_nearer(near, far, norms, x.shape[1], float(norms.max()))
        for i in (~sure).nonzero()[:, 0].tolist():
            every = (x - x[i]).square().sum(1)
            every[i] = torch.inf
            rows[i] = every.argsort(stable=True)[:k]
            chosen[i] = every[rows[i]]
    return rows.numpy(), chosen.sqrt().numpy()
