"""Where CIFAR-100 may lie: which folder is looked into, and what counts as found there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ssl_companion.data import archive, parquet
from ssl_companion.data._decoded import Decoded
from ssl_companion.data.cache import CACHE_VARIABLE as CACHE_VARIABLE
from ssl_companion.data.cache import cache_root
from ssl_companion.data.errors import DataError

DATA_VARIABLE = "SSL_COMPANION_DATA"
SPLITS = ("train", "test")
HOW_TO_GET = f"""Ways to get CIFAR-100:
  - `ssl-companion data --download`, or load(..., download=True): the official archive,
    161 MB, resumed if interrupted;
  - point {DATA_VARIABLE}, or the data root, at a folder with {archive.ARCHIVE_NAME},
    the unpacked {archive.FOLDER}, or the parquet files of the Hugging Face hub
    (uoft-cs/cifar100: train-*.parquet and test-*.parquet);
  - or take the stand-in that needs no data: load("glyphs100")."""
_WITHIN = (".", "cifar100", "data")  # the hub's own copy keeps its files one folder down


@dataclass(frozen=True)
class Source:
    """The files that hold a split, and their layout: "parquet", "unpacked" or "archive"."""

    layout: str
    split: str
    files: tuple[Path, ...]

    def read(self) -> Decoded:
        """Decode the split (`DataError` if the files are not what they should be)."""
        if self.layout == "parquet":
            return parquet.read_parquet(self.files)
        if self.layout == "unpacked":
            return archive.read_unpacked(self.files[0])
        return archive.read_packed(self.files[0], self.split)


@dataclass(frozen=True)
class Location:
    """A folder that is looked into, and why."""

    path: Path
    reason: str


def place_of(root: str | Path | None = None) -> Location:
    """The one place where data is looked for: `root`, else SSL_COMPANION_DATA, else the cache.

    A place that was named is the only one. Falling through to another would hide a typing
    error and serve other data than was asked for.
    """
    if root is not None:
        return Location(Path(root).expanduser(), "the data root given")
    if chosen := os.environ.get(DATA_VARIABLE):
        return Location(Path(chosen).expanduser(), f"the environment variable {DATA_VARIABLE}")
    return Location(cache_root() / "cifar100", "the default folder")


def find(place: Location, split: str) -> Source | None:
    """The files of a split at a place, in the first layout that is there, or None.

    Raises:
        DataError: if part of the split is there and part is not.
    """
    path = place.path
    if path.is_file() and path.name.endswith((".tar.gz", ".tgz")):
        return Source("archive", split, (path,))
    for folder in (path / within for within in _WITHIN):
        if files := parquet.files_of(folder, split):
            return Source("parquet", split, files)
        for unpacked in (folder / archive.FOLDER, folder):
            if (unpacked / split).is_file() and (unpacked / "meta").is_file():
                return Source("unpacked", split, (unpacked / split,))
        if (folder / archive.ARCHIVE_NAME).is_file():
            return Source("archive", split, (folder / archive.ARCHIVE_NAME,))
    return None


def absent(place: Location, split: str) -> DataError:
    """The error that says that there is no such split, and every way to get it."""
    if not place.path.exists():
        problem = f"{place.reason} does not exist."
    else:
        other = next(s for s in SPLITS if s != split)
        only = f", only the {other} split" if find(place, other) else ""
        problem = f"{place.reason} holds no {split} split of CIFAR-100{only}."
    return DataError(problem, path=place.path, mend=HOW_TO_GET)


@dataclass(frozen=True)
class Description:
    """What `describe` finds; `str()` of it is a text to print.

    Attributes:
        place: the folder that is looked into.
        reason: why that one.
        found: for each split its `Source`, None where there is none, or the error that says
            why what is there is of no use.
        cache: the folder of decoded images.
    """

    place: Path
    reason: str
    found: dict[str, Source | DataError | None]
    cache: Path

    @property
    def complete(self) -> bool:
        """True if both splits were found."""
        return all(isinstance(found, Source) for found in self.found.values())

    def __str__(self) -> str:
        state = "" if self.place.exists() else "; it does not exist"
        lines = [f"looked in   {self.place} ({self.reason}{state})"]
        for split, found in self.found.items():
            if isinstance(found, Source):
                names = ", ".join(file.name for file in found.files)
                lines.append(f"{split:11} found as {found.layout}: {names}")
            else:
                lines.append(f"{split:11} {found or 'not found'}")
        lines.append(f"cache       {self.cache} (change it by {CACHE_VARIABLE})")
        return "\n".join(lines if self.complete else [*lines, HOW_TO_GET])


def describe_sources(root: str | Path | None = None) -> Description:
    """Where CIFAR-100 was looked for, what was found, and how to get what is missing.

    Looks at names only: damage shows when a split is loaded.
    """
    place = place_of(root)
    found: dict[str, Source | DataError | None] = {}
    for split in SPLITS:
        try:
            found[split] = find(place, split)
        except DataError as error:
            found[split] = error
    return Description(place.path, place.reason, found, cache_root())
