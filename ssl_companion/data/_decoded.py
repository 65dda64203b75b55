"""Images and labels as a reader hands them over, checked and in an order of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_companion.data.errors import DataError
from ssl_companion.data.hierarchy import CIFAR100

SHAPE = (3, 32, 32)
FETCH_AGAIN = (
    "Fetch the file again, or load with download=True to take the official archive instead."
)


@dataclass(frozen=True, eq=False)
class Decoded:
    """A split in memory: images uint8 [N, 3, 32, 32], fine int64 [N], files str [N]."""

    images: np.ndarray
    fine: np.ndarray
    files: np.ndarray


def check_labels(fine: np.ndarray, coarse: np.ndarray, path: Path) -> None:
    """Refuse labels that CIFAR-100 cannot have.

    Args:
        fine: integers [N]; coarse: integers [N], the superclass that the file states.
        path: the file they were read from, for the message.

    Raises:
        DataError: if a label is out of range or a coarse label is not its fine label's.
    """
    level = CIFAR100.level("coarse")
    for name, labels, k in (("fine", fine, len(level.of_fine)), ("coarse", coarse, level.k)):
        outside = np.flatnonzero((labels < 0) | (labels >= k))
        if len(outside):
            raise DataError(
                f"image {outside[0]} has the {name} label {labels[outside[0]]}, where "
                f"CIFAR-100 has 0 to {k - 1}.",
                path=path,
                mend=FETCH_AGAIN,
            )
    wrong = np.flatnonzero(level.of_fine[fine] != coarse)
    if len(wrong):
        first = wrong[0]
        name = CIFAR100.level("fine").class_names[fine[first]]
        right = level.of_fine[fine[first]]
        raise DataError(
            f"{len(wrong)} images have a coarse label that does not go with their fine label; "
            f"the first is image {first}: {name} is in {level.class_names[right]} ({right}), "
            f"the file says {level.class_names[coarse[first]]} ({coarse[first]}).",
            path=path,
            mend=FETCH_AGAIN,
        )


def in_canonical_order(images: np.ndarray, fine: np.ndarray, files: Sequence[str]) -> Decoded:
    """Sort by a hash of the pixels, so that the order says nothing about the source.

    Every layout of a data set then gives the same arrays. The hash also shuffles: no run of
    neighbours shares a class because its files shared a name. Where a source gives no file
    names, an image is called after its place.
    """
    pixels = np.ascontiguousarray(images).reshape(len(images), -1)
    digests = [hashlib.sha256(row.data).digest() for row in pixels]
    order = sorted(range(len(fine)), key=lambda i: (digests[i], int(fine[i]), files[i]))
    names = [files[i] or f"image_{place:05d}.png" for place, i in enumerate(order)]
    return Decoded(
        images[order], np.asarray(fine, dtype=np.int64)[order], np.array(names, dtype=str)
    )
