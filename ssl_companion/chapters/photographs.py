"""Photographs: a sheet of the CIFAR-100 images that recordings keep features of.

The book comes without the data set, so that a page that wants to show an image takes it from one
small picture, `book/assets/photographs.webp`, in which some 1,400 images of 32 x 32 pixels stand
side by side. `photographs.json` beside it says which these are, and where they come from:

    photographs.json    "about": source and terms; "tile", "columns": pixels, and tiles of a row;
                        "fingerprints": of the splits; "rows", "fine": by split, the images in the
                        order of the tiles ("test" first), by their place and label in the split

`python book/_tools/photographs.py` makes both from the data set. The sheet is compressed: it is
for looking, and no claim is measured on it.
"""

from __future__ import annotations

import base64
import functools
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_companion.data import load
from ssl_companion.io.extras import checkout, needs
from ssl_companion.recordings import Recording, RecordingError
from ssl_companion.recordings.opening import recordings_root

SHEET, INDEX = "photographs.webp", "photographs.json"
TILE = 32  # pixels
_KIND = {"train": "train", "sample": "train", "test": "test"}  # of the kept images: the split


@dataclass(frozen=True, eq=False)
class PhotographSheet:
    """The images of a sheet.

    Attributes:
        about: where the images come from, and under which terms.
        fingerprints: of the splits that they belong to, by "test" and "train".
        tiles: uint8 [N, 32, 32, 3].
        fine: int64 [N], the fine label of every tile.
        places: the tile of an image, by its split and its row there.
    """

    about: Mapping[str, str]
    fingerprints: Mapping[str, str]
    tiles: np.ndarray
    fine: np.ndarray
    places: Mapping[tuple[str, int], int]

    def of_rows(self, split: str, rows: Iterable[int]) -> np.ndarray | None:
        """The images at some rows of a split, uint8 [N, 32, 32, 3]; None if one is absent.

        Args:
            split: "test" or "train".
            rows: places in that split of the data set, as `Recording.rows` gives them.
        """
        found = [self.places.get((split, int(row))) for row in rows]
        return None if None in found else self.tiles[np.array(found, dtype=np.int64)]

    def of_each_class(self, count: int, seed: int = 0) -> np.ndarray:
        """Test images drawn at random, as many of each class, in random order.

        Args:
            count: of each class; classes with fewer give all they have.
            seed: of the draw.

        Returns:
            uint8 [N, 3, 32, 32], as `data.ImageSet.images`.
        """
        test = np.array([place for (split, _), place in self.places.items() if split == "test"])
        drawn = np.random.default_rng(seed).permutation(test)
        fine = self.fine[drawn]
        before = np.array([int((fine[:i] == own).sum()) for i, own in enumerate(fine)])
        return np.moveaxis(self.tiles[drawn[before < count]], -1, 1)


def photographs(recording: Recording, split: str = "test") -> np.ndarray | None:
    """The images that a recording keeps features of, in the order in which it keeps them.

        pictures = photographs(open_recording("clustering-vicreg-s0"))   # [800, 32, 32, 3]

    Args:
        recording: whose `rows(split)`.
        split: "test", "train" or "sample", as in `Recording.rows`.

    Returns:
        uint8 [N, 32, 32, 3], red, green and blue; None where the sheet does not hold all of them,
        as those of another data set, or where there is no sheet.

    Raises:
        ValueError: there is no such split.
        RecordingError: the sheet is truncated or foreign.
    """
    if split not in _KIND:
        raise ValueError(f"split: {split!r}; expected one of {', '.join(_KIND)}")
    sheet, within = photograph_sheet(), _KIND[split]
    data = recording.run["data"]
    if sheet is None or data.get(f"{within}_fingerprint") != sheet.fingerprints[within]:
        return None
    return sheet.of_rows(within, recording.rows(split))


def images_of_each_class(count: int, seed: int = 0) -> tuple[np.ndarray, str]:
    """Photographs from the sheet, or without one images as `data.load("auto")` finds them.

    Args:
        count: of each class.
        seed: of the draw.

    Returns:
        uint8 [N, 3, 32, 32] in random order, and the name of their data set.
    """
    if sheet := photograph_sheet():
        return sheet.of_each_class(count, seed), sheet.about["data set"]
    found = load("auto", "test").subset(count, seed=seed)
    return found.images, found.name


def photograph_sheet(folder: str | Path | None = None) -> PhotographSheet | None:
    """The sheet in a folder, by default `book/assets` of the checkout, or else `assets` beside the
    folder of recordings; None where there is none.

    Raises:
        RecordingError: it is truncated or foreign.
    """
    book = checkout()
    near = book / "book" if book else recordings_root().absolute().parent
    path = Path(folder or near / "assets") / SHEET
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else None


@functools.lru_cache(maxsize=2)
def _read(path: Path, changed: int) -> PhotographSheet:
    with needs("plots"):
        from PIL import Image
    try:
        index = json.loads(path.with_name(INDEX).read_text("utf-8"))
        keys = [(split, row) for split, rows in index["rows"].items() for row in rows]
        fine = np.array([y for split in index["rows"] for y in index["fine"][split]])
        with Image.open(path, formats=("WEBP",)) as picture:
            across, down = (side // TILE for side in picture.size)
            if across * down < len(keys) or len(fine) != len(keys):
                raise ValueError(
                    f"{across} x {down} tiles for {len(keys)} images with {len(fine)} labels"
                )
            pixels = np.asarray(picture.convert("RGB"))
        tiles = pixels.reshape(down, TILE, across, TILE, 3).swapaxes(1, 2)
        tiles = tiles.reshape(-1, TILE, TILE, 3)[: len(keys)]
        places = {key: place for place, key in enumerate(keys)}
        return PhotographSheet(index["about"], index["fingerprints"], tiles, fine, places)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(
            f"{path}: truncated or foreign ({error}); restore it from the repository"
        ) from error


def tiled(images: np.ndarray, columns: int) -> np.ndarray:
    """Images of one size in rows of `columns`, black where there are none left.

    Args:
        images: uint8 [N, H, W, 3].
        columns: images of a row.

    Returns:
        uint8 [rows * H, columns * W, 3].
    """
    n, height, width, _ = images.shape
    rows = -(-n // columns)
    padded = np.zeros((rows * columns, height, width, 3), dtype=np.uint8)
    padded[:n] = images
    together = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return together.reshape(rows * height, columns * width, 3)


def webp(pixels: np.ndarray, quality: int) -> bytes:
    """The file of a picture uint8 [H, W, 3], compressed with a quality of 1 to 100."""
    with needs("plots"):
        from PIL import Image
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()


def photograph_address(images: np.ndarray, columns: int = 1, quality: int = 85) -> str:
    """One image, or many in rows of `columns`, as a `data:` address for an `<img>`.

    Args:
        images: uint8 [32, 32, 3], or [N, 32, 32, 3].
        columns: images of a row.
        quality: of the compression; 32 x 32 pixels take about 700 bytes at 85.
    """
    many = images if images.ndim == 4 else images[None]
    data = webp(tiled(many, columns), quality)
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")
