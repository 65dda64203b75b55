"""Runs under other settings, seeds and lengths, beside what is known of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import safetensors
from scipy import stats

from ssl_companion.chapters.analysis import generality
from ssl_companion.chapters.analysis.depth_and_time import mean_order
from ssl_companion.chapters.analysis.generality import (
    FAMILIES,
    by_seed,
    every_run,
    intact_runs,
    ncc_over_seeds,
    setting_of,
)
from ssl_companion.chapters.claims import many_runs, recordings_by_name
from ssl_companion.measures.resampling import percentiles
from ssl_companion.presets.catalogue import PRESET_NAMES, preset, scale_of
from ssl_companion.presets.runs import Run, Scale
from ssl_companion.recordings import Recording, list_recordings, open_recording

Write = Callable[..., Recording]


@pytest.fixture(scope="module")
def runs(write_synthetic: Write) -> dict[str, Recording]:
    names = {
        "architecture-width-double-s0": {},
        "architecture-width-fifth-s0": {"strength": 0.7},
        "hyperparameters-lr-x3-s0": {"kind": "untrained"},
    }
    return {name: write_synthetic(name, features=False, **how) for name, how in names.items()}


@pytest.fixture(scope="module")
def by_lot(write_synthetic: Write) -> Recording:
    """A run whose accuracies are drawn by lot, of so many images that they are known exactly."""
    run = write_synthetic(
        "architecture-by-lot-s0", features=False, epochs=(0, 1, 2, 4, 9), layers=5
    )
    file = run.path / "measures.csv.gz"
    table = pd.read_csv(file)
    values = np.random.default_rng(0).random(len(table))
    table.assign(value=values, n=10**12).to_csv(file, index=False)
    return open_recording(run.path)


def looked_up(run: Recording, **where: object) -> list[float]:
    """Values of a recording's table in its own order, of test images."""
    table = run.measures[run.measures["split"] == "test"]
    for column, value in where.items():
        table = table[table[column] == value]
    found: list[float] = table["value"].tolist()
    return found


def order(run: Recording, **where: object) -> float:
    """Spearman's correlation with the order in the table, averaged over levels."""
    lines = [looked_up(run, measure="ncc", level=level, **where) for level in run.hierarchy.names]
    return float(np.mean([stats.spearmanr(line, range(len(line))).statistic for line in lines]))


def test_a_row_is_of_the_ends_and_orders_of_its_run(by_lot: Recording) -> None:
    def ncc(level: str, epoch: int) -> float:
        [value] = looked_up(by_lot, measure="ncc", level=level, epoch=epoch, layer="block4")
        return value

    expected = {
        "start": ncc("fine", 0),
        "ncc": ncc("fine", 9),
        "ratio": ncc("fine", 9) / ncc("fine", 0),
        "advantage": ncc("coarse", 9) - ncc("random-coarse", 9)
        - (ncc("coarse", 0) - ncc("random-coarse", 0)) - 0.25,
        "time": order(by_lot, layer="block4"),
        "depth": order(by_lot, epoch=9),
        "linear": looked_up(by_lot, measure="linear", epoch=9, layer="block4")[0],
        "sample": ncc("sample", 9),
    }  # fmt: skip
    for level in ("coarse", "of another data set"):
        [row] = every_run({by_lot.name: by_lot}, level, luck=0.25).to_dict("records")
        assert {name: row[name] for name in expected} == pytest.approx(expected)
    [row] = by_seed([by_lot], "coarse").to_dict("records")
    assert (row["before"], row["after"]) == (ncc("coarse", 0), ncc("coarse", 9))
    assert (row["time"], row["depth"]) == pytest.approx((expected["time"], expected["depth"]))
    assert row["depth before training"] == pytest.approx(order(by_lot, epoch=0))
    # Of 10^12 images all draws are the values themselves.
    drawn = generality._drawn(by_lot, "coarse", 3, np.random.default_rng(0))
    for name, value in (expected | {"advantage": expected["advantage"] + 0.25}).items():
        if name in drawn:
            np.testing.assert_allclose(drawn[name], value, atol=1e-4)


