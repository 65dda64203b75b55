"""Checkers of the chapter "From clusters to classifiers"."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy import stats

from ssl_companion.chapters.analysis import classifiers
from ssl_companion.chapters.analysis.accuracies import level_of, predicted
from ssl_companion.chapters.exercises import (
    Checked,
    array_of,
    call,
    hint,
    near,
    number_of,
    of_number,
    right,
)
from ssl_companion.measures import LinearProbe, NearestCentroid
from ssl_companion.recordings import Recording


@of_number
def check_factor(answer: float, recording: Recording, level: str) -> Checked:
    """Linear accuracy at the last probed epoch over that at the first, last layer."""
    table = classifiers.probe_accuracies_over_epochs(recording, level)
    ends = table.iloc[[0, -1]]
    before, after = ends["linear"].to_numpy()
    clusters = float(ends["ncc"].iloc[1] / ends["ncc"].iloc[0])
    slips = {
        clusters: "that is the factor of the NCC accuracy.",
        after: "that is the accuracy at the last epoch; by which factor is it larger than before?",
        after - before: "that is a difference; a factor is a ratio.",
        before / after: "the other way round: after over before.",
    }
    expected = float(after / before)
    return near(
        answer,
        expected,
        1e-3,
        slips,
        "divide the linear probe's accuracy at the last epoch of the table by that at the first.",
        f"a factor of {expected:.2f}, against {clusters:.2f} for the nearest class mean. The "
        "probe starts higher, because a linear classifier reads classes that do not cluster.",
    )


def check_linear_rule(function: Any) -> Checked:
    """Class means [K, D] to the weights [K, D] and biases [K] of the same classifier."""
    rng = np.random.default_rng(0)
    for shift in (0.0, 3.0):
        means = rng.normal(size=(7, 5)) + shift
        x = rng.normal(size=(400, 5)) + shift
        found = call(function, means)
        if isinstance(found, Checked):
            return found
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            return hint("expected two arrays, weights [K, D] and biases [K].")
        weights, biases = (array_of(part) for part in found)
        if isinstance(weights, Checked):
            return weights
        if isinstance(biases, Checked):
            return biases
        if weights.shape != means.shape or biases.shape != (7,):
            return hint(f"expected shapes (7, 5) and (7,), these are {weights.shape} and "
                        f"{biases.shape}.")  # fmt: skip
        own = (x @ weights.T + biases).argmax(axis=1)
        wanted = NearestCentroid.from_centroids(means).predict(x)
        agree = float(np.mean(own == wanted))
        if agree < 1:
            return hint(
                f"your classifier agrees with the nearest mean on {agree:.0%} of random points. "
                "Expand the squared distance: which of its three parts is the same for every "
                "class, and what is left of the others?"
            )
    return right(
        "so the nearest class mean is a linear classifier, one among all that a probe can "
        "choose from. It is the one that needs no training."
    )


@of_number
def check_agreement(answer: float, recording: Recording, level: str) -> Checked:
    """Share of the kept held-out images on which the two classifiers agree, last epoch."""
    expected, hits = _agreement(recording, level)
    return near(
        answer,
        expected,
        0.005,
        {
            hits[0]: "that is the accuracy of the nearest mean; compare the two with each other.",
            hits[1]: "that is the accuracy of the probe; compare the two with each other.",
            1 - expected: "that is the share on which they differ.",
        },
        "expected the share of kept held-out images to which both classifiers, at the last kept "
        "epoch, give the same class, right or wrong.",
        f"they agree on {expected:.0%} of the images; the nearest mean is right on {hits[0]:.0%} "
        f"and the probe on {hits[1]:.0%}. In the terminal phase of supervised training their "
        "agreement goes to one: that is the fourth property of neural collapse, NC4.",
    )


@functools.lru_cache(maxsize=4)
def _agreement(recording: Recording, level: str) -> tuple[float, tuple[float, float]]:
    chosen, epoch = level_of(recording, level), recording.kept_epochs()[-1]
    y, z = (chosen.labels(recording.fine(split)) for split in ("train", "test"))
    probe = LinearProbe(l2=1e-2, max_iter=100).fit(recording.features(epoch, None, "train"), y)
    linear = np.asarray(probe.predict(recording.features(epoch)))
    nearest = predicted(recording, chosen, epoch)
    right_ones = (float(np.mean(nearest == z)), float(np.mean(linear == z)))
    return float(np.mean(linear == nearest)), right_ones


def check_permutation(function: Any) -> Checked:
    """(x, y, permutations, seed) to the two-sided p-value of Spearman's correlation."""
    x, orders = np.arange(12.0), 199
    for y, words in ((x, "perfectly correlated"), (-x, "perfectly anticorrelated")):
        p = number_of(call(function, x.copy(), y.copy(), orders, 0))  # who shuffles in place may
        if isinstance(p, Checked):
            return p
        if not 0 < p <= 1:
            return hint(f"for {words} numbers your p-value is {p:g}. Count the data themselves "
                        "as one of the orders: a p-value is never zero.")  # fmt: skip
        if p > 0.02:
            return hint(f"for twelve {words} pairs your p-value is {p:g}: hardly any order should "
                        "reach a correlation as large, in either direction.")  # fmt: skip
        if abs(p * (orders + 1) - round(p * (orders + 1))) > 1e-6:
            return hint(f"with {orders} random orders your p-value is {p:g}. Of how many orders is "
                        "that a share, the data's own among them?")  # fmt: skip
    far = x.copy()
    far[6] = 1e6  # of ranks it is one of twelve; of numbers it is all there is
    p = number_of(call(function, x.copy(), far, orders, 0))
    if isinstance(p, Checked):
        return p
    if p > 0.05:
        return hint(f"with one pair far away and the others in order your p-value is {p:g}: "
                    "Spearman's correlation is one of ranks.")  # fmt: skip
    rng = np.random.default_rng(1)
    chance = []
    for seed in range(10):
        p = number_of(call(function, *rng.normal(size=(2, 12)), orders, seed))
        if isinstance(p, Checked):
            return p
        chance.append(p)
    if not 0.2 < float(np.mean(chance)) < 0.8:
        return hint(f"for ten sets of unrelated pairs your p-values average {np.mean(chance):.2f}; "
                    "they should lie evenly between 0 and 1.")  # fmt: skip
    return right(
        "it asks nothing of the numbers but that, if nothing relates them, one order is as good "
        "as another. That is what fails along a single run: its epochs have an order of their own."
    )


