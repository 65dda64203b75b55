"""What runs change, at which scale they are, and why some do not count."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ssl_companion.chapters.analysis import generality
from ssl_companion.chapters.analysis.generality import (
    FAMILIES,
    intact_runs,
    setting_of,
)
from ssl_companion.chapters.claims import many_runs, recordings_by_name
from ssl_companion.presets.catalogue import preset, scale_of
from ssl_companion.presets.runs import Run, Scale
from ssl_companion.recordings import Recording, list_recordings


def recorded(run: Run) -> Recording:
    """What of a recording says how it was made."""
    config = run.config.as_dict()
    about = {"config": config, "digest": run.config.digest(), "seed": run.config.seed}
    return cast(Recording, SimpleNamespace(name=run.name, title=run.title, run=about))


def planned(scale: Scale, *presets: str) -> dict[str, Recording]:
    runs = [run for name in presets for run in preset(name, scale).runs]
    return {run.name: recorded(run) for run in runs}


REDUCED = planned("reduced", *FAMILIES, "regularizer", "targets")
REFERENCE = REDUCED["architecture-recipe-s0"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("architecture-recipe-s1", ()),  # a seed is no setting
        ("architecture-depth-2-s0", ("network",)),
        ("hyperparameters-batch-x2-s0", ("learning rate", "images in a step")),
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
    assert {"network", "epochs", "images in a step", "training images of a class"} <= set(what)
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
    del runs["architecture-recipe-s2"], runs["methods-supervised-s0"]  # neither is a setting
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
    assert reasons["architecture-recipe-s1"] == "seed 1 of architecture-recipe-s0, which counts"
    assert reasons["clustering-vicreg-s2"] == "seed 2 of clustering-vicreg-s0, which counts"
    changed = ("invariance-only", "no-variance", "weight-5", "invariance-0.2", "shuffled")
    for name in (*changed, "off-midway", "on-midway"):
        assert reasons[f"regularizer-{name}-s0"] == "objective not whole"
    recipe = reasons["regularizer-recipe-s0"]
    assert recipe.startswith("the recipe at 6 epochs")
    assert recipe.endswith("too short for these rules")


def test_at_full_scale_the_two_recipes_are_one_setting() -> None:
    runs = planned("full", *FAMILIES, "regularizer")
    reason = generality.why_aside(runs["regularizer-recipe-s1"], intact_runs(runs))
    assert reason == "seed 1 of architecture-recipe-s0, which counts"


def test_what_is_said_of_the_length_holds_for_the_recordings() -> None:
    runs = {recording.name: recording for recording in list_recordings()}
    for family, holds in (("architecture", True), ("regularizer", False)):  # at 28, at 6 epochs
        seeds = {name: run for name, run in runs.items() if name.startswith(f"{family}-recipe-s")}
        if len(seeds) < 3 or any(scale_of(run) != "reduced" for run in seeds.values()):
            pytest.skip("no three seeds of the recipe at the reduced scale")
        table = many_runs.properties(generality.every_run(seeds))
        assert table["holds"].all() == holds, table


def test_the_sizes_of_runs_are_told(clusters: Recording) -> None:
    assert "no recordings" in generality.sizes_in_words({})
    said = generality.sizes_in_words({"one": clusters})
    assert "rest on 1 recording, 0 of the size" in said
    assert clusters.title in said
    assert "Reduced runs" not in said
    said = generality.sizes_in_words(recordings_by_name())
    counts = [int(n) for n in re.findall(r"(\d+) of (?:the|a) ", said)]
    assert sum(counts) == len(recordings_by_name())
    assert ("Reduced runs" in said) == (counts[1] > 0)
