"""The nine claims and their verdicts."""

from __future__ import annotations

from ssl_companion.chapters.analysis.accuracies import Runs
from ssl_companion.chapters.claims import (
    compression,
    many_runs,
    regularizer,
    rules,
    trajectory,
)
from ssl_companion.chapters.claims.evidence import Claim, LedgerRow
from ssl_companion.chapters.claims.runs import recordings_to_judge

_ALL = "`ssl-companion record`"
_TRAJECTORY = "`ssl-companion record targets clustering`"

_KNOWN = "networks trained on random labels, collapsed by invariance alone, and not trained"
_SUPERVISED = "a network trained on the labels"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "clustering",
        "Self-supervised training clusters samples by their semantic labels.",
        "NCC accuracy on the fine classes (test images, last layer) after training, over that of "
        "the same network before training",
        rules.CLUSTERING,
        f"{_KNOWN}; and the run's own images with their labels permuted",
        _SUPERVISED,
        _TRAJECTORY,
        trajectory.clusters,
    ),
    Claim(
        "regularizer",
        "The clustering is driven by the objective's regularization term.",
        "the share of the recipe's gain in NCC accuracy that is lost when the regularizer's weight "
        "is divided by five, less what is lost when the invariance's is",
        rules.ELASTICITY,
        "the recipe under another seed in place of the weakened regularizer",
        "the network before training in place of the weakened regularizer",
        "`ssl-companion record regularizer`",
        regularizer.regularizer_drives,
        also=(("the share of the gain that is lost without the regularizer", rules.NECESSITY),),
    ),
    Claim(
        "downstream",
        "The clustering improves downstream classification.",
        "moves with: Spearman's correlation, over self-supervised runs, of the gains in NCC "
        "accuracy and in linear-probe accuracy over each run's own initialisation",
        rules.DOWNSTREAM,
        f"the linear accuracies shuffled among the runs; for the second row {_KNOWN}",
        f"kNN in place of NCC accuracy; for the second row {_SUPERVISED}",
        _ALL,
        many_runs.downstream_follows,
        also=(
            (
                "improves: growth of 5-shot accuracy on twenty classes that were held out of "
                "training, one of each superclass",
                rules.TRANSFER,
            ),
        ),
    ),
    Claim(
        "compression",
        "The clustering compresses the information about the data.",
        "fall of the share of a representation's entropy that is specific to the view, "
        "H(Z | image) / H(Z), from before training to after it, at noise of 1% of the variance; "
        "where I(Z; image) falls too, information is lost and not compressed",
        rules.VIEW_SHARE,
        "networks trained on random labels (second row only: they forget the view as well), "
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
        "balanced NCC accuracy on the coarse classes less that on the strongest of four kinds of "
        "groupings of the same sizes (random ones, by pixels, by whitened pixels, by the "
        "features before training), after training less before",
        rules.SEMANTIC,
        f"other random groupings in place of the coarse classes; {_KNOWN}",
        _SUPERVISED,
        _TRAJECTORY,
        trajectory.semantic_over_random,
        also=(
            (
                "growth of NCC accuracy on the fine classes less that on a random function of the "
                "image (the answers of the teacher before its training; at least 0)",
                rules.SEMANTIC,
            ),
        ),
    ),
    Claim(
        "hierarchy",
        "Representations align with semantic classes at several levels of the hierarchy.",
        "as for semantic-over-random at each level above the fine one: the least of the levels "
        "and kinds",
        rules.HIERARCHY,
        f"the same, with the label tree's leaves shuffled; {_KNOWN}",
        _SUPERVISED,
        _TRAJECTORY,
        trajectory.every_level,
    ),
    Claim(
        "time",
        "Alignment with semantic classes increases during training.",
        "Spearman's correlation of the advantage over the strongest control with the epoch (last "
        "layer), averaged over the levels above the fine one",
        rules.TIME,
        f"the same, with other random groupings in the levels' place; {_KNOWN}",
        _SUPERVISED,
        _TRAJECTORY,
        trajectory.over_time,
    ),
    Claim(
        "depth",
        "Alignment with semantic classes increases deeper into the network.",
        "Spearman's correlation of the advantage over the strongest control with the layer (last "
        "epoch), averaged over the levels above the fine one; by the layers' spatial means and by "
        "taps that keep place; if only one of these readings meets the threshold, partly",
        rules.DEPTH,
        f"the same, with other random groupings in the levels' place; {_KNOWN}",
        _SUPERVISED,
        _TRAJECTORY,
        trajectory.over_depth,
    ),
    Claim(
        "generality",
        "The findings hold across models, architectures and hyperparameters.",
        "share of the settings that reach all four thresholds: of clustering, of alignment with "
        "semantic classes more than with random ones, and, by accuracy, of time and of depth",
        rules.GENERALITY,
        f"labels shuffled among the images (clustering, time and depth); {_KNOWN}",
        _SUPERVISED,
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
