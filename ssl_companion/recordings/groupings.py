"""Groups of classes besides the hierarchy's, and how often each class is found in its group.

A superclass holds classes that mean something alike, and many of these look alike too. Groups of
the same sizes made of the *looks* of the classes alone tell the two apart: by balanced k-means of
the classes' mean images, in pixels or in whitened pixels, and of the class means of the network
before training. What is kept is enough for accuracies under every one of these groupings and for
their intervals over classes and groupings, of all test images, in a file of some 100 kB. In the
same form a recording without features keeps what verdicts need of them:

    groupings.safetensors   "groups" uint8 [G, K]: the group of every fine class
                            "<epoch>/<layer>/images" uint8 or int32 [K]: test images of each class
                            "<epoch>/<layer>/hits" the same [G, K]: how many of them have the mean
                            of their own group nearest
                            metadata "about": JSON with level ("" if of several), kinds (of each
                            grouping)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ssl_companion.data import ImageSet
from ssl_companion.data.hierarchy import Level, random_groups
from ssl_companion.io.atomic import atomic_file
from ssl_companion.measures import NearestCentroid
from ssl_companion.measures.kmeans import balanced_kmeans
from ssl_companion.recordings.format import (
    GROUPINGS_FILE,
    DamagedError,
    EpochLayer,
    RecordingError,
    written,
)
from ssl_companion.recordings.group_accuracies import (
    PIXELS,
    RANDOM,
    SEMANTIC,
    UNTRAINED,
    WHITENED,
    LevelGroupings,
    class_products,
    hits_by_products,
)
from ssl_companion.recordings.reader import Recording

GROUPING_KINDS = (SEMANTIC, RANDOM, PIXELS, WHITENED, UNTRAINED)
STARTS = 10  # groupings of each kind by looks: other starts of k-means, other groups
_RANDOM = 20
_RANDOM_LEVELS = 100  # of each level, in `level_groupings`


@dataclass(frozen=True, eq=False)
class Groupings:
    """Groupings of the K fine classes into groups of one level's sizes, and their recalls.

    Attributes:
        level: whose sizes they have, such as "coarse"; "" where there are several.
        kinds: of each of the G groupings, str [G]: "semantic" (the level itself, one), "random",
            "pixels", "whitened pixels" or "before training"; of several levels, what they are
            called: "coarse", "random-coarse" and so on.
        groups: the group of every fine class, int64 [G, K].
        images: by epoch and layer: test images of each fine class, int64 [K].
        hits: and how many of these have the mean of their own group nearest, int64 [G, K]; fewer
            rows where only the first groupings were counted.
    """

    level: str
    kinds: np.ndarray
    groups: np.ndarray
    images: Mapping[EpochLayer, np.ndarray]
    hits: Mapping[EpochLayer, np.ndarray]

    def of(self, kind: str) -> np.ndarray:
        """Which of the G groupings are of a kind: int64 indices.

        Raises:
            ValueError: an unknown kind.
        """
        if kind not in self.kinds:
            raise ValueError(
                f"kind: {kind!r}; expected one of {', '.join(dict.fromkeys(self.kinds))}"
            )
        return np.flatnonzero(self.kinds == kind)

    def recalls(self, place: EpochLayer, which: Sequence[int] | None = None) -> np.ndarray:
        """Of each fine class, the share of its images found in their group: float64 [G, K].

        Args:
            place: epoch and layer.
            which: of the groupings; by default all that were counted there.

        Raises:
            RecordingError: nothing was measured there, or not under one of these.
        """
        if place not in self.hits:
            known = ", ".join(f"{epoch}/{layer}" for epoch, layer in self.hits)
            raise RecordingError(
                f"groupings: none measured at epoch {place[0]}, layer {place[1]!r}; there are "
                f"{known}"
            )
        hits = self.hits[place]
        chosen = range(len(hits)) if which is None else which
        if max(chosen) >= len(hits):
            raise RecordingError(
                f"groupings: at epoch {place[0]}, layer {place[1]!r}, the first {len(hits)} of "
                f"{len(self.groups)} were counted"
            )
        with np.errstate(invalid="ignore"):  # NaN for a class without an image
            shares: np.ndarray = hits[list(chosen)] / self.images[place]
        return shares


def looks(train: ImageSet, components: int) -> dict[str, np.ndarray]:
    """The mean image of every fine class, plain and whitened, float64 [K, D].

    Args:
        train: the images; their labels only say which are averaged.
        components: principal components of the pixels that are whitened (each scaled to
            variance one), fewer where there are not as many.

    Returns:
        "pixels" [K, 3 H W] and "whitened pixels" [K, components].
    """
    from sklearn.decomposition import PCA

    x = np.asarray(train.images).reshape(len(train), -1).astype(np.float32) / 255
    pca = PCA(min(components, *x.shape), whiten=True, svd_solver="covariance_eigh").fit(x)
    means = NearestCentroid().fit(x, train.fine).centroids_
    # Whitening is affine, so the mean of whitened images is the whitened mean image.
    return {PIXELS: means, WHITENED: pca.transform(means)}


def groupings_of(
    level: Level,
    means: Mapping[str, np.ndarray],
    starts: int = STARTS,
    seed: int = 0,
    random: int = _RANDOM,
) -> tuple[np.ndarray, np.ndarray]:
    """A level, random groupings of its sizes, and groupings by each of several means of classes.

    Args:
        level: of K fine classes.
        means: by kind, float [K, D]; each gives `starts` groupings.
        starts: groupings of a kind, each the best of some starts of its own.
        seed: of the starts.
        random: how many random groupings: those of the seeds from 0.

    Returns:
        kinds, str [G], and groups, int64 [G, K].
    """
    rows = [(SEMANTIC, level.of_fine)]
    rows += [(RANDOM, of_fine) for of_fine in random_groups(level, range(random))]
    for kind, of_classes in means.items():
        for i in range(starts):
            rows.append((kind, balanced_kmeans(of_classes, level.sizes.tolist(), seed=seed + i)))
    kinds, groups = zip(*rows, strict=True)
    return np.array(kinds), np.stack(groups)


_BY_LOOKS: dict[tuple[str, int], list[tuple[str, str, np.ndarray]]] = {}


def level_groupings(train: ImageSet, before: np.ndarray | None, width: int) -> LevelGroupings:
    """What `group_accuracies` are taken under, of every level of the hierarchy.

    Of each level above the fine one: itself, 100 random groupings of its sizes, and 10 of the same
    sizes by each kind of looks of the classes. Of the fine level, itself.

    Args:
        train: the training images that are measured, whose looks make groups.
        before: means of the fine classes in the last layer before training, float [K, D]; None
            where they are not known, and no groups are made of them.
        width: principal components of the pixels that are whitened.
    """
    fine, *above = train.hierarchy.levels
    by_images = (train.fingerprint, width)
    if by_images not in _BY_LOOKS:  # many runs have the same images, and this takes a while
        _BY_LOOKS[by_images] = _rows_by(above, looks(train, width), _RANDOM_LEVELS)
    rows = [(fine.name, SEMANTIC, fine.of_fine), *_BY_LOOKS[by_images]]
    if before is not None:
        by_network = _rows_by(above, {UNTRAINED: np.asarray(before, np.float64)}, 0)
        rows += [row for row in by_network if row[1] == UNTRAINED]
    levels, kinds, groups = zip(*rows, strict=True)
    return LevelGroupings(np.array(levels), np.array(kinds), np.stack(groups))


def _rows_by(
    levels: Sequence[Level], means: Mapping[str, np.ndarray], random: int
) -> list[tuple[str, str, np.ndarray]]:
    """Level, kind and groups of every grouping of some levels."""
    return [
        (level.name, str(kind), of_fine)
        for level in levels
        for kind, of_fine in zip(*groupings_of(level, means, random=random), strict=True)
    ]


def class_hits(
    x: Tensor | np.ndarray,
    fine: np.ndarray,
    means: np.ndarray,
    counts: np.ndarray,
    groups: np.ndarray,
) -> np.ndarray:
    """How many images of each fine class have the mean of their own group nearest.

    Args:
        x: features [N, D].
        fine: int64 [N].
        means: of the fine classes, float [K, D].
        counts: images behind each mean, int64 [K].
        groups: int64 [G, K].

    Returns:
        int64 [G, K].
    """
    features, centres = torch.as_tensor(x), torch.as_tensor(means)
    gram = class_products(centres, centres)
    return hits_by_products(class_products(features, centres), gram, fine, counts, groups)


def measure_groupings(
    by_epoch: Iterable[tuple[int, Mapping[str, np.ndarray], Mapping[str, Tensor | np.ndarray]]],
    train: ImageSet,
    fine: np.ndarray,
    level: Level,
    further: Sequence[Level] = (),
    ends: Sequence[int] = (),
) -> Groupings:
    """Hits of test images under groupings of a level's sizes, at every epoch and layer.

    Args:
        by_epoch: the epoch; by layer, first to last, the means of the fine classes over the
            training images, float [K, D]; and by layer the features of N test images [N, D]. The
            first epoch is the one before training.
        train: the training images, whose looks make groups.
        fine: labels of the test images, int64 [N].
        level: such as the superclasses.
        further: groupings that are counted besides, of every layer at `ends` and of the last one
            at every epoch: those that verdicts take.
        ends: the first and the last epoch.
    """
    hits: dict[EpochLayer, np.ndarray] = {}
    kinds, groups, counts = np.array([]), np.zeros((0, 0), np.int64), np.bincount(train.fine)
    first = 0
    for epoch, means, features in by_epoch:
        if not len(kinds):
            before = np.asarray(means[list(means)[-1]], np.float64)
            seen = looks(train, before.shape[1]) | {UNTRAINED: before}
            kinds, groups = groupings_of(level, seen)
            first = len(groups)
            known = {of.tobytes() for of in groups}
            new = [one for one in further if one.of_fine.tobytes() not in known]
            kinds = np.array([*kinds, *(one.name for one in new)])
            groups = np.stack([*groups, *(one.of_fine for one in new)])
        for layer, x in features.items():
            all_of_them = epoch in ends or layer == list(features)[-1]
            some = groups if all_of_them else groups[:first]
            hits[epoch, layer] = class_hits(x, fine, means[layer], counts, some)
    images = np.bincount(fine, minlength=groups.shape[1])
    return Groupings(level.name, kinds, groups, dict.fromkeys(hits, images), hits)


def write_groupings(path: Path, groupings: Groupings) -> None:
    """Write `groupings` as a file of a recording, whole or not at all."""
    tensors = {"groups": _small(groupings.groups)}
    for (epoch, layer), found in groupings.hits.items():
        tensors[f"{epoch}/{layer}/hits"] = _small(found)
        tensors[f"{epoch}/{layer}/images"] = _small(groupings.images[epoch, layer])
    # One entry: safetensors writes several in any order, and the same should be the same bytes.
    about = {"about": json.dumps({"level": groupings.level, "kinds": groupings.kinds.tolist()})}
    with written(path), atomic_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=about)


def _small(counts: np.ndarray) -> Tensor:
    """Counts in one byte each where they fit."""
    return torch.from_numpy(counts.astype(np.uint8 if counts.max() < 256 else np.int32))


def read_groupings(recording: Recording) -> Groupings:
    """The groupings that a recording keeps.

    Raises:
        RecordingError: it keeps none, or the file is truncated or foreign.
    """
    if not recording.has_groupings:
        raise RecordingError(f"{recording.path}: keeps no groupings of classes ({GROUPINGS_FILE})")
    path = recording.file(GROUPINGS_FILE)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if odd := [n for n, x in stored.items() if x.dtype not in (torch.uint8, torch.int32)]:
            raise ValueError(f"{odd[0]}: {stored[odd[0]].dtype}; expected counts")
        tensors = {name: counts.long().numpy() for name, counts in stored.items()}
        kinds, groups = np.array(about["kinds"]), tensors.pop("groups")
        hits: dict[EpochLayer, np.ndarray] = {}
        images: dict[EpochLayer, np.ndarray] = {}
        for name, counts in tensors.items():
            epoch, layer, what = name.split("/")
            {"hits": hits, "images": images}[what][int(epoch), layer] = counts
        own = (len(kinds), recording.hierarchy.levels[0].k)
        if groups.shape != own or any(hits[p].shape[1:] != groups.shape[1:] for p in images):
            raise ValueError(f"groups {groups.shape} of {len(kinds)} kinds, or hits of others")
        return Groupings(about["level"], kinds, groups, images, hits)
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(
            f"{path}: truncated or foreign ({error}); restore it from the repository"
        ) from error


def places_in_order(groupings: Groupings, layers: Sequence[str]) -> list[EpochLayer]:
    """What was measured, by epoch and then by depth."""
    return sorted(groupings.hits, key=lambda place: (place[0], layers.index(place[1])))
