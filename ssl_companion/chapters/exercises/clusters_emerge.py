"""Checkers of the chapter "Clusters emerge"."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from ssl_companion.chapters.analysis.accuracies import hits, level_of, predicted
from ssl_companion.chapters.exercises import (
    ELSE,
    NotYet,
    array_of,
    call,
    checker,
    checker_of_number,
    near,
    number_of,
)
from ssl_companion.data.hierarchy import Level
from ssl_companion.measures import NearestCentroid
from ssl_companion.measures.nearest_centroid import Metric
from ssl_companion.recordings import Recording, group_means

OF_KEPT = (
    "those are the means of the few training images that were kept; the means of all training "
    "images are in `recording.class_means(epoch)`."
)


@checker
def check_chance(chance: Any, recording: Recording) -> str:
    """A function of the number of equally large classes."""
    k = recording.hierarchy.level("fine").k
    for classes in (2, k, 7, 30):
        hints = {
            classes: "that is a number of classes; give a share of the images.",
            1 / (classes - 1): "the guess may also be the right class: do not leave it out.",
            1 - 1 / classes: "that is how often the guess is wrong.",
            ELSE: f"with {classes} classes of the same size, how often does a guess that ignores "
            "the image happen to be right?",
        }
        near(call(chance, classes), 1 / classes, hints, 1e-9)
    now = accuracy_at_end(recording)
    return (
        f"chance is {1 / k:.1%} at the fine level, and NCC accuracy at the last epoch is "
        f"{now * k:.0f} times that. Always compare with chance before you compare with 100%."
    )


@checker_of_number
def check_cosine(answer: float, recording: Recording) -> str:
    """Fine NCC accuracy by angle instead of distance: last kept epoch over first."""

    def ends(metric: Metric, split: str = "test") -> tuple[float, float]:
        kept = recording.kept_epochs()
        first, last = (_score(recording, kept[i], metric, split) for i in (0, -1))
        return first, last

    before, after = ends("cosine")
    by_distance, seen = ends("euclidean"), ends("cosine", "train")
    if not (before and after and by_distance[0] and seen[0]):
        raise NotYet(
            "no image is assigned rightly before or after training: the ratio is undefined."
        )
    # The accuracies at the end may be equal, and the two slips with them.
    mixed = "that is by distance, at least at the first epoch: use the angle at both."
    hints = {
        after / by_distance[0]: mixed,
        by_distance[1] / by_distance[0]: mixed,
        seen[1] / seen[0]: "those images made the means; score the held-out ones.",
        before / after: "the other way round: after over before.",
        after: "that is the accuracy at the last epoch; divide it by the first.",
        after - before: "that is a difference; give a ratio.",
        ELSE: "expected a ratio: of the kept test images, the share whose own class mean has the "
        "smallest angle to them, at the last kept epoch over the first.",
    }
    near(answer, after / before, hints, 1e-3)
    return (
        f"× {after / before:.2f} by angle, × {by_distance[1] / by_distance[0]:.2f} by distance. "
        f"Before training {before:.1%} and {by_distance[0]:.1%}, after it {after:.1%} and "
        f"{by_distance[1]:.1%}. A factor depends on how both of its ends are measured."
    )


def _score(recording: Recording, epoch: int, metric: Metric, split: str) -> float:
    fine = level_of(recording, "fine")
    means = group_means(recording.class_means(epoch), recording.class_counts, fine)
    rule = NearestCentroid.from_centroids(means, metric=metric)
    return rule.score(recording.features(epoch, None, split), recording.fine(split))


@checker
def check_shuffled(pair: tuple[Any, float], recording: Recording) -> str:
    """Labels in another order, and fine NCC accuracy against them at the last kept epoch."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise NotYet("expected a pair: the labels in another order, and the accuracy against them.")
    labels, answer, own = array_of(pair[0]), number_of(pair[1]), recording.fine()
    n, k = len(own), recording.hierarchy.level("fine").k
    if labels.shape != own.shape:
        raise NotYet(f"expected {n} labels, one for each kept test image; got {labels.shape}.")
    if not np.array_equal(np.sort(labels), np.sort(own)):
        raise NotYet("those are other labels: permute the images' own instead of drawing new ones.")
    if len(set(zip(own.tolist(), labels.tolist(), strict=True))) <= 2 * k:
        raise NotYet(
            "all images of a class still share a label, though perhaps under another name. Shuffle "
            "the labels among the images, not among the classes."
        )
    # Hits at random are binomial: fewer than one shuffle in 10,000 lies outside.
    low, high = stats.binom.ppf([5e-5, 1 - 5e-5], n, 1 / k) / n
    same = np.mean(labels == own)
    if not low <= same <= high:
        raise NotYet(
            f"{same:.1%} of the images have a label of their own class; by chance, about "
            f"{1 / k:.1%} would. Use a random order. (If it was random, take another seed.)"
        )
    epoch = recording.kept_epochs()[-1]
    rule = NearestCentroid.from_centroids(recording.class_means(epoch))
    expected = rule.score(recording.features(epoch), labels.astype(np.int64))
    hints = {
        accuracy_at_end(recording): "that is the accuracy on the true labels.",
        1 / k: "chance is what to expect; now measure it, with `rule.score`.",
        ELSE: "on your labels the rule has another accuracy: score the features of the last kept "
        "epoch, in their own order, with the labels that you return.",
    }
    near(answer, expected, hints)
    return (
        f"{expected:.1%}, where chance is {1 / k:.1%}. The clusters are still there; only the "
        "labels have lost their meaning."
    )


