"""A figure on a phone: panels that stand side by side are cut apart, any other is drawn narrower.

A figure of the book is 6.4 inches wide. Fitted whole to a phone its text would be too small, and
scrolled sideways it hides what it compares. So the page says where the columns of panels lie, and
a narrow screen shows them one under the other, from the same picture (`columns`). A figure of one
column is drawn a second time, narrower, with text of the same size (`narrow`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import Bbox

PHONE_WIDTH = 4.85  # inches; at 390 pixels letters of ten points are 11 pixels high
_THINNEST = 0.12  # of the figure's width: what is thinner, such as a label, goes with its neighbour
_LONGEST = 0.36  # of the narrow figure's width: longer names of rows stand above their rows
_MOST_COLUMNS = 4  # of a legend
_MARGIN = 0.008  # of the figure's height
_ROW = 0.3  # inches that a row takes with its name above it


@dataclass(frozen=True)
class Box:
    """A part of a figure, in shares of its width and height, from the upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def __or__(self, other: Box) -> Box:
        return Box(
            min(self.left, other.left), min(self.top, other.top),
            max(self.right, other.right), max(self.bottom, other.bottom),
        )  # fmt: skip


def columns(figures: Sequence[Figure]) -> list[list[Box]]:
    """The columns of panels of each figure, and those of a legend below all of them; nothing for
    figures of one column, or of different numbers of columns. Rows of panels that have titles of
    their own are cut apart too.

    Args:
        figures: the frames of one slider, drawn already and with the resolution as their own.
    """
    if any(_borrows_its_scale(axis) for figure in figures for axis in figure.axes):
        return []
    apart = [_apart(_panels(figure)) for figure in figures]
    if len(apart[0]) < 2 or len({len(boxes) for boxes in apart}) > 1:
        return []
    return [
        [*_row_by_row(figure, _to_the_middle(boxes)), *_apart(_legend_entries(figure))]
        for figure, boxes in zip(figures, apart, strict=True)
    ]


def narrow(figure: Figure) -> None:
    """Make a figure narrower in place: fewer columns of a legend, long names above their rows."""
    figure.set_size_inches(PHONE_WIDTH, figure.get_figheight())
    for axis in figure.axes:
        _names_above(axis, figure)
    for legend in list(figure.legends):
        _fit(legend, figure)


def _borrows_its_scale(axis: Axes) -> bool:
    """Whether the numbers of its vertical axis stand at another panel."""
    left = axis.yaxis.get_tick_params().get("labelleft", True)
    return axis.axison and not left and len(axis.get_yticks()) > 0 and axis.yaxis.get_visible()


def _panels(figure: Figure) -> list[Box]:
    renderer = _renderer(figure)
    if figure.subfigs:
        return [_share(part.get_tightbbox(renderer), figure) for part in figure.subfigs]
    drawn = [axis.get_tightbbox(renderer) for axis in figure.axes]
    drawn += [text.get_window_extent(renderer) for text in figure.texts if text.get_text()]
    return [_share(box, figure) for box in drawn if box is not None]


def _legend_entries(figure: Figure) -> list[Box]:
    """Every line of the legends of a figure, its mark and its words."""
    renderer, found = _renderer(figure), []
    for legend in figure.legends:
        for mark, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            words = text.get_window_extent(renderer)
            boxes = [words] if mark is None else [words, mark.get_window_extent(renderer)]
            found.append(_share(Bbox.union(boxes), figure))
    return found


def _share(box: Bbox, figure: Figure) -> Box:
    return _turned(box.transformed(figure.transFigure.inverted()))


def _turned(box: Bbox) -> Box:
    return Box(max(0, box.x0), max(0, 1 - box.y1), min(1, box.x1), min(1, 1 - box.y0))


def _renderer(figure: Figure) -> RendererBase:
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else None
    return (canvas or FigureCanvasAgg(figure)).get_renderer()


def _apart(boxes: Iterable[Box]) -> list[Box]:
    """Boxes from left to right; those that overlap in this direction are put together."""
    found: list[Box] = []
    for box in sorted(boxes, key=lambda box: box.left):
        if found and (box.left < found[-1].right or found[-1].right - found[-1].left < _THINNEST):
            found[-1] |= box
        else:
            found.append(box)
    return found


def _to_the_middle(boxes: Sequence[Box]) -> list[Box]:
    """Neighbours that each get half of what is between them, and a margin above and below."""
    cuts = [(one.right + other.left) / 2 for one, other in pairwise(boxes)]
    return [
        Box(left, max(0.0, box.top - _MARGIN), right, min(1.0, box.bottom + _MARGIN))
        for box, left, right in zip(boxes, [0.0, *cuts], [*cuts, 1.0], strict=True)
    ]


def _row_by_row(figure: Figure, boxes: list[Box]) -> list[Box]:
    """Columns cut into rows where each panel has a title, so that panels stay in reading order."""
    titled = all(
        axis.get_title("left") or axis.get_title() or axis.get_title("right")
        for axis in figure.axes
    )
    rows = [_turn(box) for box in _apart(map(_turn, _panels(figure)))]
    if not titled or len(rows) < 2:
        return boxes
    cuts = [(one.bottom + other.top) / 2 for one, other in pairwise(rows)]
    top, bottom = min(box.top for box in boxes), max(box.bottom for box in boxes)
    return [
        Box(box.left, high, box.right, low)
        for high, low in zip([top, *cuts], [*cuts, bottom], strict=True)
        for box in boxes
    ]


def _turn(box: Box) -> Box:
    """With its rows as columns."""
    return Box(box.top, box.left, box.bottom, box.right)


def _names_above(axis: Axes, figure: Figure) -> None:
    """Names of rows that would take too much of the width stand above their rows.

    Not those of a picture or a matrix, which keeps its shape.
    """
    if axis.images or not isinstance(axis.yaxis.get_major_locator(), FixedLocator):
        return
    named = zip(axis.get_yticks(), axis.get_yticklabels(), strict=True)
    rows = [(place, label) for place, label in named if label.get_text()]
    labels = [label for _, label in rows]
    renderer = _renderer(figure)
    widest = max((label.get_window_extent(renderer).width for label in labels), default=0.0)
    if widest < _LONGEST * figure.bbox.width:
        return
    places, names = [place for place, _ in rows], [label.get_text() for label in labels]
    axis.set_yticks(places, [""] * len(places))
    axis.tick_params(axis="y", length=0)
    for place, label, name in zip(places, labels, names, strict=True):
        axis.annotate(
            name, (0, place), (0, 4), xycoords=axis.get_yaxis_transform(),
            textcoords="offset points", va="bottom", fontsize=label.get_fontsize(),
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
        )  # fmt: skip
    low, high = sorted(axis.get_ylim())
    other = figure.get_figheight() * (1 - axis.get_position().height)
    figure.set_size_inches(PHONE_WIDTH, max(figure.get_figheight(), other + _ROW * (high - low)))


def _fit(legend: Legend, figure: Figure) -> None:
    """A legend of a figure with as many columns as there is room for."""
    texts = legend.get_texts()
    marks = [mark for mark in legend.legend_handles if mark is not None]
    names, title = [text.get_text() for text in texts], legend.get_title().get_text()
    for number in range(min(_MOST_COLUMNS, len(names)), 0, -1):
        legend.remove()
        legend = figure.legend(
            marks, names, loc="outside lower left", ncols=number,
            fontsize=texts[0].get_fontsize(), columnspacing=1.0, handlelength=1.6,
            title=title, frameon=False,
        )  # fmt: skip
        if legend.get_window_extent(_renderer(figure)).width <= figure.bbox.width:
            return
