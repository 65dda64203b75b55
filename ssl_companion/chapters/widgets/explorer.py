"""The explorer: a whole recording in one figure to move, without a kernel.

What `analysis.feature_maps.overview` computed becomes a block of HTML with its own script and
data, the large arrays packed, photographs where there are any. It needs no library, no network
and no kernel, and is the same in the built book, from `file://`, and as the output of a live
notebook's cell.
"""

from __future__ import annotations

import base64
import html
import json
import re
from functools import cache
from importlib import resources
from string import Template
from typing import Any

import numpy as np

import ssl_companion
from ssl_companion.chapters.analysis.feature_maps import Overview
from ssl_companion.chapters.photographs import photograph_address, photograph_sheet, photographs
from ssl_companion.chapters.widgets.slider import PageFigure
from ssl_companion.chapters.widgets.static_slider import CAPTION_MARK
from ssl_companion.data.hierarchy import Hierarchy, Level
from ssl_companion.recordings import Recording

# One function's body, in the order in which it runs; each part uses what those before it name.
_SCRIPT = (
    *("helpers", "data", "state", "colours", "map"),
    *("charts", "words", "search", "controls", "pointer", "begin"),
)
_COLUMNS = 20  # photographs in a row of the sheet
_FIRST = "maple tree"  # the class of the book's first lines, where a recording has it


def explorer(
    overview: Overview,
    name: str,
    caption: str,
    *,
    level: str | None = None,
    epoch: int | None = None,
    layer: str | None = None,
    chosen: str | None = None,
    pictures: np.ndarray | None = None,
    layers_are: str = "Layer",
) -> PageFigure:
    """The map of a recording's kept images, to be moved over epochs and layers.

    Args:
        overview: what is shown.
        name: identifier of the figure, letters, digits and dashes, unique in its page.
        caption: what the figure shows; numbered in the book.
        level: that colours the points at first; by default the finest.
        epoch: shown at first; by default the last one kept at the layer.
        layer: shown at first; by default the last one kept.
        chosen: class of the finest level whose neighbours are shown at first; by default
            "maple tree" or, where there is none, that with the most images nearest to its own mean
            and, among those, the most nearest classes of its own group.
        pictures: of the images, uint8 [N, 32, 32, 3]; by default the photographs that the book
            has of a recording, if any.
        layers_are: what the layers are called where they are something else, such as "Encoder".

    Raises:
        ValueError: a bad name, an empty caption, or a level, epoch, layer or class that the
            recording does not have.

    Example:
        ```python
        recording = open_recording("reference-vicreg-s0")
        explorer(overview(recording), "my-map", "All kept images.", chosen="otter")
        ```
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"name: {name!r}; expected lower-case letters, digits and dashes")
    if not caption.strip():
        raise ValueError(f"caption: {caption!r}; expected a sentence on what the figure shows")
    level = level or overview.hierarchy.names[0]
    layer = layer or overview.snapshots[-1].layer
    if epoch is None:
        epoch = next((s.epoch for s in reversed(overview.snapshots) if s.layer == layer), 0)
    data = json.dumps(page_data(overview, level, epoch, layer, chosen), separators=(",", ":"))
    credit = "" if pictures is not None else _credit()
    pictures = photographs(overview.recording) if pictures is None else pictures
    sheet = "" if pictures is None else photograph_address(pictures, _COLUMNS)
    page = Template(_asset("page.html")).substitute(
        name=name,
        caption=html.escape(caption),
        mark=CAPTION_MARK,
        style=_asset("style.css"),
        sheet=_SHEET.substitute(name=name, address=sheet) if sheet else "",
        columns=_COLUMNS if sheet else 0,
        credit=credit if sheet else "",
        layers_are=html.escape(layers_are),
        script=_script(),
        data=data.replace("<", r"\u003c"),  # a script ends, or opens a comment, at a bare "<"
    )
    return PageFigure(name, caption, page)


def explorer_page(
    overview: Overview,
    *,
    level: str | None = None,
    epoch: int | None = None,
    layer: str | None = None,
    chosen: str | None = None,
) -> str:
    """The explorer as a whole HTML page, for a file that needs nothing outside itself.

    Args:
        overview: what is shown.
        level, epoch, layer, chosen: as in `explorer`.

    Raises:
        ValueError: a level, epoch, layer or class that the recording does not have.
    """
    n, maps = len(overview.fine), len(overview.snapshots)
    words = (
        f"{n:,} held-out images on {maps} map{'s' if maps > 1 else ''} (UMAP of their features). "
        "Distances and neighbours come from the features, not from the map."
    )
    figure = explorer(
        overview, "explorer", words, level=level, epoch=epoch, layer=layer, chosen=chosen
    )
    return Template(_asset("document.html")).substitute(
        title=html.escape(overview.recording.title),
        grows=_grows(overview.recording),
        version=ssl_companion.__version__,
        figure=figure.html.replace(CAPTION_MARK, ""),
    )


def _grows(recording: Recording) -> str:
    """That more epochs may come, where they may."""
    if recording.complete:
        return ""
    last = recording.epochs[-1]
    here = f"epochs up to {last} are" if len(recording.epochs) > 1 else f"epoch {last} is"
    return (
        f'<p class="grows">Training goes on: {here} here; make the page again for later ones.</p>\n'
    )


def _credit() -> str:
    """Where the photographs come from."""
    shown = photograph_sheet()
    about = shown.about if shown else {}
    said = f"Photographs: {about.get('data set')}. {about.get('source')}."
    return f'<p class="explorer-small">{html.escape(said)}</p>\n'


def _script() -> str:
    parts = "\n".join(_asset(f"{name}.js") for name in _SCRIPT)
    return f"((name, data) => {{\n{parts}}})"


@cache
def _asset(name: str) -> str:
    folder = resources.files("ssl_companion.chapters.widgets") / "assets/explorer"
    return (folder / name).read_text(encoding="utf8")


_SHEET = Template("[data-explorer=$name] .explorer-photograph{background-image:url($address)}\n")
_GRID = 65535  # steps of the map's square
_HUNDREDTHS = 100  # distances are shown with two digits
_MOST_HUES = 8
_SHADES = (0.0, 0.9, -0.9)  # of the first eight classes, the next eight, and those after them
_MOST_CHIPS = _MOST_HUES * len(_SHADES)  # more classes than these are told apart by their groups


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array of whole numbers from 0 to 65535: its shape, bits, and bytes in base64.

    Raises:
        ValueError: for a number outside that range.
    """
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 or high > 65535:
        raise ValueError(f"array: numbers from {low} to {high}; expected 0 to 65535")
    bits = 8 if high < 256 else 16
    data = np.ascontiguousarray(array, dtype=f"<u{bits // 8}").tobytes()
    return {
        "shape": list(array.shape),
        "bits": bits,
        "data": "base64," + base64.b64encode(data).decode("ascii"),
    }


