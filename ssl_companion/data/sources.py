"""Where CIFAR-100 may lie: which folders are looked into, and what counts as found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssl_companion.data import parquet
from ssl_companion.data._decoded import Decoded
from ssl_companion.data.cache import cache_root
from ssl_companion.data.errors import DataError

VARIABLE = "SSL_COMPANION_DATA"
SPLITS = ("train", "test")
_WITHIN = (".", "cifar100", "data")  # the hub keeps its files one folder down


@dataclass(frozen=True)
class Source:
    """Files that hold a split, and the layout they are in ("parquet")."""

    layout: str
    split: str
    files: tuple[Path, ...]

    def read(self) -> Decoded:
        """Decode the split (`DataError` if the files are not what they should be)."""
        return parquet.read(self.files)


@dataclass(frozen=True)
class Place:
    """A folder that is looked into, and why."""

    path: Path
    reason: str


def place_of(root: str | Path | None) -> Place:
    """The one place where data is looked for: `root`, else SSL_COMPANION_DATA, else the cache.

    A place that was named is the only one: falling through to another would hide a typing
    error, and serve other data than was asked for.
    """
    if root is not None:
        return Place(Path(root).expanduser(), "the data root given")
    if chosen := os.environ.get(VARIABLE):
        return Place(Path(chosen).expanduser(), f"the environment variable {VARIABLE}")
    return Place(cache_root() / "cifar100", "the default folder")


def find(place: Path, split: str) -> Source | None:
    """The files of a split in a folder or right below it, or None.

    Raises:
        DataError: if part of the split is there and part is not.
    """
    for folder in (place / within for within in _WITHIN):
        if files := parquet.files_of(folder, split):
            return Source("parquet", split, files)
    return None


def absent(place: Place, split: str, others: Sequence[str] = ()) -> DataError:
    """The error that says that there is no data, and every way to get some."""
    state = "holds no CIFAR-100" if place.path.is_dir() else "does not exist"
    return DataError(
        f"{place.reason} {state} ({split} split).", path=place.path, mend=how_to_get()
    )


def how_to_get() -> str:
    """The ways to get CIFAR-100, in words."""
    return (
        "Ways to get CIFAR-100:\n"
        "  - load with download=True: the official archive, 161 MB, resumed if interrupted;\n"
        f"  - point {VARIABLE}, or the data root, at a folder with cifar-100-python.tar.gz, the\n"
        "    folder cifar-100-python, or the parquet files of the Hugging Face hub\n"
        "    (uoft-cs/cifar100: train-*.parquet and test-*.parquet);\n"
        '  - or take the stand-in that needs no data: load("glyphs100").'
    )