def test_a_run_that_found_nothing_at_first_has_no_ratio(by_lot: Recording) -> None:
    table = by_lot.measures
    at = (table["measure"] == "ncc") & (table["level"] == "fine") & (table["epoch"] == 0)
    run = Recording(by_lot.path)
    run.__dict__["measures"] = table.assign(value=table["value"].where(~at, 0.0))
    assert np.isnan(every_run({run.name: run})["ratio"].item())


def test_intervals_are_drawn_from_the_seed_and_lie_about_the_advantage_over_many_groupings(
    runs: dict[str, Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generality, "grouping_bias", lambda *_: 0.5)
    name = "architecture-width-fifth-s0"
    own = {name: runs[name]}
    found = generality.properties_with_intervals(own, draws=100, seed=4).set_index("property")
    drawn = generality._drawn(runs[name], "coarse", 100, np.random.default_rng(4))
    drawn["advantage"] = drawn["advantage"] - 0.5
    for what in generality.PROPERTIES:
        row = found.loc[what]
        assert (row["low"], row["high"]) == pytest.approx(percentiles(drawn[what], 0.95))
    row = found.loc["advantage"]
    assert row["low"] < row["value"] < row["high"]


def test_the_bias_is_of_the_runs_that_keep_features_of_both_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = {"a": (0, 9), "b": (0, 4, 9), "c": (0, 9), "no end": (0, 4), "no start": (4, 9)}
    luck = {"a": 0.1, "b": 0.2, "c": 0.6}
    hierarchy = SimpleNamespace(names=("fine", "coarse"))
    runs: dict[str, Any] = {}
    for name, epochs in kept.items():
        path = tmp_path / name
        path.mkdir()
        (path / "features.safetensors").touch()
        runs[name] = SimpleNamespace(
            path=path, has_features=True, kept_epochs=lambda epochs=epochs: epochs,
            epochs=(0, 4, 9), hierarchy=hierarchy,
        )  # fmt: skip
    runs["one epoch"] = SimpleNamespace(
        **{**vars(runs["a"]), "kept_epochs": lambda: (0,), "epochs": (0,)}
    )
    runs["no features"] = SimpleNamespace(has_features=False)
    monkeypatch.setattr(generality, "_luck", lambda path, changed, level: luck[path.name])
    assert generality.grouping_bias(runs) == pytest.approx(0.3)
    assert np.isnan(generality.grouping_bias({"no features": runs["no features"]}))


def test_every_run_of_the_presets_that_count_has_a_group() -> None:
    names = [run.name for p in PRESET_NAMES for run in preset(p, "reduced").runs]
    counted = [name for name in names if name.startswith(FAMILIES)]
    assert counted
    assert all(generality.group_of(name) != "other" for name in counted)
    assert generality.group_of("architecture-resnet18-s0") == "kind of network"
    assert generality.group_of("clustering-vicreg-s0") == "larger and longer"
    assert generality.group_of("mine") == "other"


def test_temperatures_are_compared_with_simclr(runs: dict[str, Recording]) -> None:
    reference, simclr = list(runs.values())[:2]
    known = {**runs, "methods-simclr-s0": simclr}
    assert generality.compared_with("SimCLR's temperature", known, reference) is simclr
    assert generality.compared_with("SimCLR's temperature", runs, reference) is reference
    assert generality.compared_with("width", known, reference) is reference


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


def test_the_advantage_is_over_a_hundred_groupings_where_a_run_has_them() -> None:
    run = recordings_by_name()["controls-supervised-s0"]
    with safetensors.safe_open(run.path / "levels.safetensors", framework="numpy") as file:
        about = json.loads(file.metadata()["about"])["groupings"]
        ends = [file.get_tensor(f"{e}/block5/balanced") / 65535 for e in (0, run.epochs[-1])]
    kinds = [(level, kind) for level, kind, number in about for _ in range(number)]
    random = [kind == ("coarse", "random") for kind in kinds]
    assert sum(random) == 100
    own = kinds.index(("coarse", "semantic"))
    first, last = (found[own] - found[random].mean() for found in ends)
    table = every_run({run.name: run}, luck=0.5)  # which is of single groupings
    assert table["advantage"].item() == pytest.approx(last - first, abs=1e-7)
    assert generality.against_one_grouping({run.name: run}) == []
    assert np.isnan(every_run({run.name: run}, "fine")["advantage"]).all()  # no groups, no answer
    found = generality.properties_with_intervals({run.name: run}).set_index("property")
    assert found.loc["advantage", "low"] < last - first < found.loc["advantage", "high"]


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
    assert set(over_depth["epoch"]) == {reference.epochs[-1]}
    assert over_depth["layer"].nunique() == len(reference.layers)


def test_a_miss_is_called_one(runs: dict[str, Recording]) -> None:
    reached = pd.DataFrame({
        "recording": list(runs), "ratio": [True, True, False], "advantage": True, "time": True,
        "depth": True, "holds": [True, True, False],
    })  # fmt: skip
    table = every_run(runs)
    words = generality.properties_table(table, runs, reached)
    first = table.iloc[0]
    assert words["fine NCC"][0] == f"{first['start']:.1%}\u00a0→\u00a0{first['ncc']:.1%}"
    assert words["changed"].isin(["width", "learning rate"]).all()
    assert not words["setting"].str.contains("learning rate").any(), "its group says that"
    assert words["ratio"].str.contains("✗").tolist() == [False, False, True]
    assert words["holds"].str[0].tolist() == ["✓", "✓", "✗"]
    usual = generality.usual_layers(runs)
    noted = words["setting"].str.contains("layers").tolist()
    assert noted == [len(run.layers) != usual for run in runs.values()]


def recorded(run: Run) -> Recording:
    """What of a recording says how it was made."""
    config = run.config.as_dict()
    about = {"config": config, "digest": run.config.digest(), "seed": run.config.seed}
    return cast(
        Recording,
        SimpleNamespace(name=run.name, title=run.title, variant=run.variant, run=about),
    )


def planned(scale: Scale, *presets: str) -> dict[str, Recording]:
    runs = [run for name in presets for run in preset(name, scale).runs]
    return {run.name: recorded(run) for run in runs}


REDUCED = planned("reduced", *FAMILIES, "regularizer", "targets")
REFERENCE = REDUCED["architecture-recipe-s0"]


def test_of_ten_seeds_and_more_the_lowest_counts() -> None:
    name = "architecture-recipe"
    runs = {f"{name}-s{seed}": REFERENCE for seed in (10, 2, 11)}
    assert list(intact_runs(runs)) == [f"{name}-s2"]


def test_the_settings_with_a_part_of_their_own_are_those_of_the_presets() -> None:
    assert f"{generality.REFERENCE_SETTING}-s0" in REDUCED
    [name] = generality.BOUNDARIES
    assert REDUCED[f"{name}-s0"].run["config"]["views"]["strength"] == 0


def test_simclr_says_its_temperature() -> None:
    run = REDUCED["methods-simclr-s0"]
    temperature = run.run["config"]["objective"]["temperature"]
    assert setting_of(run).endswith(f"at temperature {temperature}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("architecture-recipe-s1", ()),  # a seed is no setting
        ("architecture-depth-2-s0", ("network",)),
        ("hyperparameters-batch-x2-s0", ("learning rate", "batch size")),
        ("hyperparameters-strength-2-s0", ("strength",)),
        ("methods-simclr-s0", ("objective",)),
        ("hyperparameters-temperature-0.1-s0", ("objective", "temperature")),
        ("architecture-vit-s0", ("network", "optimizer", "learning rate", "weight decay")),
    ],
)
def test_what_a_run_changes(name: str, expected: tuple[str, ...]) -> None:
    assert generality.changed(REDUCED[name], REFERENCE) == expected


