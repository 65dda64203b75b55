"""Accuracy by layer, epoch and level: one table, its maps, and the order along either axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import (
    NotRecorded,
    by_place,
    measured,
    with_intervals,
)
from ssl_companion.chapters.analysis.balanced_accuracy import (
    epochs_judged,
)
from ssl_companion.chapters.analysis.clustering import ncc_over_epochs
from ssl_companion.measures.resampling import spearman
from ssl_companion.recordings import Recording, RecordingError
from ssl_companion.recordings.format import RANDOM_IMAGE, EpochLayer

_FEWEST_TO_ORDER = 3  # layers
_SOME_ORDER = 0.5  # a rank correlation below it is no clear order


def by_layer_and_epoch(
    recording: Recording,
    levels: Sequence[str] | None = None,
    measure: str = "ncc",
    split: str = "test",
) -> pd.DataFrame:
    """A measure of all images at every layer, epoch and level.

    Returns:
        recording, epoch, layer, depth (0 for the first layer), level, split, value, n.
    """
    levels = recording.hierarchy.names if levels is None else levels
    table = measured(recording, measure, levels, "all", split)
    table.insert(3, "depth", table["layer"].map({n: i for i, n in enumerate(recording.layers)}))
    return table


def layer_by_epoch(
    recording: Recording, level: str = "fine", measure: str = "ncc", split: str = "test"
) -> pd.DataFrame:
    """A measure of all images, one row per layer (from the first), one column per epoch."""
    table = by_layer_and_epoch(recording, [level], measure, split)
    wide = table.pivot_table(index="layer", columns="epoch", values="value")
    return wide.reindex([name for name in recording.layers if name in wide.index])


def relative_matrix(recording: Recording, level: str = "fine", split: str = "test") -> pd.DataFrame:
    """`layer_by_epoch` of NCC accuracy, each layer divided by its own value before training."""
    whole = layer_by_epoch(recording, level, split=split)
    return whole.div(whole.iloc[:, 0], axis=0)


def rank_order(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Spearman's correlation of values with their order along an axis, in [-1, 1].

    1 if they rise at every step, -1 if they fall; ties share their rank. NaN where nothing
    changes.
    """
    along = np.moveaxis(np.asarray(values), axis, -1)
    return spearman(along, np.arange(along.shape[-1]))


def settling_in_words(halfway: pd.Series[Any], level: str) -> str:
    """In which order the layers come half way, and whether a single one breaks it.

    Args:
        halfway: the epoch at which each layer is half way, by its name, from the first to the
            last; NaN for a layer that gains nothing.
        level: whose classes they are.
    """
    epochs = halfway.dropna()
    if len(epochs) < _FEWEST_TO_ORDER:
        return f"Too few layers gain accuracy on {level} classes to be put into an order."
    turn = float(rank_order(epochs.to_numpy()))
    if math.isnan(turn):
        return f"All layers that gain accuracy on {level} classes are half way at the same epoch."
    said = (
        f"The rank correlation of that epoch with depth is {turn:+.2f} over {len(epochs)} layers. "
        f"In this run, for {level} classes, "
    ).replace("-", "−")
    ways = {1.0: "from the bottom up", -1.0: "from the top down"}
    if abs(turn) == 1:
        return f"{said}the layers settle strictly {ways[turn]}."
    without = {name: float(rank_order(epochs.drop(name).to_numpy())) for name in epochs.index}
    strict = {name: rest for name, rest in without.items() if abs(rest) == 1}
    if len(strict) == 1:
        ((name, rest),) = strict.items()
        others = f"all layers but one settle strictly {ways[rest]}"
        return f"{said}{others}; only *{name}* breaks the order, at epoch {epochs[name]:.1f}."
    if abs(turn) >= _SOME_ORDER:
        return f"{said}the layers settle mostly {ways[float(np.sign(turn))]}."
    return f"{said}the layers settle in no clear order."


def order_of_rows(
    recording: Recording, along: str, levels: Sequence[str] | None = None
) -> pd.DataFrame:
    """How well a level's accuracy (all test images) is ordered by epoch or by depth.

    Args:
        recording: any.
        along: "epoch" (last layer), "depth" (last epoch) or "depth before training".
        levels: by default the hierarchy's.

    Returns:
        level, value: Spearman's correlation, NaN where nothing changes.
    """
    if along not in ("epoch", "depth", "depth before training"):
        raise ValueError(f"along: {along!r}; expected 'epoch', 'depth' or 'depth before training'")
    rows = []
    for level in recording.hierarchy.names if levels is None else levels:
        values = by_place(recording, level=level)
        line = values[-1] if along == "epoch" else values[:, -1 if along == "depth" else 0]
        if len(known := line[~np.isnan(line)]):
            rows.append({"level": level, "value": float(rank_order(known))})
    return pd.DataFrame(rows, columns=["level", "value"])


