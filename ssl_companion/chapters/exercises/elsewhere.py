"""Checkers of the chapter "Does it hold elsewhere?"."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.classifiers import correlation
from ssl_companion.chapters.analysis.generality import PROPERTIES
from ssl_companion.chapters.claims import claim
from ssl_companion.chapters.claims.many_runs import properties
from ssl_companion.chapters.exercises import (
    Checked,
    call,
    hint,
    near,
    of_number,
    right,
)


def check_wilson(wilson: Any) -> Checked:
    """A function of hits and runs: the lower end of Wilson's 95% interval."""
    from scipy import stats

    for k, n in ((9, 10), (18, 20), (20, 20)):
        test = stats.binomtest(k, n)
        expected = float(test.proportion_ci(0.95, method="wilson").low)
        plain = k / n - 1.96 * math.sqrt(k / n * (1 - k / n) / n)
        found = near(
            call(wilson, k, n), expected, 1e-4,
            {plain: "that is the textbook interval, which has no width at all when all runs hold; "
             "Wilson's is another.",
             float(test.proportion_ci(0.95, method="exact").low): "that is the exact interval, "
             "which is wider; take Wilson's.",
             float(test.proportion_ci(0.95, method="wilson").high): "that is the upper end.",
             float(test.proportion_ci(0.9, method="wilson").low): "95% lie within: what is left "
             "out is shared by both ends.",
             k / n: "that is the share itself; how low could it be among all runs there might be?"},
            f"for {k} of {n} runs: scipy.stats.binomtest(k, n) has a method that gives "
            "intervals, in ways that go by the names of their authors.", "",
        )  # fmt: skip
        if not found.ok:
            return found
    low = float(stats.binomtest(20, 20).proportion_ci(0.95, method="wilson").low)
    return right(
        f"even 20 of 20 leave {1 - low:.0%} open. A share of a few runs is a coarse number, "
        "however exactly each run was measured."
    )


def check_weakest(answer: Any, table: pd.DataFrame) -> Checked:
    """The property that most runs miss, or "none"."""
    if not isinstance(answer, str):
        return hint(f"expected one of the words {', '.join(PROPERTIES)}, or 'none'.")
    if answer not in (*PROPERTIES, "none"):
        return hint(f"{answer!r} is no property; expected {', '.join(PROPERTIES)}, or 'none'.")
    held = properties(table)
    missed = {name: int((~held[name].astype(bool)).sum()) for name in PROPERTIES}
    worst = max(missed.values())
    counted = ", ".join(f"{name} {count}" for name, count in missed.items())
    if worst == 0:
        return right("no run misses any of them.") if answer == "none" else hint(
            "does any run miss that one at all?"
        )  # fmt: skip
    if answer == "none":
        return hint("some are missed: properties(table) has a column of truth values for each.")
    if missed[answer] < worst:
        return hint(
            "there is one that more runs miss. properties(table) has a column of truth values for "
            "each: count the false, not the true."
        )
    return right(
        f"misses of {len(table)} runs: {counted}. Four conditions at once are stricter than any "
        "of them; who reports only the mildest reports a better share."
    )


@of_number
def check_without(answer: float, table: pd.DataFrame) -> Checked:
    """The lowest share of runs that hold when one family is left out."""
    holds = properties(table)["holds"].to_numpy(bool)
    family = table["family"].to_numpy()
    shares = {f: float(holds[family != f].mean()) for f in np.unique(family) if (family != f).any()}
    if not shares:
        return hint("there is one family only: record more of them.")
    lowest, of = min((value, name) for name, value in shares.items())
    own = {f: float(holds[family == f].mean()) for f in shares}
    slips = {min(own.values()): "that is the share *within* one family; leave it out instead.",
             max(shares.values()): "that is the highest of them.",
             1 - lowest: "that is the share that does not hold.",
             float(holds.mean()): "that is the share of all runs."}  # fmt: skip
    return near(
        answer, lowest, 1e-6, slips,
        "for each family, take the runs that do not belong to it, and the share of them that "
        "holds; then the lowest of those shares.",
        f"{lowest:.0%} without {of}, {holds.mean():.0%} of all runs. The share belongs to the "
        "settings that somebody chose to record, not to all settings there could be.",
    )  # fmt: skip


@of_number
def check_threshold(answer: float, table: pd.DataFrame) -> Checked:
    """The largest least ratio that three quarters of the runs still reach."""
    ratios = np.sort(table["ratio"].to_numpy(np.float64))[::-1]
    needed = math.ceil(claim("generality").rule.least * len(ratios))
    expected = float(ratios[needed - 1])
    reach = float(np.mean(ratios >= answer))
    own = claim("clustering").rule.least
    return near(
        answer, expected, 1e-6,
        {float(np.sort(ratios)[needed - 1]): "sorted the other way: three quarters are to lie at "
         "or above it, not below."},
        f"{reach:.0%} of the runs reach a ratio of {answer:.3f}: the largest number is asked for "
        f"that at least {needed} of the {len(ratios)} reach.",
        f"{expected:.2f}, and the rule asked for {own:g}. How near the two are says how much the "
        "answer hangs on a threshold. Moving it after the look is what a rule is there to prevent.",
    )  # fmt: skip


@of_number
def check_start(answer: float, table: pd.DataFrame) -> Checked:
    """Spearman's correlation over runs of the start and the ratio."""
    start, ratio, end = (table[name] for name in ("start", "ratio", "ncc"))
    expected = correlation(start, ratio, resamples=1).value
    pearson = correlation(start, ratio, "pearson", resamples=1).value
    to_end = correlation(start, end, resamples=1).value
    shared = "nearly: runs of equal numbers share a rank, the mean of their places."
    slips = {_without_ties(start, ratio, "quicksort"): shared,
             _without_ties(start, ratio, "stable"): shared,
             pearson: "that is Pearson's; take the ranks.",
             to_end: "that is with the accuracy at the end, not with the ratio.",
             -expected: "the sign is lost: which way do the two go together?"}  # fmt: skip
    what = (
        "a low start does not go with a large ratio here, nor with a small one"
        if abs(expected) < 0.3
        else "the lower a run begins, the larger its ratio"
        if expected < 0
        else "a low start goes with a small ratio here"
    )
    return near(
        answer, expected, 1e-6, slips,
        "two columns of the table have one number a run: the accuracy before training, and how "
        "many times that it is at the end.",
        f"{expected:+.2f}: {what}. A ratio has its start in the denominator, so settings whose "
        "untrained networks differ should be compared with care.",
    )  # fmt: skip


def _without_ties(x: pd.Series, y: pd.Series, kind: Literal["quicksort", "stable"]) -> float:
    """A likely slip: Spearman's correlation by two argsorts, which tear equal numbers apart."""
    a, b = (v.to_numpy().argsort(kind=kind).argsort() for v in (x, y))
    return float(np.corrcoef(a, b)[0, 1])