def page_data(
    overview: Overview, level: str, epoch: int, layer: str, chosen: str | None = None
) -> dict[str, Any]:
    """All that the page shows, ready for JSON.

    Args:
        overview: of the recording.
        level: that colours the points at first.
        epoch, layer: shown at first.
        chosen: the class chosen at first, as in `explorer`.

    Raises:
        ValueError: for a level, a place or a class that the overview does not have.
    """
    recording, hierarchy = overview.recording, overview.hierarchy
    overview.at(epoch, layer)
    hierarchy.level(level)
    first = _chosen(overview, epoch, layer, chosen)
    snapshots = overview.snapshots
    near = np.stack([s.nearest for s in snapshots])
    far = np.stack([s.distances for s in snapshots])
    return {
        "title": recording.title,
        "start": {"level": level, "epoch": epoch, "layer": layer, "group": first},
        "layers": list(recording.layers),
        "epochs": list(recording.epochs),
        "places": [[s.epoch, s.layer] for s in snapshots],
        "levels": [_level(overview, index, first) for index in range(len(hierarchy.levels))],
        "fine": packed(overview.fine),
        "files": overview.files.tolist(),
        "map": packed(_on_grid(np.stack([s.points for s in snapshots]))),
        "near": packed(near),
        "far": packed(_hundredths(far)),
    }


def _chosen(overview: Overview, epoch: int, layer: str, wanted: str | None) -> int:
    """Number of the class shown at first."""
    names = [_plain(name) for name in overview.hierarchy.levels[0].class_names]
    if wanted is None:
        return names.index(_FIRST) if _FIRST in names else _clearest(overview, epoch, layer)
    if _plain(wanted) not in names:
        raise ValueError(f"chosen: {wanted!r}; expected a class, one of {', '.join(names)}")
    return names.index(_plain(wanted))


def _clearest(overview: Overview, epoch: int, layer: str) -> int:
    """The class with the most images right and, among those, the most kin nearest to it."""
    finest, *above = overview.hierarchy.levels
    groups = overview.at(epoch, layer).groups[finest.name]
    kin = np.zeros(finest.k, dtype=np.int64)
    if above:
        members = above[0].of_fine
        kin = (members[groups.nearest] == members[:, None]).sum(axis=1)
    return int(np.lexsort((-kin, -groups.right))[0])


def _plain(name: str) -> str:
    return name.replace("_", " ")


