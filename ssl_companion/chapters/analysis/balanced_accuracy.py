"""Accuracies in which every group counts the same, and their bootstrap over classes.

Where the groups of a level differ in size, plain accuracy rewards naming a large one: a network
that collapses gains by it. *Balanced* accuracy (Brodersen et al. 2010, doi:10.1109/ICPR.2010.764)
is the mean over groups of the share of a group's images that are found; blind guesses reach 1/K at
any level. Statements about levels are statements about *classes*, so classes are what is drawn
again: the images of one class share what makes it easy, and 2,000 of them are not independent.

All of it needs no more than how many images of each class are found in their group. A recording
without features can keep these counts of the test images instead (`claims.kept_counts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ssl_companion.data.hierarchy import Level
from ssl_companion.recordings import DamagedError, Recording, RecordingError
from ssl_companion.recordings.format import GROUPINGS_FILE, EpochLayer
from ssl_companion.recordings.groupings import Groupings, class_hits, read_groupings


def recalls(
    recording: Recording,
    levels: Sequence[Level],
    places: Sequence[EpochLayer],
    split: str = "test",
    *,
    live: bool = True,
) -> np.ndarray:
    """For each fine class, the share of its images whose group at a level has the nearest mean.

    Args:
        recording: with features, or with counts under these groupings (`recordings.groupings`).
        levels: L of them, semantic or random.
        places: S pairs of an epoch and a layer (None: the last).
        split: "test" or "train".
        live: search the kept images now, where there are any; False takes the counts of test
            images where they are of more of these, and of every level and place asked for.

    Returns:
        float64 [L, S, K], K fine classes; NaN for a class without a kept image.

    Raises:
        RecordingError: neither features nor counts of a place, or no counts of a level.
    """
    counts = counted(recording, live=live) if split == "test" else None
    if counts is not None:
        named = [(epoch, layer or recording.layers[-1]) for epoch, layer in places]
        try:
            which = [_row_of(level, counts, recording) for level in levels]
            return np.stack([counts.recalls(place, which) for place in named], axis=1)
        except DamagedError:
            raise
        except RecordingError:
            if not recording.has_features:
                raise
    fine, k = recording.fine(split), recording.hierarchy.levels[0].k
    images, groups = np.bincount(fine, minlength=k), np.stack([one.of_fine for one in levels])
    out = np.empty((len(levels), len(places), k))
    for s, (epoch, layer) in enumerate(places):
        x, means = recording.features(epoch, layer, split), recording.class_means(epoch, layer)
        with np.errstate(invalid="ignore"):
            out[:, s] = class_hits(x, fine, means, recording.class_counts, groups) / images
    return out


def counted(recording: Recording, *, live: bool = True) -> Groupings | None:
    """The counts that stand in for a recording's features; None for none.

    Args:
        recording: any.
        live: only where it keeps no features; else also where they are of more test images and of
            every level, so that one run is judged by the same images throughout.
    """
    if not recording.has_groupings or (live and recording.has_features):
        return None
    path = recording.file(GROUPINGS_FILE)
    counts = _read(recording.path, path.stat().st_mtime_ns)
    if not recording.has_features:
        return counts
    known = {of.tobytes() for of in counts.groups}
    of_all = known >= {level.of_fine.tobytes() for level in recording.hierarchy.levels}
    return counts if of_all and _images(counts) > len(recording.fine()) else None


@lru_cache(maxsize=16)
def _read(path: Path, changed: int) -> Groupings:
    return read_groupings(Recording(path))


def _images(counts: Groupings) -> int:
    return max(int(images.sum()) for images in counts.images.values())


def _row_of(level: Level, counts: Groupings, recording: Recording) -> int:
    """Which of the groupings a level is."""
    same = np.flatnonzero((counts.groups == level.of_fine).all(axis=1))
    if not len(same):
        known = ", ".join(f"{n} of {kind!r}" for kind, n in Counter(counts.kinds.tolist()).items())
        raise RecordingError(
            f"{recording.path / GROUPINGS_FILE}: has no counts under this grouping, "
            f"{level.name!r}; it has {known}; any other takes a recording that keeps features"
        )
    return int(same[0])


def epochs_judged(recording: Recording, layer: str | None = None) -> tuple[int, ...]:
    """The epochs of which `recalls` knows a layer (by default the last)."""
    if recording.has_features or (counts := counted(recording)) is None:
        return recording.kept_epochs(layer)
    layer = layer or recording.layers[-1]
    return tuple(epoch for epoch in recording.epochs if (epoch, layer) in counts.hits)


def images_judged(recording: Recording, *, live: bool = True) -> int:
    """How many test images `recalls` is of."""
    if (counts := counted(recording, live=live)) is None:
        return len(recording.fine())
    return _images(counts)


def balanced(recalls: np.ndarray, of_fine: np.ndarray) -> np.ndarray:
    """Balanced accuracy of recalls [..., K]: the mean over groups of their classes' mean recall.

    Args:
        recalls: by fine class; a class that is NaN is left out.
        of_fine: the group of each fine class, int64 [K].

    Returns:
        [...].
    """
    found: np.ndarray = drawn_balanced(recalls, of_fine, np.ones((1, len(of_fine))))[..., 0]
    return found


def drawn_balanced(recalls: np.ndarray, of_fine: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`balanced` with each class counted as often as it was drawn.

    Args:
        recalls: by fine class, [..., K].
        of_fine: the group of each fine class, int64 [K].
        weights: of the classes in each of R draws, float [R, K]; a group of which no class was
            drawn is left out of that draw.

    Returns:
        [..., R].
    """
    there = np.isfinite(recalls)
    groups = np.eye(int(of_fine.max()) + 1)[of_fine]
    sums = _summed(np.where(there, recalls, 0.0), groups, weights)
    counts = weights @ groups if there.all() else _summed(there * 1.0, groups, weights)
    shares = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    mean: np.ndarray = shares.sum(axis=-1) / (counts > 0).sum(axis=-1)
    return mean


def _summed(values: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums over the classes of each group of values [..., K], by draw: [..., R, groups].

    Place by place, so that equal values have equal sums to the last bit: what does not change is in
    no order.
    """
    sums: np.ndarray = weights @ (values[..., :, None] * groups)
    return sums


def over_groupings(
    recalls: np.ndarray, groups: np.ndarray, weights: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Balanced accuracy under each of G groupings, and draws of its mean over them.

    Args:
        recalls: by fine class, [G, S, K].
        groups: the group of each fine class, int64 [G, K].
        weights: how often each class is in each of R draws, float [R, K].
        times: how often each grouping is, float [R, G].

    Returns:
        [G, S], and [S, R] with the classes and the groupings drawn again.
    """
    values = np.stack([balanced(f, of) for f, of in zip(recalls, groups, strict=True)])
    draws = np.zeros((recalls.shape[1], len(weights)))
    for g, of_fine in enumerate(groups):
        used = times[:, g] > 0  # in a third of the draws a grouping is not
        drawn = drawn_balanced(recalls[g], of_fine, weights[used])
        draws[:, used] += drawn * times[used, g] / len(groups)
    return values, draws
