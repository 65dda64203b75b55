"""Panels to compare: curves side by side, accuracies with intervals, scatters, rows of runs.

The chapters on classifiers, on interventions and on other settings are drawn with these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from ssl_companion.chapters.analysis.classifiers import CLASSIFIER_NAMES, long_form
from ssl_companion.chapters.plots.figures import log_epochs
from ssl_companion.chapters.plots.theme import (
    MARKERS,
    PALETTE,
    WIDTH,
    canvas,
    theme,
)
from ssl_companion.chapters.plots.ticks import RoomyLocator

_PALE = "#929292"
_DARK = "#222222"
AxisScale = Literal["linear", "epochs", "log", "doses"]


@dataclass(frozen=True, eq=False)
class Panel:
    """Lines over a common axis.

    Attributes:
        table: columns `x`, `hue`, `value`, and `low`, `high` where there is an interval.
        x, hue: columns of the axis and of the lines' names.
        x_label, y_label: with units.
        title: above the panel.
        scale: of the horizontal axis: "linear", "log", "epochs" (holds 0, logarithmic above 1)
            or "doses" (holds 0, logarithmic above the least dose, ticked at every dose).
        percent: values are fractions, shown as percentages.
        log_values: a logarithmic vertical axis.
        limits: of the vertical axis, where it should not follow the lines.
        mark: place on the axis of a vertical line.
        switch: place of a dashed vertical line.
        reference: height of a dashed horizontal line.
        strong: the one line in colour; all others are pale. None draws all in colour.
        points: a marker at every value.
        legend: name the lines below the figure.
    """

    table: pd.DataFrame
    x: str
    hue: str
    x_label: str
    y_label: str
    title: str = ""
    scale: AxisScale = "linear"
    percent: bool = True
    log_values: bool = False
    limits: tuple[float, float] | None = None
    mark: float | None = None
    switch: float | None = None
    reference: float | None = None
    strong: str | None = None
    points: bool = True
    legend: bool = True

    def __post_init__(self) -> None:
        wanted = (self.x, self.hue, "value")
        if lacking := [c for c in wanted if c not in self.table.columns]:
            raise ValueError(f"table: columns {list(self.table.columns)}; expected {lacking} too")
        if self.table.empty:
            raise ValueError("table: no rows; expected one or more to draw")


def panels_side_by_side(panels: Sequence[Panel], *, height: float = 4.2) -> Figure:
    """Panels in a row with one legend; a line keeps its colour and marker from panel to panel.

    Args:
        panels: one, two or three; neighbours that share lines name them in the same order.
        height: inches.
    """
    names: list[str] = []
    with theme():
        figure, axes = canvas(1, len(panels), height)
        lines: dict[str, Artist] = {}
        for axis, panel in zip(axes[0], panels, strict=True):
            own = list(dict.fromkeys(str(name) for name in panel.table[panel.hue]))
            shared = set(own) & set(names)
            names = [*names, *(n for n in own if n not in names)] if shared else own
            _draw(axis, panel, names, narrow=len(panels) > 1)
            if panel.legend:
                lines |= {str(line.get_label()): line for line in _named(axis)}
        _legend(figure, lines)
    return figure


def _named(axis: Axes) -> list[Line2D]:
    return [line for line in axis.lines if not str(line.get_label()).startswith("_")]


def _legend(figure: Figure, lines: dict[str, Artist]) -> None:
    if lines:
        figure.legend(
            list(lines.values()), list(lines), loc="outside lower left", fontsize=11,
            ncols=2 if max(map(len, lines)) > 18 else 3, columnspacing=1.0, handlelength=1.4,
            handletextpad=0.5,
        )  # fmt: skip


def _draw(axis: Axes, panel: Panel, names: list[str], narrow: bool) -> None:
    for name, line in panel.table.groupby(panel.hue, sort=False):
        _line(axis, panel, line.sort_values(panel.x), str(name), names.index(str(name)))
    for place, style in ((panel.mark, "-"), (panel.switch, ":")):
        if place is not None and np.isfinite(place):
            axis.axvline(place, color=_DARK, linewidth=1.3, linestyle=style, zorder=1)
    if panel.reference is not None:
        axis.axhline(panel.reference, color="#555555", linestyle="--", linewidth=1, zorder=1)
    if panel.log_values:
        axis.set_yscale("log")
    elif panel.percent:
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if panel.limits is not None:
        axis.set_ylim(panel.limits)
    _scale(axis, panel.scale, panel.table[panel.x].to_numpy(np.float64), narrow)
    axis.set(xlabel=panel.x_label, ylabel=panel.y_label)
    axis.set_title(panel.title, loc="left")


def _line(axis: Axes, panel: Panel, line: pd.DataFrame, name: str, place: int) -> None:
    strong = panel.strong in (None, name)
    colour = PALETTE[place % len(PALETTE)] if strong else _PALE
    if panel.strong == name:
        colour = PALETTE[0]
    marker = MARKERS[place % len(MARKERS)] if panel.points and strong else None
    axis.plot(
        line[panel.x], line["value"], label=name, color=colour, marker=marker, markersize=5,
        linewidth=2.2 if panel.strong == name else 1.5, zorder=3 if strong else 2,
    )  # fmt: skip
    if strong and {"low", "high"} <= set(line.columns):
        axis.fill_between(line[panel.x], line["low"], line["high"], color=colour, alpha=0.2, lw=0)


def _scale(axis: Axes, scale: AxisScale, x: np.ndarray, narrow: bool) -> None:
    if scale == "epochs":
        log_epochs(axis, x, (1,) if narrow and x.max() >= 20 else (1, 2, 5))
    elif scale == "log":
        axis.set_xscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
        shown = [v * 10**e for e in range(7) for v in (1, 2, 5)]
        inside = [v for v in shown if x.min() <= v <= x.max()]
        axis.xaxis.set_major_locator(RoomyLocator(inside))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    elif scale == "doses":
        doses = np.unique(x)
        axis.set_xscale("symlog", linthresh=float(doses[doses > 0].min()), linscale=0.7)
        axis.xaxis.set_major_locator(FixedLocator(doses.tolist()))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axis.set_xlim(-0.2 * doses[doses > 0].min(), doses.max() * 1.5)


def intervals(
    table: pd.DataFrame,
    *,
    x_label: str,
    reference: float | None = None,
    seeds: pd.DataFrame | None = None,
    percent: bool = True,
    height: float = 3.4,
) -> Figure:
    """One row a name: an estimate with its interval, and every seed's value beside it.

    Args:
        table: columns name, value, low, high; the first row is drawn on top.
        x_label: what is measured, with its unit.
        reference: place of a dashed vertical line.
        seeds: columns name and value, drawn as open circles.
        percent: values are fractions, shown as percentages.
        height: inches.
    """
    if lacking := [c for c in ("name", "value", "low", "high") if c not in table.columns]:
        raise ValueError(f"table: columns {list(table.columns)}; expected {lacking} too")
    place = {name: i for i, name in enumerate(table["name"])}
    with theme():
        figure, axes = canvas(height=height)
        axis = axes[0, 0]
        for i, row in enumerate(table.to_dict("records")):
            axis.plot([row["low"], row["high"]], [i, i], color=PALETTE[0], linewidth=3)
            axis.plot(row["value"], i, "o", color=PALETTE[0], markersize=8)
        if seeds is not None:
            y = [place[name] + 0.28 for name in seeds["name"]]
            axis.plot(seeds["value"], y, "o", mfc="none", mec=_DARK, markersize=6)
        if reference is not None:
            axis.axvline(reference, color="#555555", linestyle="--", linewidth=1)
        axis.set_yticks(range(len(place)), list(place))
        axis.set_ylim(len(place) - 0.4, -0.6)
        axis.set_xlabel(x_label)
        if percent:
            axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of one panel: columns `x`, `y` and `hue` of the table; all are fractions."""

    table: pd.DataFrame
    title: str
    x: str = "x"
    y: str = "y"
    hue: str = "hue"


