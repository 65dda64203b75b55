"""What the maps show: a few images, classes or superclasses, the same points at every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ssl_companion.recordings import Recording


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
) -> Scene:
    """All kept images of a few classes, chosen by chance.

    Args:
        recording: with features.
        level: of the classes.
        count: how many classes.
        seed: of the choice.
        epochs: at which the scene will be shown, by default all kept ones; training images are
            in it if each of these epochs keeps them.

    Raises:
        ValueError: for an unknown level or more classes than it has.
    """
    chosen_level = recording.hierarchy.level(level)
    if not 1 <= count <= chosen_level.k:
        raise ValueError(f"count={count}: level {level!r} has {chosen_level.k} classes")
    chosen = np.random.default_rng(seed).choice(chosen_level.k, count, replace=False)
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