def places_along(recording: Recording, along: str) -> list[EpochLayer]:
    """The epochs and layers whose features are kept (or counts of them), in order.

    Args:
        recording: with features, or with counts (`claims.kept_counts`); for the depth, of every
            layer.
        along: "epoch" (last layer), "depth" (last epoch that keeps all layers) or "depth before
            training" (the first).

    Raises:
        NotRecorded: no epoch keeps all layers.
        ValueError: another word.
    """
    if along == "epoch":
        return [(epoch, recording.layers[-1]) for epoch in epochs_judged(recording)]
    if along not in ("depth", "depth before training"):
        raise ValueError(f"along: {along!r}; expected 'epoch', 'depth' or 'depth before training'")
    shared = set.intersection(*(set(epochs_judged(recording, name)) for name in recording.layers))
    if not shared:
        raise NotRecorded(f"{recording.name} keeps all layers at no epoch")
    at = max(shared) if along == "depth" else min(shared)
    return [(at, name) for name in recording.layers]


def mean_order(run: Recording, along: str) -> float:
    """`order_of_rows` averaged over levels; NaN if any of them does not change."""
    return float(np.mean(order_of_rows(run, along)["value"].to_numpy()))


ORDERS = {
    "time": "epoch",
    "depth": "depth",
    "depth before training": "depth before training",
}


def shared_epochs(recording: Recording) -> tuple[int, ...]:
    """Epochs with features of every layer.

    Raises:
        RecordingError: there is none.
    """
    kept = [set(recording.kept_epochs(layer)) for layer in recording.layers]
    found = tuple(sorted(set.intersection(*kept)))
    if not found:
        raise RecordingError(f"{recording.path}: keeps no epoch with features of every layer")
    return found


def live_by_layer(
    recording: Recording,
    levels: Sequence[str] | None = None,
    epochs: Sequence[int] | None = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """NCC accuracy of every layer, searched now, with intervals over images.

    Args:
        recording: with features of every layer.
        levels: by default the hierarchy's.
        epochs: by default the first and the last with features of every layer.
        seed: of random groupings among the levels, and of the bootstrap.

    Returns:
        epoch, layer, depth (0 for the first layer), level, value, low, high, n.
    """
    if epochs is None:
        shared = shared_epochs(recording)
        epochs = (shared[0], shared[-1])
    parts = []
    for depth, layer in enumerate(recording.layers):
        part = ncc_over_epochs(recording, levels, layer, epochs=epochs, seed=seed)
        parts.append(part.assign(depth=depth))
    columns = ["epoch", "layer", "depth", "level", "value", "low", "high", "n"]
    return pd.concat(parts, ignore_index=True)[columns]


def mapped_levels(recording: Recording) -> tuple[str, ...]:
    """What has an accuracy at every layer and every epoch: the single images, the hierarchy's
    levels, and two controls, groups of random classes and random labels."""
    first = recording.hierarchy.names[1]
    names = ("sample", *recording.hierarchy.names, f"random-{first}", RANDOM_IMAGE)
    everything = len(recording.layers) * len(recording.epochs)
    table = by_layer_and_epoch(recording, names)
    counts = table.groupby("level").size()
    return tuple(name for name in names if counts.get(name, 0) == everything)


def orders_of_levels(
    runs: dict[str, Recording], levels: Sequence[str] | None = None
) -> pd.DataFrame:
    """The order along epochs and along depth of several runs, averaged over levels.

    Args:
        runs: by the words that name them.
        levels: by default the hierarchy's.

    Returns:
        run, and a column for each of `ORDERS`: Spearman's correlation; NaN where a level does
        not change.
    """
    rows = []
    for words, run in runs.items():
        row: dict[str, object] = {"run": words}
        for name, along in ORDERS.items():
            row[name] = float(order_of_rows(run, along, levels)["value"].mean(skipna=False))
        rows.append(row)
    return pd.DataFrame(rows)


def accuracies_by_layer(
    runs: dict[str, Recording], levels: Sequence[str], split: str = "test"
) -> pd.DataFrame:
    """Accuracy of all images by layer and epoch for several runs, with Wilson's intervals.

    Args:
        runs: by the words that name them; epochs that not all have measured are left out.
        levels: names.
        split: "test" or "train".

    Returns:
        run, epoch, layer, depth, share (0 for the first layer, 1 for the last), level, value,
        low, high, n.
    """
    common = set.intersection(*(set(run.epochs) for run in runs.values()))
    parts = []
    for words, run in runs.items():
        table = with_intervals(by_layer_and_epoch(run, levels, split=split))
        table = table[table["epoch"].isin(common)].assign(run=words)
        parts.append(table.assign(share=table["depth"] / max(1, len(run.layers) - 1)))
    columns = ["run", "epoch", "layer", "depth", "share", "level", "value", "low", "high", "n"]
    return pd.concat(parts, ignore_index=True)[columns]
