"""What verdicts need of a recording whose features are dropped.

Features take megabytes. What the rules about levels ask of them is how many test images of every
fine class are found in their group, under the levels and under random groupings of their sizes,
and at few places; in `groupings.safetensors` that is some 100 to 400 kB. A recording that keeps it
when its features are dropped is judged as before, to the last digit: `recalls` answers from
either. To keep it:

    write_groupings(recording.path / "groupings.safetensors", counts_for_verdicts(recording))

and add its SHA-256 to run.json, where that has those of the others.
"""

from __future__ import annotations

import contextlib

import numpy as np

from ssl_companion.chapters.analysis.accuracies import NotRecorded
from ssl_companion.chapters.analysis.balanced_accuracy import counted
from ssl_companion.chapters.analysis.depth_and_time import places_along
from ssl_companion.chapters.analysis.random_targets import groupings_judged
from ssl_companion.data.hierarchy import Hierarchy, Level
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import EpochLayer
from ssl_companion.recordings.groupings import Groupings, class_hits


def counts_for_verdicts(recording: Recording) -> Groupings:
    """Hits of the kept test images under every grouping, and at every place, that verdicts take.

    The groupings are the hierarchy's levels ("fine", "coarse"), and for each above the fine one
    those that it is held against and those that play it ("random-coarse"). The places: the last
    layer at all its kept epochs, and every layer at the first and the last epoch that keep all.

    Args:
        recording: with features.

    Raises:
        RecordingError: it keeps none.
    """
    levels = levels_judged(recording.hierarchy)
    groups = np.stack([level.of_fine for level in levels])
    fine, counts = recording.fine(), recording.class_counts
    hits: dict[EpochLayer, np.ndarray] = {}
    for epoch, layer in _places(recording):
        x, means = recording.features(epoch, layer), recording.class_means(epoch, layer)
        hits[epoch, layer] = class_hits(x, fine, means, counts, groups)
    images = np.bincount(fine, minlength=groups.shape[1])
    kinds = np.array([level.name for level in levels])
    return Groupings("", kinds, groups, dict.fromkeys(hits, images), hits)


def keeps_counts(recording: Recording) -> bool:
    """Whether a recording without features keeps counts under every grouping that verdicts take."""
    if (counts := counted(recording)) is None:
        return False
    kept = {group.tobytes() for group in counts.groups}
    return {level.of_fine.tobytes() for level in levels_judged(recording.hierarchy)} <= kept


def levels_judged(hierarchy: Hierarchy) -> list[Level]:
    """The groupings that verdicts take: the levels, and random ones of the sizes of each."""
    by_lot = [groupings_judged(level) for level in hierarchy.levels[1:]]
    return [*hierarchy.levels, *(one for drawn in by_lot for one in drawn)]


def _places(recording: Recording) -> list[tuple[int, str]]:
    found = places_along(recording, "epoch")
    with contextlib.suppress(NotRecorded):  # no epoch keeps all layers
        found += places_along(recording, "depth before training")
        found += places_along(recording, "depth")
    return list(dict.fromkeys((epoch, layer or recording.layers[-1]) for epoch, layer in found))
