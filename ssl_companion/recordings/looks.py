"""Groups of classes that look alike, for recordings that were measured without them.

They depend on the training images alone, so one small file beside the recordings serves all runs
that were trained on these images. That of the book, `book/recordings/looks.safetensors`, was made
by

    write_looks(Path("book/recordings/looks.safetensors"), looks_of_levels(load("cifar100")))

    looks.safetensors   "<level>/<kind>" uint8 [G, K]: the group of every fine class
                        metadata "about": JSON with the fingerprint of the training images
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch

from ssl_companion.data import ImageSet
from ssl_companion.io.atomic import atomic_file
from ssl_companion.measures.kmeans import balanced_kmeans
from ssl_companion.recordings.format import RecordingError, written
from ssl_companion.recordings.groupings import STARTS, looks
from ssl_companion.recordings.reader import Recording

LOOKS_FILE = "looks.safetensors"
COMPONENTS = 250  # the width of the full-size networks, as in their groupings.safetensors


@dataclass(frozen=True, eq=False)
class Looks:
    """Groupings of the K fine classes by looks, of the sizes of every upper level.

    Attributes:
        fingerprint: of the training images.
        groups: by level and kind ("pixels", "whitened pixels"): int64 [G, K].
    """

    fingerprint: str
    groups: Mapping[tuple[str, str], np.ndarray]


def looks_of_levels(train: ImageSet, components: int = COMPONENTS, starts: int = STARTS) -> Looks:
    """Balanced k-means of the classes' mean images, at every level above the fine one.

    Args:
        train: the training images; their labels only say which are averaged.
        components: see `groupings.looks`.
        starts: groupings of a kind, each the best of some starts of its own.
    """
    groups = {
        (level.name, kind): np.stack([
            balanced_kmeans(means, level.sizes.tolist(), seed=seed) for seed in range(starts)
        ])
        for kind, means in looks(train, components).items()
        for level in train.hierarchy.levels[1:]
    }  # fmt: skip
    return Looks(train.fingerprint, groups)


def write_looks(path: Path, found: Looks) -> None:
    """Write `found`, whole or not at all."""
    tensors = {
        "/".join(name): torch.from_numpy(groups.astype(np.uint8))
        for name, groups in found.groups.items()
    }
    about = {"about": json.dumps({"fingerprint": found.fingerprint})}
    with written(path), atomic_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=about)


def looks_beside(recording: Recording) -> Mapping[tuple[str, str], np.ndarray]:
    """The groupings by looks beside a recording, or above its folder; {} for none of its images.

    Raises:
        RecordingError: the file is truncated or foreign.
    """
    for folder in recording.path.absolute().parents[:2]:
        path = folder / LOOKS_FILE
        if path.exists():
            found = _read(path, path.stat().st_mtime_ns)
            own = recording.run["data"].get("train_fingerprint")
            return found.groups if found.fingerprint == own else {}
    return {}


@functools.lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Looks:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, x in stored.items():
            if x.dtype != torch.uint8 or x.ndim != 2:
                raise ValueError(
                    f"{name}: {x.dtype} of shape {list(x.shape)}; expected bytes [G, K]"
                )
        groups = {
            (name.partition("/")[0], name.partition("/")[2]): x.long().numpy()
            for name, x in stored.items()
        }
        return Looks(about["fingerprint"], groups)
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RecordingError(
            f"{path}: truncated or foreign ({error}); restore it from the repository"
        ) from error
