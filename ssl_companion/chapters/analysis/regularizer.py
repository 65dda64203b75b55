"""What the terms of the objective do: seen along a run, and by interventions."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from ssl_companion.chapters.analysis.accuracies import (
    NotRecorded,
    Runs,
    at_epoch,
    final,
    start,
)
from ssl_companion.recordings import Recording

_NAME = re.compile(r"regularizer-(?P<variant>.+)-s(?P<seed>\d+)")
NOT_TERMS = ("epoch", "total", "lr", "seconds")


def variants(recordings: Runs) -> pd.DataFrame:
    """The interventions that are recorded: recording, variant, seed, words."""
    rows = []
    for name, recording in recordings.items():
        if match := _NAME.fullmatch(name):
            words = recording.variant
            rows.append({"recording": name, "variant": match["variant"],
                         "seed": int(match["seed"]), "words": words})  # fmt: skip
    return pd.DataFrame(rows, columns=["recording", "variant", "seed", "words"])


def seeds_of(recordings: Runs, variant: str) -> list[Recording]:
    """The runs of a variant, by seed."""
    table = variants(recordings)
    names = table[table["variant"] == variant].sort_values("seed")["recording"]
    return [recordings[name] for name in names]


def terms_against_ncc(recording: Recording, level: str = "fine") -> pd.DataFrame:
    """The terms of each measured epoch beside the NCC accuracy after it.

    Returns:
        epoch, one column a term (the mean over the epoch's steps, unweighted), total, ncc.
    """
    rows = recording.select(
        measure="ncc", level=level, split="test", layer=recording.layers[-1]
    ).rename(columns={"value": "ncc"})
    terms = recording.losses.drop(columns=[c for c in ("lr", "seconds") if c in recording.losses])
    return terms.merge(rows[["epoch", "ncc"]], on="epoch").reset_index(drop=True)


def terms(recording: Recording) -> tuple[str, ...]:
    """The names of the objective's terms, as the losses have them."""
    return tuple(c for c in recording.losses.columns if c not in NOT_TERMS)


def outcome(recordings: Runs, level: str = "fine") -> pd.DataFrame:
    """Every intervention's end: recording, variant, words, seed, start, ncc, gain (ncc - start),
    sample, linear, effective_rank."""
    table = variants(recordings)
    if table.empty:
        raise NotRecorded("no runs 'regularizer-*': `ssl-companion record regularizer` makes them")
    rows = []
    for row in table.to_dict("records"):
        run = recordings[str(row["recording"])]
        first, last = start(run, level=level), final(run, level=level)
        rows.append({
            **row,
            "start": first,
            "ncc": last,
            "gain": last - first,
            "sample": final(run, level="sample"),
            "linear": final(run, "linear", level=level),
            "effective_rank": final(run, "effective_rank", level="all"),
        })  # fmt: skip
    return pd.DataFrame(rows)


_REMOVED = ("recipe", "no-covariance", "no-variance", "invariance-only", "regularizer-only")


def removed_terms(recordings: Runs, level: str = "fine") -> pd.DataFrame:
    """`outcome` of the recipe and of the runs without one or more of its terms, in that order."""
    return _ordered(outcome(recordings, level), _REMOVED)


def dose_response(recordings: Runs, level: str = "fine") -> pd.DataFrame:
    """`outcome` with `dose`: the factor on the regularizer's weight, 0 (off) to 5, ascending."""
    table = outcome(recordings, level)
    doses = {"invariance-only": 0.0, "recipe": 1.0}
    weighted = table["variant"].str.extract(r"^weight-([\d.]+)$")[0].astype(float)
    table = table.assign(dose=table["variant"].map(doses).fillna(weighted))
    return table.dropna(subset=["dose"]).sort_values(["dose", "seed"]).reset_index(drop=True)


def _ordered(table: pd.DataFrame, order: Iterable[str]) -> pd.DataFrame:
    place = {name: i for i, name in enumerate(order)}
    chosen = table[table["variant"].isin(place)]
    chosen = chosen.assign(_place=chosen["variant"].map(place)).sort_values(["_place", "seed"])
    return chosen.drop(columns="_place").reset_index(drop=True)


def runs_above(outcomes: pd.DataFrame, value: float) -> str:
    """The interventions of `outcome` that end above an NCC accuracy, in words.

    Where only some seeds do, it says how many: "the recipe (2 of 3 seeds), regularizer at 5".
    "none" where no run does.
    """
    above = outcomes.assign(above=outcomes["ncc"] > value).groupby("words", sort=False)["above"]
    said = [
        f"{words}" + ("" if own.all() else f" ({own.sum()} of {len(own)} seeds)")
        for words, own in above
        if own.any()
    ]
    return ", ".join(said) or "none"


def losses_by_size(losses: pd.DataFrame) -> pd.DataFrame:
    """What each intervention loses, a column for each size of run, to be shown.

    Args:
        losses: size, intervention, seeds, gain (of the recipe), value, low, high (the share of it
            that is lost, NaN without an interval).

    Returns:
        Texts by intervention: the recipe's gain in points first, then the shares, "148% (110% to
        185%)"; "not run" where a size lacks one.
    """
    columns = {}
    for size, rows in losses.groupby("size", sort=False):
        gain = rows["gain"].iloc[int(rows["seeds"].argmax())]
        cells = {"(gain of the recipe)": f"{100 * gain:+.1f} points"}
        for row in rows.to_dict("records"):
            sure = f" ({row['low']:.0%} to {row['high']:.0%})" if row["low"] == row["low"] else ""
            cells[row["intervention"]] = f"{row['value']:.0%}{sure}"
        columns[str(size)] = cells
    order = dict.fromkeys(name for cells in columns.values() for name in cells)
    shown = pd.DataFrame(columns).reindex(list(order)).fillna("not run")
    return shown.rename_axis("intervention")


_SWITCHED = ("off-midway", "on-midway")


def switched(recordings: Runs, level: str = "fine") -> pd.DataFrame:
    """NCC accuracy of the runs whose regularizer is switched midway, and of the two others.

    Returns:
        recording, variant, words, seed, epoch, value, switch (the epoch after which it was
        switched; NaN for the recipe and for invariance alone).
    """
    rows = []
    table = _ordered(variants(recordings), ("recipe", *_SWITCHED, "invariance-only"))
    for row in table.to_dict("records"):
        run = recordings[str(row["recording"])]
        at = switch_epoch(run)
        curve = run.select(measure="ncc", level=level, split="test", layer=run.layers[-1])
        for epoch, value in zip(curve["epoch"], curve["value"], strict=True):
            rows.append({**row, "epoch": epoch, "value": value, "switch": at})
    columns = ["recording", "variant", "words", "seed", "epoch", "value", "switch"]
    return pd.DataFrame(rows, columns=columns)


def switch_epoch(recording: Recording) -> float:
    """The number of epochs after which the regularizer was switched, NaN if it never was."""
    objective = recording.run["config"]["objective"]
    if objective["on_until"] >= 0:
        return float(objective["on_until"])
    return float(objective["on_from"]) if objective["on_from"] > 0 else float("nan")


def switch_effect(recordings: Runs, level: str = "fine") -> pd.DataFrame:
    """Around the switch: recording, variant, switch, before, after (one epoch on), end, and
    recipe, the accuracy at the end of the recipe with the same seed (NaN without one)."""
    recipes = {run.run["seed"]: final(run, level=level) for run in seeds_of(recordings, "recipe")}
    rows = []
    for variant in _SWITCHED:
        for run in seeds_of(recordings, variant):
            at = int(switch_epoch(run))
            rows.append({
                "recording": run.name,
                "variant": variant,
                "switch": at,
                "before": at_epoch(run, at, level=level),
                "after": at_epoch(run, at + 1, level=level),
                "end": final(run, level=level),
                "recipe": recipes.get(run.run["seed"], float("nan")),
            })  # fmt: skip
    return pd.DataFrame(rows)
