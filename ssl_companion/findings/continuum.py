"""From a random function to a semantic one: a student judged by a teacher's snapshots.

`targets.teacher_continuum` has the numbers; here they get intervals, what a blind guess would
reach, and the place on the way at which training stops to cost and begins to gain.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd

from ssl_companion.findings.live import CONFIDENCE, measured
from ssl_companion.findings.targets import teacher_continuum
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import SUBSET

LABELS = "the labels"


def continuum(
    student: Recording, teacher: Recording, measure: str = "linear", confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """The student's accuracy on each of the teacher's targets, and on the labels at their end.

    Args:
        student: measured against the teacher.
        teacher: whose snapshots gave the targets.
        measure: "linear" or "ncc".
        confidence: of the intervals.

    Returns:
        target ("teacher at epoch 0" and so on, then `LABELS`), agreement (with the labels),
        guess (share of the commonest target, which an answer that ignores the image reaches),
        epoch (the student's), value, low, high, relative (to the student's first epoch),
        relative_low, relative_high, n. From the most random target to the most semantic.

        The interval of an accuracy is Wilson's (1927, doi:10.1080/01621459.1927.10502953). That
        of a ratio takes its two accuracies as independent, on the log scale; they are of the
        same images, so it is rather too wide than too narrow.
    """
    table, guess = teacher_continuum(student, teacher, measure), blind_guess(teacher)
    table["target"] = "teacher at epoch " + table["teacher_epoch"].astype(str)
    table["guess"] = table["teacher_epoch"].map(guess)
    table = pd.concat([table, _on_labels(student, measure)], ignore_index=True)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, n = table["value"], table["n"]
    middle, root = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    table["low"], table["high"] = ((middle + s * root) / (1 + z**2 / n) for s in (-1, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = (1 - p) / (n * p)  # variance of log p
        first = noise.groupby(table["target"]).transform("first")
        spread = np.exp(z * np.sqrt((noise + first).to_numpy()))
    spread[(table["epoch"] == table["epoch"].min()).to_numpy()] = 1.0  # one by definition
    table["relative_low"] = table["relative"] / spread
    table["relative_high"] = table["relative"] * spread
    columns = ["target", "agreement", "guess", "epoch", "value", "low", "high",
               "relative", "relative_low", "relative_high", "n"]  # fmt: skip
    return table.sort_values(["agreement", "target", "epoch"])[columns].reset_index(drop=True)


def _on_labels(student: Recording, measure: str) -> pd.DataFrame:
    """The fine labels as the last of the targets; empty where they were not measured."""
    rows = measured(student, measure, ["fine"]).sort_values("epoch")
    if rows.empty:
        return rows
    first, k = rows["value"].iloc[0], student.hierarchy.level("fine").k
    return rows.assign(target=LABELS, agreement=1.0, guess=1 / k, relative=rows["value"] / first)


def blind_guess(teacher: Recording) -> dict[int, float]:
    """Share of the commonest target among the test images, by the teacher's epoch."""
    return {
        epoch: float(np.bincount(found).max() / len(found))
        for epoch in teacher.target_epochs()
        for found in [teacher.targets(epoch)]
    }


def halves_of_kept(
    student: Recording, teacher: Recording, epoch: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The test images whose features the student keeps, with a snapshot's targets, in halves.

    Args:
        student: with features.
        teacher: with targets.
        epoch: the teacher's.

    Returns:
        Indices `fit` and `judge` into `student.features(...)`: the images of a target alternate
        between them, and targets of a single image are left out, so both have all targets. Then
        `y`, the targets of all kept images, int64 [N], renumbered without gaps; -1 where left out.

    Raises:
        RecordingError: no targets of that epoch.
    """
    subset = pd.read_csv(student.path / SUBSET)
    rows = subset.loc[subset["split"] == "test", "row"].to_numpy(np.int64)
    given = pd.Series(teacher.targets(epoch)[rows])
    many = (given.groupby(given).transform("size") > 1).to_numpy()
    turn = given.groupby(given).cumcount().to_numpy() % 2
    y = np.full(len(given), -1, np.int64)
    y[many] = np.unique(given[many], return_inverse=True)[1]
    return np.flatnonzero(many & (turn == 0)), np.flatnonzero(many & (turn == 1)), y


def break_even(table: pd.DataFrame) -> float:
    """The agreement with the truth at which accuracy at the end equals that at the start.

    Args:
        table: of `continuum`.

    Returns:
        A fraction: between two neighbouring snapshots on whose sides `relative` crosses 1 (the
        last such place), interpolated. NaN where it is on one side of 1 throughout.
    """
    end = table[table["epoch"] == table["epoch"].max()].sort_values("agreement")
    x, gain = end["agreement"].to_numpy(), end["relative"].to_numpy() - 1
    changes = np.flatnonzero((gain[:-1] < 0) != (gain[1:] < 0))
    if not len(changes):
        return float("nan")
    i = int(changes[-1])
    return float(x[i] - gain[i] * (x[i + 1] - x[i]) / (gain[i + 1] - gain[i]))
