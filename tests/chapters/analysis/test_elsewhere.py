"""Runs in groups, and intervals of their properties."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.analysis import generality
from ssl_companion.chapters.analysis.generality import FAMILIES, every_run
from ssl_companion.presets.catalogue import PRESET_NAMES, preset
from ssl_companion.recordings import Recording

Write = Callable[..., Recording]


@pytest.fixture(scope="module")
def runs(write_synthetic: Write) -> dict[str, Recording]:
    names = {
        "architecture-width-double-s0": {},
        "architecture-width-fifth-s0": {"strength": 0.7},
        "hyperparameters-lr-x3-s0": {"kind": "untrained"},
    }
    return {name: write_synthetic(name, features=False, **how) for name, how in names.items()}


def test_every_run_of_the_presets_that_count_has_a_group() -> None:
    names = [run.name for p in PRESET_NAMES for run in preset(p, "reduced").runs]
    counted = [name for name in names if name.startswith(FAMILIES)]
    assert counted
    assert all(generality.group_of(name) != "other" for name in counted)
    assert generality.group_of("architecture-resnet18-s0") == "kind of network"
    assert generality.group_of("clustering-vicreg-s0") == "the trajectory"
    assert generality.group_of("mine") == "other"


def test_temperatures_are_held_against_simclr(runs: dict[str, Recording]) -> None:
    reference, simclr = list(runs.values())[:2]
    known = {**runs, "methods-simclr-s0": simclr}
    assert generality.held_against("temperature", known, reference) is simclr
    assert generality.held_against("temperature", runs, reference) is reference
    assert generality.held_against("width", known, reference) is reference


def test_groups_hold_every_run_once(runs: dict[str, Recording]) -> None:
    groups = generality.grouped(runs)
    assert set(groups) == {"width", "learning rate"}
    assert sorted(name for own in groups.values() for name in own) == sorted(runs)


def test_values_are_those_of_the_table_and_intervals_hold_them(runs: dict[str, Recording]) -> None:
    found = generality.properties_with_intervals(runs, draws=200)
    expected = every_run(runs).set_index("recording")
    for row in found.itertuples():
        value = expected.loc[row.recording, row.property]
        assert row.value == pytest.approx(value, nan_ok=True)
        # A rank correlation at its ceiling can only be disturbed, so its interval may end there.
        if row.property in ("ratio", "advantage"):
            assert row.low < row.value < row.high


def test_the_interval_of_a_ratio_against_the_delta_method(runs: dict[str, Recording]) -> None:
    name = "architecture-width-double-s0"
    found = generality.properties_with_intervals({name: runs[name]}, draws=4000)
    row = found.set_index("property").loc["ratio"]
    run = every_run({name: runs[name]}).iloc[0]
    n, p, q = 1000, run["start"], run["ncc"]
    half = 1.96 * np.sqrt((1 - p) / (n * p) + (1 - q) / (n * q))
    assert np.log(row["high"] / row["low"]) == pytest.approx(2 * half, rel=0.1)


def test_nothing_is_found_where_nothing_was_trained(runs: dict[str, Recording]) -> None:
    found = generality.properties_with_intervals(runs, draws=200)
    own = found[found["recording"] == "hyperparameters-lr-x3-s0"].set_index("property")
    assert own.loc["ratio", "low"] < 1 < own.loc["ratio", "high"]
    assert own.loc["advantage", "low"] < 0 < own.loc["advantage", "high"]
    assert np.isnan(own.loc["time", "value"])


def test_spread_and_seeds(runs: dict[str, Recording]) -> None:
    table = generality.spread(runs).set_index("group")
    width = table.loc["width"]
    assert width["runs"] == 2
    assert width["deviation"] == pytest.approx((width["highest"] - width["lowest"]) / np.sqrt(2))
    assert np.isnan(table.loc["learning rate", "deviation"])
    assert generality.seed_deviation(runs, "architecture-width") == pytest.approx(
        width["deviation"]
    )


def test_profiles_put_the_reference_first(runs: dict[str, Recording]) -> None:
    own = {"hyperparameters-lr-x3-s0": runs["hyperparameters-lr-x3-s0"]}
    reference = runs["architecture-width-double-s0"]
    over_time, over_depth = generality.profiles_of(own, reference)
    assert over_time["setting"].iloc[0] == generality.setting_of(reference)
    assert set(over_time["layer"]) == {reference.layers[-1]}
    assert over_depth.groupby("setting")["epoch"].nunique().eq(1).all()


def test_a_miss_is_called_one(runs: dict[str, Recording]) -> None:
    reached = pd.DataFrame({
        "recording": list(runs), "ratio": [True, True, False], "advantage": True, "time": True,
        "depth": True, "holds": [True, True, False],
    })  # fmt: skip
    words = generality.properties_table(every_run(runs), runs, reached)
    assert words["run"].str.startswith(("width", "learning rate")).all()
    assert words["ratio"].str.contains("miss").tolist() == [False, False, True]
    assert words["holds"].tolist() == ["yes", "yes", "no"]
    assert words["layers"].tolist() == [len(run.layers) for run in runs.values()]
