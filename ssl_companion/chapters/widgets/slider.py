"""One figure over many values: a slider that works without a kernel, and a widget with one.

While the book is built (the environment variable `BOOK_VARIABLE` is set by the book's Sphinx
extension, and execution kernels inherit it) every value is drawn once and the page carries
the pictures itself, with a native range input and a few lines of script: it moves offline,
from `file://` and in print. In a live notebook the same call returns an ipywidgets slider
that draws on demand. `picture` is the case of one value: a figure whose caption and
alternative text are computed beside it.
"""

from __future__ import annotations

import html
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.image import AxesImage, BboxImage
from PIL import Image

from ssl_companion.chapters.plots import phone
from ssl_companion.chapters.plots.theme import on_dark
from ssl_companion.chapters.widgets.static_slider import (
    DPI,
    page_figure,
    png_address,
)

BOOK_VARIABLE = "SSL_COMPANION_BOOK"

#: As sharp as `DPI` where `phone.PHONE_WIDTH` inches take the 358 CSS pixels of a phone's page.
_PHONE_DPI = 110
Value = TypeVar("Value")


@dataclass(frozen=True)
class PageFigure:
    """A finished figure as HTML that needs nothing outside itself."""

    name: str
    caption: str
    html: str = field(repr=False)  # megabytes of pictures

    def _repr_html_(self) -> str:
        return self.html


def in_book() -> bool:
    """Whether a page of the book is being built rather than a notebook run by a person."""
    return bool(os.environ.get(BOOK_VARIABLE))


def frames(
    render: Callable[[Value], Figure],
    values: Sequence[Value],
    name: str,
    caption: str,
    alt: Callable[[Value], str],
    *,
    label: str = "value",
    show: Callable[[Value], str] = str,
    start: int | None = None,
) -> Any:
    """Show `render(value)` for the value that a slider picks.

    Args:
        render: draws one value as a matplotlib figure of the same size each time.
        values: at least two, in the order of the slider; any type, `show` names them.
        name: identifier of the figure, letters, digits and dashes, unique in its page.
        caption: what the figure shows; numbered in the book.
        alt: the alternative text of one value's picture, with the numbers it shows.
        label: what the slider chooses, such as "epoch".
        show: how a value reads beside the slider and to a screen reader.
        start: index of the value shown first; by default that of the last one, since a figure
            through training shows most at its end. On paper, the first and the last are shown.

    Returns:
        In a book build a `PageFigure`, otherwise an ipywidgets box.

    Raises:
        ValueError: for fewer than two values, a bad name or start, an empty text, pictures
            of different sizes, or two neighbouring values with the same picture (a slider
            that moves and changes nothing).
    """
    values = list(values)
    start = len(values) - 1 if start is None else start
    _check(values, name, caption, start)
    if in_book():
        figures = [render(value) for value in values]
        images = [_pixels(figure) for figure in figures]
        dark = _dark(images, [_photographs(figure) for figure in figures])
        shown, alts = [show(value) for value in values], [_text(alt(value)) for value in values]
        _check_images(images, shown)
        page = page_figure(
            images, shown, alts, name, caption, label, start, dark, *_for_phones(figures, dark)
        )
        return PageFigure(name, caption, page)
    return _widget(render, values, caption, alt, label, show, start)


def picture(figure: Figure, name: str, caption: str, alt: str) -> PageFigure:
    """One figure with its caption and alternative text, numbered in the book.

    Raises:
        ValueError: for a bad name or an empty text.
    """
    _check([None, None], name, caption, 0)
    pixels = _pixels(figure)
    dark = _dark([pixels], [_photographs(figure)])
    parts, narrow = _for_phones([figure], dark) if in_book() else ((), ())
    page = page_figure(
        [pixels], [""], [_text(alt)], name, caption, dark=dark, parts=parts, narrow=narrow
    )
    return PageFigure(name, caption, page)


def _check(values: Sequence[Any], name: str, caption: str, start: int) -> None:
    if len(values) < 2:
        raise ValueError(f"values: {values!r}; expected two or more; picture() shows one")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"name: {name!r}; expected lower-case letters, digits and dashes")
    if not caption.strip():
        raise ValueError(f"caption: {caption!r}; expected a sentence on what the figure shows")
    if not 0 <= start < len(values):
        raise ValueError(f"start: {start}; expected an index from 0 to {len(values) - 1}")


