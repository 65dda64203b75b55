"""Checkers of the chapter "From clusters to classifiers"."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy import stats

from ssl_companion.chapters.analysis import classifiers
from ssl_companion.chapters.analysis.accuracies import level_of, predicted
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
from ssl_companion.measures import LinearProbe, NearestCentroid
from ssl_companion.recordings import Recording


@checker_of_number
def check_factor(answer: float, recording: Recording, level: str) -> str:
    """Linear accuracy at the last probed epoch over that at the first, last layer."""
    ends = classifiers.probe_accuracies_over_epochs(recording, level).iloc[[0, -1]]
    before, after = ends["linear"].to_numpy()
    clusters = ends["ncc"].iloc[1] / ends["ncc"].iloc[0]
    hints = {
        clusters: "that is the factor of the NCC accuracy.",
        after: "that is the accuracy at the last epoch; by which factor is it larger than before?",
        after - before: "that is a difference; a factor is a ratio.",
        before / after: "the other way round: after over before.",
        ELSE: "divide the linear probe's accuracy at the last epoch of the table by that at the "
        "first.",
    }
    near(answer, after / before, hints, 1e-3)
    return (
        f"a factor of {after / before:.2f}, against {clusters:.2f} for the nearest class mean. The "
        "probe starts higher, because a linear classifier can use structure that is not a cluster."
    )


@checker
def check_linear_rule(function: Any) -> str:
    """Class means [K, D] to the weights [K, D] and biases [K] of the same classifier."""
    rng = np.random.default_rng(0)
    for shift, (k, d) in ((0.0, (7, 5)), (3.0, (7, 5)), (1.0, (4, 9))):
        means = rng.normal(size=(k, d)) + shift
        x = rng.normal(size=(400, d)) + shift
        found = call(function, means)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise NotYet("expected two arrays, weights [K, D] and biases [K].")
        weights, biases = (array_of(part) for part in found)
        if weights.shape != means.shape or biases.shape != (k,):
            raise NotYet(
                f"expected shapes {means.shape} and ({k},), these are {weights.shape} and "
                f"{biases.shape}."
            )
        own = (x @ weights.T + biases).argmax(axis=1)
        agree = np.mean(own == NearestCentroid.from_centroids(means).predict(x))
        if agree < 1:
            raise NotYet(
                f"your classifier agrees with the nearest mean on {agree:.0%} of random points. "
                "Expand the squared distance: which of its three parts is the same for every "
                "class, and what is left of the others?"
            )
    return (
        "so the nearest class mean is a linear classifier, one of all those that a probe can "
        "choose from, and it needs no training."
    )


@checker_of_number
def check_agreement(answer: float, recording: Recording, level: str) -> str:
    """Share of the kept held-out images on which the two classifiers agree, last epoch."""
    expected, nearest, linear = _agreement(recording, level)
    hints = {
        nearest: "that is the accuracy of the nearest mean; compare the two with each other.",
        linear: "that is the accuracy of the probe; compare the two with each other.",
        1 - expected: "that is the share on which they differ.",
        ELSE: "expected the share of kept held-out images for which both classifiers predict the "
        "same class at the last kept epoch, right or wrong.",
    }
    near(answer, expected, hints, 0.005)
    return (
        f"they agree on {expected:.0%} of the images; the nearest mean is right on {nearest:.0%} "
        f"and the probe on {linear:.0%}. In the terminal phase of supervised training their "
        "agreement approaches one: this is the fourth sign of neural collapse, NC4."
    )


@functools.lru_cache(maxsize=4)
def _agreement(recording: Recording, level: str) -> tuple[float, float, float]:
    """How often the two classifiers agree, and the accuracy of each: nearest mean, probe."""
    chosen, epoch = level_of(recording, level), recording.kept_epochs()[-1]
    y, z = (chosen.labels(recording.fine(split)) for split in ("train", "test"))
    probe = LinearProbe(l2=1e-2, max_iter=100).fit(recording.features(epoch, None, "train"), y)
    linear = np.asarray(probe.predict(recording.features(epoch)))
    nearest = predicted(recording, chosen, epoch)
    return float(np.mean(linear == nearest)), float(np.mean(nearest == z)), np.mean(linear == z)


@checker
def check_permutation(function: Any) -> str:
    """(x, y, permutations, seed) to the two-sided p-value of Spearman's correlation."""
    x, orders = np.arange(12.0), 199

    def p_value(pair: Any, seed: int = 0) -> float:
        x, y = (values.copy() for values in pair)  # who shuffles in place may
        return number_of(call(function, x, y, orders, seed))

    for y, words in ((x, "perfectly correlated"), (-x, "perfectly anticorrelated")):
        p = p_value((x, y))
        if not 0 < p <= 1:
            raise NotYet(
                f"for {words} numbers your p-value is {p:g}. Count the data themselves as one of "
                "the orders: a p-value is never zero."
            )
        if p > 0.02:
            raise NotYet(
                f"for twelve {words} pairs your p-value is {p:g}: hardly any order should reach a "
                "correlation as large, in either direction."
            )
        if abs(p * (orders + 1) - round(p * (orders + 1))) > 1e-3:
            raise NotYet(
                f"with {orders} random orders your p-value is {p:g}. Of how many orders is that a "
                "share, the data's own among them?"
            )
    far = x.copy()
    far[6] = 1e6  # of ranks it is one of twelve; of numbers it is all there is
    if (p := p_value((x, far))) > 0.05:
        raise NotYet(
            f"with one pair far away and the others in order your p-value is {p:g}: Spearman's "
            "correlation is one of ranks."
        )
    rng = np.random.default_rng(1)
    chance = np.mean([p_value(rng.normal(size=(2, 12)), seed) for seed in range(10)])
    if not 0.2 < chance < 0.8:
        raise NotYet(
            f"for ten sets of unrelated pairs your p-values average {chance:.2f}; they should lie "
            "evenly between 0 and 1."
        )
    for x, y, expected in _some_related():
        p, slack = p_value((x, y)), 5 * np.sqrt(expected * (1 - expected) / orders) + 2 / orders
        if abs(p - expected) > slack:
            raise NotYet(
                f"for twelve pairs with a rank correlation of {stats.spearmanr(x, y)[0]:+.2f} "
                f"your p-value is {p:g}; about {expected:.0%} of all orders have one as large, in "
                "either direction."
            )
    return (
        "the test assumes only that every order is equally likely if x and y are unrelated. This "
        "fails along a single run, whose epochs have an order of their own."
    )


