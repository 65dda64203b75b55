"""Streaming counts, means and scatter of classes: accumulate here, measure elsewhere."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._torch_state import computing_device, known_device, plain_torch

_ROWS = 8192  # rows turned to float64 at a time: 16 MB at D = 250
_UNASKED = 2**27  # numbers in means of classes that no batch or `n_classes` accounts for: 1 GB


class ClassStatistics:
    """Counts, means and within-class scatter of K classes, in float64, batch after batch.

    Batches are merged by the update of Chan, Golub and LeVeque (1983,
    doi:10.1080/00031305.1983.10483115): nothing cancels, however far from the origin the
    features lie and however tight the classes are.

    Args:
        scatter: what to keep of the spread inside the classes: "none", "trace" (one number
            a class) or "full" (the trace and one matrix [D, D] over all classes).
        n_classes: K if known; None lets K grow to the largest label plus one.
        device: where to accumulate; None takes that of the first batch.

    Attributes:
        counts: int64 [K].
        means: of the classes, float64 [K, D]; 0 where a class is absent.
        sum_of_squares: of the distances to the class mean, float64 [K].
        scatter_matrix: sum of the outer products of those differences, float64 [D, D]; empty
            unless `scatter` is "full".

    Example:
        >>> statistics = ClassStatistics().update([[0.0], [2.0]], [0, 0])
        >>> statistics = statistics.update([[9.0], [11.0]], [1, 1])
        >>> statistics.means.tolist(), statistics.variances.tolist()
        ([[1.0], [10.0]], [1.0, 1.0])
    """

    def __init__(
        self,
        scatter: Literal["none", "trace", "full"] = "trace",
        n_classes: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.scatter = _checks.one_of(scatter, ("none", "trace", "full"), "scatter")
        self.n_classes = None if n_classes is None else _checks.at_least(n_classes, 1, "n_classes")
        self.device = known_device(device)
        self._dims: int | None = None
        self._samples = 0

    @property
    def started(self) -> bool:
        """Whether any batch has come."""
        return self._dims is not None

    @plain_torch()
    def update(self, X: ArrayLike, y: ArrayLike) -> ClassStatistics:
        """Add a batch of features [N, D] with labels [N].

        Raises:
            ValueError: bad features or labels, a label of `n_classes` or more, or, without
                `n_classes`, one so large that the means of so many classes would fill memory.
        """
        x = _checks.features(X, "X", dims=self._dims, device=self.device)
        y_ = _checks.labels(y, "y", length=len(x), device=x.device)
        return self._add(x, y_)

    def _add(self, x: Tensor, y: Tensor) -> ClassStatistics:
        largest = int(y.max())
        if self.n_classes is not None:
            _checks.labels_below(y, self.n_classes)
        elif largest >= self._samples + len(y) and (largest + 1) * x.shape[1] > _UNASKED:
            raise ValueError(
                f"y: a label {largest}; expected labels from 0 without gaps, as means of "
                f"{largest + 1} classes take {(largest + 1) * x.shape[1] * 8 / 1e9:.0f} GB; "
                "relabel without gaps, or give n_classes"
            )
        if self._dims is None:
            self._start(x)
        self._grow(self.n_classes or largest + 1)
        self._samples += len(y)
        for rows, labels in zip(x.split(_ROWS), y.split(_ROWS), strict=True):
            self._merge(rows.double(), labels)
        return self

    def _start(self, x: Tensor) -> None:
        self.device, self._dims = computing_device(x.device), x.shape[1]
        self.counts = torch.zeros(0, dtype=torch.int64, device=x.device)
        self.means = torch.zeros(0, self._dims, dtype=torch.float64, device=x.device)
        self.sum_of_squares = torch.zeros(0, dtype=torch.float64, device=x.device)
        side = self._dims if self.scatter == "full" else 0
        self.scatter_matrix = torch.zeros(side, side, dtype=torch.float64, device=x.device)

    def _grow(self, k: int) -> None:
        new = k - len(self.counts)
        if new > 0:
            self.counts = torch.cat([self.counts, self.counts.new_zeros(new)])
            pad = self.means.new_zeros(new, self.means.shape[1])
            self.means = torch.cat([self.means, pad])
            self.sum_of_squares = torch.cat([self.sum_of_squares, pad.new_zeros(new)])

    def _merge(self, x: Tensor, y: Tensor) -> None:
        present, local = torch.unique(y, return_inverse=True)
        n_new = torch.bincount(local, minlength=len(present))
        # Differences from one sample of the class keep every digit of a tight class, however
        # far it lies from the origin and from the other classes.
        rows = torch.arange(len(x), device=x.device)
        first_row = torch.full_like(present, len(x)).scatter_reduce_(0, local, rows, "amin")
        origin = x[first_row]
        away = x - origin[local]
        means_away = torch.zeros(len(present), x.shape[1], dtype=x.dtype, device=x.device)
        means_away.index_add_(0, local, away)
        means_away /= n_new[:, None]

        n_old = self.counts[present]
        n_all = n_old + n_new
        share = n_new.double() / n_all
        old = self.means[present]
        step = (origin - old) + means_away
        first = (n_old == 0)[:, None]
        merged = old + step * share[:, None]
        self.means[present] = torch.where(first, origin + means_away, merged)
        self.counts[present] = n_all
        if self.scatter == "none":
            return
        residual = away - means_away[local]
        squares = torch.zeros_like(self.sum_of_squares)
        squares.index_add_(0, y, residual.square().sum(1))
        weight = n_old * share  # zero for a class seen for the first time
        squares.index_add_(0, present, weight * step.square().sum(1))
        self.sum_of_squares += squares
        if self.scatter == "full":
            self.scatter_matrix += residual.T @ residual + (step * weight[:, None]).T @ step

    @plain_torch()
    def grouped(self, groups: ArrayLike) -> ClassStatistics:
        """The statistics under labels that join classes, without another pass over the samples.

        Args:
            groups: the group of every class, int64 [K], 0 to G-1, each of them present.

        Returns:
            Of G classes, to be measured and not updated; scatter is "none", or else "trace".

        Raises:
            ValueError: bad labels, a group without classes, or one of absent classes only.
        """
        of = _checks.labels(groups, "groups", length=len(self.counts), of="the statistics' classes")
        of = of.to(self.counts.device)
        _checks.class_counts(of, "groups")
        _checks.refuse_absent(torch.bincount(of, self.counts), "groups")
        kind: Literal["none", "trace"] = "none" if self.scatter == "none" else "trace"
        out = ClassStatistics(kind, int(of.max()) + 1, self.device)
        out._start(self.means)
        out._grow(int(of.max()) + 1)
        out.counts.index_add_(0, of, self.counts)
        share = self.counts.double() / out.counts[of]
        # From one class of the group, as in `_merge`: its means may lie close together, far away.
        present = (self.counts > 0).nonzero()[:, 0]
        first = torch.full_like(out.counts, len(of)).scatter_reduce_(
            0, of[present], present, "amin"
        )
        origin = self.means[first]
        away = self.means - origin[of]
        step = torch.zeros_like(origin).index_add_(0, of, away * share[:, None])
        out.means = origin + step
        if kind == "trace":
            between = (away - step[of]).square().sum(1)
            out.sum_of_squares.index_add_(0, of, self.sum_of_squares + self.counts * between)
        return out

    def require_all_classes(self, name: str = "y") -> None:
        """Refuse to be measured while a class is absent or there is only one.

        Raises:
            ValueError: nothing accumulated, an absent class, or a single class.
        """
        if not self.started:
            raise ValueError(f"{name}: empty; expected features and labels; call update first")
        _checks.refuse_absent(self.counts, name)

    @property
    @plain_torch()
    def global_mean(self) -> Tensor:
        """Mean over all samples, float64 [D]."""
        share = self.counts.double() / self.counts.sum()
        origin = self.means[int(self.counts.argmax())]
        return origin + share @ (self.means - origin)

    @property
    def variances(self) -> Tensor:
        """Mean squared distance to the class mean, float64 [K].

        This is the biased (1/n) variance, the Var_k of the CDNV (arXiv:2112.15121).
        """
        if self.scatter == "none":
            raise ValueError("scatter: 'none'; expected 'trace' or 'full' to have variances")
        return self.sum_of_squares / self.counts


def statistics_of(X: ArrayLike, y: ArrayLike, scatter: Literal["trace", "full"]) -> ClassStatistics:
    """The statistics of all samples at once, whose labels are 0 to K-1, each of them present.

    Raises:
        ValueError: bad features or labels, an absent or a single class.
    """
    x = _checks.features(X, "X")
    y_ = _checks.labels(y, "y", length=len(x), device=x.device)
    _checks.class_counts(y_)
    return ClassStatistics(scatter)._add(x, y_)
