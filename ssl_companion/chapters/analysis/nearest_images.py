"""Which held-out images lie nearest to which, through training: one photograph at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssl_companion.data.hierarchy import Hierarchy
from ssl_companion.measures import nearest_neighbours
from ssl_companion.recordings import Recording


@dataclass(frozen=True, eq=False)
class NearestImages:
    """The k images nearest to each that a recording keeps of the test set.

    Attributes:
        epochs: with features of the last layer, ascending.
        rows: int64 [E, N, k], by epoch and image, nearest first.
        fine, groups: int64 [N], class and group of every image.
        class_names, group_names: of both.
    """

    epochs: tuple[int, ...]
    rows: np.ndarray
    fine: np.ndarray
    groups: np.ndarray
    class_names: tuple[str, ...]
    group_names: tuple[str, ...]

    @property
    def k(self) -> int:
        """Neighbours of each image."""
        return int(self.rows.shape[2])

    def same_group(self) -> np.ndarray:
        """How many neighbours are of the image's own group: int64 [E, N], 0 to k."""
        same: np.ndarray = (self.groups[self.rows] == self.groups[:, None]).sum(axis=2)
        return same

    def by_chance(self) -> float:
        """The share of neighbours of the own group where they are drawn at random."""
        own = np.bincount(self.groups)[self.groups] - 1
        return float((own / (len(self.groups) - 1)).mean())

    def typical(self, fine: int) -> int:
        """Of a class's images, the one with the median number of neighbours of its group after
        training; of several such, or of the middle two, the first.

        Args:
            fine: the class.
        """
        own = np.flatnonzero(self.fine == fine)
        after = self.same_group()[-1][own]
        return int(own[np.argsort(after, kind="stable")[(len(own) - 1) // 2]])

    def examples(self, first: str, ranks: tuple[int, ...]) -> list[int]:
        """A class by its name, and others spread over all of them: the typical image of each.

        The classes are ranked by how many neighbours after training are of their own group, so
        that those at given ranks show where training did much and where it did little.

        Args:
            first: name of the class shown first.
            ranks: of the others, from 1, the class with the most.

        Returns:
            Places of the images, without one twice.

        Raises:
            ValueError: no class has that name.
        """
        if first not in self.class_names:
            raise ValueError(f"first: {first!r}; expected one of {', '.join(self.class_names)}")
        after = self.same_group()[-1]
        means = np.array([after[self.fine == k].mean() for k in range(len(self.class_names))])
        ranking = np.argsort(-means, kind="stable")
        classes = [self.class_names.index(first), *(int(ranking[rank - 1]) for rank in ranks)]
        return [self.typical(k) for k in dict.fromkeys(classes)]


def nearest_images(recording: Recording, k: int = 6, level: str = "coarse") -> NearestImages:
    """Find the nearest images among the kept ones, by the last layer's features.

    Args:
        recording: one that keeps features.
        k: neighbours of each image.
        level: whose groups are told apart from classes.

    Raises:
        RecordingError: no features are kept.
        ValueError: there is no such level, or there are not so many images.
    """
    hierarchy: Hierarchy = recording.hierarchy
    group, epochs = hierarchy.level(level), recording.kept_epochs()
    fine = recording.fine("test")
    return NearestImages(
        epochs,
        np.stack([nearest_neighbours(recording.features(epoch), k)[0] for epoch in epochs]),
        fine,
        group.labels(fine),
        tuple(hierarchy.level("fine").class_names),
        tuple(group.class_names),
    )
