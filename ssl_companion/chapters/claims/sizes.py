"""What size changes: the trajectory's recipe at full size, by other code, and small, side by side.

All of it by the runs' tables, one by one and without controls; verdicts are the ledger's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from ssl_companion.chapters.analysis.accuracies import Runs, over_seeds
from ssl_companion.chapters.analysis.generality import every_run, recorded_advantage
from ssl_companion.chapters.claims import runs as chosen
from ssl_companion.chapters.claims.many_runs import PROPERTY_TITLES, properties
from ssl_companion.chapters.claims.runs import SMALL, set_aside
from ssl_companion.measures import Interval
from ssl_companion.recordings import Recording

__all__ = [
    "SMALL",
    "compare_sizes",
    "groups",
    "growth_by_size",
    "set_aside",
    "sizes_table",
    "what_changes",
]

_SHARE, _CORRELATION = (0.0, 1.0), (-1.0, 1.0)
#: column of `generality.every_run`: in words, and between which values it lies at all
_ROWS: dict[str, tuple[str, tuple[float, float] | None]] = {
    "start": ("fine NCC accuracy before training", _SHARE),
    "ncc": ("fine NCC accuracy after training", _SHARE),
    "ratio": ("factor by which it grew", None),
    "linear": ("accuracy of a linear probe", _SHARE),
    "sample": ("NCC accuracy of samples", _SHARE),
    "advantage": ("growth of the coarse classes' advantage over a random grouping", _CORRELATION),
    "time": ("order of accuracy along epochs", _CORRELATION),
    "depth": ("order of accuracy along layers", _CORRELATION),
}

RunGroups = Mapping[str, Sequence[Recording]]


def groups(recordings: Runs | None = None) -> dict[str, list[Recording]]:
    """The runs of the trajectory's recipe, by size and by whose code trained them.

    Args:
        recordings: by name; by default `recordings_to_judge()`.

    Returns:
        In words, "full size, other code", "full size" and "small"; those there are.
    """
    found = chosen.recordings_to_judge() if recordings is None else recordings
    by_words = {
        "full size, other code": chosen.reference_seeds(found),
        "full size": chosen.seeds(found),
        "small": chosen.small_seeds(found),
    }
    return {words: runs for words, runs in by_words.items() if runs}


def compare_sizes(runs: RunGroups, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Groups of runs by their tables: of all test images, without the ledger's controls.

    Args:
        runs: of each group one run, or several that differ from one another in their seed alone.
        names: columns of `generality.every_run`; by default all that are numbers.

    Returns:
        A row for each property and group: property, words, needed (the threshold of the claim that
        rests on it; NaN for none), group, value (an `Interval`: mean over the seeds and
        Student's 95%; a single run has no ends), reach (how many reach it; NaN where nothing is
        needed), n (runs).

    Raises:
        ValueError: no runs, or an unknown property.
    """
    if not runs or not all(runs.values()):
        raise ValueError("runs: a group without any; expected one run or more in each")
    wanted = list(_ROWS) if names is None else list(names)
    if unknown := [name for name in wanted if name not in _ROWS]:
        raise ValueError(f"names: {unknown[0]!r}; expected some of {', '.join(_ROWS)}")
    rows = []
    for group, own in runs.items():
        table = every_run({str(i): run for i, run in enumerate(own)}, luck=0.0)
        reached = properties(table)
        for name in wanted:
            words, limits = _ROWS[name]
            rows.append({
                "property": name, "words": words, "group": group,
                "needed": PROPERTY_TITLES[name].least if name in PROPERTY_TITLES else math.nan,
                "value": _mean(table[name].tolist(), limits),
                "reach": float(reached[name].sum()) if name in reached else math.nan,
                "n": len(own),
            })  # fmt: skip
    order = {name: i for i, name in enumerate(wanted)}
    table = pd.DataFrame(rows)
    return table.sort_values(
        "property", key=lambda c: c.map(order), kind="stable", ignore_index=True
    )


