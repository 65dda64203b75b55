"""Drawings of the chapter on compression: panels of courses, and a path through two measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ssl_companion.chapters.plots.figures import log_epochs
from ssl_companion.chapters.plots.theme import MARKERS, PALETTE, canvas, theme

_GREY, _DARK = "#555555", "#222222"


@dataclass(frozen=True, eq=False)
class Course:
    """Lines over epochs that share a unit.

    Attributes:
        table: columns epoch, `hue`, value, and low, high where there is an interval.
        title: above the panel.
        y_label: what is measured, with its unit.
        hue: column of the lines' names.
        percent: values are fractions.
        control: name of one line that is drawn dark and dashed, on top of the others.
        limits: of the vertical axis, where it should not follow the lines.
    """

    table: pd.DataFrame
    title: str
    y_label: str
    hue: str = "estimator"
    percent: bool = False
    control: str = ""
    limits: tuple[float, float] | None = None


def grid_of_courses(courses: Sequence[Course], *, columns: int = 2, height: float = 8.4) -> Figure:
    """Panels of lines over epochs, row by row, each with its own legend below it."""
    rows = -(-len(courses) // columns)
    with theme():
        figure, axes = canvas(rows, columns, height)
        figure.set_layout_engine("constrained", h_pad=0.12)  # a legend, and room below it
        for axis in axes.flat[len(courses) :]:
            axis.set_axis_off()
        for axis, course in zip(axes.flat, courses, strict=False):
            _draw(axis, course)
    return figure


def _draw(axis: Axes, course: Course) -> None:
    place = 0
    for name, line in course.table.groupby(course.hue, sort=False):
        line = line.sort_values("epoch")
        if name == course.control:
            # On top, and with wide gaps: it may lie on the line that it is compared with.
            axis.plot(
                line["epoch"], line["value"], color=_DARK, label=str(name), zorder=4,
                linewidth=2.6, dashes=(2.2, 2.0),
            )  # fmt: skip
            continue
        colour, marker = PALETTE[place], MARKERS[place]
        axis.plot(
            line["epoch"], line["value"], color=colour, marker=marker, markersize=5, label=str(name)
        )
        if {"low", "high"} <= set(line.columns):
            axis.fill_between(
                line["epoch"], line["low"], line["high"], color=colour, alpha=0.2, lw=0
            )
        place += 1
    log_epochs(axis, course.table["epoch"].to_numpy(), steps=(1,))
    if course.percent:
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if course.limits:
        axis.set_ylim(course.limits)
    axis.set_title(course.title, loc="left")
    axis.set(xlabel="epoch", ylabel=course.y_label)
    axis.legend(
        loc="upper left", bbox_to_anchor=(-0.2, -0.22), handlelength=1.5, fontsize=10.5,
        labelspacing=0.3, borderpad=0,
    )  # fmt: skip


def percent(share: float) -> str:
    """A share over many orders of magnitude: "0.01%", "3.2%", "100%"."""
    return f"{100 * share:.2g}%" if share < 0.995 else f"{100 * share:.0f}%"


def path(
    table: pd.DataFrame, *, x: str, y: str, x_label: str, y_label: str, height: float = 4.0
) -> Figure:
    """One run's way through two measures, from epoch to epoch, each with its interval.

    Args:
        table: columns epoch, `x`, `y`, and `x`_low, `x`_high, `y`_low, `y`_high.
        x, y: columns of the two measures; y is a fraction.
        x_label, y_label: with units.
        height: inches.
    """
    table = table.sort_values("epoch")
    shades = np.linspace(0.15, 1.0, len(table))
    with theme():
        figure, axes = canvas(height=height)
        axis = axes[0, 0]
        axis.plot(table[x], table[y], color=_GREY, linewidth=1, zorder=1)
        for row, alpha in zip(table.to_dict("records"), shades, strict=True):
            axis.plot([row[f"{x}_low"], row[f"{x}_high"]], [row[y]] * 2, color=_GREY, lw=1.2)
            axis.plot([row[x]] * 2, [row[f"{y}_low"], row[f"{y}_high"]], color=_GREY, lw=1.2)
            axis.plot(row[x], row[y], "o", color=PALETTE[0], alpha=alpha, markersize=8)
            axis.annotate(
                f"{row['epoch']:g}", (row[x], row[y]), xytext=(6, 5), textcoords="offset points",
                fontsize=11,
            )  # fmt: skip
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.set(xlabel=x_label, ylabel=y_label)
        axis.margins(0.1)
    return figure
