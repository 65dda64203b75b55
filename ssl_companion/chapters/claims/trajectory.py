"""Evidence from the trajectory: by each run that keeps what a claim takes, full size and small.

The recipe of the preset "clustering" was trained at full size, by this package and by an
independent implementation, and on a smaller network under several seeds (`claims.runs`). Each of
these is a part of the evidence and judged apart, by the same functions. A run that keeps what a
claim takes is judged live, by its test images, or over classes and groupings where it is about
levels; what that takes, one of the small runs keeps in place of its features (`kept_counts`).
Clustering can be read off the tables of all test images, so three seeds of a size are judged
together there, with Student's interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis import (
    clustering,
    depth_and_time,
    hierarchy,
)
from ssl_companion.chapters.analysis import random_targets as random_targets
from ssl_companion.chapters.analysis.accuracies import (
    NotRecorded,
    Runs,
    final,
    over_seeds,
    start,
)
from ssl_companion.chapters.analysis.depth_and_time import mean_order
from ssl_companion.chapters.claims import known
from ssl_companion.chapters.claims import runs as chosen
from ssl_companion.chapters.claims.decision import Control
from ssl_companion.chapters.claims.evidence import Evidence, Part
from ssl_companion.chapters.claims.runs import (
    ONE_RUN,
    SEEDS,
    Looked,
    runs_to_judge_apart,
    seeds,
    small_seeds,
)
from ssl_companion.measures import Interval
from ssl_companion.measures.resampling import interval
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import RANDOM_IMAGE


def _evidence(recordings: Runs, parts: list[Part], note: str) -> Evidence:
    """Evidence of these parts.

    Raises:
        NotRecorded: there is none.
    """
    if not parts:
        raise NotRecorded(
            "no run of the trajectory's recipe (clustering-vicreg-s*) with the features that this "
            "takes, from before training and from later"
        )
    used = [name for part in parts for name in part.recordings]
    said = (note, chosen.left_out(recordings, used))
    return Evidence(tuple(parts), " ".join(filter(None, said)))


def _live(looked: Looked, effect: Interval, control: Interval, over: str) -> Part:
    return Part(effect, control, over, (looked.name,), looked.size, looked.which)


def clusters(recordings: Runs) -> Evidence:
    """How many times over its initialisation fine NCC accuracy rises.

    Controls: the runs whose answer is known, and each run's own images with their labels permuted.
    """
    parts, notes, small = [], [], small_seeds(recordings)
    answers = known.controls(recordings, _ratio, ratios=True)
    for looked in runs_to_judge_apart(recordings, chosen.with_training_images):
        run = looked.run
        if small and looked.which == ONE_RUN:
            continue  # it is judged with the others below
        permuted = Control(_PERMUTED, clustering.gain_on_permuted_labels(run), "no", (looked.name,))
        part = Part(
            clustering.gain(run), (*answers, permuted), f"1 run: {len(run.fine())} test images",
            (looked.name,), looked.size, looked.which, pilot=True,
        )  # fmt: skip
        notes.append(f"{start(run):.1%} before training, {final(run):.1%} after ({looked.name})")
        same = seeds(recordings) if not looked.which else []
        parts.append(_over_seeds(part, same) if len(same) >= SEEDS else part)
    if small:
        names, count = chosen.names_of_small(small), f"{len(small)} seeds"
        permuted = Control(_PERMUTED, _ratios(small, RANDOM_IMAGE), "no", names)
        parts.append(Part(_ratios(small), (*answers, permuted), count, names, "small size", count))
    return _evidence(recordings, parts, f"NCC accuracy {'; '.join(notes)}." if notes else "")


_PERMUTED = "labels permuted among the images"


def _ratio(run: Recording) -> float:
    """Final accuracy over that before training, of all test images."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(final(run), start(run)))


def _over_seeds(part: Part, runs: list[Recording]) -> Part:
    """A part whose effect is over seeds instead of the images of one."""
    count, names = f"{len(runs)} seeds", tuple(run.name for run in runs)
    effect = _ratios(runs)
    return replace(part, effect=effect, over=count, recordings=names, which=count, pilot=False)


