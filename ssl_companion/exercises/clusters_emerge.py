"""Checkers of the chapter "Clusters emerge"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_companion.exercises import Checked, call, hint, near
from ssl_companion.findings.live import level_of, predicted
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings import Recording, group_means


def check_chance(chance: Any, recording: Recording) -> Checked:
    """A function of the number of equally large classes."""
    k = recording.hierarchy.level("fine").k
    for classes in (2, k):
        found = near(
            call(chance, classes),
            1 / classes,
            1e-9,
            {100 / classes: "that is in per cent; accuracies in this book are fractions."},
            f"with {classes} classes of the same size, how often does a guess that ignores the "
            "image happen to name the right one?",
            "",
        )
        if not found.ok:
            return found
    now = np.mean(_right(recording, "fine"))
    return Checked(
        True,
        f"chance is {1 / k:.1%} at the fine level, and NCC accuracy at the last epoch is "
        f"{now * k:.0f} times that. Always compare with chance before you compare with 100%.",
    )


def check_cosine(answer: Any, recording: Recording) -> Checked:
    """Fine NCC accuracy at the last kept epoch with angles instead of distances."""
    fine = level_of(recording, "fine")
    epoch = recording.kept_epochs()[-1]
    means = group_means(recording.class_means(epoch), recording.class_counts, fine)
    rule = NearestCentroid.from_centroids(means, metric="cosine")
    expected = rule.score(recording.features(epoch), recording.fine())
    euclidean = float(np.mean(_right(recording, "fine")))
    slips = {}
    if abs(euclidean - expected) > 1e-4:
        slips[euclidean] = "that is the accuracy by distance; ask NearestCentroid for the angle."
    return near(
        answer,
        expected,
        1e-4,
        slips,
        "expected the share of kept test images, at the last epoch, whose class mean has the "
        "smallest angle to them.",
        f"{expected:.1%} by angle, {euclidean:.1%} by distance. The features come out of a ReLU, "
        "so no coordinate is negative; how much the length of a feature matters is a finding.",
    )


def check_shuffled(answer: Any, recording: Recording) -> Checked:
    """Fine NCC accuracy at the last kept epoch against labels in another order."""
    from ssl_companion.exercises import number_of

    value = number_of(answer)
    if isinstance(value, Checked):
        return value
    own, labels = _right(recording, "fine"), recording.fine()
    chance = 1 / recording.hierarchy.level("fine").k
    # Four standard deviations of a share of N guesses: fewer than one shuffle in 10,000 is out.
    spread = 4 * np.sqrt(chance * (1 - chance) / len(labels))
    if abs(value - np.mean(own)) < 1e-9:
        return hint("that is the accuracy against the true labels: were they shuffled?")
    if abs(value - chance) > spread:
        return hint(
            f"against labels in a random order about {chance:.1%} is expected, give or take "
            f"{spread:.1%}. Shuffle the labels of the images, not the predictions and the labels "
            "together."
        )
    return Checked(
        True,
        f"about {chance:.1%}, which is chance. The clusters are still there; only the question "
        "asked of them has become meaningless.",
    )


def check_near_misses(answer: Any, recording: Recording) -> Checked:
    """Of the fine mistakes at the last epoch, the share that stays in the right superclass."""
    epoch = recording.kept_epochs()[-1]
    coarse, labels = recording.hierarchy.level("coarse"), recording.fine()
    guess = predicted(recording, level_of(recording, "fine"), epoch)
    wrong, kin = guess != labels, coarse.labels(guess) == coarse.labels(labels)
    expected = float(kin[wrong].mean())
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
        },
        "take the images whose nearest fine mean is not their own, and ask for how many of them "
        "that mean belongs to a class of the same superclass.",
        f"{expected:.1%} of the mistakes stay in the superclass; a mistake made at random would "
        f"do so in {chance:.1%} of the cases. Even where the representation is wrong about the "
        "class, it tends to be near.",
    )


def _right(recording: Recording, level: str) -> np.ndarray:
    """Hits at the last kept epoch, bool [N]."""
    chosen, epoch = level_of(recording, level), recording.kept_epochs()[-1]
    return predicted(recording, chosen, epoch) == chosen.labels(recording.fine())
