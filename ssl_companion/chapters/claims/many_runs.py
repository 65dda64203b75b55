"""Evidence from many runs: interventions on the objective, classifiers, and other settings."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis import classifiers, generality, regularizer
from ssl_companion.chapters.analysis.accuracies import (
    RESAMPLES,
    NotRecorded,
    Runs,
    final,
    over_seeds,
    start,
)
from ssl_companion.chapters.analysis.depth_and_time import rank_order
from ssl_companion.chapters.claims import decision
from ssl_companion.chapters.claims.evidence import Evidence, Part
from ssl_companion.chapters.claims.runs import (
    SEEDS,
    same_training,
    without_those_beside,
)
from ssl_companion.measures import Interval
from ssl_companion.measures.resampling import interval, wilson
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import RANDOM_IMAGE

LEAST_RUNS = 5
_VARIANTS = ("recipe", "invariance-only", "regularizer-only")


def regularizer_drives(recordings: Runs) -> Evidence:
    """The regularizer's share of the gain in fine NCC accuracy, by taking either term away."""
    by_seed = _triples(recordings)
    sets = list(by_seed.values())
    gains = np.array([[_gain(run) for run in triple] for triple in sets])
    if len(sets) >= SEEDS:
        whole = over_seeds(list(gains[:, 0]))
        effect = over_seeds([regularizer.share_of_regularizer(*row) for row in gains])
        over = f"{len(sets)} seeds"
    else:
        whole, effect = _share_of_all_images(sets[0])
        over = f"{_count(sets[0][0])} test images"
        sets = sets[:1]
    if not whole.low > 0:  # nothing was gained that could be shared out
        effect = Interval(float("nan"), float("nan"), float("nan"))
    words = ", ".join(f"{v} {g:+.3f}" for v, g in zip(_VARIANTS, gains[0], strict=True))
    names = tuple(run.name for triple in sets for run in triple)
    note = f"Gain in NCC accuracy over initialisation (seed {min(by_seed)}): {words}."
    control = _untouched(regularizer.seeds_of(recordings, "recipe"), sets[0][0])
    return Evidence((Part(effect, control, over, names),), note)


def _triples(recordings: Runs) -> dict[int, tuple[Recording, ...]]:
    """The recipe, and it without either term, by each seed that all three have.

    Raises:
        NotRecorded: one is absent, they have no seed in common, or they differ in more than the
            objective (recordings of two scales).
    """
    table = regularizer.variants(recordings)
    runs = {
        variant: {
            int(row["seed"]): recordings[row["recording"]]
            for row in table[table["variant"] == variant].to_dict("records")
        }
        for variant in _VARIANTS
    }
    if lacking := [f"regularizer-{name}-s*" for name, found in runs.items() if not found]:
        raise NotRecorded(f"no recording {', '.join(lacking)}")
    shared = sorted(set.intersection(*map(set, runs.values())))
    if not shared:
        raise NotRecorded(f"regularizer-*: no seed of {', '.join(_VARIANTS)} is the same")
    triples = {seed: tuple(found[seed] for found in runs.values()) for seed in shared}
    fit = {
        seed: triple
        for seed, triple in triples.items()
        if all(same_training(triple[0], other, but=("objective",)) for other in triple[1:])
    }
    if not fit:
        names = ", ".join(f"{run.name} ({run.title})" for run in triples[shared[0]])
        raise NotRecorded(f"these differ in more than the objective: {names}")
    first = fit[min(fit)][0]
    return {seed: triple for seed, triple in fit.items() if same_training(triple[0], first)}


def _gain(run: Recording) -> float:
    gain = final(run) - start(run)
    if not np.isfinite(gain):
        raise NotRecorded(f"{run.name} has no NCC accuracy before training or at its end")
    return gain


def _count(run: Recording) -> int:
    rows = run.select(measure="ncc", level="fine", split="test", layer=run.layers[-1])
    return int(rows["n"].iloc[-1])


def _share_of_all_images(triple: tuple[Recording, ...]) -> tuple[Interval, Interval]:
    """The recipe's gain and the regularizer's share of it, from the accuracies on all test images.

    Each accuracy is drawn again as a binomial share, for itself: which images were right is kept
    for a part of them only. As the runs are right about the same images more often than that,
    the intervals are rather too wide. Runs that begin alike share the draws of their beginning.
    """
    n, rng, begun = _count(triple[0]), np.random.default_rng(0), {}
    values, drawn = [], []
    for run in triple:
        first, last = start(run), final(run)
        if first not in begun:
            begun[first] = rng.binomial(n, first, RESAMPLES) / n
        values.append(last - first)
        drawn.append(rng.binomial(n, last, RESAMPLES) / n - begun[first])
    shares = [regularizer.share_of_regularizer(*one) for one in zip(*drawn, strict=True)]
    value = regularizer.share_of_regularizer(*values)
    return interval(values[0], drawn[0]), interval(value, np.array(shares))


