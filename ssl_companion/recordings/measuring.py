"""What the measures say of one snapshot: rows for `measures.csv`, tensors to keep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data import ImageSet
from ssl_companion.data.images import balanced_indices
from ssl_companion.data.views import ViewConfig
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings.format import key, quantise
from ssl_companion.recordings.level_rows import (
    Row,
    Target,
    class_rows,
    only_if_defined,
    probe_rows,
    target_rows,
)
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.extract import extract, extract_views
from ssl_companion.training.randomness import generator

SAMPLE = "sample"
EVERY_SAMPLE = "sample-all"
# Settings that came after the first recordings, and what they say where they ask for nothing.
_LATER: dict[str, tuple[Any, ...]] = {"keep_at": ((), []), "keep_samples": (0,)}

_LEAST = {"sample_images": 2, "keep_samples": 0} | dict.fromkeys(
    ("sample_views", "sample_fresh", "every_sample_views", "keep_train", "keep_test",
     "keep_fresh", "map_images", "map_views"), 1
)  # fmt: skip

Keep = Literal["all", "last", "none"]


@dataclass(frozen=True)
class MeasureConfig:
    """What to measure of a snapshot, and what to keep of it.

    Attributes:
        sample_images: the sample level: so many training images as classes.
        sample_views: so many views of each to fit.
        sample_fresh: so many fresh views of each to test.
        every_sample_at: epochs at which all training images are classes, besides.
        every_sample_views: views of each image to fit then; one fresh view tests.
        probes: fit linear and kNN probes on the last layer.
        probe_layers_at: epochs at which they are fitted on every layer.
        keep: features kept: "all" layers, the "last", or "none".
        keep_at: the epochs whose features are kept; empty means every measured epoch.
        all_layers_at: with keep="all", the epochs that keep all layers (others keep the last);
            empty means every epoch that is kept.
        keep_train: training images of each class whose features are kept.
        keep_test: test images of each class whose features are kept.
        keep_samples: so many of the sample level's images are kept (0: all of them).
        keep_fresh: fresh views of each of these that are kept.
        map_images: so many images are kept for the maps.
        map_views: so many views of each of these.
        weights: keep the last snapshot's weights.
        targets: keep the classifier's predictions of all images (a supervised run's), to be
            targets for others.
        against: name of a recording with targets, in the same folder; the last layer is then
            measured against them as against labels, at levels "teacher-<epoch>".
    """

    sample_images: int = 500
    sample_views: int = 100
    sample_fresh: int = 20
    every_sample_at: tuple[int, ...] = ()
    every_sample_views: int = 10
    probes: bool = True
    probe_layers_at: tuple[int, ...] = ()
    keep: Keep = "none"
    all_layers_at: tuple[int, ...] = ()
    keep_train: int = 10
    keep_test: int = 20
    keep_fresh: int = 2
    map_images: int = 5
    map_views: int = 100
    weights: bool = False
    targets: bool = False
    against: str = ""
    keep_at: tuple[int, ...] = ()
    keep_samples: int = 0

    def __post_init__(self) -> None:
        if self.keep not in get_args(Keep):
            raise ValueError(f"keep: {self.keep!r}; expected one of {get_args(Keep)}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)!r}; expected {least} or more")

    def settings(self) -> dict[str, Any]:
        """What tells two measurements apart; what was measured before a setting came counts on."""
        return _but_later_defaults(asdict(self))

    def is_that_of(self, recorded: dict[str, Any]) -> bool:
        """Whether a recording's `run["measured"]["config"]` has the same settings."""
        asked = json.loads(json.dumps(self.settings()))  # tuples become lists, as in its file
        return bool(asked == _but_later_defaults(recorded))

    def layers_kept(self, epoch: int, layers: tuple[str, ...]) -> tuple[str, ...]:
        """The layers whose features are kept at `epoch`."""
        if self.keep == "none" or (self.keep_at and epoch not in self.keep_at):
            return ()
        if self.keep == "all" and (not self.all_layers_at or epoch in self.all_layers_at):
            return layers
        return layers[-1:]


def _but_later_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k not in _LATER or v not in _LATER[k]}


