"""One run beside smaller ones: their numbers, and who reaches the least effects."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ssl_companion.claims import rules, sizes
from ssl_companion.findings.live import final, start
from ssl_companion.recordings import Recording

MakeWorld = Callable[[str], dict[str, Recording]]


def trajectory(world: MakeWorld, kind: str) -> list[Recording]:
    return [world(kind)[f"clustering-vicreg-s{seed}"] for seed in (0, 1, 2)]


def test_numbers_are_those_of_the_tables(world: MakeWorld) -> None:
    small, large = trajectory(world, "clusters"), trajectory(world, "untrained")[0]
    table = sizes.beside(large, small).set_index("property")
    assert table.loc["ncc", "large"] == final(large)
    values = np.array([final(run) for run in small])
    found = table.loc["ncc", "small"]
    assert found.value == pytest.approx(values.mean())
    half = stats.t.ppf(0.975, 2) * stats.sem(values)
    assert found.high - found.value == pytest.approx(min(half, 1 - values.mean()))
    ratios = np.array([final(run) / start(run) for run in small])
    assert table.loc["ratio", "small"].value == pytest.approx(stats.gmean(ratios))
    assert table.loc["ratio", "asked"] == rules.CLUSTERING.least
    assert table.loc[["start", "ncc", "linear", "sample"], "asked"].isna().all()


def test_who_reaches_what_is_asked(world: MakeWorld) -> None:
    learns, stands_still = trajectory(world, "clusters"), trajectory(world, "untrained")
    table = sizes.beside(learns[0], stands_still).set_index("property")
    asked = table[table["asked"].notna()]
    assert list(asked.index) == ["ratio", "advantage", "time", "depth"]
    assert (asked["large_reaches"] == 1).all()
    assert (asked["small_reach"] == 0).all()
    words = sizes.what_changes(learns[0], stands_still)
    assert "and not by others: how many times over it rose; growth of" in words
    assert "at both sizes, or at neither" in sizes.what_changes(learns[0], learns[1:])
    mixed = [*learns[:2], stands_still[0]]
    for run in (learns[0], stands_still[0]):
        assert "reached by some" in sizes.what_changes(run, mixed).lower()
    shown = sizes.in_words(sizes.beside(learns[0], stands_still)).set_index("measured")
    assert shown.loc["how many times over it rose", "reached by"] == (
        "this run and 0 of the 3 small ones"
    )


def test_a_single_small_run_has_no_interval(world: MakeWorld) -> None:
    runs = trajectory(world, "clusters")
    table = sizes.beside(runs[0], runs[1:2])
    assert table["small"].map(lambda found: math.isnan(found.low)).all()
    assert "[" not in "".join(sizes.in_words(table)["small runs"])
    assert set(sizes.in_words(table)["reached by"]) == {"", "this run and the small one"}
    assert "The small one: *" in sizes.what_changes(runs[0], runs[1:2])
    with pytest.raises(ValueError, match="small: no runs; expected one or more"):
        sizes.beside(runs[0], [])


def test_what_stands_aside_is_in_a_folder_of_its_own(world: MakeWorld, tmp_path: Path) -> None:
    assert sizes.set_aside(sizes.SMALL, tmp_path) == {}
    run = trajectory(world, "clusters")[1]
    shutil.copytree(run.path, tmp_path / sizes.SMALL / run.name)
    assert list(sizes.set_aside(sizes.SMALL, tmp_path)) == [run.name]
