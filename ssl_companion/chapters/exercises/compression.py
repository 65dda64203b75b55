"""Checkers of the chapter "Compression"."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ssl_companion.chapters.analysis.compression import share_within
from ssl_companion.chapters.analysis.conditional_entropy import before_and_after
from ssl_companion.chapters.exercises import ELSE, NotYet, call, checker, checker_of_number, near
from ssl_companion.measures import (
    coding_rate,
    coding_rate_given,
    directions,
    kde_information_bounds,
    variance_share_within,
)
from ssl_companion.recordings import Recording

_LEVELS = (1e-3, 10.0)


@checker
def check_ceiling(bound: Any) -> str:
    """Both bounds for k equally large classes, each a point, far apart: log k."""
    for k in (2, 10, 100):
        hints = {
            math.log2(k): "that is in bits; the bounds are in nats.",
            math.log10(k): "nats come from the natural logarithm.",
            k: "that is the number of distinguishable points; information is a logarithm.",
            -math.log(k): "mind the sign in front of the sum.",
            math.log(k - 1): "a view is near those of its own class: of k points, one is near, not "
            "none.",
            ELSE: f"take k = {k}. A share of all views is at distance zero from a given view, and "
            "all others are too far to count: what is the mean of the exponentials?",
        }
        near(call(bound, k), math.log(k), hints)
    # The same through the estimator itself, so that the answer is more than an agreement.
    k, each = 10, 20
    bounds = kde_information_bounds(np.repeat(np.eye(k), each, axis=0), 1e-3)
    return (
        f"this is exactly the information about the class. With {k} points of {each} views each, "
        f"the bounds are {bounds.lower:.3f} and {bounds.upper:.3f} nats, and log {k} is "
        f"{math.log(k):.3f}. Where the two bounds meet, they are the information itself."
    )


@checker_of_number
def check_share(share: float, recording: Recording) -> str:
    """Share of the variance within samples at the last kept epoch."""
    epoch = recording.kept_epochs()[-1]
    views, image = recording.sample_views(epoch)
    means = recording.sample_means(epoch)
    expected, own = share_within(views, image, means), variance_share_within(views, image)
    between, k = 1 - expected, len(means)
    parts = (views - means[image], means - means.mean(axis=0))
    lengths = [np.linalg.norm(x, axis=1).mean() for x in parts]
    hints = {
        between: "that is the share between samples.",
        expected / between: "that is within over between; divide by their sum.",
        expected / (expected + between * k / (k - 1)): "nearly: a mean divides by N; your variance "
        "of the means divides by N - 1.",
        float(lengths[0] / sum(lengths)): "a variance is a mean of squares: square the distances "
        "before you average.",
        own: "that uses the means of the judged views themselves, which are too close to them: "
        "there are only a few of each image. Use `sample_means`.",
        ELSE: "two mean squared distances are needed: from each view to the mean of its own image, "
        "and from the means to their common centre. `means[image]` is each view's own mean.",
    }
    near(share, expected, hints, 1e-3 * max(expected, 0.01))
    return (
        f"{expected:.1%}. With the means of the judged views themselves it would have been "
        f"{own:.1%}: a mean of few points is too close to those points."
    )


@checker_of_number
def check_shuffled_classes(saved: float, recording: Recording) -> str:
    """The rate given shuffled classes minus that given the classes, at the last kept epoch."""
    views, image = recording.sample_views(recording.kept_epochs()[-1])
    classes, toward = recording.fine("sample"), directions(views)
    given = coding_rate_given(toward, classes[image])
    rng = np.random.default_rng(1)
    chance = np.array(
        [coding_rate_given(toward, rng.permutation(classes)[image]) for _ in range(8)]
    )
    # Several, as these differ among themselves by more than the tolerance.
    by_view = [coding_rate_given(toward, rng.permutation(classes[image])) for _ in range(8)]
    parted = (
        "did views of one image end up in different groups? Shuffle the classes among the images, "
        "then give each view its image's."
    )
    expected = chance.mean() - given
    hints = {
        **{rate - given: parted for rate in by_view},
        -expected: "the other way round: the shuffled rate minus the rate given the classes.",
        given: "that is the rate given the classes; compare it with shuffled ones.",
        chance.mean(): "that is the rate given shuffled classes; what does it exceed?",
        coding_rate(toward) - given: "that is what the classes save of the rate of everything. Any "
        "small groups would save most of that: compare with shuffled classes, not with all views.",
        ELSE: "two rates of the directions of the views are needed: given the class of each view's "
        "image, and given meaningless groups of the same sizes. Which is subtracted from which?",
    }
    near(saved, expected, hints, 5 * chance.std(ddof=1) + 1e-6)
    return (
        f"{expected:.2f} nats per view are due to the classes. The rate of everything minus the "
        "rate given the classes is much larger, but most of that is due to the groups being small."
    )


@checker_of_number
def check_absolute(change: float, recording: Recording) -> str:
    """Change of the lower bound under noise of a fixed size."""
    kept = recording.kept_epochs()
    before, after = (recording.sample_views(epoch)[0] for epoch in (kept[0], kept[-1]))
    first, last = (float(x.var(axis=0, dtype=np.float64).sum()) for x in (before, after))

    def gained(noise: float, relative: bool = False) -> float:
        lower = [kde_information_bounds(x, noise, relative).lower for x in (before, after)]
        return lower[1] - lower[0]

    expected, related = gained(0.01 * first), gained(0.01, relative=True)
    hints = {
        -expected: "the other way round: the last epoch minus the first.",
        related: "that is noise relative to each epoch's own variance: pass `relative=False` and "
        "the variance of the first epoch.",
        gained(0.01 * last): "that is a share of the variance at the last epoch; the unit is to be "
        "fixed at the first.",
        gained(0.01): "that is a variance of 0.01 in the features' unit; a hundredth of the "
        "variance at the first epoch is another number.",
        gained(0.01 * first / before.shape[1]): "sum the variance over the dimensions instead of "
        "averaging it.",
        gained(math.sqrt(0.01 * first)): "the argument is the variance of the noise, not its "
        "standard deviation.",
        ELSE: "take the variance of the views at the first epoch, summed over the dimensions; a "
        "hundredth of it is the noise at both epochs.",
    }
    n = len(before)  # the variance may be over N or N - 1
    other = abs(gained(0.01 * first * n / (n - 1)) - expected)
    near(change, expected, hints, max(5e-3, 1.01 * other))
    return (
        f"{expected:+.2f} nats with noise of a fixed size, {related:+.2f} with noise relative to "
        f"each epoch's variance, which changed by a factor of {last / first:.3g}. The more the "
        "variance changes, the more the choice of the unit decides the result."
    )


@checker_of_number
def check_choose(noise: float, recording: Recording) -> str:
    """A noise at which the share specific to the image in its class falls nearly as far as can."""
    if not _LEVELS[0] <= noise <= _LEVELS[1]:
        raise NotYet(
            f"expected a level of the noise from {_LEVELS[0]:g} to {_LEVELS[1]:g}; this is "
            f"{noise:g}."
        )
    levels = [*np.geomspace(*_LEVELS, 9).tolist(), noise]
    found = before_and_after(recording, noises=levels, halves=0)
    *falls, own = (found.fall("class_share", level).value for level in levels)
    best = float(np.nanmax(falls))
    if best <= 0:
        return "it falls at no level: in this run, the classes do not cluster."
    if not own >= 0.9 * best:
        raise NotYet(
            f"at {noise:g} the share falls by {own:.3f}; there is a level with more. Try levels "
            "over the whole range, each a multiple of the one before, and see which way the fall "
            "grows."
        )
    return (
        f"at {noise:g} it falls by {own:.3f}; with the least noise by {falls[0]:.3f}, and with the "
        f"most by {falls[-1]:.3f}. Same run, same measure: a number for compression means nothing "
        "without its noise."
    )
