"""Does what holds for one run hold elsewhere? A table with every run, misses included.

Runs stand in groups by what was changed. How the runs that a claim is judged by were chosen, what
they change, and how far their numbers could be chance is part of the table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import (
    CONFIDENCE,
    Runs,
    at_epoch,
    final,
    over_seeds,
    start,
    table_row,
)
from ssl_companion.chapters.analysis.classifiers import self_supervised
from ssl_companion.chapters.analysis.clustering import ncc_over_epochs
from ssl_companion.chapters.analysis.config_differences import differing
from ssl_companion.chapters.analysis.depth_and_time import (
    accuracies_by_layer,
    by_layer_and_epoch,
    mean_order,
    rank_order,
)
from ssl_companion.chapters.analysis.level_controls import leads
from ssl_companion.chapters.analysis.random_targets import grouping_accuracies
from ssl_companion.measures import Interval
from ssl_companion.measures.resampling import percentiles
from ssl_companion.presets.catalogue import preset, scale_of, why_so_long
from ssl_companion.presets.runs import Scale, backbone_title
from ssl_companion.recordings import Recording, open_recording
from ssl_companion.recordings.format import FEATURES
from ssl_companion.recordings.groupings import RANDOM

FAMILIES = ("clustering", "methods", "architecture", "hyperparameters")


def every_run(recordings: Runs, level: str = "coarse", luck: float | None = None) -> pd.DataFrame:
    """Every run at its end beside its own start, over all test images; none is left out.

    Args:
        recordings: runs by name.
        level: of the advantage.
        luck: taken off the advantages over a single random grouping; by default `grouping_bias`
            of these runs, and nothing where none of them can tell.

    Returns:
        recording, title, family (the preset), start and ncc (fine NCC accuracy), ratio (ncc
        over start), advantage (of `level` over random groupings of its sizes, at the end less
        before training: balanced accuracies over the mean of 100 where the run has them, else over
        one grouping, less `luck`), time and depth (order of accuracy along epochs and layers,
        averaged over levels), linear, sample.
    """
    luck = grouping_bias(recordings, level) if luck is None else luck
    luck = 0.0 if np.isnan(luck) else luck
    return pd.DataFrame([_row(name, run, level, luck) for name, run in recordings.items()])


def _row(name: str, run: Recording, level: str, luck: float) -> dict[str, object]:
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
        "advantage": _growth(run, level, luck),
        "time": mean_order(run, "epoch"),
        "depth": mean_order(run, "depth"),
        "linear": at_epoch(run, last, "linear"),
        "sample": at_epoch(run, last, level="sample"),
    }


def recorded_advantage(run: Recording, epoch: int, level: str) -> float:
    """NCC accuracy of a level less that of its random control, at an epoch."""
    return at_epoch(run, epoch, level=level) - at_epoch(run, epoch, level=f"random-{level}")


def _growth(run: Recording, level: str, luck: float) -> float:
    """How much the advantage of a level over random groupings of its sizes grew in training."""
    if run.has_group_accuracies and level != run.hierarchy.names[0]:  # it has no groups
        ends = tuple((epoch, run.layers[-1]) for epoch in (run.epochs[0], run.epochs[-1]))
        first, last = leads(run, level, ends).values[RANDOM]
        return float(last - first)
    return _growth_over_one(run, level) - luck


def _growth_over_one(run: Recording, level: str) -> float:
    level = level if level in run.hierarchy.names else run.hierarchy.names[1]
    first, last = (
        recorded_advantage(run, epoch, level) for epoch in (run.epochs[0], run.epochs[-1])
    )
    return last - first


def against_one_grouping(recordings: Runs) -> list[str]:
    """The runs that keep accuracies under one random grouping only, and no features.

    What one grouping happens to hold together is as large as the advantages in question, so their
    growth is not known well enough to judge a run by.
    """
    return [
        name
        for name, run in recordings.items()
        if not (run.has_group_accuracies or run.has_features)
    ]


REFERENCE_GROUPINGS = 100


def grouping_bias(recordings: Runs, level: str = "coarse") -> float:
    """Bias of the recorded advantages: their growth over one random grouping against many.

    Every run is measured against the same grouping, and some groupings throw together classes
    that no training brings closer. Over many groupings that evens out, but they need features,
    which some runs keep: there the difference is measured.

    Args:
        recordings: runs by name.
        level: as in `every_run`.

    Returns:
        Growth under the mean of `REFERENCE_GROUPINGS` groupings less that under the recorded one,
        averaged over the runs that keep features of their first and last epoch; NaN without any.
    """
    found = []
    for run in recordings.values():
        if tells_luck(run):
            own = level if level in run.hierarchy.names else run.hierarchy.names[1]
            changed = (run.path / FEATURES).stat().st_mtime_ns
            found.append(_luck(run.path, changed, own))
    return float(np.mean(found)) if found else float("nan")


def tells_luck(run: Recording) -> bool:
    """Whether a run keeps the features that `grouping_bias` takes: of its first and last epoch."""
    kept = run.kept_epochs() if run.has_features else ()
    return len(kept) > 1 and (kept[0], kept[-1]) == (run.epochs[0], run.epochs[-1])


@lru_cache(maxsize=64)
def _luck(path: Path, changed: int, level: str) -> float:
    run = open_recording(path)
    kept = run.kept_epochs()
    accuracy = grouping_accuracies(run, level, (kept[0], kept[-1]), groupings=REFERENCE_GROUPINGS)
    growth = accuracy[:, -1] - accuracy[:, 0]
    return float(growth.mean() - growth[0])  # the first is the one that is recorded


def intact_runs(recordings: Runs) -> dict[str, Recording]:
    """The runs that the claim is judged by: of the presets `FAMILIES`, without labels.

    Their objectives are whole. Of runs that differ by their seed alone, the one of the lowest
    seed. The preset regularizer is no part of it, not even its recipe (`why_aside`).
    """
    chosen: dict[str, str] = {}
    for name in sorted(self_supervised(recordings), key=_seed_last):
        if name.startswith(FAMILIES):
            chosen.setdefault(without_seed(name), name)
    return {name: recordings[name] for name in chosen.values()}


#: the setting that all others are changes of
REFERENCE_SETTING = "architecture-recipe"
#: settings outside of what the paper claims: without the views' colour jitter there is little that
#: a network could become invariant to
BOUNDARIES = ("hyperparameters-strength-0",)


def settings(recordings: Runs) -> dict[str, list[Recording]]:
    """Every setting of the presets `FAMILIES` with its runs, by seed; without labels."""
    found: dict[str, list[Recording]] = {}
    for name in sorted(self_supervised(recordings), key=_seed_last):
        if name.startswith(FAMILIES):
            found.setdefault(without_seed(name), []).append(recordings[name])
    return found


_SEED = re.compile(r"-s(\d+)$")


def without_seed(name: str) -> str:
    """A recording's name without its "-s<seed>"."""
    return _SEED.sub("", name)


