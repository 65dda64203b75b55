"""Looks first, meaning later: superclasses compared with groups of classes that merely look alike.

Random groupings share nothing with a superclass but its size. Look-alike groupings share its looks
but not its meaning: they are balanced k-means of the classes' mean images, in pixels or in whitened
pixels. The superclasses' lead over those is what a network has learnt about meaning beyond looks.
It is computed from `groupings.safetensors`, which counts test images of every class at every epoch
and layer that was measured.

The section of the book has its rule from `questions`, which was committed when the last block of
one run (reference-vicreg-s0) had been seen, at all its epochs, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import RESAMPLES, table_row
from ssl_companion.chapters.analysis.balanced_accuracy import over_groupings
from ssl_companion.measures import Interval
from ssl_companion.measures.resampling import draw_counts, interval
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import EpochLayer
from ssl_companion.recordings.groupings import (
    PIXELS,
    RANDOM,
    SEMANTIC,
    UNTRAINED,
    WHITENED,
    Groupings,
    places_in_order,
    read_groupings,
)

WORDS = {
    RANDOM: "random groupings",
    PIXELS: "look-alikes by pixels",
    WHITENED: "look-alikes by whitened pixels",
    UNTRAINED: "look-alikes by untrained features",
}


def accuracies_of_kind(
    groupings: Groupings,
    kind: str,
    places: Sequence[EpochLayer],
    weights: np.ndarray,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Balanced NCC accuracy under groupings of one kind, their mean.

    Args:
        groupings: of a recording.
        kind: which of them.
        places: S pairs of an epoch and a layer.
        weights: how often each class is in each of R draws, float [R, K].
        seed: of the draws of groupings.

    Returns:
        values [S], and draws of classes and groupings [S, R].
    """
    which = groupings.of(kind)
    # The draws of `level_controls.leads`: the same question has the same interval on all pages.
    stream = 1 + list(WORDS).index(kind) if kind in WORDS else 0
    times = draw_counts(len(which), len(weights), (seed, stream))
    found = np.stack([groupings.recalls(place)[which] for place in places], axis=1)  # [G, S, K]
    values, draws = over_groupings(found, groupings.groups[which], weights, times)
    return values.mean(axis=0), draws


