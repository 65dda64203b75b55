"""Balanced accuracies under many groupings of the classes, at every level.

An accuracy at a level says little until one knows what other groups of the same sizes get: random
ones, and groups of classes that look alike (see `groupings`). The accuracies here are *balanced*:
the mean over groups of the mean recall of their classes (Brodersen et al. 2010,
doi:10.1109/ICPR.2010.764), so that a large group counts no more than a small one. All of them are
of the nearest mean of a group, fitted on the run's training images and asked of all test images.

    levels.safetensors      "<epoch>/<layer>/balanced" uint16 [G]: balanced accuracy, times 65535
                            "groups" uint8 [G', K]: the group of every fine class, of the G' of
                            these groupings that are neither a level itself nor random
                            metadata "about": JSON with "groupings", a list of [level, kind, number]
                            in the order of the G, and "sha256" of their groups, int64 [G, K]

Random groupings are those of `data.hierarchy.random_grouping` with the seeds from 0. Of the last
layer there are accuracies at every measured epoch, of all layers at the first and the last one; and
there are two more of each layer then, which keep the place that a spatial mean throws away:
"<layer>@2x2" is the map averaged in quarters, "<layer>@flat" the whole map as a vector.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_companion.data.hierarchy import Hierarchy, random_groups
from ssl_companion.data.images import ImageSet
from ssl_companion.io.atomic import atomic_file
from ssl_companion.recordings.format import (
    LEVELS_FILE,
    DamagedError,
    EpochLayer,
    RecordingError,
    place_of,
    written,
)
from ssl_companion.recordings.reader import Recording
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.extract import extract_maps

#: Kinds of groupings: a level itself, random ones of its sizes, and by the looks of the classes.
SEMANTIC, RANDOM, PIXELS, WHITENED, UNTRAINED = (
    "semantic", "random", "pixels", "whitened pixels", "before training",
)  # fmt: skip

_SCORES = 2**20  # of a group's mean and an image, held at a time: 8 MB
_ONE = 65535  # an accuracy of 1 as uint16


@dataclass(frozen=True, eq=False)
class LevelGroupings:
    """Groupings of the K fine classes, each into groups of the sizes of some level's classes.

    Attributes:
        levels: of each of the G groupings, the level whose sizes it has, str [G].
        kinds: "semantic" (the level itself, one), "random", "pixels", "whitened pixels" or
            "before training", str [G]; of the level "fine", "semantic" alone.
        groups: the group of every fine class, int64 [G, K].
    """

    levels: np.ndarray
    kinds: np.ndarray
    groups: np.ndarray

    def of(self, level: str, kind: str) -> np.ndarray:
        """Which of the G groupings are of a level and a kind: int64 indices.

        Raises:
            ValueError: there is none.
        """
        found = np.flatnonzero((self.levels == level) & (self.kinds == kind))
        if not len(found):
            known = dict.fromkeys(zip(self.levels.tolist(), self.kinds.tolist(), strict=True))
            raise ValueError(
                f"level, kind: {level!r}, {kind!r}; expected one of "
                + ", ".join(f"{one!r} with {other!r}" for one, other in known)
            )
        return found


@dataclass(frozen=True, eq=False)
class GroupAccuracies(LevelGroupings):
    """Balanced NCC accuracies of all test images under groupings.

    Attributes:
        balanced: by epoch and layer, float32 [G], to within 1e-5.
    """

    balanced: Mapping[EpochLayer, np.ndarray]

    def values(self, level: str, kind: str, places: Sequence[EpochLayer]) -> np.ndarray:
        """Accuracies under the groupings of a level and a kind: float64 [G', S].

        Args:
            level: such as "coarse".
            kind: such as "random".
            places: S pairs of an epoch and a layer, by its name.

        Raises:
            ValueError: no such groupings.
            RecordingError: nothing was measured at a place.
        """
        for epoch, layer in places:
            if (epoch, layer) not in self.balanced:
                known = ", ".join(f"{e}/{name}" for e, name in self.balanced)
                raise RecordingError(
                    f"group accuracies: none at epoch {epoch}, layer {layer!r}; there are {known}"
                )
        which = self.of(level, kind)
        out = [self.balanced[place][which] for place in places]
        return np.stack(out, axis=1).astype(np.float64) if out else np.empty((len(which), 0))


def class_products(x: Tensor, means: Tensor) -> Tensor:
    """Products of features with class means, both from the mean of these: float64 [N, K].

    With `class_products(means, means)` they are all that the nearest mean of any group of classes
    depends on.
    """
    centre = means.double().mean(dim=0)
    return (x.double() - centre) @ (means.double() - centre).T


def hits_by_products(
    products: Tensor, gram: Tensor, fine: np.ndarray, counts: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """How many images of each fine class have the mean of their own group nearest.

    Args:
        products: of the features of N images with the K class means, float64 [N, K].
        gram: of the class means with each other, float64 [K, K].
        fine: int64 [N].
        counts: training images behind each mean, int64 [K].
        groups: int64 [G, K].

    Returns:
        int64 [G, K].
    """
    device = products.device
    by_class, y = products.T.contiguous(), torch.tensor(fine, device=device)
    share = torch.tensor(counts, dtype=torch.float64, device=device)
    images = F.one_hot(y, groups.shape[1]).double()  # [N, K]
    out = np.empty(groups.shape, np.int64)
    sizes = groups.max(axis=1) + 1
    for size in np.unique(sizes):  # groupings into as many groups are searched together
        alike = np.flatnonzero(sizes == size)
        at_once = max(1, _SCORES // (int(size) * len(y)))
        for some in np.split(alike, range(at_once, len(alike), at_once)):
            of_fine = torch.tensor(groups[some], dtype=torch.int64, device=device)
            member = F.one_hot(of_fine).transpose(1, 2).double()  # [G, groups, K]
            weight = member * share / (member @ share)[..., None]
            # The nearest mean m has the largest <x, m> - |m|^2 / 2.
            length = ((weight @ gram) * weight).sum(dim=2)
            scores = (weight.flatten(0, 1) @ by_class).unflatten(0, length.shape)
            nearest = scores.sub_(length[..., None] / 2).max(dim=1).indices
            found = (nearest == of_fine[:, y]).double() @ images
            out[some] = found.long().cpu().numpy()
    return out


def balanced_of_hits(hits: np.ndarray, images: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Balanced accuracies: the mean over groups of the mean recall of their classes.

    Args:
        hits: images of each fine class that are found in their group, int64 [G, K].
        images: of each fine class, int64 [K]; a class without any is left out, and so is a group
            without such classes.
        groups: int64 [G, K].

    Returns:
        float64 [G].
    """
    there = images > 0
    recalls = hits[:, there] / images[there]
    out = np.empty(len(hits))
    for g, of_fine in enumerate(groups[:, there]):
        classes = np.bincount(of_fine)
        sums = np.bincount(of_fine, recalls[g])
        out[g] = np.mean(sums[classes > 0] / classes[classes > 0])
    return out


def balanced_accuracies(
    products: Tensor, gram: Tensor, fine: np.ndarray, counts: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Balanced NCC accuracies under groupings, float64 [G]; arguments of `hits_by_products`."""
    hits = hits_by_products(products, gram, fine, counts, groups)
    return balanced_of_hits(hits, np.bincount(fine, minlength=groups.shape[1]), groups)


#: Vectors [N, ...] of maps [N, C, h, w] that keep the place, by their names after "@".
PLACE_KEEPING: dict[str, Callable[[Tensor], Tensor]] = {
    "2x2": lambda maps: F.adaptive_avg_pool2d(maps, 2).flatten(1),
    "flat": lambda maps: maps.flatten(1),
}


@torch.inference_mode()
def products_of_maps(
    backbone: Backbone, train: ImageSet, test: ImageSet, precision: str
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Of every layer's map, as the vectors of `PLACE_KEEPING`: what `hits_by_products` takes.

    Class sums and products are taken batch by batch, as all maps at once would not fit in memory.

    Yields:
        The name "<layer>@<form>", products of the M test images float64 [M, K], and the gram
        matrix of the class means over the training images, float64 [K, K].
    """
    fine = torch.from_numpy(train.fine.copy())
    counts = torch.bincount(fine, minlength=train.hierarchy.levels[0].k).double()
    sums: dict[str, Tensor] = {}
    for rows, maps in extract_maps(backbone, train.images, precision=precision):
        for layer, x in maps.items():
            if layer not in sums:
                sums[layer] = x.new_zeros(len(counts), *x.shape[1:], dtype=torch.float64)
            sums[layer].index_add_(0, fine[rows].to(x.device), x.double())
    means: dict[str, Tensor] = {}
    for layer, total in sums.items():
        mean = total / counts.to(total.device)[:, None, None, None]
        means |= {f"{layer}@{form}": make(mean) for form, make in PLACE_KEEPING.items()}
    products: dict[str, list[Tensor]] = {name: [] for name in means}
    for _, maps in extract_maps(backbone, test.images, precision=precision):
        for layer, x in maps.items():
            for form, make in PLACE_KEEPING.items():
                name = f"{layer}@{form}"
                products[name].append(class_products(make(x.double()), means[name]))
    for name, parts in products.items():
        yield name, torch.cat(parts), class_products(means[name], means[name])


def write_group_accuracies(path: Path, found: GroupAccuracies) -> None:
    """Write accuracies, or groupings without any yet, as a file, whole or not at all."""
    stored = ~np.isin(found.kinds, (SEMANTIC, RANDOM))
    tensors = {"groups": found.groups[stored].astype(np.uint8)}
    for (epoch, layer), values in found.balanced.items():
        tensors[f"{epoch}/{layer}/balanced"] = np.rint(values * _ONE).astype(np.uint16)
    pairs = zip(found.levels.tolist(), found.kinds.tolist(), strict=True)
    about = {
        "groupings": [[*pair, len(list(several))] for pair, several in itertools.groupby(pairs)],
        "sha256": _digest(found.groups),
    }
    # One entry: safetensors writes several in any order, and the same should be the same bytes.
    with written(path), atomic_file(path) as temporary:
        safetensors.numpy.save_file(tensors, temporary, metadata={"about": json.dumps(about)})


def _digest(groups: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(groups, "<i8").tobytes()).hexdigest()


def read_group_accuracies(recording: Recording) -> GroupAccuracies:
    """The accuracies under groupings of every level that a recording keeps.

    Raises:
        RecordingError: it keeps none, or the file is truncated or foreign.
    """
    if not recording.has_group_accuracies:
        raise RecordingError(
            f"{recording.path}: keeps no accuracies under groupings of every level ({LEVELS_FILE})"
        )
    return open_group_accuracies(recording.file(LEVELS_FILE), recording.hierarchy)


def open_group_accuracies(path: Path, hierarchy: Hierarchy) -> GroupAccuracies:
    """The inverse of `write_group_accuracies`.

    Raises:
        RecordingError: the file is absent, truncated or foreign.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stored, levels, kinds = iter(tensors.pop("groups")), [], []
        groups: list[np.ndarray] = []
        for name, kind, number in about["groupings"]:
            level = hierarchy.level(name)
            if kind == RANDOM:
                groups.extend(random_groups(level, range(number)))
            elif kind == SEMANTIC:
                groups.extend([level.of_fine] * number)
            else:
                groups.extend([next(stored) for _ in range(number)])
            levels += [name] * number
            kinds += [kind] * number
        made = np.stack(groups).astype(np.int64)
        balanced = {place_of(n, "balanced"): _accuracies(x) for n, x in tensors.items()}
        if _digest(made) != about["sha256"] or {len(x) for x in balanced.values()} - {len(made)}:
            raise ValueError("groupings of another hierarchy, or accuracies of others")
    except (
        safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError, StopIteration
    ) as error:  # fmt: skip
        raise DamagedError(
            f"{path}: truncated or foreign ({error}); restore it from the repository"
        ) from error
    return GroupAccuracies(np.array(levels), np.array(kinds), made, balanced)


def _accuracies(stored: np.ndarray) -> np.ndarray:
    if stored.dtype != np.uint16:
        raise ValueError(f"accuracies of type {stored.dtype}; expected uint16")
    return (stored / np.float64(_ONE)).astype(np.float32)