def test_the_trajectory_changes_more_than_its_length() -> None:
    what = generality.changed(REDUCED["clustering-vicreg-s0"], REFERENCE)
    assert {"network", "epochs", "batch size", "training images per class"} <= set(what)
    assert "RES-5-64 for 50 epochs" in setting_of(REDUCED["clustering-vicreg-s0"])


@pytest.mark.parametrize("scale", ["full", "reduced"])
def test_each_scale_says_how_its_length_came_about(scale: Scale) -> None:
    runs = planned(scale, *FAMILIES)
    assert {scale_of(run) for run in runs.values()} == {scale}
    (text,) = generality.lengths(runs)
    assert text in preset("methods", scale).why
    assert ("8 of 17" in text) == (scale == "reduced")


def test_a_length_of_no_preset_is_called_that(
    write_synthetic: Callable[..., Recording], tmp_path: Path
) -> None:
    (run,) = (r for r in preset("methods", "reduced").runs if r.name == "methods-byol-s0")
    other = recorded(replace(run, config=replace(run.config, epochs=7)))
    foreign = write_synthetic("mine-s0", tmp_path, features=False)
    assert scale_of(other) is scale_of(foreign) is None
    assert generality.lengths({run.name: other}) == {"Not a length of the presets.": [run.name]}
    assert scale_of(recorded(run.on("glyphs100"))) == "reduced"


