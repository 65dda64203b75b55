"""Checkers of the chapter "Does the regularizer do it?"."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from itertools import combinations, permutations
from typing import Any

import numpy as np
import torch
from scipy.linalg import hadamard

from ssl_companion.chapters.analysis import interventions
from ssl_companion.chapters.exercises import (
    ELSE,
    SINGLE,
    NotYet,
    call,
    checker,
    checker_of_number,
    near,
    number_of,
    plain_config,
)
from ssl_companion.measures import effective_rank
from ssl_companion.recordings import Recording
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.objectives import vicreg


@checker_of_number
def check_fall(answer: float, recording: Recording) -> str:
    """The regularizer's share of the fall of the total, a fraction that may exceed 1."""
    table = interventions.decrease(recording)
    regularizes = table["kind"] == "regularizer"
    expected, raw = table.loc[regularizes, "share"].sum(), table["first"] - table["last"]
    hints = {
        1 - expected: "that is the share of the invariance.",
        raw[regularizes].sum() / raw.sum(): "weight the terms as the total does.",
        raw[regularizes].sum(): "divide by the fall of the total.",
        ELSE: "weight each term, subtract its last epoch from its first, and divide the "
        "regularizer's part by the sum over all terms.",
    }
    near(answer, expected, hints, 1e-3)
    return (
        f"{expected:.0%} of the fall. It can exceed 100%, because a term that rises has a "
        "negative share."
    )


