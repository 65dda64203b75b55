"""Drawings of the chapter on time and depth: maps of layer by epoch, profiles over the depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from ssl_companion.chapters.plots.theme import MARKERS, PALETTE, WIDTH, pale, readable_on, theme

_GREY = "#8a8a8a"


def two_maps(
    accuracy: pd.DataFrame, relative: pd.DataFrame, *, title: str, height: float = 6.2
) -> Figure:
    """Layer by epoch: accuracies, and below them the same over each layer's own start.

    Args:
        accuracy: fractions, one row per layer (from the first), one column per epoch.
        relative: the same shape, multiples.
        title: above both.
        height: inches.
    """
    with theme():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        top, bottom = figure.subplots(2, 1)
        _map(
            top, accuracy, _per_cent, "NCC accuracy (%)", "crest",
            (float(accuracy.to_numpy().min()), 0.05),
        )  # fmt: skip
        top.set_title(title, loc="left")
        top.set_xlabel("")
        _map(bottom, relative, _times, "accuracy / its start", "flare", (1.0, 1.0))
    return figure


def _per_cent(values: np.ndarray) -> np.ndarray:
    words: np.ndarray = np.vectorize(lambda v: f"{100 * v:.0f}")(values)
    return words


def _times(values: np.ndarray) -> np.ndarray:
    words: np.ndarray = np.vectorize(lambda v: f"{v:.1f}" if v < 9.95 else f"{v:.0f}")(values)
    return words


def _map(
    axis: Axes,
    table: pd.DataFrame,
    write: Callable[[np.ndarray], np.ndarray],
    label: str,
    colours: str,
    span: tuple[float, float],
) -> None:
    """A heat map with its numbers; its colours begin at span[0] and cover span[1] at least, so
    that a map that hardly moves does not look as if it did."""
    numbers = table.to_numpy(dtype=float)
    low, high = span[0], max(sum(span), float(numbers.max()))
    sns.heatmap(
        table, ax=axis, annot=write(numbers), fmt="", cmap=pale(colours), linewidths=0.5, vmin=low,
        vmax=high, annot_kws={"fontsize": 11 if numbers.shape[1] <= 11 else 9}, cbar=False,
    )  # fmt: skip
    faces = np.asarray(axis.collections[0].get_facecolor())
    for text, colour in zip(axis.texts, faces, strict=True):
        text.set_color(readable_on(colour))
    axis.invert_yaxis()  # the deepest layer on top
    axis.tick_params(axis="both", rotation=0)
    axis.set(xlabel="epoch", ylabel=label)


def profiles(
    table: pd.DataFrame,
    *,
    hue: str,
    y_label: str,
    panel: str = "level",
    tops: Sequence[float] | None = None,
    height: float = 5.4,
) -> Figure:
    """Accuracy from the first layer to the last, one panel per level.

    Args:
        table: columns layer, depth, value, low, high (fractions), `panel` and `hue`; the first
            line of a panel is dashed and grey: what it began with.
        hue: column that tells lines apart.
        y_label: what is measured.
        panel: column that tells panels apart.
        tops: highest value of each panel's axis, where it should not follow the lines.
        height: inches.
    """
    names = list(dict.fromkeys(table[panel]))
    with theme():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(-(-len(names) // 2), min(2, len(names)), squeeze=False, sharex=True)
        for axis in axes.flat[len(names) :]:
            axis.set_axis_off()
        for axis, name in zip(axes.flat, names, strict=False):
            _profile(axis, table[table[panel] == name], hue)
            axis.set_title(str(name), loc="left")
        for axis, top in zip(axes.flat, tops or (), strict=False):
            axis.set_ylim(0, 1.06 * top)
        for axis in axes[-1]:
            axis.set_xlabel("layer")
        figure.supylabel(y_label, fontsize=12)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _profile(axis: Axes, table: pd.DataFrame, hue: str) -> None:
    for i, (name, line) in enumerate(table.groupby(hue, sort=False)):
        line, colour = line.sort_values("depth"), _GREY if i == 0 else PALETTE[i - 1]
        axis.plot(
            line["depth"], line["value"], label=str(name), color=colour, markersize=5,
            marker=MARKERS[i], linestyle="--" if i == 0 else "-",
        )  # fmt: skip
        axis.fill_between(line["depth"], line["low"], line["high"], color=colour, alpha=0.22, lw=0)
    ticks = table.drop_duplicates("depth").sort_values("depth")
    axis.xaxis.set_major_locator(FixedLocator(ticks["depth"].tolist()))
    axis.set_xticklabels([_short(name) for name in ticks["layer"]], fontsize=10)
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{round(100 * v, 6):g}%"))


def _short(layer: str) -> str:
    """ "block3" as "b3": six names have to fit into three inches."""
    return layer.replace("block", "b").replace("layer", "l")
