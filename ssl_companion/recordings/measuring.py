"""Rows for `measures.csv`: every measure of features against every level of labels.

What the measures say of one snapshot: rows for `measures.csv`, tensors to keep.

Rows of what a recording keeps, measured on the quantised features themselves.

Whoever measures a recording's features again gets these numbers to the last digit, and sees
beside them what the whole data set gave.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data import ImageSet
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.hierarchy import RANDOM, Hierarchy, Level
from ssl_companion.data.images import LabelSet
from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings.config import MeasureConfig, Subsets
from ssl_companion.recordings.format import compact, held, key, quantise
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.extract import extract, extract_views
from ssl_companion.training.runtime import generator

RANDOM_IMAGE = "random-image"

#: epoch, layer, level, split, measure, value, n
MeasureRow = tuple[int, str, str, str, str, float, int]


@dataclass(frozen=True, eq=False)
class Target:
    """Labels from elsewhere: int64 [N] of the training and of the test images."""

    level: str
    train: np.ndarray
    test: np.ndarray


def label_levels(images: LabelSet) -> Iterator[tuple[str, np.ndarray]]:
    """Every level's labels [N] by name, then the controls: random groupings, random labels."""
    hierarchy = images.hierarchy
    for name in hierarchy.names:
        yield name, images.labels(name)
    for name in hierarchy.names[1:]:
        yield RANDOM + name, images.labels(RANDOM + name)
    # The images' own labels in another order: every class keeps its size, none is absent.
    rng = np.random.default_rng([0, images.split == "train"])
    yield RANDOM_IMAGE, rng.permutation(images.fine)


def class_rows(
    epoch: int, layer: str, x_train: Tensor, x_test: Tensor, train: LabelSet, test: LabelSet
) -> list[MeasureRow]:
    """NCC accuracy and CDNV of every level, neural collapse of the fine classes."""
    rows: list[MeasureRow] = []
    n, m = len(x_train), len(x_test)
    fine = measures.ClassStatistics("full").update(x_train, train.fine)
    for (level, y), (_, z) in zip(label_levels(train), label_levels(test), strict=True):
        if level == RANDOM_IMAGE:
            classes = measures.ClassStatistics("trace").update(x_train, y)
        else:
            classes = fine.grouped(train.hierarchy.level(level).of_fine)
        centroids = NearestCentroid.from_centroids(classes.means)
        rows.append((epoch, layer, level, "train", "ncc", centroids.score(x_train, y), n))
        rows.append((epoch, layer, level, "test", "ncc", centroids.score(x_test, z), m))
        with only_if_defined():
            rows.append((epoch, layer, level, "train", "cdnv", measures.cdnv_of(classes), n))
    with only_if_defined():
        collapse = measures.neural_collapse_of(fine)
        for name in ("nc1", "nc2_equinorm", "nc2_equiangular"):
            rows.append((epoch, layer, "fine", "train", name, getattr(collapse, name), n))
    with only_if_defined():
        rank = measures.effective_rank(x_test)
        rows.append((epoch, layer, "all", "test", "effective_rank", rank, m))
    return rows


def only_if_defined() -> contextlib.AbstractContextManager[None]:
    """Leave a row out where features have no such measure: a network that has collapsed gives
    means that coincide and rows of zeros."""
    return contextlib.suppress(UndefinedMeasure)


