"""Every level beside each kind of control: random groupings, and groupings of look-alikes.

A random grouping shares nothing with a level but the sizes of its groups, so a lead over it may be
due to looks: classes of related meaning often look alike. Groupings of look-alikes (by their
pixels, whitened pixels, or the class means of the network before training) share what can be seen
but not what it means. What counts is the lead over the strongest kind: whichever leaves the least.

Recalls come from the kept test images, or from counts of them (`balanced_accuracy.recalls`), and
give an interval over classes and groupings. A recording that keeps only its accuracies under all
these groupings has the same values without an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import RESAMPLES, NotRecorded, table_row
from ssl_companion.chapters.analysis.balanced_accuracy import (
    balanced,
    counted,
    drawn_balanced,
    epochs_judged,
    images_judged,
    over_groupings,
    recalls,
)
from ssl_companion.chapters.analysis.visual_similarity import WORDS
from ssl_companion.data.hierarchy import Level, random_groups
from ssl_companion.measures import Interval
from ssl_companion.measures.kmeans import balanced_kmeans
from ssl_companion.measures.resampling import draw_counts, interval, spearman
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import EpochLayer
from ssl_companion.recordings.group_accuracies import (
    GroupAccuracies,
    LevelGroupings,
    read_group_accuracies,
)
from ssl_companion.recordings.groupings import (
    PIXELS,
    RANDOM,
    SEMANTIC,
    STARTS,
    UNTRAINED,
    WHITENED,
    Groupings,
    read_groupings,
)
from ssl_companion.recordings.looks import looks_beside

CONTROL_KINDS = (RANDOM, PIXELS, WHITENED, UNTRAINED)
# The seeds of 100 random ones. Those that earlier recordings counted images under come first.
LOTS = (*range(20), *range(1000, 1040), *range(20, 60))
# Ways to read a layer: what is added to its name, in words.
RULERS = {"": "spatial means", "@2x2": "means over quarters", "@flat": "whole maps"}


@dataclass(frozen=True, eq=False)
class Leads:
    """How far a level is ahead of each kind of control, at S places.

    Attributes:
        level: its name.
        own: balanced accuracy under the level, float64 [S].
        others: by kind, under each of its G groupings, [G, S].
        draws: by kind, the lead with classes and groupings drawn again, [S, R]; R is 0 where
            only accuracies were kept.
    """

    level: str
    own: np.ndarray
    others: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """By kind, the level's accuracy less the mean of that kind's, [S]."""
        return {kind: self.own - found.mean(axis=0) for kind, found in self.others.items()}

    @cached_property
    def of_lots(self) -> dict[str, np.ndarray]:
        """The same measurement for each random grouping in the level's place: by kind, its lead
        over that kind (over the other random ones), [G, S]."""
        lots = self.others[RANDOM]
        leads = {kind: lots - found.mean(axis=0) for kind, found in self.others.items()}
        leads[RANDOM] = leads[RANDOM] * len(lots) / (len(lots) - 1)
        return leads


@lru_cache(maxsize=32)
def groupings_against(recording: Recording, level: str) -> dict[str, np.ndarray]:
    """The groupings that a level is compared with, by kind: int64 [G, K].

    Those under which its images were counted, where that was done for more images than it keeps
    features of. Otherwise 100 random ones (`LOTS`); look-alikes from its own files, or beside it
    (`recordings.looks`), where there are any; and those by the network before training.

    Raises:
        NotRecorded: it keeps neither features nor counts under all these.
    """
    own = recording.hierarchy.level(level)
    counts = counted(recording, live=False)
    if counts is not None and len(found := _kept(counts, level)) == len(CONTROL_KINDS):
        return found
    found = _kept(read_groupings(recording), level) if recording.has_groupings else {}
    by_looks = looks_beside(recording)
    for kind in (PIXELS, WHITENED):
        if (level, kind) in by_looks:
            found[kind] = by_looks[level, kind]
    if recording.has_group_accuracies:
        own_file = _accuracies(recording)
        found |= {
            kind: own_file.groups[own_file.of(level, kind)] for kind in _kinds(own_file, level)
        }
    found[RANDOM] = random_groups(own, LOTS)
    if not recording.has_features:
        raise NotRecorded(
            f"{recording.name}: was not compared with groupings by looks at {level!r}"
        )
    if UNTRAINED not in found:
        means, sizes = recording.class_means(recording.epochs[0]), own.sizes.tolist()
        drawn = [balanced_kmeans(means, sizes, seed=seed) for seed in range(STARTS)]
        found[UNTRAINED] = np.stack(drawn)
    return {kind: found[kind] for kind in CONTROL_KINDS if kind in found}


def _kept(counts: Groupings, level: str) -> dict[str, np.ndarray]:
    """The groupings of a file that a level can be compared with, by kind."""
    found = {}
    for kind in CONTROL_KINDS:
        of_level = counts.kinds == f"{kind}-{level}"
        if counts.level == level:
            of_level |= counts.kinds == kind
        if of_level.any():
            found[kind] = counts.groups[of_level]
    return found


@lru_cache(maxsize=64)
def leads(
    recording: Recording,
    level: str,
    places: tuple[EpochLayer, ...],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Leads:
    """How far a level is ahead of each kind of control.

    Args:
        recording: with features, with counts under such groupings, or with accuracies.
        level: above the fine one.
        places: pairs of an epoch and a layer.
        seed: of the bootstrap; all levels and kinds see the same draws of classes.
        resamples: R; 0 for no interval.

    Raises:
        NotRecorded: it keeps none of these.
    """
    if only_accuracies(recording):
        kept = _accuracies(recording)
        own = kept.values(level, SEMANTIC, places)[0]
        others = {kind: kept.values(level, kind, places) for kind in _kinds(kept, level)}
        return Leads(level, own, others, {kind: np.empty((len(own), 0)) for kind in others})
    groups = groupings_against(recording, level)
    semantic = recording.hierarchy.level(level)
    rows = np.concatenate([semantic.of_fine[None], *groups.values()])
    found = recalls(recording, [_level(of) for of in rows], places, live=False)
    weights = _drawn(found.shape[-1], resamples, (seed,))
    own_draws = drawn_balanced(found[0], semantic.of_fine, weights)
    others, draws, at = {}, {}, 1
    for i, (kind, of_kind) in enumerate(groups.items()):
        times = _drawn(len(of_kind), resamples, (seed, 1 + i))
        part = found[at : at + len(of_kind)]
        others[kind], drawn = over_groupings(part, of_kind, weights, times)
        draws[kind] = own_draws - drawn
        at += len(of_kind)
    return Leads(level, balanced(found[0], semantic.of_fine), others, draws)


@lru_cache(maxsize=16)
def _drawn(n: int, resamples: int, seed: tuple[int, ...]) -> np.ndarray:
    """`draw_counts`: the same for every run, level and place."""
    return draw_counts(n, resamples, seed)


def _level(of_fine: np.ndarray) -> Level:
    return Level("grouping", tuple(map(str, range(int(of_fine.max()) + 1))), of_fine)


def only_accuracies(recording: Recording) -> bool:
    """Whether a recording keeps its accuracies under all these groupings, and no features."""
    return recording.has_group_accuracies and not recording.has_features


@lru_cache(maxsize=32)
def _accuracies(recording: Recording) -> GroupAccuracies:
    return read_group_accuracies(recording)


def _kinds(kept: LevelGroupings, level: str) -> list[str]:
    return [kind for kind in CONTROL_KINDS if ((kept.levels == level) & (kept.kinds == kind)).any()]


def places_of(recording: Recording, along: str, ruler: str = "") -> tuple[EpochLayer, ...]:
    """Where the leads of a recording are measured, in order.

    Args:
        recording: any.
        along: "epoch" (last layer), "depth" (all layers after training) or "depth before
            training".
        ruler: of `RULERS`, how the layers are read.

    Raises:
        NotRecorded: some layer was not kept or measured there.
    """
    if along not in ("epoch", "depth", "depth before training"):
        raise ValueError(f"along: {along!r}; expected 'epoch', 'depth' or 'depth before training'")
    last = recording.layers[-1] + ruler
    if along == "epoch":
        return tuple((epoch, last) for epoch in _epochs(recording, last))
    at = recording.epochs[0 if along == "depth before training" else -1]
    layers = [layer + ruler for layer in recording.layers]
    if missing := [layer for layer in layers if at not in _epochs(recording, layer)]:
        raise NotRecorded(f"{recording.name}: keeps nothing of {missing[0]} at epoch {at}")
    return tuple((at, layer) for layer in layers)


def _epochs(recording: Recording, layer: str) -> tuple[int, ...]:
    if only_accuracies(recording):
        there = _accuracies(recording).balanced
        return tuple(epoch for epoch in recording.epochs if (epoch, layer) in there)
    return epochs_judged(recording, layer)


def is_held_against_looks(recording: Recording) -> bool:
    """Whether a recording keeps what every upper level's lead over each kind of control takes."""
    levels = recording.hierarchy.names[1:]
    if only_accuracies(recording):
        return all(_kinds(_accuracies(recording), level) == list(CONTROL_KINDS) for level in levels)
    try:
        return all(
            len(groupings_against(recording, level)) == len(CONTROL_KINDS) for level in levels
        )
    except NotRecorded:
        return False


