"""What the measures say of one snapshot: rows for `measures.csv`, tensors to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data import ImageSet
from ssl_companion.data.images import LabelSet
from ssl_companion.data.views import ViewConfig
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings.format import compact, key, quantise
from ssl_companion.recordings.level_rows import (
    Row,
    Target,
    class_rows,
    only_if_defined,
    probe_rows,
    target_rows,
)
from ssl_companion.recordings.measure_config import MeasureConfig
from ssl_companion.recordings.subsets import Subsets
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.extract import extract, extract_views
from ssl_companion.training.randomness import generator

SAMPLE = "sample"
EVERY_SAMPLE = "sample-all"


@dataclass
class Measured:
    """The yield of one snapshot."""

    rows: list[Row] = field(default_factory=list)
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
