"""Load a split of a data set by name."""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from ssl_companion.data._decoded import Decoded
from ssl_companion.data.cache import cache_root, key_of, key_of_files, load_or_build
from ssl_companion.data.errors import CacheError, DataError
from ssl_companion.data.hierarchy import CIFAR100, GLYPHS100, Hierarchy
from ssl_companion.data.images import ImageSet
from ssl_companion.data.sources import (
    DATA_VARIABLE,
    SPLITS,
    Location,
    Source,
    absent,
    find,
    place_of,
)
from ssl_companion.io.extras import needs

DATA_SETS = ("cifar100", "glyphs100", "auto")
_WHOLE = {"train": 50_000, "test": 10_000}


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
    if name not in DATA_SETS:
        raise ValueError(f"name must be one of {', '.join(DATA_SETS)}, got {name!r}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if name == "glyphs100" or (name == "auto" and not _is_wanted(root, download)):
        return _glyphs100(split, n, seed)
    if name == "cifar100" and n is not None:
        raise ValueError(f"n is for glyphs100 only (CIFAR-100 has the images it has), got {n}")
    return _cifar100(place_of(root), split, download)


def _is_wanted(root: str | Path | None, download: bool) -> bool:
    """Whether "auto" means CIFAR-100: it was asked for somehow, or some of it is there."""
    named = root is not None or bool(os.environ.get(DATA_VARIABLE))
    return named or download or any(find(place_of(), split) for split in SPLITS)


def _cifar100(place: Location, split: str, download: bool) -> ImageSet:
    problem: DataError
    try:
        source = find(place, split)
        if source is not None:
            return _from_source(source)
        problem = absent(place, split)
    except CacheError:
        raise
    except DataError as error:
        problem = error
    if not download:
        raise problem
    from ssl_companion.data.download import fetch

    folder = place.path.parent if place.path.is_file() else place.path
    return _from_source(Source("archive", split, (fetch(folder),)))


def _from_source(source: Source) -> ImageSet:
    key = key_of_files(source.split, source.files)

    def build() -> Decoded:
        decoded = source.read()
        if key_of_files(source.split, source.files) != key:
            raise DataError(
                "changed while it was being read.",
                path=source.files[0],
                mend="Load again when nothing writes to it any more.",
            )
        return decoded

    images = _cached("cifar100", CIFAR100, source.split, key, build)
    if len(images) != _WHOLE[source.split]:
        warnings.warn(
            f"{source.files[0].parent}: the {source.split} split has {len(images):,} images, "
            f"CIFAR-100's has {_WHOLE[source.split]:,}.",
            stacklevel=4,
        )
    return images


def _glyphs100(split: str, n: int | None, seed: int) -> ImageSet:
    from ssl_companion.data import glyphs

    n = glyphs.SIZES[split] if n is None else n
    with needs("train"):
        fonts = importlib.metadata.version("matplotlib")
    key = key_of([glyphs.VERSION, fonts, split, n, seed])
    return _cached("glyphs100", GLYPHS100, split, key, lambda: glyphs.generate(split, n, seed))


def _cached(
    folder: str, hierarchy: Hierarchy, split: str, key: str, build: Callable[[], Decoded]
) -> ImageSet:
    cached = load_or_build(cache_root() / "decoded" / folder / f"{split}-{key}", build)
    return ImageSet(
        name=hierarchy.name,
        split=split,
        images=cached.arrays.images,
        fine=cached.arrays.fine,
        files=cached.arrays.files,
        fingerprint=cached.fingerprint,
        hierarchy=hierarchy,
        stand_in=hierarchy is GLYPHS100,
    )
