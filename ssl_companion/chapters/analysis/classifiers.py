"""Nearest class means beside trained classifiers: linear and kNN accuracy, and few labels.

How their accuracies go together over epochs, layers and runs, and which other measures would
predict a classifier as well as clustering does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import (
    Runs,
    by_place,
    final,
    start,
    with_intervals,
)
from ssl_companion.data.threads import tensor_threads
from ssl_companion.measures import Interval, LinearProbe, NearestCentroid, bootstrap
from ssl_companion.measures.resampling import draw_counts, interval, pearson, spearman
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import RANDOM_IMAGE

PROBES = ("linear", "knn")


def accuracies(recording: Recording, level: str = "fine") -> pd.DataFrame:
    """NCC, linear and kNN accuracy wherever all images were probed.

    Returns:
        recording, epoch, layer, ncc, linear, knn; fractions of the test images. kNN was
        measured of the fine classes only.
    """
    rows = recording.select(split="test", level=level)
    rows = rows[rows["measure"].isin(("ncc", *PROBES))]
    wide = rows.pivot_table(index=["epoch", "layer"], columns="measure", values="value")
    wide = wide.reindex(columns=["ncc", *PROBES]).dropna(subset=["ncc", "linear"]).reset_index()
    wide["_place"] = wide["layer"].map({name: i for i, name in enumerate(recording.layers)})
    wide = wide.sort_values(["epoch", "_place"]).drop(columns="_place")
    wide.insert(0, "recording", recording.name)
    wide.columns.name = None
    return wide.reset_index(drop=True)


def self_supervised(recordings: Runs) -> dict[str, Recording]:
    """The runs that saw no labels; what was trained on them is no evidence."""
    return {
        name: run
        for name, run in recordings.items()
        if run.run["config"]["objective"]["name"] != "supervised"
    }


def over_runs(recordings: Runs, level: str = "fine") -> pd.DataFrame:
    """Every self-supervised run at its end, and what it gained over its own initialisation.

    Returns:
        recording, title, ncc, linear, knn, and ncc_gain, linear_gain, knn_gain (differences).
    """
    rows = []
    for name, run in self_supervised(recordings).items():
        values = {what: by_place(run, what, level)[-1] for what in ("ncc", *PROBES)}
        probed = np.flatnonzero(~np.isnan(values["ncc"] + values["linear"]))
        if len(probed) < 2:
            continue
        ends = {what: of_epochs[probed[[0, -1]]] for what, of_epochs in values.items()}
        row = {"recording": name, "title": run.title}
        row |= {what: last for what, (_, last) in ends.items()}
        row |= {f"{what}_gain": last - first for what, (first, last) in ends.items()}
        rows.append(row)
    measures = ["ncc", *PROBES, "ncc_gain", "linear_gain", "knn_gain"]
    return pd.DataFrame(rows, columns=["recording", "title", *measures])


def apart(table: pd.DataFrame) -> pd.DataFrame:
    """The runs of `over_runs` in which NCC accuracy rose and the linear probe's fell, or the other
    way round: all columns, the widest apart first."""
    parted = table[table["ncc_gain"] * table["linear_gain"] < 0]
    width = (parted["ncc_gain"] - parted["linear_gain"]).abs()
    return parted.loc[width.sort_values(ascending=False).index].reset_index(drop=True)


def correlation(
    x: Sequence[float] | np.ndarray | pd.Series,
    y: Sequence[float] | np.ndarray | pd.Series,
    kind: str = "spearman",
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Correlation in [-1, 1] with its bootstrap interval over pairs (runs, epochs, layers).

    Args:
        x, y: [N] each.
        kind: "spearman" (of ranks) or "pearson".
        resamples, seed: of the bootstrap.

    Returns:
        NaN in all three numbers where x or y does not vary, or for fewer than three pairs.

    Raises:
        ValueError: unequal lengths, or an unknown kind.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"x, y: shapes {a.shape}, {b.shape}; expected [N] both")
    if kind not in ("spearman", "pearson"):
        raise ValueError(f"kind: {kind!r}; expected 'spearman' or 'pearson'")
    if len(a) < 3:
        return _UNKNOWN
    of = spearman if kind == "spearman" else pearson
    return bootstrap(lambda rows: of(a[rows], b[rows]), len(a), resamples=resamples, seed=seed)


def correlation_ahead(
    x: Sequence[float] | np.ndarray | pd.Series,
    rival: Sequence[float] | np.ndarray | pd.Series,
    y: Sequence[float] | np.ndarray | pd.Series,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """By how much Spearman's correlation of x with y exceeds that of a rival with y.

    Both are of the same rows (runs), so both are drawn again together; whether their own
    intervals overlap says nothing of the difference.

    Args:
        x, rival, y: [N] each.
        resamples, seed: of the bootstrap over rows.

    Returns:
        A difference in [-2, 2]; NaN where a correlation is not defined, or for N < 3.

    Raises:
        ValueError: unequal lengths.
    """
    a, c, b = (np.asarray(v, np.float64) for v in (x, rival, y))
    if not a.shape == b.shape == c.shape or a.ndim != 1:
        raise ValueError(f"x, rival, y: shapes {a.shape}, {c.shape}, {b.shape}; expected [N] each")
    if len(a) < 3:
        return _UNKNOWN

    def ahead(rows: np.ndarray) -> np.ndarray:
        return spearman(a[rows], b[rows]) - spearman(c[rows], b[rows])

    return bootstrap(ahead, len(a), resamples=resamples, seed=seed)


_UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


def few_labels(
    recording: Recording,
    labels_per_class: Sequence[int] = (1, 2, 5, 10),
    epochs: Sequence[int] | None = None,
    *,
    layer: str | None = None,
    level: str = "fine",
    draws: int = 10,
    seed: int = 0,
    resamples: int = 500,
) -> pd.DataFrame:
    """Accuracy on the kept test images when only a few kept training images have labels.

    The intervals are over test images and over the choice of the labelled ones: both are drawn
    again, each on its own (Owen 2007, doi:10.1214/07-AOAS122). Of the choice they hold what is
    in the kept training images; where all of those have labels there is one choice only.

    Args:
        recording: with features.
        labels_per_class: labelled images of each *fine* class; counts above those kept are
            left out.
        epochs: by default the first and the last that keep training images.
        layer: by default the last.
        level: of the labels.
        draws: how many choices of the labelled images are averaged.
        seed: of the choices and of the bootstrap.
        resamples: draws of the bootstrap.

    Returns:
        epoch, labels, classifier ("nearest centroid" or "linear probe"), value, low, high, n,
        choices (of labelled images), and ahead, ahead_low, ahead_high: by how much the
        classifier is more accurate than the other (both fitted to the same choices and tested
        on the same images).
    """
    kept = recording.kept_epochs(layer, "train")
    epochs = (kept[0], kept[-1]) if epochs is None else epochs
    fine = recording.fine("train")
    here = recording.hierarchy.level(level)
    z = here.labels(recording.fine("test"))
    kept_of_each = np.bincount(fine)
    counts = [m for m in labels_per_class if m <= int(kept_of_each.min())]
    once = {m for m in counts if m == int(kept_of_each.max())}  # all of them: one choice
    choices = {
        m: [_choose(fine, m, seed + i) for i in range(1 if m in once else draws)] for m in counts
    }
    rows = []
    for epoch in epochs:
        x = recording.features(epoch, layer, "train")
        test = recording.features(epoch, layer, "test")
        for m in counts:
            found: dict[str, list[np.ndarray]] = {name: [] for name in _BOTH}
            for chosen in choices[m]:
                y = here.labels(fine[chosen])
                rules: dict[str, NearestCentroid | LinearProbe] = {
                    "nearest centroid": NearestCentroid(),
                    "linear probe": _probe(),
                }
                with tensor_threads(1):  # many small fits
                    for name, rule in rules.items():
                        found[name].append(np.asarray(rule.fit(x[chosen], y).predict(test)) == z)
            hits = {name: np.array(hit, np.float64) for name, hit in found.items()}
            drawn = {name: _drawn_again(hit, resamples, seed) for name, hit in hits.items()}
            for name, other in (_BOTH, _BOTH[::-1]):
                own = interval(hits[name].mean(), drawn[name])
                lead = interval(hits[name].mean() - hits[other].mean(), drawn[name] - drawn[other])
                rows.append({"epoch": epoch, "labels": m, "classifier": name, "value": own.value,
                             "low": own.low, "high": own.high, "n": len(z),
                             "choices": len(choices[m]), "ahead": lead.value,
                             "ahead_low": lead.low, "ahead_high": lead.high})  # fmt: skip
    return pd.DataFrame(rows)


_BOTH = ("nearest centroid", "linear probe")


def _drawn_again(hits: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means of [choices, images] with choices and images drawn again: float64 [resamples]."""
    rng = np.random.default_rng(seed)
    weights = [draw_counts(n, resamples, rng) / n for n in hits.shape]
    means: np.ndarray = ((weights[0] @ hits) * weights[1]).sum(axis=1)
    return means


