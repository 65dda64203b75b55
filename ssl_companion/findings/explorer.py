"""The whole recording at a glance: every kept epoch and layer as a map with its neighbours.

Maps are aligned: each begins where another one ended, at the same layer an epoch earlier, or
before training at the layer below. So none knows what comes later, and points keep their
places as far as the features let them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform

from ssl_companion.data.hierarchy import Hierarchy, Level
from ssl_companion.embedding import umap_embedding
from ssl_companion.findings.live import hits, measured
from ssl_companion.measures import nearest_neighbours
from ssl_companion.recordings import Recording, RecordingError, group_means, list_recordings

NEIGHBOURS = 5
_UMAP_NEIGHBOURS = 15
_ROUNDS = 200  # of a map that begins at another one; the first has UMAP's own number


@dataclass(frozen=True, eq=False)
class Groups:
    """The K classes of a level at one epoch and layer.

    Attributes:
        nearest: the other classes with the nearest means, int64 [K, M], nearest first.
        distances: to them, over the mean of all pairs of means at the level, float64 [K, M].
        right: kept images of each class whose nearest mean is their own class's, int64 [K].
    """

    nearest: np.ndarray
    distances: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The kept images at one epoch and layer.

    Attributes:
        epoch, layer: where.
        points: the map, float32 [N, 2], centred, standard deviation 1.
        nearest: the images nearest to each by feature, int64 [N, M], nearest first.
        distances: to them, over the mean of all pairs of kept images, float64 [N, M].
        groups: by the level's name.
    """

    epoch: int
    layer: str
    points: np.ndarray
    nearest: np.ndarray
    distances: np.ndarray
    groups: Mapping[str, Groups]


@dataclass(frozen=True, eq=False)
class Overview:
    """What the explorer shows of a recording.

    Attributes:
        recording: its name and title.
        hierarchy: the levels.
        fine: classes of the kept held-out images, int64 [N].
        files: their names in the data set, str [N].
        snapshots: by layer, first to last, then by epoch.
        ncc: accuracy over *all* held-out images: epoch, layer, level, split, value, n.
    """

    recording: Recording
    hierarchy: Hierarchy
    fine: np.ndarray
    files: np.ndarray
    snapshots: tuple[Snapshot, ...]
    ncc: pd.DataFrame

    def at(self, epoch: int, layer: str) -> Snapshot:
        """The snapshot of an epoch and a layer.

        Raises:
            ValueError: there is none.
        """
        for snapshot in self.snapshots:
            if (snapshot.epoch, snapshot.layer) == (epoch, layer):
                return snapshot
        known = ", ".join(f"{s.epoch} at {s.layer}" for s in self.snapshots)
        raise ValueError(f"epoch={epoch}, layer={layer!r}: not kept; expected one of {known}")


def overview(
    recording: Recording, *, neighbours: int = NEIGHBOURS, seed: int = 0, rounds: int = _ROUNDS
) -> Overview:
    """Maps, neighbours and accuracies of every epoch and layer whose features were kept.

    Args:
        recording: with features.
        neighbours: how many are named for a class and for an image, M (fewer where a level
            has fewer other classes).
        seed: of the maps.
        rounds: of UMAP for each map but the first.

    Raises:
        RecordingError: the recording keeps no features of held-out images.
        ValueError: fewer than one neighbour, or as many as there are images.
    """
    kept = _kept(recording)
    fine = recording.fine("test")
    if not 1 <= neighbours < len(fine):
        raise ValueError(f"neighbours={neighbours}: expected 1 to {len(fine) - 1}")
    maps: dict[tuple[str, int], np.ndarray] = {}
    snapshots = []
    for layer, epoch, before in kept:
        start = maps.get(before) if before else None
        snapshot = _snapshot(recording, epoch, layer, start, neighbours, seed, rounds)
        maps[layer, epoch] = snapshot.points
        snapshots.append(snapshot)
    ncc = measured(recording, "ncc", recording.hierarchy.names, "all")
    files = recording.files("test")
    return Overview(recording, recording.hierarchy, fine, files, tuple(snapshots), ncc)


def _kept(recording: Recording) -> list[tuple[str, int, tuple[str, int] | None]]:
    """Layer, epoch, and where the map that it begins with is; layers upwards, then epochs.

    Raises:
        RecordingError: nothing was kept.
    """
    found: list[tuple[str, int, tuple[str, int] | None]] = []
    below: tuple[str, int] | None = None
    for layer in recording.layers if recording.has_features else ():
        before = below
        for epoch in recording.kept_epochs(layer):
            found.append((layer, epoch, before))
            before = (layer, epoch)
            below = (layer, epoch) if epoch == recording.kept_epochs(layer)[0] else below
    if not found:
        able = ", ".join(_with_points(recording)) or "none here; record one with features"
        raise RecordingError(
            f"{recording.path}: keeps no features of held-out images, so there are no points to "
            f"show; choose a recording that does: {able}"
        )
    return found


def _with_points(recording: Recording) -> Iterator[str]:
    for other in list_recordings(recording.path.parent):
        if other.has_features and any(other.kept_epochs(layer) for layer in other.layers):
            yield other.name


def _snapshot(
    recording: Recording,
    epoch: int,
    layer: str,
    start: np.ndarray | None,
    neighbours: int,
    seed: int,
    rounds: int,
) -> Snapshot:
    x = recording.features(epoch, layer)
    wide = min(_UMAP_NEIGHBOURS, len(x) - 1)
    rows, distances = nearest_neighbours(x, max(neighbours, wide - 1))
    points = umap_embedding(
        x,
        seed=seed,
        neighbours=wide,
        start=start,
        found=(rows[:, : wide - 1], distances[:, : wide - 1]),
        rounds=None if start is None else rounds,
    )
    mean = pdist(x.astype(np.float64)).mean()
    groups = {
        level.name: _groups(recording, level, epoch, layer, neighbours)
        for level in recording.hierarchy.levels
    }
    return Snapshot(
        epoch, layer, points, rows[:, :neighbours], distances[:, :neighbours] / mean, groups
    )


def _groups(recording: Recording, level: Level, epoch: int, layer: str, neighbours: int) -> Groups:
    means = group_means(recording.class_means(epoch, layer), recording.class_counts, level)
    pairs = pdist(means)
    apart = squareform(pairs / pairs.mean())
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argsort(axis=1, kind="stable")[:, : min(neighbours, level.k - 1)]
    own = level.labels(recording.fine("test"))
    right = np.bincount(own, hits(recording, level, [epoch], layer)[0], minlength=level.k)
    return Groups(
        nearest, np.take_along_axis(apart, nearest, axis=1), np.rint(right).astype(np.int64)
    )
