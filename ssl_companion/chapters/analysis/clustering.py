"""Clusters through training: NCC accuracy of every level, measured live or over all images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import (
    RESAMPLES,
    hits,
    images_of,
    measured,
    table_row,
)
from ssl_companion.data.hierarchy import Level
from ssl_companion.measures import Interval, NearestCentroid
from ssl_companion.measures.resampling import interval, resampled
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import EVERY_SAMPLE, SAMPLE


def ncc_over_epochs(
    recording: Recording,
    levels: Sequence[str] | None = None,
    layer: str | None = None,
    split: str = "test",
    *,
    live: bool = True,
    epochs: Sequence[int] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """NCC accuracy over epochs.

    Args:
        recording: with features, if `live`.
        levels: names of levels, "random-" controls and "sample"; by default the hierarchy's.
        layer: by default the last.
        split: "test" or "train".
        live: True searches the kept features now, with intervals over images (95%,
            bootstrap); False takes what was measured over all images (low and high are NaN). The
            sample level is taken from there, too, if an epoch keeps no views: among fewer images,
            as the kept ones are, an image is found more easily.
        epochs: of the live search; by default all kept.
        seed: of random groupings among the levels, and of the bootstrap.
        resamples: draws of the bootstrap.

    Returns:
        recording, epoch, layer, level, split, value, low, high, n; fractions.
    """
    levels = tuple(levels or recording.hierarchy.names)
    if not live:
        out = measured(recording, "ncc", levels, layer, split)
        return out.assign(low=np.nan, high=np.nan)
    layer = layer or recording.layers[-1]
    epochs = recording.kept_epochs(layer) if epochs is None else epochs
    rows: list[dict[Any, Any]] = []
    for level in levels:
        if level == SAMPLE and not set(epochs) <= set(recording.kept_epochs(layer, "sample_views")):
            told = measured(recording, "ncc", [level], layer, split).assign(low=np.nan, high=np.nan)
            rows += told[told["epoch"].isin(epochs)].to_dict("records")
            continue
        hit = hits(recording, level, epochs, layer, split, seed)
        draws = resampled(hit, images_of(recording, level, hit.shape[1]), resamples, seed)
        for epoch, own, drawn in zip(epochs, hit, draws, strict=True):
            where = {"recording": recording.name, "epoch": epoch, "layer": layer,
                     "level": level, "split": split}  # fmt: skip
            rows.append(table_row(where, interval(own.mean(), drawn), len(own)))
    return pd.DataFrame(rows)


def relative_to_start(table: pd.DataFrame, *, subtract: bool = False) -> pd.DataFrame:
    """Every line of a table divided by its own first epoch (or less it, with `subtract`).

    A line is known by all columns but epoch, value, low, high and n. The interval is
    carried along as it is: it does not hold the uncertainty of the first epoch itself (see
    `gain` for an interval that does).
    """
    numbers = [name for name in ("value", "low", "high") if name in table.columns]
    keys = [c for c in table.columns if c not in ("epoch", "value", "low", "high", "n")]
    out = table.copy()
    first = table.sort_values("epoch").groupby(keys, sort=False)["value"].transform("first")
    for name in numbers:
        out[name] = table[name] - first if subtract else table[name] / first
    return out


def gain(
    recording: Recording,
    level: str | Level = "fine",
    layer: str | None = None,
    *,
    subtract: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """NCC accuracy at the last kept epoch over that of the first, live, paired over images.

    Args:
        recording: with features.
        level, layer: where.
        subtract: the difference instead of the ratio.
        resamples, seed: of the bootstrap.
    """
    kept = recording.kept_epochs(layer)
    hit = hits(recording, level, (kept[0], kept[-1]), layer)
    draws = resampled(hit, images_of(recording, level, hit.shape[1]), resamples, seed)
    first, last = hit.mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = last - first if subtract else last / first
        drawn = draws[1] - draws[0] if subtract else draws[1] / draws[0]
    return interval(float(value), drawn)


def gain_on_permuted_labels(
    recording: Recording, *, shuffles: int = 20, layer: str | None = None, seed: int = 0
) -> Interval:
    """`gain` where every image has another's label: a control, which should stay near 1.

    The labels are permuted among the kept training images, whose class means then judge the
    kept test images by permuted labels too. Accuracies are averaged over the shuffles before
    the ratio is taken; the interval draws shuffles again.
    """
    kept = recording.kept_epochs(layer, "train")
    y, z = recording.fine("train"), recording.fine("test")
    rng = np.random.default_rng(seed)
    labels = [(rng.permutation(y), rng.permutation(z)) for _ in range(shuffles)]
    means = []
    for epoch in (kept[0], kept[-1]):
        x = recording.features(epoch, layer, "train")
        test = recording.features(epoch, layer, "test")
        means.append([NearestCentroid().fit(x, a).score(test, b) for a, b in labels])
    first, last = np.array(means)
    drawn = resampled(np.stack([first, last]), None, RESAMPLES, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        return interval(float(last.mean() / first.mean()), drawn[1] / drawn[0])


def halfway(table: pd.DataFrame) -> pd.DataFrame:
    """The epoch at which each line has made half of its way from its first to its last value.

    Epochs are interpolated on the scale log(1 + epoch). Lines that do not rise have NaN.

    Returns:
        The columns that name the lines, and first, last, epoch.
    """
    keys = [c for c in table.columns if c not in ("epoch", "value", "low", "high", "n")]
    rows = []
    for name, line in table.groupby(keys, sort=False):
        line = line.sort_values("epoch")
        y, x = line["value"].to_numpy(), np.log1p(line["epoch"].to_numpy(np.float64))
        middle, at = (y[0] + y[-1]) / 2, np.nan
        above = np.flatnonzero(y >= middle)
        if y[-1] > y[0] and len(above):
            i = int(above[0])
            at = float(np.expm1(np.interp(middle, y[i - 1 : i + 1], x[i - 1 : i + 1])))
        rows.append({**dict(zip(keys, name, strict=True)),
                     "first": y[0], "last": y[-1], "epoch": at})  # fmt: skip
    return pd.DataFrame(rows)


def every_sample(recording: Recording) -> pd.DataFrame:
    """All training images as classes of their own: epoch, value, n (empty if not measured)."""
    return measured(recording, "ncc", [EVERY_SAMPLE])


def collapse_over_epochs(recording: Recording, layer: str | None = None) -> pd.DataFrame:
    """CDNV of every level, and NC1 and NC2 of the fine classes: epoch, level, measure, value."""
    parts = []
    for name in ("cdnv", "nc1", "nc2_equinorm", "nc2_equiangular"):
        parts.append(measured(recording, name, None, layer, "train").assign(measure=name))
    return pd.concat(parts, ignore_index=True)
