"""The presets: what the chapters read of a recording is what its run keeps, at both scales."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import get_args

import pytest

from ssl_companion.presets.catalogue import PRESET_NAMES, preset
from ssl_companion.presets.runs import Run, Scale, teachers_first
from ssl_companion.training.config import ObjectiveConfig

SCALES = get_args(Scale)
FOLLOWED = ("recipe", "off-midway", "on-midway", "invariance-only")  # through the switch


def runs_of(name: str, scale: Scale) -> dict[str, Run]:
    return {run.name: run for run in preset(name, scale).runs}


def kept(run: Run) -> list[int]:
    """Epochs at which anything is kept."""
    return [e for e in run.snapshots if run.measure.layers_kept(e, ("stem", "block1"))]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", PRESET_NAMES)
def test_what_is_kept_is_measured(name: str, scale: Scale) -> None:
    for run in preset(name, scale).runs:
        measure = run.measure
        assert {*measure.keep_at, *measure.all_layers_at} <= set(run.snapshots), run.name
        assert {*measure.every_sample_at, *measure.probe_layers_at} <= set(run.snapshots), run.name
        assert run.snapshots[-1] == run.config.epochs
        if kept(run):  # every chapter compares the end with the beginning
            assert {0, run.config.epochs} <= set(kept(run)), run.name
            assert measure.keep_samples <= measure.sample_images
            assert measure.map_images <= (measure.keep_samples or measure.sample_images)


@pytest.mark.parametrize("scale", SCALES)
def test_the_trajectory_keeps_what_its_chapters_read(scale: Scale) -> None:
    run = runs_of("clustering", scale)["clustering-vicreg-s0"]
    layers = ("stem", "block1", "block2")
    both_ends = [e for e in run.snapshots if run.measure.layers_kept(e, layers) == layers]
    if scale == "reduced":  # at full size the reference keeps every layer, and this one the last
        assert {0, run.config.epochs} <= set(both_ends)  # live_by_layer
    assert len(kept(run)) >= 5  # curves and maps through training
    assert run.measure.keep_fresh >= 2  # spread within an image
    samples = run.measure.keep_samples or run.measure.sample_images
    assert samples >= 200  # more views than dimensions
    assert run.measure.keep_train >= 5  # few_labels


@pytest.mark.parametrize("scale", SCALES)
def test_the_interventions_keep_what_their_chapter_reads(scale: Scale) -> None:
    runs = runs_of("regularizer", scale)
    first = {n: run for n, run in runs.items() if n.endswith("-s0")}
    assert len(first) == 12
    assert all(kept(run) for run in first.values())  # live_outcomes
    shared = set.intersection(*(set(kept(first[f"regularizer-{v}-s0"])) for v in FOLLOWED))
    switch = first["regularizer-off-midway-s0"].config.objective.on_until
    assert {0, switch, switch + 1} < shared
    # Its compression is compared with the trajectory's.
    assert first["regularizer-invariance-only-s0"].measure.keep_fresh >= 2


@pytest.mark.parametrize("scale", SCALES)
def test_a_teacher_has_the_scale_and_the_data_of_its_run(scale: Scale) -> None:
    run = runs_of("clustering", scale)["clustering-vicreg-s0"]
    teacher = runs_of("targets", scale)["targets-teacher-s0"]
    assert run.teacher == teacher
    assert run.measure.against == teacher.name
    assert teacher.command == (
        f"ssl-companion record targets --only targets-teacher-s0 --scale {scale}"
    )
    elsewhere = run.on("glyphs100")
    assert elsewhere.teacher == teacher.on("glyphs100")
    assert elsewhere.teacher is not None
    assert elsewhere.teacher.command.endswith(f"--scale {scale} --data glyphs100")


def test_teachers_come_first_and_the_others_as_they_were() -> None:
    runs = [*preset("clustering", "reduced").runs, *preset("targets", "reduced").runs]
    names = [run.name for run in teachers_first(runs)]
    assert names == ["targets-teacher-s0", *(f"clustering-vicreg-s{seed}" for seed in range(3))]


@pytest.mark.parametrize("scale", SCALES)
def test_a_preset_says_how_long_it_is_and_why(scale: Scale) -> None:
    for name in PRESET_NAMES:
        made = preset(name, scale)
        lengths = {run.config.epochs for run in made.runs}
        assert any(f"{epochs} epochs" in made.why for epochs in lengths), name


def test_the_reduced_recordings_are_of_these_configurations() -> None:
    """Recordings of hours stand in the book: this fails before a change makes them worthless.

    A setting of what is measured that came later does not count at its default.
    """
    recorded = [name for name in PRESET_NAMES if name != "regularizer"]
    runs = [run for name in recorded for run in preset(name, "reduced").runs]
    told = {run.name: [run.config.digest(), run.measure.settings(), run.snapshots] for run in runs}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    assert digest == "40952d662285e5f2f37f2970102c00766f6a5d3dff18a58bc182bb6823fdb1b3"


@pytest.mark.parametrize("scale", SCALES)
def test_what_a_comparison_needs_comes_first(scale: Scale) -> None:
    names = [run.name.removeprefix("regularizer-") for run in preset("regularizer", scale).runs]
    seeded = ["recipe", "weight-0.2", "invariance-0.2", "shuffled", "invariance-only",
              "regularizer-only"]  # fmt: skip
    rest = ["no-variance", "no-covariance", "weight-5", "weight-0.04", "off-midway", "on-midway"]
    assert names == [
        *(f"{variant}-s{seed}" for seed in range(3) for variant in seeded),
        *(f"{variant}-s0" for variant in rest),
    ]
    names = [run.name.removeprefix("controls-") for run in preset("controls", scale).runs]
    variants = ["recipe", "supervised", "by-lot", "collapsed"]
    per_seed = [[f"{variant}-s{seed}" for variant in variants] for seed in range(3)]
    kinds, width = (variants[:3], 64) if scale == "reduced" else (variants[1:3], 250)
    large = [f"{variant}-{width}-s{seed}" for seed in range(3) for variant in kinds]
    assert names == [*per_seed[0], "untrained-s0", *per_seed[1], *per_seed[2], *large]


def test_the_interventions_have_the_trajectorys_network_and_images_at_the_reduced_scale() -> None:
    (trajectory, *_), runs = (
        preset(name, "reduced").runs for name in ("clustering", "regularizer")
    )
    for run in runs:
        like = dataclasses.replace(
            trajectory.config, epochs=15, seed=run.config.seed, objective=run.config.objective
        )
        assert run.config == like, run.name
        assert run.steps == trajectory.steps == (20, 50, 100, 200)


@pytest.mark.parametrize("scale", SCALES)
def test_the_controls_differ_from_the_comparison_in_what_they_are_called_after(
    scale: Scale,
) -> None:
    runs = runs_of("controls", scale)
    base = runs_of("architecture", scale)["architecture-recipe-s1"].config
    recipe = runs["controls-recipe-s1"].config
    assert recipe == dataclasses.replace(base, held_out=True)
    supervised, by_lot = (runs[f"controls-{v}-s1"].config for v in ("supervised", "by-lot"))
    labels = runs_of("methods", scale)["methods-supervised-s0"].config
    assert supervised == dataclasses.replace(labels, seed=1, held_out=True)
    assert by_lot.objective == dataclasses.replace(supervised.objective, labels="by lot")
    collapsed = dataclasses.replace(recipe, objective=ObjectiveConfig(regularizer=0))
    assert runs["controls-collapsed-s1"].config == collapsed
    assert runs["controls-untrained-s0"].config.optim.lr <= 1e-9
    for name, run in runs.items():
        assert run.config.held_out == ("-64-" not in name and "-250-" not in name)
        assert run.measure.keep == "none"


@pytest.mark.parametrize(("scale", "width"), [("reduced", 64), ("full", 250)])
def test_the_larger_controls_have_the_trajectorys_network_and_images(
    scale: Scale, width: int
) -> None:
    runs = runs_of("controls", scale)
    intervention = runs_of("regularizer", scale)["regularizer-recipe-s1"].config
    trajectory = runs_of("clustering", scale)["clustering-vicreg-s1"].config
    assert intervention == dataclasses.replace(trajectory, epochs=intervention.epochs)
    if scale == "reduced":
        assert runs["controls-recipe-64-s1"].config == intervention
    for kind in ("supervised", "by-lot"):
        small = runs[f"controls-{kind}-s1"].config
        assert runs[f"controls-{kind}-{width}-s1"].config == dataclasses.replace(
            intervention, objective=small.objective, optim=small.optim
        )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["methods", "architecture", "hyperparameters"])
def test_every_setting_of_a_comparison_has_three_seeds_seed_by_seed(
    name: str, scale: Scale
) -> None:
    runs = preset(name, scale).runs
    seeds = [run.config.seed for run in runs]
    assert seeds == sorted(seeds)
    by_seed = [[run for run in runs if run.config.seed == seed] for seed in range(3)]
    for others in by_seed[1:]:
        for first, other in zip(by_seed[0], others, strict=True):
            assert other.config == dataclasses.replace(first.config, seed=other.config.seed)
            assert other.name == first.name.replace("-s0", f"-s{other.config.seed}")


def test_at_full_scale_comparisons_are_measured_at_few_epochs() -> None:
    few, switch = {0, 1, 3, 10, 30}, {15, 16, 17}
    for run in preset("regularizer", "full").runs:
        followed = run.name in {f"regularizer-{variant}-s0" for variant in FOLLOWED}
        at = few - {1} if run.config.seed == 0 else {0, 30}
        assert set(run.snapshots) == (at | switch if followed else at), run.name
        assert run.steps == ()
    for name in ("controls", "methods", "architecture", "hyperparameters"):
        for run in preset(name, "full").runs:
            if run.name == "controls-untrained-s0":
                continue
            followed = run.name in {f"regularizer-{variant}-s0" for variant in FOLLOWED}
            assert set(run.snapshots) == (few | switch if followed else few), run.name