def _seed_last(name: str) -> tuple[str, int]:
    match = _SEED.search(name)
    return without_seed(name), int(match[1]) if match else 0


# Beginnings of names, the longer before the shorter that they contain.
_GROUPS = {
    "clustering": "larger and longer",
    "methods": "objective",
    "architecture-width": "width",
    "architecture-depth": "number of blocks",
    "architecture": "kind of network",
    "hyperparameters-batch": "batch size",
    "hyperparameters-temperature": "SimCLR's temperature",
    "hyperparameters-strength": "strength of the views",
    "hyperparameters-projector": "projector",
    "hyperparameters-lr": "learning rate",
    "hyperparameters": "other settings",
}
# What a group is drawn beside, where that is not the reference of the page.
_COMPARED_WITH = {"SimCLR's temperature": "methods-simclr-s0"}
PROPERTIES = ("ratio", "advantage", "time", "depth")


def group_of(name: str) -> str:
    """What a run changes, by the name of its recording; "other" for a name of no preset."""
    found = (words for start, words in _GROUPS.items() if name.startswith(start))
    return next(found, "other")


def setting_of(run: Recording) -> str:
    """A run's own setting in words: the end of its title, made plain where that leaves it open."""
    words, config = run.variant, run.run["config"]
    if run.name.startswith("clustering"):
        return f"{words}, {backbone_title(config['backbone'])} for {config['epochs']} epochs"
    if without_seed(run.name) == REFERENCE_SETTING:
        return f"{words} (reference)"
    if config["objective"]["name"] == "simclr" and "temperature" not in words:
        return f"{words} at temperature {config['objective']['temperature']:g}"
    return words


def compared_with(group: str, runs: Runs, reference: Recording) -> Recording:
    """The run that a group is drawn beside: SimCLR for its temperatures, else the reference."""
    return runs.get(_COMPARED_WITH.get(group, ""), reference)


def grouped(runs: Runs) -> dict[str, dict[str, Recording]]:
    """Runs by group, in the order of the presets."""
    order = [*dict.fromkeys(_GROUPS.values()), "other"]
    found = {group: {n: r for n, r in runs.items() if group_of(n) == group} for group in order}
    return {group: own for group, own in found.items() if own}