@dataclass
class Measured:
    """The yield of one snapshot."""

    rows: list[Row] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Subsets:
    """Which images are kept: indices into the training and the test set, fixed by seed 0."""

    train: np.ndarray
    test: np.ndarray
    sample: np.ndarray

    @classmethod
    def choose(cls, train: ImageSet, test: ImageSet, config: MeasureConfig) -> Subsets:
        per_class = -(-config.sample_images // train.hierarchy.level("fine").k)
        per_class = min(per_class, _smallest_class(train))
        return cls(
            balanced_indices(train.fine, min(config.keep_train, _smallest_class(train))),
            balanced_indices(test.fine, min(config.keep_test, _smallest_class(test))),
            balanced_indices(train.fine, per_class, seed=1)[: config.sample_images],
        )

    def kept_samples(self, train: ImageSet, config: MeasureConfig) -> np.ndarray:
        """Positions in `sample` of the images that are kept, the classes balanced: int64."""
        if not 0 < config.keep_samples < len(self.sample):
            return np.arange(len(self.sample))
        per_class = -(-config.keep_samples // train.hierarchy.level("fine").k)
        few = balanced_indices(train.fine, min(per_class, _smallest_class(train)), seed=1)
        return np.flatnonzero(np.isin(self.sample, few))[: config.keep_samples]


def _smallest_class(images: ImageSet) -> int:
    return int(np.bincount(images.fine).min())


def measure_snapshot(
    backbone: Backbone,
    epoch: int,
    train: ImageSet,
    test: ImageSet,
    views: ViewConfig,
    config: MeasureConfig,
    precision: str = "bf16",
    targets: Sequence[Target] = (),
) -> Measured:
    """Measure one snapshot on the training set that made it and on the test set.

    Args:
        backbone: in evaluation mode, on the device that does the work.
        epoch: its number, for the rows.
        train, test: the image sets.
        views: how the sample level's views vary (the training views).
        config: what to measure and keep.
        precision: of the forward passes.
        targets: further labels of both sets, for the last layer.
    """
    out = Measured()
    subsets = Subsets.choose(train, test, config)
    features = {
        "train": extract(backbone, train.images, precision=precision),
        "test": extract(backbone, test.images, precision=precision),
    }
    kept = config.layers_kept(epoch, backbone.layers)
    for layer in backbone.layers:
        x_train, x_test = features["train"][layer], features["test"][layer]
        out.rows += class_rows(epoch, layer, x_train, x_test, train, test)
        last = layer == backbone.layers[-1]
        if config.probes and (last or epoch in config.probe_layers_at):
            out.rows += probe_rows(epoch, layer, x_train, x_test, train, test)
        if last:
            for target in targets:
                out.rows += target_rows(epoch, layer, x_train, x_test, target)
        if layer in kept:
            means = NearestCentroid().fit(x_train, train.fine).centroids_
            out.tensors[key(epoch, layer, "class_means")] = torch.from_numpy(means).half()
            _keep(out, epoch, layer, "train", x_train[subsets.train])
            _keep(out, epoch, layer, "test", x_test[subsets.test])
    del features
    _sample_level(out, backbone, epoch, train, subsets, views, config, precision)
    if epoch in config.every_sample_at:
        _every_sample(out, backbone, epoch, train, views, config, precision)
    return out


def _keep(out: Measured, epoch: int, layer: str, what: str, x: Tensor) -> None:
    codes, affine = quantise(x.cpu())
    out.tensors[key(epoch, layer, what)] = codes
    out.tensors[key(epoch, layer, what) + ".affine"] = affine


def _sample_level(
    out: Measured,
    backbone: Backbone,
    epoch: int,
    train: ImageSet,
    subsets: Subsets,
    views: ViewConfig,
    config: MeasureConfig,
    precision: str,
) -> None:
    """Every image a class of its own; the same views at every epoch."""
    total = config.sample_views + config.sample_fresh
    stream = generator(0, "sample-level")
    pictures = train.images[subsets.sample]
    by_layer = extract_views(backbone, pictures, total, views, stream, precision=precision)
    kept = config.layers_kept(epoch, backbone.layers)
    n = len(pictures)
    for layer, x in by_layer.items():
        fit, fresh = x[:, : config.sample_views], x[:, config.sample_views :]
        y = torch.arange(n).repeat_interleave(config.sample_views)
        z = torch.arange(n).repeat_interleave(config.sample_fresh)
        flat_fit, flat_fresh = fit.reshape(-1, x.shape[2]), fresh.reshape(-1, x.shape[2])
        centroids = NearestCentroid().fit(flat_fit, y)
        for split, points, labels in (("train", flat_fit, y), ("test", flat_fresh, z)):
            score = centroids.score(points, labels)
            out.rows.append((epoch, layer, SAMPLE, split, "ncc", score, len(points)))
        with only_if_defined():
            spread = measures.cdnv(flat_fit, y)
            out.rows.append((epoch, layer, SAMPLE, "train", "cdnv", spread, len(flat_fit)))
        if layer in kept and layer == backbone.layers[-1]:
            some = torch.from_numpy(subsets.kept_samples(train, config))
            means = torch.from_numpy(centroids.centroids_).half()[some]
            out.tensors[key(epoch, layer, "sample_means")] = means
            few = fresh[some, : config.keep_fresh].reshape(-1, x.shape[2])
            _keep(out, epoch, layer, "sample_views", few)
            many = fit[some[: config.map_images], : config.map_views].reshape(-1, x.shape[2])
            _keep(out, epoch, layer, "map_views", many)


def _every_sample(
    out: Measured,
    backbone: Backbone,
    epoch: int,
    train: ImageSet,
    views: ViewConfig,
    config: MeasureConfig,
    precision: str,
) -> None:
    """All N training images as N classes, on the last layer: one fresh view of each tests."""
    layer, n, v = backbone.layers[-1], len(train), config.every_sample_views
    stream = generator(0, "every-sample")
    centroids = NearestCentroid()
    fresh = []
    for start in range(0, n, 5000):  # all views of all images would not fit in memory
        pictures = train.images[start : start + 5000]
        x = extract_views(backbone, pictures, v + 1, views, stream, precision=precision)[layer]
        y = torch.arange(start, start + len(pictures)).repeat_interleave(v)
        centroids.partial_fit(x[:, :v].reshape(-1, x.shape[2]), y, classes=np.arange(n))
        fresh.append(x[:, v])
    score = centroids.score(torch.cat(fresh), torch.arange(n))
    out.rows.append((epoch, layer, EVERY_SAMPLE, "test", "ncc", score, n))