def has_layers(recording: Recording, ruler: str = "") -> bool:
    """Whether every layer, read by a ruler, was kept or measured after training."""
    try:
        return bool(places_of(recording, "depth", ruler))
    except NotRecorded:
        return False


@dataclass(frozen=True, eq=False)
class Against:
    """An effect of leads over each kind of control, and over the strongest.

    Attributes:
        each: the effect over each kind of control, by level (of an effect of all levels together,
            none) and kind; without ends where only accuracies were kept.
        least: over the strongest kind, which is sought anew in each draw.
        lots: the same measurement for each random grouping in the level's place: float64 [G].
    """

    each: dict[tuple[str, str], Interval]
    least: Interval
    lots: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """level, than (the kind, in words), value, low, high: a row for each of `each`."""
        rows = [
            table_row({"level": level, "than": WORDS[kind]}, effect, 0)
            for (level, kind), effect in self.each.items()
        ]
        return pd.DataFrame(rows).drop(columns="n")


def growth_of_leads(
    recording: Recording,
    levels: Sequence[str] | None = None,
    layer: str | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Against:
    """How much the lead over each kind of control grew from the first epoch to the last.

    Args:
        recording: see `leads`.
        levels: by default all above the fine one.
        layer: by default the last.
        seed: of the bootstrap.
        resamples: its draws; 0 for no interval.

    Returns:
        A row for each level and kind, the least of all of them, and the least over the levels for
        random groupings: the i-th of each level is of one tree with shuffled leaves.
    """
    levels = recording.hierarchy.names[1:] if levels is None else levels
    layer = layer or recording.layers[-1]
    epochs = _epochs(recording, layer)
    places = tuple((epoch, layer) for epoch in epochs)
    if len(places) < 2:
        raise NotRecorded(f"{recording.name}: keeps {layer} at fewer than two epochs")
    names, values, draws, lots = [], [], [], []
    for level in levels:
        found = leads(recording, level, places, seed=seed, resamples=resamples)
        for kind, value in found.values.items():
            names.append((level, kind))
            values.append(float(value[-1] - value[0]))
            draws.append(found.draws[kind][-1] - found.draws[kind][0])
        lots += [lead[:, -1] - lead[:, 0] for lead in found.of_lots.values()]
    return _against(names, values, draws, _as_many(lots))


def order_of_leads(
    recording: Recording,
    along: str,
    ruler: str = "",
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Against:
    """How well the lead over each kind of control is ordered by epoch or by depth.

    Accuracy itself would not do: all groupings gain by whatever tells classes apart, and in the
    order of time.

    Args:
        recording, along, ruler: see `places_of`.
        seed: of the bootstrap.
        resamples: its draws; 0 for no interval.

    Returns:
        One row per kind: Spearman's correlation, the mean over the levels; then the least of them.
        NaN for fewer than three places.
    """
    places = places_of(recording, along, ruler)
    how = {"seed": seed, "resamples": resamples}
    each = [leads(recording, name, places, **how) for name in recording.hierarchy.names[1:]]
    kinds = list(each[0].values)
    # Ranks of many short rows are quicker found at once: [levels, kinds, ..., S].
    values = _order(np.array([[one.values[kind] for kind in kinds] for one in each]))
    draws = _order(np.array([[one.draws[kind].T for kind in kinds] for one in each]))
    lots = _as_many([np.stack([one.of_lots[kind] for kind in kinds], axis=1) for one in each])
    return _against(
        [("mean of the levels", kind) for kind in kinds],
        values.mean(axis=0).tolist(),
        list(draws.mean(axis=0)),
        list(_order(np.array(lots)).mean(axis=0).T),
    )


def _order(values: np.ndarray) -> np.ndarray:
    """Spearman's correlation with the place, along the last axis."""
    n = values.shape[-1]
    if n < 3 or not values.size:
        return np.full(values.shape[:-1], np.nan)
    return spearman(values, np.arange(n))


def _as_many(of_levels: list[np.ndarray]) -> list[np.ndarray]:
    """As many of each level as there are of all: those of one place in the list are one tree."""
    n = min(map(len, of_levels))
    return [found[:n] for found in of_levels]


def _interval(value: float, draws: np.ndarray) -> Interval:
    """With the middle 95% of the draws, and the value itself: noise lowers an order, and the least
    of several, so that the draws may lie below it."""
    if not len(draws):
        return Interval(value, np.nan, np.nan)
    found = interval(value, draws)
    return replace(found, low=min(found.low, value), high=max(found.high, value))


def _against(
    names: list[tuple[str, str]],
    values: list[float],
    draws: list[np.ndarray],
    lots: list[np.ndarray],
) -> Against:
    """By level and kind: the effect, its draws, and the same for random groupings."""
    each = {n: _interval(v, d) for n, v, d in zip(names, values, draws, strict=True)}
    least = _interval(float(np.min(values)), np.min(draws, axis=0))
    return Against(each, least, np.min(lots, axis=0))


def against_in_words(found: Against) -> pd.DataFrame:
    """`Against.table` as a page shows it, in points: one row per kind, one column per level."""

    def words(row: pd.Series) -> str:
        value, low, high = (f"{100 * row[name]:+.1f}" for name in ("value", "low", "high"))
        return f"{value} ({low} to {high})" if np.isfinite(row["low"]) else value

    table = found.table.assign(words=found.table.apply(words, axis=1))
    wide = table.pivot(index="than", columns="level", values="words")
    wide = wide.loc[list(dict.fromkeys(table["than"])), list(dict.fromkeys(table["level"]))]
    return wide.rename_axis(index="advantage over", columns=None)


def leads_table(
    recording: Recording, along: str, level: str | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """The lead over each kind of control along the epochs or the layers.

    Args:
        recording, along: see `places_of`.
        level: by default the mean of all above the fine one.
        seed: of the bootstrap.

    Returns:
        than (in words), epoch, layer, level, value, low, high, n (test images).
    """
    places = places_of(recording, along)
    names = recording.hierarchy.names[1:] if level is None else [level]
    each = [leads(recording, name, places, seed=seed) for name in names]
    n = 0 if only_accuracies(recording) else images_judged(recording, live=False)
    rows = []
    for kind in each[0].values:
        value = np.mean([one.values[kind] for one in each], axis=0)
        draws = np.mean([one.draws[kind] for one in each], axis=0)
        for (epoch, layer), v, d in zip(places, value, draws, strict=True):
            where = {"than": WORDS[kind], "epoch": epoch, "layer": layer,
                     "level": level or "mean of the levels"}  # fmt: skip
            rows.append(table_row(where, _interval(float(v), d), n))
    return pd.DataFrame(rows)