def test_what_is_not_recorded_is_listed() -> None:
    gone = {"hyperparameters-lr-x3-s0": "learning rate 0.45", "architecture-resnet18-s0":
            "ResNet-18"}  # fmt: skip
    runs: dict[str, Any] = {name: run for name, run in REDUCED.items() if name not in gone}
    for seed in (1, 2):
        del runs[f"hyperparameters-lr-x3-s{seed}"], runs[f"architecture-resnet18-s{seed}"]
    del runs["architecture-recipe-s2"]
    for name in [name for name in runs if name.startswith("methods-supervised")]:
        del runs[name]  # neither is a setting
    found = generality.unrecorded(runs, "reduced")
    assert found == {name.removesuffix("-s0"): words for name, words in gone.items()}
    assert generality.unrecorded(REDUCED, "full") == {}  # both scales have the same names


def test_why_runs_do_not_count() -> None:
    counted = intact_runs(REDUCED)
    reasons = {
        name: generality.why_aside(run, counted)
        for name, run in REDUCED.items() if name not in counted
    }  # fmt: skip
    assert reasons["targets-teacher-s0"] == reasons["methods-supervised-s0"] == "saw labels"
    assert (
        reasons["architecture-recipe-s1"] == "another seed of architecture-recipe-s0, which counts"
    )
    assert reasons["clustering-vicreg-s2"] == "another seed of clustering-vicreg-s0, which counts"
    changed = ("invariance-only", "no-variance", "weight-5", "invariance-0.2", "shuffled")
    for name in (*changed, "off-midway", "on-midway"):
        assert reasons[f"regularizer-{name}-s0"] == "objective not whole"
    recipe = reasons["regularizer-recipe-s0"]
    assert recipe.startswith("the recipe after 15 epochs")
    still = {run.name: run for run in preset("controls", "reduced").runs}["controls-untrained-s0"]
    assert generality.why_aside(recorded(still), counted) == "untrained"
    assert recipe.endswith("too short for these rules")


@pytest.mark.parametrize(("epochs", "short"), [(19, True), (20, False), (25, False), (40, False)])
def test_a_run_is_too_short_where_every_one_that_counts_is_longer(epochs: int, short: bool) -> None:
    run = preset("architecture", "reduced").runs[0]

    def of(epochs: int, **objective: object) -> Recording:
        config = replace(run.config, epochs=epochs)
        return recorded(
            replace(run, config=replace(config, objective=replace(config.objective, **objective)))
        )

    counted = {"a": of(20), "b": of(30)}
    said = generality.why_aside(of(epochs, temperature=9.0), counted)
    assert said.endswith("too short for these rules") == short
    for switch in ({"on_from": 1}, {"on_until": 0}):
        assert generality.why_aside(of(epochs, **switch), counted) == "objective not whole"


