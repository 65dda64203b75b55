"""Checkers of the chapter "Compression"."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ssl_companion.exercises import Checked, call, hint, near, number_of, right
from ssl_companion.findings.compression import share_within
from ssl_companion.findings.noise import over_noise
from ssl_companion.measures import (
    coding_rate_given,
    directions,
    kde_information_bounds,
    variance_share_within,
)
from ssl_companion.recordings import Recording

_LEVELS = (1e-4, 1.0)


def check_ceiling(bound: Any) -> Checked:
    """Both bounds for k equally large classes, each a point, far apart: log k."""
    for k in (2, 10, 100):
        found = near(
            call(bound, k),
            math.log(k),
            1e-6,
            {
                math.log2(k): "that is in bits; the bounds are in nats.",
                math.log10(k): "nats come from the natural logarithm.",
                float(k): "that is how many points can be told apart; information is a logarithm.",
                -math.log(k): "mind the sign in front of the sum.",
            },
            f"take k = {k}. From one view, a share of all views is at distance zero, and all "
            "others are too far to count: what is the mean of the exponentials?",
            "",
        )
        if not found.ok:
            return found
    # The same through the estimator itself, so that the answer is more than an agreement.
    k, each = 10, 20
    points = np.repeat(np.eye(k), each, axis=0)
    bounds = kde_information_bounds(points, 1e-3)
    return right(
        f"the information is that about the class and no more. Tried on {k} points with {each} "
        f"views each: {bounds.lower:.3f} and {bounds.upper:.3f} nats, and log {k} is "
        f"{math.log(k):.3f}. Where the bounds meet, nothing is left to doubt."
    )


def check_share(share: Any, recording: Recording) -> Checked:
    """Share of the variance within samples at the last kept epoch."""
    epoch = recording.kept_epochs()[-1]
    views, image = recording.sample_views(epoch)
    means = recording.sample_means(epoch)
    expected = share_within(views, image, means)
    own = variance_share_within(views, image)
    return near(
        share,
        expected,
        1e-3 * max(expected, 0.01),
        {
            1 - expected: "that is the share between samples.",
            expected / (1 - expected): "that is within over between; divide by their sum.",
            own: "that takes the means of the judged views themselves, which lie too near to "
            "them: there are only a few of each image. Use `sample_means`.",
        },
        "two mean squared distances: from each view to the mean of its own image, and from the "
        "means to their common centre. Sum the squares over the dimensions before you average.",
        f"{expected:.1%}. With the means of the judged views themselves it would have been "
        f"{own:.1%}: a mean of few points lies too near to its own points.",
    )


def check_shuffled(saved: Any, recording: Recording) -> Checked:
    """The rate given shuffled classes, less that given the classes, at the last kept epoch."""
    views, image = recording.sample_views(recording.kept_epochs()[-1])
    classes, toward = recording.fine("sample"), directions(views)
    given = coding_rate_given(toward, classes[image])
    rng = np.random.default_rng(1)
    chance = np.array(
        [coding_rate_given(toward, rng.permutation(classes)[image]) for _ in range(8)]
    )
    by_view = coding_rate_given(toward, rng.permutation(classes[image]))
    expected, room = float(chance.mean() - given), 5 * float(chance.std(ddof=1)) + 1e-6
    return near(
        saved,
        expected,
        room,
        {
            by_view - given: "did views of one image end up in different groups? Shuffle the "
            "classes among the images, then give each view its image's.",
            -expected: "the other way round: the shuffled rate less the rate given the classes.",
            given: "that is the rate given the classes; compare it with shuffled ones.",
        },
        "the rate with `rng.permutation(classes)[image]` as the groups, less the rate with "
        "`classes[image]`; both of the directions of the views.",
        f"{expected:.2f} nats a view are owed to the classes. The rate of everything, less the "
        f"rate given the classes, is far more than that, and most of it is the small groups.",
    )


def check_absolute(change: Any, recording: Recording) -> Checked:
    """Change of the lower bound under noise of a fixed size."""
    kept = recording.kept_epochs()
    before, after = (recording.sample_views(epoch)[0] for epoch in (kept[0], kept[-1]))
    s2 = 0.01 * float(before.var(axis=0, dtype=np.float64).sum())

    def gained(noise: float, relative: bool) -> float:
        lower = [kde_information_bounds(x, noise, relative).lower for x in (before, after)]
        return lower[1] - lower[0]

    expected, related = gained(s2, False), gained(0.01, True)
    return near(
        change,
        expected,
        1e-3,
        {
            -expected: "the last epoch less the first.",
            related: "that is noise relative to each epoch's own variance: pass `relative=False` "
            "and the variance of the first epoch.",
            gained(s2 / before.shape[1], False): "sum the variance over the dimensions instead of "
            "averaging it.",
            gained(math.sqrt(s2), False): "the argument is the variance of the noise, not its "
            "standard deviation.",
        },
        "take the variance of the views at the first epoch, summed over the dimensions; a "
        "hundredth of it is the noise at both epochs.",
        f"{expected:+.2f} nats with noise of a fixed size, {related:+.2f} with noise relative to "
        f"each epoch's variance, which changed by a factor of "
        f"{float(after.var(axis=0).sum() / before.var(axis=0).sum()):.3g}. The choice of the unit "
        "is a choice of the result.",
    )


def check_choose(noise: Any, recording: Recording) -> Checked:
    """A noise at which the bound given the sample falls nearly as far as it can."""
    value = number_of(noise)
    if isinstance(value, Checked):
        return value
    if not _LEVELS[0] <= value <= _LEVELS[1]:
        return hint(f"{value:g} is outside the range from {_LEVELS[0]:g} to {_LEVELS[1]:g}.")
    grid = np.geomspace(*_LEVELS, 9).tolist()
    tried = over_noise(recording, [*grid, value], halves=0, total=False)
    falls = [tried[v].falls()["value"].iloc[0] for v in (*grid, value)]
    own, best = falls[-1], max(falls[:-1])
    if best <= 0:
        return right("at no level does it fall: this run does not compress by this estimator.")
    if own < 0.9 * best:
        return hint(
            f"at {value:g} the lower bound falls by {own:.1%}; there is a level with more. Where "
            "is the curve in the right panel of the figure highest?"
        )
    few, many = falls[0], falls[len(grid) - 1]
    return right(
        f"at {value:g} it falls by {own:.1%}; at the least noise by {few:.1%}, at the most by "
        f"{many:.1%}. The same run, the same estimator: a number of compression without its "
        "noise says nothing."
    )
