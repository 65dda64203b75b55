"""Semantic targets against three kinds of random ones, relative to initialisation."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ssl_companion.data.hierarchy import Level, random_grouping
from ssl_companion.findings.live import (
    RESAMPLES,
    hits,
    interval,
    level_of,
    measured,
    resampled,
    table_row,
)
from ssl_companion.measures import Interval, bootstrap_accuracy
from ssl_companion.recordings import Recording, RecordingError
from ssl_companion.recordings.format import SUBSET

RANDOM_IMAGE = "random-image"
GROUPINGS = 20
_TEACHER = re.compile(r"teacher-(\d+)")


def random_images(recording: Recording, layer: str | None = None) -> pd.DataFrame:
    """NCC accuracy on labels drawn at random per image, and on the true ones, of all images.

    Returns:
        recording, epoch, layer, level ("fine" or "random-image"), split, value, n.
    """
    parts = [
        measured(recording, "ncc", ["fine", RANDOM_IMAGE], layer, split)
        for split in ("train", "test")
    ]
    return pd.concat(parts, ignore_index=True)


def grouping_hits(
    recording: Recording,
    level: str | Level,
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    groupings: int = GROUPINGS,
    seed: int = 0,
) -> np.ndarray:
    """Hits under several random groupings of the same sizes, bool [groupings, epochs, N]."""
    own = level_of(recording, level)
    controls = [random_grouping(own, seed + i) for i in range(groupings)]
    return np.stack([hits(recording, control, epochs, layer) for control in controls])


def against_groupings(
    recording: Recording,
    level: str = "coarse",
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    groupings: int = GROUPINGS,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """A level's NCC accuracy beside that of random groupings of the same sizes, live.

    Returns:
        recording, epoch, layer, level, target ("semantic", "random groupings" or
        "advantage", their difference), value, low, high, n. The interval of "semantic" and of
        the advantage is over images (paired); that of the random groupings is over groupings.
    """
    layer = layer or recording.layers[-1]
    epochs = recording.kept_epochs(layer) if epochs is None else epochs
    own = hits(recording, level, epochs, layer)
    others = grouping_hits(recording, level, epochs, layer, groupings, seed)
    mean_hit = others.mean(axis=0)
    drawn, gained = resampled(own, None, resamples, seed), own - mean_hit
    drawn_gain = resampled(gained, None, resamples, seed)
    rows = []
    for e, epoch in enumerate(epochs):
        for target, value, draws in (
            ("semantic", own[e].mean(), drawn[e]),
            ("random groupings", mean_hit[e].mean(), others[:, e].mean(axis=1)),
            ("advantage", gained[e].mean(), drawn_gain[e]),
        ):
            where = {"recording": recording.name, "epoch": epoch, "layer": layer,
                     "level": level, "target": target}  # fmt: skip
            rows.append(table_row(where, interval(float(value), draws), own.shape[1]))
    return pd.DataFrame(rows)


def growth_of_advantage(
    recording: Recording,
    level: str | Level = "coarse",
    layer: str | None = None,
    *,
    groupings: int = GROUPINGS,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """By how much the advantage over random groupings grew from the first to the last epoch.

    (NCC of the level - mean NCC of the groupings) at the end, less the same before training; a
    difference of fractions. The interval draws images and groupings again, both paired.
    """
    gained = advantage_gained(recording, level, layer, groupings, seed)
    return interval(gained.mean(), draws_of_gain(gained, resamples, seed))


def advantage_gained(
    recording: Recording,
    level: str | Level,
    layer: str | None = None,
    groupings: int = GROUPINGS,
    seed: int = 0,
) -> np.ndarray:
    """`growth_of_advantage` over each grouping, image by image: int8 [groupings, N], -2 to 2."""
    own = hits(recording, level, _ends(recording, layer), layer).astype(np.int8)
    return (own[1] - own[0]) - _grouping_gains(recording, level, layer, groupings, seed)


def growth_of_controls(
    recording: Recording,
    level: str | Level,
    layer: str | None = None,
    *,
    controls: int = 10,
    groupings: int = GROUPINGS,
    seed: int = 0,
) -> np.ndarray:
    """`growth_of_advantage` of further random groupings in the level's place, float64 [controls].

    They differ from those that they are compared with. The i-th of each level come from one
    shuffle of the classes: one tree.
    """
    played = _grouping_gains(recording, level, layer, controls, seed + _APART)
    others = _grouping_gains(recording, level, layer, groupings, seed)
    grown: np.ndarray = played.mean(axis=1) - others.mean()
    return grown


_APART = 1000  # between the seeds of the groupings and of those that play the level


def _grouping_gains(
    recording: Recording, level: str | Level, layer: str | None, groupings: int, seed: int
) -> np.ndarray:
    """Hits at the end less hits before training, int8 [groupings, N]."""
    ends = _ends(recording, layer)
    found = grouping_hits(recording, level, ends, layer, groupings, seed).astype(np.int8)
    gained: np.ndarray = found[:, 1] - found[:, 0]
    return gained


def _ends(recording: Recording, layer: str | None) -> tuple[int, int]:
    kept = recording.kept_epochs(layer)
    return kept[0], kept[-1]


def draws_of_gain(gained: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Means of [groupings, N] with images and groupings drawn again: float64 [resamples].

    The same seed draws the same images and groupings, so draws of several levels are paired.
    """
    over_images = resampled(gained, None, resamples, seed)
    g = len(gained)
    weights = np.random.default_rng([seed, 1]).multinomial(g, np.full(g, 1 / g), size=resamples)
    drawn: np.ndarray = np.einsum("gr,rg->r", over_images, weights) / g
    return drawn


