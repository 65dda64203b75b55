"""What the measures say of one snapshot: rows for `measures.csv`, tensors to keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data import ImageSet, random_labels
from ssl_companion.data.hierarchy import RANDOM
from ssl_companion.data.images import balanced_indices
from ssl_companion.data.views import ViewConfig
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings.format import key, quantise
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.extract import extract, extract_views
from ssl_companion.training.randomness import generator

RANDOM_IMAGE = "random-image"
SAMPLE = "sample"
EVERY_SAMPLE = "sample-all"

Row = tuple[int, str, str, str, str, float, int]


@dataclass(frozen=True)
class MeasureConfig:
    """What to measure of a snapshot, and what to keep of it.

    Attributes:
        sample_images, sample_views, sample_fresh: the sample level: so many training images as
            classes, so many views of each to fit, so many fresh ones to test.
        every_sample_at: epochs at which all training images are classes, besides.
        every_sample_views: views of each image to fit then; one fresh view tests.
        probes: fit linear and kNN probes on the last layer.
        probe_layers_at: epochs at which they are fitted on every layer.
        keep: features kept: "all" layers, the "last", or "none".
        all_layers_at: with keep="all", the epochs that keep all layers (others keep the last);
            empty means every measured epoch.
        keep_train, keep_test: images of each class whose features are kept.
        keep_fresh: fresh views of each sample-level image that are kept.
        map_images, map_views: so many images, so many views of each, for the maps.
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
    keep: Literal["all", "last", "none"] = "none"
    all_layers_at: tuple[int, ...] = ()
    keep_train: int = 10
    keep_test: int = 20
    keep_fresh: int = 2
    map_images: int = 5
    map_views: int = 100
    weights: bool = False
    targets: bool = False
    against: str = ""

    def layers_kept(self, epoch: int, layers: tuple[str, ...]) -> tuple[str, ...]:
        """The layers whose features are kept at `epoch`."""
        if self.keep == "none":
            return ()
        if self.keep == "all" and (not self.all_layers_at or epoch in self.all_layers_at):
            return layers
        return layers[-1:]


@dataclass
class Measured:
    """The yield of one snapshot."""

    rows: list[Row] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Target:
    """Labels from elsewhere: int64 [N] of the training and of the test images."""

    level: str
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, eq=False)
class Subsets:
    """Which images are kept: indices into the training and the test set, fixed by seed 0."""

    train: np.ndarray
    test: np.ndarray
    sample: np.ndarray

    @classmethod
    def choose(cls, train: ImageSet, test: ImageSet, config: MeasureConfig) -> Subsets:
        per_class = -(-config.sample_images // train.hierarchy.level("fine").k)
        return cls(
            balanced_indices(train.fine, min(config.keep_train, _smallest_class(train))),
            balanced_indices(test.fine, min(config.keep_test, _smallest_class(test))),
            balanced_indices(train.fine, per_class, seed=1)[: config.sample_images],
        )


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


def label_levels(images: ImageSet) -> Iterator[tuple[str, np.ndarray]]:
    """Every level's labels [N] by name, then the controls: random groupings, random labels."""
    hierarchy = images.hierarchy
    for name in hierarchy.names:
        yield name, images.labels(name)
    for name in hierarchy.names[1:]:
        yield RANDOM + name, images.labels(RANDOM + name)
    # Of the images' order, which depends on their pixels alone; another draw for each split.
    seed = 0 if images.split == "train" else 1
    yield RANDOM_IMAGE, random_labels(len(images), hierarchy.level("fine").k, seed)


def class_rows(
    epoch: int, layer: str, x_train: Tensor, x_test: Tensor, train: ImageSet, test: ImageSet
) -> list[Row]:
    """NCC accuracy and CDNV of every level, neural collapse of the fine classes."""
    rows: list[Row] = []
    n, m = len(x_train), len(x_test)
    for (level, y), (_, z) in zip(label_levels(train), label_levels(test), strict=True):
        centroids = NearestCentroid().fit(x_train, y)
        rows.append((epoch, layer, level, "train", "ncc", centroids.score(x_train, y), n))
        rows.append((epoch, layer, level, "test", "ncc", centroids.score(x_test, z), m))
        rows.append((epoch, layer, level, "train", "cdnv", measures.cdnv(x_train, y), n))
    collapse = measures.neural_collapse(x_train, train.fine)
    for name in ("nc1", "nc2_equinorm", "nc2_equiangular"):
        rows.append((epoch, layer, "fine", "train", name, getattr(collapse, name), n))
    rank = measures.effective_rank(x_test)
    rows.append((epoch, layer, "all", "test", "effective_rank", rank, m))
    return rows


def probe_rows(
    epoch: int, layer: str, x_train: Tensor, x_test: Tensor, train: ImageSet, test: ImageSet
) -> list[Row]:
    """Linear and kNN accuracy at every level of the hierarchy (kNN: fine only)."""
    rows: list[Row] = []
    n, m = len(x_train), len(x_test)
    for level in train.hierarchy.names[:2]:
        y, z = train.labels(level), test.labels(level)
        probe = measures.LinearProbe().fit(x_train, y)
        rows.append((epoch, layer, level, "train", "linear", probe.score(x_train, y), n))
        rows.append((epoch, layer, level, "test", "linear", probe.score(x_test, z), m))
    knn = measures.WeightedKNN(k=min(200, n // 10)).fit(x_train, train.fine)
    rows.append((epoch, layer, "fine", "test", "knn", knn.score(x_test, test.fine), m))
    return rows


def target_rows(
    epoch: int, layer: str, x_train: Tensor, x_test: Tensor, target: Target
) -> list[Row]:
    """NCC and linear accuracy against labels that a teacher gave (absent classes left out)."""
    rows: list[Row] = []
    y, present = target.train, np.unique(target.train)
    known = np.isin(target.test, present)
    for measure, rule in (
        ("ncc", NearestCentroid().fit(x_train, y, classes=present)),
        ("linear", measures.LinearProbe().fit(x_train, y)),
    ):
        for split, x, labels in (
            ("train", x_train, y),
            ("test", x_test[known], target.test[known]),
        ):
            score = rule.score(x, labels)
            rows.append((epoch, layer, target.level, split, measure, score, len(labels)))
    return rows


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
        spread = measures.cdnv(flat_fit, y)
        out.rows.append((epoch, layer, SAMPLE, "train", "cdnv", spread, len(flat_fit)))
        if layer in kept and layer == backbone.layers[-1]:
            means = torch.from_numpy(centroids.centroids_).half()
            out.tensors[key(epoch, layer, "sample_means")] = means
            few = fresh[:, : config.keep_fresh].reshape(-1, x.shape[2])
            _keep(out, epoch, layer, "sample_views", few)
            _keep(
                out, epoch, layer, "map_views",
                fit[: config.map_images, : config.map_views].reshape(-1, x.shape[2]),
            )  # fmt: skip


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
