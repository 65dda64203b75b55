"""Nearest class mean against trained classifiers: courses, correlations, and rival predictors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from ssl_companion.findings.downstream import (
    PROBES,
    accuracies,
    correlation,
    correlation_ahead,
    self_supervised,
)
from ssl_companion.findings.live import CONFIDENCE, Runs, final, start
from ssl_companion.findings.targets import RANDOM_IMAGE
from ssl_companion.recordings import Recording

NAMES = {"ncc": "nearest class mean", "linear": "linear probe", "knn": "nearest neighbours"}


def courses(recording: Recording, level: str = "fine") -> pd.DataFrame:
    """Accuracy of the three classifiers through training, last layer, all test images.

    Returns:
        epoch, classifier (as `NAMES` has it), value, low, high (Wilson's 95% interval, 1927,
        doi:10.1080/01621459.1927.10502953), n. Only epochs at which probes were fitted.
    """
    rows = recording.select(split="test", level=level, layer=recording.layers[-1])
    probed = rows.loc[rows["measure"] == "linear", "epoch"]
    rows = rows[rows["measure"].isin(NAMES) & rows["epoch"].isin(probed)]
    out = []
    for measure, name in NAMES.items():
        line = rows[rows["measure"] == measure].sort_values("epoch")
        for epoch, value, n in line[["epoch", "value", "n"]].to_numpy(np.float64):
            right = stats.binomtest(round(value * n), int(n))
            ends = right.proportion_ci(CONFIDENCE, method="wilson")
            out.append({"epoch": int(epoch), "classifier": name, "value": value,
                        "low": ends.low, "high": ends.high, "n": int(n)})  # fmt: skip
    return pd.DataFrame(out, columns=["epoch", "classifier", "value", "low", "high", "n"])


def over_epochs(recording: Recording, level: str = "fine") -> pd.DataFrame:
    """`downstream.accuracies` of the last layer: a row an epoch."""
    table = accuracies(recording, level)
    return table[table["layer"] == recording.layers[-1]].reset_index(drop=True)


def over_layers(recording: Recording, level: str = "fine") -> pd.DataFrame:
    """`downstream.accuracies` of the last epoch at which more than one layer was probed: a row a
    layer; no rows where there is no such epoch."""
    table = accuracies(recording, level)
    layers = table.groupby("epoch")["layer"].transform("nunique")
    several = table[layers > 1]
    return several[several["epoch"] == several["epoch"].max()].reset_index(drop=True)


def correlations(tables: Mapping[str, pd.DataFrame], *, resamples: int = 2000) -> pd.DataFrame:
    """Spearman's correlation of NCC accuracy with each probe's, with its bootstrap interval.

    Args:
        tables: by what their rows are ("epochs", "layers", "runs"), each with the columns ncc,
            linear and knn.
        resamples: of the bootstrap over rows.

    Returns:
        over, classifier, value, low, high, n; NaN for fewer than three rows.
    """
    rows = []
    for over, table in tables.items():
        for probe in PROBES:
            known = table.dropna(subset=["ncc", probe])
            if len(known):
                r = correlation(known["ncc"], known[probe], resamples=resamples)
                rows.append({"over": over, "classifier": NAMES[probe], "value": r.value,
                             "low": r.low, "high": r.high, "n": len(known)})  # fmt: skip
    return pd.DataFrame(rows, columns=["over", "classifier", "value", "low", "high", "n"])


def long_form(table: pd.DataFrame) -> pd.DataFrame:
    """Columns ncc, accuracy, classifier: a row for each probe that was fitted."""
    parts = [
        pd.DataFrame({"ncc": table["ncc"], "accuracy": table[probe], "classifier": NAMES[probe]})
        for probe in PROBES
    ]
    return pd.concat(parts, ignore_index=True).dropna()


def rivals(recordings: Runs, level: str = "fine", *, gains: bool = False) -> pd.DataFrame:
    """What else could predict the linear probe, over all self-supervised runs at their end.

    Args:
        recordings: runs by name.
        level: of the probe.
        gains: of every measure, what it gained over the run's own initialisation.

    Returns:
        predictor, value, low, high (Spearman's correlation with the linear accuracy at `level`,
        bootstrap over runs), n, and ahead, ahead_low, ahead_high: by how much the correlation of
        NCC accuracy exceeds this one, over the runs that have both, paired; one row each for
        NCC accuracy at `level` (ahead: NaN), at the sample level and against labels shuffled
        among the images, and for the effective rank.
    """
    runs = self_supervised(recordings).values()

    def told(run: Recording, measure: str = "ncc", **where: str) -> float:
        return final(run, measure, **where) - (start(run, measure, **where) if gains else 0.0)

    predictors = {
        f"NCC accuracy, {level}": {"level": level},
        "NCC accuracy, sample": {"level": "sample"},
        "NCC accuracy, shuffled labels": {"level": RANDOM_IMAGE},
        "effective rank": {"measure": "effective_rank", "level": "all"},
    }
    values = pd.DataFrame(
        {name: [told(run, **where) for run in runs] for name, where in predictors.items()}
    ).assign(linear=[told(run, "linear", level=level) for run in runs])
    first = next(iter(predictors))
    rows = []
    for name in predictors:
        table = values[[name, "linear"]].dropna()
        r = correlation(table[name], table["linear"])
        row = {"predictor": name, "value": r.value, "low": r.low, "high": r.high, "n": len(table)}
        if name != first:
            both = values[[first, name, "linear"]].dropna()
            lead = correlation_ahead(both[first], both[name], both["linear"])
            row |= {"ahead": lead.value, "ahead_low": lead.low, "ahead_high": lead.high}
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=_RIVAL_COLUMNS)


_RIVAL_COLUMNS = (
    "predictor", "value", "low", "high", "n", "ahead", "ahead_low", "ahead_high",
)  # fmt: skip
