"""What verdicts need of a recording whose features are dropped.

Features take megabytes. What the rules about levels ask of them is how many test images of every
fine class are found in their group, under the levels and under random groupings of their sizes, by
looks and by the untrained network, and at few places; in `groupings.safetensors` that is some 200
to 800 kB. A recording that keeps it when its features are dropped is judged as before, to the last
digit: `recalls` answers from either. To keep it:

    write_groupings(recording.path / "groupings.safetensors", counts_for_verdicts(recording))

and add its SHA-256 to run.json, where that has those of the others.
"""

from __future__ import annotations

import contextlib

import numpy as np

from ssl_companion.chapters.analysis.accuracies import NotRecorded
from ssl_companion.chapters.analysis.depth_and_time import places_along
from ssl_companion.chapters.analysis.level_controls import LOTS, groupings_against
from ssl_companion.data.hierarchy import Hierarchy, Level, random_grouping
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import EpochLayer
from ssl_companion.recordings.groupings import Groupings, class_hits


def counts_for_verdicts(recording: Recording) -> Groupings:
    """Hits of the kept test images under every grouping, and at every place, that verdicts take.

    The groupings are the hierarchy's levels ("fine", "coarse"), and for each above the fine one
    those that it is held against ("random-coarse", "pixels-coarse"). The places: the last layer at
    all its kept epochs, and every layer at the first and the last epoch that keep all.

    Args:
        recording: with features; without groupings by looks (`recordings.looks`) verdicts pass it
            over.

    Raises:
        NotRecorded: it keeps no features.
    """
    levels = recording.hierarchy.levels
    names, rows = [level.name for level in levels], [level.of_fine for level in levels]
    for level in levels[1:]:
        for kind, of_kind in groupings_against(recording, level.name).items():
            names += [f"{kind}-{level.name}"] * len(of_kind)
            rows += list(of_kind)
    groups = np.stack(rows)
    fine, counts = recording.fine(), recording.class_counts
    hits: dict[EpochLayer, np.ndarray] = {}
    for epoch, layer in _places(recording):
        x, means = recording.features(epoch, layer), recording.class_means(epoch, layer)
        hits[epoch, layer] = class_hits(x, fine, means, counts, groups)
    images = np.bincount(fine, minlength=groups.shape[1])
    return Groupings("", np.array(names), groups, dict.fromkeys(hits, images), hits)


def levels_judged(hierarchy: Hierarchy) -> list[Level]:
    """The levels, and the random groupings of the sizes of each that verdicts take."""
    upper = hierarchy.levels[1:]
    by_lot = [random_grouping(level, seed) for level in upper for seed in LOTS]
    return [*hierarchy.levels, *by_lot]


def _places(recording: Recording) -> list[tuple[int, str]]:
    found = places_along(recording, "epoch")
    with contextlib.suppress(NotRecorded):  # no epoch keeps all layers
        found += places_along(recording, "depth before training")
        found += places_along(recording, "depth")
    return list(dict.fromkeys((epoch, layer or recording.layers[-1]) for epoch, layer in found))
