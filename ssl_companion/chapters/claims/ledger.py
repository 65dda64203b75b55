"""The nine claims and their verdicts."""

from __future__ import annotations

import pandas as pd

from ssl_companion.chapters.analysis.accuracies import Runs
from ssl_companion.chapters.claims import compression, decision, many_runs, rules, trajectory
from ssl_companion.chapters.claims.evidence import Claim, LedgerRow
from ssl_companion.chapters.claims.runs import recordings_to_judge

_ALL = "`ssl-companion record`"
_TRAJECTORY = "`ssl-companion record targets clustering`"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "clustering",
        "Self-supervised training clusters samples by their semantic labels.",
        "NCC accuracy on the fine classes (test images, last layer) after training, over that of "
        "the same network before training",
        decision.CLUSTERING,
        "the same with labels permuted among the images",
        _TRAJECTORY,
        trajectory.clusters,
    ),
    Claim(
        "regularizer",
        "The clustering is driven by the objective's regularization term.",
        "the regularizer's share (Shapley's division) of the gain in NCC accuracy over "
        "initialisation, from runs with both terms and with either one alone",
        decision.REGULARIZER,
        "the same, with the recipe under other seeds in place of both interventions",
        "`ssl-companion record regularizer`",
        many_runs.regularizer_drives,
    ),
    Claim(
        "downstream",
        "The clustering improves downstream classification.",
        "Spearman's correlation, over self-supervised runs, of the gains in NCC accuracy and in "
        "linear-probe accuracy over each run's own initialisation",
        decision.DOWNSTREAM,
        "the same, with the linear accuracies shuffled among the runs",
        _ALL,
        many_runs.downstream_follows,
    ),
    Claim(
        "compression",
        "The clustering compresses the information about the data.",
        "fall of the share of a representation's entropy that is specific to the view, "
        "H(Z | image) / H(Z), from before training to after it, at noise of 1% of the variance; "
        "where I(Z; image) falls too, information is lost and not compressed",
        rules.VIEW_SHARE,
        "networks trained on labels drawn by lot (second row only: they forget the view as well), "
        "collapsed by invariance alone, and not trained",
        "a network trained on the labels",
        _TRAJECTORY,
        compression.compresses,
        also=(
            (
                "fall of the share that is specific to the image within its class, "
                "H(Z | class) / H(Z), of images as they are",
                rules.CLASS_SHARE,
            ),
        ),
    ),
    Claim(
        "semantic-over-random",
        "Representations align with semantic classes more than with random ones.",
        "balanced NCC accuracy on the coarse classes less that on random groupings of the same "
        "sizes, after training less before",
        decision.SEMANTIC,
        "the same, with other random groupings in place of the coarse classes",
        _TRAJECTORY,
        trajectory.semantic_over_random,
    ),
    Claim(
        "hierarchy",
        "Representations align with semantic classes at several levels of the hierarchy.",
        "as for semantic-over-random at each level above the fine one: the least of them",
        decision.HIERARCHY,
        "the same, with the label tree's leaves shuffled",
        _TRAJECTORY,
        trajectory.every_level,
    ),
    Claim(
        "time",
        "That alignment increases during training.",
        "Spearman's correlation of the advantage over random groupings with the epoch (last "
        "layer), averaged over the levels above the fine one",
        decision.TIME,
        "the same, with other random groupings in the levels' place",
        _TRAJECTORY,
        trajectory.over_time,
    ),
    Claim(
        "depth",
        "That alignment increases deeper into the network.",
        "Spearman's correlation of the advantage over random groupings with the layer (last "
        "epoch), averaged over the levels above the fine one",
        decision.DEPTH,
        "the same, with other random groupings in the levels' place",
        _TRAJECTORY,
        trajectory.over_depth,
    ),
    Claim(
        "generality",
        "All this holds across models, architectures and hyperparameters.",
        "share of the intact self-supervised runs that meet the least effects of clustering and "
        "semantic-over-random, and by accuracy those of time and depth, all together",
        decision.GENERALITY,
        "the same with labels shuffled among the images (clustering, time and depth)",
        _ALL,
        many_runs.holds_elsewhere,
    ),
)


def claim(name: str) -> Claim:
    """A claim by its id.

    Raises:
        ValueError: no such claim.
    """
    for one in CLAIMS:
        if one.id == name:
            return one
    raise ValueError(f"name: {name!r}; expected one of {', '.join(c.id for c in CLAIMS)}")


def judge(name: str, recordings: Runs | None = None) -> LedgerRow:
    """One claim's row: `judge("clustering")`.

    Args:
        name: the claim's id.
        recordings: by name; by default `recordings_to_judge()`.
    """
    return claim(name).judge(recordings_to_judge() if recordings is None else recordings)


def ledger(recordings: Runs | None = None) -> tuple[LedgerRow, ...]:
    """A row for each of the nine claims, computed now.

    Args:
        recordings: by name; by default `recordings_to_judge()`.
    """
    found = recordings_to_judge() if recordings is None else recordings
    return tuple(one.judge(found) for one in CLAIMS)


def table(rows: tuple[LedgerRow, ...] | None = None) -> pd.DataFrame:
    """The ledger as a table: claim, effect, rule, control, over, verdict."""
    return pd.DataFrame([row.short() for row in (ledger() if rows is None else rows)])
