"""Load a split of a data set by name, from the places where it may lie."""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ssl_companion.data import cifar100, glyphs
from ssl_companion.data.cache import (
    CACHE_VARIABLE,
    cache_root,
    key_of,
    key_of_files,
    load_or_build,
)
from ssl_companion.data.cifar100 import Source, find
from ssl_companion.data.download import fetch
from ssl_companion.data.errors import CacheError, DataError
from ssl_companion.data.hierarchy import CIFAR100, GLYPHS100, Hierarchy
from ssl_companion.data.images import Decoded, ImageSet
from ssl_companion.io.extras import needs

DATA_VARIABLE = "SSL_COMPANION_DATA"
DATA_SETS = ("cifar100", "glyphs100", "auto")
SPLITS = ("train", "test")
_BY_DEFAULT = "the default folder"
HOW_TO_GET = f"""Ways to get CIFAR-100:
  - `ssl-companion data --download`, or load(..., download=True): the official archive,
    161 MB, resumed if interrupted;
  - point {DATA_VARIABLE}, or the data root, at a folder with {cifar100.ARCHIVE_NAME},
    the unpacked {cifar100.FOLDER}, or the parquet files of the Hugging Face hub
    (uoft-cs/cifar100: train-*.parquet and test-*.parquet);
  - or take the stand-in that needs no data: load("glyphs100")."""


def load(
    name: str = "cifar100",
    split: str = "train",
    root: str | Path | None = None,
    download: bool = False,
    *,
    n: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """A split of CIFAR-100 or of its stand-in Glyphs-100.

    Decoded or drawn at the first call, memory-mapped from the cache after that.

    Args:
        name: "cifar100", "glyphs100", or "auto": CIFAR-100 if there is any, else Glyphs-100.
            With "auto", a data root that was named but holds no data is an error.
        split: "train" or "test".
        root: folder of CIFAR-100, in any of its layouts; by default SSL_COMPANION_DATA, or
            else where `download` puts it. No other place is looked into.
        download: fetch the official archive if what is there is missing or damaged.
        n: number of images of Glyphs-100, where 10,000 and 2,000 are too many or too few.
        seed: which draw of Glyphs-100.

    Raises:
        ValueError: if the name or the split is unknown, or `n` is given for CIFAR-100.
        DataError: if the data is absent or damaged; the message says what to do.
    """
    for what, value, known in (("name", name, DATA_SETS), ("split", split, SPLITS)):
        if value not in known:
            raise ValueError(f"{what}: {value!r}; expected one of {', '.join(known)}")
    if name == "cifar100" and n is not None:
        raise ValueError(f"n: {n}; expected None for cifar100; subset() takes some of its images")
    sources = describe_sources(root)
    # "auto" means CIFAR-100 if it was asked for somehow, or if any of it is there
    wanted = download or sources.reason != _BY_DEFAULT or any(sources.found.values())
    if name == "glyphs100" or (name == "auto" and not wanted):
        return _glyphs100(split, n, seed)
    return _cifar100(sources, split, download)


def _glyphs100(split: str, n: int | None, seed: int) -> ImageSet:
    n = glyphs.SIZES[split] if n is None else n
    with needs("train"):
        fonts = importlib.metadata.version("matplotlib")
    key = key_of([glyphs.VERSION, fonts, split, n, seed])
    return _cached("glyphs100", GLYPHS100, split, key, lambda: glyphs.generate(split, n, seed))


def _cifar100(sources: Description, split: str, download: bool) -> ImageSet:
    try:
        found = sources.found[split]
        if isinstance(found, DataError):
            raise found
        if found is None:
            problem = f"no {split} split of CIFAR-100 is there."
            raise DataError(problem, path=sources.place, mend=str(sources))
        return _decoded(found)
    except DataError as error:
        if not download or isinstance(error, CacheError):
            raise
    folder = sources.place.parent if sources.place.is_file() else sources.place
    return _decoded(Source("archive", split, (fetch(folder),)))


def _decoded(source: Source) -> ImageSet:
    key = key_of_files(source.split, source.files)
    images = _cached("cifar100", CIFAR100, source.split, key, source.read)
    if len(images) != (whole := cifar100.SPLIT_SIZES[source.split]):
        warnings.warn(
            f"{source.files[0].parent}: the {source.split} split has {len(images):,} images, "
            f"CIFAR-100's has {whole:,}.",
            stacklevel=4,
        )
    return images


def _cached(
    folder: str, hierarchy: Hierarchy, split: str, key: str, build: Callable[[], Decoded]
) -> ImageSet:
    decoded, fingerprint = load_or_build(
        cache_root() / "decoded" / folder / f"{split}-{key}", build
    )
    return ImageSet(
        name=hierarchy.name,
        split=split,
        images=decoded.images,
        fine=decoded.fine,
        files=decoded.files,
        fingerprint=fingerprint,
        hierarchy=hierarchy,
        stand_in=hierarchy is GLYPHS100,
    )


@dataclass(frozen=True)
class Description:
    """What `describe_sources` finds; `str()` of it is a text to print.

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

    Looks at names only: damage shows when a split is loaded. A place that was named is the
    only one: falling through to another would hide a typing error and serve other data than was
    asked for.

    Args:
        root: where to look; by default SSL_COMPANION_DATA, else within the cache.
    """
    if root is not None:
        place, reason = Path(root), "the data root given"
    elif chosen := os.environ.get(DATA_VARIABLE):
        place, reason = Path(chosen), f"the environment variable {DATA_VARIABLE}"
    else:
        place, reason = cache_root() / "cifar100", _BY_DEFAULT
    found: dict[str, Source | DataError | None] = {}
    for split in SPLITS:
        try:
            found[split] = find(place.expanduser(), split)
        except DataError as error:
            found[split] = error
    return Description(place.expanduser(), reason, found, cache_root())
