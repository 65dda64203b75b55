"""Rows for `measures.csv`: every measure of features against every level of labels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data.hierarchy import RANDOM
from ssl_companion.data.images import LabelSet
from ssl_companion.measures import NearestCentroid

RANDOM_IMAGE = "random-image"

#: epoch, layer, level, split, measure, value, n
Row = tuple[int, str, str, str, str, float, int]


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
) -> list[Row]:
    """NCC accuracy and CDNV of every level, neural collapse of the fine classes."""
    rows: list[Row] = []
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
    means that coincide and rows of zeros. Features and labels are known to be good here, as NCC
    accuracy, which is always defined, has been computed of them."""
    return contextlib.suppress(ValueError)


def probe_rows(
    epoch: int, layer: str, x_train: Tensor, x_test: Tensor, train: LabelSet, test: LabelSet
) -> list[Row]:
    """Linear and kNN accuracy at the two finest levels of the hierarchy (kNN: the finest)."""
    rows: list[Row] = []
    n, m = len(x_train), len(x_test)
    for level in train.hierarchy.names[:2]:
        y, z = train.labels(level), test.labels(level)
        probe = measures.LinearProbe().fit(x_train, y)
        rows.append((epoch, layer, level, "train", "linear", probe.score(x_train, y), n))
        rows.append((epoch, layer, level, "test", "linear", probe.score(x_test, z), m))
    with only_if_defined():
        knn = measures.WeightedKNN(k=min(200, n // 10)).fit(x_train, train.fine)
        rows.append((epoch, layer, "fine", "test", "knn", knn.score(x_test, test.fine), m))
    return rows


def target_rows(
    epoch: int, layer: str, x_train: Tensor, x_test: Tensor, target: Target
) -> list[Row]:
    """NCC and linear accuracy against labels that a teacher gave (absent classes left out)."""
    rows: list[Row] = []
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