def ahead(
    groupings: Groupings,
    than: str,
    places: Sequence[EpochLayer],
    *,
    kind: str = SEMANTIC,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[np.ndarray, np.ndarray]:
    """How far groupings of one kind are ahead of those of another, in balanced NCC accuracy.

    Args:
        groupings: of a recording.
        than: the kind that they are compared with.
        places: S pairs of an epoch and a layer.
        kind: by default the superclasses.
        seed: of the bootstrap; the same classes are drawn for both kinds and at every place.
        resamples: R.

    Returns:
        differences of fractions, [S], and with classes and groupings drawn again [S, R].
    """
    weights = draw_counts(groupings.groups.shape[1], resamples, seed)
    own, own_draws = accuracies_of_kind(groupings, kind, places, weights, seed)
    other, other_draws = accuracies_of_kind(groupings, than, places, weights, seed)
    return own - other, own_draws - other_draws


def ahead_table(
    recording: Recording,
    than: Sequence[str] = (RANDOM, PIXELS, WHITENED, UNTRAINED),
    *,
    kind: str = SEMANTIC,
    seed: int = 0,
) -> pd.DataFrame:
    """`ahead` at every place that was measured.

    Returns:
        than (in words), epoch, layer, depth (0 for the first layer), value, low, high, n (images).
    """
    groupings, rows = read_groupings(recording), []
    places = places_in_order(groupings, recording.layers)
    for other in than:
        values, draws = ahead(groupings, other, places, kind=kind, seed=seed)
        for (epoch, layer), value, drawn in zip(places, values, draws, strict=True):
            where = {"than": WORDS[other], "epoch": epoch, "layer": layer,
                     "depth": recording.layers.index(layer)}  # fmt: skip
            n = int(groupings.images[epoch, layer].sum())
            rows.append(table_row(where, interval(float(value), drawn), n))
    return pd.DataFrame(rows)


def lead_by_layer_and_epoch(recording: Recording, than: str = WHITENED) -> pd.DataFrame:
    """`ahead` as a map: one row per layer, from the first; one column per epoch with all layers."""
    table = ahead_table(recording, [than])
    wide = table.pivot_table(index="layer", columns="epoch", values="value")
    return wide.reindex([name for name in recording.layers if name in wide.index]).dropna(axis=1)


def likeness(recording: Recording) -> pd.DataFrame:
    """How much groupings have in common with the superclasses, by their adjusted Rand index.

    (Hubert and Arabie 1985, doi:10.1007/BF01908075): 1 for the same groups, and 0 on average for
    random ones.

    Returns:
        groups (in words), count, value (mean), low, high (least and most).
    """
    from sklearn.metrics import adjusted_rand_score

    groupings, rows = read_groupings(recording), []
    [own] = groupings.groups[groupings.of(SEMANTIC)]
    for kind, words in WORDS.items():
        found = [adjusted_rand_score(own, groupings.groups[g]) for g in groupings.of(kind)]
        rows.append({"groups": words, "count": len(found), "value": float(np.mean(found)),
                     "low": min(found), "high": max(found)})  # fmt: skip
    return pd.DataFrame(rows)


def growth(
    groupings: Groupings,
    than: str,
    layer: str,
    epochs: tuple[int, int],
    *,
    kind: str = SEMANTIC,
    seed: int = 0,
) -> tuple[float, np.ndarray]:
    """By how much `ahead` grew at a layer between two epochs: the value and its draws [R]."""
    places = [(epoch, layer) for epoch in epochs]
    values, draws = ahead(groupings, than, places, kind=kind, seed=seed)
    return float(values[1] - values[0]), draws[1] - draws[0]


def questions(recording: Recording, early: int, *, seed: int = 0) -> pd.DataFrame:
    """The five questions of "looks first, meaning later", with intervals over classes and groups.

    Args:
        recording: with groupings of `early`, and of an epoch before and after it.
        early: until which epoch training is called early.
        seed: of the bootstrap.

    Returns:
        One row per question: question, value, low, high (differences of balanced NCC accuracy, as
        fractions, and one difference of shares), asked ("above 0" or "not above 0"), met (bool).
        Look-alikes are those by whitened pixels. The last row is the control: groups by the
        features before training take the superclasses' place. They share looks and not meaning, so
        if they too overtook the look-alikes, the other rows would show nothing about meaning.
    """
    groupings = read_groupings(recording)
    epochs = sorted({epoch for epoch, _ in groupings.hits})
    first, last = epochs[0], epochs[-1]
    if early not in epochs[1:-1]:
        raise ValueError(f"early: {early!r}; expected one of {epochs[1:-1]}")
    stem, top = recording.layers[0], recording.layers[-1]

    def grown(than: str, layer: str, until: int, kind: str = SEMANTIC) -> tuple[float, np.ndarray]:
        return growth(groupings, than, layer, (first, until), kind=kind, seed=seed)

    by_chance, by_chance_early = grown(RANDOM, top, last), grown(RANDOM, top, early)
    by_looks, by_looks_early = grown(WHITENED, top, last), grown(WHITENED, top, early)
    in_stem = grown(WHITENED, stem, last)
    with np.errstate(divide="ignore", invalid="ignore"):
        later = [
            by_chance_early[i] / by_chance[i] - by_looks_early[i] / by_looks[i] for i in (0, 1)
        ]
    rows: list[tuple[str, float, np.ndarray, bool]] = [
        (f"growth of the lead over random groupings up to epoch {early}", *by_chance_early, True),
        (f"growth of the lead over look-alikes up to epoch {last}", *by_looks, True),
        (f"growth of the lead over look-alikes in {top}, minus that in the {stem}",
         by_looks[0] - in_stem[0], by_looks[1] - in_stem[1], True),
        (f"share of the growth reached by epoch {early}: over random groupings minus over "
         "look-alikes", float(later[0]), np.asarray(later[1]), True),
        ("control: growth of the lead over look-alikes, of groups by untrained features",
         *grown(WHITENED, top, last, UNTRAINED), False),
    ]  # fmt: skip
    out = []
    for question, value, draws, wanted in rows:
        found: Interval = interval(value, draws)
        out.append({
            "question": question, "value": found.value, "low": found.low, "high": found.high,
            "asked": "above 0" if wanted else "not above 0", "met": (found.low > 0) == wanted,
        })  # fmt: skip
    return pd.DataFrame(out)
