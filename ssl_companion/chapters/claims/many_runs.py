"""Evidence from many runs: classifiers, classes never trained on, and other settings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis import classifiers, generality
from ssl_companion.chapters.analysis.accuracies import (
    NotRecorded,
    Runs,
    by_place,
    final,
    over_seeds,
    start,
)
from ssl_companion.chapters.analysis.classifier_tables import predictor_in_words
from ssl_companion.chapters.analysis.depth_and_time import rank_order
from ssl_companion.chapters.claims import known, rules
from ssl_companion.chapters.claims.decision import Control
from ssl_companion.chapters.claims.evidence import Evidence, Part
from ssl_companion.chapters.claims.runs import SEEDS, network_and_length, without_those_beside
from ssl_companion.chapters.english import listed
from ssl_companion.measures import Interval
from ssl_companion.measures.resampling import interval, spearman, wilson
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import RANDOM_IMAGE

LEAST_RUNS = 5
_UNKNOWN = Interval(math.nan, math.nan, math.nan)


def downstream_follows(recordings: Runs) -> Evidence:
    """Whether classifiers move with clustering, and whether classes never trained on gain too."""
    runs = settings_compared(recordings)
    table = classifiers.over_runs(runs)
    return Evidence((_moves_with(table), _transfers(recordings)), _rivals(runs, table))


def settings_compared(recordings: Runs) -> Runs:
    """The presets' runs, each setting once.

    Runs that stand beside them repeat the recipe of the trajectory, which counts already; those of
    the preset controls are the answers that a rule is held by, and those of the preset terms repeat
    interventions that count, under several seeds.
    """
    aside = (f"{known.PRESET}-", "terms-")
    own = without_those_beside(recordings)
    return {name: run for name, run in own.items() if not name.startswith(aside)}


def _moves_with(table: pd.DataFrame) -> Part:
    """Rank correlation over the runs of a table of the gains in NCC and in linear accuracy."""
    if len(table) < LEAST_RUNS:
        raise NotRecorded(f"{len(table)} runs with linear probes; at least {LEAST_RUNS} are needed")
    ncc, linear = table["ncc_gain"].to_numpy(), table["linear_gain"].to_numpy()
    effect = classifiers.correlation(ncc, linear)
    if not ncc.max() > 0:  # none of them clusters
        effect = _UNKNOWN
    names = tuple(table["recording"])
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(linear) for _ in range(500)])
    drawn = spearman(ncc, shuffled)
    controls = [
        Control(
            "the linear accuracies shuffled among the runs",
            interval(float(drawn.mean()), drawn),
            "no",
            names,
        )
    ]
    if table["knn_gain"].notna().all():
        another = classifiers.correlation(table["knn_gain"], linear)
        controls.append(
            Control("another classifier (kNN) in place of NCC accuracy", another, "yes", names)
        )
    return Part(
        effect, tuple(controls), f"{len(table)} runs", names, what="moves with",
        rule=rules.DOWNSTREAM,
    )  # fmt: skip


def _rivals(runs: Runs, gained: pd.DataFrame) -> str:
    """What else moves with the probe, and whether NCC accuracy does so more, in two sentences."""
    table = classifiers.rivals(runs, gains=True)
    others = table[table["ahead"].notna()].sort_values("value", ascending=False)
    said = []
    for name, own in gained.groupby(gained["recording"].str.partition("-")[0]):
        if len(own) >= LEAST_RUNS:
            r = classifiers.correlation(own["ncc_gain"], own["linear_gain"])
            said.append(f"{name} {r.value:.2f} ({r.low:.2f} to {r.high:.2f}; {len(own)} runs)")
    note = f"By family: {', '.join(said)}." if said else ""
    if len(others):
        best = others.iloc[0]
        ahead, low, high = (
            f"{best[name]:.3f}".replace("-", "−") for name in ("ahead", "ahead_low", "ahead_high")
        )
        note += (
            f" The best rival is {predictor_in_words(best['predictor'])} ({best['value']:.2f}); "
            f"NCC accuracy is ahead of it by {ahead} ({low} to {high})."
        )
    return note.strip()


HELD_OUT, FEW = "held-out", "few5"


def few_shot_growth(run: Recording) -> float:
    """Growth of few-shot accuracy on the classes that a run was not trained on.

    Raises:
        NotRecorded: the run was trained on all classes.
    """
    grown = final(run, FEW, level=HELD_OUT) - start(run, FEW, level=HELD_OUT)
    if math.isnan(grown):
        raise NotRecorded(f"{run.name} has no accuracy on classes held out of its training")
    return grown


def _transfers(recordings: Runs) -> Part:
    """Growth of few-shot accuracy on twenty classes that no run has seen, over seeds."""
    runs = known.known_runs(recordings, "recipe")
    names = tuple(run.name for run in runs)
    row = Part(_UNKNOWN, (), "no run", names, what="improves", rule=rules.TRANSFER)
    if not runs:
        return replace(row, fails="no run with classes held out of its training is recorded")
    grown = [few_shot_growth(run) for run in runs]
    several = len(runs) >= SEEDS
    effect = over_seeds(grown) if several else Interval(grown[0], grown[0], grown[0])
    seeds = f"{len(runs)} seeds" if several else "1 run"
    over = f"{network_and_length(runs[0])}, {seeds}, not trained on these classes"
    answers = known.controls(recordings, few_shot_growth)
    return replace(row, effect=effect, controls=answers, over=over, pilot=not several)


#: what a run has to have, by column of `generality.every_run`, and by how much
PROPERTY_TITLES = {
    "ratio": rules.CLUSTERING,
    "advantage": rules.SEMANTIC,
    "time": rules.TIME,
    "depth": rules.DEPTH,
}

_PROPERTY_WORDS = {
    "ratio": "the ratio",
    "advantage": "the advantage",
    "time": "the order in time",
    "depth": "the order in depth",
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
    """The share of settings in which clustering, alignment, time and depth all hold.

    A setting has what the mean over its seeds has. The reference, the recipe that every setting is
    a change of, has to have all of it; else the comparison tells nothing of a change.
    """
    runs = generality.settings(recordings)
    counted = {name: own for name, own in runs.items() if name not in generality.BOUNDARIES}
    if len(counted) < LEAST_RUNS:
        raise NotRecorded(f"{len(counted)} settings; at least {LEAST_RUNS} are needed")
    luck = generality.grouping_bias({r.name: r for own in runs.values() for r in own})
    table = properties(_means(counted, luck))
    words = {name: generality.setting_of(own[0]) for name, own in runs.items()}
    missed = table.loc[~table["holds"], "recording"].map(words)
    reach = [f"{int(table[name].sum())} for {of}" for name, of in _PROPERTY_WORDS.items()]
    single = sum(len(own) < SEEDS for own in counted.values())
    note = f"Of {len(table)} settings, the threshold is reached by {listed(reach)}. "
    but = f" but: {'; '.join(missed)}" if len(missed) else ""
    note += f"All four hold in every setting{but}."
    if single:
        note += f" {single} settings have fewer than {SEEDS} seeds."
    beyond = [name for name in runs if name in generality.BOUNDARIES]
    if beyond:
        found = properties(_means({name: runs[name] for name in beyond}, luck))
        holds = [
            f"{words[name]} ({'yes' if all_four else 'no'})"
            for name, all_four in found[["recording", "holds"]].values
        ]
        note += " Outside of what is claimed, and not counted (whether all four hold in brackets): "
        note += f"{'; '.join(holds)}."
    part = Part(
        _share(table["holds"].to_numpy(bool)),
        _known_settings(recordings, counted, luck),
        f"{len(table)} settings",
        tuple(run.name for own in counted.values() for run in own),
        pilot=2 * single > len(counted),
        fails=_one_grouping(counted, luck) or _reference_misses(table),
    )
    return Evidence((part,), note)


def _one_grouping(settings: dict[str, list[Recording]], luck: float) -> str:
    runs = {run.name: run for own in settings.values() for run in own}
    few = generality.against_one_grouping(runs)
    if not few:
        return ""
    found = "by how much is not known"
    if not math.isnan(luck):
        found = f"by {100 * abs(luck):.1f} points where that could be measured, while "
        found += f"{100 * rules.SEMANTIC.least:.0f} are needed"
    return (
        f"{len(few)} of the {len(runs)} runs behind these settings were compared with a single "
        f"random grouping, which may distort their advantage by chance ({found})"
    )


def _means(settings: dict[str, list[Recording]], luck: float) -> pd.DataFrame:
    """Properties of each setting, means over its seeds; its name stands in "recording"."""
    rows = []
    for name, own in settings.items():
        table = generality.every_run({run.name: run for run in own}, luck=luck)
        rows.append({"recording": name, **table[list(PROPERTY_TITLES)].mean(skipna=False)})
    return pd.DataFrame(rows)


def _reference_misses(table: pd.DataFrame) -> str:
    rows = table[table["recording"] == generality.REFERENCE_SETTING]
    if rows.empty:
        return f"the reference setting ({generality.REFERENCE_SETTING}) is not recorded"
    lacking = [name for name in PROPERTY_TITLES if not rows.iloc[0][name]]
    if not lacking:
        return ""
    return f"the reference setting itself misses {_PROPERTY_WORDS[lacking[0]]}"


def _known_settings(
    recordings: Runs, settings: dict[str, list[Recording]], luck: float
) -> tuple[Control, ...]:
    shuffled = np.array([all(map(_on_shuffled_labels, own)) for own in settings.values()])
    names = tuple(run.name for own in settings.values() for run in own)
    by_lot = Control("labels shuffled among the images", _share(shuffled), "no", names)

    def holds(run: Recording) -> float:
        return float(properties(_means({run.name: [run]}, luck))["holds"].iloc[0])

    return (*known.controls(recordings, holds), by_lot)


def _on_shuffled_labels(run: Recording) -> bool:
    """Whether labels shuffled among the images cluster too, and in the order of time and depth."""
    numbers = by_place(run, level=RANDOM_IMAGE)
    numbers = numbers[:, ~np.isnan(numbers).all(axis=0)]
    first, last = numbers[-1, 0], numbers[-1, -1]
    return bool(
        first > 0
        and rules.CLUSTERING.reaches(last / first)
        and rules.TIME.reaches(float(rank_order(numbers[-1])))
        and rules.DEPTH.reaches(float(rank_order(numbers[:, -1])))
    )


def _share(holds: np.ndarray) -> Interval:
    """A share with its interval."""
    return wilson(float(holds.mean()), len(holds))
