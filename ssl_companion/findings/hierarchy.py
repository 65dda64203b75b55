"""Every level against random groupings of its sizes; the tree of the class means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ssl_companion.data.hierarchy import Level
from ssl_companion.findings.live import interval, table_row
from ssl_companion.findings.recalls import images_judged
from ssl_companion.findings.targets import GROUPINGS, advantage, against_groupings, ends
from ssl_companion.measures import (
    Interval,
    cophenetic_correlation,
    cut_agreement,
    dendrogram,
)
from ssl_companion.recordings import Recording


def upper_levels(recording: Recording) -> tuple[str, ...]:
    """The levels above the fine classes, which random groupings can be compared with."""
    return recording.hierarchy.names[1:]


def against_random(
    recording: Recording,
    levels: Sequence[str] | None = None,
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    groupings: int = GROUPINGS,
    seed: int = 0,
) -> pd.DataFrame:
    """`targets.against_groupings` for several levels (by default all above the fine one).

    Under one seed the groupings of nested levels are nested too: the same tree, its leaves
    shuffled.
    """
    levels = upper_levels(recording) if levels is None else levels
    parts = [
        against_groupings(recording, level, epochs, layer, groupings=groupings, seed=seed)
        for level in levels
    ]
    return pd.concat(parts, ignore_index=True)


def growth_by_level(
    recording: Recording,
    levels: Sequence[str | Level] | None = None,
    *,
    groupings: int = GROUPINGS,
    seed: int = 0,
    live: bool = True,
) -> tuple[pd.DataFrame, Interval]:
    """How much the advantage over random groupings grew at each level, and at the least of them.

    Args:
        recording: with features, or with counts (`findings.counts`).
        levels: by default all above the fine one.
        groupings, seed: of the random groupings, and of the bootstrap.
        live: see `recalls`.

    Returns:
        A table (level, value, low, high, n), and the interval of the smallest growth, which is
        looked for anew in each draw of the bootstrap over classes and groupings.
    """
    levels = upper_levels(recording) if levels is None else levels
    rows, draws, n = [], [], images_judged(recording, live=live)
    for level in levels:
        found = advantage(recording, level, ends(recording), groupings, seed=seed, live=live)
        draws.append(found.draws[-1] - found.draws[0])
        name = level.name if isinstance(level, Level) else level
        rows.append(table_row({"level": name}, found.growth, n))
    table = pd.DataFrame(rows)
    return table, interval(float(table["value"].min()), np.min(draws, axis=0))


@dataclass(frozen=True, eq=False)
class Tree:
    """The dendrogram of the fine classes' means.

    Attributes:
        linkage: in SciPy's form, float64 [K-1, 4].
        names: of the K fine classes.
        groups: for each upper level, the group of every fine class, int64 [K].
        group_names: for each upper level, its classes.
    """

    linkage: np.ndarray
    names: tuple[str, ...]
    groups: dict[str, np.ndarray]
    group_names: dict[str, tuple[str, ...]]


def tree(
    recording: Recording,
    epoch: int | None = None,
    layer: str | None = None,
    method: str = "average",
) -> Tree:
    """The class means' tree at an epoch (by default the last kept)."""
    epoch = recording.kept_epochs(layer)[-1] if epoch is None else epoch
    fine, *upper = recording.hierarchy.levels
    return Tree(
        dendrogram(recording.class_means(epoch, layer), method),
        fine.class_names,
        {level.name: level.of_fine for level in upper},
        {level.name: level.class_names for level in upper},
    )


def tree_agreement(
    recording: Recording,
    epochs: Sequence[int] | None = None,
    layer: str | None = None,
    *,
    shuffles: int = 30,
    seed: int = 0,
    method: str = "average",
) -> pd.DataFrame:
    """The class means' tree against the label tree, and against the same tree with its leaves
    shuffled.

    Args:
        recording: with features.
        epochs: by default the first and the last kept.
        layer: by default the last.
        shuffles: of the label tree's leaves.
        seed: of the shuffles.
        method: of the dendrogram.

    Returns:
        epoch, measure ("cophenetic correlation", or "adjusted mutual information, <level>" of
        the cut with as many clusters as the level has classes), value, and what the shuffled
        trees give: random, low, high (their mean and the middle 95%).
    """
    kept = recording.kept_epochs(layer)
    epochs = (kept[0], kept[-1]) if epochs is None else epochs
    upper = [level.of_fine for level in recording.hierarchy.levels[1:]]
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(upper[0])) for _ in range(shuffles)]
    rows = []
    for epoch in epochs:
        means = recording.class_means(epoch, layer)
        measures = {"cophenetic correlation": (_cophenetic, upper)}
        for name, own in zip(upper_levels(recording), upper, strict=True):
            measures[f"adjusted mutual information, {name}"] = (_cut, [own])
        for measure, (rule, levels) in measures.items():
            drawn = [rule(means, [level[order] for level in levels], method) for order in orders]
            low, high = np.quantile(drawn, [0.025, 0.975])
            rows.append({"epoch": epoch, "measure": measure, "value": rule(means, levels, method),
                         "random": float(np.mean(drawn)), "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def _cophenetic(means: np.ndarray, levels: Sequence[np.ndarray], method: str) -> float:
    return cophenetic_correlation(means, levels, method)


def _cut(means: np.ndarray, levels: Sequence[np.ndarray], method: str) -> float:
    return cut_agreement(means, levels[0], method)
