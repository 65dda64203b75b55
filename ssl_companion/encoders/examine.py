"""One encoder under every measure, each with an interval and a control: `examine`.

What comes out is all that a comparison and its page need of an encoder. It is small, and can be
saved: a comparison of many that was stopped goes on with those that it has.
"""

from __future__ import annotations

import json
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
from ssl_companion.data.hierarchy import hierarchy_from_dict, hierarchy_to_dict
from ssl_companion.data.images import balanced_indices
from ssl_companion.encoders.catalogue import CATALOGUE
from ssl_companion.encoders.encoding import encode
from ssl_companion.encoders.evaluate import (
    PERMUTED,
    known_measures,
    measure_encoded,
    measure_encoder,
)
from ssl_companion.encoders.inputs.labelled import Labelled
from ssl_companion.encoders.inputs.sources import SIZE
from ssl_companion.encoders.running.runner import Encoder, Runner, Running
from ssl_companion.encoders.subsets import Rows
from ssl_companion.io.atomic import atomic_file
from ssl_companion.io.provenance import device_name
from ssl_companion.measures import ClassStatistics, NearestCentroid
from ssl_companion.recordings.kept import group_means

if TYPE_CHECKING:
    from typing_extensions import Unpack

_PARTS = 10  # of the images, each left out once, for intervals by the jackknife
_PERMUTATIONS = 5  # of the training labels, for the controls of measures that are no accuracies
_FITTED = ("nc3", "nc4")  # of a classifier, too slow to fit for each part