def check_partial(function: Any, recording: Recording, level: str) -> Checked:
    """(x, y, z) to Spearman's correlation of x and y with z held fixed."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=60)
    noise = rng.normal(size=(2, 60))
    cases = (
        ("a common cause and nothing else", z + 0.3 * noise[0], z + 0.3 * noise[1]),
        ("a link of their own", z + noise[0], z + noise[0] + 0.5 * noise[1]),
    )
    for words, x, y in cases:
        r = np.corrcoef([stats.rankdata(v) for v in (x, y, z)])
        free = r[0, 1] - r[0, 2] * r[1, 2]
        slips = {
            float(r[0, 1]): "that is the correlation with z left free.",
            float(free): "that is the numerator alone.",
            float(
                free / ((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
            ): "mind the root below the line.",
            partial(x, y, z, ranks=False): "that is of the values as they are: rank them first.",
        }
        expected = partial(x, y, z)
        text = f"where x and y have {words}, expected another value. Work on ranks throughout."
        found = near(call(function, x, y, z), expected, 1e-6, slips, text, "")
        if not found.ok:
            return found
    table = classifiers.probe_accuracies_over_epochs(recording, level)
    ncc, linear, epoch = (table[c].to_numpy(np.float64) for c in ("ncc", "linear", "epoch"))
    free, fixed = float(stats.spearmanr(ncc, linear)[0]), partial(ncc, linear, epoch)
    if np.isfinite(fixed):
        held = f"with the epoch held fixed it is {fixed:.2f}. What is lost on the way is"
    else:
        held = (
            "with the epoch held fixed nothing is left to correlate, because one of the two "
            "follows the epochs exactly. The correlation is"
        )
    return right(
        f"over the epochs of this run NCC and linear accuracy have a correlation of {free:.2f}; "
        f"{held} what a clock would have predicted as well."
    )


def partial(x: np.ndarray, y: np.ndarray, z: np.ndarray, ranks: bool = True) -> float:
    """Spearman's partial correlation of x and y given z (all [N]), Pearson's without ranks; NaN
    where it is not defined."""
    r = np.corrcoef([stats.rankdata(v) if ranks else v for v in (x, y, z)])
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
        return float((r[0, 1] - r[0, 2] * r[1, 2]) / scale)
