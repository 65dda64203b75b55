"""Measure your own encoder with the measures of this book: `measure_encoder`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data import Hierarchy
from ssl_companion.data.hierarchy import RANDOM, Level, random_grouping
from ssl_companion.encoders.inputs import (
    Images,
    Labelled,
    Labels,
    check_same_classes,
    halves,
    images_and_labels,
)
from ssl_companion.encoders.runner import Encoder, Runner
from ssl_companion.measures import Interval, _checks
from ssl_companion.measures._torch_state import plain_torch
from ssl_companion.measures.resampling import interval
from ssl_companion.recordings import Recording
from ssl_companion.recordings.group_accuracies import class_products, hits_by_products
from ssl_companion.recordings.measuring import (
    OF_CLASSES,
    OF_FEATURES,
    AtLevel,
    only_if_defined,
    require_alike,
)

MEASURES = ("ncc", "cdnv", "nc1", "effective_rank", "linear", "knn")
#: Measured when they are asked for, as NC2: how far the centred class means are from equal lengths
#: ("nc2_equinorm"), and their cosines from -1/(K-1) ("nc2_equiangular").
FURTHER_MEASURES = tuple(name for name in (*OF_CLASSES, *OF_FEATURES) if name not in MEASURES)
PERMUTED = "permuted"
#: So many permutations of the labels, and so many random groupings of the classes at each level.
CONTROLS = 20
_DRAWS = 100  # of test labels, or of test images, for each of these
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
    Every measure is that of `ssl_companion.measures`, as in the recordings of the book.

    There are two kinds of controls, of NCC accuracy alone. At the level "permuted" the finest
    labels are in another order, of training and of test images, so that they say nothing of them
    (Ojala and Garriga 2010, jmlr.org/papers/v11/ojala10a.html): what chance gives. At
    "random-<level>" the classes are in random groups of the level's sizes: what groups give that
    mean nothing. Their value is the mean over 20 permutations, or groupings. Between low and high
    lie 95% of what a single one gives, also with other test images: one permutation by itself may
    give anything where classes are few.

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
        hierarchy: upper levels of the labels; an `ImageSet` brings that of its own labels.
        which: of `MEASURES` and `FURTHER_MEASURES`; one name or several.
        preprocess: in place of the rule for `images`, on the device, batch by batch.
        outputs: picks from what the encoder returns for a batch what to measure, as in
            `lambda out: out.last_hidden_state[:, 0]`.
        batch: images at a time.
        device: where to run; None takes that of the module's parameters, or the CPU.
        seed: of the split, the permutations, the random groupings and the bootstrap.

    Returns:
        layer, level, split, measure, value, low, high, n. Accuracies are fractions; low and
        high (95%, bootstrap over images but for controls) are NaN where there is no interval. A
        measure that is not defined, as CDNV of an encoder that says the same of every image, is
        NaN.

    Raises:
        ValueError: bad images, labels or outputs of the encoder; the message says which.
        EncoderError: the encoder itself failed, or `preprocess` or `outputs`.
    """
    which, seed = known_measures(which), _checks.at_least(seed, 0, "seed")
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
    require_alike(train, test, ("images", "test_images"))
    levels = hierarchy.levels if hierarchy else ()
    labels_at = {level.name: (level.labels(y), level.labels(z)) for level in levels}
    rows: list[dict[str, object]] = []
    for layer in train:
        finest = AtLevel.of((train[layer], y), (test[layer], z))
        for level, (a, b) in {"all": (y, z), **(labels_at or {"labels": (y, z)})}.items():
            same = level in ("all", "labels", "fine")
            here = finest if same else AtLevel.of((train[layer], a), (test[layer], b))
            for measure in which:
                if (measure in OF_FEATURES) is (level == "all"):
                    n = len(here.y_test if measure in _TESTED else here.y)
                    rows.append(_row(layer, level, measure, _value(here, measure, seed), n))
        if "ncc" in which:
            controls = {RANDOM + level.name: _in_random_groups(finest, level, seed)
                        for level in levels[1:]} | {PERMUTED: _permuted(finest, seed)}  # fmt: skip
            rows += (_row(layer, name, "ncc", found, len(z)) for name, found in controls.items())
    return pd.DataFrame(rows, columns=_COLUMNS)