def test_at_full_scale_the_two_recipes_are_one_setting() -> None:
    runs = planned("full", *FAMILIES, "regularizer")
    reason = generality.why_aside(runs["regularizer-recipe-s1"], intact_runs(runs))
    assert reason == "another seed of architecture-recipe-s0, which counts"


def test_what_is_said_of_the_length_holds_for_the_recordings() -> None:
    runs = {recording.name: recording for recording in list_recordings()}
    seeds = {name: run for name, run in runs.items() if name.startswith("architecture-recipe-s")}
    if len(seeds) < 3 or any(scale_of(run) != "reduced" for run in seeds.values()):
        pytest.skip("no three seeds of the recipe at the reduced scale")
    table = many_runs.properties(generality.every_run(seeds))
    assert table["holds"].all(), table


def test_the_sizes_of_runs_are_told(clusters: Recording, by_lot: Recording) -> None:
    other = cast(Recording, SimpleNamespace(run=by_lot.run, epochs=(0, 9), name="z", title="Short"))
    said = generality.sizes_in_words({"a": other, "b": clusters})
    assert f"The longest run is *{clusters.title}*" in said
    assert "no recordings" in generality.sizes_in_words({})
    said = generality.sizes_in_words({"one": clusters})
    assert "rest on 1 recording, 0 of the size" in said
    assert clusters.title in said
    assert "Reduced runs" not in said
    said = generality.sizes_in_words(recordings_by_name())
    counts = [int(n) for n in re.findall(r"(\d+) of (?:the|a) ", said)]
    assert sum(counts) == len(recordings_by_name())
    assert ("Reduced runs" in said) == (counts[1] > 0)


@pytest.fixture(scope="module")
def three_seeds(write_synthetic) -> list[Recording]:
    return [write_synthetic(f"seeds-{seed}", seed=seed, features=False) for seed in range(3)]


def test_the_mean_over_seeds_has_students_interval(three_seeds: list[Recording]) -> None:
    table = ncc_over_seeds(three_seeds, ["fine", "coarse"]).set_index(["level", "epoch"])
    assert len(table) == 2 * len(three_seeds[0].epochs)
    for (level, epoch), row in table.iterrows():
        where = {
            "level": level,
            "epoch": epoch,
            "layer": three_seeds[0].layers[-1],
            "split": "test",
        }
        values = [run.select(measure="ncc", **where)["value"].item() for run in three_seeds]
        assert row["value"] == pytest.approx(np.mean(values))
        low, high = np.clip(stats.t.interval(0.95, 2, np.mean(values), stats.sem(values)), 0, 1)
        if np.std(values) > 0:
            assert (row["low"], row["high"]) == pytest.approx((low, high))
        assert row["n"] == 3
    assert 0 <= table["low"].min() <= table["high"].max() <= 1
    assert generality._mean(pd.Series([0.9, 1.0, 1.0])).high == 1, "no accuracy is above 1"


def test_one_seed_has_no_interval_and_only_shared_epochs_count(
    three_seeds: list[Recording], write_synthetic
) -> None:
    alone = ncc_over_seeds(three_seeds[:1], ["fine"])
    assert alone["low"].isna().all()
    assert alone["value"].notna().all()
    other = write_synthetic("seeds-short", seed=5, features=False, epochs=(0, 4, 20))
    assert ncc_over_seeds([*three_seeds, other], ["fine"])["epoch"].tolist() == [0, 4, 20]


def test_each_seed_in_a_row(three_seeds: list[Recording]) -> None:
    table = by_seed(three_seeds, "coarse")
    assert table["seed"].tolist() == [0, 1, 2]
    assert (table["after"] > table["before"]).all()
    assert table["time"].tolist() == [mean_order(run, "epoch") for run in three_seeds]
    assert table["depth"].nunique() > 1 or table["after"].nunique() > 1, "seeds differ"