@dataclass(frozen=True, eq=False)
class EncoderResult:
    """All that is known of one encoder, at one layer.

    Attributes:
        rows: as `measure_encoder` gives them, and besides: intervals of measures that are no
            accuracies, by the jackknife over ten parts of the images (Tukey 1958; Efron and Stein
            1981, doi:10.1214/aos/1176345462), and their values under permuted labels.
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
    size: int = SIZE,
    which: str | Sequence[str] = "all",
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
        encoder, images, labels, test_images, test_labels, hierarchy, size: as in
            `measure_encoder`.
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
    levels = sets.hierarchy or _without_levels(sets.names, int(sets.y.max()) + 1)
    encoded = time.monotonic()
    table = measure_encoded(replace(sets, hierarchy=levels), which, seed=seed)
    features = {
        layer: _Features(_whole(x), sets.y, _whole(sets.test[layer]), sets.z)
        for layer, x in sets.train.items()
    }
    rows = {
        layer: _with_intervals(table[table["layer"] == layer], one, levels, which, seed)
        for layer, one in features.items()
    }
    noted = dict(about or {}) | {
        "device": device_name(run.device),
        "train_images": len(sets.y),
        "test_images": len(sets.z),
        "encoding_seconds": round(encoded - begin, 2),
        "measuring_seconds": round(time.monotonic() - encoded, 2),  # of all layers
    }
    sample = balanced_indices(sets.z, _each(sets.z, shown), seed)
    found = {}
    for layer, one in features.items():
        statistics = ClassStatistics("none", levels.levels[0].k).update(one.x, one.y)
        means, counts = statistics.means.cpu(), statistics.counts.cpu().numpy()
        found[layer] = EncoderResult(
            rows=rows[layer],
            hierarchy=levels,
            labels=sets.z,
            hits=_hits(one, means.numpy(), counts, levels),
            means=means.float(),
            counts=counts,
            rows_given=sets.test[layer].rows,
            shown=sample,
            features=one.x_test[sample].float().cpu(),
            about={"layer": layer, "dimensions": one.x.shape[1], **noted},
        )
    return found


@dataclass(frozen=True, eq=False)
class _Features:
    """Training and test features, float [N, D] and [M, D], with their labels [N] and [M]."""

    x: Tensor
    y: np.ndarray
    x_test: Tensor
    z: np.ndarray

    def measured(
        self, hierarchy: Hierarchy | None, which: Sequence[str], seed: int
    ) -> pd.DataFrame:
        return measure_encoder(
            None, self.x, self.y, test_images=self.x_test, test_labels=self.z,
            hierarchy=hierarchy, which=which, seed=seed,
        )  # fmt: skip

    def without(self, part: int, parts: tuple[np.ndarray, np.ndarray]) -> _Features:
        """All images but those of a part."""
        rows, rows_test = (np.flatnonzero(of != part) for of in parts)
        return _Features(
            self.x[torch.from_numpy(rows)], self.y[rows],
            self.x_test[torch.from_numpy(rows_test)], self.z[rows_test],
        )  # fmt: skip


def _whole(rows: Rows) -> Tensor:
    return rows.take(np.arange(len(rows)))


def _without_levels(names: Sequence[str] | None, k: int) -> Hierarchy:
    called = tuple(names or (f"class {label}" for label in range(k)))
    return Hierarchy("labels", (Level("fine", called, np.arange(k)),))


def _each(z: np.ndarray, most: int) -> int:
    """Test images of each class for a map: as many as fit, or as all classes have."""
    sizes = np.bincount(z)
    present = sizes[sizes > 0]
    return int(min(present.min(), max(1, most // len(present))))


def _hits(
    one: _Features, means: np.ndarray, counts: np.ndarray, hierarchy: Hierarchy
) -> np.ndarray:
    """Whether the nearest class mean of each level is the right one, bool [L, M]."""
    found = []
    for level in hierarchy.levels:
        rule = NearestCentroid.from_centroids(group_means(means, counts, level))
        found.append(torch.as_tensor(rule.predict(one.x_test)).cpu().numpy() == level.labels(one.z))
    return np.stack(found)


def _with_intervals(
    table: pd.DataFrame,
    one: _Features,
    hierarchy: Hierarchy,
    which: tuple[str, ...],
    seed: int,
) -> pd.DataFrame:
    """The rows of one layer, with intervals by the jackknife and further controls."""
    table = table.reset_index(drop=True)
    geometry = [name for name in which if CATALOGUE[name].of != "accuracy"]
    of_classes = [name for name in geometry if CATALOGUE[name].of == "classes"]
    if smooth := [name for name in geometry if name not in _FITTED]:
        ends = _jackknife(one, hierarchy, smooth, seed)
        for row in table.index[table["measure"].isin(smooth)]:
            place = table.loc[row, "level"], table.loc[row, "measure"]
            table.loc[row, ["low", "high"]] = ends.get(place, (np.nan, np.nan))
    controls = _permuted(one, [name for name in of_classes if name not in _FITTED], seed)
    return pd.concat([table, controls], ignore_index=True) if len(controls) else table


def _jackknife(
    one: _Features, hierarchy: Hierarchy, which: Sequence[str], seed: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """95% intervals by level and measure, from the values without each part of the images; none
    where a class would be lost."""
    if np.bincount(one.y).min() < 2:
        return {}
    parts = _parts(one.y, seed), _parts(one.z, seed + 1)
    tables = [one] + [one.without(part, parts) for part in range(_PARTS)]
    values = [t.measured(hierarchy, which, seed).set_index(["level", "measure"]) for t in tables]
    whole, *replicates = (table["value"].to_numpy() for table in values)
    # Most of these are ratios: on a logarithmic scale their intervals stay above zero.
    positive = (np.stack([whole, *replicates]) > 0).all(axis=0)

    def scale(x: np.ndarray) -> np.ndarray:
        return np.where(positive, np.log(np.where(positive, x, 1.0)), x)

    apart = np.stack([scale(x) for x in replicates])
    error = np.sqrt((_PARTS - 1) / _PARTS * ((apart - apart.mean(axis=0)) ** 2).sum(axis=0))
    width = stats.t.ppf(0.975, _PARTS - 1) * error
    ends = [scale(whole) + sign * width for sign in (-1, 1)]
    low, high = (np.where(positive, np.exp(np.where(positive, x, 0.0)), x) for x in ends)
    return dict(zip(values[0].index, zip(low.tolist(), high.tolist(), strict=True), strict=True))


def _parts(y: np.ndarray, seed: int) -> np.ndarray:
    """The part of each image, int64 [N]: every class is spread over the parts."""
    rng, part = np.random.default_rng(seed), np.empty(len(y), dtype=np.int64)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        part[rows] = (np.arange(len(rows)) + rng.integers(_PARTS)) % _PARTS
    return part


def _permuted(one: _Features, which: Sequence[str], seed: int) -> pd.DataFrame:
    """Measures of the classes with the training labels in another order: the mean of several."""
    if not which:
        return pd.DataFrame()
    rng = np.random.default_rng(seed)
    tables = [
        _Features(one.x, rng.permutation(one.y), one.x_test, one.z).measured(None, which, seed)
        for _ in range(_PERMUTATIONS)
    ]
    found = tables[0].assign(level=PERMUTED, low=np.nan, high=np.nan)
    found["value"] = np.mean([table["value"].to_numpy() for table in tables], axis=0)
    return found
