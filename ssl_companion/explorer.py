"""The explorer: a whole recording in one figure to move, without a kernel.

What `findings.explorer.overview` computed becomes a block of HTML with its own script and
data. It asks nothing of anybody: no library, no network, no kernel; the same in the built
book, from `file://`, and as the output of a live notebook's cell.
"""

from __future__ import annotations

import html
import json
import re
from functools import cache
from importlib import resources
from string import Template

import ssl_companion
from ssl_companion._explorer_data import page_data
from ssl_companion._page_figure import CAPTION_MARK
from ssl_companion.findings.explorer import Overview
from ssl_companion.frames import PageFigure

# One function's body, in the order in which it runs; each part uses what those before it name.
_SCRIPT = (
    *("helpers", "data", "state", "colours", "map"),
    *("charts", "words", "controls", "pointer", "begin"),
)


def explorer(
    overview: Overview,
    name: str,
    caption: str,
    *,
    level: str | None = None,
    epoch: int | None = None,
    layer: str | None = None,
) -> PageFigure:
    """The map of a recording's kept images, to be moved over epochs and layers.

    Args:
        overview: what is shown.
        name: identifier of the figure, letters, digits and dashes, unique in its page.
        caption: what the figure shows; numbered in the book.
        level: that colours the points at first; by default the finest.
        epoch: shown at first; by default the first one kept at the layer.
        layer: shown at first; by default the last one kept.

    Raises:
        ValueError: a bad name, an empty caption, or a level, epoch or layer that the
            recording does not have.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"name={name!r}: expected lower-case letters, digits and dashes")
    if not caption.strip():
        raise ValueError(f"caption={caption!r}: say in a sentence what the figure shows")
    level = level or overview.hierarchy.names[0]
    layer = layer or overview.snapshots[-1].layer
    if epoch is None:
        epoch = next((s.epoch for s in overview.snapshots if s.layer == layer), 0)
    data = json.dumps(page_data(overview, level, epoch, layer), separators=(",", ":"))
    page = Template(_asset("page.html")).substitute(
        name=name,
        caption=html.escape(caption),
        mark=CAPTION_MARK,
        style=_asset("style.css"),
        script=_script(),
        data=data.replace("</", "<\\/"),
    )
    return PageFigure(name, caption, page)


def explorer_page(
    overview: Overview,
    *,
    level: str | None = None,
    epoch: int | None = None,
    layer: str | None = None,
) -> str:
    """The explorer as a whole HTML page, for a file that needs nothing outside itself.

    Args:
        overview: what is shown.
        level, epoch, layer: as in `explorer`.

    Raises:
        ValueError: a level, epoch or layer that the recording does not have.
    """
    n, maps = len(overview.fine), len(overview.snapshots)
    words = (
        f"{n:,} held-out images on {maps} map{'s' if maps > 1 else ''} (UMAP of their features). "
        "Distances and neighbours are those of the features, not those of the map."
    )
    figure = explorer(overview, "explorer", words, level=level, epoch=epoch, layer=layer)
    return Template(_asset("document.html")).substitute(
        title=html.escape(overview.recording.title),
        version=ssl_companion.__version__,
        figure=figure.html.replace(CAPTION_MARK, ""),
    )


def _script() -> str:
    parts = "\n".join(_asset(f"{name}.js") for name in _SCRIPT)
    return f"((name, data) => {{\n{parts}}})"


@cache
def _asset(name: str) -> str:
    folder = resources.files("ssl_companion") / "assets" / "explorer"
    return (folder / name).read_text(encoding="utf8")
