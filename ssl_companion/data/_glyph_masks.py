"""The shapes of Glyphs-100: every character in every face of DejaVu that has it.

The fonts are those that matplotlib brings along. A face's character map says whether it has
a character, so that no class ever shows the empty box of a missing glyph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssl_companion.io.extras import needs

SIDE = 32  # of a mask, in pixels
BOX = 28  # the longer side of the glyph within it; the rest is an empty border
FACES = tuple(
    f"DejaVu{family}"
    for family in (
        *("Sans", "Sans-Bold", "Sans-Oblique", "Sans-BoldOblique"),
        *("SansMono", "SansMono-Bold", "SansMono-Oblique", "SansMono-BoldOblique"),
        *("Serif", "Serif-Bold", "Serif-Italic", "Serif-BoldItalic"),
    )
)
_RENDERED = 3 * BOX  # drawn larger and reduced, for smooth edges at one size in all faces


@dataclass(frozen=True, eq=False)
class Masks:
    """All shapes of all classes.

    Attributes:
        alpha: uint8 [M, SIDE, SIDE], how much ink; the classes one after the other.
        first: int64 [K], where a class begins in `alpha`.
        count: int64 [K], how many faces show a class; at least one.
        half: float32 [M, 2], half the width and height of the ink, in pixels.
    """

    alpha: np.ndarray
    first: np.ndarray
    count: np.ndarray
    half: np.ndarray


def render_masks(characters: tuple[str, ...]) -> Masks:
    """Draw each character once in each face that has it."""
    faces = [_face(name) for name in FACES]
    drawn = [
        [_mask(font, character) for font, known in faces if ord(character) in known]
        for character in characters
    ]
    count = [len(masks) for masks in drawn]
    alpha = np.concatenate(drawn)
    half = [[(np.ptp(axis) + 1) / 2 for axis in np.nonzero(mask.T)] for mask in alpha]
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    return Masks(alpha, first, np.array(count), np.array(half, dtype=np.float32))


def _face(name: str) -> tuple[Any, set[int]]:
    """A face ready to draw, and the code points that it has."""
    with needs("train"):
        import matplotlib
        from matplotlib.ft2font import FT2Font
        from PIL import ImageFont

    path = str(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"))
    basic = ImageFont.Layout.BASIC  # one character has nothing to lay out
    font = ImageFont.truetype(path, 2 * _RENDERED, layout_engine=basic)
    return font, set(FT2Font(path).get_charmap())


def _mask(font: Any, character: str) -> np.ndarray:
    """The ink of a character, its longer side BOX pixels, in the middle: uint8 [SIDE, SIDE]."""
    from PIL import Image

    bitmap = font.getmask(character, mode="L")
    ink = np.array(bitmap, dtype=np.uint8).reshape(bitmap.size[::-1])
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(BOX * side / max(ink.shape))) for side in ink.shape)
    small = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BOX))
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    mask[top : top + height, left : left + width] = small
    return mask