def _probe() -> LinearProbe:
    # A stronger penalty than with all labels: there are fewer points than dimensions.
    return LinearProbe(l2=1e-2, max_iter=100)


def _choose(fine: np.ndarray, m: int, seed: int) -> np.ndarray:
    """m rows of each class."""
    order = np.random.default_rng(seed).permutation(len(fine))
    rows = [order[fine[order] == k][:m] for k in np.unique(fine)]
    return np.concatenate(rows)


CLASSIFIER_NAMES = {
    "ncc": "nearest class mean",
    "linear": "linear probe",
    "knn": "nearest neighbours",
}


def accuracies_through_training(recording: Recording, level: str = "fine") -> pd.DataFrame:
    """Accuracy of the three classifiers through training, last layer, all test images.

    Returns:
        epoch, classifier (as `CLASSIFIER_NAMES` has it), value, low, high (Wilson's 95% interval,
        1927, doi:10.1080/01621459.1927.10502953), n. Only epochs at which probes were fitted.
    """
    rows = recording.select(split="test", level=level, layer=recording.layers[-1])
    probed = rows.loc[rows["measure"] == "linear", "epoch"]
    rows = rows[rows["measure"].isin(CLASSIFIER_NAMES) & rows["epoch"].isin(probed)]
    rows = rows.sort_values("epoch", kind="stable")
    order = {measure: i for i, measure in enumerate(CLASSIFIER_NAMES)}
    rows = rows.sort_values("measure", key=lambda names: names.map(order), kind="stable")
    out = with_intervals(rows.assign(classifier=rows["measure"].map(CLASSIFIER_NAMES)))
    return out[["epoch", "classifier", "value", "low", "high", "n"]].reset_index(drop=True)


