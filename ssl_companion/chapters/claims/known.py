"""Runs whose answer is known, by which every rule is held: the preset "controls".

Supervised training surely clusters the classes it is taught, aligns with them and forgets what
they do not need; a network trained on random labels, one that invariance alone has collapsed
and one that was not trained at all surely do nothing of the kind. All have three seeds. A rule
that comes to no on the first, or to yes on one of the others, tells nothing apart.

A run is best held by runs of its own size. The rules about the trajectory take labels and labels by
lot on its network and all of its images where these are recorded (`FULL_SIZE`, `TRAJECTORY`); those
that compare settings, and those about classes held out of training, take the smaller ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from ssl_companion.chapters.analysis.accuracies import NotRecorded, Runs, over_seeds
from ssl_companion.chapters.claims import runs as chosen
from ssl_companion.chapters.claims.decision import Control
from ssl_companion.chapters.claims.runs import SEEDS, recordings_by_name, same_training
from ssl_companion.measures import Interval
from ssl_companion.recordings import DamagedError, Recording, RecordingError

PRESET = "controls"
# In the names of runs with the network and the images of the small trajectory, and of the full-size
# one.
TRAJECTORY, FULL_SIZE = "-64", "-250"
# What takes their place where fewer than `SEEDS` are recorded.
_SMALLER = {FULL_SIZE: TRAJECTORY, TRAJECTORY: ""}


class Known(NamedTuple):
    """A kind of run, in words, and the answer that every rule has to give on it."""

    words: str
    answer: Literal["yes", "no"]


KINDS: dict[str, Known] = {
    "supervised": Known("trained on the labels", "yes"),
    "by-lot": Known("trained on random labels", "no"),
    "collapsed": Known("trained for invariance alone", "no"),
    "untrained": Known("not trained", "no"),
}


def known_runs(recordings: Runs, kind: str, size: str = "") -> list[Recording]:
    """The runs of a kind ("recipe" or one of `KINDS`), by seed, all of one training.

    Args:
        recordings: by name.
        kind: as in the runs' names.
        size: `FULL_SIZE` or `TRAJECTORY` for those of its size, if there are `SEEDS` or more of
            them; else the next smaller.
    """
    if size:
        runs = known_runs(recordings, kind + size)
        return runs if len(runs) >= SEEDS else known_runs(recordings, kind, _SMALLER[size])
    named = re.compile(rf"{PRESET}-{kind}-s(\d+)")
    found = {int(m[1]): run for name, run in recordings.items() if (m := named.fullmatch(name))}
    runs = [found[seed] for seed in sorted(found)]
    return [run for run in runs if same_training(run, runs[0])]


def size_beside(words: str) -> str:
    """The size of the known answers that stand beside runs of a size in words, as "full size"."""
    return FULL_SIZE if words == chosen.FULL_SIZE else TRAJECTORY


def beside_known(yours: Runs) -> Runs:
    """Somebody's own runs, with the book's runs whose answer is known to hold the rules by.

    The recipe among these is evidence, and not somebody else's.
    """
    book, recipe = recordings_by_name(), f"{PRESET}-recipe"
    answers = {n: run for n, run in book.items() if n.startswith(f"{PRESET}-")}
    return {n: run for n, run in answers.items() if not n.startswith(recipe)} | dict(yours)


def controls(
    recordings: Runs,
    measure: Callable[[Recording], float],
    *,
    size: str = "",
    ratios: bool = False,
    limits: tuple[float, float] = (-math.inf, math.inf),
    lost: Callable[[Recording], str] = lambda run: "",
) -> tuple[Control, ...]:
    """What a measure comes to on each kind of run that is recorded.

    Args:
        recordings: by name.
        measure: a run's effect, in the rule's unit; it may be NaN, or raise `NotRecorded` or
            `RecordingError` where a run does not keep what it takes (that run is passed over).
        size: see `known_runs`.
        ratios: average over seeds as ratios.
        limits: what the measure can be at all, as -1 and 1 for a correlation.
        lost: why a run's effect does not count; "" where it does.

    Returns:
        A control a kind, with Student's interval over its seeds, if there are `SEEDS` or more.
    """
    out = []
    for kind, known in KINDS.items():
        values, names, whys = [], [], []
        for run in known_runs(recordings, kind, size):
            try:
                values.append(measure(run))
            except DamagedError:
                raise
            except (NotRecorded, RecordingError):
                continue
            names.append(run.name)
            whys.append(lost(run))
        if values:
            several = f" in {names[0]}, for one" if len(names) > 1 else ""
            gone = whys[0] + several if all(whys) else ""
            effect = _mean(values, ratios, limits)
            out.append(Control(known.words, effect, known.answer, tuple(names), gone))
    return tuple(out)


def _mean(values: list[float], ratios: bool, limits: tuple[float, float]) -> Interval:
    if len(values) >= SEEDS and all(map(math.isfinite, values)):
        return over_seeds(values, ratios=ratios, limits=limits)
    return Interval(sum(values) / len(values), math.nan, math.nan)
