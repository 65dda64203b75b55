"""Intervals: percentiles of bootstrap draws, and Wilson's for shares.

What is drawn again with replacement are images, classes or runs; two statistics are compared on
the *same* draws, so that the interval of their difference is paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._torch_state import plain_torch

_DRAWS = 2**22  # numbers drawn at a time: memory (32 MB), and no answer


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile interval, in the unit of the estimate.

    Attributes:
        value: the estimate on the images as they are.
        low: the interval's lower end.
        high: its upper end.
        confidence: its coverage, in (0, 1).

    Example:
        >>> Interval(0.5, 0.4, 0.6).confidence
        0.95
    """

    value: float
    low: float
    high: float
    confidence: float = 0.95


@plain_torch()
def bootstrap_mean(
    values: ArrayLike,
    images: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a mean over images (Efron 1979, doi:10.1214/aos/1176344552).

    An accuracy is the mean of `predicted == labels`; the difference of two accuracies on the
    same images is the mean of the difference of two such arrays, and its interval is paired.

    Args:
        values: one number (or truth value) a row, [N].
        images: which image each row belongs to, [N], if several rows (views) share one: whole
            images are drawn, because the views of one image are not independent.
        confidence: coverage, in (0, 1).
        resamples: number of draws.
        seed: of the draws.

    Raises:
        ValueError: values empty, not finite or not one-dimensional; images of another length;
            confidence outside (0, 1); resamples below 1.

    Example:
        >>> found = bootstrap_mean([1.0, 0.0, 1.0, 1.0], resamples=200)
        >>> found.value, found.low, found.high
        (0.75, 0.25, 1.0)
    """
    numbers = _values(values)
    rng = _generator(seed, confidence, resamples)
    if images is None:
        sums, sizes = numbers, np.ones(len(numbers))
    else:
        which = _checks.labels(images, "images", length=len(numbers), of="values").cpu().numpy()
        place = np.unique(which, return_inverse=True)[1].ravel()
        sums, sizes = np.bincount(place, numbers), np.bincount(place).astype(float)
    # Images with equal numbers are exchangeable: drawing how many of each kind is enough,
    # and for an accuracy there are only two kinds.
    kinds, times = np.unique(np.stack([sums, sizes], 1), axis=0, return_counts=True)
    n = len(sums)
    means = []
    for start in range(0, resamples, step := max(1, _DRAWS // len(kinds))):
        drawn = rng.multinomial(n, times / n, size=min(step, resamples - start))
        means.append((drawn @ kinds[:, 0]) / (drawn @ kinds[:, 1]))
    return interval(float(numbers.mean()), np.concatenate(means), confidence)


@plain_torch()
def bootstrap_accuracy(
    predicted: ArrayLike,
    labels: ArrayLike,
    images: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Accuracy of predicted labels [N], a fraction in [0, 1], with its interval over images.

    Raises:
        ValueError: bad labels, mismatched lengths, and as for `bootstrap_mean`.

    Example:
        >>> bootstrap_accuracy([0, 1, 1, 0], [0, 1, 1, 1], resamples=200).value
        0.75
    """
    expected = _checks.labels(labels, "labels").cpu().numpy()
    found = _checks.labels(predicted, "predicted", length=len(expected), of="labels", like="labels")
    return bootstrap_mean(
        found.cpu().numpy() == expected,
        images,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    n: int,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of any statistic of n images (or runs).

    Args:
        statistic: takes drawn indices, int64 [..., n] below n, and returns a number for each
            row of them, [...].
        n: number of images.
        confidence, resamples, seed: as for `bootstrap_mean`.

    Returns:
        As of `interval`: NaN where the statistic is mostly not defined.

    Raises:
        ValueError: n or resamples below 1, confidence outside (0, 1), or a statistic of another
            shape.

    Example:
        >>> x = np.array([1.0, 2.0, 3.0, 10.0])
        >>> bootstrap(lambda rows: np.median(x[rows], axis=-1), 4).value
        2.5
    """
    n = _checks.at_least(n, 1, "n")
    drawn = np.asarray(
        statistic(_generator(seed, confidence, resamples).integers(0, n, (resamples, n)))
    )
    if drawn.shape != (resamples,):
        raise ValueError(
            f"statistic: gives the shape {drawn.shape} for indices [{resamples}, {n}]; expected "
            f"({resamples},), a number for each row"
        )
    return interval(float(statistic(np.arange(n))), drawn, confidence)


def draw_counts(
    n: int, resamples: int = 1000, seed: int | Sequence[int] | np.random.Generator = 0
) -> np.ndarray:
    """How often each of n images or classes is in each draw with replacement.

    Args:
        n: how many there are, and how many are drawn each time.
        resamples: number of draws, R.
        seed: of the draws, or the generator that makes them.

    Returns:
        float64 [R, n]; rows sum to n.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)


def resampled(
    values: np.ndarray, images: np.ndarray | None = None, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Means of `values` over images drawn again with replacement.

    Args:
        values: [..., N]; every row sees the same draws, so differences and ratios are paired.
        images: which image each of the N belongs to, if several share one.
        resamples: number of draws, R.
        seed: of the draws.

    Returns:
        float64 [..., R].
    """
    x = np.asarray(values, np.float64)
    n = x.shape[-1]
    group = np.arange(n) if images is None else np.unique(images, return_inverse=True)[1]
    weights = draw_counts(int(group.max()) + 1, resamples, seed)[:, group]
    weights /= weights.sum(axis=1, keepdims=True)
    means: np.ndarray = x @ weights.T
    return means


def percentiles(drawn: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The ends between which the middle `confidence` of the draws lie.

    Draws that are not finite (a correlation of equal numbers) are left out; where they are more
    than half, both ends are NaN.
    """
    finite = drawn[np.isfinite(drawn)]
    if 2 * len(finite) < len(drawn):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def interval(value: float, drawn: np.ndarray, confidence: float = 0.95) -> Interval:
    """An estimate with the `percentiles` of its draws; where the estimate or more than half of
    the draws are not finite, nothing is known: all three numbers are NaN."""
    low, high = percentiles(drawn, confidence)
    if not np.isfinite(value) or np.isnan(low):
        return Interval(float("nan"), float("nan"), float("nan"), confidence)
    return Interval(float(value), low, high, confidence)


def wilson(share: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a share of n (1927, doi:10.1080/01621459.1927.10502953)."""
    from scipy import stats  # slow to import

    ends = stats.binomtest(round(share * n), n).proportion_ci(confidence, method="wilson")
    return Interval(float(share), float(ends.low), float(ends.high), confidence)


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's correlation along the last axis, in [-1, 1]; NaN where a or b does not vary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = _standardised(a), _standardised(b)
        return np.asarray((a * b).sum(axis=-1).clip(-1, 1))


def _standardised(a: np.ndarray) -> np.ndarray:
    """Centred, of length one; NaN where a does not vary."""
    # The range first: the mean of equal numbers is rounded, and squares of small ones are zero.
    a = (a - a.mean(axis=-1, keepdims=True)) / np.ptp(a, axis=-1, keepdims=True)
    length = np.sqrt((a * a).sum(axis=-1, keepdims=True))
    return np.asarray(np.where(np.isfinite(length), a / length, np.nan))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's correlation along the last axis: `pearson` of the ranks; ties share a rank.

    SciPy's own takes one pair of samples at a time, and bootstraps have thousands.
    """
    from scipy import stats  # slow to import

    return pearson(stats.rankdata(a, axis=-1), stats.rankdata(b, axis=-1))


def _values(values: ArrayLike) -> np.ndarray:
    x = _checks.as_tensor(values, "values")
    if x.dtype == torch.bool:
        x = x.to(torch.uint8)
    return _checks.row(x, "values").cpu().numpy()


def _generator(seed: int, confidence: float, resamples: int) -> np.random.Generator:
    _checks.at_least(resamples, 1, "resamples")
    if not 0 < _checks.positive(confidence, "confidence") < 1:
        raise ValueError(f"confidence: {confidence!r}; expected a fraction between 0 and 1")
    return np.random.default_rng(_checks.at_least(seed, 0, "seed"))
