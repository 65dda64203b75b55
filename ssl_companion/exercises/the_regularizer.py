"""Checkers of the chapter "The regularizer does it"."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations, permutations
from typing import Any

import numpy as np

from ssl_companion.exercises import Checked, call, hint, near, right
from ssl_companion.findings import interventions
from ssl_companion.measures import effective_rank
from ssl_companion.recordings import Recording
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.objectives import vicreg


def check_collapse(answer: Any) -> Checked:
    """VICReg's total where all embeddings are the same."""
    import torch

    z = torch.zeros(4, 4)
    expected = float(vicreg(z, z).total)
    return near(
        answer,
        expected,
        0.01,
        {
            0.0: "the invariance is 0, but what does the variance term ask of each dimension?",
            25.0: "nearly: which standard deviation does the constant under the root leave?",
            expected / 25: "that is the term as it is; the objective weights it.",
            2 * expected: "the variance term is halved over the two views.",
        },
        "take the three terms one by one: which of them are zero if nothing differs?",
        f"{expected:.2f}. Whatever the network does, it can always have this total; training "
        "begins to say something once the total is well below.",
    )


def check_directions(function: Any, recording: Recording) -> Checked:
    """A function: features [N, D] to their effective rank."""
    rng = np.random.default_rng(0)
    line = rng.normal(size=(50, 1)) * np.array([[1.0, 2.0, -1.0]])
    cases = {
        "points on a line": (line, 1.0),
        "points that vary equally along four directions": (np.vstack([np.eye(4), -np.eye(4)]), 4.0),
        "points far from the origin": (line + 100.0, 1.0),
    }
    for words, (points, expected) in cases.items():
        otherwise = f"for {words} the effective rank is {expected:g}."
        if words.endswith("origin"):
            otherwise += " Variance is taken about the mean."
        slips = {math.log(expected): "that is the entropy; take its exponential."}
        found = near(call(function, points), expected, 1e-6, slips, otherwise, "")
        if not found.ok:
            return found
    z = rng.normal(size=(200, 5)) * np.array([3.0, 2.0, 1.0, 0.5, 0.1])
    found = near(
        call(function, z),
        effective_rank(z, of="variance"),
        1e-6,
        {_of_deviations(z): "those are shares of standard deviations: square the singular values."},
        "on random points with unequal directions the value differs: are the shares those of "
        "the variance, and do they add up to one?",
        "",
    )
    if not found.ok:
        return found
    first, last = (recording.kept_epochs()[i] for i in (0, -1))
    begun, ended = (effective_rank(recording.features(e), of="variance") for e in (first, last))
    return right(
        f"in this run the effective rank goes from {begun:.1f} before training to {ended:.1f} "
        f"after it, of {recording.features(last).shape[1]} dimensions. Compare it with the runs "
        "that lack the regularizer."
    )


def _of_deviations(x: np.ndarray) -> float:
    s = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    p = s / s.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def check_fall(answer: Any, recording: Recording) -> Checked:
    """The regularizer's share of the fall of the total, a fraction that may exceed 1."""
    table = interventions.decrease(recording)
    regularizes = (table["kind"] == "regularizer").to_numpy()
    expected = float(table.loc[regularizes, "share"].sum())
    raw = (table["first"] - table["last"]).to_numpy()
    slips = {
        1 - expected: "that is the share of the invariance.",
        float(raw[regularizes].sum() / raw.sum()): "weight the terms as the total does.",
        100 * expected: "as a fraction, please, not in per cent.",
    }
    return near(
        answer,
        expected,
        1e-3,
        {slip: words for slip, words in slips.items() if abs(slip - expected) > 2e-3},
        "weight each term, take first epoch minus last, and divide the regularizer's part by the "
        "sum over all terms.",
        f"{expected:.0%} of the fall. It can exceed 100%, because a term that rises makes a "
        "negative share.",
    )


def check_dose(plan: Any, recording: Recording) -> Checked:
    """An `ObjectiveConfig` with the recipe's total dose, all of it in the first half."""
    if not isinstance(plan, ObjectiveConfig):
        return hint(f"expected an ObjectiveConfig, this is a {type(plan).__name__}.")
    epochs = int(recording.run["config"]["epochs"])
    factors = np.array([plan.regularizer_at(epoch) for epoch in range(epochs)])
    half = epochs // 2
    if plan.invariance != 1 or plan.variance != 1 or plan.covariance != 1:
        return hint("leave the other factors alone: two changes at once answer no question.")
    if factors[half + epochs % 2 :].any():
        return hint(f"the regularizer still acts in the second half of the {epochs} epochs.")
    if abs(factors.sum() - epochs) > 1e-6 * epochs:
        return hint(
            f"the recipe's dose, summed over its epochs, is {epochs}; this plan's is "
            f"{factors.sum():.3g}."
        )
    return right(
        f"a factor of {factors.max():g} in the first {int((factors > 0).sum())} epochs and none "
        "after. If this run clusters as the recipe does, only the dose matters; if not, its time "
        "does too."
    )


def check_three(function: Any) -> Checked:
    """Shapley's division for any number of terms."""
    rng = np.random.default_rng(0)
    terms = ("invariance", "variance", "covariance")
    games: dict[str, Callable[[frozenset[str]], float]] = {
        "where every term adds 1 whatever is there": lambda s: float(len(s)),
        "where only all three together gain 6": lambda s: 6.0 * (len(s) == 3),
    }
    table = {frozenset(c): float(rng.normal()) for n in range(1, 4) for c in combinations(terms, n)}
    games["with eight gains drawn at random"] = lambda s: table.get(s, 0.0)
    for words, gain in games.items():
        credit = call(function, terms, gain)
        if isinstance(credit, Checked):
            return credit
        if not isinstance(credit, dict) or set(credit) != set(terms):
            return hint("expected a dictionary with one credit for each of the terms.")
        if abs(sum(credit.values()) - gain(frozenset(terms))) > 1e-9:
            return hint(f"in the game {words}, the credits do not add up to the whole gain.")
        expected = _shapley(terms, gain)
        if any(abs(credit[term] - expected[term]) > 1e-9 for term in terms):
            return hint(
                f"in the game {words}, the credits add up but are divided otherwise: average "
                "over all orders, with what was added before a term as its background."
            )
    return right(
        "the only division that is symmetric, gives nothing to a term that never adds anything, "
        "and adds up. It needs a run for every subset of the terms: with three, eight runs."
    )


def _shapley(terms: tuple[str, ...], gain: Callable[[frozenset[str]], float]) -> dict[str, float]:
    orders = list(permutations(terms))
    credit = dict.fromkeys(terms, 0.0)
    for order in orders:
        for i, term in enumerate(order):
            credit[term] += gain(frozenset(order[: i + 1])) - gain(frozenset(order[:i]))
    return {term: value / len(orders) for term, value in credit.items()}
