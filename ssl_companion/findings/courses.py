"""Compression as one picture: every estimator's course, and how far each falls from its peak.

The estimators are those of `compression`; here their courses are kept together with those on
halves of the images, so that a fall from the peak has an interval of its own, and classes may
be taken at any level.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ssl_companion.findings.compression import ESTIMATORS, NOISE, UNITS, estimates, falls
from ssl_companion.findings.live import interval, level_of, table_row
from ssl_companion.findings.material import Material
from ssl_companion.measures import coding_rate_given, directions
from ssl_companion.recordings import Recording, group_means

KINDS = {
    "variance share within samples": "shares of the variance",
    "variance share within classes": "shares of the variance",
    "coding rate": "coding rates",
    "coding rate given the class": "coding rates",
    "coding rate given the sample": "coding rates",
    "information, lower bound": "information",
    "information, upper bound": "information",
    "information given the sample, lower bound": "information given the sample",
    "information given the sample, upper bound": "information given the sample",
    "Rényi entropy": "entropy",
    "effective rank": "effective rank",
}
HALVES = 10


@dataclass(frozen=True, eq=False)
class Courses:
    """Estimators over epochs.

    Attributes:
        recording: its name.
        names: of E estimators.
        epochs: the T epochs.
        whole: float64 [E, T], of all images; NaN where an estimator is not defined.
        halves: float64 [H, E, T], of random halves of the images, the same at every epoch.
        n: views behind an entropy.
    """

    recording: str
    names: tuple[str, ...]
    epochs: tuple[int, ...]
    whole: np.ndarray
    halves: np.ndarray
    n: int

    def table(self) -> pd.DataFrame:
        """recording, epoch, kind, estimator, unit, value, low, high, n, a row for each point.

        The interval is the halves' spread about their own mean, put about the value of all
        images (delete-half jackknife: Shao, Wu 1989, doi:10.1214/aos/1176347263).
        """
        rows = []
        for i, name in enumerate(self.names):
            for t, epoch in enumerate(self.epochs):
                where = {"recording": self.recording, "epoch": epoch, "kind": KINDS[name],
                         "estimator": name, "unit": UNITS.get(name, "nats")}  # fmt: skip
                rows.append(self._row(where, self.whole[i, t], self.halves[:, i, t]))
        return pd.DataFrame(rows)

    def falls(self) -> pd.DataFrame:
        """How far each estimator ends below its peak, as a share of the peak.

        Returns:
            name, peak_epoch, first, peak, last (of the estimator), value, low, high, n (the
            fall; 0 for a line that ends at its peak).
        """
        fell, fell_half = falls(self.whole), falls(self.halves)
        rows = []
        for i, name in enumerate(self.names):
            line = self.whole[i]
            at = int(np.nan_to_num(line, nan=-np.inf).argmax())
            where = {"name": name, "peak_epoch": self.epochs[at],
                     "first": line[0], "peak": line[at], "last": line[-1]}  # fmt: skip
            rows.append(self._row(where, fell[i], fell_half[:, i]))
        return pd.DataFrame(rows)

    def _row(self, where: dict[str, object], value: float, drawn: np.ndarray) -> dict[str, object]:
        known = drawn[np.isfinite(drawn)]
        around = value + known - known.mean() if len(known) else np.array([value])
        return table_row(where, interval(float(value), around), self.n)


def material_at(recording: Recording, epoch: int, level: str = "fine") -> Material:
    """What the estimators read of an epoch, with the classes of a level.

    Raises:
        ValueError: an unknown level.
    """
    chosen, fine = level_of(recording, level), Material.of(recording, epoch)
    return dataclasses.replace(
        fine,
        classes=chosen.labels(fine.classes),
        test_classes=chosen.labels(fine.test_classes),
        class_means=group_means(fine.class_means, recording.class_counts, chosen),
    )


def courses(
    recording: Recording,
    level: str = "fine",
    *,
    epochs: Sequence[int] | None = None,
    noise: float = NOISE,
    halves: int = HALVES,
    seed: int = 0,
    which: Sequence[str] | None = None,
) -> Courses:
    """Every estimator at every epoch, live, on all images and on halves of them.

    Args:
        recording: with features.
        level: of the classes.
        epochs: by default all that keep views.
        noise: of the bounds, as a share of the features' variance.
        halves: how many; none leaves the intervals empty.
        seed: of the halves.
        which: names of estimators, by default all.
    """
    names = tuple(which or ESTIMATORS)
    kept = recording.kept_epochs(what="sample_views")
    epochs = tuple(kept if epochs is None else epochs)
    whole = np.empty((len(names), len(epochs)))
    parts = np.empty((halves, *whole.shape))
    for t, epoch in enumerate(epochs):
        material = material_at(recording, epoch, level)
        whole[:, t] = estimates(material, noise, names)
        for h in range(halves):
            parts[h, :, t] = estimates(material.half(seed + h), noise, names)
    return Courses(recording.name, names, epochs, whole, parts, len(material.views))


def rate_given_shuffled(
    recording: Recording,
    level: str = "fine",
    *,
    epochs: Sequence[int] | None = None,
    shuffles: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """A control of "coding rate given the class": the classes shuffled among the images.

    A group of few views is cheap to code whatever it holds, since it spans few directions. Only
    what is lower than this control is due to what the classes share.

    Returns:
        recording, epoch, estimator, value, low, high, n; the interval is over shuffles.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for epoch in recording.kept_epochs(what="sample_views") if epochs is None else epochs:
        material = material_at(recording, epoch, level)
        drawn = [_rate_given(material, rng.permutation(material.classes)) for _ in range(shuffles)]
        where = {"recording": recording.name, "epoch": epoch,
                 "estimator": "rate given shuffled classes"}  # fmt: skip
        estimate = interval(float(np.mean(drawn)), np.array(drawn))
        rows.append(table_row(where, estimate, len(material.views)))
    return pd.DataFrame(rows)


def _rate_given(material: Material, classes: np.ndarray) -> float:
    try:
        return coding_rate_given(directions(material.views), classes[material.image])
    except ValueError:  # collapsed to a point: no directions
        return float("nan")
