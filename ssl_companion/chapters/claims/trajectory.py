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

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ssl_companion.chapters.analysis import (
    clustering,
    level_controls,
    random_targets,
)
from ssl_companion.chapters.analysis.accuracies import (
    RESAMPLES,
    NotRecorded,
    Runs,
    final,
    over_seeds,
    start,
)
from ssl_companion.chapters.analysis.depth_and_time import mean_order
from ssl_companion.chapters.analysis.level_controls import Against
from ssl_companion.chapters.claims import known
from ssl_companion.chapters.claims import runs as chosen
from ssl_companion.chapters.claims.decision import Control, Verdict, least
from ssl_companion.chapters.claims.evidence import Evidence, Part
from ssl_companion.chapters.claims.rules import SEMANTIC
from ssl_companion.chapters.claims.runs import (
    ONE_RUN,
    SEEDS,
    is_looked_at,
    runs_to_judge_apart,
    seeds,
    small_seeds,
)
from ssl_companion.measures import Interval
from ssl_companion.measures.resampling import interval
from ssl_companion.recordings import Recording, RecordingError
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


def clusters(recordings: Runs) -> Evidence:
    """How many times over its initialisation fine NCC accuracy rises.

    Controls: the runs whose answer is known, and each run's own images with their labels permuted.
    """
    parts, notes, small = [], [], small_seeds(recordings)
    answers = _answers(recordings, _ratio, ratios=True)
    for looked in runs_to_judge_apart(recordings, chosen.with_training_images):
        run = looked.run
        if small and looked.which == ONE_RUN:
            continue  # it is judged with the others below
        permuted = Control(_PERMUTED, clustering.gain_on_permuted_labels(run), "no", (looked.name,))
        controls = (*answers(looked.size), permuted)
        part = Part(
            clustering.gain(run), controls, f"1 run: {len(run.fine()):,} test images",
            (looked.name,), looked.size, looked.which, pilot=True,
        )  # fmt: skip
        notes.append(f"{start(run):.1%} before training, {final(run):.1%} after ({looked.name})")
        same = seeds(recordings) if not looked.which else []
        parts.append(_over_seeds(part, same) if len(same) >= SEEDS else part)
    if small:
        names, count = chosen.names_of_small(small), f"{len(small)} seeds"
        permuted = Control(_PERMUTED, _ratios(small, RANDOM_IMAGE), "no", names)
        controls = (*answers(chosen.SMALL_SIZE), permuted)
        parts.append(Part(_ratios(small), controls, count, names, chosen.SMALL_SIZE, count))
    ends = f"NCC accuracy over all test images: {'; '.join(notes)}." if notes else ""
    return _evidence(recordings, parts, ends)


def _answers(
    recordings: Runs, measure: Callable[[Recording], float], **how: Any
) -> Callable[[str], tuple[Control, ...]]:
    """Known answers by the size of the runs that they stand beside; see `known.controls`."""

    @functools.cache
    def answers(size: str) -> tuple[Control, ...]:
        return known.controls(recordings, measure, size=known.size_beside(size), **how)

    return answers


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
    """Growth of the coarse level's lead over the strongest kind of grouping, and over functions.

    The first rows are judged against groupings of classes at random, by looks and by the untrained
    network. A run that was measured against a teacher is judged again against random functions of
    the image: the teacher's answers before it was trained.
    """

    def measure(run: Recording, resamples: int = RESAMPLES) -> Against:
        return level_controls.growth_of_leads(run, run.hierarchy.names[1:2], resamples=resamples)

    parts, note = _of_levels(recordings, measure, is_looked_at, words=_OTHERS)
    parts += _against_functions(recordings)
    return _evidence(recordings, parts, note)


def every_level(recordings: Runs) -> Evidence:
    """The least growth of the lead over the strongest kind of grouping, among the upper levels."""
    words = "the label tree with its leaves shuffled"
    parts, note = _of_levels(recordings, level_controls.growth_of_leads, is_looked_at, words=words)
    return _evidence(recordings, parts, note)


def over_time(recordings: Runs) -> Evidence:
    """Order of the lead over the strongest kind of grouping along the epochs."""

    def measure(run: Recording, resamples: int = RESAMPLES) -> Against:
        return level_controls.order_of_leads(run, "epoch", resamples=resamples)

    parts, note = _of_levels(recordings, measure, is_looked_at, limits=_ORDER, words=_OTHERS)
    return _evidence(recordings, parts, note + _of_accuracy(recordings, "epoch"))


def over_depth(recordings: Runs) -> Evidence:
    """Order of that lead along the layers after training, by each way to read a layer.

    A run that keeps the last layer alone is passed over. Layers are read by their spatial means,
    and where a run was measured so, by taps that keep place. A run may be in order by one of these
    rulers and not by another: what is reproduced by one alone is *partly* so.
    """
    parts: list[Part] = []
    notes, rulers = [], []
    for ruler, words in level_controls.RULERS.items():

        def measure(run: Recording, ruler: str = ruler, resamples: int = RESAMPLES) -> Against:
            return level_controls.order_of_leads(run, "depth", ruler, resamples=resamples)

        def keeps(run: Recording, ruler: str = ruler) -> bool:
            return is_looked_at(run) and level_controls.has_layers(run, ruler)

        found, note = _of_levels(
            recordings, measure, keeps, limits=_ORDER, words=_OTHERS, by=f"by {words}"
        )
        parts += found
        rulers += [ruler] * len(found)
        notes.append(note)
    if set(rulers) == {""}:
        notes.append("No run was measured by taps that keep place.")
    notes.append(_of_accuracy(recordings, "depth").strip())
    note = " ".join(filter(None, notes))
    return replace(
        _evidence(recordings, parts, note), together=lambda verdicts: _by_rulers(rulers, verdicts)
    )