def properties_table(table: pd.DataFrame, runs: Runs, reached: pd.DataFrame) -> pd.DataFrame:
    """A table for readers, one row per run; misses are marked.

    Args:
        table: of `every_run`.
        runs: the same by name.
        reached: truth values of recording, each of `PROPERTIES`, and holds.

    Returns:
        changed (the group), setting (with its layers where it has not the usual number), fine NCC,
        each property (the advantage in points), holds.
    """
    yes, usual, rows = reached.set_index("recording"), usual_layers(runs), []
    for row in table.to_dict("records"):
        name = row["recording"]
        group, layers = group_of(name), len(runs[name].layers)
        # What its group tells is left out: "learning rate 0.45" of "learning rate" is "0.45".
        setting = setting_of(runs[name]).rpartition(group.rpartition(" ")[2] + " ")[2]
        setting = setting.removeprefix("of ").removeprefix("the recipe, ")
        words = {
            "changed": group,
            "setting": setting if layers == usual else f"{setting} ({layers} layers)",
            "fine NCC": f"{row['start']:.1%}\u00a0→\u00a0{row['ncc']:.1%}",
        }
        shown = row | {"advantage": 100 * row["advantage"]}
        for what, form in zip(PROPERTIES, (".2f", "+.2f", "+.2f", "+.2f"), strict=True):
            miss = "" if yes.at[name, what] else " ✗\u00a0miss"
            words[what] = f"{shown[what]:{form}}{miss}"
        rows.append(words | {"holds": "✓\u00a0yes" if yes.at[name, "holds"] else "✗\u00a0no"})
    return pd.DataFrame(rows)


def usual_layers(runs: Runs) -> int:
    """How many layers most of the runs were measured at."""
    return Counter(len(run.layers) for run in runs.values()).most_common(1)[0][0]