def known_measures(which: str | Sequence[str]) -> tuple[str, ...]:
    """The measures that were asked for, by one name or several.

    Example:
        >>> known_measures("ncc")
        ('ncc',)

    Raises:
        ValueError: there is none of such a name.
    """
    asked = (which,) if isinstance(which, str) or not isinstance(which, Iterable) else tuple(which)
    known = (*MEASURES, *FURTHER_MEASURES)
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        said = repr(unknown[0])[:60] if unknown else "none"
        raise ValueError(f"which: {said}; expected some of {', '.join(known)}")
    return asked


def recorded_measures(recording: Recording, which: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """The table of `measure_encoder` for features with one level of labels, once recorded.

    Nothing is measured again: an accuracy's interval follows from it and the number of images. The
    control is left out, since a recording has a single permutation.

    Example:
        >>> from ssl_companion.recordings import open_recording
        >>> mine = open_recording("my-recordings/mine")  # doctest: +SKIP
        >>> recorded_measures(mine, ["ncc", "linear"])  # there is none here # doctest: +SKIP

    Args:
        recording: of one epoch, one layer and one level.
        which: of `MEASURES` and `FURTHER_MEASURES`.
        seed: of the bootstrap.
    """
    levels = {"all": "all", "fine": "labels"}
    columns = ["level", "split", "measure"]
    told = recording.measures.set_index(columns)[["value", "n"]].to_dict("index")
    sizes = {split: told["fine", split, "ncc"]["n"] for split in ("train", "test")}
    rows = []
    for recorded, level in levels.items():
        for measure in known_measures(which):
            if (measure in OF_FEATURES) is not (level == "all"):
                continue
            split = "test" if measure in _TESTED else "train"
            found = told.get((recorded, split, measure), {"value": float("nan")})["value"]
            value, n = Interval(found, float("nan"), float("nan")), int(sizes[split])
            if measure in _ACCURACIES and not np.isnan(found):
                value = measures.bootstrap_mean(np.arange(n) < round(found * n), seed=seed)
            rows.append(_row(recording.layers[0], level, measure, value, n))
    return pd.DataFrame(rows, columns=_COLUMNS)


@plain_torch()
def _permuted(fine: AtLevel, seed: int) -> Interval:
    """NCC accuracy under labels in another order, those of training and of test images."""
    # Of any scale and offset, so that single precision will do.
    scale = fine.x.abs().max().clamp(min=torch.finfo(fine.x.dtype).tiny)
    centre = (fine.x / scale).mean(dim=0)
    x, x_test = ((part / scale - centre).float() for part in (fine.x, fine.x_test))
    sizes = torch.from_numpy(np.bincount(fine.y)).to(x.device)[:, None]
    rng, scores = np.random.default_rng(seed), []
    for _ in range(CONTROLS):
        y = torch.from_numpy(rng.permutation(fine.y)).to(x.device)
        sums = torch.zeros(len(sizes), x.shape[1], device=x.device, dtype=x.dtype)
        means = sums.index_add_(0, y, x) / sizes
        # The nearest mean m has the largest <x, m> - |m|^2 / 2.
        nearest = (x_test @ means.T - means.square().sum(dim=1) / 2).argmax(dim=1).cpu().numpy()
        z = rng.permuted(np.tile(fine.y_test, (_DRAWS, 1)), axis=1)
        scores.append((z == nearest).mean(axis=1))
    return interval(float(np.mean(scores)), np.concatenate(scores))


@plain_torch()
def _in_random_groups(fine: AtLevel, level: Level, seed: int) -> Interval:
    """NCC accuracy in random groups of the classes, of the sizes of a level's."""
    means, counts = fine.classes.means, np.bincount(fine.y)
    products, gram = class_products(fine.x_test, means), class_products(means, means)
    groups = np.stack([random_grouping(level, seed + i).of_fine for i in range(CONTROLS)])
    n, hits = len(fine.y_test), hits_by_products(products, gram, fine.y_test, counts, groups)
    scores = hits.sum(axis=1) / n
    rng = np.random.default_rng(seed)  # whether each of other images is a hit
    return interval(float(scores.mean()), (rng.binomial(n, scores, (_DRAWS, CONTROLS)) / n).ravel())


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