_LABELS = {
    "fine": "{k} classes",
    "coarse": "{k} superclasses",
    "seven": "{k} groups",
    "living": "living / not living",
}


def _label(level: Level) -> str:
    """What readers call a level: those of CIFAR-100 by words, others by name and size."""
    return _LABELS.get(level.name, level.name + " ({k})").format(k=level.k)


def _note(hierarchy: Hierarchy, index: int, first: int) -> str:
    """A level explained by the group that holds class `first`, one sentence."""
    level = hierarchy.levels[index]
    if not index:
        return f"Each class by itself, such as {_plain(level.class_names[first])}."
    below, group = hierarchy.levels[index - 1], level.of_fine[first]
    inside = np.unique(below.of_fine[level.of_fine == group]).tolist()
    names = ", ".join(_plain(below.class_names[k]) for k in inside)
    label = _label(below) if below.name in _LABELS else f"groups of the level {below.name}"
    return f"The {label} put together, such as {_plain(level.class_names[group])}: {names}."


def _level(overview: Overview, index: int, first: int) -> dict[str, Any]:
    level = overview.hierarchy.levels[index]
    groups = [s.groups[level.name] for s in overview.snapshots]
    rows = overview.ncc[overview.ncc["level"] == level.name]
    shades = colours(overview.hierarchy, level)
    grouped = level.k > _MOST_CHIPS and index + 1 < len(overview.hierarchy.levels)
    return {
        "name": level.name,
        "label": _label(level),
        "note": _note(overview.hierarchy, index, first),
        "names": [_plain(name) for name in level.class_names],
        "ofFine": level.of_fine.tolist(),
        "colours": [[int(hue), round(float(shade), 3)] for hue, shade in shades],
        "chips": index + grouped,  # the level whose classes the legend lists
        "near": packed(np.stack([g.nearest for g in groups])),
        "far": packed(_hundredths(np.stack([g.distances for g in groups]))),
        "right": packed(np.stack([g.right for g in groups])),
        "ncc": [
            [int(epoch), layer, round(float(value), 5), int(n)]
            for epoch, layer, value, n in rows[["epoch", "layer", "value", "n"]].to_numpy().tolist()
        ],
    }


def _on_grid(points: np.ndarray) -> np.ndarray:
    """Maps [S, N, 2] on a grid of whole numbers, each fitted into the same square."""
    low, high = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
    side = (high - low).max(axis=2, keepdims=True)
    grid: np.ndarray = np.rint(((points - (low + high) / 2) / side + 0.5) * _GRID).astype(np.int64)
    return grid


def _hundredths(distances: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(distances * _HUNDREDTHS).astype(np.int64)
    return rounded


def colours(hierarchy: Hierarchy, level: Level) -> list[tuple[int, float]]:
    """A hue (its number in the palette) and a shade (-1 darkest, 1 lightest) for every class.

    A hundred colours cannot be told apart. So one level gives the hues, the finest with at
    most eight groups; the level below it gives shades of them, if it has few enough classes for
    a legend, and the levels under that take the colour of the group they belong to. Levels
    above the hues count their own.

    Returns:
        One pair a class of `level`, in its order.
    """
    levels = hierarchy.levels
    base = next((i for i, one in enumerate(levels) if one.k <= _MOST_HUES), len(levels) - 1)
    here = [one.name for one in levels].index(level.name)
    if here >= base:
        return _counted(level.k)
    below, hues = levels[base - 1], levels[base]
    if hues.k > _MOST_HUES or below.k > _MOST_CHIPS:
        shaded, pairs = hues, _counted(hues.k)
    else:
        shaded, pairs = below, _shades_of(below, hues)
    up = dict(zip(level.of_fine.tolist(), shaded.of_fine.tolist(), strict=True))
    return [pairs[up[k]] for k in range(level.k)]


def _counted(k: int) -> list[tuple[int, float]]:
    """Colours of k classes that have no groups: all hues, then all again in another shade."""
    return [(i % _MOST_HUES, _SHADES[i // _MOST_HUES % len(_SHADES)]) for i in range(k)]


def _shades_of(below: Level, hues: Level) -> list[tuple[int, float]]:
    """Colours of a level's classes: the hue of the group above, in as many shades as it has."""
    group = dict(zip(below.of_fine.tolist(), hues.of_fine.tolist(), strict=True))
    shades: dict[int, float] = {}
    for hue in range(hues.k):
        members = [k for k in range(below.k) if group[k] == hue]
        shades.update(zip(members, _spread(len(members)), strict=True))
    return [(group[k], shades[k]) for k in range(below.k)]


def _spread(count: int) -> list[float]:
    return [0.0] if count == 1 else np.linspace(-1, 1, count).tolist()