def teacher_agreement(teacher: Recording) -> pd.DataFrame:
    """How far each snapshot of the teacher is from a random function: its accuracy.

    Returns:
        teacher_epoch, value, low, high, n: agreement of the targets with the true classes on
        the kept test images, as fractions.
    """
    subset = pd.read_csv(teacher.path / SUBSET)
    subset = subset[subset["split"] == "test"]
    rows = []
    for epoch in teacher.target_epochs():
        found = teacher.targets(epoch)[subset["row"].to_numpy()]
        estimate = bootstrap_accuracy(found, subset["fine"].to_numpy(np.int64))
        rows.append(table_row({"teacher_epoch": epoch}, estimate, len(found)))
    return pd.DataFrame(rows, columns=["teacher_epoch", "value", "low", "high", "n"])


def teacher_continuum(
    student: Recording, teacher: Recording, measure: str = "linear"
) -> pd.DataFrame:
    """The student's accuracy on each of the teacher's targets, from random to semantic.

    Args:
        student: measured against the teacher ("clustering-vicreg-s0").
        teacher: "targets-teacher-s0".
        measure: "linear" or "ncc".

    Returns:
        teacher_epoch, agreement (of the targets with the truth), epoch (the student's), value,
        relative (over the student's first epoch), n.

    Raises:
        RecordingError: the student was not measured against a teacher.
    """
    rows = measured(student, measure, None)
    rows = rows[rows["level"].str.fullmatch(_TEACHER)]
    if rows.empty:
        raise RecordingError(
            f"{student.path}: was not measured against a teacher's targets; record the preset "
            "'targets', then 'clustering'"
        )
    rows = rows.assign(teacher_epoch=rows["level"].str.extract(_TEACHER)[0].astype(int))
    agreement = teacher_agreement(teacher).set_index("teacher_epoch")["value"]
    rows["agreement"] = rows["teacher_epoch"].map(agreement)
    rows = rows.sort_values(["teacher_epoch", "epoch"])
    first = rows.groupby("teacher_epoch")["value"].transform("first")
    rows["relative"] = rows["value"] / first
    columns = ["teacher_epoch", "agreement", "epoch", "value", "relative", "n"]
    return rows[columns].reset_index(drop=True)
