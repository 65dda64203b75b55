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
    Control,
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
# The rest: test_levels, test_regularizer, test_compression.
OTHERS = ["clustering", "downstream", "generality"]


@pytest.fixture(autouse=True)
def _as_if_many_groupings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthetic runs are held against one grouping; that this decides nothing is a test."""
    if "one_grouping" not in request.node.name:
        monkeypatch.setattr(many_runs.generality, "against_one_grouping", lambda _: [])


def test_runs_held_against_one_grouping_decide_nothing(world: Callable[[str], World]) -> None:
    row = judge("generality", world("clusters"))
    assert row.verdict is Verdict.UNDECIDED
    assert "compared with a single random grouping" in row.note


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
    assert row.verdict in (Verdict.NOT_REPRODUCED, Verdict.UNDECIDED), (row.evidence, row.note)
    assert row.evidence is not None
    for part in row.evidence.parts:
        rule = part.rule or row.claim.rule
        # That another classifier moves with the probe takes runs that differ.
        controls = [control for control in part.controls if "kNN" not in control.words]
        assert all(control.is_right(rule) for control in controls)


@pytest.mark.parametrize("name", OTHERS)
def test_no_effect_counts_without_runs_whose_answer_is_known(
    world: Callable[[str], World], name: str
) -> None:
    runs = {n: run for n, run in world("clusters").items() if not n.startswith("controls-")}
    assert judge(name, runs).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("name", OTHERS)
def test_a_rule_that_says_yes_to_labels_by_lot_decides_nothing(
    world: Callable[[str], World], name: str
) -> None:
    runs = dict(world("clusters"))
    for seed in (0, 1, 2):
        runs[f"controls-by-lot-s{seed}"] = runs[f"controls-supervised-s{seed}"]
    row = judge(name, runs)
    assert row.verdict is Verdict.UNDECIDED
    assert "The negative control (trained on random labels) fails" in row.note


def test_one_run_is_a_pilot_judged_by_its_images(world: Callable[[str], World]) -> None:
    single = {
        n: run
        for n, run in world("clusters").items()
        if n.endswith("-s0") or n.startswith("controls-")
    }
    row = judge("clustering", single)
    assert row.evidence is not None, row.note
    assert "1 run: " in row.evidence.over
    assert "images" in row.evidence.over
    assert row.judged == "reproduced (pilot)", (row.evidence, row.note)
    assert not judge("clustering", world("clusters")).pilot


def test_classes_never_trained_on_have_to_gain(world: Callable[[str], World]) -> None:
    runs = dict(world("clusters"))
    for seed in (0, 1, 2):
        runs[f"controls-recipe-s{seed}"] = world("untrained")[f"controls-recipe-s{seed}"]
    row = judge("downstream", runs)
    assert [v.value for v in row.verdicts] == ["reproduced", "not reproduced"]
    for seed in (0, 1, 2):
        del runs[f"controls-recipe-s{seed}"]
    row = judge("downstream", runs)
    assert row.verdict is Verdict.UNDECIDED
    assert "no run with classes held out" in row.note.lower()


@pytest.mark.parametrize("luck", [0.0, 1.0])
def test_where_the_reference_misses_the_comparison_tells_nothing(
    world: Callable[[str], World], monkeypatch: pytest.MonkeyPatch, luck: float
) -> None:
    monkeypatch.setattr(many_runs.generality, "grouping_bias", lambda *_: luck)
    row = judge("generality", world("clusters"))
    assert row.evidence is not None
    assert row.evidence.effect.value == (1.0 if luck == 0 else 0.0)
    assert (row.verdict is Verdict.UNDECIDED) is (luck == 1)
    assert ("itself misses the advantage" in row.note) is (luck == 1)


def test_a_control_that_clusters_too_takes_the_verdict_away(world: Callable[[str], World]) -> None:
    row = judge("clustering", world("clusters"))
    assert row.evidence is not None
    part = row.evidence.parts[0]
    fooled = Control("the same labels", part.effect, "no")
    part = replace(part, controls=(*part.controls, fooled))
    row = replace(row.claim, evidence=lambda _: Evidence((part,))).judge({})
    assert row.verdict is Verdict.UNDECIDED
    assert "The negative control (the same labels) fails" in row.note


def test_generality_lists_the_settings_that_miss(world: Callable[[str], World]) -> None:
    recordings = dict(world("clusters"))
    for name in ("methods-simclr-s0", "methods-byol-s0"):
        recordings[name] = world("untrained")[name]
    row = judge("generality", recordings)
    assert row.verdict is Verdict.PARTLY, row.note  # of fourteen settings twelve
    misses = row.note.partition("every setting but: ")[2].partition(". ")[0].split("; ")
    words = [recordings[f"methods-{name}-s0"] for name in ("byol", "simclr")]
    assert sorted(misses) == sorted(map(many_runs.generality.setting_of, words))
    assert "have fewer than 3 seeds" in row.note


def _retold(recording: Recording, to: Path, **config: object) -> Recording:
    """A copy that says that it was trained otherwise."""
    folder = Path(shutil.copytree(recording.path, to / recording.name))
    about = json.loads((folder / "run.json").read_text())
    about["config"] |= config
    (folder / "run.json").write_text(json.dumps(about))
    return open_recording(folder)


def test_runs_of_two_scales_are_not_compared(world: Callable[[str], World], tmp_path: Path) -> None:
    recordings = dict(world("clusters"))
    name = "clustering-vicreg-s1"
    recordings[name] = _retold(recordings[name], tmp_path, epochs=30, backbone="res-5-250")
    # Two seeds and a run of another kind are no three seeds: the first is judged by its images.
    row = judge("clustering", recordings)
    assert row.evidence is not None
    assert row.evidence.recordings == ("clustering-vicreg-s0",)
    assert "images" in row.evidence.over


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
