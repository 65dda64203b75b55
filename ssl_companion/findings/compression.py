"""Compression, estimator by estimator, on augmented views; lower means more compressed.

The *data* are augmented views of the sample-level images: what the network saw in training.
Coding rates are of directions (centred rows of length one), entropies and bounds in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from ssl_companion.findings.live import interval, table_row
from ssl_companion.findings.material import Material
from ssl_companion.measures import (
    coding_rate,
    coding_rate_given,
    directions,
    effective_rank,
    kde_information_bounds,
    renyi_entropy,
)
from ssl_companion.recordings import Recording

NOISE = 0.01


def share_within(points: np.ndarray, group: np.ndarray, means: np.ndarray) -> float:
    """Share of the variance that lies within groups whose means come from other points.

    Args:
        points: [N, D], none of them used for the means.
        group: which of the means is each point's own, [N].
        means: [G, D].

    Returns:
        Within over within plus between, in [0, 1]: mean squared distance to the own mean, and
        that of the means to their centre. NaN where nothing varies.
    """
    centre = means.mean(axis=0, dtype=np.float64)
    within = np.square(points.astype(np.float64) - means[group]).sum(axis=1).mean()
    between = np.square(means - centre).sum(axis=1).mean()
    total = within + between
    return float(within / total) if total > 0 else float("nan")


def _directed(m: Material) -> tuple[torch.Tensor, torch.Tensor]:
    """The views, and the many views of a few images, as directions from one common mean."""
    both = directions(np.concatenate([m.views, m.many]))
    return both[: len(m.views)], both[len(m.views) :]


# Each takes the material and the noise, as a share of the features' variance.
ESTIMATORS: dict[str, Callable[[Material, float], float]] = {
    "variance share within samples": lambda m, _: share_within(m.views, m.image, m.sample_means),
    "variance share within classes": lambda m, _: share_within(
        m.test, m.test_classes, m.class_means
    ),
    "coding rate": lambda m, _: coding_rate(_directed(m)[0]),
    "coding rate given the class": lambda m, _: coding_rate_given(
        _directed(m)[0], m.classes[m.image]
    ),
    "coding rate given the sample": lambda m, _: coding_rate_given(_directed(m)[1], m.many_of),
    "Rényi entropy": lambda m, _: renyi_entropy(m.views),
    "information, lower bound": lambda m, noise: kde_information_bounds(m.views, noise).lower,
    "information, upper bound": lambda m, noise: kde_information_bounds(m.views, noise).upper,
    "effective rank": lambda m, _: effective_rank(m.views),
}
UNITS = dict.fromkeys(ESTIMATORS, "nats") | {
    "variance share within samples": "share",
    "variance share within classes": "share",
    "effective rank": "dimensions",
}


def estimates(m: Material, noise: float = NOISE, which: Sequence[str] | None = None) -> np.ndarray:
    """Every estimator on one material, float64 [estimators]; NaN where one is not defined.

    Features that have collapsed to a point have no directions, entropy or noise to compare
    with; that is an answer, not an error.
    """
    found = []
    for name in which or ESTIMATORS:
        try:
            found.append(ESTIMATORS[name](m, noise))
        except ValueError:
            found.append(float("nan"))
    return np.array(found)


def trajectories(
    recording: Recording,
    epochs: Sequence[int] | None = None,
    *,
    noise: float = NOISE,
    halves: int = 0,
    seed: int = 0,
    which: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Every estimator at every epoch, on all images and on random halves of them.

    Args:
        recording: with features.
        epochs: by default all that keep views.
        noise: variance of the noise, as a share of the features' variance.
        halves: how many halves; the same ones at every epoch.
        seed: of the halves.
        which: names of estimators; by default all.

    Returns:
        float64 [estimators, epochs] and [halves, estimators, epochs].
    """
    epochs = recording.kept_epochs(what="sample_views") if epochs is None else epochs
    count = len(which or ESTIMATORS)
    whole, parts = np.empty((count, len(epochs))), np.empty((halves, count, len(epochs)))
    for e, epoch in enumerate(epochs):
        material = Material.of(recording, epoch)
        whole[:, e] = estimates(material, noise, which)
        for h in range(halves):
            parts[h, :, e] = estimates(material.half(seed + h), noise, which)
    return whole, parts


