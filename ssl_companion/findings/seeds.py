"""One setting under several seeds: what another initialisation and order of images change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ssl_companion.findings.clustering import ncc_over_epochs
from ssl_companion.findings.depth_time import mean_order
from ssl_companion.findings.live import final, over_seeds, start, table_row
from ssl_companion.measures import Interval
from ssl_companion.recordings import Recording


def ncc_over_seeds(
    runs: Sequence[Recording], levels: Sequence[str] | None = None, layer: str | None = None
) -> pd.DataFrame:
    """NCC accuracy over epochs, of all test images: the mean over seeds.

    Args:
        runs: that differ in their seed alone.
        levels: by default the hierarchy's.
        layer: by default the last.

    Returns:
        epoch, level, value, low, high (Student's 95% interval over seeds, cut at 0 and 1; NaN for
        a single run), n (runs); epochs that every run was measured at.
    """
    tables = [ncc_over_epochs(run, levels, layer, live=False) for run in runs]
    values = pd.concat(tables).groupby(["level", "epoch"], sort=False)["value"]
    rows = []
    for (level, epoch), found in values:
        if len(found) == len(runs):
            rows.append(table_row({"epoch": epoch, "level": level}, _mean(found), len(found)))
    return pd.DataFrame(rows)


def _mean(found: pd.Series) -> Interval:
    if len(found) < 2:
        return Interval(float(found.mean()), np.nan, np.nan)
    return over_seeds(found.tolist(), limits=(0, 1))


def by_seed(runs: Sequence[Recording], level: str = "fine") -> pd.DataFrame:
    """Each run in a row.

    Returns:
        recording, seed, before and after (NCC accuracy of all test images at `level`), time and
        depth (order along epochs, and along layers after training, averaged over levels), depth
        before training.
    """
    return pd.DataFrame(
        {
            "recording": run.name,
            "seed": run.run["seed"],
            "before": start(run, level=level),
            "after": final(run, level=level),
            "time": mean_order(run, "epoch"),
            "depth before training": mean_order(run, "depth before training"),
            "depth": mean_order(run, "depth"),
        }
        for run in runs
    )