@functools.lru_cache(maxsize=1)
def _some_related() -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Twelve pairs, more and less related, each with the p-value of many orders."""
    rng, found = np.random.default_rng(2), []
    for slope in (0.0, -0.2, 0.3, -0.4, 0.5, 0.6, -0.8, 1.0):
        x = rng.normal(size=12)
        y = slope * x + rng.normal(size=12)
        a, b = (stats.zscore(stats.rankdata(values)) for values in (x, y))
        others = np.abs(rng.permuted(np.tile(b, (5000, 1)), axis=1) @ a)
        found.append((x, y, float(np.mean(others >= abs(a @ b) - 1e-9))))
    return found


@checker
def check_partial(function: Any, recording: Recording, level: str) -> str:
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
        above, below = r[0, 1] - r[0, 2] * r[1, 2], (1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)
        hints = {
            r[0, 1]: "that is the correlation with z left free.",
            above: "that is the numerator alone.",
            above / below: "mind the root below the line.",
            partial(x, y, z, ranks=False): "that is of the values as they are: rank them first.",
            ELSE: f"where x and y have {words}, expected another value. Work on ranks throughout.",
        }
        near(call(function, x, y, z), partial(x, y, z), hints)
    table = classifiers.probe_accuracies_over_epochs(recording, level)
    ncc, linear, epoch = (table[c].to_numpy(np.float64) for c in ("ncc", "linear", "epoch"))
    free, fixed = float(stats.spearmanr(ncc, linear)[0]), partial(ncc, linear, epoch)
    held = (
        f"with the epoch held fixed it is {fixed:.2f}. The difference is"
        if np.isfinite(fixed)
        else "with the epoch held fixed nothing is left to correlate, because one of the two "
        "follows the order of the epochs exactly. The correlation is"
    )
    return (
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
