"""Checkers of the chapter "Clusters emerge"."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from ssl_companion.chapters.analysis.accuracies import level_of, predicted
from ssl_companion.chapters.exercises import (
    Checked,
    call,
    hint,
    near,
    of_number,
    right,
)
from ssl_companion.measures import NearestCentroid
from ssl_companion.measures.nearest_centroid import Metric
from ssl_companion.recordings import Recording, group_means

OF_KEPT = (
    "those means are of the few training images that were kept; those of all training images are "
    "in `recording.class_means(epoch)`."
)


def check_chance(chance: Any, recording: Recording) -> Checked:
    """A function of the number of equally large classes."""
    k = recording.hierarchy.level("fine").k
    for classes in (2, k):
        found = near(
            call(chance, classes),
            1 / classes,
            1e-9,
            {
                float(classes): "that is a number of classes; a share of the images is asked for.",
                1 / (classes - 1): "the guess may name the right class, too: do not leave it out.",
                1 - 1 / classes: "that is how often the guess is wrong.",
            },
            f"with {classes} classes of the same size, how often does a guess that ignores the "
            "image happen to name the right one?",
            "",
        )
        if not found.ok:
            return found
    now = np.mean(_right(recording, "fine"))
    return right(
        f"chance is {1 / k:.1%} at the fine level, and NCC accuracy at the last epoch is "
        f"{now * k:.0f} times that. Always compare with chance before you compare with 100%.",
    )


@of_number
def check_cosine(answer: float, recording: Recording) -> Checked:
    """Fine NCC accuracy by angle instead of distance: last kept epoch over first."""

    def ends(metric: Metric, split: str = "test") -> tuple[float, float]:
        kept = recording.kept_epochs()
        first, last = (_score(recording, kept[i], metric, split) for i in (0, -1))
        return first, last

    before, after = ends("cosine")
    by_distance, seen = ends("euclidean"), ends("cosine", "train")
    if not (before and after and by_distance[0] and seen[0]):
        return hint("nothing is hit before training or after it: the ratio is not defined here.")
    # The accuracies at the end may be equal, and the two slips with them.
    ruler = "that is by distance, at the first epoch at least: one ruler for both, the angle."
    return near(
        answer,
        after / before,
        1e-3,
        {
            after / by_distance[0]: ruler,
            by_distance[1] / by_distance[0]: ruler,
            seen[1] / seen[0]: "those images made the means; score the held-out ones.",
            before / after: "the other way round: after over before.",
            after: "that is the accuracy at the last epoch; how many times the first is it?",
            after - before: "that is a difference; a ratio is asked for.",
        },
        "expected a ratio: of the kept test images, the share whose own class mean has the "
        "smallest angle to them, at the last kept epoch over the first.",
        f"× {after / before:.2f} by angle, × {by_distance[1] / by_distance[0]:.2f} by distance. "
        f"Before training {before:.1%} and {by_distance[0]:.1%}, after it {after:.1%} and "
        f"{by_distance[1]:.1%}. A multiple depends on the ruler at both of its ends.",
    )


def _score(recording: Recording, epoch: int, metric: Metric, split: str) -> float:
    fine = level_of(recording, "fine")
    means = group_means(recording.class_means(epoch), recording.class_counts, fine)
    rule = NearestCentroid.from_centroids(means, metric=metric)
    return rule.score(recording.features(epoch, None, split), recording.fine(split))


@of_number
def check_shuffled(answer: float, recording: Recording) -> Checked:
    """Fine NCC accuracy at the last kept epoch against labels in another order."""
    own, n = float(np.mean(_right(recording, "fine"))), len(recording.fine())
    chance = 1 / recording.hierarchy.level("fine").k
    # Hits at random are binomial: fewer than one shuffle in 10,000 lies outside.
    low, high = stats.binom.ppf([5e-5, 1 - 5e-5], n, chance) / n
    if stats.binom.pmf(0, n, chance) < 0.05:
        low = max(low, 1 / n)  # no hit at all is a slip far more often than it is luck
    if abs(answer - own) < 1e-9:
        return hint(
            "that is the accuracy against the true labels. Were they shuffled, and the features "
            "left where they are?"
        )
    if answer > high:
        return hint(
            "luck does not explain so much: in a random order nothing ties a label to its image. "
            "Shuffle the labels of the images and nothing else; and accuracies are fractions."
        )
    if answer < low:
        return hint(
            "that is less than luck: some images are given a label of their own class by chance. "
            f"How many of {n} would you expect? (If your shuffle is right, take another seed.)"
        )
    return right(
        f"about {chance:.1%}, which is chance. The clusters are still there; only the question "
        "asked of them has become meaningless."
    )


@of_number
def check_near_misses(answer: float, recording: Recording) -> Checked:
    """Of the fine mistakes at the last epoch, the share that stays in the right superclass."""
    epoch = recording.kept_epochs()[-1]
    coarse, labels = recording.hierarchy.level("coarse"), recording.fine()
    guess = predicted(recording, level_of(recording, "fine"), epoch)
    wrong, kin = guess != labels, coarse.labels(guess) == coarse.labels(labels)
    expected = float(kin[wrong].mean())
    of_groups = predicted(recording, coarse, epoch) == coarse.labels(labels)
    by_kept = guess_of_kept(recording, epoch)
    kin_of_kept = coarse.labels(by_kept) == coarse.labels(labels)
    chance = float(np.mean((coarse.sizes[coarse.of_fine] - 1) / (len(coarse.of_fine) - 1)))
    return near(
        answer,
        expected,
        1e-4,
        {
            float(kin.mean()): "that counts the right answers too: keep only the mistakes.",
            float((wrong & kin).mean()): "that is a share of all images: divide by the number of "
            "mistakes.",
            1 - expected: "that is the share that leaves the superclass.",
            float(of_groups[wrong].mean()): "that takes the nearest mean of a superclass; take the "
            "nearest mean of a class, and then its superclass.",
            float(kin_of_kept[by_kept != labels].mean()): OF_KEPT,
        },
        "take the images whose nearest fine mean is not their own, and ask for how many of them "
        "that mean belongs to a class of the same superclass.",
        f"{expected:.1%} of the mistakes stay in the superclass; a mistake made at random would "
        f"do so in {chance:.1%} of the cases. Even where the representation is wrong about the "
        "class, it tends to be near.",
    )


def guess_of_kept(recording: Recording, epoch: int) -> np.ndarray:
    """A likely slip: the nearest of the fine means of the kept training images alone, [N]."""
    x, y = recording.features(epoch, None, "train"), recording.fine("train")
    means = recording.class_means(epoch).astype(np.float64)
    for k in np.unique(y):
        means[k] = x[y == k].mean(axis=0)
    rule = NearestCentroid.from_centroids(means)
    return np.asarray(rule.predict(recording.features(epoch)))


def _right(recording: Recording, level: str) -> np.ndarray:
    """Hits at the last kept epoch, bool [N]."""
    chosen, epoch = level_of(recording, level), recording.kept_epochs()[-1]
    return predicted(recording, chosen, epoch) == chosen.labels(recording.fine())
