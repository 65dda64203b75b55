"""The one look of the book's figures: width, colours, markers, type, legends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure

WIDTH = 6.4  # inches
_COLOURBLIND = sns.color_palette("colorblind")
# Its brown, darker: small marks of it are to be seen on a white page and on a dark one.
_COLOURBLIND[5] = tuple(0.84 * part for part in _COLOURBLIND[5])
# The palette's order with its palest colours (orange, yellow, light pink) moved to the end.
PALETTE = [_COLOURBLIND[i] for i in (0, 3, 2, 4, 5, 7, 9, 1, 6, 8)]
INVERTED = 0.93  # companion.css: invert(0.93) hue-rotate(180deg)
_LUMA = np.array([0.213, 0.715, 0.072])
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


@contextlib.contextmanager
def theme() -> Iterator[None]:
    """The book's style for whatever is drawn inside; nothing outside is changed."""
    style = sns.axes_style("whitegrid") | sns.plotting_context("notebook")
    sizes = {"font.size": 12, "axes.titlesize": 12, "axes.labelsize": 12, "legend.fontsize": 12}
    ticks = {"xtick.labelsize": 11, "ytick.labelsize": 11, "axes.titleweight": "bold"}
    spines = {"axes.spines.top": False, "axes.spines.right": False, "grid.color": "#e3e3e3"}
    with matplotlib.rc_context(style | sizes | ticks | spines | {"legend.frameon": False}):
        yield


def on_dark(colours: np.ndarray) -> np.ndarray:
    """Colours [..., 3] in [0, 1] as a dark page shows them, by the filter of the style sheet."""
    inverted = np.asarray(colours)[..., :3] * (1 - 2 * INVERTED) + INVERTED
    found: np.ndarray = np.clip(2 * (inverted @ _LUMA)[..., None] - inverted, 0, 1)
    return found


def colour_contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Of two colours, 1 to 21 (WCAG 2.1)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: np.ndarray) -> float:
    rgb = np.asarray(colour)[:3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def readable_on(colour: np.ndarray) -> str:
    """White or near black, whichever can be read the better on both a light and a dark page."""

    def least(ink: str) -> float:
        rgb = np.array(to_rgb(ink))
        return min(colour_contrast(rgb, colour), colour_contrast(on_dark(rgb), on_dark(colour)))

    return max(("white", "#111111"), key=least)


def pale(name: str, share: float = 0.55) -> ListedColormap:
    """A colour map with so much white in it that near black digits can be read on all of it, on a
    light page and on a dark one."""
    colours = sns.color_palette(name, 256)
    return ListedColormap((1 - share) * np.asarray(colours) + share, name=f"pale {name}")


def canvas(rows: int = 1, columns: int = 1, height: float = 3.8) -> tuple[Figure, np.ndarray]:
    """A figure of the book's width and its axes, an array [rows, columns]; use inside `theme`."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def canvas_with_legends(
    rows: int, columns: int, height: float
) -> tuple[Figure, np.ndarray, np.ndarray]:
    """A canvas with a last row for the legends, which takes the height that they need."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    ratios = [1.0] * rows + [0.01]
    axes = figure.subplots(rows + 1, columns, squeeze=False, height_ratios=ratios)
    for axis in axes[-1]:
        axis.set_axis_off()
    return figure, axes[:-1], axes[-1]


def legend(place: Axes, of: Axes) -> None:
    place.legend(
        *of.get_legend_handles_labels(),
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.0,
        borderpad=0.0,
        fontsize=10.5,
        handlelength=1.6,
        handletextpad=0.4,
        labelspacing=0.3,
        markerscale=1.3,
    )
