"""What the analyses share: nearest-centroid hits on kept features, and their intervals.

A *hit* is a truth value: was this image assigned to its own class? Accuracies are means of
hits, and every comparison of accuracies here (of epochs, levels or targets) draws the *same*
images again for both sides, so that its interval is paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ssl_companion.data.hierarchy import Level
from ssl_companion.errors import CompanionError
from ssl_companion.measures import Interval, NearestCentroid
from ssl_companion.measures.resampling import interval as interval
from ssl_companion.measures.resampling import resampled as resampled
from ssl_companion.measures.resampling import wilson
from ssl_companion.recordings import Recording, group_means
from ssl_companion.recordings.format import SAMPLE

CONFIDENCE = 0.95
RESAMPLES = 1000

Runs = Mapping[str, Recording]


class NotRecorded(CompanionError, ValueError):
    """Recordings that a finding needs are absent; the message says what to record."""


def level_of(recording: Recording, level: str | Level, seed: int = 0) -> Level:
    """A level by its name ("coarse", "random-coarse" for its control), or as it is given."""
    return level if isinstance(level, Level) else recording.hierarchy.level(level, seed)


def hits(
    recording: Recording,
    level: str | Level,
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    split: str = "test",
    seed: int = 0,
) -> np.ndarray:
    """Whether the nearest class mean is the image's own, bool [epochs, N].

    The means are those of the run's whole training set; the N images are the kept ones of
    `split` ("sample": fresh views against the means of each image's views).

    Args:
        recording: with features.
        level: a level of its hierarchy by name, a `Level`, or "sample".
        epochs: by default all kept ones.
        layer: by default the last.
        split: "test" or "train"; of the sample level only "test", the fresh views.
        seed: of a random grouping that is given by name.

    Raises:
        RecordingError: no features of an epoch or a layer.
        ValueError: an unknown level, or another split than "test" of the sample level.
    """
    epochs = recording.kept_epochs(layer) if epochs is None else epochs
    if level == SAMPLE:
        if split != "test":
            raise ValueError(
                f"split: {split!r}; expected 'test': the sample level keeps fresh views only"
            )
        return np.stack([_sample_hits(recording, epoch, layer) for epoch in epochs])
    chosen = level_of(recording, level, seed)
    y = chosen.labels(recording.fine(split))
    found = [predicted(recording, chosen, epoch, layer, split) for epoch in epochs]
    return np.stack([labels == y for labels in found])


def predicted(
    recording: Recording,
    level: Level,
    epoch: int,
    layer: str | None = None,
    split: str = "test",
) -> np.ndarray:
    """The class at `level` whose mean is nearest, int64 [N]."""
    means = group_means(recording.class_means(epoch, layer), recording.class_counts, level)
    rule = NearestCentroid.from_centroids(means)
    return np.asarray(rule.predict(recording.features(epoch, layer, split)))


def _sample_hits(recording: Recording, epoch: int, layer: str | None) -> np.ndarray:
    rule = NearestCentroid.from_centroids(recording.sample_means(epoch, layer))
    views, image = recording.sample_views(epoch, layer)
    return np.asarray(rule.predict(views)) == image


def images_of(recording: Recording, level: str | Level, n: int) -> np.ndarray:
    """Which image each of n hits belongs to, int64 [n]: several views share one."""
    if level != SAMPLE:
        return np.arange(n)
    return np.repeat(np.arange(len(recording.fine(SAMPLE))), n // len(recording.fine(SAMPLE)))


def over_seeds(
    values: Sequence[float],
    confidence: float = CONFIDENCE,
    *,
    ratios: bool = False,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Mean over runs that differ by their seed, with Student's interval (two or more runs).

    Args:
        values: one a run.
        confidence: coverage.
        ratios: take the geometric mean, and the interval on the logarithmic scale.
        limits: what the quantity can be at all, as -1 and 1 for a correlation. Student's interval
            knows of none, and what it holds beyond them covers nothing: it is cut there.

    Raises:
        ValueError: fewer than two runs.
    """
    from scipy.special import stdtrit  # scipy.stats, which has it too, is slow to import

    x = np.asarray(values, np.float64)
    if ratios:
        with np.errstate(divide="ignore"):
            logs = over_seeds(np.log(x).tolist(), confidence)
        low, high = np.clip(np.exp((logs.low, logs.high)), *limits).tolist()
        return Interval(float(np.exp(logs.value)), low, high, confidence)
    if len(x) < 2:
        raise ValueError(f"values: {len(x)} of them; expected two or more runs")
    half = stdtrit(len(x) - 1, (1 + confidence) / 2) * x.std(ddof=1) / np.sqrt(len(x))
    mean = float(x.mean())
    low, high = np.clip((mean - half, mean + half), *limits).tolist()
    return Interval(mean, low, high, confidence)


def with_intervals(table: pd.DataFrame, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Accuracies of n images each with Wilson's interval: columns low and high.

    Args:
        table: columns value (a fraction) and n.
        confidence: coverage.
    """
    ends = [wilson(p, int(n), confidence) for p, n in zip(table["value"], table["n"], strict=True)]
    return table.assign(low=[e.low for e in ends], high=[e.high for e in ends])


def table_row(where: Mapping[str, object], estimate: Interval, n: int) -> dict[str, object]:
    """A row of a tidy table: where, value, low, high, n."""
    return {**where, "value": estimate.value, "low": estimate.low, "high": estimate.high, "n": n}


def final(recording: Recording, measure: str = "ncc", **where: str) -> float:
    """A measure at the last epoch, over all images; NaN if it was not measured."""
    return at_epoch(recording, recording.epochs[-1], measure, **where)


def start(recording: Recording, measure: str = "ncc", **where: str) -> float:
    """A measure before training, over all images; NaN if it was not measured."""
    return at_epoch(recording, recording.epochs[0], measure, **where)


def at_epoch(recording: Recording, epoch: int, measure: str = "ncc", **where: str) -> float:
    """A measure at an epoch over all images: level "fine", split "test", last layer by default."""
    asked = {"level": "fine", "split": "test", "layer": recording.layers[-1], **where}
    return recording.value(epoch, measure=measure, **asked)


def by_place(
    recording: Recording, measure: str = "ncc", level: str = "fine", split: str = "test"
) -> np.ndarray:
    """A measure of all images at every layer and epoch: float64 [L, T], NaN where there is none."""

    def at(epoch: int, layer: str) -> float:
        return at_epoch(recording, epoch, measure, layer=layer, level=level, split=split)

    epochs = recording.epochs
    return np.array([[at(epoch, layer) for epoch in epochs] for layer in recording.layers])


def measured(
    recording: Recording,
    measure: str = "ncc",
    levels: Sequence[str] | None = None,
    layer: str | None = None,
    split: str = "test",
) -> pd.DataFrame:
    """What was measured of all images: recording, epoch, layer, level, split, value, n.

    Args:
        recording: any.
        measure: "ncc", "cdnv", "nc1", "linear", "knn", "effective_rank" and so on.
        levels: names, in the order wanted; None takes all that were measured.
        layer: by default the last; "all" for every layer.
        split: "test", "train".
    """
    rows = recording.select(measure=measure, split=split)
    if layer != "all":
        rows = rows[rows["layer"] == (layer or recording.layers[-1])]
    if levels is not None:
        order = {name: i for i, name in enumerate(levels)}
        rows = rows[rows["level"].isin(order)]
        rows = rows.sort_values("level", key=lambda names: names.map(order), kind="stable")
    columns = ["epoch", "layer", "level", "split", "value", "n"]
    out = rows[columns].reset_index(drop=True)
    out.insert(0, "recording", recording.name)
    return out
