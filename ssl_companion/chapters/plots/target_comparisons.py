"""Drawings of the chapter on random targets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from ssl_companion.chapters.plots.figures import log_epochs
from ssl_companion.chapters.plots.theme import MARKERS, PALETTE, canvas, pale, readable_on, theme
from ssl_companion.chapters.plots.ticks import signed

_GREY = "#8a8a8a"
_PALE = "#929292"
_DARK = "#222222"


def among_groupings(
    own: float,
    others: np.ndarray,
    table: pd.DataFrame,
    *,
    title: str,
    x_label: str,
    mark: float,
    limits: tuple[float, float],
    height: float = 4.4,
) -> Figure:
    """Left: one level's accuracy among those of random groupings. Right: both over epochs.

    Args:
        own: accuracy of the level, a fraction.
        others: of the random groupings, [G].
        table: columns epoch, target, value, low, high; one line per target, the first in colour.
        title: above the left panel.
        x_label: of the accuracy, which is also the right panel's vertical axis.
        mark: the epoch shown.
        limits: of the accuracy, the same for every epoch.
        height: inches.
    """
    with theme():
        figure, axes = canvas(1, 2, height)
        _strip(axes[0, 0], own, others, limits)
        axes[0, 0].set(xlabel=x_label)
        axes[0, 0].set_title(title, loc="left")
        _lines(axes[0, 1], table, mark)
        axes[0, 1].set(xlabel="epoch", ylabel=x_label, ylim=limits)
    return figure


def _strip(axis: Axes, own: float, others: np.ndarray, limits: tuple[float, float]) -> None:
    # Spread over the height in a fixed order, so that a grouping keeps its place.
    places = (np.arange(len(others)) * 0.618034) % 1.0
    axis.plot(others, places, MARKERS[1], color=_GREY, markersize=6, alpha=0.8)
    axis.axvline(own, color=PALETTE[0], linewidth=3)
    axis.set(xlim=limits, ylim=(-0.15, 1.15), yticks=[])
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _lines(axis: Axes, table: pd.DataFrame, mark: float) -> None:
    for i, (name, line) in enumerate(table.groupby("target", sort=False)):
        line, colour = line.sort_values("epoch"), (PALETTE[0], _GREY)[min(i, 1)]
        axis.plot(
            line["epoch"], line["value"], color=colour, marker=MARKERS[i], markersize=5,
            label=str(name), linewidth=2.2 if i == 0 else 1.6,
        )  # fmt: skip
        axis.fill_between(line["epoch"], line["low"], line["high"], color=colour, alpha=0.25, lw=0)
    axis.axvline(mark, color=_DARK, linewidth=1.2)
    log_epochs(axis, table["epoch"].to_numpy(), steps=(1, 5))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.2), handlelength=1.5)


def student_accuracies(
    table: pd.DataFrame,
    target: str,
    *,
    measure: str,
    limits: tuple[float, float],
    height: float = 4.6,
) -> Figure:
    """Left: accuracy on one target over the student's epochs, the other targets pale.
    Right: accuracy after training over that before, against the targets' agreement.

    Args:
        table: of `analysis.random_targets.continuum`.
        target: the one in colour.
        measure: of the accuracy, for the label.
        limits: of the left panel's accuracy.
        height: inches.
    """
    with theme():
        figure, axes = canvas(1, 2, height)
        _pale_and_strong(axes[0, 0], table, target)
        axes[0, 0].set(xlabel="epoch of the student", ylabel=f"{measure} accuracy", ylim=limits)
        axes[0, 0].set_title(target, loc="left")
        _ratios(axes[0, 1], table[table["epoch"] == table["epoch"].max()], target)
        axes[0, 1].set(
            xlabel="targets that agree\nwith the labels", ylabel="accuracy after / before training"
        )
    return figure


def _pale_and_strong(axis: Axes, table: pd.DataFrame, strong: str) -> None:
    for name, line in table.groupby("target", sort=False):
        line, shown = line.sort_values("epoch"), name == strong
        colour = PALETTE[0] if shown else _PALE
        axis.plot(
            line["epoch"], line["value"], color=colour, marker="o" if shown else None,
            markersize=5, linewidth=2.2 if shown else 1.2, zorder=3 if shown else 2,
        )  # fmt: skip
        if shown:
            axis.fill_between(line["epoch"], line["low"], line["high"], color=colour, alpha=0.2)
            axis.axhline(line["guess"].iloc[0], color=_DARK, linestyle=":", linewidth=1.2)
    log_epochs(axis, table["epoch"].to_numpy(), steps=(1, 5))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _ratios(axis: Axes, ends: pd.DataFrame, strong: str) -> None:
    ends = ends.sort_values("agreement")
    axis.plot(ends["agreement"], ends["relative"], color=_PALE, zorder=1)
    for row in ends.to_dict("records"):
        shown = row["target"] == strong
        colour, at = PALETTE[0] if shown else _GREY, row["agreement"]
        axis.plot([at] * 2, [row["relative_low"], row["relative_high"]], color=colour, lw=2)
        axis.plot(at, row["relative"], "o", color=colour, markersize=9 if shown else 6)
    axis.axhline(1.0, color="#555555", linestyle="--", linewidth=1, zorder=1)
    axis.set_xscale("log")
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_locator(FixedLocator([m * 2.0**e for e in range(-5, 8) for m in (1, 1.4)]))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"× {v:.2g}"))
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def beyond_looks(
    by_depth: pd.DataFrame,
    by_epoch: pd.DataFrame,
    *,
    title: str,
    mark: float,
    y_label: str,
    limits: tuple[float, float],
    height: float = 4.8,
) -> Figure:
    """How far groups are ahead of others. Left: layer by layer at one epoch. Right: over epochs.

    Args:
        by_depth: columns line, layer, depth, value, low, high; one line each, the first in colour,
            the second grey, the third dashed.
        by_epoch: the same lines over the column epoch.
        title: above the left panel.
        mark: the epoch shown.
        y_label: what the values are.
        limits: of the values, the same for every epoch.
        height: inches.
    """
    with theme():
        figure, axes = canvas(1, 2, height)
        left, right = axes[0]
        _differences(left, by_depth, "depth", labelled=True)
        ticks = by_depth.drop_duplicates("depth").sort_values("depth")
        left.xaxis.set_major_locator(FixedLocator(ticks["depth"].tolist()))
        left.set_xticklabels([name.replace("block", "b") for name in ticks["layer"]], fontsize=10)
        left.set(xlabel="layer", ylabel=y_label, ylim=limits)
        left.set_title(title, loc="left")
        _differences(right, by_epoch, "epoch", labelled=False)
        right.axvline(mark, color=_DARK, linewidth=1.2)
        log_epochs(right, by_epoch["epoch"].to_numpy(), steps=(1, 5))
        right.set(xlabel="epoch", ylim=limits)
        right.set_title(f"in {ticks['layer'].iloc[-1]}", loc="left")
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside lower center", ncols=1, fontsize=11
        )
    return figure


def _differences(axis: Axes, table: pd.DataFrame, along: str, labelled: bool) -> None:
    looks = ((PALETTE[0], "-"), (_GREY, "-"), (PALETTE[1], "--"))
    lines = table.groupby("line", sort=False)
    for i, ((name, line), (colour, dashes)) in enumerate(zip(lines, looks, strict=False)):
        line = line.sort_values(along)
        axis.plot(
            line[along], line["value"], color=colour, linestyle=dashes, marker=MARKERS[i],
            markersize=5, linewidth=2.2 if i == 0 else 1.6,
            label=str(name) if labelled else None,
        )  # fmt: skip
        axis.fill_between(line[along], line["low"], line["high"], color=colour, alpha=0.18, lw=0)
    axis.axhline(0.0, color="#555555", linestyle=":", linewidth=1.2, zorder=1)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: signed(100 * v)))


def map_of_differences(table: pd.DataFrame, *, title: str, height: float = 3.6) -> Figure:
    """Layer by epoch, the deepest layer on top: differences in points, red above 0, blue below.

    Args:
        table: differences of fractions, one row per layer (from the first), one column per epoch.
        title: above.
        height: inches.
    """
    points = 100 * table
    most = float(np.abs(points.to_numpy()).max())
    with theme():
        figure, axes = canvas(1, 1, height)
        axis = axes[0, 0]
        sns.heatmap(
            points, ax=axis, annot=points.map(lambda v: signed(v, 1)), fmt="", cmap=pale("vlag"),
            vmin=-most, vmax=most,
            linewidths=0.5, cbar=False, annot_kws={"fontsize": 11},
        )  # fmt: skip
        faces = np.asarray(axis.collections[0].get_facecolor())
        for text, colour in zip(axis.texts, faces, strict=True):
            text.set_color(readable_on(colour))
        axis.invert_yaxis()
        axis.tick_params(axis="both", rotation=0)
        axis.set(xlabel="epoch", ylabel="")
        axis.set_title(title, loc="left")
    return figure
