"""A drawing of many runs: one row a run, its number with an interval, reached or missed."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_companion._theme import PALETTE, WIDTH, theme

_DARK = "#222222"
_REACHED, _MISSED = PALETTE[0], PALETTE[1]


def every_run(
    table: pd.DataFrame, *, x_label: str, least: float, null: float, height: float | None = None
) -> Figure:
    """Every run's number beside the least that a rule asks for.

    Args:
        table: columns setting, group, value, low, high and reached (truth values); runs of a
            group follow each other.
        x_label: of the numbers.
        least: the rule's least effect, a solid line.
        null: the effect where nothing is there, a dashed line.
        height: inches; by default as the rows need.
    """
    if table.empty:
        raise ValueError("table has no rows: there is no run to draw")
    places, ticks, at = [], [], 0.0
    for i, (group, before) in enumerate(zip(table["group"], table["group"].shift(), strict=True)):
        at += 0.0 if i == 0 else (1.0 if group == before else 1.6)
        places.append(at)
        ticks.append(str(table["setting"].iloc[i]))
    with theme():
        figure = Figure(figsize=(WIDTH, height or 1.5 + 0.23 * (at + 1)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(null, color="#777777", linestyle="--", linewidth=1.2, label="nothing")
        axis.axvline(least, color=_DARK, linewidth=1.5, label="least that counts")
        for reached, colour, marker, words in (
            (True, _REACHED, "o", "reaches it"), (False, _MISSED, "X", "misses it"),
        ):  # fmt: skip
            _dots(axis, table, places, reached, colour, marker, words)
        axis.set_yticks(places, ticks, fontsize=10)
        axis.set_ylim(at + 0.8, -0.8)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(x_label)
        figure.legend(loc="outside lower center", ncols=4, fontsize=10.5, handlelength=1.4)
    return figure


def _dots(
    axis: Axes, table: pd.DataFrame, places: list[float], reached: bool, colour: object,
    marker: str, words: str,
) -> None:  # fmt: skip
    rows = [(y, r) for y, r in zip(places, table.to_dict("records"), strict=True)
            if bool(r["reached"]) == reached]  # fmt: skip
    for y, row in rows:
        axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2.2, alpha=0.6)
    axis.plot(
        [row["value"] for _, row in rows], [y for y, _ in rows], marker, color=colour,
        markersize=6.5, label=words,
    )  # fmt: skip
