"""Make the sheet of photographs, `book/assets/photographs.webp`, from CIFAR-100.

    python book/_tools/photographs.py             write it, and the index beside it
    python book/_tools/photographs.py --check     write nothing, fail where it would differ

On it are the test images that the recordings named below keep features of, and the few training
images whose views they keep for maps. The data set is found as `ssl_companion.data.load` finds it:
SSL_COMPANION_DATA, or what `ssl-companion data --download` has fetched.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from ssl_companion.chapters.photographs import (
    INDEX,
    SHEET,
    TILE,
    photograph_sheet,
    tiled,
    webp,
)
from ssl_companion.data import ImageSet, load
from ssl_companion.io.atomic import atomic_file
from ssl_companion.recordings import open_recording

ASSETS = Path(__file__).resolve().parents[1] / "assets"
#: Together they have every test image of all recordings but the teacher's, which keeps 1,000 more.
RECORDINGS = ("clustering-vicreg-s0", "reference-vicreg-s0", "methods-supervised-s0")
QUALITY, COLUMNS = 80, 40
LOSS = 10  # levels of 255, root mean square: 7.1 at this quality
ABOUT = {
    "data set": "CIFAR-100",
    "source": "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical "
    "report, University of Toronto, 2009; collected with Vinod Nair and Geoffrey Hinton",
    "page": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "terms": "The images are a labelled part of the 80 million tiny images, which were gathered "
    "from the web. Rights in them remain with whoever holds them; the data set's page gives no "
    "licence, and asks for the report to be cited. They stand here, compressed, for research and "
    "teaching, and are not covered by the licence of this repository. The collection of 80 million "
    "was withdrawn by its makers in 2020, because of offensive labels and images in it; "
    "CIFAR-100's classes were chosen, and its images checked, by hand.",
}


def wanted() -> dict[str, list[int]]:
    """The rows of the images in their split, ascending."""
    rows: dict[str, set[int]] = {"test": set(), "train": set()}
    for recording in map(open_recording, RECORDINGS):
        data = recording.run["data"]
        rows["test"].update(recording.rows("test").tolist())
        if data["train_fingerprint"] == data["whole_train_fingerprint"]:
            some = recording.run["measured"]["config"]["map_images"]
            rows["train"].update(recording.rows("sample")[:some].tolist())
    return {split: sorted(own) for split, own in rows.items()}


def sheet(splits: dict[str, ImageSet]) -> tuple[np.ndarray, dict[str, object]]:
    """The picture, uint8 [H, W, 3], not yet compressed, and its index."""
    rows = wanted()
    tiles = np.concatenate([splits[split].images[own] for split, own in rows.items()])
    index = {
        "about": ABOUT,
        "tile": TILE,
        "columns": COLUMNS,
        "fingerprints": {split: splits[split].fingerprint for split in rows},
        "rows": rows,
        "fine": {split: splits[split].fine[own].tolist() for split, own in rows.items()},
    }
    return tiled(tiles.transpose(0, 2, 3, 1), COLUMNS), index


def index_text(index: dict[str, object]) -> str:
    """The index as JSON, a line for each of its entries."""
    entries = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in index.items())
    return "{\n " + ",\n ".join(entries) + "\n}\n"


def difference(pixels: np.ndarray, index: dict[str, object]) -> str | None:
    """What differs between the sheet that lies there and one made now; None for nothing.

    What an encoder loses differs between its versions, so the pixels may be off by as much.
    """
    found = photograph_sheet(ASSETS)
    if found is None or (ASSETS / INDEX).read_text("utf-8") != index_text(index):
        return f"{ASSETS / INDEX} is not the index of the images wanted; make it again"
    off = tiled(found.tiles, COLUMNS).astype(float) - pixels
    worst = np.sqrt((off**2).mean())
    return f"{ASSETS / SHEET} is off by {worst:.1f} levels of 255" if worst > LOSS else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    pixels, index = sheet({split: load(split=split) for split in ("test", "train")})
    if check:
        sys.exit(difference(pixels, index))
    text = index_text(index)
    for name, data in ((SHEET, webp(pixels, QUALITY)), (INDEX, text.encode())):
        with atomic_file(ASSETS / name) as temporary:
            Path(temporary).write_bytes(data)
        print(f"{ASSETS / name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
