"""Semantic targets against three kinds of random ones, relative to initialisation.

Between a random function of the image and a semantic one lie a teacher's snapshots: a student is
judged by their predictions, with intervals, what a blind guess would reach, and the place on the
way at which training stops to cost and begins to gain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import (
    CONFIDENCE,
    RESAMPLES,
    level_of,
    measured,
    table_row,
    with_intervals,
)
from ssl_companion.chapters.analysis.balanced_accuracy import (
    balanced,
    drawn_balanced,
    epochs_judged,
    images_judged,
    over_groupings,
    recalls,
)
from ssl_companion.data.hierarchy import Level, random_grouping
from ssl_companion.measures import Interval, NearestCentroid, bootstrap_accuracy
from ssl_companion.measures.resampling import draw_counts, interval, resampled, wilson
from ssl_companion.recordings import Recording, RecordingError
from ssl_companion.recordings.format import RANDOM_IMAGE, EpochLayer

RANDOM_GROUPINGS = 20
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


def chance_in_words(table: pd.DataFrame, chance: float) -> str:
    """Whether accuracy on random labels ends at chance on test images, by Wilson's interval.

    Args:
        table: of `random_images`.
        chance: the share of images that a guess gets right.
    """
    rows = table[(table["level"] == RANDOM_IMAGE) & (table["split"] == "test")].set_index("epoch")
    epoch, values = rows.index.max(), rows["value"]
    found = wilson(float(values[epoch]), int(rows["n"][epoch]))
    said = (
        f"At epoch {epoch}, the accuracy on random labels is {found.value:.2%} of "
        f"{rows['n'][epoch]:,} test images, with a 95% interval (Wilson's) from {found.low:.2%} to "
        f"{found.high:.2%}."
    )
    if found.low <= chance <= found.high:
        return f"{said} Chance, {chance:.2%}, lies inside."
    above = found.value > chance
    return (
        f"{said} Chance, {chance:.2%}, lies outside: the accuracy is "
        f"{100 * abs(found.value - chance):.2f} points {'above' if above else 'below'} it. That "
        "may be luck. The labels were drawn only once and are the same at every epoch, so a draw "
        f"that is a little {'lucky' if above else 'unlucky'} stays so; from epoch to epoch the "
        f"accuracy lies between {values.min():.2%} and {values.max():.2%}. Only other draws of the "
        "labels could rule out another cause."
    )


@dataclass(frozen=True, eq=False)
class Advantage:
    """A level's balanced accuracy beside that of random groupings, at each of S places.

    Attributes:
        own: of the level, float64 [S].
        own_draws: with the classes drawn again, [S, R].
        others: of each of G random groupings, [G, S].
        value: the level's less the mean of the groupings', [S].
        draws: with the classes and the groupings drawn again, both paired, [S, R].
    """

    own: np.ndarray
    own_draws: np.ndarray
    others: np.ndarray
    value: np.ndarray
    draws: np.ndarray

    @property
    def growth(self) -> Interval:
        """From the first place to the last."""
        return interval(float(self.value[-1] - self.value[0]), self.draws[-1] - self.draws[0])


def advantage(
    recording: Recording,
    level: str | Level,
    places: Sequence[EpochLayer],
    controls: int | Sequence[Level] = RANDOM_GROUPINGS,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    live: bool = True,
) -> Advantage:
    """How far a level is ahead of random groupings, live from the kept test images.

    Args:
        recording: with features, or with counts (`recalls`).
        level: of its hierarchy by name, or as it is given.
        places: pairs of an epoch and a layer (None: the last).
        controls: how many random groupings of the level's sizes, those of `seed` and after it;
            or the groupings themselves.
        seed: of the groupings and of the bootstrap. The same seed draws the same classes, so
            levels and controls are paired.
        resamples: R.
        live: see `recalls`.
    """
    own = level_of(recording, level)
    others = _groupings(own, controls, seed) if isinstance(controls, int) else list(controls)
    found = recalls(recording, [own, *others], places, live=live)
    weights = draw_counts(found.shape[-1], resamples, seed)
    times = draw_counts(len(others), resamples, [seed, 1])
    groups = np.stack([one.of_fine for one in others])
    values, mean_draws = over_groupings(found[1:], groups, weights, times)
    accuracy = balanced(found[0], own.of_fine)
    own_draws = drawn_balanced(found[0], own.of_fine, weights)
    return Advantage(
        accuracy, own_draws, values, accuracy - values.mean(axis=0), own_draws - mean_draws
    )


def against_groupings(
    recording: Recording,
    level: str = "coarse",
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    groupings: int = RANDOM_GROUPINGS,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """A level's balanced NCC accuracy beside that of random groupings of its sizes, live.

    Returns:
        recording, epoch, layer, level, target ("semantic", "random groupings" or
        "advantage", their difference), value, low, high, n. The interval of "semantic" and of
        the advantage is over classes (paired); that of the random groupings is over groupings.
    """
    layer = layer or recording.layers[-1]
    epochs = epochs_judged(recording, layer) if epochs is None else epochs
    places = [(epoch, layer) for epoch in epochs]
    found = advantage(recording, level, places, groupings, seed=seed, resamples=resamples)
    rows, n = [], images_judged(recording)
    for e, epoch in enumerate(epochs):
        for target, value, draws in (
            ("semantic", found.own[e], found.own_draws[e]),
            ("random groupings", found.others[:, e].mean(), found.others[:, e]),
            ("advantage", found.value[e], found.draws[e]),
        ):
            where = {"recording": recording.name, "epoch": epoch, "layer": layer,
                     "level": level, "target": target}  # fmt: skip
            rows.append(table_row(where, interval(float(value), draws), n))
    return pd.DataFrame(rows)


def grouping_accuracies(
    recording: Recording,
    level: str | Level,
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    groupings: int = RANDOM_GROUPINGS,
    seed: int = 0,
) -> np.ndarray:
    """Balanced NCC accuracies under random groupings of a level's sizes, [groupings, epochs]."""
    epochs = epochs_judged(recording, layer) if epochs is None else epochs
    drawn = _groupings(level_of(recording, level), groupings, seed)
    found = recalls(recording, drawn, [(epoch, layer) for epoch in epochs])
    return np.stack([balanced(f, one.of_fine) for f, one in zip(found, drawn, strict=True)])


