"""Nine estimators of compression, on augmented views; lower means more compressed.

They are for teaching: no verdict rests on them (see `conditional_entropy`). The *data* are
augmented views of the sample-level images: what the network saw in training. Coding rates are of
directions (centred rows of length one), entropies and bounds in nats. Every estimator is computed
on all images and on random halves of them, so that its values and its change from before training
to the end have intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from ssl_companion.chapters.analysis.accuracies import level_of, table_row
from ssl_companion.chapters.analysis.conditional_entropy import NOISE
from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import (
    coding_rate,
    coding_rate_given,
    directions,
    effective_rank,
    kde_information_bounds,
    renyi_entropy,
)
from ssl_companion.measures.resampling import interval
from ssl_companion.recordings import Recording, group_means


@dataclass(frozen=True, eq=False)
class CompressionInputs:
    """What the estimators read of one epoch, all of the last layer.

    Attributes:
        views, image: augmented views [M, D] and which of the S images each shows [M].
        classes: label of each image at the level, [S].
        sample_means: mean of many other views of each image, [S, D].
        many, many_of: many views of a few images [M', D], and which image each shows [M'].
        test, test_classes: test images as they are [N, D] and their labels [N].
        class_means: of the whole training set, [K, D], K classes of the level.
    """

    views: np.ndarray
    image: np.ndarray
    classes: np.ndarray
    sample_means: np.ndarray
    many: np.ndarray
    many_of: np.ndarray
    test: np.ndarray
    test_classes: np.ndarray
    class_means: np.ndarray

    @classmethod
    def of(cls, recording: Recording, epoch: int, level: str = "fine") -> CompressionInputs:
        """Of a recording that keeps features, with the classes of a level.

        Raises:
            ValueError: an unknown level.
        """
        chosen = level_of(recording, level)
        return cls(
            *recording.sample_views(epoch),
            chosen.labels(recording.fine("sample")),
            recording.sample_means(epoch),
            *recording.map_views(epoch),
            recording.features(epoch),
            chosen.labels(recording.fine()),
            group_means(recording.class_means(epoch), recording.class_counts, chosen),
        )

    def half(self, seed: int) -> CompressionInputs:
        """Half of the images, drawn without replacement, with all of their views."""
        rng = np.random.default_rng(seed)
        few = np.unique(self.many_of)
        samples = np.sort(rng.permutation(len(self.classes))[: len(self.classes) // 2])
        tests = np.sort(rng.permutation(len(self.test))[: len(self.test) // 2])
        some = rng.permutation(few)[: (len(few) + 1) // 2]
        own, manies = np.isin(self.image, samples), np.isin(self.many_of, some)
        return CompressionInputs(
            self.views[own],
            np.searchsorted(samples, self.image[own]),
            self.classes[samples],
            self.sample_means[samples],
            self.many[manies],
            self.many_of[manies],
            self.test[tests],
            self.test_classes[tests],
            self.class_means,
        )


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


def _directed(m: CompressionInputs) -> tuple[torch.Tensor, torch.Tensor]:
    """The views, and the many views of a few images, as directions from one common mean."""
    both = directions(np.concatenate([m.views, m.many]))
    return both[: len(m.views)], both[len(m.views) :]


# Each takes the inputs and the noise, as a share of the features' variance.
ESTIMATORS: dict[str, Callable[[CompressionInputs, float], float]] = {
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
    "lower bound of the information": lambda m, noise: kde_information_bounds(m.views, noise).lower,
    "upper bound of the information": lambda m, noise: kde_information_bounds(m.views, noise).upper,
    "effective rank": lambda m, _: effective_rank(m.views),
}
UNITS = dict.fromkeys(ESTIMATORS, "nats") | {
    "variance share within samples": "share",
    "variance share within classes": "share",
    "effective rank": "dimensions",
}


def estimates(
    m: CompressionInputs, noise: float = NOISE, which: Sequence[str] | None = None
) -> np.ndarray:
    """Every estimator on one epoch's inputs, float64 [estimators]; NaN where one is not defined.

    Features that have collapsed to a point have no directions, entropy or noise to compare
    with; that is an answer, not an error.
    """
    found = []
    for name in which or ESTIMATORS:
        try:
            found.append(ESTIMATORS[name](m, noise))
        except UndefinedMeasure:
            found.append(float("nan"))
    return np.array(found)


LEAST_CHANGE = 0.1


def changes(values: np.ndarray) -> np.ndarray:
    """How far each line ends from where it began: [..., epochs] -> [...].

    As a share of the larger of the two ends: from -1 to 1, 0.5 for a line that has doubled and
    -0.5 for one that has halved. NaN where either is not defined.
    """
    first, last = values[..., 0], values[..., -1]
    larger = np.maximum(np.abs(first), np.abs(last))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(larger > 0, (last - first) / larger, np.nan)


UNCLEAR = "does not clearly change"


def in_words(
    change: float, least: float = LEAST_CHANGE, low: float = np.nan, high: float = np.nan
) -> str:
    """ "rises", "falls" or "stays", which is a change by less than `least` of the larger end.

    A larger change whose interval, from `low` to `high`, holds zero is `UNCLEAR`.
    """
    if not np.isfinite(change):
        return "not defined"
    if abs(change) < least:
        return "stays"
    if low <= 0 <= high:
        return UNCLEAR
    return "rises" if change > 0 else "falls"


ESTIMATOR_KINDS = {
    "variance share within samples": "shares of the variance",
    "variance share within classes": "shares of the variance",
    "coding rate": "coding rates",
    "coding rate given the class": "coding rates",
    "coding rate given the sample": "coding rates",
    "lower bound of the information": "entropy and information",
    "upper bound of the information": "entropy and information",
    "Rényi entropy": "entropy and information",
    "effective rank": "effective rank",
}


@dataclass(frozen=True, eq=False)
class Trajectories:
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
                where = {"recording": self.recording, "epoch": epoch, "kind": ESTIMATOR_KINDS[name],
                         "estimator": name, "unit": UNITS.get(name, "nats")}  # fmt: skip
                rows.append(self._row(where, self.whole[i, t], self.halves[:, i, t]))
        return pd.DataFrame(rows)

    def changes(self) -> pd.DataFrame:
        """How far each estimator ends from where it began.

        Returns:
            estimator, first, last, value, low, high, n (of the change: see `changes`), shape
            ("rises", "falls", "stays" or `UNCLEAR`: see `in_words`).
        """
        changed, changed_half = changes(self.whole), changes(self.halves)
        rows = []
        for i, name in enumerate(self.names):
            where = {"estimator": name, "first": self.whole[i, 0], "last": self.whole[i, -1]}
            row = self._row(where, changed[i], changed_half[:, i])
            sure = {"low": float(row["low"]), "high": float(row["high"])}
            rows.append({**row, "shape": in_words(changed[i], **sure)})
        return pd.DataFrame(rows)

    def _row(self, where: dict[str, Any], value: float, drawn: np.ndarray) -> dict[str, Any]:
        known = drawn[np.isfinite(drawn)]
        around = value + known - known.mean() if len(known) else np.array([value])
        return table_row(where, interval(float(value), around), self.n)


def trajectories(
    recording: Recording,
    level: str = "fine",
    *,
    epochs: Sequence[int] | None = None,
    noise: float = NOISE,
    halves: int = 10,
    seed: int = 0,
    which: Sequence[str] | None = None,
) -> Trajectories:
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
        inputs = CompressionInputs.of(recording, epoch, level)
        whole[:, t] = estimates(inputs, noise, names)
        for h in range(halves):
            parts[h, :, t] = estimates(inputs.half(seed + h), noise, names)
    return Trajectories(recording.name, names, epochs, whole, parts, len(inputs.views))


def changes_by_run(changes: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The changes of several runs, a row an estimator, to be shown.

    Args:
        changes: of `Trajectories.changes`, by the run's name; the first with its values and
            intervals, the others with the change alone.

    Returns:
        Texts: estimator, before → after, and a column for each run, such as "rises, +50%".
    """
    first = next(iter(changes.values()))
    columns = {
        "estimator": first["estimator"].to_numpy(),
        "before → after": [
            f"{row['first']:.1%} → {row['last']:.1%}"
            if (unit := UNITS[row["estimator"]]) == "share"
            else f"{_three_digits(row['first'])} → {_three_digits(row['last'])} {unit}"
            for row in first.to_dict("records")
        ],
    }
    for name, table in changes.items():
        rows = table.set_index("estimator").loc[first["estimator"]].to_dict("records")
        columns[name] = [_change_in_words(row, sure=table is first) for row in rows]
    return pd.DataFrame(columns)


