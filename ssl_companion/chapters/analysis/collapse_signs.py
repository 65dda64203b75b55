"""Class clouds on their way to neural collapse, and the same signs on a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import level_of
from ssl_companion.measures import (
    LinearProbe,
    NearestCentroid,
    bootstrap_accuracy,
    cdnv,
    neural_collapse,
)
from ssl_companion.measures.resampling import interval
from ssl_companion.recordings import Recording

#: What the measures are called in figures, in their order.
SIGNS = ("CDNV", "NC1", "NC2 lengths", "NC2 angles", "NC3")


@dataclass(frozen=True, eq=False)
class Clouds:
    """K classes in the plane, and the linear classifier that was fitted to them.

    Attributes:
        points: float64 [N, 2].
        labels: int64 [N].
        weight: of the classifier, float64 [K, 2].
        bias: [K].
    """

    points: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def signs(self) -> dict[str, float]:
        """`signs` of the points under their classifier."""
        return signs(self.points, self.labels, self.weight, self.bias)


def collapsing_clouds(
    progress: float, classes: int = 3, per_class: int = 100, seed: int = 0
) -> Clouds:
    """Classes between a loose start and neural collapse (doi:10.1073/pnas.2015509117).

    The means move in a straight line from places drawn at random to the corners of a regular
    polygon (in the plane a simplex for three classes), and the noise shrinks with what is left
    of the way. The same noise is used at every progress.

    Args:
        progress: from 0 up to, but not including, 1.
        classes: K of 2 or more.
        per_class: points of each class.
        seed: of places and noise.

    Raises:
        ValueError: a progress outside [0, 1), or too few classes or points.
    """
    if not 0 <= progress < 1:
        raise ValueError(f"progress: {progress!r}; expected 0 or more and less than 1")
    if classes < 2 or per_class < 2:
        raise ValueError(f"classes, per_class: {classes}, {per_class}; expected 2 or more of each")
    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * np.arange(classes) / classes + np.pi / 2
    corners = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Every class begins on its own side, so that the straight ways do not cross in one point.
    start = 0.45 * corners + rng.normal(size=(classes, 2)) * 0.55
    labels = np.repeat(np.arange(classes), per_class)
    means = (1 - progress) * start + progress * corners
    points = means[labels] + 0.8 * (1 - progress) * rng.normal(size=(len(labels), 2))
    probe = LinearProbe(l2=1e-2, standardise=False).fit(points, labels)
    return Clouds(points, labels, probe.weight_, probe.bias_)


def signs(X: np.ndarray, y: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> dict[str, float]:
    """CDNV, the four signs of neural collapse and NCC accuracy of features X [N, D].

    Args:
        y: labels int [N], 0 to K-1.
        weight, bias: of a linear classifier, [K, D] and [K].

    Returns:
        The names of `SIGNS`, "NC4", and "NCC" (on the points themselves).
    """
    found = neural_collapse(X, y, weight, bias)
    assert found.nc3 is not None  # a classifier was given
    assert found.nc4 is not None
    return {
        "CDNV": cdnv(X, y),
        "NC1": found.nc1,
        "NC2 lengths": found.nc2_equinorm,
        "NC2 angles": found.nc2_equiangular,
        "NC3": found.nc3,
        "NC4": found.nc4,
        "NCC": NearestCentroid().fit(X, y).score(X, y),
    }


def signs_along_collapse(
    progresses: Sequence[float], classes: int = 3, per_class: int = 100, seed: int = 0
) -> pd.DataFrame:
    """`signs` of `collapsing_clouds`: progress, measure, value."""
    rows = [
        {"progress": progress, "measure": name, "value": value}
        for progress in progresses
        for name, value in collapsing_clouds(progress, classes, per_class, seed).signs().items()
    ]
    return pd.DataFrame(rows)


PERMUTATIONS = 20


def through_training(
    recording: Recording,
    level: str,
    layer: str | None = None,
    epochs: Sequence[int] | None = None,
    *,
    permuted: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """`signs` of the kept training features of a recording, searched and fitted now.

    A linear probe is the classifier. NCC is held-out: means of the kept training images, on
    the kept test images, with its interval over them (95%, bootstrap). Of permuted labels it is
    the mean over `PERMUTATIONS` orders, and the interval holds 95% of these: the other measures,
    of many points, are much the same in any order, but one order's accuracy is a matter of luck.

    Args:
        recording: with features.
        level: a level of its hierarchy.
        layer: by default the last.
        epochs: by default all that keep training images.
        permuted: a control: the training labels in another order.
        seed: of those orders, and of a random grouping given by name.

    Returns:
        epoch, measure, value, low, high (NaN for all but NCC).
    """
    chosen = level_of(recording, level, seed)
    y, z = (chosen.labels(recording.fine(split)) for split in ("train", "test"))
    orders = [y]
    if permuted:
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(y) for _ in range(PERMUTATIONS)]
        y = orders[0]
    rows = []
    for epoch in recording.kept_epochs(layer, "train") if epochs is None else epochs:
        x = recording.features(epoch, layer, "train")
        probe = LinearProbe(l2=1e-3, max_iter=100).fit(x, y)
        found = signs(x, y, probe.weight_, probe.bias_)
        rows += [
            {"epoch": epoch, "measure": name, "value": value, "low": np.nan, "high": np.nan}
            for name, value in found.items()
            if name != "NCC"
        ]
        test = recording.features(epoch, layer)
        guesses = [NearestCentroid().fit(x, order).predict(test) for order in orders]
        if permuted:
            drawn = np.array([np.equal(guess, z).mean() for guess in guesses])
            ncc = interval(float(drawn.mean()), drawn)
        else:
            ncc = bootstrap_accuracy(guesses[0], z, seed=seed)
        rows.append({"epoch": epoch, "measure": "NCC", "value": ncc.value, "low": ncc.low,
                     "high": ncc.high})  # fmt: skip
    return pd.DataFrame(rows)
