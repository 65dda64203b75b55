"""A recording as maps: UMAP (McInnes, Healy, Melville 2018, arXiv:1802.03426) of its features.

Maps are aligned: each begins where another one ended, at the same layer an epoch earlier, or
before training at the layer below. So none knows what comes later, and points keep their
places as far as the features let them. `overview` has every kept epoch and layer with the
neighbours of each image; a `Scene` is a few images, classes or superclasses, the same at every
epoch.
"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import platformdirs
import torch
from scipy.spatial.distance import pdist, squareform

from ssl_companion.chapters.analysis.accuracies import hits, measured
from ssl_companion.data.hierarchy import Hierarchy, Level
from ssl_companion.data.threads import tensor_threads
from ssl_companion.io.extras import needs
from ssl_companion.measures import nearest_neighbours
from ssl_companion.recordings import (
    Recording,
    RecordingError,
    group_means,
    list_recordings,
)


def umap_embedding(
    features: np.ndarray,
    *,
    seed: int = 0,
    neighbours: int = 15,
    start: np.ndarray | None = None,
    found: tuple[np.ndarray, np.ndarray] | None = None,
    rounds: int | None = None,
) -> np.ndarray:
    """A map of the points: near in the map means near among the features, little else.

    Args:
        features: [N, D], N above `neighbours`.
        seed: of UMAP's own randomness.
        neighbours: how many count as near.
        start: [N, 2] where the points begin, such as the map of the epoch before, so that a
            series of maps does not turn and flip; principal components by default.
        found: the nearest other points of each, rows int [N, `neighbours` - 1] and distances of
            the same shape, where they are known already; most of the time of a map of a few
            thousand points goes into that search.
        rounds: passes over all pairs of neighbours; by default 500, and fewer for maps of more
            than 10,000 points.

    Returns:
        float32 [N, 2], centred, and scaled to a standard deviation of 1.

    Raises:
        ValueError: for too few points, or a `start` or `found` of another shape.
    """
    if features.ndim != 2 or len(features) <= neighbours:
        raise ValueError(f"features: shape {features.shape}; expected [N, D] with N > {neighbours}")
    if start is not None and start.shape != (len(features), 2):
        raise ValueError(f"start: shape {start.shape}; expected {(len(features), 2)}")
    shape = (len(features), neighbours - 1)
    if found is not None and not found[0].shape == found[1].shape == shape:
        raise ValueError(f"found: shapes {[a.shape for a in found]}; expected {shape} twice")
    if features.shape[1] == 1:  # two principal components are where a map begins
        features = np.pad(features, ((0, 0), (0, 1)))
    settings: dict[str, Any] = {} if found is None else _known(*found)
    # Numba's threads would leave torch with as many as there are cores, whatever was asked for.
    with tensor_threads(torch.get_num_threads()), warnings.catch_warnings():
        with needs("plots"):
            _let_numba_write()
            import umap  # compiles for seconds; only who draws a map waits for it

        # Neighbours that were found elsewhere cannot place new points later; nobody asks that.
        warnings.filterwarnings("ignore", message=".*knn_search_index.*")
        fitted = umap.UMAP(
            n_neighbors=neighbours,
            n_epochs=rounds,
            init="pca" if start is None else start.astype(np.float32),
            random_state=seed,
            n_jobs=1,  # what a fixed seed makes of it anyway, without a warning
            **settings,
        ).fit_transform(features)
    points = fitted - fitted.mean(axis=0)
    scaled: np.ndarray = (points / points.std()).astype(np.float32)
    return scaled


@functools.cache
def _let_numba_write() -> None:
    """Numba keeps what it compiles of UMAP, beside it or in the user's cache, and refuses to import
    it where it can write neither, as in a container for everybody: then in a temporary folder."""
    import numba

    settings: Any = numba.config
    beside = importlib.util.find_spec("umap")
    folders = [Path(str(beside.origin)).parent] if beside else []
    if not settings.CACHE_DIR and not any(map(_writable, [*folders, _user_cache()])):
        settings.CACHE_DIR = tempfile.mkdtemp(prefix="numba-")


def _user_cache() -> Path:
    return Path(platformdirs.user_cache_dir("numba"))


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _known(rows: np.ndarray, distances: np.ndarray) -> dict[str, Any]:
    """UMAP's settings for neighbours that are known; it counts a point as its own first one."""
    own = np.arange(len(rows))[:, None]
    first = np.zeros((len(rows), 1))
    knn = (np.hstack([own, rows]), np.hstack([first, distances]).astype(np.float32))
    return {"precomputed_knn": knn, "force_approximation_algorithm": True}


def umap_series(features: Sequence[np.ndarray], *, seed: int = 0) -> list[np.ndarray]:
    """Maps of the same points at several epochs, each begun where the one before ended."""
    maps: list[np.ndarray] = []
    for points in features:
        maps.append(umap_embedding(points, seed=seed, start=maps[-1] if maps else None))
    return maps


