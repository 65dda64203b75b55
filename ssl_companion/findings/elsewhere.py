"""Runs in groups by what was changed, and how far their numbers could be chance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssl_companion.findings.depth_time import by_layer_and_epoch, rank_order
from ssl_companion.findings.generality import every_run, luck_of_the_grouping
from ssl_companion.findings.layers import beside
from ssl_companion.findings.live import CONFIDENCE, Runs, final
from ssl_companion.recordings import Recording

# Beginnings of names, the longer before the shorter that they contain.
_GROUPS = {
    "clustering": "the trajectory",
    "methods": "objective",
    "architecture-width": "width",
    "architecture-depth": "number of blocks",
    "architecture": "kind of network",
    "hyperparameters-batch": "batch size",
    "hyperparameters-temperature": "temperature",
    "hyperparameters-strength": "strength of the views",
    "hyperparameters-projector": "projector",
    "hyperparameters-lr": "learning rate",
    "hyperparameters": "other settings",
}
# What a group is drawn beside, where that is not the reference of the page.
_HELD_AGAINST = {"temperature": "methods-simclr-s0"}
PROPERTIES = ("ratio", "advantage", "time", "depth")


def group_of(name: str) -> str:
    """What a run changes, by the name of its recording; "other" for a name of no preset."""
    found = (words for start, words in _GROUPS.items() if name.startswith(start))
    return next(found, "other")


def setting_of(run: Recording) -> str:
    """A run's own setting in words: the end of its title, made plain where that leaves it open."""
    words, config = run.title.rpartition("; ")[2], run.run["config"]
    if run.name.startswith("clustering"):
        return f"{words}, {config['backbone'].upper()} for {config['epochs']} epochs"
    if config["objective"]["name"] == "simclr" and "temperature" not in words:
        return f"{words} at temperature {config['objective']['temperature']:g}"
    return words


def held_against(group: str, runs: Runs, reference: Recording) -> Recording:
    """The run that a group is drawn beside: SimCLR for its temperatures, else the reference."""
    return runs.get(_HELD_AGAINST.get(group, ""), reference)


def grouped(runs: Runs) -> dict[str, dict[str, Recording]]:
    """Runs by group, in the order of the presets."""
    order = [*dict.fromkeys(_GROUPS.values()), "other"]
    found = {group: {n: r for n, r in runs.items() if group_of(n) == group} for group in order}
    return {group: own for group, own in found.items() if own}


def in_words(table: pd.DataFrame, runs: Runs, reached: pd.DataFrame) -> pd.DataFrame:
    """A table for readers: run, layers, holds, fine NCC, and each property, misses marked as such.

    Args:
        table: of `generality.every_run`.
        runs: the same by name.
        reached: truth values of recording, each of `PROPERTIES`, and holds.
    """
    yes = reached.set_index("recording")
    rows = []
    for row in table.to_dict("records"):
        name = row["recording"]
        words = {
            "run": f"{group_of(name)}: {setting_of(runs[name])}",
            "layers": len(runs[name].layers),
            "holds": "yes" if yes.at[name, "holds"] else "no",
            "fine NCC": f"{row['start']:.1%}\u00a0→\u00a0{row['ncc']:.1%}",
        }
        for what, form in zip(PROPERTIES, (".2f", "+.3f", "+.2f", "+.2f"), strict=True):
            words[what] = f"{row[what]:{form}}" + ("" if yes.at[name, what] else " (miss)")
        rows.append(words)
    return pd.DataFrame(rows)


def properties_with_intervals(
    runs: Runs, level: str = "coarse", *, draws: int = 300, seed: int = 0
) -> pd.DataFrame:
    """The four properties of every run, as `generality.every_run` has them, with intervals.

    Most runs keep no features, so every accuracy of n test images is drawn again from its
    binomial distribution, each on its own. The accuracies of one run are of the same images
    and vary together; leaving that out makes the intervals too wide rather than too narrow.

    Returns:
        recording, setting, group, property (of `PROPERTIES`), value, low, high.
    """
    luck = luck_of_the_grouping(runs, level)
    values = every_run(runs, level, luck).set_index("recording")
    rows = []
    for name, run in runs.items():
        drawn = _drawn(run, level, draws, np.random.default_rng(seed))
        drawn["advantage"] -= 0.0 if np.isnan(luck) else luck
        for what in PROPERTIES:
            low, high = _ends(drawn[what])
            rows.append({"recording": name, "setting": setting_of(run), "group": group_of(name),
                         "property": what, "value": values.at[name, what],
                         "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def _ends(drawn: np.ndarray) -> tuple[float, float]:
    finite = drawn[np.isfinite(drawn)]
    if 2 * len(finite) < len(drawn):
        return float("nan"), float("nan")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


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
    parts = [beside({words: run}, [level]) for words, run in named.items()]
    whole = pd.concat(parts, ignore_index=True).rename(columns={"run": "setting"})
    last = whole.groupby("setting")["epoch"].transform("max")
    return whole[whole["share"] == 1.0], whole[whole["epoch"] == last]
