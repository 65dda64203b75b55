"""Checkers of the chapter "Does it hold elsewhere?"."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from ssl_companion.chapters.analysis.classifiers import correlation
from ssl_companion.chapters.analysis.generality import PROPERTIES
from ssl_companion.chapters.claims import claim
from ssl_companion.chapters.claims.many_runs import properties
from ssl_companion.chapters.exercises import (
    ELSE,
    NotYet,
    call,
    checker,
    checker_of_number,
    near,
    word_of,
)


@checker
def check_wilson(wilson: Any) -> str:
    """A function of hits and runs: the lower end of Wilson's 95% interval."""

    def interval(k: int, n: int, level: float = 0.95, method: str = "wilson") -> Any:
        return stats.binomtest(k, n).proportion_ci(level, method=method)

    for k, n in ((9, 10), (18, 20), (20, 20), (3, 7), (1, 30)):
        hints = {
            k / n - 1.96 * math.sqrt(k / n * (1 - k / n) / n): "that is the textbook interval, "
            "which has no width at all when all runs hold; Wilson's is another.",
            interval(k, n, method="exact").low: "that is the exact interval, which is wider; take "
            "Wilson's.",
            interval(k, n).high: "that is the upper end.",
            interval(
                k, n, 0.9
            ).low: "95% lie within the interval: what is left out is split between both ends.",
            k / n: "that is the share itself; how low could it be among all runs there might be?",
            ELSE: f"for {k} of {n} runs: scipy.stats.binomtest(k, n) has a method that gives "
            "intervals, in ways that go by the names of their authors.",
        }
        near(call(wilson, k, n), interval(k, n).low, hints, 1e-4)
    return (
        f"even 20 of 20 leave room for {1 - interval(20, 20).low:.0%} that fail. A share of a few "
        "runs is a coarse number, however exactly each run was measured."
    )


@checker
def check_weakest(answer: Any, table: pd.DataFrame) -> str:
    """The property that most runs miss, or "none"."""
    words = f"{', '.join(PROPERTIES)}, or 'none'."
    try:
        answer = word_of(answer)
    except NotYet as hint:
        raise NotYet(f"{hint} Expected one of the words {words}") from None
    if answer not in (*PROPERTIES, "none"):
        raise NotYet(f"{answer!r} is no property; expected {words}")
    held = properties(table)
    missed = {name: int((~held[name].astype(bool)).sum()) for name in PROPERTIES}
    worst = max(missed.values())
    if worst == 0 and answer == "none":
        return "no run misses any of them."
    if worst == 0:
        raise NotYet("does any run miss that one at all?")
    if answer == "none":
        raise NotYet("some are missed: properties(table) has a column of truth values for each.")
    if missed[answer] < worst:
        raise NotYet(
            "there is one that more runs miss. properties(table) has a column of truth values for "
            "each: count the false, not the true."
        )
    counted = ", ".join(f"{name} {count}" for name, count in missed.items())
    return (
        f"misses of {len(table)} runs: {counted}. Four conditions at once are stricter than any "
        "of them; reporting only the mildest would give a better share."
    )


@checker_of_number
def check_without(answer: float, table: pd.DataFrame) -> str:
    """The lowest share of runs that hold when one family is left out."""
    holds = properties(table)["holds"].to_numpy(bool)
    family = table["family"].to_numpy()
    shares = {f: holds[family != f].mean() for f in np.unique(family) if (family != f).any()}
    if not shares:
        raise NotYet("there is one family only: record more of them.")
    lowest, of = min((value, name) for name, value in shares.items())
    hints = {
        min(holds[family == f].mean() for f in shares): "that is the share *within* one family; "
        "leave it out instead.",
        max(shares.values()): "that is the highest of them.",
        1 - lowest: "that is the share that does not hold.",
        holds.mean(): "that is the share of all runs.",
        ELSE: "for each family, take the runs that do not belong to it, and the share of them that "
        "holds; then the lowest of those shares.",
    }
    near(answer, lowest, hints)
    return (
        f"{lowest:.0%} without {of}, {holds.mean():.0%} of all runs. The share belongs to the "
        "settings that somebody chose to record, not to all settings there could be."
    )


@checker_of_number
def check_threshold(answer: float, table: pd.DataFrame) -> str:
    """The largest least ratio that three quarters of the runs still reach."""
    ratios = np.sort(table["ratio"].to_numpy(np.float64))
    needed = math.ceil(claim("generality").rule.least * len(ratios))
    expected, reach = ratios[-needed], np.mean(ratios >= answer)
    hints = {
        ratios[needed - 1]: "sorted the other way: three quarters are to lie at or above it, not "
        "below.",
        ELSE: f"{reach:.0%} of the runs reach a ratio of {answer:.3f}: look for the largest "
        f"number that at least {needed} of the {len(ratios)} reach.",
    }
    near(answer, expected, hints)
    return (
        f"{expected:.2f}, and the threshold was {claim('clustering').rule.least:g}. How close the "
        "two are shows how much the answer depends on the threshold. A rule is there to prevent "
        "moving it after seeing the results."
    )


@checker_of_number
def check_start(answer: float, table: pd.DataFrame) -> str:
    """Spearman's correlation over runs of the start and the ratio."""
    start, ratio, end = (table[name] for name in ("start", "ratio", "ncc"))
    expected = correlation(start, ratio, resamples=1).value
    shared = "nearly: runs of equal numbers share a rank, the mean of their places."
    hints = {
        _without_ties(start, ratio, "quicksort"): shared,
        _without_ties(start, ratio, "stable"): shared,
        correlation(start, ratio, "pearson", resamples=1).value: "that is Pearson's; take the "
        "ranks.",
        correlation(start, end, resamples=1).value: "that is with the accuracy at the end, not "
        "with the ratio.",
        -expected: "the sign is lost: which way do the two go together?",
        ELSE: "use two columns of the table: the accuracy before training, and the factor by which "
        "it rises.",
    }
    near(answer, expected, hints)
    what = (
        "a low start does not go with a large ratio here, nor with a small one"
        if abs(expected) < 0.3
        else "the lower a run begins, the larger its ratio"
        if expected < 0
        else "a low start goes with a small ratio here"
    )
    return (
        f"{expected:+.2f}: {what}. A ratio has its start in the denominator, so settings whose "
        "untrained networks differ should be compared with care."
    )


def _without_ties(x: pd.Series, y: pd.Series, kind: Literal["quicksort", "stable"]) -> float:
    """A likely slip: Spearman's correlation by two argsorts, which tear equal numbers apart."""
    a, b = (v.to_numpy().argsort(kind=kind).argsort() for v in (x, y))
    return float(np.corrcoef(a, b)[0, 1])
