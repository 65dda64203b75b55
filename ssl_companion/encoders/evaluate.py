"""Measure your own encoder with the measures of this book: `measure_encoder`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data import Hierarchy, ImageSet
from ssl_companion.encoders.inputs import (
    Labels,
    check_same_classes,
    images_and_labels,
)
from ssl_companion.encoders.runner import Encoder, Runner
from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import Interval, NearestCentroid

MEASURES = ("ncc", "cdnv", "nc1", "effective_rank", "linear", "knn")
#: Measured when they are asked for: how far the centred class means are from equal lengths, and
#: their cosines from -1/(K-1).
NC2 = ("nc2_equinorm", "nc2_equiangular")
PERMUTED = "permuted"
_RANK = "effective_rank"
_COLUMNS = ["layer", "level", "split", "measure", "value", "low", "high", "n"]


def measure_encoder(
    encoder: Encoder | None,
    images: ImageSet | np.ndarray | Tensor,
    labels: Labels | None = None,
    *,
    test_images: ImageSet | np.ndarray | Tensor | None = None,
    test_labels: Labels | None = None,
    hierarchy: Hierarchy | None = None,
    which: str | Sequence[str] = MEASURES,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    outputs: Callable[[Any], Any] | None = None,
    batch: int = 256,
    device: torch.device | str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """How clustered an encoder's features are: a tidy table, one row a measure.

    Class means, CDNV, NC1 and probes are of the training images, accuracies of the test images.
    Every measure is that of `ssl_companion.measures`, as in the recordings of the book. The
    level "permuted" is the control: the training labels of the finest level in another order.

    Args:
        encoder: a module (put into evaluation mode for the call, and found on its device) or
            any function that takes float images [n, 3, H, W] and returns vectors [n, D], maps
            [n, D, h, w] (their spatial mean is taken) or a dictionary of such by layer; None
            when `images` are features [N, D] already. A function around a module hides the
            module's mode and device: hand over the module, and `outputs`.
        images: an `ImageSet`, or an array or tensor. Bytes become
            `augmentation.normalise(x / 255)`; floats keep their values, in the precision of
            the module's parameters (float32 for a function).
        labels: integers [N], 0 to K-1; an `ImageSet` brings its own.
        test_images, test_labels: held-out ones; None splits `images` in halves, class by class.
        hierarchy: upper levels of the labels; an `ImageSet` brings that of its own labels. Their
            random groupings are measured besides (NCC accuracy only).
        which: of `MEASURES` and `NC2`; one name or several.
        preprocess: in place of the rule for `images`, on the device, batch by batch.
        outputs: picks from what the encoder returns for a batch what to measure, as in
            `lambda out: out.last_hidden_state[:, 0]`.
        batch: images at a time.
        device: where to run; None takes that of the module's parameters, or the CPU.
        seed: of the split, the permuted labels, the random groupings and the bootstrap.

    Returns:
        layer, level, split, measure, value, low, high, n. Accuracies are fractions; low and
        high (95%, bootstrap over images) are NaN where there is no interval. A measure that is
        not defined, as CDNV of an encoder that says the same of every image, is NaN.

    Raises:
        ValueError: bad images, labels or outputs of the encoder; the message says which.
    """
    which = (which,) if isinstance(which, str) else tuple(which)
    if unknown := sorted(set(which) - {*MEASURES, *NC2}):
        known = ", ".join((*MEASURES, *NC2))
        raise ValueError(f"which: {unknown[0]!r}; expected some of {known}")
    if batch < 1:
        raise ValueError(f"batch: {batch!r}; expected 1 or more")
    if isinstance(images, ImageSet) and labels is None:
        hierarchy = hierarchy or images.hierarchy  # which its own labels have
    x, y = images_and_labels(images, labels, "")
    if test_images is None:
        if test_labels is not None:
            raise ValueError("test_labels: given without test_images; expected both or neither")
        fit, held = halves(y, seed)
        x, y, x_test, y_test = x[fit], y[fit], x[held], y[held]
    else:
        x_test, y_test = images_and_labels(test_images, test_labels, "test_")
    check_same_classes(y, y_test, hierarchy)
    run = Runner(encoder, preprocess, outputs, batch, device)
    train, test = run(x, "images"), run(x_test, "test_images")
    rows: list[dict[str, object]] = []
    for layer in train:
        if _RANK in which:  # no labels in it
            rows += _rows(layer, "all", (train[layer], y), (test[layer], y_test), [_RANK], seed)
        for level, (a, b, control) in _levels(y, y_test, hierarchy, seed).items():
            asked = [m for m in which if m == "ncc" or not (control or m == _RANK)]
            rows += _rows(layer, level, (train[layer], a), (test[layer], b), asked, seed)
    return pd.DataFrame(rows, columns=_COLUMNS)


def halves(labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two halves of every class, drawn at random; the odd one goes to the first.

    Raises:
        ValueError: a class with a single image.
    """
    rng, first, second = np.random.default_rng(seed), [], []
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        if len(own) < 2:
            raise ValueError(
                f"labels: class {label} has a single image; expected two or more of each, "
                "or test_images"
            )
        cut = (len(own) + 1) // 2
        first.append(own[:cut])
        second.append(own[cut:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def _levels(
    y: np.ndarray, z: np.ndarray, hierarchy: Hierarchy | None, seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray, bool]]:
    """Training and test labels by level, and whether it is a control."""
    if hierarchy is None:
        found = {"labels": (y, z, False)}
    else:
        found = {}
        for name in hierarchy.names:
            level = hierarchy.level(name)
            found[name] = level.labels(y), level.labels(z), False
        for name in hierarchy.names[1:]:
            level = hierarchy.level(f"random-{name}", seed)
            found[level.name] = level.labels(y), level.labels(z), True
    found[PERMUTED] = np.random.default_rng(seed).permutation(y), z, True
    return found


Labelled = tuple[Tensor, np.ndarray]


def _rows(
    layer: str, level: str, train: Labelled, test: Labelled, which: Sequence[str], seed: int
) -> Iterator[dict[str, object]]:
    (x, y), (x_test, z) = train, test

    def accuracy(rule: Any) -> Interval:
        guess = rule.fit(x, y).predict(x_test)
        return measures.bootstrap_accuracy(guess, z, seed=seed)

    collapse = functools.cache(lambda: measures.neural_collapse(x, y))
    k = min(200, max(1, len(x) // 10))
    found: dict[str, tuple[str, Callable[[], Interval | float]]] = {
        "ncc": ("test", lambda: accuracy(NearestCentroid())),
        "cdnv": ("train", lambda: measures.cdnv(x, y)),
        "nc1": ("train", lambda: collapse().nc1),
        "nc2_equinorm": ("train", lambda: collapse().nc2_equinorm),
        "nc2_equiangular": ("train", lambda: collapse().nc2_equiangular),
        "effective_rank": ("test", lambda: measures.effective_rank(x_test)),
        "linear": ("test", lambda: accuracy(measures.LinearProbe())),
        "knn": ("test", lambda: accuracy(measures.WeightedKNN(k=k))),
    }
    for name in which:
        split, compute = found[name]
        value = _defined(compute)
        if isinstance(value, float):
            value = Interval(value, float("nan"), float("nan"))
        n = len(x) if split == "train" else len(x_test)
        yield {"layer": layer, "level": level, "split": split, "measure": name,
               "value": value.value, "low": value.low, "high": value.high, "n": n}  # fmt: skip


def _defined(compute: Callable[[], Interval | float]) -> Interval | float:
    """The measure, or NaN where features have none: means that coincide, rows of zeros."""
    try:
        return compute()
    except UndefinedMeasure:
        return float("nan")
