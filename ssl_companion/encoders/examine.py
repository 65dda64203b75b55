"""One encoder under every measure, each with an interval and a control: `examine`.

What comes out is all that a comparison and its page need of an encoder. It is small, and can be
saved: a comparison of many that was stopped goes on with those that it has.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy import stats
from torch import Tensor

from ssl_companion.data import Hierarchy, Level
from ssl_companion.data.hierarchy import (
    RANDOM,
    hierarchy_from_dict,
    hierarchy_to_dict,
    random_grouping,
)
from ssl_companion.data.images import balanced_indices
from ssl_companion.encoders.catalogue import CATALOGUE
from ssl_companion.encoders.encoding import Encoded, encode
from ssl_companion.encoders.evaluate import PERMUTED, known_measures, measure_encoded
from ssl_companion.encoders.inputs.labelled import Labelled
from ssl_companion.encoders.inputs.sources import SIZE
from ssl_companion.encoders.running.runner import Encoder, Runner, Running
from ssl_companion.encoders.subsets import Rows, balanced_subset, random_subset
from ssl_companion.io.atomic import atomic_file
from ssl_companion.io.provenance import device_name
from ssl_companion.measures import ClassStatistics, NearestCentroid
from ssl_companion.measures.resampling import wilson
from ssl_companion.recordings.kept import group_means

if TYPE_CHECKING:
    from typing_extensions import Unpack

_PARTS = 10  # of the images, each left out once, for intervals by the jackknife
_DRAWN = 5  # permutations of the labels and random groupings, for the controls
# Of a classifier. It is fitted once for each part and each control, so to fewer images.
_FITTED, _FITTED_IMAGES = ("nc3", "nc4"), 3000


@dataclass(frozen=True, eq=False)
class EncoderResult:
    """All that is known of one encoder, at one layer.

    Attributes:
        rows: as `measure_encoder` gives them, and besides: intervals of measures that are no
            accuracies, by the jackknife over ten parts of the images (Tukey 1958; Efron and Stein
            1981, doi:10.1214/aos/1176345462), and what every measure of the classes gives with
            permuted labels (level "permuted") and in random groups of a level's sizes ("random-"
            and the level), the mean of five each. Such an interval says how far the value varies
            with other images, as many as these. What more images would make of it, as of CDNV or
            a rank, is another question. Accuracies of 0 or 1 have Wilson's interval, since a
            bootstrap has nothing to draw from. For intervals of NC3 and NC4, and for the controls
            of all that is fitted, probes and neighbours get 3,000 training images at most.
        hierarchy: levels of the labels.
        labels: of the M test images at the finest level, int64 [M].
        hits: whether the nearest class mean is the right one, bool [L levels, M].
        means: of the training images of each class at the finest level, float32 [K, D].
        counts: training images of each class, int64 [K].
        rows_given: where the M test images stand among the images that were given, int64 [M];
            None where they were given by themselves.
        shown: those of the M test images that maps show, int64 [m].
        features: theirs, float32 [m, D].
        about: where the encoder comes from, what it was measured on, and how long that took.

    Example:
        >>> x, y = np.eye(4).repeat(3, 0), np.arange(4).repeat(3)
        >>> found = examine(None, x, y, which="ncc")["features"]
        >>> found.hits.shape, found.means.shape
        ((1, 4), torch.Size([4, 4]))
    """

    rows: pd.DataFrame
    hierarchy: Hierarchy
    labels: np.ndarray
    hits: np.ndarray
    means: Tensor
    counts: np.ndarray
    rows_given: np.ndarray | None
    shown: np.ndarray
    features: Tensor
    about: Mapping[str, Any]

    def save(self, path: str | Path) -> None:
        """Write it to one file, which is either whole or absent."""
        tensors = {
            "labels": torch.from_numpy(self.labels),
            "hits": torch.from_numpy(self.hits),
            "means": self.means.contiguous(),
            "counts": torch.from_numpy(self.counts),
            "shown": torch.from_numpy(self.shown),
            "features": self.features.contiguous(),
        }
        if self.rows_given is not None:
            tensors["rows_given"] = torch.from_numpy(self.rows_given)
        words = {
            "rows": json.dumps(self.rows.to_dict(orient="split")),
            "hierarchy": json.dumps(hierarchy_to_dict(self.hierarchy)),
            "about": json.dumps(dict(self.about)),
        }
        with atomic_file(path) as temporary:
            save_file(tensors, temporary, words)

    @classmethod
    def load(cls, path: str | Path) -> EncoderResult:
        """Read what `save` wrote.

        Raises:
            ValueError: there is no such file, or it is damaged or foreign.
        """
        try:
            with safe_open(path, "pt") as file:
                words, tensors = file.metadata(), {k: file.get_tensor(k) for k in list(file.keys())}
            rows = pd.DataFrame(**json.loads(words["rows"]))
            return cls(
                rows=rows.astype(dict.fromkeys(("value", "low", "high"), float)),
                hierarchy=hierarchy_from_dict(json.loads(words["hierarchy"])),
                labels=tensors["labels"].numpy(),
                hits=tensors["hits"].numpy(),
                means=tensors["means"],
                counts=tensors["counts"].numpy(),
                rows_given=tensors["rows_given"].numpy() if "rows_given" in tensors else None,
                shown=tensors["shown"].numpy(),
                features=tensors["features"],
                about=json.loads(words["about"]),
            )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: no saved result of an encoder ({error}); measure the encoder again"
            ) from error


def examine(
    encoder: Encoder | None,
    images: Any,
    labels: Any = None,
    *,
    test_images: Any = None,
    test_labels: Any = None,
    hierarchy: Any = None,
    pictures: np.ndarray | Tensor | None = None,
    size: int = SIZE,
    which: str | Sequence[str] = "all",
    subset_size: int = 50_000,
    shown: int = 1000,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    progress: bool = False,
    **running: Unpack[Running],
) -> dict[str, EncoderResult]:
    """Measure one encoder by all that `measure_encoder` can measure, with intervals and controls.

    Example:
        >>> x, y = np.random.default_rng(0).random((60, 3, 8, 8), np.float32), np.arange(60) % 3
        >>> colour = examine(lambda x: x.mean(dim=(2, 3)), x, y, which=("ncc", "cdnv"))["output"]
        >>> colour.rows.query("level == 'permuted'")["measure"].tolist()
        ['ncc', 'cdnv']

    Args:
        encoder, images, labels, test_images, test_labels, hierarchy, size, subset_size: as in
            `measure_encoder`; without a hierarchy the finest level is called "fine" nevertheless,
            as in a recording.
        pictures: without an encoder, the images that the features are of, [N, 3, H, W], for
            groups of classes that look alike.
        which: of the `CATALOGUE`; by default all of it.
        shown: so many test images, or fewer and balanced by class, are kept for maps.
        seed: of the split, the permutations, the random groupings and the bootstrap.
        about: where the encoder comes from, to be kept with the result.
        progress: show a bar while it encodes.
        **running: as in `measure_encoder`.

    Returns:
        A result for each layer that the encoder returns.

    Raises:
        ValueError: as for `measure_encoder`.
        EncoderError: as for `measure_encoder`.
    """
    which, begin = known_measures(which), time.monotonic()
    run = Runner(encoder, progress=progress, **running)
    given, held_out = Labelled.of(images, labels), Labelled.of(test_images, test_labels)
    sets = encode(run, given, held_out, hierarchy, seed=seed, size=size)
    if pictures is not None:
        if len(pictures) != len(sets.labels):
            raise ValueError(
                f"pictures: {len(pictures)}; expected {len(sets.labels)}, one for each row of "
                "images"
            )
        sets = replace(sets, images=pictures)
    levels = sets.hierarchy or _without_levels(sets.names, int(sets.y.max()) + 1)
    sets, encoded = replace(sets, hierarchy=levels), time.monotonic()
    table = measure_encoded(sets, which, subset_size=subset_size, seed=seed)
    rows = {}
    for layer in sets.train:
        one = replace(sets, train={layer: sets.train[layer]}, test={layer: sets.test[layer]})
        own = table[table["layer"] == layer].reset_index(drop=True)
        rows[layer] = _with_intervals(own, one, which, subset_size, seed)
    noted = dict(about or {}) | {
        "device": device_name(run.device),
        "train_images": len(sets.y),
        "test_images": len(sets.z),
        "encoding_seconds": round(encoded - begin, 2),
        "measuring_seconds": round(time.monotonic() - encoded, 2),  # of all layers
    }
    sample = balanced_indices(sets.z, _each(sets.z, shown), seed)
    found = {}
    for layer, train in sets.train.items():
        test, statistics = sets.test[layer], ClassStatistics("none", levels.levels[0].k)
        for at, x in train.batches():
            statistics.update(x, sets.y[at])
        means, counts = statistics.means.cpu(), statistics.counts.cpu().numpy()
        found[layer] = EncoderResult(
            rows=rows[layer],
            hierarchy=levels,
            labels=sets.z,
            hits=_hits(test, sets.z, means.numpy(), counts, levels),
            means=means.float(),
            counts=counts,
            rows_given=test.rows,
            shown=sample,
            features=test.take(sample).float().cpu(),
            about={"layer": layer, "dimensions": train.shape[1], **noted},
        )
    return found


def _without_levels(names: Sequence[str] | None, k: int) -> Hierarchy:
    called = tuple(names or (f"class {label}" for label in range(k)))
    return Hierarchy("labels", (Level("fine", called, np.arange(k)),))


def _each(z: np.ndarray, most: int) -> int:
    """Test images of each class for a map: as many as fit, or as all classes have."""
    sizes = np.bincount(z)
    present = sizes[sizes > 0]
    return int(min(present.min(), max(1, most // len(present))))


def _hits(
    test: Rows, z: np.ndarray, means: np.ndarray, counts: np.ndarray, hierarchy: Hierarchy
) -> np.ndarray:
    """Whether the nearest class mean of each level is the right one, bool [L, M]."""
    found = np.empty((len(hierarchy.levels), len(z)), dtype=bool)
    for hits, level in zip(found, hierarchy.levels, strict=True):
        rule = NearestCentroid.from_centroids(group_means(means, counts, level))
        for at, x in test.batches():
            hits[at] = rule.predict(x.cpu().numpy()) == level.labels(z[at])
    return found


def _with_intervals(
    table: pd.DataFrame, one: Encoded, which: Sequence[str], subset_size: int, seed: int
) -> pd.DataFrame:
    """The rows of one layer, with intervals of all measures and further controls."""
    geometry = [name for name in which if CATALOGUE[name].of != "accuracy"]
    smooth = [name for name in geometry if name not in _FITTED]
    fitted = [name for name in geometry if name in _FITTED]
    few, n_fit = min(subset_size, _FITTED_IMAGES), len(balanced_subset(one.y, subset_size, seed))
    widths = _jackknife(one, smooth, subset_size, len(one.y), seed) if smooth else {}
    widths |= _jackknife(one, fitted, few, n_fit, seed) if fitted else {}
    ends = [_ends(row, widths) for row in table.to_dict("records")]
    table[["low", "high"]] = np.array(ends, dtype=float).reshape(-1, 2)
    of_classes = [name for name in which if name != "ncc" and CATALOGUE[name].of != "features"]
    return pd.concat([table, *_controls(one, of_classes, few, seed)], ignore_index=True)


def _ends(row: Mapping[Any, Any], widths: Mapping[Any, _Width]) -> tuple[float, float]:
    """The interval of one row of the table."""
    value, low, high = row["value"], row["low"], row["high"]
    if width := widths.get((row["level"], row["measure"])):
        return width.around(value)
    certain = low == high and value in (0.0, 1.0)
    if certain and CATALOGUE[row["measure"]].of == "accuracy":
        found = wilson(value, int(row["n"]))
        return found.low, found.high
    return low, high


@dataclass(frozen=True)
class _Width:
    """Half an interval; of its logarithm where a measure is above zero, as most ratios are."""

    half: float
    logarithmic: bool

    def around(self, value: float) -> tuple[float, float]:
        if self.logarithmic:
            return value * math.exp(-self.half), value * math.exp(self.half)
        return value - self.half, value + self.half


def _jackknife(
    one: Encoded, which: Sequence[str], subset_size: int, n_fit: int, seed: int
) -> dict[tuple[str, str], _Width]:
    """Half the widths of 95% intervals by level and measure, from the values without each part of
    the images; none where a class, or all test images, would be lost.

    Of many images, those of a subset are parted, and the widths of what is measured of `n_fit`
    training images become narrower by the root of their number.
    """
    rows = balanced_subset(one.y, subset_size, seed)
    rows_test = random_subset(len(one.z), subset_size, seed)
    parts, parts_test = _parts(one.y[rows], seed), _parts(one.z[rows_test], seed + 1)
    if np.bincount(one.y[rows]).min() < 2 or len(np.unique(parts_test)) < 2:
        return {}
    tables = [
        measure_encoded(
            _of_rows(one, rows[parts != part], rows_test[parts_test != part]),
            which, subset_size=subset_size, seed=seed,
        )
        for part in range(_PARTS)
    ]  # fmt: skip
    values = np.stack([table["value"].to_numpy() for table in tables])
    narrower = np.where(tables[0]["split"] == "train", math.sqrt(len(rows) / n_fit), 1.0)
    positive: np.ndarray = np.all(values > 0, axis=0)
    values = np.where(positive, np.log(np.where(positive, values, 1.0)), values)
    spread = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    half = stats.t.ppf(0.975, _PARTS - 1) * np.sqrt((_PARTS - 1) / _PARTS * spread) * narrower
    places = zip(tables[0]["level"], tables[0]["measure"], strict=True)
    return {
        place: _Width(float(h), bool(log))
        for place, h, log in zip(places, half, positive, strict=True)
    }


def _of_rows(one: Encoded, rows: np.ndarray, rows_test: np.ndarray) -> Encoded:
    """Some of the training and of the test images."""

    def some(features: dict[str, Rows], which: np.ndarray) -> dict[str, Rows]:
        return {
            layer: Rows(x.features, which if x.rows is None else x.rows[which])
            for layer, x in features.items()
        }

    return replace(
        one, train=some(one.train, rows), test=some(one.test, rows_test),
        y=one.y[rows], z=one.z[rows_test],
    )  # fmt: skip


def _parts(y: np.ndarray, seed: int) -> np.ndarray:
    """The part of each image, int64 [N]: every class is spread over the parts."""
    rng, part = np.random.default_rng(seed), np.empty(len(y), dtype=np.int64)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        part[rows] = (np.arange(len(rows)) + rng.integers(_PARTS)) % _PARTS
    return part


def _controls(
    one: Encoded, which: Sequence[str], subset_size: int, seed: int
) -> list[pd.DataFrame]:
    """Measures of the classes where labels mean nothing, the mean of several draws: with the
    training labels in another order, and in random groups of each upper level's sizes. No table
    where there are no such measures."""
    if not which:
        return []
    rng, flat = np.random.default_rng(seed), replace(one, hierarchy=None, names=None)
    drawn = {PERMUTED: [(rng.permutation(one.y), one.z) for _ in range(_DRAWN)]}
    for level in one.hierarchy.levels[1:] if one.hierarchy else ():
        groups = [random_grouping(level, seed + i) for i in range(_DRAWN)]
        drawn[RANDOM + level.name] = [(some.labels(one.y), some.labels(one.z)) for some in groups]
    found = []
    for name, labels in drawn.items():
        tables = [
            measure_encoded(replace(flat, y=y, z=z), which, subset_size=subset_size, seed=seed)
            for y, z in labels
        ]
        mean = tables[0].assign(level=name, low=np.nan, high=np.nan)
        mean["value"] = np.mean([table["value"].to_numpy() for table in tables], axis=0)
        found.append(mean)
    return found
