"""The basic drawings: curves over epochs, maps, rows of images, and their alternative texts.

Every figure stands on a white card, which both themes of the page show alike, and is at
most 6.4 inches wide with 12-point text, so that a narrow screen can still be read. Colours
come from seaborn's colour-blind palette and never carry a distinction alone: lines and
points differ by marker as well. What a figure shows is said in words and numbers too, made from
the same table.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter, ScalarFormatter

from ssl_companion.chapters.plots.theme import (
    MARKERS,
    PALETTE,
    WIDTH,
    canvas,
    canvas_with_legends,
    legend,
    theme,
)
from ssl_companion.chapters.plots.ticks import RoomyLocator

__all__ = [
    "MARKERS",
    "PALETTE",
    "WIDTH",
    "Map",
    "canvas",
    "canvas_with_legends",
    "curves",
    "legend",
    "log_epochs",
    "map_and_curves",
    "maps",
    "theme",
]


_SHORT, _FEW = 20, 4  # epochs of a run, and how many of them were measured
_NARROW = 18  # letters; of longer names three do not fit beside each other into a legend


def curves(
    table: pd.DataFrame,
    *,
    y_label: str,
    x: str = "epoch",
    hue: str = "level",
    percent: bool = True,
    reference: float | None = None,
    mark: float | None = None,
    height: float = 3.8,
) -> Figure:
    """Lines over epochs with their intervals, on an axis logarithmic from epoch 1 on.

    Args:
        table: columns `x`, `hue` (the name of the line), `value`, and where there is an
            interval `low` and `high`; values are fractions when `percent`.
        y_label: what is measured, with its unit.
        x: column of the horizontal axis.
        hue: column that tells lines apart, drawn in the order of appearance.
        percent: show fractions as percentages.
        reference: height of a dashed line to compare with.
        mark: position on `x` of a vertical line, for a figure that moves over it.
        height: inches.
    """
    with theme():
        figure, axes = canvas(height=height)
        _draw_curves(axes[0, 0], table, x, hue, y_label, percent, reference, mark)
        longest = max(len(str(name)) for name in table[hue].unique())
        figure.legend(loc="outside lower center", ncols=3 if longest <= _NARROW else 2)
    return figure


def map_and_curves(
    panel: Map,
    table: pd.DataFrame,
    *,
    y_label: str,
    x: str = "epoch",
    hue: str = "level",
    log: bool = True,
    percent: bool = True,
    mark: float | None = None,
    limits: tuple[float, float] | None = None,
    height: float = 4.2,
) -> Figure:
    """A map beside the curves it belongs to, with the present place on them marked.

    Args: as `curves` and `Map`; `log` false for a plain axis, `limits` those of the map's
    two axes where they should not follow the points.
    """
    with theme():
        figure, axes, below = canvas_with_legends(1, 2, height)
        _draw_map(axes[0, 0], panel, wrap=30)
        if limits is not None:
            axes[0, 0].set(xlim=limits, ylim=limits)
        _draw_curves(axes[0, 1], table, x, hue, y_label, percent, None, mark, log)
        if log:
            log_epochs(axes[0, 1], table[x].to_numpy(), steps=(1,))
        for axis, place in zip(axes[0], below, strict=True):
            legend(place, axis)
    return figure


def _draw_curves(
    axis: Axes,
    table: pd.DataFrame,
    x: str,
    hue: str,
    y_label: str,
    percent: bool,
    reference: float | None,
    mark: float | None,
    log: bool = True,
) -> None:
    _require(table, (x, hue, "value"))
    for i, (name, line) in enumerate(table.groupby(hue, sort=False)):
        line = line.sort_values(x)
        colour, marker = PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]
        axis.plot(
            line[x], line["value"], label=str(name), color=colour, marker=marker, markersize=5
        )
        if {"low", "high"} <= set(line.columns):
            axis.fill_between(line[x], line["low"], line["high"], color=colour, alpha=0.2, lw=0)
    if reference is not None:
        axis.axhline(reference, color="#555555", linestyle="--", linewidth=1)
    if mark is not None:
        axis.axvline(mark, color="#222222", linewidth=1.2)
    if log:
        log_epochs(axis, table[x].to_numpy())
    axis.set(xlabel=x, ylabel=y_label)
    if percent:
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def log_epochs(axis: Axes, epochs: np.ndarray, steps: Sequence[int] = (1, 2, 5)) -> None:
    """A horizontal axis that holds epoch 0 and is logarithmic above 1, ticked at plain numbers:
    0, and `steps` times 1, 10, 100 and so on, as far as there is room for them; a short run, of
    few epochs, has those that were measured."""
    last = float(np.max(epochs))
    axis.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    ticks = [0.0, *(t for t in (m * 10**e for e in range(7) for m in steps) if t <= last)]
    measured = np.unique(epochs).tolist()
    short = last <= _SHORT and len(measured) <= _FEW
    axis.xaxis.set_major_locator(RoomyLocator(measured if short else ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.set_xlim(-0.15, last * 1.12 if last > 1 else 1.1)


@dataclass(frozen=True)
class Map:
    """Points of one panel: points [N, 2], labels int [N] in 0..K-1, names of the K groups."""

    title: str
    points: np.ndarray
    labels: np.ndarray
    names: Sequence[str]

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ValueError(f"points: shape {self.points.shape}; expected [N, 2]")
        if self.labels.shape != self.points.shape[:1]:
            raise ValueError(f"labels: shape {self.labels.shape}; expected {self.points.shape[:1]}")
        if self.labels.size and not 0 <= self.labels.min() <= self.labels.max() < len(self.names):
            raise ValueError(f"labels: {self.labels}; expected 0 to {len(self.names) - 1}")


def maps(
    panels: Sequence[Sequence[Map]], rows: Sequence[str] = (), *, height: float = 5.6
) -> Figure:
    """A grid of maps, row by row; the groups of a column share colours, markers and a legend.

    A map's axes have no unit and its distances between far groups mean little, so no ticks
    are drawn: what to read is which points are neighbours.

    Args:
        panels: rows of maps; the titles of the first row head the columns.
        rows: a name for each row.
        height: inches.
    """
    with theme():
        figure, axes, below = canvas_with_legends(len(panels), len(panels[0]), height)
        for row, line in enumerate(panels):
            for column, panel in enumerate(line):
                _draw_map(axes[row, column], panel)
                if row:
                    axes[row, column].set_title("", loc="left")
        # In every column, for a phone shows one column under the other.
        for line, name in zip(axes, rows, strict=False):
            for axis in line:
                axis.set_ylabel(name, fontweight="bold")
        for axis, place in zip(axes[-1], below, strict=True):
            legend(place, axis)
    return figure


def _draw_map(axis: Axes, panel: Map, wrap: int = 18) -> None:
    size = 18 if len(panel.points) > 150 else 26  # few points may be larger
    for k, name in enumerate(panel.names):
        own, name = panel.points[panel.labels == k], textwrap.fill(name, wrap)
        axis.scatter(
            own[:, 0], own[:, 1], s=size, alpha=0.85, linewidths=0, label=name,
            color=PALETTE[k % len(PALETTE)], marker=MARKERS[k % len(MARKERS)],
        )  # fmt: skip
    axis.set(xticks=[], yticks=[])
    axis.set_title(panel.title, loc="left")
    for side in ("top", "right"):
        axis.spines[side].set_visible(True)


def _require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    if missing := [column for column in columns if column not in table.columns]:
        raise ValueError(f"table: columns {list(table.columns)}; expected {missing} too")
    if table.empty:
        raise ValueError("table: no rows; expected one or more to draw")


def views_and_curve(
    originals: np.ndarray,
    views: np.ndarray,
    table: pd.DataFrame,
    *,
    mark: float,
    x: str = "strength",
    x_label: str = "strength",
    y_label: str,
    height: float = 4.0,
) -> Figure:
    """A row an image, the original first, then its views; beside it a curve with a mark.

    Args:
        originals: [R, 3, H, W], floats in [0, 1] or uint8.
        views: float [R, V, 3, H, W] in [0, 1].
        table: columns `x`, value, low, high; fractions.
        mark: place of the vertical line on the curve.
        x, x_label, y_label: of the curve.
        height: inches.
    """
    if len(originals) != len(views):
        raise ValueError(f"views: of {len(views)} images; expected {len(originals)}")
    with theme():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.25, 1))[0]
        grid = left.subplots(len(views), 1 + views.shape[1], squeeze=False)
        for r, (original, made) in enumerate(zip(originals, views, strict=True)):
            for axis, image in zip(grid[r], (original, *made), strict=True):
                _image(axis, image)
        grid[0, 0].set_title("image", fontsize=11)
        grid[0, 1].set_title("views", fontsize=11, loc="left")
        axis = right.subplots()
        axis.plot(table[x], table["value"], color=PALETTE[0], marker="o", markersize=5)
        axis.fill_between(table[x], table["low"], table["high"], color=PALETTE[0], alpha=0.2, lw=0)
        axis.axvline(mark, color="#222222", linewidth=1.2)
        axis.set(xlabel=x_label, ylabel=y_label, ylim=(0, 1.03))
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


def _image(axis: Axes, image: np.ndarray) -> None:
    axis.imshow(np.moveaxis(image, 0, -1), interpolation="nearest")
    axis.set_axis_off()


def describe_curves(
    table: pd.DataFrame, what: str, *, x: str = "epoch", hue: str = "level", percent: bool = True
) -> str:
    """Alternative text of `figures.curves`: where each line starts and ends, in numbers."""
    parts = []
    for name, line in table.groupby(hue, sort=False):
        line = line.sort_values(x)
        first, last = line.iloc[0], line.iloc[-1]
        parts.append(
            f"{name}, from {describe_number(first['value'], percent)} at {x} {first[x]:g} "
            f"to {describe_number(last['value'], percent)} at {x} {last[x]:g}"
        )
    return f"{what}, by {x}. Lines: " + "; ".join(parts) + "."


def describe_values(what: str, numbers: Mapping[str, float], *, percent: bool = True) -> str:
    """Alternative text that lists named numbers after a sentence."""
    parts = [f"{name} {describe_number(value, percent)}" for name, value in numbers.items()]
    between = "; " if any("," in part for part in parts) else ", "
    return f"{what}: {between.join(parts)}."


def describe_number(value: float, percent: bool = True) -> str:
    """A number as the book writes it: 45.7%, or three significant digits."""
    return f"{100 * value:.1f}%" if percent else f"{value:.3g}"
