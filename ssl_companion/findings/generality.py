"""A table with every run, misses included: does what holds for one hold elsewhere?"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from ssl_companion.findings.depth_time import order_of_rows
from ssl_companion.findings.downstream import self_supervised
from ssl_companion.findings.live import Runs, at_epoch
from ssl_companion.recordings import Recording

FAMILIES = ("clustering", "methods", "architecture", "hyperparameters")


def every_run(recordings: Runs, level: str = "coarse") -> pd.DataFrame:
    """Every run at its end beside its own start, over all test images; none is left out.

    Returns:
        recording, title, family (the preset), start and ncc (fine NCC accuracy), ratio (ncc
        over start), advantage (of `level` over one random grouping of its sizes, at the end
        less before training), time and depth (order along epochs and layers, averaged over
        levels), linear, sample.
    """
    return pd.DataFrame([_row(name, run, level) for name, run in recordings.items()])


def _row(name: str, run: Recording, level: str) -> dict[str, object]:
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
        "advantage": advantage(run, last, level) - advantage(run, first, level),
        "time": mean_order(run, "epoch"),
        "depth": mean_order(run, "depth"),
        "linear": at_epoch(run, last, "linear"),
        "sample": at_epoch(run, last, level="sample"),
    }


def advantage(run: Recording, epoch: int, level: str) -> float:
    """NCC accuracy of a level less that of its random control, at an epoch."""
    return at_epoch(run, epoch, level=level) - at_epoch(run, epoch, level=f"random-{level}")


def mean_order(run: Recording, along: str) -> float:
    """`order_of_rows` averaged over levels; NaN if any of them does not change."""
    return float(np.mean(order_of_rows(run, along)["value"].to_numpy()))


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
