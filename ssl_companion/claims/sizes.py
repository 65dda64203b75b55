"""What a larger run changes: one run beside smaller ones, and the least effects that each reaches.

All of it by the runs' tables, one by one and without controls; verdicts are the ledger's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from ssl_companion.claims.many_runs import PROPERTIES, properties
from ssl_companion.claims.runs import FULL, SMALL, set_aside
from ssl_companion.findings.generality import every_run
from ssl_companion.findings.live import over_seeds
from ssl_companion.measures import Interval
from ssl_companion.recordings import Recording

__all__ = ["FULL", "SMALL", "beside", "in_words", "set_aside", "what_changes"]

_SHARE, _CORRELATION = (0.0, 1.0), (-1.0, 1.0)
#: column of `generality.every_run`: in words, and between which values it lies at all
_ROWS: dict[str, tuple[str, tuple[float, float] | None]] = {
    "start": ("fine NCC accuracy before training", _SHARE),
    "ncc": ("fine NCC accuracy after training", _SHARE),
    "ratio": ("how many times over it rose", None),
    "linear": ("accuracy of a linear probe", _SHARE),
    "sample": ("NCC accuracy of samples", _SHARE),
    "advantage": ("growth of the coarse classes' advantage over a random grouping", _CORRELATION),
    "time": ("order of accuracy along epochs", _CORRELATION),
    "depth": ("order of accuracy along layers", _CORRELATION),
}


def beside(large: Recording, small: Sequence[Recording]) -> pd.DataFrame:
    """One run and smaller ones, by their tables: of all test images, without the ledger's controls.

    Args:
        large: one run.
        small: runs that differ from one another in their seed alone.

    Returns:
        A row for each property of `generality.every_run`: property, words, large, small (an
        `Interval`: mean over the seeds and Student's 95%; a single one has no ends), asked (the
        least effect of the claim that rests on it; NaN for none), large_reaches (0 or 1; NaN where
        nothing is asked), small_reach (how many of them do), n (small runs).

    Raises:
        ValueError: no small runs.
    """
    if not small:
        raise ValueError("small: no runs; expected one or more")
    tables = [every_run({str(i): run for i, run in enumerate(runs)}, luck=0.0)
              for runs in ([large], small)]  # fmt: skip
    reached = [properties(table) for table in tables]
    rows = []
    for name, (words, limits) in _ROWS.items():
        asked = PROPERTIES[name].least if name in PROPERTIES else float("nan")
        held = [float(table[name].sum()) if name in table else float("nan") for table in reached]
        rows.append({
            "property": name, "words": words, "large": float(tables[0][name].iloc[0]),
            "small": _mean(tables[1][name].tolist(), limits), "asked": asked,
            "large_reaches": held[0], "small_reach": held[1], "n": len(small),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _mean(values: list[float], limits: tuple[float, float] | None) -> Interval:
    if len(values) < 2:
        return Interval(values[0], float("nan"), float("nan"))
    return over_seeds(values, ratios=True) if limits is None else over_seeds(values, limits=limits)


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """What `beside` gives, as a page shows it, in words; what is asked for, and who reaches it."""
    return pd.DataFrame(
        {
            "measured": row["words"],
            "this run": _number(row["property"], row["large"]),
            "small runs": _interval(row["property"], row["small"]),
            "asked": ""
            if math.isnan(row["asked"])
            else f"≥ {_number(row['property'], row['asked'])}",
            "reached by": _reached(row["large_reaches"], row["small_reach"], row["n"]),
        }
        for row in table.to_dict("records")
    )


def _number(name: str, value: float) -> str:
    if name in ("time", "depth"):
        return f"{value:.2f}"
    return f"{value:.1f}" if name == "ratio" else f"{value:.1%}"


def _interval(name: str, found: Interval) -> str:
    value, low, high = (_number(name, v) for v in (found.value, found.low, found.high))
    return value if math.isnan(found.low) or low == high == value else f"{value} [{low}, {high}]"


def _reached(large: float, small: float, n: int) -> str:
    if math.isnan(large):
        return ""
    them = f"{small:.0f} of the {n} small ones" if n > 1 else "the small one" * int(small)
    return " and ".join(part for part in ("this run" * int(large), them) if part) or "neither"


def what_changes(large: Recording, small: Sequence[Recording]) -> str:
    """In a few sentences: how large the runs are, and which least effects only one size reaches."""
    table = beside(large, small)
    asked = table[table["asked"].notna()]
    everybody = (asked["large_reaches"] == 1) & (asked["small_reach"] == asked["n"])
    nobody = (asked["large_reaches"] == 0) & (asked["small_reach"] == 0)
    if (parted := asked[~(everybody | nobody)]).empty:
        sentence = (
            "Every least effect that is asked for here is reached at both sizes, or at neither."
        )
    else:
        sentence = f"Reached by some of these runs and not by others: {'; '.join(parted['words'])}."
    titles = "; ".join(sorted({run.title.rpartition(", seed")[0] for run in small}))
    seeds = f"The small ones, {len(small)} seeds" if len(small) > 1 else "The small one"
    return f"This run: *{large.title}*. {seeds}: *{titles}*. {sentence}"