def _by_rulers(rulers: Sequence[str], verdicts: Sequence[Verdict | None]) -> Verdict:
    """The least of all verdicts; *partly* where one ruler reproduces it and another does not.

    Each ruler is judged by the least of its rows. Spatial means are one ruler, taps that keep place
    the other, of which all have to agree.
    """
    means, place = (
        [verdict for ruler, verdict in zip(rulers, verdicts, strict=True) if bool(ruler) is kept]
        for kept in (False, True)
    )
    each = [least(of) for of in (means, place)]
    if each.count(Verdict.REPRODUCED) == 1:
        return Verdict.PARTLY
    return least(verdicts)


_OTHERS = "other random groupings in the level's place"
_RECIPE = "recipe"
_ORDER = (-1.0, 1.0)


def _of_levels(
    recordings: Runs,
    measure: Callable[..., Against],
    keeps: Callable[[Recording], bool],
    *,
    words: str,
    by: str = "",
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[list[Part], str]:
    """A part for each run that is judged apart, one for the seeds of the recipe, and a note.

    Args:
        recordings: by name.
        measure: leads over each kind of control, in a run; it takes `resamples`, too.
        keeps: whether a run keeps what that takes.
        words: what the random groupings are that take the levels' place.
        by: how a layer is read, in words.
        limits: see `over_seeds`.
    """
    parts, notes = [], []

    def value(run: Recording) -> float:
        return measure(run, resamples=0).least.value

    answers = _answers(recordings, value, limits=limits)
    for looked in runs_to_judge_apart(recordings, keeps):
        found = measure(looked.run)
        lots = found.lots[np.isfinite(found.lots)]
        played = interval(float(lots.mean()) if len(lots) else math.nan, found.lots)
        controls = (Control(words, played, "no", (looked.name,)), *answers(looked.size))
        classes = looked.run.hierarchy.levels[0].k
        over = f"1 run: interval over {classes} classes and their groupings"
        parts.append(
            Part(
                found.least,
                controls,
                over,
                (looked.name,),
                looked.size,
                looked.which,
                by,
                pilot=True,
            )
        )
        notes.append(_each_kind(found, looked.name, in_points=math.isinf(limits[0])))
    recipe, values = known.known_runs(recordings, _RECIPE, known.TRAJECTORY), []
    for run in recipe:
        with contextlib.suppress(NotRecorded, RecordingError):
            values.append(value(run))
    if len(values) == len(recipe) >= SEEDS:
        effect, names = over_seeds(values, limits=limits), tuple(run.name for run in recipe)
        count = f"{len(recipe)} seeds"
        controls = answers(chosen.SMALL_SIZE)
        parts.append(Part(effect, controls, count, names, chosen.SMALL_SIZE, count, by))
    return parts, " ".join(notes)


def _each_kind(found: Against, name: str, *, in_points: bool) -> str:
    """The effect over each kind of control, in a sentence: of the level where it is least."""
    least_of = found.table.groupby("than", sort=False)["value"].min()
    said = [
        f"{than} " + (f"{100 * v:.1f} points" if in_points else f"{v:.2f}").replace("-", "−")
        for than, v in least_of.items()
    ]
    several = " (least over the levels)" if found.table["level"].nunique() > 1 else ""
    return f"{name}, against each kind of groups{several}: {', '.join(said)}."


def _of_accuracy(recordings: Runs, along: str) -> str:
    """The order of accuracy itself, which all groupings have a part in."""
    if not (plain := [(run.name, mean_order(run, along)) for run in seeds(recordings)]):
        return ""
    names, values = zip(*plain, strict=True)
    each = ", ".join(f"{value:.2f}" for value in values)
    return f" The same correlation of accuracy itself ({', '.join(names)}): {each}."


_TEACHER = "targets-teacher-s0"
# Runs that keep features of both ends, for a control that no table has.
_ON_FUNCTIONS = {
    "methods-supervised-s0": known.KINDS["supervised"],
    "regularizer-invariance-only-s0": known.KINDS["collapsed"],
}


def _against_functions(recordings: Runs) -> list[Part]:
    """Growth on the true classes less that on a random function, of runs measured against one."""
    found = runs_to_judge_apart(recordings, random_targets.has_random_function)
    answers = _known_on_functions(recordings) if found else []
    parts = []
    for looked in found:
        lots = random_targets.growth_over_function(looked.run, of=RANDOM_IMAGE)
        by_lot = Control(_PERMUTED, lots, "no", (looked.name,))
        effect, n = random_targets.growth_over_function(looked.run), _test_images(looked.run)
        parts.append(Part(
            effect, (*answers, by_lot), f"1 run: {n:,} test images", (looked.name,),
            looked.size, looked.which, "against random functions", SEMANTIC, pilot=True,
        ))  # fmt: skip
    return parts


def _known_on_functions(recordings: Runs) -> list[Control]:
    """The same of runs whose answer is known, by their kept test images."""
    controls = []
    for name, of in _ON_FUNCTIONS.items():
        with contextlib.suppress(KeyError, IndexError, RecordingError):
            effect = random_targets.live_growth_over_function(
                recordings[name], recordings[_TEACHER]
            )
            controls.append(Control(of.words, effect, of.answer, (name,)))
    return controls


def _test_images(run: Recording) -> int:
    return int(run.run["data"]["test_images"])
