"""A photograph and its nearest neighbours, before training and after any epoch, without a kernel.

The figure is HTML with its own pictures and script, the same in the built book, from `file://` and
as the output of a live notebook's cell. It begins with the last epoch, so that it tells before and
after on paper and without its script as well.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from ssl_companion.chapters.analysis.nearest_images import NearestImages
from ssl_companion.chapters.english import count_in_words
from ssl_companion.chapters.photographs import photograph_address
from ssl_companion.chapters.widgets.slider import PageFigure
from ssl_companion.chapters.widgets.static_slider import CAPTION_MARK

#: How a neighbour is marked beside its name, by what it has in common with the photograph.
_MARKS, _WORDS = ("", "≈ ", "✔ "), ("", ", same superclass", ", same class")


def nearest_photographs(
    found: NearestImages,
    pictures: np.ndarray,
    name: str,
    caption: str,
    examples: Sequence[int],
) -> PageFigure:
    """Photographs to choose from, each with its neighbours before and through training.

    Args:
        found: the neighbours of all images.
        pictures: uint8 [N, 32, 32, 3], all images.
        name: identifier of the figure, letters, digits and dashes, unique in its page.
        caption: what the figure shows; numbered in the book.
        examples: places of the photographs, the one shown first in front.

    Raises:
        ValueError: a bad name, an empty caption, pictures of other images, or none to choose.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"name: {name!r}; expected lower-case letters, digits and dashes")
    if not caption.strip():
        raise ValueError(f"caption: {caption!r}; expected a sentence on what the figure shows")
    if len(pictures) != len(found.fine):
        raise ValueError(f"pictures: {len(pictures)}; expected {len(found.fine)}, one an image")
    if not len(examples):
        raise ValueError("examples: none; expected one place or more")
    data = nearest_data(found, pictures, examples)
    first, last = data["shown"][0], len(found.epochs) - 1
    page = Template(_asset("page.html")).substitute(
        name=name,
        caption=html.escape(caption),
        mark=CAPTION_MARK,
        style=_asset("style.css"),
        script=_asset("script.js"),
        data=json.dumps(data, separators=(",", ":")).replace("<", r"\u003c"),
        choices="\n".join(_choice(data, i) for i in range(len(examples))),
        chosen=_picture(data, first["tile"]),
        chosen_name=html.escape(data["tiles"][first["tile"]][1]),
        before=_neighbours(data, first, 0),
        after=_neighbours(data, first, last),
        told=html.escape(first["told"][last]),
        start=last,
        shown=found.epochs[last],
    )
    return PageFigure(name, caption, page)


def nearest_data(
    found: NearestImages, pictures: np.ndarray, examples: Sequence[int]
) -> dict[str, Any]:
    """What the script shows, ready for JSON.

    "tiles" are addresses and names; "shown", for each photograph, its own tile, and by epoch the
    tiles of its neighbours, what each has in common with it, and the sentence that is told.
    """
    used = sorted({*examples, *found.rows[:, list(examples)].ravel().tolist()})
    tile = {place: i for i, place in enumerate(used)}
    same_class = found.fine[found.rows] == found.fine[:, None]
    common = (found.groups[found.rows] == found.groups[:, None]).astype(int) + same_class
    return {
        "epochs": list(found.epochs),
        "marks": _MARKS,
        "words": _WORDS,
        "tiles": [
            [photograph_address(pictures[place]), _plain(found.class_names[found.fine[place]])]
            for place in used
        ],
        "shown": [
            {
                "tile": tile[place],
                "near": [[tile[p] for p in rows] for rows in found.rows[:, place].tolist()],
                "common": common[:, place].tolist(),
                "told": [told(found, place, epoch) for epoch in found.epochs],
            }
            for place in examples
        ],
    }


def told(found: NearestImages, place: int, epoch: int) -> str:
    """How many neighbours come from an image's own group, before training and after an epoch.

    Args:
        found: the neighbours.
        place: of the image.
        epoch: one of `found.epochs`.
    """
    counts = found.same_group()[:, place]
    before, after = (int(counts[i]) for i in (0, found.epochs.index(epoch)))
    name, group = found.class_names[found.fine[place]], found.group_names[found.groups[place]]
    return (
        f"Of the {count_in_words(found.k)} photographs nearest to this {_plain(name)}, "
        f"{count_in_words(before)} came from its superclass ({_plain(group)}) before training, and "
        f"{count_in_words(after)} after {epoch} epoch{'s' if epoch != 1 else ''}."
    )


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _picture(data: dict[str, Any], tile: int, common: int = 0) -> str:
    source, name = data["tiles"][tile]
    said = html.escape(name + data["words"][common])
    return f'<img class="dark-light" width="96" height="96" alt="{said}" src="{source}">'


def _choice(data: dict[str, Any], index: int) -> str:
    tile = data["shown"][index]["tile"]
    name = html.escape(data["tiles"][tile][1])
    pressed = "true" if index == 0 else "false"
    return (
        f'<button type="button" data-choice="{index}" aria-pressed="{pressed}">'
        f'{_picture(data, tile)}<span aria-hidden="true">{name}</span></button>'
    )


def _neighbours(data: dict[str, Any], shown: dict[str, Any], epoch: int) -> str:
    return "\n".join(
        f'<li data-common="{common}">{_picture(data, tile, common)}<span aria-hidden="true">'
        f"{html.escape(data['marks'][common] + data['tiles'][tile][1])}</span></li>"
        for tile, common in zip(shown["near"][epoch], shown["common"][epoch], strict=True)
    )


def _asset(name: str) -> str:
    folder = resources.files("ssl_companion.chapters.widgets") / "assets/nearest"
    return (folder / name).read_text(encoding="utf8")
