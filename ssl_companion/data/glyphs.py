"""Glyphs-100: a stand-in for CIFAR-100 that needs no data set, drawn from matplotlib's fonts.

Twenty scripts and blocks of symbols are the superclasses, with five characters each. An image
is one character: its face, pose, ink and background are drawn at random and independently of
the class, so that only the shape tells the class. It lets every piece of code run where there
is no CIFAR-100; it proves nothing about natural images, and whatever shows it says so.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ssl_companion.data import _glyph_masks
from ssl_companion.data._glyph_masks import BOX, SIDE, Masks
from ssl_companion.data._glyph_names import COARSE
from ssl_companion.data.hierarchy import GLYPHS100
from ssl_companion.data.images import Decoded, in_canonical_order

VERSION = 1  # raise it when the same seed would give other images
SIZES = {"train": 10_000, "test": 2_000}
CHARACTERS = tuple(chr(code) for block in COARSE.values() for code in block.values())
"""The character of each fine class, str [K]."""

_CHUNK = 1_000  # images drawn at once: few enough to stay in the processor's cache
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def generate(split: str = "train", n: int | None = None, seed: int = 0) -> Decoded:
    """Draw a split; the classes differ by at most one image in number.

    The same arguments give the same images (under one version of matplotlib's fonts). The
    two splits of a seed are drawn independently of each other.

    Args:
        split: "train" or "test".
        n: number of images; 10,000 for training and 2,000 for testing by default.
        seed: which draw, 0 or more.

    Raises:
        ValueError: if the split is unknown, or `n` is below 1, or the seed negative.
    """
    if split not in SIZES:
        raise ValueError(f"split: {split!r}; expected one of {', '.join(SIZES)}")
    n = SIZES[split] if n is None else n
    if n < 1:
        raise ValueError(f"n: {n}; expected an integer of 1 or more")
    if seed < 0:
        raise ValueError(f"seed: {seed}; expected an integer of 0 or more")
    masks = _masks()
    fine = np.arange(n) % len(CHARACTERS)
    images = np.empty((n, 3, SIDE, SIDE), dtype=np.uint8)
    for start in range(0, n, _CHUNK):
        rng = np.random.default_rng([seed, list(SIZES).index(split), start])
        images[start : start + _CHUNK] = _images(masks, fine[start : start + _CHUNK], rng)
    names = GLYPHS100.level("fine").class_names
    files = [f"{names[label]}_{split}_{index:06d}.png" for index, label in enumerate(fine)]
    return in_canonical_order(images, fine, files)


@lru_cache(maxsize=1)
def _masks() -> Masks:
    return _glyph_masks.render_masks(CHARACTERS)


def _images(masks: Masks, fine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Characters upon backgrounds: uint8 [N, 3, SIDE, SIDE]."""
    face = (rng.random(len(fine)) * masks.count[fine]).astype(np.int64)
    which = masks.first[fine] + face
    alpha = _sample(masks.alpha, which, *_poses(masks.half[which], rng))[:, None]
    ink, paper = _colours(len(fine), rng)
    picture = _background(paper, rng)
    picture += alpha * (ink[:, :, None, None] - picture)
    strength = rng.uniform(0.0, 0.06, (len(fine), 1, 1, 1)).astype(np.float32)
    picture += strength * (2 * rng.random(picture.shape, dtype=np.float32) - 1)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _poses(half: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random affine maps from image to mask: matrices [N, 2, 2], and shifts [N, 2] in pixels.

    Scaled so that the glyph's longer side takes 19 to 28 pixels, turned by up to 20 degrees,
    slanted, stretched, and shifted as far as the glyph stays within the image.
    """
    n = len(half)
    scale = rng.uniform(19, 28, n) / BOX
    angle = np.deg2rad(rng.uniform(-20, 20, n))
    stretch = np.exp(rng.uniform(-0.12, 0.12, n))
    slant = rng.uniform(-0.15, 0.15, n)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([cos, -sin, sin, cos], axis=1).reshape(n, 2, 2)
    zero = np.zeros(n)
    slanted = np.stack([stretch, slant / stretch, zero, 1 / stretch], axis=1).reshape(n, 2, 2)
    forward = scale[:, None, None] * (turn @ slanted)
    reach = np.einsum("nij,nj->ni", np.abs(forward), half)
    shift = rng.uniform(-1, 1, (n, 2)) * np.maximum(SIDE / 2 - reach, 0)
    return np.linalg.inv(forward).astype(np.float32), shift.astype(np.float32)


def _sample(
    alpha: np.ndarray, which: np.ndarray, inverse: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Bilinear samples of the masks in their poses: float32 [N, SIDE, SIDE] from 0 to 1."""
    axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    pixels = np.stack(np.meshgrid(axis, axis, indexing="xy")).reshape(2, -1)
    # A mask's outermost pixels are empty, so clipping to them means: no ink out there.
    at = inverse @ (pixels[None] - shift[:, :, None]) + (SIDE - 1) / 2
    at = np.clip(at, 0, SIDE - 1.001)
    low = at.astype(np.int32)
    (fx, fy), (x, y) = (at - low).swapaxes(0, 1), low.swapaxes(0, 1)
    flat = alpha.reshape(-1)
    corner = (which[:, None] * SIDE + y) * SIDE + x
    top = flat[corner] * (1 - fx) + flat[corner + 1] * fx
    bottom = flat[corner + SIDE] * (1 - fx) + flat[corner + SIDE + 1] * fx
    return ((top * (1 - fy) + bottom * fy) / 255).astype(np.float32).reshape(-1, SIDE, SIDE)


def _colours(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ink [N, 3], and the two ends of a background's gradient [N, 2, 3], from 0 to 1.

    Either is the lighter one as often as not; their luminances are at least 0.3 apart.
    """
    light = rng.random(n) < 0.5
    dark_side = rng.uniform(0.05, 0.42, n)
    paper = np.where(light, 1 - dark_side, dark_side)
    away = rng.uniform(0.38, np.maximum(0.95 - dark_side, 0.39))
    ink = np.where(light, paper - away, paper + away)
    ends = paper[:, None] + rng.uniform(-0.08, 0.08, (n, 2))
    return _tinted(ink, rng), _tinted(ends, rng)


def _tinted(luminance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random colours of given luminance (up to clipping): [...] to float32 [..., 3]."""
    colour = rng.random((*luminance.shape, 3), dtype=np.float32)
    grey = (colour @ _LUMINANCE)[..., None]
    return np.clip(luminance[..., None] + 0.8 * (colour - grey), 0, 1).astype(np.float32)


def _background(ends: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A gradient in a random direction under a cloudy texture: float32 [N, 3, SIDE, SIDE]."""
    n = len(ends)
    angle = rng.uniform(0, 2 * np.pi, n).astype(np.float32)
    axis = np.linspace(-1, 1, SIDE, dtype=np.float32)
    along = np.cos(angle)[:, None, None] * axis + np.sin(angle)[:, None, None] * axis[:, None]
    weight = (along / (2 * np.sqrt(2)) + 0.5)[:, None]
    first, last = ends[:, 0, :, None, None], ends[:, 1, :, None, None]
    knots = 5
    at = np.linspace(0, knots - 1, SIDE, dtype=np.float32)[:, None]
    smooth = np.maximum(0, 1 - np.abs(at - np.arange(knots, dtype=np.float32)))
    cloud = 2 * rng.random((n, 3, knots, knots), dtype=np.float32) - 1
    strength = rng.uniform(0, 0.1, (n, 1, 1, 1)).astype(np.float32)
    return first + weight * (last - first) + strength * (smooth @ cloud @ smooth.T)
