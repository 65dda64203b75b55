"""Measure your own encoder with the measures of this book: `measure_encoder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data import Hierarchy
from ssl_companion.encoders.inputs import (
    Images,
    Labelled,
    Labels,
    check_same_classes,
    halves,
    images_and_labels,
)
from ssl_companion.encoders.runner import Encoder, Runner
from ssl_companion.measures import Interval
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import RANDOM_IMAGE
from ssl_companion.recordings.measuring import (
    OF_CLASSES,
    OF_FEATURES,
    AtLevel,
    levels_and_controls,
    only_if_defined,
)

MEASURES = ("ncc", "cdnv", "nc1", "effective_rank", "linear", "knn")
#: Measured when they are asked for, as NC2: how far the centred class means are from equal lengths
#: ("nc2_equinorm"), and their cosines from -1/(K-1) ("nc2_equiangular").
FURTHER_MEASURES = tuple(name for name in (*OF_CLASSES, *OF_FEATURES) if name not in MEASURES)
PERMUTED = "permuted"
_ACCURACIES = ("ncc", "linear", "knn")
_TESTED = (*_ACCURACIES, *OF_FEATURES)
_COLUMNS = ["layer", "level", "split", "measure", "value", "low", "high", "n"]


def measure_encoder(
    encoder: Encoder | None,
    images: Images | Labelled,
    labels: Labels | None = None,
    *,
    test_images: Images | Labelled | None = None,
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

    Example:
        >>> rng, y = np.random.default_rng(0), np.repeat([0, 1, 2], 40)
        >>> features = rng.normal(size=(120, 8)) + 9 * np.eye(8)[y]
        >>> table = measure_encoder(None, features, y, which="ncc")
        >>> table["level"].tolist(), float(table["value"][0])
        (['labels', 'permuted'], 1.0)

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
        which: of `MEASURES` and `FURTHER_MEASURES`; one name or several.
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
    which = known_measures(which)
    run = Runner(encoder, preprocess=preprocess, outputs=outputs, batch=batch, device=device)
    given, held_out = Labelled.of(images, labels), Labelled.of(test_images, test_labels)
    hierarchy = hierarchy or given.hierarchy
    x, y = images_and_labels(given)
    if held_out.images is None:
        if held_out.labels is not None:
            raise ValueError("test_labels: given without test_images; expected both or neither")
        fit, held = halves(y, seed)
        x, y, x_test, z = x[fit], y[fit], x[held], y[held]
    else:
        x_test, z = images_and_labels(held_out, "test_")
    check_same_classes(y, z, hierarchy)
    train, test = run(x, "images"), run(x_test, "test_images")
    rows: list[dict[str, object]] = []
    for layer in train:
        for level, (a, b, asked) in _levels(y, z, hierarchy, which, seed).items():
            here = AtLevel.of((train[layer], a), (test[layer], b))
            for measure in asked:
                n = len(here.y_test if measure in _TESTED else here.y)
                rows.append(_row(layer, level, measure, _value(here, measure, seed), n))
    return pd.DataFrame(rows, columns=_COLUMNS)


def known_measures(which: str | Sequence[str]) -> tuple[str, ...]:
    """The measures that were asked for, by one name or several.

    Example:
        >>> known_measures("ncc")
        ('ncc',)

    Raises:
        ValueError: there is none of such a name.
    """
    which = (which,) if isinstance(which, str) else tuple(which)
    if unknown := sorted(set(which) - {*MEASURES, *FURTHER_MEASURES}):
        known = ", ".join((*MEASURES, *FURTHER_MEASURES))
        raise ValueError(f"which: {unknown[0]!r}; expected some of {known}")
    return which


def recorded_measures(recording: Recording, which: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """The table of `measure_encoder` for features with one level of labels, once recorded.

    Nothing is measured again: an accuracy's interval follows from it and the number of images.

    Example:
        >>> from ssl_companion.recordings import open_recording
        >>> mine = open_recording("my-recordings/mine")  # doctest: +SKIP
        >>> recorded_measures(mine, ["ncc", "linear"])  # there is none here # doctest: +SKIP

    Args:
        recording: of one epoch, one layer and one level.
        which: of `MEASURES` and `FURTHER_MEASURES`.
        seed: of the bootstrap.
    """
    levels = {"all": "all", "fine": "labels", RANDOM_IMAGE: PERMUTED}
    columns = ["level", "split", "measure"]
    told = recording.measures.set_index(columns)[["value", "n"]].to_dict("index")
    sizes = {split: told["fine", split, "ncc"]["n"] for split in ("train", "test")}
    rows = []
    for recorded, level in levels.items():
        for measure in known_measures(which):
            of_features = measure in OF_FEATURES
            if of_features != (level == "all") or (level == PERMUTED and measure != "ncc"):
                continue
            split = "test" if measure in _TESTED else "train"
            found = told.get((recorded, split, measure), {"value": float("nan")})["value"]
            value, n = Interval(found, float("nan"), float("nan")), int(sizes[split])
            if measure in _ACCURACIES and not np.isnan(found):
                value = measures.bootstrap_mean(np.arange(n) < round(found * n), seed=seed)
            rows.append(_row(recording.layers[0], level, measure, value, n))
    return pd.DataFrame(rows, columns=_COLUMNS)


def _levels(
    y: np.ndarray, z: np.ndarray, hierarchy: Hierarchy | None, which: Sequence[str], seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray, list[str]]]:
    """Training and test labels by level, and what of `which` is measured there."""
    labelled = [measure for measure in which if measure not in OF_FEATURES]
    control = [measure for measure in which if measure == "ncc"]
    found = {"all": (y, z, [measure for measure in which if measure in OF_FEATURES])}
    if hierarchy is None:
        found["labels"] = y, z, labelled
    else:
        for level in levels_and_controls(hierarchy, seed):
            asked = labelled if level.name in hierarchy.names else control
            found[level.name] = level.labels(y), level.labels(z), asked
    found[PERMUTED] = np.random.default_rng(seed).permutation(y), z, control
    return found


def _value(here: AtLevel, measure: str, seed: int) -> Interval:
    """One measure at one level; accuracies with their intervals."""
    value = Interval(float("nan"), float("nan"), float("nan"))
    # Features and labels are known to be good: a refusal means that these features have no such
    # measure (means that coincide, rows of zeros).
    with only_if_defined():
        if measure in _ACCURACIES:
            predicted = here.rule(measure).predict(here.x_test)
            return measures.bootstrap_accuracy(predicted, here.y_test, seed=seed)
        if measure in OF_FEATURES:
            return replace(value, value=OF_FEATURES[measure](here.x_test))
        return replace(value, value=OF_CLASSES[measure](here))
    return value


def _row(layer: str, level: str, measure: str, value: Interval, n: int) -> dict[str, object]:
    return {"layer": layer, "level": level, "split": "test" if measure in _TESTED else "train",
            "measure": measure, "value": value.value, "low": value.low, "high": value.high,
            "n": n}  # fmt: skip
