"""Measure features at every level of their labels: rows of `measures.csv.gz`, and tensors to keep.

One network's snapshot, or features that somebody has already, at the levels of a hierarchy, at the
controls beside them (random groupings of the classes, labels in another order), at the sample level
(every image a class, its views the members), and against the targets of a teacher.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data import ImageSet
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.hierarchy import RANDOM, Hierarchy, Level
from ssl_companion.data.images import LabelSet, balanced_indices
from ssl_companion.data.loading import SPLITS
from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import ClassStatistics, NearestCentroid
from ssl_companion.recordings.config import MeasureConfig, Subsets
from ssl_companion.recordings.format import (
    EVERY_SAMPLE,
    HELD_OUT,
    RANDOM_IMAGE,
    SAMPLE,
    SEEN,
    EpochLayer,
    MeasureRow,
    key,
)
from ssl_companion.recordings.group_accuracies import (
    LevelGroupings,
    balanced_accuracies,
    class_products,
    products_of_maps,
)
from ssl_companion.recordings.quantised import compact, quantise
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.extract import extract, extract_views
from ssl_companion.training.runtime import generator

# Rows without epoch and layer, and without level: split, measure, value, n.
LevelRow = tuple[str, str, str, float, int]
LevelScore = tuple[str, str, float, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class Target:
    """Labels from elsewhere: int64 [N] of the training and of the test images."""

    level: str
    train: np.ndarray
    test: np.ndarray


@dataclass(kw_only=True)
class Measured:
    """The yield of one snapshot: rows of `measures.csv.gz`, tensors of `features.safetensors`, and
    accuracies of `levels.safetensors`, float [G] by epoch and layer."""

    rows: list[MeasureRow] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    balanced: dict[EpochLayer, np.ndarray] = field(default_factory=dict)

    def add(self, epoch: int, layer: str, rows: Iterable[LevelRow]) -> None:
        """Add the rows of an epoch and a layer."""
        self.rows += [(epoch, layer, *row) for row in rows]

    def keep(self, name: str, x: Tensor) -> None:
        """Keep features under their key, quantised."""
        self.tensors[name], self.tensors[name + ".affine"] = quantise(x.cpu())


def measure_snapshot(
    backbone: Backbone,
    epoch: int,
    train: ImageSet,
    test: ImageSet,
    views: ViewConfig,
    config: MeasureConfig,
    precision: str = "bf16",
    targets: Sequence[Target] = (),
    groupings: LevelGroupings | None = None,
    held_out: Sequence[int] = (),
    end: bool = False,
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
        groupings: under which balanced accuracies are taken of the last layer.
        held_out: the fine classes that it was trained without.
        end: whether it is the first or the last, of which they are taken of every layer and of the
            layers' maps.
    """
    subsets = Subsets.choose(train, test, config)
    out = measure_features(
        extract(backbone, train.images, precision=precision),
        extract(backbone, test.images, precision=precision),
        epoch,
        train,
        test,
        config,
        subsets,
        targets,
        groupings,
        held_out,
        end,
    )
    if groupings is not None and end:
        counts = np.bincount(train.fine)
        for name, products, gram in products_of_maps(backbone, train, test, precision):
            found = balanced_accuracies(products, gram, test.fine, counts, groupings.groups)
            out.balanced[epoch, name] = found
    total, pictures = config.sample_views + config.sample_fresh, train.images[subsets.sample]
    by_layer = extract_views(backbone, pictures, total, views, sample_stream(), precision=precision)
    measure_samples(out, by_layer, epoch, config, subsets)
    if epoch in config.every_sample_at:
        accuracy = _every_sample(backbone, train, views, config.every_sample_views, precision)
        row = (EVERY_SAMPLE, "test", "ncc", accuracy, len(train))
        out.add(epoch, backbone.layers[-1], [row])
    return out


