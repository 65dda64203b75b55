"""Bootstrap intervals: percentiles over images drawn again with replacement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike

_DRAWS = 2**22  # numbers drawn at a time: 32 MB


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile interval, in the unit of the estimate.

    Attributes:
        value: the estimate on the images as they are.
        low, high: the interval's ends.
        confidence: its coverage, in (0, 1).
    """

    value: float
    low: float
    high: float
    confidence: float = 0.95


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
    return _interval(float(numbers.mean()), np.concatenate(means), confidence)


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
    """
    expected = _checks.labels(labels, "labels").cpu().numpy()
    found = _checks.labels(predicted, "predicted", length=len(expected), of="labels").cpu().numpy()
    return bootstrap_mean(
        found == expected, images, confidence=confidence, resamples=resamples, seed=seed
    )


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    n: int,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of any statistic of n images (or runs).

    Args:
        statistic: takes the drawn indices, int64 [n] below n, and returns a number.
        n: number of images.
        confidence, resamples, seed: as for `bootstrap_mean`.

    Raises:
        ValueError: n or resamples below 1, confidence outside (0, 1), or a statistic that is
            not finite on the images as they are or on more than half of the draws. The other
            draws where it is not finite (a correlation of equal numbers) are left out.
    """
    n = _checks.at_least(n, 1, "n")
    rng = _generator(seed, confidence, resamples)
    value = float(statistic(np.arange(n)))
    drawn = np.array([float(statistic(rng.integers(0, n, n))) for _ in range(resamples)])
    finite = np.isfinite(drawn)
    if not np.isfinite(value) or finite.mean() < 0.5:
        raise ValueError(
            f"statistic is {value} and finite on {finite.sum()} of {resamples} draws;"
            " expected a finite number on most of them"
        )
    return _interval(value, drawn[finite], confidence)


def _values(values: ArrayLike) -> np.ndarray:
    x = _checks.as_tensor(values, "values")
    if x.ndim != 1:
        raise ValueError(f"values has shape {tuple(x.shape)}; expected one dimension, [N]")
    return _checks.features(x.double()[None], "values").double()[0].cpu().numpy()


def _generator(seed: int, confidence: float, resamples: int) -> np.random.Generator:
    _checks.at_least(resamples, 1, "resamples")
    if not 0 < _checks.positive(confidence, "confidence") < 1:
        raise ValueError(f"confidence is {confidence!r}; expected a fraction between 0 and 1")
    return np.random.default_rng(_checks.at_least(seed, 0, "seed"))


def _interval(value: float, drawn: np.ndarray, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, float(low), float(high), confidence)
