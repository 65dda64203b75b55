"""A split of a data set: images in their order, their labels and the hierarchy over them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ssl_companion.data.hierarchy import Hierarchy


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels of images under a hierarchy, whether or not their pixels are at hand, read only.

    Attributes:
        name: what the data set is called, for titles: "CIFAR-100", "Glyphs-100 (stand-in)".
        split: "train" or "test".
        fine: int64 [N], the fine label of every image.
        files: str [N], the file name that the data set gives an image.
        fingerprint: SHA-256 of pixels (or features) and labels, hexadecimal.
        hierarchy: the levels above the fine labels.
        stand_in: True where generated images stand in for a real data set.
    """

    name: str
    split: str
    fine: np.ndarray
    files: np.ndarray
    fingerprint: str
    hierarchy: Hierarchy
    stand_in: bool = False

    def __len__(self) -> int:
        return len(self.fine)

    def labels(self, level: str = "fine", seed: int = 0) -> np.ndarray:
        """Labels of the images at a level: int64 [N].

        Args:
            level: a name in `hierarchy.names`, or "random-" before one for its control.
            seed: which random grouping; of no effect on the semantic levels.

        Raises:
            ValueError: if there is no such level.
        """
        return self.hierarchy.level(level, seed).labels(self.fine)


@dataclass(frozen=True, eq=False)
class ImageSet(LabelSet):
    """Images of one split with their labels.

    The order of the images depends on their pixels alone (they are sorted by a hash of
    them), not on the files they came from: the same data in any layout is the same
    `ImageSet`, image by image, with the same fingerprint and the same subsets.

    Attributes:
        images: uint8 [N, 3, 32, 32], red, green and blue from 0 to 255; C-contiguous, read
            only, a memory map where the split comes from the cache. By keyword only.
    """

    images: np.ndarray = field(kw_only=True)

    def __repr__(self) -> str:
        return f"ImageSet({self.name!r}, {self.split!r}, N={len(self)}, {self.fingerprint[:12]})"

    def subset(self, n_per_class: int, seed: int = 0) -> ImageSet:
        """The images at `balanced_indices(self.fine, n_per_class, seed)`, in memory."""
        return self.part(balanced_indices(self.fine, n_per_class, seed))

    def part(self, kept: np.ndarray) -> ImageSet:
        """The images at some places, in memory, with a fingerprint of their own.

        Args:
            kept: integers [n], indices, or bool [N].
        """
        images = np.asarray(self.images)[kept]
        fine, files = self.fine[kept], self.files[kept]
        for array in (images, fine, files):
            array.flags.writeable = False
        print_of_subset = fingerprint(images, fine)
        return dataclasses.replace(
            self, images=images, fine=fine, files=files, fingerprint=print_of_subset
        )


def balanced_indices(fine: np.ndarray, n_per_class: int, seed: int = 0) -> np.ndarray:
    """The same number of images of every class, drawn at random without replacement.

    Under one seed a smaller draw is part of every larger one, and what is drawn of a class
    does not depend on the other classes.

    Args:
        fine: integers [N], the label of every image.
        n_per_class: images of each class that occurs in `fine`.
        seed: which draw.

    Returns:
        int64 [K * n_per_class], indices into `fine`, ascending.

    Raises:
        ValueError: if `n_per_class` is below 1 or a class has fewer images.
    """
    if n_per_class < 1:
        raise ValueError(f"n_per_class: {n_per_class}; expected an integer of 1 or more")
    kept = []
    for label in np.unique(fine):
        members = np.flatnonzero(fine == label)
        if len(members) < n_per_class:
            raise ValueError(
                f"n_per_class: {n_per_class}; expected at most {len(members)}, the number of "
                f"images of class {label}"
            )
        kept.append(np.random.default_rng([seed, int(label)]).permutation(members)[:n_per_class])
    return np.sort(np.concatenate(kept)).astype(np.int64)


def fingerprint(images: np.ndarray, fine: np.ndarray) -> str:
    """SHA-256 of the shape, the pixels and the labels, hexadecimal.

    Args:
        images: uint8 [N, 3, H, W].
        fine: integers [N].
    """
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(fine, dtype="<i8").data)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Decoded:
    """A split as a reader or a generator hands it over.

    Attributes:
        images: uint8 [N, 3, 32, 32].
        fine: int64 [N].
        files: str [N].
    """

    images: np.ndarray
    fine: np.ndarray
    files: np.ndarray


def in_canonical_order(images: np.ndarray, fine: np.ndarray, files: Sequence[str]) -> Decoded:
    """Sort by a hash of the pixels, so that the order says nothing about the source.

    Every layout of a data set then gives the same arrays. The hash also shuffles: no run of
    neighbours shares a class because its files shared a name.

    Args:
        images: uint8 [N, 3, 32, 32].
        fine: integers [N].
        files: N names; an image whose name is empty is called after its place.
    """
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    order = sorted(range(len(fine)), key=lambda i: (digests[i], int(fine[i]), files[i]))
    names = [files[i] or f"image_{place:05d}.png" for place, i in enumerate(order)]
    return Decoded(
        images[order], np.asarray(fine, dtype=np.int64)[order], np.array(names, dtype=str)
    )
