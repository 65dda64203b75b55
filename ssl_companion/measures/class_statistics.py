"""Streaming counts, means and scatter of classes: accumulate here, measure elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._torch_state import computing_device, known_device, plain_torch

# Numbers turned to float64 at a time. 1 MB stays in a CPU's cache; for more, the system would map
# and clear memory for each block.
_AT_ONCE, _AT_ONCE_ON_CUDA = 2**17, 2**23
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
        x = _checks.features(X, "X", dims=self._dims, device=self.device, summed=True)
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
        batch = _means_of(x, y)
        if self._dims is None:
            self._start(x)
        self._grow(self.n_classes or largest + 1)
        self._samples += len(y)
        self._merge(x, batch)
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

    def _merge(self, x: Tensor, batch: _BatchMeans) -> None:
        present, local, n_new, origin, away = batch
        means = away if origin is None else origin + away
        squares = torch.zeros(len(present), dtype=torch.float64, device=x.device)
        n_old = self.counts[present]
        self.counts[present] = n_old + n_new
        if bool(n_old.any()):
            share = n_new.double() / (n_old + n_new)
            old = self.means[present]
            step = means - old if origin is None else (origin - old) + away
            means = torch.where((n_old == 0)[:, None], means, old + step * share[:, None])
            weight = n_old * share  # zero for a class seen for the first time
            squares += weight * step.square().sum(1)
            if self.scatter == "full":
                self.scatter_matrix.addmm_((step * weight[:, None]).T, step)
        if len(present) == len(self.means):
            self.means = means
        else:
            self.means[present] = means
        if self.scatter == "none":
            return
        for rows, of in _blocks(x, local):
            residual = _from(origin, rows, of) - away[of]
            squares.index_add_(0, of, residual.square().sum(1))
            if self.scatter == "full":
                self.scatter_matrix.addmm_(residual.T, residual)
        self.sum_of_squares[present] += squares

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


class _BatchMeans(NamedTuple):
    """Of the classes of one batch: which they are [P], whose each sample is [N], how many samples
    each has [P], what they are measured from [P, D], and the mean's distance from there [P, D]."""

    present: Tensor
    local: Tensor
    counts: Tensor
    origin: Tensor | None
    away: Tensor


def _means_of(x: Tensor, y: Tensor) -> _BatchMeans:
    counts = torch.bincount(y)
    present = counts.nonzero()[:, 0]
    local = y if len(present) == len(counts) else ((counts > 0).cumsum(0) - 1)[y]
    counts = counts[present]
    # Differences from a sample of the class keep every digit of a tight class, however far it lies
    # from the origin and from the other classes. Float32 does without: its 24 binary digits and
    # those that the number of samples adds are fewer than the 53 of float64, so that sums of like
    # numbers lose none of them.
    origin = None
    if x.dtype == torch.float64:
        row = torch.arange(len(x), device=x.device)
        first = torch.full_like(counts, len(x)).scatter_reduce_(0, local, row, "amin")
        origin = x[first]
    away = torch.zeros(len(present), x.shape[1], dtype=torch.float64, device=x.device)
    for rows, of in _blocks(x, local):
        away.index_add_(0, of, _from(origin, rows, of))
    if not bool(away.isfinite().all()):
        _checks.refuse_non_finite(x, "X")
    return _BatchMeans(present, local, counts, origin, away.div_(counts[:, None]))


def _from(origin: Tensor | None, rows: Tensor, of: Tensor) -> Tensor:
    """Rows in float64, less the origin of each one's class."""
    return rows.double() if origin is None else rows - origin[of]


def _blocks(x: Tensor, local: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    step = max(1, (_AT_ONCE_ON_CUDA if x.is_cuda else _AT_ONCE) // x.shape[1])
    return zip(x.split(step), local.split(step), strict=True)


def statistics_of(X: ArrayLike, y: ArrayLike, scatter: Literal["trace", "full"]) -> ClassStatistics:
    """The statistics of all samples at once, whose labels are 0 to K-1, each of them present.

    Raises:
        ValueError: bad features or labels, an absent or a single class.
    """
    x = _checks.features(X, "X")
    y_ = _checks.labels(y, "y", length=len(x), device=x.device)
    _checks.class_counts(y_)
    return ClassStatistics(scatter)._add(x, y_)