def _untouched(recipes: list[Recording], like: Recording) -> Interval | None:
    """The same share where both interventions are the recipe itself under other seeds.

    Its mean over all orders is one half whatever the gains are; what it shows is its spread, how
    far from one half the choice of seeds alone moves the share.
    """
    gains = [_gain(run) for run in recipes if same_training(run, like)]
    if len(gains) < SEEDS:
        return None
    drawn = [regularizer.share_of_regularizer(*three) for three in permutations(gains, 3)]
    return interval(float(np.mean(drawn)), np.array(drawn))


def downstream_follows(recordings: Runs) -> Evidence:
    """Rank correlation over runs of the gains in NCC accuracy and in linear accuracy.

    Of the presets' runs only. Those that stand beside them repeat the recipe of the trajectory,
    which counts already: as further runs they would count one setting up to five times.
    """
    table = classifiers.over_runs(without_those_beside(recordings))
    if len(table) < LEAST_RUNS:
        raise NotRecorded(f"{len(table)} runs with linear probes; at least {LEAST_RUNS} are needed")
    ncc, linear = table["ncc_gain"].to_numpy(), table["linear_gain"].to_numpy()
    effect = classifiers.correlation(ncc, linear)
    if not ncc.max() > 0:  # none of them clusters
        effect = Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(0)
    drawn = np.array([
        classifiers.correlation(ncc, rng.permutation(linear), resamples=1).value for _ in range(500)
    ])  # fmt: skip
    end = classifiers.correlation(table["ncc"], table["linear"])
    note = f"Of the accuracies themselves at the end of training: {end.value:.2f}."
    control = interval(float(drawn.mean()), drawn)
    over, names = f"{len(table)} runs", tuple(table["recording"])
    return Evidence((Part(effect, control, over, names),), note)


#: what a run has to have, by column of `generality.every_run`, and by how much
PROPERTY_TITLES = {
    "ratio": decision.CLUSTERING,
    "advantage": decision.SEMANTIC,
    "time": decision.TIME,
    "depth": decision.DEPTH,
}


def properties(table: pd.DataFrame) -> pd.DataFrame:
    """Which properties each run of `generality.every_run` has, by the rules of their claims.

    Returns:
        recording, ratio, advantage, time, depth (truth values), and all of them: holds. A
        number that is not defined does not hold.
    """
    out = table[["recording"]].copy()
    for name, rule in PROPERTY_TITLES.items():
        out[name] = [rule.reaches(value) for value in table[name]]
    return out.assign(holds=out[list(PROPERTY_TITLES)].all(axis=1))


def holds_elsewhere(recordings: Runs) -> Evidence:
    """The share of intact runs in which clustering, alignment, time and depth all hold."""
    runs = generality.intact_runs(recordings)
    if len(runs) < LEAST_RUNS:
        raise NotRecorded(f"{len(runs)} intact runs; at least {LEAST_RUNS} are needed")
    luck = generality.grouping_bias(runs)
    table = properties(generality.every_run(runs, luck=luck))
    missed = table.loc[~table["holds"], "recording"]
    shares = ", ".join(f"{name} {int(table[name].sum())}" for name in PROPERTY_TITLES)
    note = f"Of {len(table)} runs: {shares}."
    if np.isfinite(luck):
        held = int(properties(generality.every_run(runs, luck=0.0))["holds"].sum())
        note += (
            f" Advantages are over one random grouping less its luck ({luck:+.3f}, from the runs "
            f"that keep features); with that left in, {held} of them would hold."
        )
    note += f" Misses: {', '.join(missed) or 'none'}."
    shuffled = np.array([_on_shuffled_labels(run) for run in runs.values()])
    effect = _share(table["holds"].to_numpy(bool))
    over, names = f"{len(table)} runs", tuple(table["recording"])
    return Evidence((Part(effect, _share(shuffled), over, names),), note)


def _on_shuffled_labels(run: Recording) -> bool:
    """Whether labels shuffled among the images cluster too, and in the order of time and depth."""
    rows = run.select(measure="ncc", level=RANDOM_IMAGE, split="test")
    wide = rows.pivot_table(index="layer", columns="epoch", values="value").reindex(run.layers)
    numbers = wide.to_numpy()
    first, last = numbers[-1, 0], numbers[-1, -1]
    return bool(
        first > 0
        and decision.CLUSTERING.reaches(last / first)
        and decision.TIME.reaches(float(rank_order(numbers[-1])))
        and decision.DEPTH.reaches(float(rank_order(numbers[:, -1])))
    )


def _share(holds: np.ndarray) -> Interval:
    """A share of runs with its interval."""
    return wilson(float(holds.mean()), len(holds))
