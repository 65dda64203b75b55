"""Compression, estimator by estimator: none of them settles the question alone.

Variance shares, coding rates, rates of Gaussian channels and the effective rank stand here; the
matrix-based entropy and the pairwise bounds on mutual information in `entropies`. Rates and
entropies are in nats.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import _checks, _search
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._distances import centred
from ssl_companion.measures._torch_state import plain_torch
from ssl_companion.measures.class_statistics import ClassStatistics

# Shares of the largest number by which a covariance of that type may miss its symmetry.
_PRECISE = {torch.float32: 1e-4, torch.float64: 1e-8}
DEFAULT_DISTORTION = math.sqrt(0.5)  # eps^2 = 0.5, for rows of length one


@plain_torch()
def variance_share_within(X: ArrayLike, groups: ArrayLike) -> float:
    """Share of the total variance of X [N, D] that lies within groups [N]: tr(S_W) / tr(S_T).

    Returns:
        A fraction in [0, 1]: 0 if every group is one point, 1 if all have the same mean.

    Raises:
        ValueError: bad features or labels, or a single group.
        UndefinedMeasure: features without any variance.

    Example:
        >>> X = [[0.0], [2.0], [9.0], [11.0]]
        >>> round(variance_share_within(X, [0, 0, 1, 1]), 4)  # 1 / (1 + 4.5**2)
        0.0471
    """
    x = _checks.features(X, "X")
    g = _grouping(groups, len(x), x.device)
    statistics = ClassStatistics("trace").update(x, g)
    within = float(statistics.sum_of_squares.sum())
    away = statistics.means - statistics.global_mean
    between = float((statistics.counts[:, None] * away.square()).sum())
    if within + between == 0.0:
        raise UndefinedMeasure("X: the same row throughout; expected features with some variance")
    return within / (within + between)


def _grouping(groups: ArrayLike, n: int, device: torch.device) -> Tensor:
    """Groups renumbered from 0 without gaps, [N]."""
    given = _checks.labels(groups, "groups", length=n, device=device)
    g = torch.unique(given, return_inverse=True)[1]
    if int(g.max()) == 0:
        raise ValueError(f"groups: {int(given[0])} throughout; expected two groups or more")
    return g


@plain_torch()
def directions(X: ArrayLike) -> Tensor:
    """Features [N, D] as directions from their mean: centred, then rows of length one, float64.

    Coding rates depend on the features' scale; in this form they can be compared between
    epochs and layers.

    Raises:
        ValueError: bad features.
        UndefinedMeasure: a row that equals the mean.

    Example:
        >>> directions([[0.0, 0.0], [6.0, 8.0]]).numpy().round(4).tolist()
        [[-0.6, -0.8], [0.6, 0.8]]
    """
    return _search.unit(centred(_checks.features(X, "X")), "X minus its mean")


@plain_torch()
def coding_rate(X: ArrayLike, epsilon: float = DEFAULT_DISTORTION) -> float:
    """Nats a sample to code the features up to a mean squared error of epsilon^2.

    R(F) = 1/2 log det(I + d / (n epsilon^2) F^T F) (Ma, Derksen, Hong, Wright 2007,
    doi:10.1109/TPAMI.2007.1085; Yu et al. 2020, arXiv:2006.08558), for F = X as it is: the
    rate grows with the scale. `coding_rate(directions(X))` does not.

    Args:
        X: features [N, D].
        epsilon: the distortion, in the features' unit.

    Raises:
        ValueError: bad features, or epsilon not above zero.

    Example:
        >>> round(coding_rate([[1.0, 0.0], [0.0, 1.0]]), 4)  # log(1 + 2 / (2 * 0.5))
        1.0986
    """
    x = _checks.features(X, "X")
    epsilon = _checks.positive(epsilon, "epsilon")
    return float(_rates(x.double()[None], epsilon)[0])


@plain_torch()
def coding_rate_given(
    X: ArrayLike, groups: ArrayLike, epsilon: float = DEFAULT_DISTORTION
) -> float:
    """Nats a sample to code the features when the group is known: sum_k n_k/n R(F_k).

    Groups are classes, or samples whose views are the rows (arXiv:2006.08558, eq. 8).

    Args:
        X: features [N, D].
        groups: integers of 0 or more, [N]; gaps are allowed.
        epsilon: the distortion, in the features' unit.

    Raises:
        ValueError: bad features or groups, a single group, or epsilon not above zero.

    Example:
        >>> round(coding_rate_given([[1.0, 0.0], [0.0, 1.0]], [0, 1]), 4)
        0.8047
    """
    x = _checks.features(X, "X")
    g = _grouping(groups, len(x), x.device)
    epsilon = _checks.positive(epsilon, "epsilon")
    rows = x.double()[g.argsort(stable=True)]
    counts = torch.bincount(g)
    starts = counts.cumsum(0) - counts
    total = 0.0
    for n in torch.unique(counts).tolist():  # groups of one size at once
        span = torch.arange(n, device=x.device)
        same = starts[counts == n]
        for some in same.split(max(1, 2**23 // (n * x.shape[1]))):
            total += n * float(_rates(rows[some[:, None] + span], epsilon).sum())
    return total / len(x)


def _rates(x: Tensor, epsilon: float) -> Tensor:
    """Coding rate of each of G groups [G, N, D], float64 [G]."""
    n, d = x.shape[1:]
    return _log_of_one_plus(2 * (_singular_values(x).log() - math.log(epsilon)) + math.log(d / n))


def _log_of_one_plus(logs: Tensor) -> Tensor:
    """Half the sum of log(1 + ratio) of ratios whose logarithms [..., D] are given: the ratios
    themselves may be more than float64 holds."""
    return torch.logaddexp(logs.new_zeros(()), logs).sum(-1) / 2


def _singular_values(x: Tensor) -> Tensor:
    """Singular values of [..., N, D]; a QR first where N is the larger by far."""
    if x.shape[-2] > 2 * x.shape[-1]:
        x = torch.linalg.qr(x, mode="r")[1]
    return torch.linalg.svdvals(x)


@plain_torch()
def gaussian_rate(covariance: ArrayLike, noise_variance: float) -> float:
    """Nats that a sample in Gaussian noise says of a Gaussian: 1/2 log det(I + C / s^2).

    The mutual information I(z; z + e) of z ~ N(m, C) and e ~ N(0, s^2 I), the rate of parallel
    Gaussian channels (Cover and Thomas, *Elements of Information Theory*, 2nd ed. 2006, ch. 9.4).
    For a z of that covariance that is not Gaussian it is an upper bound.

    Args:
        covariance: symmetric, positive semidefinite up to rounding, [D, D].
        noise_variance: s^2, in every dimension.

    Raises:
        ValueError: not a finite square matrix, not symmetric, an eigenvalue below zero, or a
            noise variance not above zero.

    Example:
        >>> round(gaussian_rate([[3.0, 0.0], [0.0, 0.0]], 1.0), 4)  # log(4) / 2
        0.6931
    """
    x = _checks.features(covariance, "covariance", squared=False)
    c = x.double()
    if c.shape[0] != c.shape[1]:
        raise ValueError(f"covariance: shape {tuple(c.shape)}; expected a square matrix")
    noise_variance = _checks.positive(noise_variance, "noise_variance")
    rounding = _PRECISE[x.dtype] * float(c.abs().max())
    where = divmod(int((c - c.T).abs().argmax()), len(c))
    if abs(float(c[where] - c.T[where])) > rounding:
        raise ValueError(
            f"covariance[{where[0]}, {where[1]}]: {float(c[where]):g}, and "
            f"{float(c.T[where]):g} across the diagonal; expected a symmetric matrix; "
            "(C + C.T) / 2 is one"
        )
    spectrum = torch.linalg.eigvalsh((c + c.T) / 2)
    if (low := float(spectrum[0])) < -rounding:
        raise ValueError(f"covariance: an eigenvalue {low:g}; expected none below 0")
    # Rounding may leave a little below zero.
    return float(_log_of_one_plus(spectrum.clamp_min(0).log() - math.log(noise_variance)))


class ConditionalRates(NamedTuple):
    """Gaussian rates of features, and of features whose class is known, in nats."""

    total: float
    given: float


@plain_torch()
def conditional_rates(classes: ClassStatistics, noise: float) -> ConditionalRates:
    """`gaussian_rate` of all samples, and of samples whose class is known.

    The noise follows the features' scale: its variance in every dimension is `noise` times the
    trace of their covariance, so that rates can be compared between epochs and layers. Covariances
    are unbiased: S_T of the N samples with N - 1, and S_W, pooled over the K classes, with N - K.
    The noise is the same for both. total - given estimates what the class says of the features.

    Args:
        classes: statistics with the scatter "full". A class may be an image, its samples views.
        noise: above 0, for instance 0.1.

    Raises:
        ValueError: statistics without scatter matrix, no more samples than classes, or a noise
            not above zero.
        UndefinedMeasure: features without any variance.

    Example:
        >>> y = [0, 0, 1, 1]
        >>> s = ClassStatistics("full").update([[0.0], [2.0], [9.0], [11.0]], y)
        >>> [round(rate, 4) for rate in conditional_rates(s, 1.0)]  # log(2) / 2, log(1 + 6/85) / 2
        [0.3466, 0.0341]
    """
    if classes.scatter != "full":
        raise ValueError(f"classes: scatter {classes.scatter!r}; expected 'full'")
    noise = _checks.positive(noise, "noise")
    n, k = int(classes.counts.sum()), int((classes.counts > 0).sum())
    if n <= k:
        raise ValueError(f"classes: {n} samples of {k} classes; expected more samples than classes")
    away = (classes.means - classes.global_mean) * (classes.counts > 0)[:, None]
    between = (away * classes.counts[:, None]).T @ away
    total = (classes.scatter_matrix + between) / (n - 1)
    spread = float(total.trace())
    if spread == 0.0:
        raise UndefinedMeasure("classes: the same row throughout; expected features with variance")
    rates = (gaussian_rate(c / spread, noise) for c in (total, classes.scatter_matrix / (n - k)))
    return ConditionalRates(*rates)


@plain_torch()
def effective_rank(X: ArrayLike, of: str = "features") -> float:
    """Exponential of the entropy of a normalised spectrum, from 1 to min(N, D).

    Args:
        X: features [N, D].
        of: "features": the singular values of X as it is, with the 1e-7 of RankMe (Garrido,
            Balestriero, Najman, LeCun, arXiv:2210.02885), which may move it as far beyond its
            range. "variance": the eigenvalues of the
            covariance, the squares of the former after centring (Roy, Vetterli 2007).

    Raises:
        ValueError: bad features, or `of` unknown.
        UndefinedMeasure: features that are all zeros ("features") or all the same ("variance").

    Example:
        >>> round(effective_rank([[1.0, 0.0], [0.0, 1.0]]), 2)
        2.0
    """
    _checks.one_of(of, ("features", "variance"), "of")
    x = _checks.features(X, "X")
    if of == "variance":
        spectrum = _singular_values(centred(x)).square()
    else:
        spectrum = _singular_values(x.double())
    total = spectrum.sum()
    if float(total) == 0.0:
        what = (
            "the same row throughout; expected rows that differ"
            if of == "variance"
            else "all zeros; expected rows other than zero"
        )
        raise UndefinedMeasure(f"X: {what}")
    p = spectrum / total
    p = p + 1e-7 if of == "features" else p
    return float(torch.special.entr(p).sum().exp())


@plain_torch()
def alpha_req(X: ArrayLike) -> float:
    """Decay of the spectrum of the covariance: eigenvalue j falls as j to the power of -alpha.

    Alpha is the slope of a straight line through log eigenvalue over log j, by least squares over
    all eigenvalues above rounding (alpha-ReQ: Agrawal, Mondal, Ghosh, Richards, NeurIPS 2022, who
    find that features near 1 serve classifiers best). No unit; 0 for directions of equal variance,
    larger where a few directions have most of it.

    Args:
        X: features [N, D].

    Raises:
        ValueError: bad features.
        UndefinedMeasure: features that vary in fewer than two directions.

    Example:
        >>> round(alpha_req([[4.0, 0.0], [-4.0, 0.0], [0.0, 2.0], [0.0, -2.0]]), 4)  # 1 to 1/4
        2.0
    """
    singular = _singular_values(centred(_checks.features(X, "X")))
    rounding = torch.finfo(singular.dtype).eps * max(len(X), len(singular)) * singular[:1]
    kept = singular[singular > rounding]
    if len(kept) < 2:
        raise UndefinedMeasure("X: varies in fewer than two directions; expected two or more")
    ranks = torch.arange(1, len(kept) + 1, dtype=kept.dtype, device=kept.device).log()
    away, logs = ranks - ranks.mean(), 2 * kept.log()
    return -float((away @ logs) / (away @ away))


@plain_torch()
def participation_ratio(X: ArrayLike) -> float:
    """How many directions share the variance: tr(S)^2 / tr(S^2) of the covariance S of X [N, D].

    D for equal variance in every direction, 1 for a line; the dimensionality of Litwin-Kumar,
    Harris, Axel, Sompolinsky, Abbott (2017, doi:10.1016/j.neuron.2017.01.030) and Gao et al. (2017,
    doi:10.1101/214262). Small eigenvalues count less than in `effective_rank`, which takes an
    entropy. One pass, N D^2 multiplications in float64; no copy of X.

    Returns:
        A number from 1 to min(N - 1, D).

    Raises:
        ValueError: bad features.
        UndefinedMeasure: the same row throughout.

    Example:
        >>> X = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
        >>> round(participation_ratio(X), 4)
        2.0
    """
    x = _checks.features(X, "X")
    everyone = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    scatter = ClassStatistics("full").update(x, everyone).scatter_matrix
    total = float(scatter.trace())
    if total == 0.0:
        raise UndefinedMeasure("X: the same row throughout; expected rows that differ")
    return 1 / float((scatter / total).square().sum())