def _ratios(runs: list[Recording], level: str = "fine") -> Interval:
    """Final accuracy over that before training, of all test images, over seeds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [np.divide(final(run, level=level), start(run, level=level)) for run in runs]
    return over_seeds(found, ratios=True)


def semantic_over_random(recordings: Runs) -> Evidence:
    """Growth of the coarse classes' advantage over random groupings of their sizes."""
    parts, note = [], ""
    for looked in runs_to_judge_apart(recordings, chosen.from_the_start):
        run = looked.run
        level = run.hierarchy.levels[1]
        effect = random_targets.growth_of_advantage(run, level, live=False)
        played = random_targets.growth_of_controls(run, level, live=False)
        control = interval(float(played.mean()), played)
        parts.append(_live(looked, effect, control, _classes_and_groupings(looked)))
        note = note or f"Level {level.name!r}, {level.k} classes. {_shuffled(looked)}"
    return _evidence(recordings, parts, note)


def _shuffled(looked: Looked) -> str:
    first, last = (at(looked.run, level=RANDOM_IMAGE) for at in (start, final))
    return (
        f"Labels shuffled among the images: NCC accuracy {first:.1%} before training and "
        f"{last:.1%} after ({looked.name})."
    )


def _classes_and_groupings(looked: Looked) -> str:
    classes = looked.run.hierarchy.levels[0].k
    over = f"{classes} classes and {random_targets.RANDOM_GROUPINGS} groupings"
    return f"{over} of {ONE_RUN}" if looked.which == ONE_RUN else over


def every_level(recordings: Runs) -> Evidence:
    """The least growth of the advantage over random groupings, among the upper levels."""
    parts, note = [], ""
    for looked in runs_to_judge_apart(recordings, chosen.from_the_start):
        run = looked.run
        table, effect = hierarchy.growth_by_level(run, live=False)
        by_level = [
            random_targets.growth_of_controls(run, level, live=False) for level in table["level"]
        ]
        played = np.min(by_level, axis=0)  # the least of each shuffled tree
        control = interval(float(played.mean()), played)
        parts.append(_live(looked, effect, control, _classes_and_groupings(looked)))
        note = note or f"By level: {_by_level(table, '+.3f')} ({looked.name})."
    return _evidence(recordings, parts, note)


def _by_level(table: pd.DataFrame, form: str) -> str:
    return ", ".join(f"{level} {value:{form}}" for level, value in table[["level", "value"]].values)


def over_time(recordings: Runs) -> Evidence:
    """Order of the advantage over random groupings along the epochs, averaged over levels."""
    return _ordered(recordings, "epoch", chosen.from_the_start)


def over_depth(recordings: Runs) -> Evidence:
    """Order of the advantage over random groupings along the layers, after training.

    It takes every layer; a run that keeps the last alone is passed over.
    """
    return _ordered(recordings, "depth", chosen.with_every_layer)


def _ordered(recordings: Runs, along: str, keeps: Callable[[Recording], bool]) -> Evidence:
    parts, note = [], ""
    for looked in runs_to_judge_apart(recordings, keeps):
        run = looked.run
        table, effect = depth_and_time.order_of_advantage(run, along, live=False)
        played = depth_and_time.order_of_controls(run, along, live=False)
        finite = played[np.isfinite(played)]
        control = interval(float(finite.mean()) if len(finite) else float("nan"), played)
        parts.append(_live(looked, effect, control, _classes_and_groupings(looked)))
        note = note or _steps(looked, along, table)
    if plain := [(run.name, mean_order(run, along)) for run in seeds(recordings)]:
        note += f" Of accuracy itself ({', '.join(name for name, _ in plain)}): "
        note += ", ".join(f"{value:.2f}" for _, value in plain) + "."
    return _evidence(recordings, parts, note.strip())


def _steps(looked: Looked, along: str, table: pd.DataFrame) -> str:
    """How many there are, and the order at each level; of depth, before training as well."""
    run = looked.run
    count = len(depth_and_time.places_along(run, along))
    steps = "epochs" if along == "epoch" else "layers"
    note = f"{count} {steps} of {looked.name}. By level: {_by_level(table, '.2f')}."
    if along == "depth":
        before = depth_and_time.order_of_advantage(run, "depth before training", live=False)[1]
        note += f" Before training: {before.value:.2f}."
    return note
