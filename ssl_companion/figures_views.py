"""Images in rows: originals and their views, beside a curve that says what the views do."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ssl_companion.figures import PALETTE, WIDTH, theme


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