@dataclass(frozen=True, eq=False)
class Scene:
    """Points in groups, to be looked at through training.

    Attributes:
        title: what the groups are.
        names: of the K groups.
        labels: group of each point, int64 [N], 0 to K-1.
        features: the points of an epoch, float32 [N, D].
    """

    title: str
    names: tuple[str, ...]
    labels: np.ndarray
    features: Callable[[int], np.ndarray]


def images(recording: Recording) -> Scene:
    """Many augmented views of a few training images; a group is an image."""
    _, labels = recording.map_views(recording.kept_epochs(what="map_views")[0])
    fine = recording.hierarchy.level("fine").class_names
    shown = recording.fine("sample")[: int(labels.max()) + 1]
    names = tuple(f"{fine[k]} (one)".replace("_", " ") for k in shown)
    return Scene("images", names, labels, lambda epoch: recording.map_views(epoch)[0])


def classes(
    recording: Recording,
    level: str = "fine",
    count: int = 5,
    seed: int = 0,
    epochs: Sequence[int] | None = None,
    named: Sequence[str] = (),
) -> Scene:
    """All kept images of a few classes: those that are named, and others drawn at random.

    Args:
        recording: with features.
        level: of the classes.
        count: how many classes.
        seed: of the draw.
        epochs: at which the scene will be shown, by default all kept ones; training images are
            in it if each of these epochs keeps them.
        named: classes to show first, such as "maple tree"; a name that the level lacks is left
            out, so that data sets with other classes have a scene, too.

    Raises:
        ValueError: for an unknown level or more classes than it has.
    """
    chosen_level = recording.hierarchy.level(level)
    if not 1 <= count <= chosen_level.k:
        raise ValueError(
            f"count: {count}; expected 1 to {chosen_level.k}, the classes of level {level!r}"
        )
    chosen = _chosen(chosen_level, count, seed, named)
    shown = set(recording.kept_epochs() if epochs is None else epochs)
    splits = [s for s in ("train", "test") if shown <= set(recording.kept_epochs(what=s))]
    all_labels = {s: chosen_level.labels(recording.fine(s)) for s in splits}
    rows = {s: np.isin(y, chosen) for s, y in all_labels.items()}
    labels = np.concatenate([all_labels[s][rows[s]] for s in rows])
    place = {k: i for i, k in enumerate(chosen.tolist())}

    def features(epoch: int) -> np.ndarray:
        return np.concatenate([recording.features(epoch, split=s)[rows[s]] for s in rows])

    names = tuple(chosen_level.class_names[k].replace("_", " ") for k in chosen)
    title = {"fine": "classes", "coarse": "superclasses"}.get(level, level)
    return Scene(title, names, np.array([place[k] for k in labels.tolist()]), features)


def _chosen(level: Level, count: int, seed: int, named: Sequence[str]) -> np.ndarray:
    """Rows of the named classes, and of as many others as make `count`, int64 [count]."""
    rows = {name.replace("_", " "): k for k, name in enumerate(level.class_names)}
    first = [rows[name] for name in dict.fromkeys(named) if name in rows][:count]
    others = np.setdiff1d(np.arange(level.k), first)
    drawn = np.random.default_rng(seed).choice(others, count - len(first), replace=False)
    return np.array([*first, *drawn])


def neighbour_share(points: np.ndarray, labels: np.ndarray) -> float:
    """The share of points whose nearest other point belongs to the same group, in [0, 1].

    Args:
        points: [N, D], few enough for N x N distances.
        labels: int [N].
    """
    squares = (points.astype(np.float64) ** 2).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * points.astype(np.float64) @ points.T
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(labels[distances.argmin(axis=1)] == labels))


NEIGHBOURS = 5
_UMAP_NEIGHBOURS = 15
_ROUNDS = 200  # of a map that begins at another one; the first has UMAP's own number


@dataclass(frozen=True, eq=False)
class ClassGroups:
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
    groups: Mapping[str, ClassGroups]


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
        raise ValueError(f"epoch, layer: {epoch}, {layer!r}; expected one of {known}")


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
        ValueError: fewer than one neighbour, or as many as there are images; a seed that UMAP
            does not take.
    """
    kept = _kept(recording)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed: {seed}; expected an integer from 0 to {2**32 - 1}")
    fine = recording.fine("test")
    if not 1 <= neighbours < len(fine):
        raise ValueError(f"neighbours: {neighbours}; expected 1 to {len(fine) - 1}")
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


def _groups(
    recording: Recording, level: Level, epoch: int, layer: str, neighbours: int
) -> ClassGroups:
    means = group_means(recording.class_means(epoch, layer), recording.class_counts, level)
    pairs = pdist(means)
    apart = squareform(pairs / pairs.mean())
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argsort(axis=1, kind="stable")[:, : min(neighbours, level.k - 1)]
    own = level.labels(recording.fine("test"))
    right = np.bincount(own, hits(recording, level, [epoch], layer)[0], minlength=level.k)
    return ClassGroups(
        nearest, np.take_along_axis(apart, nearest, axis=1), np.rint(right).astype(np.int64)
    )
