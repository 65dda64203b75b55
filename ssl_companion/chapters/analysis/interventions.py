"""Interventions on the objective, looked into: which term fell, which images, which directions.

`regularizer` reads what was measured of all images; here the features that the runs keep are
searched now, so that every accuracy has an interval over images, and their spectrum is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import RESAMPLES, NotRecorded, Runs, hits, images_of
from ssl_companion.chapters.analysis.classifiers import correlation
from ssl_companion.chapters.analysis.regularizer import (
    seeds_of,
    switch_epoch,
    terms,
    terms_against_ncc,
)
from ssl_companion.measures.resampling import interval, resampled
from ssl_companion.recordings import Recording
from ssl_companion.training import model
from ssl_companion.training.config import run_config_from_dict
from ssl_companion.training.objectives import INVARIANCE_TERMS

_ROUNDING = 1e-6  # a share of variance below this is the rounding of the kept features


def recorded_term_weights(recording: Recording, epoch: int = 0) -> dict[str, float]:
    """The weight of each term in the run's total during `epoch` (from 0).

    Raises:
        ValueError: the run has no objective on pairs of views (it saw labels).
    """
    config = run_config_from_dict(recording.run["config"])
    if config.objective.name == "supervised":
        raise ValueError(f"{recording.name}: was trained on labels; expected a run without")
    return model.term_weights(config.objective, epoch)


def weighted_course(recording: Recording) -> pd.DataFrame:
    """What each term has added to the total since the first epoch: epoch, term, value.

    In units of the total: the weighted mean over an epoch's steps, less that of the first
    epoch; below 0 the term has fallen.

    Raises:
        ValueError: the weights change along the run, or it saw labels.
    """
    weights, losses = _lasting_weights(recording), recording.losses
    parts = [
        pd.DataFrame({
            "epoch": losses["epoch"],
            "term": term,
            "value": weights[term] * (losses[term] - losses[term].iloc[0]),
        })
        for term in terms(recording)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def decrease(recording: Recording) -> pd.DataFrame:
    """How much of the fall of the total each term made, from the first epoch to the last.

    Returns:
        term, kind ("invariance" or "regularizer"), weight, first, last (the raw terms, means
        over the steps of an epoch), decrease (weighted, in units of the total; negative where
        the term rose) and share (of the decrease of the total; the shares add up to 1).

    Raises:
        ValueError: the weights change along the run, or it saw labels.
    """
    weights, losses = _lasting_weights(recording), recording.losses
    rows = []
    for term in terms(recording):
        first, last = float(losses[term].iloc[0]), float(losses[term].iloc[-1])
        rows.append({
            "term": term,
            "kind": "invariance" if term in INVARIANCE_TERMS else "regularizer",
            "weight": weights[term],
            "first": first,
            "last": last,
            "decrease": weights[term] * (first - last),
        })  # fmt: skip
    table = pd.DataFrame(rows)
    return table.assign(share=table["decrease"] / table["decrease"].sum())


def _lasting_weights(recording: Recording) -> dict[str, float]:
    if np.isfinite(at := switch_epoch(recording)):
        raise ValueError(
            f"{recording.name}: its regularizer is switched after epoch {at:g}, and a total whose "
            "weights change has no one fall to share out; expected a run without a switch"
        )
    return recorded_term_weights(recording)


def decrease_against_gain(recording: Recording, level: str = "fine") -> pd.DataFrame:
    """Whether a term falls when NCC accuracy rises: Spearman's correlation over epochs.

    Returns:
        Two rows a term: term, kind, over ("so far": decrease and gain since the first epoch;
        "each step": since the measured epoch before), value, low, high, n. Only steps have an
        interval: what has happened so far shares its past with all that comes after.
    """
    table = terms_against_ncc(recording, level)
    steps = table.diff().iloc[1:]
    rows = []
    for term in terms(recording):
        where = {"term": term, "kind": "invariance" if term in INVARIANCE_TERMS else "regularizer"}
        for over, part in (("so far", table), ("each step", steps)):
            r = correlation(-part[term], part["ncc"])
            known = over == "each step"
            rows.append({
                **where,
                "over": over,
                "value": r.value,
                "low": r.low if known else np.nan,
                "high": r.high if known else np.nan,
                "n": len(part),
            })  # fmt: skip
    return pd.DataFrame(rows)


def one_row_per_term(correlations: pd.DataFrame) -> pd.DataFrame:
    """`decrease_against_gain`, a row for each term, to be shown: term, and a text for each span."""
    rows: dict[str, dict[str, str]] = {}
    for row in correlations.to_dict("records"):
        sure = f" ({row['low']:+.2f} to {row['high']:+.2f})" if row["low"] == row["low"] else ""
        unit = "steps" if row["over"] == "each step" else "epochs"
        cells = rows.setdefault(row["term"], {"term": row["term"]})
        value = f"{row['value']:+.2f}" if row["value"] == row["value"] else "not defined"
        cells[f"{row['over']} ({row['n']} {unit})"] = value + sure
    return pd.DataFrame(list(rows.values()))


def run_with_features(recordings: Runs, variant: str) -> Recording:
    """The run of a variant that keeps features.

    Raises:
        NotRecorded: there is none.
    """
    for run in seeds_of(recordings, variant):
        if run.has_features:
            return run
    raise NotRecorded(
        f"no run 'regularizer-{variant}-s*' keeps features: `ssl-companion record regularizer` "
        "makes one"
    )


def recorded(recordings: Runs, variants: Sequence[str]) -> list[str]:
    """Those of the variants, in their order, of which a run keeps features."""
    return [name for name in variants if any(r.has_features for r in seeds_of(recordings, name))]


def live_outcomes(
    recordings: Runs,
    variants: Sequence[str],
    level: str = "fine",
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """The end of each intervention, searched now on the kept held-out images.

    Args:
        recordings: all.
        variants: names such as "recipe", "invariance-only".
        level: name of a level, or "sample".
        seed, resamples: of the bootstrap over images.

    Returns:
        variant, words, recording, start, value (NCC accuracy before training and at the end),
        low, high (95%, of `value`), gain (value - start), gain_low, gain_high (paired over
        images), n.
    """
    rows = []
    for variant in variants:
        run = run_with_features(recordings, variant)
        kept = run.kept_epochs()
        hit = hits(run, level, (kept[0], kept[-1]), seed=seed)
        drawn = resampled(hit, images_of(run, level, hit.shape[1]), resamples, seed)
        first, last = hit.mean(axis=1)
        value, gain = interval(last, drawn[1]), interval(last - first, drawn[1] - drawn[0])
        rows.append({
            "variant": variant,
            "words": run.variant,
            "recording": run.name,
            "start": first,
            "value": last,
            "low": value.low,
            "high": value.high,
            "gain": gain.value,
            "gain_low": gain.low,
            "gain_high": gain.high,
            "n": hit.shape[1],
        })  # fmt: skip
    return pd.DataFrame(rows)


def variance_spectrum(recording: Recording, epoch: int) -> np.ndarray:
    """Share of the features' variance along each principal direction, descending, float64 [D].

    Of the kept held-out images, last layer; zeros where all features are the same.
    """
    x = recording.features(epoch).astype(np.float64)
    x -= x.mean(axis=0)
    values = np.linalg.eigvalsh(x.T @ x)[::-1].clip(min=0.0)
    total = values.sum()
    shares: np.ndarray = values / total if total > 0 else np.zeros_like(values)
    return shares


def spectra(runs: Mapping[str, Recording], epoch: int | None = None) -> pd.DataFrame:
    """`variance_spectrum` of several runs: line (its name), direction (from 1), value.

    Args:
        runs: by the name of the line.
        epoch: by default the last that each keeps.
    """
    parts = []
    for name, run in runs.items():
        shares = variance_spectrum(run, run.kept_epochs()[-1] if epoch is None else epoch)
        table = pd.DataFrame({"direction": np.arange(1, len(shares) + 1), "value": shares})
        parts.append(table[table["value"] > _ROUNDING].assign(line=name))
    return pd.concat(parts, ignore_index=True)


def directions_needed(shares: np.ndarray, of: float = 0.9) -> int:
    """How many principal directions hold the share `of` of the variance (0 if there is none)."""
    if not 0 < of < 1:
        raise ValueError(f"of: {of!r}; expected a share between 0 and 1")
    if not shares.sum() > 0:
        return 0
    return int(np.searchsorted(np.cumsum(shares), of) + 1)