def _mean(values: list[float], limits: tuple[float, float] | None) -> Interval:
    if len(values) < 2:
        return Interval(values[0], float("nan"), float("nan"))
    return over_seeds(values, ratios=True) if limits is None else over_seeds(values, limits=limits)


def sizes_table(table: pd.DataFrame) -> pd.DataFrame:
    """`compare_sizes` as a page shows it: a row a property, a column a group, what is needed.

    A star stands where not every run of the group reaches it.
    """
    rows = []
    for words, lines in table.groupby("words", sort=False):
        row: dict[str, str] = {"measured": str(words)}
        for line in lines.to_dict("records"):
            short = " *" if line["reach"] < line["n"] else ""
            count = f", {line['n']} seeds" if line["n"] > 1 else ""
            row[line["group"] + count] = _interval(line["property"], line["value"]) + short
        name, needed = lines["property"].iloc[0], lines["needed"].iloc[0]
        row["needed"] = "" if math.isnan(needed) else f"≥ {_number(name, needed)}"
        rows.append(row)
    return pd.DataFrame(rows)


def _number(name: str, value: float) -> str:
    if name in ("time", "depth"):
        return f"{value:.2f}"
    if name == "advantage":  # a difference of accuracies
        return f"{100 * value:.1f}{_POINTS}"
    return f"{value:.1f}" if name == "ratio" else f"{value:.1%}"


_POINTS = " points"


def _interval(name: str, found: Interval) -> str:
    value, low, high = (_number(name, v) for v in (found.value, found.low, found.high))
    if name == "advantage":
        low, high = low.removesuffix(_POINTS), high.removesuffix(_POINTS)
    return value if math.isnan(found.low) or low == high == value else f"{value} ({low} to {high})"


def growth_by_size(runs: RunGroups) -> pd.DataFrame:
    """How each upper level's advantage over its recorded random grouping grew, as a page shows it.

    Args:
        runs: as in `compare_sizes`.

    Returns:
        level, and a column a group: points of plain NCC accuracy over the test images, after
        training less before; of several seeds their mean with Student's 95% interval.
    """
    rows: dict[str, dict[str, str]] = {}
    for group, own in runs.items():
        count = f", {len(own)} seeds" if len(own) > 1 else ""
        for level in own[0].hierarchy.names[1:]:
            grown = [
                recorded_advantage(run, run.epochs[-1], level)
                - recorded_advantage(run, run.epochs[0], level)
                for run in own
            ]
            found = _interval("advantage", _mean(grown, _CORRELATION))
            rows.setdefault(level, {"level": level})[group + count] = found
    return pd.DataFrame(rows.values())


def what_changes(runs: RunGroups, names: Sequence[str] | None = None) -> str:
    """In a few sentences: what the runs are, and which thresholds not all of them reach.

    Args:
        runs, names: as in `compare_sizes`.
    """
    table = compare_sizes(runs, names)
    needed = table[table["needed"].notna()].groupby("words", sort=False)[["reach", "n"]].sum()
    parted = needed[(needed["reach"] > 0) & (needed["reach"] < needed["n"])]
    never = needed[needed["reach"] == 0]
    told = []
    if len(needed) and parted.empty and never.empty:
        thresholds = "every threshold" if len(needed) > 1 else "the threshold"
        told.append(f"All of these runs reach {thresholds} in the table.")
    if len(parted):
        told.append(f"Reached by some of these runs and not by others: {'; '.join(parted.index)}.")
    if len(never):
        told.append(f"Reached by none of these runs: {'; '.join(never.index)}.")
    if len(parted) or len(never):
        told.append("A star marks the runs that stay below the threshold.")
    titles = []
    for group, own in runs.items():
        title = own[0].title.rpartition(", seed")[0] or own[0].title
        seeds = f", {len(own)} seeds" if len(own) > 1 else ""
        titles.append(f"{group[0].upper()}{group[1:]}: *{title}*{seeds}.")
    return " ".join((*titles, *told))