def _check_sizes(images: Sequence[np.ndarray]) -> None:
    if len({image.shape for image in images}) > 1:
        sizes = sorted({image.shape[1::-1] for image in images})
        raise ValueError(f"render: pictures of sizes {sizes}; expected one size: fix figsize")


def _check_images(images: Sequence[np.ndarray], names: Sequence[str]) -> None:
    _check_sizes(images)
    for i in range(1, len(images)):
        if np.array_equal(images[i - 1], images[i]):
            raise ValueError(
                f"render: one picture for {names[i - 1]!r} and {names[i]!r}; expected one that "
                "depends on its argument; or leave one of the two values out"
            )


def _text(alt: str) -> str:
    if not alt.strip():
        raise ValueError(f"alt: {alt!r}; expected what the picture shows, with its numbers")
    return alt


def _for_phones(
    figures: Sequence[Figure], dark: Sequence[np.ndarray]
) -> tuple[Sequence[Sequence[phone.Box]], Sequence[np.ndarray]]:
    """The columns of panels that a phone shows one under the other or, where there is one only,
    narrower pictures; those with photographs would need them twice, and are scrolled."""
    if figures[0].get_figwidth() <= phone.PHONE_WIDTH:
        return (), ()
    parts = phone.columns(figures)
    if parts or dark:
        return parts, ()
    for figure in figures:
        phone.narrow(figure)
    pictures = [_pixels(figure, _PHONE_DPI) for figure in figures]
    _check_sizes(pictures)
    return (), pictures


_Boxes = list[tuple[float, float, float, float]]


def _dark(images: Sequence[np.ndarray], photographs: Sequence[_Boxes]) -> list[np.ndarray]:
    """The pictures for a dark page if any holds photographs, which stay as they are."""
    if not any(photographs):
        return []
    return [_darkened(*one) for one in zip(images, photographs, strict=True)]


def _darkened(pixels: np.ndarray, photographs: _Boxes) -> np.ndarray:
    dark = np.rint(255 * on_dark(pixels / 255)).astype(np.uint8)
    height, width = pixels.shape[:2]
    for left, bottom, right, top in photographs:
        rows = slice(round((1 - top) * height), round((1 - bottom) * height))
        columns = slice(round(left * width), round(right * width))
        dark[rows, columns] = pixels[rows, columns]
    return dark


def _photographs(figure: Figure) -> _Boxes:
    """Left, bottom, right and top of the images in colours, as shares of the figure; strips of
    colours, stretched to fit, are none."""
    found = []
    images: list[Any] = figure.findobj(lambda artist: isinstance(artist, (AxesImage, BboxImage)))
    for image in images:
        stretched = isinstance(image, AxesImage) and image.axes.get_aspect() == "auto"
        if np.ndim(image.get_array()) == 3 and not stretched:
            box, whole = image.get_window_extent(), figure.bbox
            found.append((box.x0 / whole.width, box.y0 / whole.height,
                          box.x1 / whole.width, box.y1 / whole.height))  # fmt: skip
    return found


def _pixels(figure: Figure, dpi: int = DPI) -> np.ndarray:
    """The figure as uint8 [H, W, 3]; closed, so that no backend shows it a second time."""
    if not isinstance(figure, Figure):
        raise ValueError(f"render: returned {type(figure).__name__}; expected a matplotlib Figure")
    buffer = io.BytesIO()
    figure.set_dpi(dpi)  # so that what is measured of it later agrees with what is drawn now
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    plt.close(figure)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _widget(
    render: Callable[[Value], Figure],
    values: Sequence[Value],
    caption: str,
    alt: Callable[[Value], str],
    label: str,
    show: Callable[[Value], str],
    start: int,
) -> Any:
    import ipywidgets  # not needed by a static page

    @cache
    def draw(index: int) -> str:
        address = png_address(Image.fromarray(_pixels(render(values[index]))))
        text = html.escape(_text(alt(values[index])))
        return f'<img style="max-width:100%;background:#fff" alt="{text}" src="{address}">'

    slider = ipywidgets.SelectionSlider(
        options=[(show(value), index) for index, value in enumerate(values)],
        value=start,
        description=label,
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "min(36rem, 100%)"},
    )
    stage = ipywidgets.HTML(draw(start))
    slider.observe(lambda change: setattr(stage, "value", draw(change["new"])), names="value")
    return ipywidgets.VBox([slider, stage, ipywidgets.HTML(f"<em>{html.escape(caption)}</em>")])
