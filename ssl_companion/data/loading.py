"""Load a split of a data set by name."""

from __future__ import annotations

from pathlib import Path

from ssl_companion.data.cache import cache_root, key_of_files, load_or_build
from ssl_companion.data.errors import DataError
from ssl_companion.data.hierarchy import CIFAR100
from ssl_companion.data.images import ImageSet
from ssl_companion.data.sources import SPLITS, Source, absent, find, place_of


def load(
    name: str = "cifar100",
    split: str = "train",
    root: str | Path | None = None,
    download: bool = False,
) -> ImageSet:
    """A split of CIFAR-100.

    Decoded at the first call, memory-mapped from the cache after that.

    Raises:
        ValueError: if the name or the split is unknown.
        DataError: if the data is absent or damaged; the message says what to do.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    place = place_of(root)
    source = find(place.path, split)
    if source is None:
        raise absent(place, split)
    return _cifar100(source)


def _cifar100(source: Source) -> ImageSet:
    key = key_of_files(source.split, source.files)

    def build():
        decoded = source.read()
        if key_of_files(source.split, source.files) != key:
            raise DataError(
                "changed while it was being read.",
                path=source.files[0],
                mend="Load again when nothing writes to it any more.",
            )
        return decoded

    cached = load_or_build(cache_root() / "cifar100" / f"{source.split}-{key}", build)
    arrays = cached.arrays
    return ImageSet(
        CIFAR100.name,
        source.split,
        arrays.images,
        arrays.fine,
        arrays.files,
        cached.fingerprint,
        CIFAR100,
    )
