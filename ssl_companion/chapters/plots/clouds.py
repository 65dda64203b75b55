"""Clouds in the plane: embeddings of views, and class clouds with their means and classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_companion.chapters.plots.theme import MARKERS, PALETTE, canvas, theme

_DARK = "#222222"


def clouds(
    panels: Mapping[str, np.ndarray],
    kinds: tuple[np.ndarray, np.ndarray],
    *,
    columns: int = 2,
    reach: float | None = None,
    centred: bool = True,
    height: float = 5.6,
) -> Figure:
    """A grid of panels, each the embeddings of several views of several images.

    Args:
        panels: title -> embeddings [N, V, 2].
        kinds: int [N] each; the first gives an image its colour, the second its marker.
        columns: panels in a row.
        reach: half the side of every panel, in the unit of the embeddings; None lets each
            panel follow its points.
        centred: put each cloud's mean in the middle (the place of a cloud means nothing).
        height: inches.
    """
    rows = -(-len(panels) // columns)
    with theme():
        figure, axes = canvas(rows, columns, height)
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        for axis, (title, cloud) in zip(axes.flat, panels.items(), strict=False):
            middle = cloud.mean(axis=(0, 1)) if centred else 0.0
            _views(axis, cloud - middle, kinds)
            own = 1.08 * float(np.abs(cloud - middle).max()) if reach is None else reach
            axis.set(xlim=(-own, own), ylim=(-own, own), aspect="equal")
            axis.set_title(title, loc="left", fontsize=11)
            if reach is None or columns > 2:  # no scale in common, or no room for it
                axis.set(xticks=[], yticks=[])
            _frame(axis)
    return figure


def _views(axis: Axes, cloud: np.ndarray, kinds: tuple[np.ndarray, np.ndarray]) -> None:
    colour, marker = kinds
    for points, c, m in zip(cloud, colour, marker, strict=True):
        axis.plot(
            points[:, 0], points[:, 1], MARKERS[m % len(MARKERS)], color=PALETTE[c % len(PALETTE)],
            markersize=4, alpha=0.75, markeredgewidth=0,
        )  # fmt: skip


def _frame(axis: Axes) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(True)


def classes_and_signs(
    points: np.ndarray,
    labels: np.ndarray,
    directions: np.ndarray,
    table: pd.DataFrame,
    *,
    names: Sequence[str],
    mark: float,
    x: str,
    x_label: str,
    reach: float,
    height: float = 4.8,
) -> Figure:
    """Classes in a plane with their means and a classifier's directions, beside its measures.

    Args:
        points: [N, 2].
        labels: int [N], 0 to K-1.
        directions: [K, 2], the weights of a linear classifier, drawn as arrows.
        table: columns `x`, measure, value; drawn on a logarithmic axis.
        names: of the K classes.
        mark: place of the vertical line on `x`.
        x, x_label: of the measures' axis.
        reach: half the side of the map.
        height: inches.
    """
    with theme():
        figure, axes = canvas(1, 2, height)
        _classes(axes[0, 0], points, labels, directions, names, reach)
        _signs(axes[0, 1], table, x, mark)
        axes[0, 1].set(xlabel=x_label, ylabel="measure (no unit)")
    return figure


def _classes(
    axis: Axes,
    points: np.ndarray,
    labels: np.ndarray,
    directions: np.ndarray,
    names: Sequence[str],
    reach: float,
) -> None:
    middle = points.mean(axis=0)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    arrows = directions / lengths.max() * 0.55 * reach
    for k, name in enumerate(names):
        own, colour = points[labels == k], PALETTE[k % len(PALETTE)]
        axis.scatter(
            own[:, 0], own[:, 1], s=10, alpha=0.5, linewidths=0, color=colour,
            marker=MARKERS[k % len(MARKERS)],
        )  # fmt: skip
        axis.plot(*own.mean(axis=0), MARKERS[k % len(MARKERS)], color=colour, label=name,
                  markersize=11, markeredgecolor=_DARK, markeredgewidth=1.4)  # fmt: skip
        axis.annotate(
            "", xy=tuple(middle + arrows[k]), xytext=tuple(middle),
            arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2.2},
        )  # fmt: skip
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axis.legend(loc="upper left", bbox_to_anchor=(-0.05, -0.02), title="means (arrows: weights)")
    _frame(axis)


def _signs(axis: Axes, table: pd.DataFrame, x: str, mark: float) -> None:
    for i, (name, line) in enumerate(table.groupby("measure", sort=False)):
        line = line.sort_values(x)
        axis.plot(
            line[x], line["value"], label=str(name), color=PALETTE[i], marker=MARKERS[i],
            markersize=4.5,
        )  # fmt: skip
    axis.axvline(mark, color=_DARK, linewidth=1.2)
    axis.set_yscale("log")
    axis.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.16), ncols=2, columnspacing=1.0)
