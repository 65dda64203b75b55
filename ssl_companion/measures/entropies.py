"""Entropies from pairwise similarities: no density is fitted. All in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import _checks, _search
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._distances import centred, squared_distances
from ssl_companion.measures._torch_state import plain_torch

_TINY = float(torch.finfo(torch.float64).tiny)
_PAIRS = 2**23  # pairs of samples held at a time: 64 MB
_MOST = 2**14  # samples whose pairs are held, all of them: 2 GB
_NEAR_ONE = 0.1  # orders; either way has its digits from 1e-6 to 0.7 away from 1


def _kernel(X: ArrayLike, kernel: str, bandwidth: float | None) -> Tensor:
    """Gram matrix with ones on the diagonal, float64 [N, N]."""
    _checks.one_of(kernel, ("gaussian", "linear"), "kernel")
    x = _checks.features(X, "X")
    if len(x) > _MOST:
        raise ValueError(
            f"X: {len(x)} samples; expected {_MOST} or fewer, as the similarities of all pairs "
            f"would take {len(x) ** 2 * 8 / 1e9:.0f} GB; take one of every "
            f"{-(-len(x) // _MOST)}"
        )
    if kernel == "linear":
        unit = _search.unit(x, "X")
        return (unit @ unit.T).fill_diagonal_(1.0)
    x = centred(x)
    squares = torch.empty(len(x), len(x), dtype=x.dtype, device=x.device)
    step = max(1, _PAIRS // len(x))
    for rows, out in zip(x.split(step), squares.split(step), strict=True):
        out.copy_(squared_distances(rows, x))
    squares.fill_diagonal_(0.0)
    if bandwidth is None:
        # Where all samples are equal the median is 0, and the kernel is one everywhere.
        squares /= max(_median_of_pairs(squares), _TINY)
    else:
        width = _checks.positive(bandwidth, "bandwidth")
        squares /= width  # twice, as the square of a width may be no number of float64
        squares /= width
    return torch.exp_(squares.div_(-2)).fill_diagonal_(1.0)


def _median_of_pairs(squares: Tensor) -> float:
    """The median above the diagonal of [N, N]; 0 for a single sample."""
    if len(squares) == 1:
        return 0.0
    return float(torch.cat([row[i + 1 :] for i, row in enumerate(squares)]).median())


def _entropy_of(gram: Tensor, alpha: float) -> float:
    """Of a Gram matrix with ones on its diagonal."""
    if alpha == 2.0:  # the sum of squares; their root is taken without a second matrix
        return max(0.0, -2 * math.log(float(torch.linalg.vector_norm(gram)) / len(gram)))
    return _entropy_of_spectrum(torch.linalg.eigvalsh(gram / len(gram)), alpha)


def _entropy_of_spectrum(eigenvalues: Tensor, alpha: float) -> float:
    """Of eigenvalues [N], ascending, whose sum is one."""
    # What is below rounding is zero, and for a small alpha zero and 1e-17 are far apart.
    rounding = len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps * eigenvalues[-1]
    eigenvalues = eigenvalues[eigenvalues > rounding]
    eigenvalues = eigenvalues / eigenvalues.sum()
    if alpha == 1.0:
        return max(0.0, float(torch.special.entr(eigenvalues).sum()))
    logs = eigenvalues.log()
    if abs(alpha - 1) < _NEAR_ONE:  # the sum of powers is near one, and so its logarithm near zero
        power = math.log1p(float((eigenvalues * torch.expm1((alpha - 1) * logs)).sum()))
        return max(0.0, power / (1 - alpha))
    # The largest apart: its power may be no number of float64.
    rest = float(torch.logsumexp(alpha * (logs - logs[-1]), 0))
    return max(0.0, rest / (1 - alpha) - float(logs[-1]) * (alpha / (alpha - 1)))


@plain_torch()
def renyi_entropy(
    X: ArrayLike,
    alpha: float = 2.0,
    bandwidth: float | None = None,
    kernel: str = "gaussian",
) -> float:
    """Matrix-based Renyi entropy of the features, in nats, from 0 to log N.

    S_alpha(A) = log(tr A^alpha) / (1 - alpha), with A the kernel's Gram matrix over N (Sanchez
    Giraldo, Rao, Principe, arXiv:1211.2459, with the natural logarithm). Zero if all samples
    are equal to the kernel, log N if no two are alike.

    Args:
        X: features [N, D], at most 16,384 samples: memory grows as N^2, and so does time for an
            alpha of 2 (else as N^3).
        alpha: the order, above 0; 1 is the von Neumann entropy. 2 needs no eigenvalues.
        bandwidth: sigma of exp(-|x - x'|^2 / (2 sigma^2)), in the features' unit; None takes
            the median distance of the samples, which makes the entropy free of scale.
        kernel: "gaussian", or "linear": the cosine of two rows.

    Raises:
        ValueError: bad features or too many of them, alpha or bandwidth not above 0, or an
            unknown kernel.
        UndefinedMeasure: a row of zeros (linear).

    Example:
        >>> round(renyi_entropy([[1.0, 0.0], [0.0, 1.0]], kernel="linear"), 4)  # log 2
        0.6931
    """
    alpha = _checks.positive(alpha, "alpha")
    return _entropy_of(_kernel(X, kernel, bandwidth), alpha)


@plain_torch()
def renyi_information(
    X: ArrayLike,
    labels: ArrayLike,
    alpha: float = 2.0,
    bandwidth: float | None = None,
    kernel: str = "gaussian",
) -> float:
    """Matrix-based information between features and labels: S(A) + S(B) - S(A o B / tr), in nats.

    B compares labels by equality (arXiv:1211.2459, section on joint entropy). Labels may be
    classes, or the samples whose views are the rows.

    Raises:
        ValueError: as for `renyi_entropy`, and bad labels or mismatched lengths.

    Example:
        >>> X = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
        >>> round(renyi_information(X, [0, 0, 1, 1], kernel="linear"), 4)  # log 2
        0.6931
    """
    alpha = _checks.positive(alpha, "alpha")
    gram = _kernel(X, kernel, bandwidth)
    y = _checks.labels(labels, "labels", length=len(gram), device=gram.device)
    of_features = _entropy_of(gram, alpha)
    # Similarities of equal labels are blocks of ones, whose eigenvalues are the labels' counts.
    shares = torch.unique(y, return_counts=True)[1].double().sort()[0] / len(y)
    step = max(1, _PAIRS // len(gram))
    for rows, own in zip(gram.split(step), y.split(step), strict=True):
        rows *= own[:, None] == y
    return of_features + _entropy_of_spectrum(shares, alpha) - _entropy_of(gram, alpha)


@dataclass(frozen=True)
class InformationBounds:
    """Bounds on the information between input and noisy feature, in nats, within [0, log N].

    Attributes:
        lower: the lower bound.
        upper: the upper bound.
        noise_variance: variance of the noise in each dimension, in the features' unit squared.

    Example:
        >>> InformationBounds(lower=0.5, upper=0.7, noise_variance=0.01).upper
        0.7
    """

    lower: float
    upper: float
    noise_variance: float


@plain_torch()
def kde_information_bounds(
    X: ArrayLike, noise: float = 0.01, relative: bool = True
) -> InformationBounds:
    """Bounds on I(input; feature + Gaussian noise) from pairwise distances.

    The N features are taken as the N equally likely inputs' images, and T = f + noise of
    variance s^2 in every dimension, so that T is a mixture of N Gaussians and
    I = H(T) - H(noise). Kolchinsky and Tracey (arXiv:1706.02419, eq. 10) bound it by
    -mean_i log mean_j exp(-D(i, j)), with D = |f_i - f_j|^2 / (8 s^2) (Bhattacharyya) for the
    lower and |f_i - f_j|^2 / (2 s^2) (Kullback-Leibler) for the upper bound.

    Args:
        X: features [N, D], N >= 2; time grows as N^2, memory as N.
        noise: s^2, as a share of the features' total variance (summed over the dimensions),
            or in the features' own unit squared if not `relative`.
        relative: see `noise`; relative noise makes the bounds free of scale.

    Raises:
        ValueError: bad features, fewer than two samples, or noise not above zero.
        UndefinedMeasure: relative noise for features without variance.

    Example:
        >>> found = kde_information_bounds([[0.0], [1.0]], noise=0.5)
        >>> round(found.lower, 4), round(found.upper, 4)  # of log 2 = 0.6931
        (0.3799, 0.675)
    """
    noise = _checks.positive(noise, "noise")
    x = centred(_checks.features(X, "X"))
    n = len(x)
    if n < 2:
        raise ValueError(f"X: {n} sample; expected two or more")
    total = float(x.square().sum()) / n if relative else 1.0
    if total == 0.0:
        raise UndefinedMeasure("X: the same row throughout; expected variance to relate noise to")
    lower = upper = 0.0
    for rows in torch.arange(n, device=x.device).split(max(1, _PAIRS // n)):
        # One after the other, as their product may be no number of float64.
        scaled = squared_distances(x[rows], x).div_(total).div_(2).div_(noise)
        scaled[torch.arange(len(rows), device=x.device), rows] = 0.0
        upper -= float((torch.logsumexp(-scaled, 1) - math.log(n)).sum())
        lower -= float((torch.logsumexp(scaled.div_(-4), 1) - math.log(n)).sum())
    return InformationBounds(max(0.0, lower / n), max(0.0, upper / n), noise * total)
