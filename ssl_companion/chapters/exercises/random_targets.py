"""Checkers of the chapter "Semantic against random targets"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_companion.chapters.analysis.accuracies import level_of, predicted
from ssl_companion.chapters.analysis.random_targets import halves_of_kept
from ssl_companion.chapters.exercises import ELSE, NotYet, call, checker, checker_of_number, near
from ssl_companion.chapters.exercises.clusters_emerge import (
    OF_KEPT,
    accuracy_at_end,
    guess_of_kept,
)
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings import Recording


@checker_of_number
def check_guess(guess: float, teacher: Recording) -> str:
    """The share of the commonest target of the teacher's first snapshot."""
    given, trained = (teacher.targets(teacher.target_epochs()[i]) for i in (0, -1))
    counts = np.bincount(given, minlength=teacher.hierarchy.level("fine").k)
    shares, even = counts / len(given), 1 / len(counts)
    hints = {
        np.bincount(trained).max() / len(trained): "that is the last snapshot of the teacher; take "
        "the first.",
        counts.argmax(): "that is the class to guess; how often is it right?",
        counts.max(): "that is a number of images; accuracies are shares of them.",
        np.square(shares).sum(): "that is the accuracy of drawing the guess at random by the "
        "targets' frequencies; a fixed guess does better.",
        even: "that would hold if all targets were equally common; count them.",
        ELSE: "without looking, it is best always to guess the same class. Which one?",
    }
    near(guess, shares.max(), hints)
    return (
        f"{shares.max():.1%}; with equally large classes it would be {even:.1%}. The network was "
        "not trained, so nothing made its classes equally large."
    )


@checker
def check_p_value(function: Any) -> str:
    """The permutation test's p-value, (1 + number at least as high) / (1 + number)."""
    rng = np.random.default_rng(0)
    cases = [(0.3, rng.uniform(0, 1, 40)), (0.9, rng.uniform(0, 0.5, 19)), (0.5, np.full(9, 0.5))]
    for semantic, random in cases:
        g, as_high = len(random), (random >= semantic).sum()
        hints = {
            (1 + (random > semantic).sum())
            / (1 + g): "a tie counts: it is as high as the observed value.",
            (1 + (random <= semantic).sum()) / (1 + g): "count the groupings that are at least as "
            "high, not those below.",
            as_high / (1 + g): "the observed grouping belongs in the numerator, too.",
            (1 + as_high) / g: "the observed grouping belongs in the denominator, too.",
            as_high
            / g: "count the observed grouping as one of the possible ones, in numerator and "
            "denominator: without it the value can be zero, which no finite sample can show.",
            1 + as_high: "that is a number of groupings; of how many?",
            ELSE: f"of {g} random groupings, {as_high} are at least as high; with the observed "
            "one, how many of how many are?",
        }
        near(call(function, semantic, random), (1 + as_high) / (1 + g), hints)
    return (
        "with G random groupings it is never below 1/(G + 1). To claim a smaller one, draw more "
        "groupings. And remember that it does not measure the size of the advantage."
    )


@checker_of_number
def check_through(accuracy: float, recording: Recording, level: str) -> str:
    """Accuracy at a level by way of the nearest fine mean, at the last kept epoch."""
    kept, chosen = recording.kept_epochs(), level_of(recording, level)
    fine, truth = level_of(recording, "fine"), recording.fine()

    def through(guess: np.ndarray, truth: np.ndarray = truth) -> float:
        return float((chosen.labels(guess) == chosen.labels(truth)).mean())

    guess = predicted(recording, fine, kept[-1])
    seen = predicted(recording, fine, kept[-1], split="train")
    expected, direct = through(guess), accuracy_at_end(recording, level)
    hints = {
        through(guess_of_kept(recording, kept[-1])): OF_KEPT,
        through(predicted(recording, fine, kept[0])): "that is before training.",
        through(seen, recording.fine("train")): "those images made the means; take the held-out "
        "ones.",
        direct: "that takes the nearest mean of a group; take the nearest mean of a class first.",
        float((guess == truth).mean()): "that is the accuracy on the classes: turn both the "
        "guesses and the labels into groups.",
        ELSE: "predict a fine class for every kept test image, turn the predictions and the labels "
        "into groups, and compare.",
    }
    near(accuracy, expected, hints, 1e-5)
    return (
        f"{expected:.1%} by way of the classes, {direct:.1%} by the groups' own means. One mean "
        "per group requires its classes to lie in one place; one mean per class does not."
    )


@checker_of_number
def check_live(ratio: float, recording: Recording, teacher: Recording) -> str:
    """NCC accuracy on the teacher's first targets, last kept epoch over first."""
    fit, judge, y = halves_of_kept(recording, teacher, teacher.target_epochs()[0])

    def ends(means: np.ndarray, judged: np.ndarray) -> list[float]:
        x = [recording.features(recording.kept_epochs()[i]) for i in (0, -1)]
        return [NearestCentroid().fit(v[means], y[means]).score(v[judged], y[judged]) for v in x]

    before, after = ends(fit, judge)
    if before == 0:
        raise NotYet("the untrained student has no hit here: the ratio is not defined.")
    hints = {
        after - before: "the ratio, not the difference.",
        before: "that is the accuracy at the first kept epoch; the ratio is after over before.",
        after: "divide by the accuracy at the first kept epoch.",
        ELSE: "fit on the half `fit` and score on the half `judge`, at the first and at the last "
        "kept epoch.",
    }
    for (first, last), hint in (
        ((after, before), "after over before, not the other way round."),
        (ends(fit, fit), "score the images that did not make the means."),
        (ends(judge, fit), "the halves have changed places: `fit` makes the means."),
    ):
        if first:
            hints[last / first] = hint
    near(ratio, after / before, hints, 1e-4)
    return (
        f"× {after / before:.2f}: {before:.1%} before training, {after:.1%} after, with {len(fit)} "
        "images for all means. The recording has this ratio for all images, with means of the "
        "whole training set; means of few images are less precise."
    )
