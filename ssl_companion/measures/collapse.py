"""How far classes have collapsed: CDNV and the four signs of neural collapse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._distances import squared_distances
from ssl_companion.measures._torch_state import plain_torch
from ssl_companion.measures.class_statistics import ClassStatistics, statistics_of
from ssl_companion.measures.nearest_centroid import NearestCentroid

_EPSILON = torch.finfo(torch.float64).eps
_PAIRS = 2**23  # class pairs, or projections on them, held at a time: 64 MB


@plain_torch()
def cdnv(X: ArrayLike, y: ArrayLike) -> float:
    """Class-distance normalized variance, averaged over the pairs of classes.

    For classes i and j: (Var_i + Var_j) / (2 |mu_i - mu_j|^2), with Var_k the mean squared
    distance of class k's samples to their mean mu_k (Galanti, György, Hutter,
    arXiv:2112.15121). Zero for collapsed classes; no upper bound; no unit.

    Args:
        X: features [N, D].
        y: labels [N], 0 to K-1, each of them present, K >= 2.

    Raises:
        ValueError: bad features or labels, an absent or a single class.
        UndefinedMeasure: two classes whose means coincide.

    Example:
        >>> round(cdnv([[0.0], [2.0], [9.0], [11.0]], [0, 0, 1, 1]), 4)  # (1 + 1) / (2 * 9**2)
        0.0123
    """
    return cdnv_of(statistics_of(X, y, "trace"))


@plain_torch()
def cdnv_of(statistics: ClassStatistics) -> float:
    """`cdnv` of accumulated statistics (scatter "trace" or "full").

    Raises:
        ValueError: an absent or a single class.
        UndefinedMeasure: two classes whose means coincide.

    Example:
        >>> statistics = ClassStatistics().update([[0.0], [2.0], [9.0], [11.0]], [0, 0, 1, 1])
        >>> round(cdnv_of(statistics), 4)
        0.0123
    """
    statistics.require_all_classes()
    variances = statistics.variances
    means = statistics.means
    rounding = _rounding(statistics)
    centred = means - means.mean(0)
    k = len(means)
    total = 0.0
    step = max(1, _PAIRS // k)
    for start in range(0, k - 1, step):
        stop = min(start + step, k)
        squares = squared_distances(centred[start:stop], centred[start:])
        same = squares <= torch.maximum(rounding[start:stop, None], rounding[start:]).square()
        later = torch.ones_like(same).triu(1)  # each pair once
        if bool((same & later).any()):
            i, j = (same & later).nonzero()[0].tolist()
            raise _coincide(start + i, start + j)
        ratio = (variances[start:stop, None] + variances[start:]) / (2 * squares)
        total += float(torch.where(later, ratio, 0.0).sum())
    return total / (k * (k - 1) / 2)


@plain_torch()
def directional_cdnv(X: ArrayLike, y: ArrayLike) -> float:
    """CDNV along the line between two class means, averaged over the ordered pairs of classes.

    For classes i and j: the mean over class i's samples x of <x - mu_i, u>^2, divided by
    |mu_i - mu_j|^2, where u = (mu_j - mu_i) / |mu_j - mu_i| (Luthra, Yang, Galanti 2025,
    arXiv:2506.04411; Luthra, Salunkhe, Galanti 2026, arXiv:2603.03530). Only this part of the
    spread moves samples towards another class mean. Between zero and `cdnv`, which counts the
    spread in every direction; equal to it for D = 1. No unit.

    It takes N K D multiplications in float64, and the memory of three times the class means and
    of blocks of 64 MB.

    Args:
        X: features [N, D].
        y: labels [N], 0 to K-1, each of them present, K >= 2.

    Raises:
        ValueError: bad features or labels, an absent or a single class.
        UndefinedMeasure: two classes whose means coincide.

    Example:
        >>> X = [[-1.0, 5.0], [1.0, -5.0], [8.0, 7.0], [10.0, -7.0]]
        >>> round(directional_cdnv(X, [0, 0, 1, 1]), 4)  # variances of 1 along the line, 1 / 9**2
        0.0123
    """
    return directional_cdnv_of(statistics_of(X, y, "trace"), [(X, y)])


@plain_torch()
def directional_cdnv_of(
    statistics: ClassStatistics, batches: Iterable[tuple[ArrayLike, ArrayLike]]
) -> float:
    """`directional_cdnv` of features that come in batches.

    Args:
        statistics: of all samples, with the scatter "trace" or "full".
        batches: the same samples once more, pairs of features [n, D] and labels [n].

    Raises:
        ValueError: bad features or labels, an absent or a single class, or other samples in the
            batches than in the statistics.
        UndefinedMeasure: two classes whose means coincide.

    Example:
        >>> batches = [([[0.0], [9.0]], [0, 1]), ([[2.0], [11.0]], [0, 1])]
        >>> statistics = ClassStatistics()
        >>> for X, y in batches:
        ...     statistics = statistics.update(X, y)
        >>> round(directional_cdnv_of(statistics, batches), 4)
        0.0123
    """
    if statistics.scatter == "none":
        raise ValueError("statistics: scatter 'none'; expected 'trace' or 'full'")
    statistics.require_all_classes()
    means, k = statistics.means, len(statistics.means)
    rounding = _rounding(statistics)
    per_class, seen = means.new_zeros(k), torch.zeros_like(statistics.counts)
    for X, y in batches:
        x = _checks.features(X, "X", dims=means.shape[1], device=means.device)
        labels = _checks.labels(y, "y", length=len(x), device=means.device)
        _checks.labels_below(labels, k)
        counts = torch.bincount(labels, minlength=k)
        seen += counts
        members = labels.argsort(stable=True).split(counts.tolist())
        for i in counts.nonzero()[:, 0].tolist():
            away = means - means[i]
            distances = torch.linalg.vector_norm(away, dim=1)
            same = distances <= torch.maximum(rounding[i], rounding)
            same[i], distances[i] = False, torch.inf
            if bool(same.any()):
                raise _coincide(i, int(same.nonzero()[0, 0]))
            towards = (away / distances[:, None]).T
            for some in members[i].split(max(1, _PAIRS // max(k, len(away[0])))):
                along = (x[some] - means[i]) @ towards / distances
                per_class[i] += along.square().sum()
    if not torch.equal(seen, statistics.counts):
        i = int((seen != statistics.counts).nonzero()[0, 0])
        raise ValueError(
            f"batches: {int(seen[i])} samples of class {i}; expected "
            f"{int(statistics.counts[i])}, those of the statistics"
        )
    return float((per_class / statistics.counts).sum() / (k * (k - 1)))


def _coincide(i: int, j: int) -> UndefinedMeasure:
    return UndefinedMeasure(
        f"X: classes {min(i, j)} and {max(i, j)} of y have the same mean; expected distinct class"
        " means, as CDNV divides by their distance"
    )


def _rounding(statistics: ClassStatistics) -> Tensor:
    """How far rounding may have moved each class mean [K]: less than that is no distance."""
    norms = torch.linalg.vector_norm(statistics.means, dim=1)
    return 4 * _EPSILON * (norms + statistics.sum_of_squares.sqrt())


@dataclass(frozen=True)
class NeuralCollapse:
    """The signs of neural collapse (Papyan, Han, Donoho 2020, doi:10.1073/pnas.2015509117).

    Each of nc1 to nc3 falls to zero, and nc4 rises to one, as the collapse completes.

    Attributes:
        nc1: within-class variability, tr(S_W S_B^+) / K, with S_W the covariance inside the
            classes and S_B that of the class means around the global mean.
        nc2_equinorm: standard deviation over mean of the norms of the centred class means.
        nc2_equiangular: mean over pairs of |cos + 1/(K-1)| between centred class means.
        nc3: self-duality, |W/|W| - M/|M||^2 in Frobenius norms, M the centred class means;
            in [0, 4]. None without a classifier.
        nc4: share of the samples on which the linear classifier and the nearest class mean
            agree, in [0, 1]. None without a classifier or without samples.

    Example:
        >>> NeuralCollapse(nc1=0.1, nc2_equinorm=0.0, nc2_equiangular=0.0).nc1
        0.1
    """

    nc1: float
    nc2_equinorm: float
    nc2_equiangular: float
    nc3: float | None = None
    nc4: float | None = None


@plain_torch()
def neural_collapse(
    X: ArrayLike,
    y: ArrayLike,
    classifier_weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
) -> NeuralCollapse:
    """The signs of neural collapse for features X [N, D] with labels y [N].

    Args:
        classifier_weight: [K, D] of a linear classifier of X, for nc3 and nc4.
        bias: [K] of that classifier; None means zeros.

    Raises:
        ValueError: bad features, labels or classifier, an absent or a single class.
        UndefinedMeasure: class means that all coincide or include the global mean itself.

    Example:
        >>> X = [[1.0, 0.0], [1.0, 0.2], [0.0, 1.0], [0.2, 1.0]]
        >>> found = neural_collapse(X, [0, 0, 1, 1])
        >>> round(found.nc1, 4), round(found.nc2_equiangular, 4)
        (0.0062, 0.0)
    """
    statistics = statistics_of(X, y, "full")
    found = neural_collapse_of(statistics, classifier_weight)
    if classifier_weight is None:
        if bias is not None:
            raise ValueError("bias: given without classifier_weight; expected both or neither")
        return found
    agreement = nc4(X, statistics.means, classifier_weight, bias)
    return NeuralCollapse(
        found.nc1, found.nc2_equinorm, found.nc2_equiangular, found.nc3, agreement
    )


@plain_torch()
def neural_collapse_of(
    statistics: ClassStatistics, classifier_weight: ArrayLike | None = None
) -> NeuralCollapse:
    """`neural_collapse` of accumulated statistics (scatter "full"), without nc4.

    Raises:
        ValueError: as for `neural_collapse`, or statistics without a full scatter.
        UndefinedMeasure: as for `neural_collapse`.

    Example:
        >>> X = [[1.0, 0.0], [1.0, 0.2], [0.0, 1.0], [0.2, 1.0]]
        >>> statistics = ClassStatistics("full").update(X, [0, 0, 1, 1])
        >>> round(neural_collapse_of(statistics).nc1, 4)
        0.0062
    """
    if statistics.scatter != "full":
        raise ValueError(f"statistics: scatter {statistics.scatter!r}; expected 'full'")
    statistics.require_all_classes()
    means = statistics.means
    centred = means - statistics.global_mean
    rounding = float(_rounding(statistics).max())
    norms = torch.linalg.vector_norm(centred, dim=1)
    if bool((norms <= rounding).any()):
        where = int((norms <= rounding).nonzero()[0, 0])
        raise UndefinedMeasure(
            f"X: class {where} of y has the global mean as its mean; expected class means away"
            " from it, as neural collapse compares their directions"
        )
    nc3 = None if classifier_weight is None else _nc3(classifier_weight, centred)
    equinorm = norms.std(correction=0) / norms.mean()
    return NeuralCollapse(
        _nc1(statistics, centred, rounding),
        float(equinorm),
        _nc2_equiangular(centred, norms),
        nc3,
    )


def _nc1(statistics: ClassStatistics, centred: Tensor, rounding: float) -> float:
    k, dims = centred.shape
    within = statistics.scatter_matrix / statistics.counts.sum()
    # S_B = M^T M / K, so its pseudo-inverse follows from the singular values of M. What the means
    # were rounded by, far from the origin, is no direction between them; K rows about their mean
    # have K - 1 directions at most.
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    eigenvalues = singular.square() / k
    kept = eigenvalues > max(k, dims) * _EPSILON * eigenvalues.max()
    kept &= singular > rounding
    kept[k - 1 :] = False
    v = directions[kept]
    along = ((v @ within) * v).sum(1)
    return float((along / eigenvalues[kept]).sum() / k)


def _nc2_equiangular(centred: Tensor, norms: Tensor) -> float:
    k = len(centred)
    unit = centred / norms[:, None]
    total = 0.0
    for rows in torch.arange(k, device=unit.device).split(max(1, _PAIRS // k)):
        off_ideal = (unit[rows] @ unit.T + 1 / (k - 1)).abs()
        off_ideal[torch.arange(len(rows), device=unit.device), rows] = 0.0
        total += float(off_ideal.sum())
    return total / (k * (k - 1))


def _classifier(weight: ArrayLike, shape: tuple[int, ...], device: torch.device) -> Tensor:
    w = _checks.features(weight, "classifier_weight", dims=shape[1], device=device).double()
    if len(w) != shape[0]:
        raise ValueError(
            f"classifier_weight: {len(w)} rows; expected {shape[0]}, one for each class of y"
        )
    return w


def _nc3(weight: ArrayLike, centred: Tensor) -> float:
    w = _classifier(weight, tuple(centred.shape), centred.device)
    norm = torch.linalg.matrix_norm(w)
    if float(norm) == 0.0:
        raise ValueError("classifier_weight: all zeros; expected a classifier with a direction")
    return float((w / norm - centred / torch.linalg.matrix_norm(centred)).square().sum())


@plain_torch()
def nc4(
    X: ArrayLike,
    class_means: ArrayLike,
    classifier_weight: ArrayLike,
    bias: ArrayLike | None = None,
) -> float:
    """Share of rows of X [N, D] where argmax(X W^T + b) is the nearest of the class means [K, D].

    Raises:
        ValueError: bad features, or shapes that do not match.

    Example:
        >>> means = [[0.0, 0.0], [4.0, 0.0]]
        >>> nc4([[1.0, 0.0], [3.0, 0.0]], means, [[-1.0, 0.0], [1.0, 0.0]], [2.0, -2.0])
        1.0
    """
    rule = NearestCentroid.from_centroids(class_means)
    x = _checks.features(X, "X", dims=rule.centroids_.shape[1])
    w = _classifier(classifier_weight, rule.centroids_.shape, x.device)
    b = w.new_zeros(len(w))
    if bias is not None:
        b = _checks.row(bias, "bias", length=len(w), device=x.device)
    nearest = rule.predict(x)
    assert isinstance(nearest, Tensor)
    agree = 0
    for rows, near in zip(x.split(8192), nearest.split(8192), strict=True):
        agree += int((torch.addmm(b, rows.double(), w.T).argmax(1) == near).sum())
    return agree / len(x)