def probe_accuracies_over_epochs(recording: Recording, level: str = "fine") -> pd.DataFrame:
    """`accuracies` of the last layer: a row an epoch."""
    table = accuracies(recording, level)
    return table[table["layer"] == recording.layers[-1]].reset_index(drop=True)


def probe_accuracies_over_layers(recording: Recording, level: str = "fine") -> pd.DataFrame:
    """`accuracies` of the last epoch at which more than one layer was probed: a row a
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
                rows.append({"over": over, "classifier": CLASSIFIER_NAMES[probe], "value": r.value,
                             "low": r.low, "high": r.high, "n": len(known)})  # fmt: skip
    return pd.DataFrame(rows, columns=["over", "classifier", "value", "low", "high", "n"])


def long_form(table: pd.DataFrame) -> pd.DataFrame:
    """Columns ncc, accuracy, classifier: a row for each probe that was fitted."""
    parts = [
        pd.DataFrame(
            {"ncc": table["ncc"], "accuracy": table[probe], "classifier": CLASSIFIER_NAMES[probe]}
        )
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
        among the images, CDNV at `level` of the training images with its sign turned, so that
        more is better of all, the effective rank and the decay of the spectrum, whose sign is
        turned too. A measure that fewer than three runs have is left out.
    """
    runs = self_supervised(recordings).values()

    def told(run: Recording, measure: str = "ncc", **where: str) -> float:
        grown = final(run, measure, **where) - (start(run, measure, **where) if gains else 0.0)
        return -grown if measure in _LESS_IS_BETTER else grown

    predictors = {
        f"NCC accuracy, {level}": {"level": level},
        "NCC accuracy, sample": {"level": "sample"},
        "NCC accuracy, shuffled labels": {"level": RANDOM_IMAGE},
        f"less CDNV, {level}": {"measure": "cdnv", "level": level, "split": "train"},
        "effective rank (RankMe)": {"measure": "effective_rank", "level": "all"},
        "flatter spectrum (alpha-ReQ)": {"measure": "alpha_req", "level": "all"},
    }
    values = pd.DataFrame(
        {name: [told(run, **where) for run in runs] for name, where in predictors.items()}
    ).assign(linear=[told(run, "linear", level=level) for run in runs])
    first = next(iter(predictors))
    predictors = {n: of for n, of in predictors.items() if n == first or values[n].count() >= 3}
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


_LESS_IS_BETTER = ("cdnv", "alpha_req")
_RIVAL_COLUMNS = (
    "predictor", "value", "low", "high", "n", "ahead", "ahead_low", "ahead_high",
)  # fmt: skip
