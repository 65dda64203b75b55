"""Nothing is written in: the same code says yes to clusters that are there and no to others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ssl_companion.chapters.claims import (
    CLAIMS,
    Evidence,
    Verdict,
    judge,
    ledger,
    many_runs,
    recordings_by_name,
)
from ssl_companion.recordings import Recording, open_recording

World = dict[str, Recording]
IDS = [claim.id for claim in CLAIMS]
OF_LEVELS = ("semantic-over-random", "hierarchy", "time", "depth")  # these: test_levels
OTHERS = [name for name in IDS if name not in OF_LEVELS]


@pytest.mark.parametrize("name", OTHERS)
def test_clusters_that_grow_reproduce_the_claim(world: Callable[[str], World], name: str) -> None:
    row = judge(name, world("clusters"))
    assert row.verdict is Verdict.REPRODUCED, (row.evidence, row.note)
    assert row.evidence is not None
    assert row.evidence.effect.low <= row.evidence.effect.value <= row.evidence.effect.high
    assert set(row.evidence.recordings) <= set(world("clusters"))


@pytest.mark.parametrize("kind", ["untrained", "collapsed", "permuted"])
@pytest.mark.parametrize("name", OTHERS)
def test_nothing_is_reproduced_where_nothing_is_there(
    world: Callable[[str], World], name: str, kind: str
) -> None:
    row = judge(name, world(kind))
    assert row.verdict is Verdict.NOT_REPRODUCED, (row.evidence, row.note)


@pytest.mark.parametrize("name", [i for i in OTHERS if i not in ("downstream", "generality")])
def test_one_run_is_judged_by_its_images(world: Callable[[str], World], name: str) -> None:
    single = {n: run for n, run in world("clusters").items() if n.endswith("-s0")}
    row = judge(name, single)
    assert row.evidence is not None, row.note
    if name == "regularizer":  # a control needs the recipe under three seeds
        assert row.evidence.control is None
        assert row.verdict is Verdict.PARTLY
    else:
        assert "image" in row.evidence.over
        assert row.verdict is Verdict.REPRODUCED, (row.evidence, row.note)
    untrained = {n: run for n, run in world("untrained").items() if n.endswith("-s0")}
    assert judge(name, untrained).verdict is Verdict.NOT_REPRODUCED


def test_interventions_that_do_nothing_show_no_driver(world: Callable[[str], World]) -> None:
    recordings = dict(world("clusters"))
    for name in ("regularizer-invariance-only-s0", "regularizer-regularizer-only-s0"):
        recordings[name] = recordings["regularizer-recipe-s0"]
    row = judge("regularizer", recordings)
    assert row.evidence is not None
    assert row.evidence.effect.value == pytest.approx(0.5)
    assert row.verdict is Verdict.NOT_REPRODUCED


def test_an_invariance_that_drives_is_not_a_regularizer(world: Callable[[str], World]) -> None:
    recordings = dict(world("clusters"))
    one, other = "regularizer-invariance-only-s0", "regularizer-regularizer-only-s0"
    recordings[one], recordings[other] = recordings[other], recordings[one]
    assert judge("regularizer", recordings).verdict is Verdict.NOT_REPRODUCED


@pytest.mark.parametrize("luck", [0.0, 1.0])
def test_the_luck_of_the_one_grouping_is_taken_off(
    world: Callable[[str], World], monkeypatch: pytest.MonkeyPatch, luck: float
) -> None:
    monkeypatch.setattr(many_runs.generality, "grouping_bias", lambda *_: luck)
    row = judge("generality", world("clusters"))
    assert row.evidence is not None
    assert row.evidence.effect.value == (1.0 if luck == 0 else 0.0)
    assert f"less its luck ({luck:+.3f}" in row.note


def test_a_control_that_clusters_too_takes_the_verdict_away(world: Callable[[str], World]) -> None:
    row = judge("clustering", world("clusters"))
    assert row.evidence is not None
    part = replace(row.evidence.parts[0], control=row.evidence.effect)
    fooled = replace(row.claim, evidence=lambda _: Evidence((part,)))
    assert fooled.judge({}).verdict is Verdict.NOT_REPRODUCED


def test_generality_lists_the_runs_that_miss(world: Callable[[str], World]) -> None:
    recordings = dict(world("clusters"))
    for name in ("methods-simclr-s0", "methods-byol-s0"):
        recordings[name] = world("untrained")[name]
    row = judge("generality", recordings)
    assert row.verdict is Verdict.PARTLY  # eleven of thirteen
    misses = row.note.partition("Misses: ")[2].rstrip(".").split(", ")
    assert sorted(misses) == ["methods-byol-s0", "methods-simclr-s0"]


def _retold(recording: Recording, to: Path, **config: object) -> Recording:
    """A copy that says that it was trained otherwise."""
    folder = Path(shutil.copytree(recording.path, to / recording.name))
    about = json.loads((folder / "run.json").read_text())
    about["config"] |= config
    (folder / "run.json").write_text(json.dumps(about))
    return open_recording(folder)


def test_runs_of_two_scales_are_not_compared(world: Callable[[str], World], tmp_path: Path) -> None:
    recordings = dict(world("clusters"))
    for name in ("regularizer-recipe-s0", "clustering-vicreg-s1"):
        recordings[name] = _retold(recordings[name], tmp_path, epochs=30, backbone="res-5-250")
    row = judge("regularizer", recordings)
    assert row.verdict is Verdict.NOT_MEASURED
    assert "differ in more than the objective: regularizer-recipe-s0 (" in row.note
    # Two seeds and a run of another kind are no three seeds: the first is judged by its images.
    row = judge("clustering", recordings)
    assert row.evidence is not None
    assert row.evidence.recordings == ("clustering-vicreg-s0",)
    assert "images" in row.evidence.over


def test_interventions_are_held_against_the_recipe_of_their_own_seed(
    world: Callable[[str], World],
) -> None:
    recordings = dict(world("clusters"))
    for variant in ("invariance-only", "regularizer-only"):
        run = recordings.pop(f"regularizer-{variant}-s0")
        recordings[f"regularizer-{variant}-s2"] = run
    ((seed, triple),) = many_runs._triples(recordings).items()
    assert seed == 2
    assert triple[0] is recordings["regularizer-recipe-s2"]
    recordings["regularizer-invariance-only-s1"] = recordings.pop("regularizer-invariance-only-s2")
    row = judge("regularizer", recordings)
    assert row.verdict is Verdict.NOT_MEASURED
    assert "no seed of" in row.note


def test_a_run_of_which_one_epoch_was_kept_is_not_measured(
    world: Callable[[str], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = {"clustering-vicreg-s0": world("clusters")["clustering-vicreg-s0"]}
    last = recordings["clustering-vicreg-s0"].epochs[-1:]
    monkeypatch.setattr(Recording, "kept_epochs", lambda *_, **__: last)
    for name in ("clustering", "semantic-over-random", "hierarchy", "compression", "time"):
        assert judge(name, recordings).verdict is Verdict.NOT_MEASURED


def test_a_readers_own_recordings_are_no_evidence(
    world: Callable[[str], World], tmp_path: Path
) -> None:
    for name, own in (("methods-simclr-s0", "methods-simclr-s0"), ("methods-byol-s0", "mine")):
        shutil.copytree(world("clusters")[name].path, tmp_path / own)
    assert set(recordings_by_name(tmp_path)) == {"methods-simclr-s0"}


def test_what_is_not_recorded_is_said_and_no_crash() -> None:
    rows = ledger({})
    assert [row.claim.id for row in rows] == IDS
    for row in rows:
        assert row.verdict is Verdict.NOT_MEASURED
        assert "ssl-companion record" in row.note
        assert row.as_dict()["effect"] is None


def test_a_recording_without_features_is_not_measured_live(world: Callable[[str], World]) -> None:
    light = {n: r for n, r in world("clusters").items() if n == "clustering-vicreg-s1"}
    for row in ledger(light):
        assert row.verdict is Verdict.NOT_MEASURED