def over_epochs(
    recording: Recording,
    epochs: Sequence[int] | None = None,
    *,
    noise: float = NOISE,
    halves: int = 20,
    seed: int = 0,
    which: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Every estimator over epochs, live.

    The interval comes from halves of the images drawn without replacement, whose spread about
    their own mean is that of all images about the truth (the delete-half jackknife: Shao, Wu
    1989, doi:10.1214/aos/1176347263). Drawing with replacement would not do here: a view that
    is drawn twice has a neighbour at distance zero.

    Returns:
        recording, epoch, estimator, unit, value, low, high, n (views).
    """
    names = tuple(which or ESTIMATORS)
    epochs = recording.kept_epochs(what="sample_views") if epochs is None else epochs
    whole, parts = trajectories(
        recording, epochs, noise=noise, halves=halves, seed=seed, which=which
    )
    n = len(recording.sample_views(epochs[0])[1])
    rows = []
    for i, name in enumerate(names):
        for e, epoch in enumerate(epochs):
            value, drawn = whole[i, e], np.array([whole[i, e]])
            if halves:
                drawn = value + parts[:, i, e] - np.nanmean(parts[:, i, e])
            where = {"recording": recording.name, "epoch": epoch,
                     "estimator": name, "unit": UNITS[name]}  # fmt: skip
            rows.append(table_row(where, interval(value, drawn), n))
    return pd.DataFrame(rows)


def falls(values: np.ndarray) -> np.ndarray:
    """How far each line ends below its highest value, as a share of that: [..., epochs] -> [...].

    0 for a line that ends at its peak, 0.5 for one that has lost half. NaN for a line with a
    gap.
    """
    peak = values.max(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(peak > 0, 1 - values[..., -1] / peak, np.nan)


def rises(values: np.ndarray) -> np.ndarray:
    """How far each line ends above its lowest value, as a share of its end: [..., epochs] -> [...].

    The mirror of `falls`: 0 for a line that ends at its lowest, 0.5 for one that has doubled. A
    line that goes up and comes halfway down both rises and falls.
    """
    last = values[..., -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(last > 0, 1 - values.min(axis=-1) / last, np.nan)


def shape_of_lines(table: pd.DataFrame, least: float = 0.1) -> pd.DataFrame:
    """Which estimators rise, fall, or rise and then fall.

    Args:
        table: of `over_epochs`.
        least: a smaller rise or fall, as a share of the peak, does not count.

    Returns:
        estimator, first, peak, peak_epoch, last, rise (from the first to the peak) and fall
        (from there to the last; both as shares of the peak), shape in words: "not defined"
        where a value of the line is not.
    """
    rows = []
    for name, line in table.groupby("estimator", sort=False):
        line = line.sort_values("epoch")
        y = line["value"].to_numpy()
        top = int(np.nan_to_num(y, nan=-np.inf).argmax())
        first, last, peak = y[0], y[-1], y[top]
        rise, fall = (peak - first) / peak, (peak - last) / peak
        up, down = bool(rise >= least), bool(fall >= least)
        shape = {(True, True): "rises, then falls", (True, False): "rises",
                 (False, True): "falls", (False, False): "stays"}[up, down]  # fmt: skip
        shape = shape if np.isfinite(y).all() else "not defined"
        rows.append({"estimator": name, "first": first, "peak": peak,
                     "peak_epoch": int(line["epoch"].iloc[top]), "last": last,
                     "rise": rise, "fall": fall, "shape": shape})  # fmt: skip
    return pd.DataFrame(rows)