def scatters(
    clouds: Sequence[Cloud],
    *,
    x_label: str,
    y_label: str,
    order: Sequence[str] = (),
    height: float = 3.8,
) -> Figure:
    """Panels of points with a common vertical axis and one legend: accuracy against accuracy.

    Args:
        clouds: left to right.
        x_label, y_label: what is measured.
        order: names whose places decide colour and marker, to agree with another figure.
        height: inches.
    """
    names = list(dict.fromkeys([*order, *(str(n) for c in clouds for n in c.table[c.hue])]))
    with theme():
        figure, axes = canvas(1, len(clouds), height)
        for axis, cloud in zip(axes[0], clouds, strict=True):
            axis.sharey(axes[0, 0])
            for name, part in cloud.table.groupby(cloud.hue, sort=False):
                i = names.index(str(name))
                axis.plot(
                    part[cloud.x], part[cloud.y], MARKERS[i], color=PALETTE[i], label=str(name),
                    markersize=6, alpha=0.75, markeredgewidth=0,
                )  # fmt: skip
            axis.set_title(cloud.title, loc="left", fontsize=11)
            axis.set_xlabel(x_label)
            for side in (axis.xaxis, axis.yaxis):
                side.set_major_formatter(PercentFormatter(1.0, decimals=0))
            if axis is not axes[0, 0]:
                axis.tick_params(labelleft=False)
        axes[0, 0].set_ylabel(y_label)
        _legend(figure, {str(line.get_label()): line for axis in axes[0] for line in _named(axis)})
    return figure