@checker_of_number
def check_near_misses(answer: float, recording: Recording) -> str:
    """Of the fine mistakes at the last epoch, the share that stays in the right superclass."""
    epoch = recording.kept_epochs()[-1]
    coarse, labels = recording.hierarchy.level("coarse"), recording.fine()
    own = coarse.labels(labels)
    guess = predicted(recording, level_of(recording, "fine"), epoch)
    wrong, kin = guess != labels, coarse.labels(guess) == own
    of_groups, by_kept = predicted(recording, coarse, epoch) == own, guess_of_kept(recording, epoch)
    expected = kin[wrong].mean()
    chance = np.mean((coarse.sizes[coarse.of_fine] - 1) / (len(coarse.of_fine) - 1))
    hints = {
        kin.mean(): "that counts right answers as well: keep only the mistakes.",
        (wrong & kin).mean(): "that is a share of all images: divide by the number of mistakes.",
        1 - expected: "that is the share that leaves the superclass.",
        of_groups[wrong].mean(): "that uses the nearest superclass mean; take the nearest class "
        "mean, and then its superclass.",
        (coarse.labels(by_kept) == own)[by_kept != labels].mean(): OF_KEPT,
        ELSE: "take the images whose nearest fine mean is not their own. For what share of them "
        "does that mean belong to a class of the same superclass?",
    }
    near(answer, expected, hints, 1e-4)
    return (
        f"{expected:.1%} of the mistakes stay within the superclass; of random mistakes, "
        f"{chance:.1%} would. Even where the representation is wrong about the class, it tends to "
        "be close."
    )


def guess_of_kept(recording: Recording, epoch: int) -> np.ndarray:
    """A likely slip: the nearest of the fine means of the kept training images alone, [N]."""
    x, y = recording.features(epoch, None, "train"), recording.fine("train")
    means = recording.class_means(epoch).astype(np.float64)
    for k in np.unique(y):
        means[k] = x[y == k].mean(axis=0)
    rule = NearestCentroid.from_centroids(means)
    return np.asarray(rule.predict(recording.features(epoch)))


def accuracy_at_end(recording: Recording, level: str | Level = "fine", seed: int = 0) -> float:
    """NCC accuracy at the last kept epoch; `seed` is that of a random grouping."""
    return float(hits(recording, level, [recording.kept_epochs()[-1]], seed=seed).mean())


def solved(recording: Recording) -> dict[str, str]:
    """What the checkers say of the page's solutions, by the exercise's title; without those that
    the recording cannot answer."""
    kept, fine = recording.kept_epochs(), recording.fine()
    by_angle = [_score(recording, kept[i], "cosine", "test") for i in (0, -1)]
    labels = np.random.default_rng(0).permutation(fine)
    rule = NearestCentroid.from_centroids(recording.class_means(kept[-1]))
    score = rule.score(recording.features(kept[-1]), labels)
    answers = {
        "Chance:": check_chance(lambda k: 1 / k, recording),
        "Ask a meaningless question:": check_shuffled((labels, score), recording),
    }
    if by_angle[0]:
        answers["Length or direction?"] = check_cosine(by_angle[1] / by_angle[0], recording)
    guess = predicted(recording, level_of(recording, "fine"), kept[-1])
    wrong = guess != fine
    if "coarse" in recording.hierarchy.names and wrong.any():
        coarse = recording.hierarchy.level("coarse").labels
        near_misses = (coarse(guess) == coarse(fine))[wrong].mean()
        answers["Wrong in the right place:"] = check_near_misses(near_misses, recording)
    return {title: found.message for title, found in answers.items()}
