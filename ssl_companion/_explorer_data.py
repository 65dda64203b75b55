"""What the explorer's script is given: an `Overview` as JSON, its large arrays packed."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from ssl_companion.data.hierarchy import Hierarchy, Level
from ssl_companion.findings.explorer import Overview

_GRID = 65535  # steps of the map's square
_HUNDREDTHS = 100  # distances are shown with two digits
_MOST_HUES = 8


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array of whole numbers from 0 to 65535: its shape, bits, and bytes in base64.

    Raises:
        ValueError: for a number outside that range.
    """
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low < 0 or high > 65535:
        raise ValueError(f"array holds numbers from {low} to {high}; expected 0 to 65535")
    bits = 8 if high < 256 else 16
    data = np.ascontiguousarray(array, dtype=f"<u{bits // 8}").tobytes()
    return {
        "shape": list(array.shape),
        "bits": bits,
        "data": "base64," + base64.b64encode(data).decode("ascii"),
    }


def page_data(overview: Overview, level: str, epoch: int, layer: str) -> dict[str, Any]:
    """All that the page shows, ready for JSON.

    Args:
        overview: of the recording.
        level: that colours the points at first.
        epoch, layer: shown at first.

    Raises:
        ValueError: for a level or a place that the overview does not have.
    """
    recording, hierarchy = overview.recording, overview.hierarchy
    overview.at(epoch, layer)
    hierarchy.level(level)
    snapshots = overview.snapshots
    near = np.stack([s.nearest for s in snapshots])
    far = np.stack([s.distances for s in snapshots])
    return {
        "title": recording.title,
        "start": {"level": level, "epoch": epoch, "layer": layer},
        "layers": list(recording.layers),
        "epochs": list(recording.epochs),
        "places": [[s.epoch, s.layer] for s in snapshots],
        "levels": [_level(overview, own) for own in hierarchy.levels],
        "fine": packed(overview.fine),
        "files": overview.files.tolist(),
        "map": packed(_on_grid(np.stack([s.points for s in snapshots]))),
        "near": packed(near),
        "far": packed(_hundredths(far)),
    }


def _level(overview: Overview, level: Level) -> dict[str, Any]:
    groups = [s.groups[level.name] for s in overview.snapshots]
    rows = overview.ncc[overview.ncc["level"] == level.name]
    shades = colours(overview.hierarchy, level)
    return {
        "name": level.name,
        "names": [name.replace("_", " ") for name in level.class_names],
        "ofFine": level.of_fine.tolist(),
        "colours": [[int(hue), round(float(shade), 3)] for hue, shade in shades],
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
    most eight groups; the level below it gives shades of them, and the levels under that take
    the colour of the group they belong to. Levels above the hues count their own.

    Returns:
        One pair a class of `level`, in its order.
    """
    levels = hierarchy.levels
    base = next((i for i, one in enumerate(levels) if one.k <= _MOST_HUES), len(levels) - 1)
    here = [one.name for one in levels].index(level.name)
    if here >= base:
        return [(k % _MOST_HUES, 0.0) for k in range(level.k)]
    shaded = levels[max(base - 1, 0)]
    pairs = dict(zip(shaded.of_fine.tolist(), levels[base].of_fine.tolist(), strict=True))
    shade: dict[int, float] = {}
    for hue in range(levels[base].k):
        members = [k for k in range(shaded.k) if pairs[k] == hue]
        shade.update(zip(members, _spread(len(members)), strict=True))
    up = dict(zip(level.of_fine.tolist(), shaded.of_fine.tolist(), strict=True))
    return [(pairs[up[k]] % _MOST_HUES, shade[up[k]]) for k in range(level.k)]


def _spread(count: int) -> list[float]:
    return [0.0] if count == 1 else np.linspace(-1, 1, count).tolist()
