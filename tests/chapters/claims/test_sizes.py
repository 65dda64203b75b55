"""Runs of several sizes side by side: their numbers, and who reaches the thresholds."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ssl_companion.chapters.analysis.accuracies import final, start
from ssl_companion.chapters.claims import rules, sizes
from ssl_companion.recordings import Recording

MakeWorld = Callable[[str], dict[str, Recording]]


def trajectory(world: MakeWorld, kind: str) -> list[Recording]:
    return [world(kind)[f"clustering-vicreg-s{seed}"] for seed in (0, 1, 2)]


def test_numbers_are_those_of_the_tables(world: MakeWorld) -> None:
    small, large = trajectory(world, "clusters"), trajectory(world, "untrained")[0]
    table = sizes.compare_sizes({"large": [large], "small": small}).set_index(["property", "group"])
    assert table.loc[("ncc", "large"), "value"].value == final(large)
    values = np.array([final(run) for run in small])
    found = table.loc[("ncc", "small"), "value"]
    assert found.value == pytest.approx(values.mean())
    half = stats.t.ppf(0.975, 2) * stats.sem(values)
    assert found.high - found.value == pytest.approx(min(half, 1 - values.mean()))
    ratios = np.array([final(run) / start(run) for run in small])
    assert table.loc[("ratio", "small"), "value"].value == pytest.approx(stats.gmean(ratios))
    assert table.loc[("ratio", "large"), "needed"] == rules.CLUSTERING.least
    assert table.loc[["start", "ncc", "linear", "sample"], "needed"].isna().all()


def test_who_reaches_what_is_needed(world: MakeWorld) -> None:
    learns, stands_still = trajectory(world, "clusters"), trajectory(world, "untrained")
    apart = {"large": learns[:1], "small": stands_still}
    table = sizes.compare_sizes(apart)
    needed = table[table["needed"].notna()]
    assert list(dict.fromkeys(needed["property"])) == ["ratio", "advantage", "time", "depth"]
    assert (needed[needed["group"] == "large"]["reach"] == 1).all()
    assert (needed[needed["group"] == "small"]["reach"] == 0).all()
    words = sizes.what_changes(apart)
    assert "and not by others: factor by which it grew; growth of" in words
    assert "Small: *" in words
    assert words.endswith("A star marks the runs that stay below the threshold.")
    alike = sizes.what_changes({"a": learns[:1], "b": learns[1:]})
    assert "All of these runs reach every threshold" in alike
    assert "star" not in alike
    none = sizes.what_changes({"a": stands_still[:1], "b": stands_still[1:]})
    assert "Reached by none of these runs: factor by which it grew; " in none
    mixed = [*learns[:2], stands_still[0]]
    for run in (learns[0], stands_still[0]):
        assert "Reached by some" in sizes.what_changes({"one": [run], "mixed": mixed})
    shown = sizes.sizes_table(table).set_index("measured").loc["factor by which it grew"]
    assert "*" not in shown["large"]
    assert shown["small, 3 seeds"].endswith("*")


def test_a_part_of_the_properties(world: MakeWorld) -> None:
    runs = {"one": trajectory(world, "clusters")[:1]}
    assert sizes.compare_sizes(runs, ["time", "ncc"])["property"].tolist() == ["time", "ncc"]
    with pytest.raises(ValueError, match="names: 'speed'; expected some of start, ncc"):
        sizes.compare_sizes(runs, ["speed"])


def test_a_single_run_has_no_interval(world: MakeWorld) -> None:
    runs = trajectory(world, "clusters")
    table = sizes.compare_sizes({"large": runs[:1], "small": runs[1:2]})
    assert table["value"].map(lambda found: math.isnan(found.low)).all()
    assert "(" not in "".join(sizes.sizes_table(table)["small"])
    with pytest.raises(ValueError, match="runs: a group without any"):
        sizes.compare_sizes({"large": runs[:1], "small": []})


def test_groups_are_those_there_are(world: MakeWorld) -> None:
    runs = world("clusters")
    assert list(sizes.groups(runs)) == ["full size"]
    assert [run.name for run in sizes.groups(runs)["full size"]] == [
        f"clustering-vicreg-s{seed}" for seed in (0, 1, 2)
    ]
    beside = {"reference-vicreg-s0": runs["clustering-vicreg-s0"]}
    assert list(sizes.groups({**runs, **beside})) == ["full size, other code", "full size"]


def test_growth_of_each_level_is_that_of_the_tables(world: MakeWorld) -> None:
    runs = trajectory(world, "clusters")
    shown = sizes.growth_by_size({"one": runs[:1], "many": runs}).set_index("level")
    assert list(shown.index) == list(runs[0].hierarchy.names[1:])
    for level in shown.index:
        grown = [
            final(run, level=level) - final(run, level=f"random-{level}")
            - start(run, level=level) + start(run, level=f"random-{level}")
            for run in runs
        ]  # fmt: skip
        assert shown.loc[level, "one"] == f"{100 * grown[0]:.1f} points"
        assert shown.loc[level, "many, 3 seeds"].startswith(f"{100 * np.mean(grown):.1f} points (")


def test_what_stands_aside_is_in_a_folder_of_its_own(world: MakeWorld, tmp_path: Path) -> None:
    assert sizes.set_aside(sizes.SMALL, tmp_path) == {}
    run = trajectory(world, "clusters")[1]
    shutil.copytree(run.path, tmp_path / sizes.SMALL / run.name)
    assert list(sizes.set_aside(sizes.SMALL, tmp_path)) == [run.name]