def measure_features(
    x_train: dict[str, Tensor],
    x_test: dict[str, Tensor],
    epoch: int,
    train: LabelSet,
    test: LabelSet,
    config: MeasureConfig,
    subsets: Subsets,
    targets: Sequence[Target] = (),
    groupings: LevelGroupings | None = None,
    held_out: Sequence[int] = (),
    end: bool = False,
) -> Measured:
    """Measure the features of one epoch against every level of the labels.

    Args:
        x_train, x_test: by layer, first to last, float [N, D_layer] and [M, D_layer].
        epoch: its number, for the rows.
        train, test: the labels of the same N and M images.
        config: what to measure and keep.
        subsets: the images whose features are kept.
        targets: further labels of both sets, for the last layer.
        groupings: under which balanced accuracies are taken of the last layer.
        held_out: the fine classes that were not trained on; how well the last layer tells them
            apart is measured by itself.
        end: take balanced accuracies of every layer.

    Raises:
        ValueError: other layers or dimensions among the test features.
    """
    require_alike(x_train, x_test)
    out = Measured()
    layers = tuple(x_train)
    kept = config.layers_kept(epoch, layers)
    for layer in layers:
        pair = x_train[layer], x_test[layer]
        fine = AtLevel.of((pair[0], train.fine), (pair[1], test.fine))
        out.add(epoch, layer, _class_rows(fine, train, test))
        last = layer == layers[-1]
        if config.probes and (last or epoch in config.probe_layers_at):
            out.add(epoch, layer, _probe_rows(fine, train.hierarchy))
        for target in targets if last else ():
            out.add(epoch, layer, _target_rows(*pair, target))
        if last and len(held_out):
            out.add(epoch, layer, held_out_rows(fine, held_out))
        if groupings is not None and (last or end):
            means = fine.classes.means
            products = class_products(pair[1], means), class_products(means, means)
            counts = fine.classes.counts.cpu().numpy()
            found = balanced_accuracies(*products, test.fine, counts, groupings.groups)
            out.balanced[epoch, layer] = found
        if layer in kept:
            out.tensors[key(epoch, layer, "class_means")] = compact(fine.classes.means.cpu())
            out.keep(key(epoch, layer, "train"), pair[0][subsets.train])
            out.keep(key(epoch, layer, "test"), pair[1][subsets.test])
    return out


def require_alike(
    train: Mapping[str, Tensor],
    test: Mapping[str, Tensor],
    names: tuple[str, str] = ("x_train", "x_test"),
) -> None:
    """Make sure that features [N, D_layer] and [M, D_layer] are of the same layers and dimensions.

    Args:
        train, test: by layer.
        names: what they are called, for the message.

    Raises:
        ValueError: they are not.
    """
    wanted, found = ({k: x.shape[1] for k, x in one.items()} for one in (train, test))
    if found != wanted:
        raise ValueError(
            f"{names[1]}: dimensions {found}; expected {wanted}, by layer, those of {names[0]}"
        )