def against_probes(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """NCC against probe accuracy, a panel a table.

    Args:
        tables: columns ncc, linear, knn, by what their rows are ("epochs", "layers", "runs").
    """
    clouds = [
        Cloud(long_form(table), f"{len(table)} {over}", "ncc", "accuracy", "classifier")
        for over, table in tables.items()
    ]
    return scatters(
        clouds,
        x_label="NCC accuracy",
        y_label="probe accuracy",
        order=list(CLASSIFIER_NAMES.values()),
    )


def plot_few_labels(table: pd.DataFrame, labels: int) -> Figure:
    """Accuracy with so many labels per class over epochs, and over labels at the last epoch.

    Args:
        table: of `classifiers.few_labels`.
        labels: images of each class that have one.
    """
    last, limits = table["epoch"].max(), (0.0, 1.05 * float(table["high"].max()))
    left = Panel(
        table[table["labels"] == labels], "epoch", "classifier", "epoch", "test accuracy",
        title=f"{labels} label{'s' * (labels > 1)} per class", scale="epochs", limits=limits,
    )  # fmt: skip
    right = Panel(
        table[table["epoch"] == last], "labels", "classifier", "labels per class", "test accuracy",
        title=f"epoch {last}", scale="log", mark=labels, limits=limits,
    )  # fmt: skip
    return panels_side_by_side([left, right])


_SHARES = (1e-5, 1.5)  # the vertical axis of all spectra, so that they compare


def terms_and_accuracy(course: pd.DataFrame, ncc: pd.DataFrame, level: str) -> Figure:
    """The terms' course (epoch, term, value) beside NCC accuracy (epoch, level, value)."""
    left = Panel(
        course, "epoch", "term", "epoch", "weighted term − first epoch",
        scale="epochs", percent=False, reference=0.0,
    )  # fmt: skip
    right = Panel(
        ncc, "epoch", "level", "epoch", f"NCC accuracy, {level}", scale="epochs", legend=False
    )
    return panels_side_by_side([left, right])


def outcomes(live: pd.DataFrame, measured: pd.DataFrame) -> Figure:
    """`interventions.live_outcomes` with intervals, and every seed of `regularizer.outcome`."""
    same = measured[measured["variant"].isin(live["variant"])]
    return intervals(
        live.assign(name=live["words"]),
        seeds=same.assign(name=same["words"], value=same["ncc"]),
        reference=float(live["start"].iloc[0]),
        x_label="NCC accuracy at the end of training",
    )


def spectrum_and_doses(spectra: pd.DataFrame, response: pd.DataFrame, dose: float) -> Figure:
    """One dose's spectrum among all, and its place on the curve of responses.

    Args:
        spectra: line (a dose, written ":g"), direction, value.
        response: dose, value, low, high, start.
        dose: the one in colour.
    """
    left = Panel(
        spectra, "direction", "line", "principal direction", "share of variance",
        title=f"weight × {dose:g}", scale="log", log_values=True, strong=f"{dose:g}",
        points=False, legend=False, limits=_SHARES,
    )  # fmt: skip
    right = Panel(
        response.assign(line="NCC"), "dose", "line", "factor on the regularizer", "NCC accuracy",
        title="at the end", scale="doses", mark=dose, legend=False,
        reference=float(response["start"].iloc[0]),
    )  # fmt: skip
    return panels_side_by_side([left, right], height=3.8)


def spectra_and_courses(
    spectra: pd.DataFrame, courses: pd.DataFrame, epoch: int, switch: float
) -> Figure:
    """Spectra of several runs at an epoch, and the epoch on their courses.

    Args:
        spectra: line (the run), direction, value.
        courses: line, epoch, value, low, high.
        epoch: the one of the spectra.
        switch: epoch after which something was switched.
    """
    left = Panel(
        spectra, "direction", "line", "principal direction", "share of variance",
        title=f"epoch {epoch}", scale="log", log_values=True, points=False, legend=False,
        limits=_SHARES,
    )  # fmt: skip
    right = Panel(
        courses, "epoch", "line", "epoch", "NCC accuracy", scale="epochs", mark=epoch,
        switch=switch,
    )  # fmt: skip
    return panels_side_by_side([left, right], height=4.6)


_DARK = "#222222"
_REACHED, _MISSED = PALETTE[0], PALETTE[1]


def plot_every_run(
    table: pd.DataFrame, *, x_label: str, least: float, null: float, height: float | None = None
) -> Figure:
    """Every run's number beside the threshold of a rule.

    Args:
        table: columns setting, group, value, low, high and reached (truth values); runs of a
            group follow each other.
        x_label: of the numbers.
        least: the rule's least effect, a solid line.
        null: the value with no effect, a dashed line.
        height: inches; by default as the rows need.
    """
    if table.empty:
        raise ValueError("table: no rows; expected a run or more to draw")
    places, ticks, at = [], [], 0.0
    for i, (group, before) in enumerate(zip(table["group"], table["group"].shift(), strict=True)):
        at += 0.0 if i == 0 else (1.0 if group == before else 1.6)
        places.append(at)
        ticks.append(str(table["setting"].iloc[i]))
    with theme():
        figure = Figure(figsize=(WIDTH, height or 1.5 + 0.19 * (at + 1)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(null, color="#777777", linestyle="--", linewidth=1.2, label="no effect")
        axis.axvline(least, color=_DARK, linewidth=1.5, label="threshold")
        for reached, colour, marker, words in (
            (True, _REACHED, "o", "reaches it"), (False, _MISSED, "X", "misses it"),
        ):  # fmt: skip
            _dots(axis, table, places, reached, colour, marker, words)
        axis.set_yticks(places, ticks, fontsize=11)
        axis.set_ylim(at + 0.8, -0.8)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(x_label, loc="right")
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
