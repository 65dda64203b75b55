"""Diagrams as numbered figures whose drawing is part of the page, so that it follows the theme."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from ssl_companion.chapters.plots.drawing import STYLE, Drawing
from ssl_companion.chapters.widgets.slider import PageFigure
from ssl_companion.chapters.widgets.static_slider import CAPTION_MARK


def diagram(panels: Sequence[Drawing], name: str, caption: str) -> PageFigure:
    """Panels beside each other, or below where there is no room; numbered in the book.

    The text for those who cannot see it is in the panels. Works in a page, a live notebook and a
    slide alike.

    Args:
        panels: one or more.
        name: identifier of the figure, letters, digits and dashes, unique in its page.
        caption: what the figure shows.

    Raises:
        ValueError: for no panels, a bad name or an empty caption.
    """
    if not panels:
        raise ValueError("panels: none; expected one or more")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"name: {name!r}; expected lower-case letters, digits and dashes")
    if not caption.strip():
        raise ValueError(f"caption: {caption!r}; expected a sentence on what the figure shows")
    drawn = "\n".join(panel.svg(f"{name}-{i}") for i, panel in enumerate(panels))
    page = (
        f'<figure class="frames" id="figure-{name}">\n<div class="frames-stage">'
        f'<div class="diagram"><style>{STYLE}</style>\n{drawn}</div></div>\n'
        f"{CAPTION_MARK}<figcaption>{html.escape(caption)}</figcaption>{CAPTION_MARK}\n</figure>"
    )
    return PageFigure(name, caption, page)