def probe_rows(
    epoch: int, layer: str, x_train: Tensor, x_test: Tensor, train: LabelSet, test: LabelSet
) -> list[MeasureRow]:
    """Linear and kNN accuracy at the two finest levels of the hierarchy (kNN: the finest)."""
    rows: list[MeasureRow] = []
    n, m = len(x_train), len(x_test)
    for level in train.hierarchy.names[:2]:
        y, z = train.labels(level), test.labels(level)
        probe = measures.LinearProbe().fit(x_train, y)
        rows.append((epoch, layer, level, "train", "linear", probe.score(x_train, y), n))
        rows.append((epoch, layer, level, "test", "linear", probe.score(x_test, z), m))
    with only_if_defined():
        knn = measures.WeightedKNN(k=max(1, min(200, n // 10))).fit(x_train, train.fine)
        rows.append((epoch, layer, "fine", "test", "knn", knn.score(x_test, test.fine), m))
    return rows


def target_rows(
    epoch: int, layer: str, x_train: Tensor, x_test: Tensor, target: Target
) -> list[MeasureRow]:
    """NCC and linear accuracy against labels that a teacher gave (absent classes left out)."""
    rows: list[MeasureRow] = []
    # A teacher may never predict some class: what it does predict is numbered without gaps.
    present, y = np.unique(target.train, return_inverse=True)
    known = np.isin(target.test, present)
    z = np.searchsorted(present, target.test[known])
    for measure, rule in (
        ("ncc", NearestCentroid().fit(x_train, y)),
        ("linear", measures.LinearProbe().fit(x_train, y)),
    ):
        for split, x, labels in (("train", x_train, y), ("test", x_test[known], z)):
            score = rule.score(x, labels)
            rows.append((epoch, layer, target.level, split, measure, score, len(labels)))
    return rows


SAMPLE = "sample"
EVERY_SAMPLE = "sample-all"


@dataclass
class Measured:
    """The yield of one snapshot."""

    rows: list[MeasureRow] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)


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
    out = measure_features(
        extract(backbone, train.images, precision=precision),
        extract(backbone, test.images, precision=precision),
        epoch,
        train,
        test,
        config,
        targets,
    )
    subsets = Subsets.choose(train, test, config)
    total = config.sample_views + config.sample_fresh
    stream, pictures = sample_stream(), train.images[subsets.sample]
    by_layer = extract_views(backbone, pictures, total, views, stream, precision=precision)
    measure_samples(out, by_layer, epoch, subsets.kept_samples(train, config), config)
    if epoch in config.every_sample_at:
        _every_sample(out, backbone, epoch, train, views, config, precision)
    return out


def measure_features(
    x_train: dict[str, Tensor],
    x_test: dict[str, Tensor],
    epoch: int,
    train: LabelSet,
    test: LabelSet,
    config: MeasureConfig,
    targets: Sequence[Target] = (),
) -> Measured:
    """Measure the features of one epoch against every level of the labels.

    Args:
        x_train, x_test: by layer, first to last, float [N, D_layer] and [M, D_layer].
        epoch: its number, for the rows.
        train, test: the labels of the same N and M images.
        config: what to measure and keep.
        targets: further labels of both sets, for the last layer.
    """
    out = Measured()
    subsets = Subsets.choose(train, test, config)
    layers = tuple(x_train)
    kept = config.layers_kept(epoch, layers)
    for layer in layers:
        pair = x_train[layer], x_test[layer]
        out.rows += class_rows(epoch, layer, *pair, train, test)
        last = layer == layers[-1]
        if config.probes and (last or epoch in config.probe_layers_at):
            out.rows += probe_rows(epoch, layer, *pair, train, test)
        if last:
            for target in targets:
                out.rows += target_rows(epoch, layer, *pair, target)
        if layer in kept:
            means = NearestCentroid().fit(pair[0], train.fine).centroids_
            out.tensors[key(epoch, layer, "class_means")] = compact(torch.from_numpy(means))
            _keep(out, epoch, layer, "train", pair[0][subsets.train])
            _keep(out, epoch, layer, "test", pair[1][subsets.test])
    return out


def _keep(out: Measured, epoch: int, layer: str, what: str, x: Tensor) -> None:
    codes, affine = quantise(x.cpu())
    out.tensors[key(epoch, layer, what)] = codes
    out.tensors[key(epoch, layer, what) + ".affine"] = affine


def sample_stream() -> torch.Generator:
    """What draws the views of the sample level: the same views at every epoch."""
    return generator(0, "sample-level")


def measure_samples(
    out: Measured,
    by_layer: dict[str, Tensor],
    epoch: int,
    kept_samples: np.ndarray,
    config: MeasureConfig,
) -> None:
    """Add the sample level to `out`: every image a class of its own.

    Args:
        out: gets the rows, and the last layer's features where they are kept.
        by_layer: of every image so many views to fit, then so many fresh ones to test, as
            `config` says: float [images, views, D_layer].
        epoch: its number.
        kept_samples: positions of the images whose features are kept.
        config: what to measure and keep.
    """
    layers = tuple(by_layer)
    kept = config.layers_kept(epoch, layers)
    n = len(by_layer[layers[-1]])
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
        if layer in kept and layer == layers[-1]:
            some = torch.from_numpy(kept_samples)
            means = torch.from_numpy(centroids.centroids_)[some]
            out.tensors[key(epoch, layer, "sample_means")] = compact(means)
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


def group_means(means: np.ndarray, counts: np.ndarray, level: Level) -> np.ndarray:
    """Class means of a level from those of the fine classes, weighted by their counts.

    Args:
        means: float [K_fine, D].
        counts: int [K_fine], the images behind each mean.
        level: groups the fine classes.

    Returns:
        float64 [K, D].
    """
    weight = np.zeros((level.k, len(means)))
    weight[level.of_fine, np.arange(len(means))] = counts
    grouped: np.ndarray = weight @ means.astype(np.float64) / weight.sum(axis=1, keepdims=True)
    return grouped


def measure_kept(
    means: np.ndarray, counts: np.ndarray, x: Tensor, fine: np.ndarray, level: Level
) -> float:
    """NCC accuracy of features [N, D] at a level, by the class means of the whole training set."""
    rule = NearestCentroid.from_centroids(group_means(means, counts, level))
    return rule.score(x, level.labels(fine))


def kept_levels(hierarchy: Hierarchy) -> list[Level]:
    """The hierarchy's levels and the random control of each but the finest."""
    names = hierarchy.names
    return [hierarchy.level(name) for name in (*names, *(f"random-{n}" for n in names[1:]))]


def subset_rows(
    tensors: dict[str, Tensor], train: LabelSet, test: LabelSet, subsets: Subsets
) -> list[MeasureRow]:
    """NCC rows with the splits "subset-train" and "subset-test" for all kept features."""
    rows: list[MeasureRow] = []
    counts = np.bincount(train.fine, minlength=train.hierarchy.level("fine").k)
    fine = {"train": train.fine[subsets.train], "test": test.fine[subsets.test]}
    places = [name.split("/")[:2] for name in tensors if name.endswith("/class_means")]
    for epoch, layer in sorted((int(e), layer) for e, layer in places):
        means = held(tensors, key(epoch, layer, "class_means")).numpy()
        for split, y in fine.items():
            name = key(epoch, layer, split)
            if name not in tensors:
                continue
            x = held(tensors, name)
            for level in kept_levels(train.hierarchy):
                score = measure_kept(means, counts, x, y, level)
                rows.append((epoch, layer, level.name, f"subset-{split}", "ncc", score, len(y)))
        name = key(epoch, layer, "sample_means")
        if name in tensors:
            rule = NearestCentroid.from_centroids(held(tensors, name))
            x = held(tensors, key(epoch, layer, "sample_views"))
            n = len(tensors[name])
            y = torch.arange(n).repeat_interleave(len(x) // n)
            rows.append((epoch, layer, "sample", "subset-test", "ncc", rule.score(x, y), len(x)))
    return rows
