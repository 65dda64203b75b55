"""A table with every run, misses included: does what holds for one hold elsewhere?"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ssl_companion.findings.depth_time import mean_order
from ssl_companion.findings.downstream import self_supervised
from ssl_companion.findings.live import Runs, at_epoch
from ssl_companion.findings.targets import grouping_accuracies
from ssl_companion.recordings import Recording, open_recording
from ssl_companion.recordings.format import FEATURES

FAMILIES = ("clustering", "methods", "architecture", "hyperparameters")


def every_run(recordings: Runs, level: str = "coarse", luck: float | None = None) -> pd.DataFrame:
    """Every run at its end beside its own start, over all test images; none is left out.

    Args:
        recordings: runs by name.
        level: of the advantage.
        luck: taken off the advantages; by default `luck_of_the_grouping` of these runs, and
            nothing where none of them can tell.

    Returns:
        recording, title, family (the preset), start and ncc (fine NCC accuracy), ratio (ncc
        over start), advantage (of `level` over one random grouping of its sizes, at the end
        less before training, less `luck`), time and depth (order of accuracy along epochs and
        layers, averaged over levels), linear, sample.
    """
    luck = luck_of_the_grouping(recordings, level) if luck is None else luck
    luck = 0.0 if np.isnan(luck) else luck
    return pd.DataFrame([_row(name, run, level, luck) for name, run in recordings.items()])


def _row(name: str, run: Recording, level: str, luck: float) -> dict[str, object]:
    first, last = run.epochs[0], run.epochs[-1]
    start, end = at_epoch(run, first), at_epoch(run, last)
    if level not in run.hierarchy.names:
        level = run.hierarchy.names[1]
    return {
        "recording": name,
        "title": run.title,
        "family": name.partition("-")[0],
        "start": start,
        "ncc": end,
        "ratio": end / start if start > 0 else float("nan"),
        "advantage": advantage(run, last, level) - advantage(run, first, level) - luck,
        "time": mean_order(run, "epoch"),
        "depth": mean_order(run, "depth"),
        "linear": at_epoch(run, last, "linear"),
        "sample": at_epoch(run, last, level="sample"),
    }


def advantage(run: Recording, epoch: int, level: str) -> float:
    """NCC accuracy of a level less that of its random control, at an epoch."""
    return at_epoch(run, epoch, level=level) - at_epoch(run, epoch, level=f"random-{level}")


GROUPINGS = 100


def luck_of_the_grouping(recordings: Runs, level: str = "coarse") -> float:
    """By how much the recorded advantages grow too much, as they are over one random grouping.

    Every run is measured against the same grouping, and some groupings throw together classes
    that no training brings closer. Over many groupings that evens out, but they need features,
    which some runs keep: there the difference is measured.

    Args:
        recordings: runs by name.
        level: as in `every_run`.

    Returns:
        Growth under the mean of `GROUPINGS` groupings less that under the recorded one, averaged
        over the runs that keep features of their first and last epoch; NaN without any.
    """
    found = []
    for run in recordings.values():
        kept = run.kept_epochs() if run.has_features else ()
        if len(kept) > 1 and (kept[0], kept[-1]) == (run.epochs[0], run.epochs[-1]):
            own = level if level in run.hierarchy.names else run.hierarchy.names[1]
            changed = (run.path / FEATURES).stat().st_mtime_ns
            found.append(_luck(run.path, changed, own))
    return float(np.mean(found)) if found else float("nan")


@lru_cache(maxsize=64)
def _luck(path: Path, changed: int, level: str) -> float:
    run = open_recording(path)
    kept = run.kept_epochs()
    accuracy = grouping_accuracies(run, level, (kept[0], kept[-1]), groupings=GROUPINGS)
    growth = accuracy[:, -1] - accuracy[:, 0]
    return float(growth.mean() - growth[0])  # the first is the one that is recorded


def intact_runs(recordings: Runs) -> dict[str, Recording]:
    """The runs that the claim is judged by: of the presets `FAMILIES`, without labels.

    Their objectives are whole. Of runs that differ by their seed alone, the one of the lowest
    seed. The preset regularizer is no part of it, not even its recipe (`settings.why_aside`).
    """
    chosen: dict[str, str] = {}
    for name in sorted(self_supervised(recordings), key=_seed_last):
        if name.startswith(FAMILIES):
            chosen.setdefault(without_seed(name), name)
    return {name: recordings[name] for name in chosen.values()}


_SEED = re.compile(r"-s(\d+)$")


def without_seed(name: str) -> str:
    """A recording's name without its "-s<seed>"."""
    return _SEED.sub("", name)


def _seed_last(name: str) -> tuple[str, int]:
    match = _SEED.search(name)
    return without_seed(name), int(match[1]) if match else 0
