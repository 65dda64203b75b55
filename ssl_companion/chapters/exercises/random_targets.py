"""Checkers of the chapter "Semantic against random targets"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_companion.chapters.analysis.accuracies import level_of, predicted
from ssl_companion.chapters.analysis.random_targets import halves_of_kept
from ssl_companion.chapters.exercises import (
    Checked,
    call,
    hint,
    near,
    of_number,
    right,
)
from ssl_companion.chapters.exercises.clusters_emerge import OF_KEPT, guess_of_kept
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings import Recording


@of_number
def check_guess(guess: float, teacher: Recording) -> Checked:
    """The share of the commonest target of the teacher's first snapshot."""
    given, trained = (teacher.targets(teacher.target_epochs()[i]) for i in (0, -1))
    counts = np.bincount(given, minlength=teacher.hierarchy.level("fine").k)
    expected, even = float(counts.max() / len(given)), 1 / len(counts)
    slips = {
        float(np.bincount(trained).max() / len(trained)): "that is the last snapshot of the "
        "teacher; take the first.",
        float(counts.argmax()): "that is which class to say; how often is it right?",
        float(counts.max()): "that is a number of images; accuracies are shares of them.",
        float(np.square(counts / len(given)).sum()): "that is the accuracy of drawing the guess "
        "at random by the targets' frequencies; a fixed guess does better.",
    }
    slips[even] = "that would hold if all targets were equally common; count them."
    return near(
        guess,
        expected,
        1e-6,
        slips,
        "the best that a guess can do without looking is always to say the same class. Which one?",
        f"{expected:.1%}, where equally large classes would give {even:.1%}. The network was not "
        "trained, and nothing made its classes equally large.",
    )


def check_p_value(function: Any) -> Checked:
    """The permutation test's p-value, (1 + number at least as high) / (1 + number)."""
    rng = np.random.default_rng(0)
    cases = [(0.3, rng.uniform(0, 1, 40)), (0.9, rng.uniform(0, 0.5, 19)), (0.5, np.full(9, 0.5))]
    for semantic, random in cases:
        g, as_high = len(random), int((random >= semantic).sum())
        slips = {
            (1 + int((random > semantic).sum())) / (1 + g): "a tie is as high as the observed.",
            (1 + int((random <= semantic).sum())) / (1 + g): "count the groupings that are at "
            "least as high, not those below.",
            as_high / (1 + g): "the observed grouping belongs into the count above the line, too.",
            (1 + as_high) / g: "the observed grouping belongs into the count below the line, too.",
            as_high / g: "count the observed grouping as one of the possible ones, above and below "
            "the line: without it the value can be zero, which no finite sample can show.",
            float(1 + as_high): "that is a number of groupings; of how many?",
        }
        expected = (1 + as_high) / (1 + g)
        found = near(
            call(function, semantic, random),
            expected,
            1e-6,
            slips,
            f"of {g} random groupings, {as_high} are at least as high; with the observed one, how "
            "many of how many are?",
            "",
        )
        if not found.ok:
            return found
    return right(
        "with G random groupings it is never below 1/(G + 1). To claim more than that, draw more "
        "groupings; and remember that it says nothing about the size of the advantage."
    )


@of_number
def check_through(accuracy: float, recording: Recording, level: str) -> Checked:
    """Accuracy at a level by way of the nearest fine mean, at the last kept epoch."""
    epoch, chosen = recording.kept_epochs()[-1], level_of(recording, level)
    fine, truth = level_of(recording, "fine"), recording.fine()
    guess = predicted(recording, fine, epoch)
    expected = float((chosen.labels(guess) == chosen.labels(truth)).mean())
    direct = float((predicted(recording, chosen, epoch) == chosen.labels(truth)).mean())
    untrained = predicted(recording, fine, recording.kept_epochs()[0])
    seen = predicted(recording, fine, epoch, split="train")
    by_kept = chosen.labels(guess_of_kept(recording, epoch))
    slips = {
        float((by_kept == chosen.labels(truth)).mean()): OF_KEPT,
        float((chosen.labels(untrained) == chosen.labels(truth)).mean()): "that is before "
        "training.",
        float((chosen.labels(seen) == chosen.labels(recording.fine("train"))).mean()): "those "
        "images made the means; take the held-out ones.",
        direct: "that takes the nearest mean of a group; take the nearest mean of a class first.",
        float((guess == truth).mean()): "that is the accuracy on the classes: turn both the "
        "guesses and the labels into groups.",
    }
    return near(
        accuracy,
        expected,
        1e-5,
        slips,
        "predict a fine class for every kept test image, turn the predictions and the labels into "
        "groups, and compare.",
        f"{expected:.1%} by way of the classes, {direct:.1%} by the groups' own means. One mean "
        "for a group asks its classes to lie in one place; a mean for each class does not.",
    )


@of_number
def check_live(ratio: float, recording: Recording, teacher: Recording) -> Checked:
    """NCC accuracy on the teacher's first targets, last kept epoch over first."""
    fit, judge, y = halves_of_kept(recording, teacher, teacher.target_epochs()[0])
    kept = recording.kept_epochs()

    def score(epoch: int, means: np.ndarray, judged: np.ndarray) -> float:
        x = recording.features(epoch)
        return NearestCentroid().fit(x[means], y[means]).score(x[judged], y[judged])

    before, after = (score(epoch, fit, judge) for epoch in (kept[0], kept[-1]))
    (seen, seen_after), (turned, turned_after) = (
        (score(kept[0], means, fit), score(kept[-1], means, fit)) for means in (fit, judge)
    )
    if before == 0:
        return hint("the untrained student has no hit here: the ratio is not defined.")
    expected = after / before
    slips = {
        after - before: "the ratio, not the difference.",
        before: "that is the accuracy at the first kept epoch; the ratio is after over before.",
        after: "divide by the accuracy at the first kept epoch.",
    }
    if after:
        slips[before / after] = "after over before, not the other way round."
    if seen:
        slips[seen_after / seen] = "score the images that did not make the means."
    if turned:
        slips[turned_after / turned] = "the halves have changed places: `fit` makes the means."
    return near(
        ratio,
        expected,
        1e-4,
        slips,
        "fit on the half `fit` and score on the half `judge`, at the first and at the last kept "
        "epoch.",
        f"× {expected:.2f}: {before:.1%} before training, {after:.1%} after, with {len(fit)} "
        "images for all means. The recording has the same ratio over all images, by means of the "
        "whole training set; few images make rougher means.",
    )