@dataclass(frozen=True, eq=False)
class AtLevel:
    """Training and test features under one labelling, and what is measured of them.

    Class means, their geometry and every rule are of the training features.

    Attributes:
        x, x_test: float [N, D] and [M, D].
        y, y_test: int64 [N] and [M], 0 to K-1; all of them are in `y`.
        classes: statistics of the classes in `y`.
    """

    x: Tensor
    y: np.ndarray
    x_test: Tensor
    y_test: np.ndarray
    classes: ClassStatistics

    @classmethod
    def of(
        cls,
        train: tuple[Tensor, np.ndarray],
        test: tuple[Tensor, np.ndarray],
        classes: ClassStatistics | None = None,
    ) -> AtLevel:
        """Features with their labels; `classes` where they are known without a look at them."""
        return cls(*train, *test, classes or ClassStatistics("full").update(*train))

    def grouped(self, level: Level) -> AtLevel:
        """The same features under labels that join classes."""
        y, z = level.labels(self.y), level.labels(self.y_test)
        return AtLevel(self.x, y, self.x_test, z, self.classes.grouped(level.of_fine))

    def rule(self, measure: str) -> NearestCentroid | measures.LinearProbe | measures.WeightedKNN:
        """The fitted classifier whose accuracy is "ncc", "linear" or "knn"."""
        if measure == "ncc":
            return NearestCentroid.from_centroids(self.classes.means)
        if measure == "linear":
            return measures.LinearProbe().fit(self.x, self.y)
        return measures.WeightedKNN(k=min(200, max(1, len(self.x) // 10))).fit(self.x, self.y)

    def accuracies(self, measure: str, splits: Sequence[str] = SPLITS) -> Iterator[LevelScore]:
        """Split, measure, accuracy and number of images."""
        rule = self.rule(measure)
        for split in splits:
            x, y = (self.x, self.y) if split == "train" else (self.x_test, self.y_test)
            yield split, measure, rule.score(x, y), len(y)

    @cached_property
    def collapse(self) -> measures.NeuralCollapse:
        """The signs of neural collapse, computed once for all of them."""
        return measures.neural_collapse_of(self.classes)


#: What is measured of the training features and their classes, by its name in `measures.csv.gz`. A
#: function raises `UndefinedMeasure` where features have no such value.
OF_CLASSES: dict[str, Callable[[AtLevel], float]] = {
    "cdnv": lambda here: measures.cdnv_of(here.classes),
    "nc1": lambda here: here.collapse.nc1,
    "nc2_equinorm": lambda here: here.collapse.nc2_equinorm,
    "nc2_equiangular": lambda here: here.collapse.nc2_equiangular,
}
#: What is measured of the test features [M, D] alone, without labels.
OF_FEATURES: dict[str, Callable[[Tensor], float]] = {
    "effective_rank": measures.effective_rank,
    "alpha_req": measures.alpha_req,
}


def levels_and_controls(hierarchy: Hierarchy, seed: int = 0) -> list[Level]:
    """The hierarchy's levels, then a random grouping in the place of each but the finest."""
    controls = (RANDOM + name for name in hierarchy.names[1:])
    return [hierarchy.level(name, seed) for name in (*hierarchy.names, *controls)]


def shuffled_labels(images: LabelSet) -> np.ndarray:
    """The images' own labels in another order, int64 [N], the control at the level "random-image":
    every class keeps its size, none is absent."""
    return np.random.default_rng([0, images.split == "train"]).permutation(images.fine)


def only_if_defined() -> contextlib.AbstractContextManager[None]:
    """Leave a row out where features have no such measure: a network that has collapsed gives
    means that coincide and rows of zeros."""
    return contextlib.suppress(UndefinedMeasure)


def _class_rows(fine: AtLevel, train: LabelSet, test: LabelSet) -> Iterator[LevelRow]:
    """NCC accuracy and CDNV of every level, the rest of the fine classes and of all images."""
    at = {level.name: fine.grouped(level) for level in levels_and_controls(train.hierarchy)}
    y, z = shuffled_labels(train), shuffled_labels(test)
    shuffled = ClassStatistics("full").update(fine.x, y)
    at[RANDOM_IMAGE] = AtLevel.of((fine.x, y), (fine.x_test, z), shuffled)
    n = len(fine.x)
    for name, here in at.items():
        yield from ((name, *score) for score in here.accuracies("ncc"))
        with only_if_defined():
            yield name, "train", "cdnv", OF_CLASSES["cdnv"](here), n
    for name, of_classes in OF_CLASSES.items():
        if name != "cdnv":
            with only_if_defined():
                yield "fine", "train", name, of_classes(fine), n
    yield from (("fine", *score) for score in _rates(fine.classes))
    of_shuffled = [score for score in _rates(shuffled) if score[1].startswith("rate_given")]
    yield from ((RANDOM_IMAGE, *score) for score in of_shuffled)
    for name, of_features in OF_FEATURES.items():
        with only_if_defined():
            yield "all", "test", name, of_features(fine.x_test), len(fine.x_test)


#: Variances of the noise of Gaussian rates, as shares of the features' variance.
RATE_NOISE = (0.01, 0.1, 1.0)


def _rates(classes: ClassStatistics) -> Iterator[LevelScore]:
    """Of the training split: rates "rate@<noise>", and "rate_given@<noise>" where the class is
    known (see `measures.conditional_rates`)."""
    n, k = int(classes.counts.sum()), len(classes.counts)
    if n <= k:
        return  # no spread within classes to speak of
    with only_if_defined():
        for noise in RATE_NOISE:
            total, given = measures.conditional_rates(classes, noise)
            yield "train", f"rate@{noise:g}", total, n
            yield "train", f"rate_given@{noise:g}", given, n


_FEW, _DRAWS = 5, 50


def held_out_rows(fine: AtLevel, held_out: Sequence[int]) -> Iterator[LevelRow]:
    """NCC accuracy of test images among the classes held out, and among the others.

    Among those held out by the means of all their training images ("ncc") and of 5 of each class
    ("few5": the mean over 50 draws, always the same).
    """
    out = np.isin(np.arange(len(fine.classes.counts)), held_out)
    for level, some in ((HELD_OUT, out), (SEEN, ~out)):
        rows, test = some[fine.y], some[fine.y_test]
        number = np.cumsum(some) - 1  # of the classes, without gaps
        y, z = number[fine.y[rows]], number[fine.y_test[test]]
        x, x_test = fine.x[torch.from_numpy(rows)], fine.x_test[torch.from_numpy(test)]
        yield level, "test", "ncc", NearestCentroid().fit(x, y).score(x_test, z), len(z)
        if level == HELD_OUT:
            each = min(_FEW, int(np.bincount(y).min()))
            draws = [balanced_indices(y, each, seed) for seed in range(_DRAWS)]
            scores = [NearestCentroid().fit(x[d], y[d]).score(x_test, z) for d in draws]
            yield level, "test", f"few{_FEW}", float(np.mean(scores)), len(z)


def measure_step(
    backbone: Backbone,
    step: int,
    train: ImageSet,
    test: ImageSet,
    views: ViewConfig,
    config: MeasureConfig,
    precision: str = "bf16",
) -> Measured:
    """Measure a snapshot between epochs: NCC accuracy of the last layer at every level of the
    hierarchy and at the sample level. Arguments as for `measure_snapshot`."""
    out, layer = Measured(), backbone.layers[-1]
    subsets = Subsets.choose(train, test, config)
    x, x_test = (
        extract(backbone, images.images, precision=precision)[layer] for images in (train, test)
    )
    fine = AtLevel.of(
        (x, train.fine), (x_test, test.fine), ClassStatistics("none").update(x, train.fine)
    )
    for level in train.hierarchy.levels:
        scores = fine.grouped(level).accuracies("ncc", ["test"])
        out.add(step, layer, ((level.name, *score) for score in scores))
    total, pictures = config.sample_views + config.sample_fresh, train.images[subsets.sample]
    by_layer = extract_views(backbone, pictures, total, views, sample_stream(), precision=precision)
    samples = Measured()
    only_measure = replace(config, keep="none")
    measure_samples(samples, {layer: by_layer[layer]}, step, only_measure, subsets)
    out.rows += [row for row in samples.rows if row[3:5] == ("test", "ncc")]
    return out


def _probe_rows(fine: AtLevel, hierarchy: Hierarchy) -> Iterator[LevelRow]:
    """Linear and kNN accuracy at the two finest levels of the hierarchy (kNN: the finest)."""
    for level in hierarchy.levels[:2]:
        scores = fine.grouped(level).accuracies("linear")
        yield from ((level.name, *score) for score in scores)
    with only_if_defined():
        yield from (("fine", *score) for score in fine.accuracies("knn", ["test"]))


def _target_rows(x_train: Tensor, x_test: Tensor, target: Target) -> Iterator[LevelRow]:
    """NCC and linear accuracy against labels that a teacher gave (absent classes left out)."""
    # A teacher may never predict some class: what it does predict is numbered without gaps.
    present, y = np.unique(target.train, return_inverse=True)
    known = np.isin(target.test, present)
    z = np.searchsorted(present, target.test[known])
    here = AtLevel.of((x_train, y), (x_test[known], z))
    for measure in ("ncc", "linear"):
        yield from ((target.level, *score) for score in here.accuracies(measure))


def sample_stream() -> torch.Generator:
    """What draws the views of the sample level: the same views at every epoch."""
    return generator(0, "sample-level")


def measure_samples(
    out: Measured,
    by_layer: dict[str, Tensor],
    epoch: int,
    config: MeasureConfig,
    subsets: Subsets,
) -> None:
    """Add the sample level to `out`: every image a class of its own.

    Args:
        out: gets the rows, and the last layer's features where they are kept.
        by_layer: of every image so many views to fit, then so many fresh ones to test, as
            `config` says: float [images, views, D_layer].
        epoch: its number.
        config: what to measure and keep.
        subsets: the images whose features are kept.
    """
    layers = tuple(by_layer)
    kept = config.layers_kept(epoch, layers)
    n, v = len(by_layer[layers[-1]]), config.sample_views
    y = np.arange(n).repeat(v)
    z = np.arange(n).repeat(config.sample_fresh)
    for layer, x in by_layer.items():
        fit, fresh = x[:, :v], x[:, v:]
        flat, flat_fresh = fit.reshape(-1, x.shape[2]), fresh.reshape(-1, x.shape[2])
        here = AtLevel.of((flat, y), (flat_fresh, z), ClassStatistics("full").update(flat, y))
        out.add(epoch, layer, ((SAMPLE, *score) for score in here.accuracies("ncc")))
        with only_if_defined():
            spread = OF_CLASSES["cdnv"](here)
            out.rows.append((epoch, layer, SAMPLE, "train", "cdnv", spread, len(flat)))
        out.add(epoch, layer, ((SAMPLE, *score) for score in _rates(here.classes)))
        if layer in kept and layer == layers[-1]:
            some = torch.from_numpy(subsets.kept)
            means = here.classes.means.cpu()[some]
            out.tensors[key(epoch, layer, "sample_means")] = compact(means)
            few = fresh[some, : config.keep_fresh].reshape(-1, x.shape[2])
            out.keep(key(epoch, layer, "sample_views"), few)
            many = fit[some[: config.map_images], : config.map_views].reshape(-1, x.shape[2])
            out.keep(key(epoch, layer, "map_views"), many)


def _every_sample(
    backbone: Backbone, train: ImageSet, views: ViewConfig, per_image: int, precision: str
) -> float:
    """NCC accuracy, on the last layer, of one fresh view of each of N images among the means of
    some views of each: all images as N classes."""
    layer, n = backbone.layers[-1], len(train)
    stream = generator(0, "every-sample")
    centroids = NearestCentroid()
    fresh = []
    for start in range(0, n, 5000):  # all views of all images would not fit in memory
        pictures = train.images[start : start + 5000]
        x = extract_views(backbone, pictures, per_image + 1, views, stream, precision=precision)
        fit = x[layer][:, :per_image]
        y = torch.arange(start, start + len(pictures)).repeat_interleave(per_image)
        centroids.partial_fit(fit.reshape(-1, fit.shape[2]), y, classes=np.arange(n))
        fresh.append(x[layer][:, per_image].clone())  # a view would keep all of them
    return centroids.score(torch.cat(fresh), torch.arange(n))