def _three_digits(value: float) -> str:
    """A number in three digits, the last of them even if it is zero: "86.0", "120"."""
    return f"{value:#.3g}".rstrip(".")


def _change_in_words(row: Mapping[Any, Any], sure: bool) -> str:
    if not np.isfinite(row["value"]):
        return str(row["shape"])
    band = f" ({row['low']:+.0%} to {row['high']:+.0%})" if sure else ""
    return f"{row['shape']}, {row['value']:+.0%}{band}"


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
        material = CompressionInputs.of(recording, epoch, level)
        drawn = [_rate_given(material, rng.permutation(material.classes)) for _ in range(shuffles)]
        where = {"recording": recording.name, "epoch": epoch,
                 "estimator": "rate given shuffled classes"}  # fmt: skip
        estimate = interval(float(np.mean(drawn)), np.array(drawn))
        rows.append(table_row(where, estimate, len(material.views)))
    return pd.DataFrame(rows)


def saved_by_classes(points: pd.DataFrame, control: pd.DataFrame) -> pd.DataFrame:
    """How much less a view takes given its class than given a shuffled one, epoch by epoch.

    Args:
        points: of `Trajectories.table`, with "coding rate given the class".
        control: of `rate_given_shuffled`.

    Returns:
        epoch, control (the rate given shuffled classes), saved (nats), share (of the control).
    """
    own = points[points["estimator"] == "coding rate given the class"]
    both = own.merge(control, on="epoch", suffixes=("", "_control"))
    saved = both["value_control"] - both["value"]
    return pd.DataFrame({
        "epoch": both["epoch"], "control": both["value_control"], "saved": saved,
        "share": saved / both["value_control"],
    })  # fmt: skip


def _rate_given(material: CompressionInputs, classes: np.ndarray) -> float:
    try:
        return coding_rate_given(directions(material.views), classes[material.image])
    except UndefinedMeasure:  # collapsed to a point: no directions
        return float("nan")