@checker
def check_dose(plan: Any, recording: Recording) -> str:
    """An `ObjectiveConfig` with the recipe's total dose, all of it in the first half."""
    plan, epochs = plain_config(plan, ObjectiveConfig), int(recording.run["config"]["epochs"])
    factors = np.array([plan.regularizer_at(epoch) for epoch in range(epochs)], np.float64)
    if dataclasses.replace(plan, regularizer=1.0, on_from=0, on_until=-1) != ObjectiveConfig():
        raise NotYet("change nothing but the regularizer: two changes at once answer no question.")
    if factors[epochs // 2 + epochs % 2 :].any():
        raise NotYet(f"the regularizer still acts in the second half of the {epochs} epochs.")
    if abs(factors.sum() - epochs) > 1e-6 * epochs:
        raise NotYet(
            f"the recipe's dose, summed over its epochs, is {epochs}; this plan's is "
            f"{factors.sum():.3g}."
        )
    return (
        f"a factor of {factors.max():g} in the first {(factors > 0).sum()} epochs and none after. "
        "If this run clusters as well as the recipe, only the dose matters; if not, so does its "
        "timing."
    )


@checker
def check_directions(function: Any, recording: Recording) -> str:
    """A function: features [N, D] to the effective rank of their variance."""
    rng = np.random.default_rng(0)
    line = rng.normal(size=(50, 1)) * np.array([[1.0, 2.0, -1.0]])
    cases = {
        "points on a line": (line, 1.0),
        "points that vary equally along four directions": (np.vstack([np.eye(4), -np.eye(4)]), 4.0),
        "points far from the origin": (line + 100.0, 1.0),
    }
    for words, (points, expected) in cases.items():
        value = call(function, points)
        if _is_nan(value):
            raise NotYet(
                f"for {words} your value is not a number: a share of 0, or rounded to less, has "
                "no logarithm; leave it out, since it adds nothing to an entropy."
            )
        about = " Variance is measured around the mean." * words.endswith("origin")
        hints = {
            math.log(expected): "that is the entropy; take its exponential.",
            ELSE: f"for {words} the effective rank of the variance is {expected:g}.{about}",
        }
        near(value, expected, hints)
    z = rng.normal(size=(200, 5)) * np.array([3.0, 2.0, 1.0, 0.5, 0.1])
    hints = {
        _of_deviations(z): "those are shares of standard deviations: square the singular values.",
        ELSE: "on random points with unequal directions the value differs: are the shares those of "
        "the variance, and do they add up to one?",
    }
    near(call(function, z), effective_rank(z, of="variance"), hints)
    first, last = (recording.features(recording.kept_epochs()[i]) for i in (0, -1))
    begun, ended = (effective_rank(x, of="variance") for x in (first, last))
    return (
        f"in this run the effective rank of the variance goes from {begun:.1f} before training to "
        f"{ended:.1f} after it, of {last.shape[1]} dimensions. Compare it with the runs that lack "
        "the regularizer."
    )


def _is_nan(value: Any) -> bool:
    try:
        return not np.ndim(value) and math.isnan(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return False


def _of_deviations(x: np.ndarray) -> float:
    s = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    p = s / s.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


@checker
def check_degrees(function: Any, recording: Recording) -> str:
    """(d, k, sigma) to VICReg's total for d dimensions that are copies of k."""
    for d, k, sigma in ((4, 4, 0.5), (8, 2, 0.6), (2, 1, 1.0), (64, 1, 0.2), (64, 16, 1.0)):
        z = _copies(d, k, sigma)
        expected, point = float(vicreg(z, z).total), float(vicreg(0 * z, 0 * z).total)
        spread, pairs = 25 * (1 - math.sqrt(sigma**2 + 1e-4)) * (sigma < 1), d / k - 1
        both = (
            "of the covariance: it is added for both views, and the sum takes each pair of "
            "dimensions in both orders."
        )
        squares = "the covariance of two copies is their variance, and the term squares it."
        hints = {
            point: "that is the price of a point, for which sigma is 0.",
            spread: "that is the price of the spread; the copies covary as well.",
            expected - spread: "that is the price of the covariance; what does a spread below 1 "
            "cost?",
            spread + pairs * sigma**4: f"half {both}",
            spread + pairs / 2 * sigma**4: f"a quarter {both}",
            spread + 2 * d / k * sigma**4: "a dimension does not count as a copy of itself.",
            spread + 2 * d * pairs * sigma**4: "the sum over pairs is divided by the number of "
            "dimensions.",
            spread + 2 * pairs * sigma**2: squares,
            spread + 2 * pairs * sigma: squares,
            spread + 50 * pairs * sigma**4: "the weight of the covariance is 1.",
            25 * (1 - sigma**2) + 2 * pairs * sigma**4: "the variance term asks for a standard "
            "deviation, not for a variance.",
            2 * spread + 2 * pairs * sigma**4: "the variance term is halved over the views.",
            ELSE: f"for {d} dimensions, {k} of them different, and sigma {sigma:g} another total "
            "was expected. With how many others does one dimension covary, and how much?",
        }
        near(call(function, d, k, sigma), expected, hints, max(2e-3 * expected, 0.004))
    return _degrees(int(recording.run["config"]["projector_width"]))


def _copies(d: int, k: int, sigma: float) -> torch.Tensor:
    """Float64 [2k, d]: k columns without correlation, each d / k times; k is a power of two."""
    signs = torch.from_numpy(hadamard(2 * k)[:, 1 : k + 1].astype(np.float64))
    scale = sigma * math.sqrt((len(signs) - 1) / len(signs))  # the variance divides by N - 1
    return scale * signs.repeat(1, d // k)


def _degrees(d: int) -> str:
    """What the formula says of the recipe's projector, in words."""
    point, line = 25 * 0.99, 2 * max(d - 1, 1)
    sigma = min(1.0, (25 / (4 * line)) ** (1 / 3))
    best = 25 * (1 - sigma) + line * sigma**4
    least = next(k for k in range(1, d + 1) if 2 * (d / k - 1) < point)
    return (
        f"with {d} dimensions, as here, a line of full spread costs {line:,}, a point {point:g}. "
        f"The line costs least, {best:.1f}, at a standard deviation of {sigma:.2f}. Full spread is "
        f"cheaper than a point from {least} directions on. So with many dimensions, features that "
        "use few directions also have little spread: the two kinds of collapse go together. "
        "Without the covariance term, the line costs nothing."
    )


@checker
def check_three(function: Any) -> str:
    """Shapley's division for any number of terms."""
    rng = np.random.default_rng(0)
    three = ("invariance", "variance", "covariance")
    sets = {terms: _subsets(terms) for terms in (three, ("pull", "push"), ("a", "b", "c", "d"))}
    games = (
        ("where every term always adds 1", three, lambda s: float(len(s))),
        ("where only all three together gain 6", three, lambda s: 6.0 * (len(s) == 3)),
        *((f"of {len(terms)} terms with gains drawn at random", terms, lambda _: rng.normal())
          for terms in sets),
    )  # fmt: skip
    for words, terms, of_set in games:
        gain = Game({one: of_set(one) for one in sets[terms]})
        credit = call(function, terms, gain)
        if not isinstance(credit, dict) or set(map(str, credit)) != set(terms):
            raise NotYet("expected a dictionary with one credit for each of the terms.")
        credit = {str(term): value for term, value in credit.items()}
        for term, value in credit.items():
            try:
                credit[term] = number_of(value)
            except NotYet as hint:
                raise NotYet(f"the credit of {term}: {hint}") from None
        rounding = SINGLE * sum(map(abs, gain.gains.values()))
        if abs(sum(credit.values()) - gain(frozenset(terms))) > rounding:
            raise NotYet(f"in the game {words}, the credits do not add up to the whole gain.")
        expected = _shapley(terms, gain)
        if any(abs(credit[term] - expected[term]) > rounding for term in terms):
            raise NotYet(
                f"in the game {words}, the credits add up but are divided differently: average "
                "what a term adds to those before it over all orders."
            )
    return (
        "this is the only division that is symmetric, linear in the gains, gives nothing to a term "
        "that never adds anything, and adds up. It needs a run for every subset of the terms: "
        "eight runs for three terms."
    )


def _subsets(terms: tuple[str, ...]) -> list[frozenset[str]]:
    """All but the empty one."""
    sizes = range(1, len(terms) + 1)
    return [frozenset(chosen) for size in sizes for chosen in combinations(terms, size)]


class Game:
    """What each set of terms gains together; of a class that another process can read."""

    def __init__(self, gains: dict[frozenset[str], float]) -> None:
        self.gains = gains

    def __call__(self, terms: frozenset[str]) -> float:
        """The gain of a set of terms, 0 of none."""
        if not isinstance(terms, (set, frozenset)):
            raise TypeError(f"gain takes a set of terms, this is of type {type(terms).__name__}")
        return self.gains.get(frozenset(terms), 0.0)


def _shapley(terms: tuple[str, ...], gain: Callable[[frozenset[str]], float]) -> dict[str, float]:
    orders = list(permutations(terms))
    credit = dict.fromkeys(terms, 0.0)
    for order in orders:
        for i, term in enumerate(order):
            credit[term] += gain(frozenset(order[: i + 1])) - gain(frozenset(order[:i]))
    return {term: value / len(orders) for term, value in credit.items()}