def properties_with_intervals(
    runs: Runs, level: str = "coarse", *, draws: int = 300, seed: int = 0
) -> pd.DataFrame:
    """The four properties of every run, as `every_run` has them, with intervals.

    Most runs keep no features, so every accuracy of n test images is drawn again from its
    binomial distribution, each on its own. The accuracies of one run are of the same images
    and vary together; leaving that out makes the intervals too wide rather than too narrow.

    Returns:
        recording, setting, group, property (of `PROPERTIES`), value, low, high.
    """
    luck = grouping_bias(runs, level)
    values = every_run(runs, level, luck).set_index("recording")
    advantages, rows = values["advantage"].to_dict(), []
    for name, run in runs.items():
        drawn = _drawn(run, level, draws, np.random.default_rng(seed))
        # Drawn over one grouping, and moved to where the value over many lies.
        drawn["advantage"] += advantages[name] - _growth_over_one(run, level)
        for what in PROPERTIES:
            low, high = percentiles(drawn[what], CONFIDENCE)
            rows.append({"recording": name, "setting": setting_of(run), "group": group_of(name),
                         "property": what, "value": values.at[name, what],
                         "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def _drawn(
    run: Recording, level: str, draws: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draws of each property, float64 [draws] each."""
    names = run.hierarchy.names
    level = level if level in names else names[1]
    maps = {name: _redrawn(run, name, draws, rng) for name in (*names, f"random-{level}")}
    with np.errstate(divide="ignore", invalid="ignore"):
        fine = maps[names[0]][:, -1]
        gap = maps[level][:, -1] - maps[f"random-{level}"][:, -1]
        return {
            "ratio": fine[:, -1] / fine[:, 0],
            "advantage": gap[:, -1] - gap[:, 0],
            "time": np.mean([rank_order(maps[n][:, -1]) for n in names], axis=0),
            "depth": np.mean([rank_order(maps[n][:, :, -1]) for n in names], axis=0),
        }


def _redrawn(run: Recording, level: str, draws: int, rng: np.random.Generator) -> np.ndarray:
    """A level's accuracies of all test images, drawn again: float64 [draws, layers, epochs]."""
    table = by_layer_and_epoch(run, [level])
    wide = table.pivot_table(index="depth", columns="epoch", values="value")
    if wide.empty:
        return np.full((draws, len(run.layers), len(run.epochs)), np.nan)
    n = int(table["n"].iloc[0])
    values = wide.to_numpy()
    found: np.ndarray = rng.binomial(n, values, size=(draws, *values.shape)) / n
    return found


def spread(runs: Runs) -> pd.DataFrame:
    """How far the final fine NCC accuracies lie apart within each group of settings.

    Returns:
        group, runs, lowest, highest, deviation (standard, of the sample; NaN for one run).
    """
    rows = []
    for group, own in grouped(runs).items():
        values = np.array([final(run) for run in own.values()])
        rows.append({"group": group, "runs": len(values), "lowest": values.min(),
                     "highest": values.max(), "deviation": _deviation(values)})  # fmt: skip
    return pd.DataFrame(rows)


def seed_deviation(runs: Runs, prefix: str) -> float:
    """Standard deviation of the final fine NCC accuracy over the seeds of one setting."""
    return _deviation(np.array([final(run) for n, run in runs.items() if n.startswith(prefix)]))


def _deviation(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def profiles_of(
    runs: Runs, reference: Recording | None = None, level: str = "fine"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A group's runs over the epochs (last layer) and over the depth (last epoch).

    Args:
        runs: of one group.
        reference: drawn with them as "<its setting>", first.
        level: of the accuracy.

    Returns:
        Two tables with setting, epoch or share, value, low, high (Wilson's, over test images).
    """
    named = {} if reference is None else {setting_of(reference): reference}
    named |= {setting_of(run): run for run in runs.values()}
    parts = [accuracies_by_layer({words: run}, [level]) for words, run in named.items()]
    whole = pd.concat(parts, ignore_index=True).rename(columns={"run": "setting"})
    last = whole.groupby("setting")["epoch"].transform("max")
    return whole[whole["share"] == 1.0], whole[whole["epoch"] == last]


_FACTORS = ("invariance", "regularizer", "variance", "covariance")


def changed(run: Recording, reference: Recording) -> tuple[str, ...]:
    """The settings, in words, in which a run differs from another; the seed is none."""
    found = differing({"run": run, "reference": reference}).index
    short = [str(name).partition(" (")[0].rpartition(", ")[2] for name in found]
    return tuple(name for name in short if name != "seed")


def lengths(runs: Runs) -> dict[str, list[str]]:
    """How long the comparisons are and how that was chosen -> the runs of which it is true.

    Args:
        runs: by name; those of the preset clustering, which is no comparison, are left out.
    """
    found: dict[str, list[str]] = {}
    for name, run in runs.items():
        scale, family = scale_of(run), name.partition("-")[0]
        if family != "clustering":
            text = why_so_long(family, scale) if scale else "Not a length of the presets."
            found.setdefault(text, []).append(name)
    return found


def unrecorded(runs: Runs, scale: Scale) -> dict[str, str]:
    """The settings that count and are not recorded: name without the seed -> in words.

    Args:
        runs: all recordings by name.
        scale: of the presets whose words are taken; both scales have the same names.
    """
    known = {without_seed(name) for name in runs}
    planned = [run for family in FAMILIES for run in preset(family, scale).runs]
    return {
        without_seed(run.name): run.variant
        for run in planned
        if run.config.objective.name != "supervised" and without_seed(run.name) not in known
    }


def why_aside(run: Recording, counted: Runs) -> str:
    """Why a run is not among the counted ones.

    Args:
        run: one that does not count.
        counted: of `intact_runs`.
    """
    config = run.run["config"]
    objective = config["objective"]
    if objective["name"] == "supervised":
        return "saw labels"
    factors = any(objective.get(name, 1) != 1 for name in _FACTORS)
    paired = objective.get("positives", "own") == "own"
    if factors or not paired or objective["on_from"] > 0 or objective["on_until"] >= 0:
        return "objective not whole"
    if config["optim"]["lr"] < 1e-8:
        return "untrained"
    if twins := [name for name, other in counted.items() if not changed(run, other)]:
        return f"another seed of {twins[0]}, which counts"
    short = all(config["epochs"] < other.run["config"]["epochs"] for other in counted.values())
    length = f"{config['epochs']} epoch{'s' if config['epochs'] != 1 else ''}"
    reason = f"{setting_of(run)} after {length}, the reference of another page"
    return f"{reason}, too short for these rules" if short else reason


def sizes_in_words(runs: Runs) -> str:
    """How large the runs are that verdicts rest on, in a few sentences."""
    reduced = sum(scale_of(run) == "reduced" for run in runs.values())
    full = sum(scale_of(run) == "full" for run in runs.values())
    if not runs:
        return "There are no recordings, so there are no verdicts."
    longest = max(runs.values(), key=lambda run: (run.epochs[-1], run.name))
    sizes = [f"{full} of the size meant for an accelerator", f"{reduced} of a reduced one"]
    if others := len(runs) - full - reduced:
        sizes.append(f"{others} of a size that no preset asks for")
    said = (
        f"The book's verdicts rest on {len(runs)} recording{'s' * (len(runs) != 1)}, "
        f"{', '.join(sizes[:-1])} and {sizes[-1]}. The longest run is *{longest.title}*."
    )
    if reduced:
        said += (
            " Reduced runs show directions and orders, not how far the recipe can go; a full one "
            "takes the place of a reduced one under its name, and its verdict may differ."
        )
    return said


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
