"""Ways to search the nearest centre, and where each of them stops being right."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from scipy.stats import binomtest

from ssl_companion.chapters.analysis.accuracies import CONFIDENCE, level_of
from ssl_companion.measures import Interval, NearestCentroid
from ssl_companion.measures._faiss import nearest
from ssl_companion.recordings import Recording, group_means

LabelSearch = Callable[[np.ndarray, np.ndarray], np.ndarray]

_ROWS = 2000


def by_differences(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Brute force in float64, every difference taken and squared: the reference, int64 [N]."""
    x, centres = np.asarray(x, np.float64), np.asarray(centres, np.float64)
    blocks = (x[i : i + _ROWS] for i in range(0, len(x), _ROWS))
    return np.concatenate([cdist(rows, centres, "sqeuclidean").argmin(axis=1) for rows in blocks])


def by_products(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """argmin of |x|^2 - 2 x.c + |c|^2 in the type that the arrays have, int64 [N]."""
    half = (x**2).sum(axis=1, keepdims=True) - 2 * x @ centres.T + (centres**2).sum(axis=1)
    found: np.ndarray = half.argmin(axis=1)
    return found


def in_float32(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """`by_products` after a cast to float32: what most code does."""
    return by_products(x.astype(np.float32), centres.astype(np.float32))


def faiss_as_it_is(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """FAISS's exact search in float32, without any preparation."""
    points, means = (torch.from_numpy(a.astype(np.float32)) for a in (x, centres))
    return nearest(points, means, 1)[1][:, 0].numpy()


def rounded_then_exact(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Features and centres kept in float32, then searched without any further error."""
    return by_differences(x.astype(np.float32), centres.astype(np.float32))


def by_this_package(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """`NearestCentroid`: FAISS about the centres' mean, float64 where float32 cannot tell."""
    return np.asarray(NearestCentroid.from_centroids(centres).predict(x))


#: The searches that the chapter compares, by the names in its figure.
SEARCHES: dict[str, LabelSearch] = {
    "products in float32": in_float32,
    "FAISS as it is": faiss_as_it_is,
    "rounded, then exact": rounded_then_exact,
    "NearestCentroid": by_this_package,
}


def features_and_centres(
    recording: Recording,
    level: str,
    layer: str | None = None,
    epoch: int | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kept features and class means of an epoch, in units of the features' spread.

    Args:
        recording: with features.
        level, layer: of the means (by default the last layer).
        epoch: by default the last that keeps training images.
        seed: of a random grouping given by name.

    Returns:
        x float64 [N, D] (kept test images, then kept training images), centres float64 [K, D],
        labels int64 [N]. The mean of x is 0 and its standard deviation over all numbers is 1.
    """
    chosen = level_of(recording, level, seed)
    epoch = recording.kept_epochs(layer, "train")[-1] if epoch is None else epoch
    parts = [recording.features(epoch, layer, split) for split in ("test", "train")]
    x = np.concatenate(parts).astype(np.float64)
    means = group_means(recording.class_means(epoch, layer), recording.class_counts, chosen)
    middle = x.mean(axis=0)
    spread = float((x - middle).std())
    fine = np.concatenate([recording.fine("test"), recording.fine("train")])
    return (x - middle) / spread, (means - middle) / spread, chosen.labels(fine)


def agreement(
    x: np.ndarray,
    centres: np.ndarray,
    offsets: Sequence[float],
    searches: dict[str, LabelSearch] | None = None,
) -> pd.DataFrame:
    """Share of points for which each search gives the reference's answer, at several offsets.

    The reference is `by_differences` of what is given: adding one number to every feature
    and every centre moves no distance, so its answer holds at every offset.

    Args:
        x: float64 [N, D].
        centres: float64 [K, D].
        offsets: added to every number of both.
        searches: by name; by default `SEARCHES`.

    Returns:
        offset, search, value, low, high (95%, Clopper and Pearson), n.
    """
    truth, rows = by_differences(x, centres), []
    for offset in offsets:
        for name, search in (searches or SEARCHES).items():
            same = search(x + offset, centres + offset) == truth
            bounds = binomtest(int(same.sum()), len(same)).proportion_ci(CONFIDENCE)
            rows.append(
                {"offset": offset, "search": name, "value": float(same.mean()),
                 "low": float(bounds.low), "high": float(bounds.high), "n": len(same)}
            )  # fmt: skip
    return pd.DataFrame(rows)


def by_dimension(
    dims: Sequence[int], offset: float, n: int = 1000, k: int = 100, seed: int = 0
) -> pd.DataFrame:
    """`agreement` at one offset for standard normal points and centres: dims, search, value, n."""
    rng, parts = np.random.default_rng(seed), []
    for d in dims:
        x, centres = rng.normal(size=(n, d)), rng.normal(size=(k, d))
        parts.append(agreement(x, centres, [offset]).assign(dims=d))
    return pd.concat(parts, ignore_index=True)[["dims", "search", "value", "n"]]


def worst(table: pd.DataFrame, search: str) -> Interval:
    """The least agreement of a search over the offsets of a table of `agreement`."""
    rows = table[table["search"] == search]
    if rows.empty:
        raise ValueError(f"search: {search!r}; expected one of {sorted(set(table['search']))}")
    row = rows.nsmallest(1, "value").to_dict("records")[0]
    return Interval(row["value"], row["low"], row["high"], CONFIDENCE)


def time_ratios(
    counts: Sequence[int], n: int = 2000, dims: int = 64, repeats: int = 3, seed: int = 0
) -> pd.DataFrame:
    """How many times longer than `NearestCentroid` the float64 searches take, on this machine.

    Args:
        counts: of centres K, one row each.
        n: points that are searched.
        dims: D.
        repeats: the fastest of so many runs counts.
        seed: of the random points.

    Returns:
        centres, "differences", "products": ratios of seconds.
    """
    rng, rows = np.random.default_rng(seed), []
    for k in counts:
        x, centres = rng.normal(size=(n, dims)), rng.normal(size=(k, dims))
        ours = _seconds(by_this_package, x, centres, repeats)
        rows.append(
            {
                "centres": k,
                "differences": _seconds(by_differences, x, centres, repeats) / ours,
                "products": _seconds(by_products, x, centres, repeats) / ours,
            }
        )
    return pd.DataFrame(rows)


def _seconds(search: LabelSearch, x: np.ndarray, centres: np.ndarray, repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        search(x, centres)
        taken.append(time.perf_counter() - started)
    return min(taken)