def growth_of_advantage(
    recording: Recording,
    level: str | Level = "coarse",
    layer: str | None = None,
    *,
    groupings: int = RANDOM_GROUPINGS,
    seed: int = 0,
    resamples: int = RESAMPLES,
    live: bool = True,
) -> Interval:
    """By how much the advantage over random groupings grew from the first to the last epoch.

    (Balanced NCC accuracy of the level - its mean over the groupings) at the end, less the same
    before training; a difference of fractions. The interval draws classes and groupings again.
    `live`: see `recalls`.
    """
    how = {"seed": seed, "resamples": resamples}
    places = ends(recording, layer)
    return advantage(recording, level, places, groupings, live=live, **how).growth


def ends(recording: Recording, layer: str | None = None) -> tuple[EpochLayer, EpochLayer]:
    """The first and the last kept epoch of a layer."""
    kept = epochs_judged(recording, layer)
    return (kept[0], layer), (kept[-1], layer)


def _groupings(level: Level, count: int, seed: int) -> list[Level]:
    return [random_grouping(level, seed + i) for i in range(count)]


FUNCTION = "teacher-000"  # a level: the answers of the teacher before it was trained


def has_random_function(recording: Recording) -> bool:
    """Whether a run was measured on a random function of the image, before training and after."""
    ends = {recording.epochs[0], recording.epochs[-1]}
    return len(ends) == 2 and ends <= set(_ncc(recording, FUNCTION)["epoch"])


def _ncc(recording: Recording, level: str) -> pd.DataFrame:
    return recording.select(measure="ncc", split="test", level=level, layer=recording.layers[-1])


def growth_over_function(
    recording: Recording, *, of: str = "fine", seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Growth of NCC accuracy on classes less that on a random function of the image.

    The function is what a teacher answers before it is trained: `FUNCTION`. Where the accuracy on
    it falls, nothing is added for that: what forgets the function has not learnt the classes.

    Args:
        recording: that was measured on it, before training and after (all test images).
        of: the level in question.
        seed: of the draws.
        resamples: how many.

    Returns:
        A difference of fractions. Each of the four accuracies is drawn again as a binomial share,
        for itself; they are of the same images, so the interval is rather too wide.

    Raises:
        RecordingError: it was not measured on one.
    """
    if not has_random_function(recording):
        raise RecordingError(
            f"{recording.path}: was not measured against a teacher's targets; record the preset "
            "'targets', then 'clustering'"
        )
    rng, grown = np.random.default_rng(seed), []
    for level in (of, FUNCTION):
        rows = _ncc(recording, level).set_index("epoch").loc[[recording.epochs[i] for i in (0, -1)]]
        share, n = rows["value"].to_numpy(), rows["n"].to_numpy()
        drawn = rng.binomial(n, share, (resamples, 2)) / n
        grown.append(np.append(share[1] - share[0], drawn[:, 1] - drawn[:, 0]))
    return _beyond_function(*grown)


def _beyond_function(of_classes: np.ndarray, of_function: np.ndarray) -> Interval:
    """The difference of two growths: of each, the value and then its draws."""
    found = of_classes - np.maximum(of_function, 0.0)
    return interval(float(found[0]), found[1:])


def live_growth_over_function(
    recording: Recording, teacher: Recording, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """`growth_over_function` of the fine classes, for a run that was not measured on the function.

    Every other kept test image makes the class means, and the rest is judged by them.

    Args:
        recording: with features.
        teacher: with targets from before its training.
        seed: of the bootstrap over images.
        resamples: how many draws.
    """
    kept = recording.kept_epochs()
    x = [recording.features(epoch) for epoch in (kept[0], kept[-1])]
    grown = []
    for labels in (recording.fine(), teacher.targets(0)[recording.rows()]):
        classes, y = np.unique(labels[::2], return_inverse=True)
        found = np.stack([
            classes[NearestCentroid().fit(one[::2], y).predict(one[1::2])] == labels[1::2]
            for one in x
        ])  # fmt: skip
        gained = found[1].astype(np.float64) - found[0]
        drawn = resampled(gained, resamples=resamples, seed=seed)
        grown.append(np.append(gained.mean(), drawn))
    return _beyond_function(*grown)


def teacher_agreement(teacher: Recording) -> pd.DataFrame:
    """How far each snapshot of the teacher is from a random function: its accuracy.

    Returns:
        teacher_epoch, value, low, high, n: agreement of the targets with the true classes on
        the kept test images, as fractions.
    """
    kept, fine, rows = teacher.rows("test"), teacher.fine("test"), []
    for epoch in teacher.target_epochs():
        found = teacher.targets(epoch)[kept]
        estimate = bootstrap_accuracy(found, fine)
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
    table = with_intervals(table, confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, n = table["value"], table["n"]
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
    given = pd.Series(teacher.targets(epoch)[student.rows("test")])
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
