"""Runs of several sizes are judged apart, and the least of their verdicts counts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ssl_companion.__main__ import main
from ssl_companion.chapters.analysis.accuracies import final, start
from ssl_companion.chapters.claims import (
    Claim,
    Evidence,
    Part,
    Rule,
    Verdict,
    decide,
    judge,
    recordings_by_name,
    recordings_to_judge,
)
from ssl_companion.chapters.claims.decision import least
from ssl_companion.chapters.claims.kept_counts import counts_for_verdicts
from ssl_companion.chapters.widgets.tables import verdict_table
from ssl_companion.measures import Interval
from ssl_companion.recordings import Recording, open_recording
from ssl_companion.recordings.groupings import write_groupings

World = Callable[[str], dict[str, Recording]]
RULE = Rule("above", 1.0, 1.5, "ratio", "for a test")
NOTHING = Interval(1.0, 0.9, 1.1)
YES, HALF, NO = Interval(2.0, 1.6, 2.4), Interval(1.4, 1.2, 1.6), Interval(1.0, 0.8, 1.2)
OWN, REFERENCE = "clustering-vicreg-s0", "reference-vicreg-s0"
SMALL = tuple(f"small/clustering-vicreg-s{seed}" for seed in (0, 1, 2))


def claim_of(*parts: Part) -> Claim:
    return Claim("a", "A.", "m", RULE, "c", "n", lambda _: Evidence(parts, "A note."))


def part(effect: Interval, size: str, which: str = "", runs: int = 1) -> Part:
    names = tuple(f"{size} {which} {i}" for i in range(runs))
    return Part(effect, NOTHING, "images", names, size, which)


def test_parts_that_agree_give_their_verdict() -> None:
    row = claim_of(
        part(YES, "full size"), part(YES, "full size", "another"), part(YES, "small size", runs=3)
    ).judge({})
    assert row.verdict is Verdict.REPRODUCED
    assert row.note == "A note. Judged apart, 2 runs at full size and 3 runs at small size agree."
    assert row.evidence is not None
    assert len(row.evidence.recordings) == 5


def test_of_parts_that_differ_the_least_counts_and_the_note_says_which() -> None:
    row = claim_of(part(YES, "full size"), part(HALF, "small size", "3 seeds", 3)).judge({})
    assert row.verdict is Verdict.PARTLY
    assert row.note == (
        "A note. Judged apart, 1 run at full size and 3 runs at small size differ: reproduced "
        "(full size), partly (small size, 3 seeds). The least of these counts."
    )
    assert (row.as_dict()["effect"], row.short()["verdict"]) == (YES.value, "partly")
    assert claim_of(part(NO, "a"), part(HALF, "b")).judge({}).verdict is Verdict.NOT_REPRODUCED


def test_a_single_part_needs_no_agreement() -> None:
    row = claim_of(Part(YES, NOTHING, "images", ("one",))).judge({})
    assert (row.verdict, row.note, row.by_runs(str)) == (Verdict.REPRODUCED, "A note.", "")
    assert "by runs" not in verdict_table(row).frame.index
    assert row.as_dict()["parts"][0]["name"] == ""  # type: ignore[index]
    with pytest.raises(ValueError, match="parts: none; expected one or more"):
        Evidence(())


@given(st.lists(st.tuples(*[st.floats(-3, 3)] * 3).map(sorted), min_size=1), st.randoms())
def test_the_verdict_is_the_least_in_whatever_order(
    ends: list[list[float]], random: object
) -> None:
    effects = [Interval(value, low, high) for low, value, high in ends]
    verdicts = [decide(effect, RULE, NOTHING) for effect in effects]
    order = [Verdict.NOT_REPRODUCED, Verdict.PARTLY, Verdict.REPRODUCED]
    wanted = order[min(map(order.index, verdicts))]
    parts = [part(effect, f"size {i}") for i, effect in enumerate(effects)]
    assert claim_of(*parts).judge({}).verdict is wanted
    random.shuffle(parts)  # type: ignore[attr-defined]
    assert claim_of(*parts).judge({}).verdict is wanted
    assert least([wanted, Verdict.REPRODUCED]) is wanted


def _with(
    world: World, root: Path, small: str = "clusters", kept: Callable[[str], bool] | None = None
) -> Path:
    """A folder of recordings: a world, an independent run of which is kept what is said, small
    ones of a kind, the first with counts in place of its features, and somebody's own."""
    for name, run in world("clusters").items():
        shutil.copytree(run.path, root / name)
    for seed in (1, 2):  # one run of full size
        shutil.rmtree(root / f"clustering-vicreg-s{seed}")
    for name in (REFERENCE, "mine"):
        shutil.copytree(world("clusters")[OWN].path, root / name)
    for name in SMALL:
        shutil.copytree(world(small)[Path(name).name].path, root / name)
        if (run := open_recording(root / name)).has_features:
            write_groupings(root / name / "groupings.safetensors", counts_for_verdicts(run))
            (root / name / "features.safetensors").unlink()
    if kept is not None:
        _thin(root / REFERENCE, kept)
    return root


def _thin(folder: Path, kept: Callable[[str], bool]) -> None:
    path = folder / "features.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file({k: v for k, v in tensors.items() if kept(k)}, path)


def test_what_stands_beside_the_presets_is_found(world: World, tmp_path: Path) -> None:
    root = _with(world, tmp_path)
    presets, everything = recordings_by_name(root), recordings_to_judge(root)
    assert set(everything) - set(presets) == {REFERENCE, *SMALL}
    assert "mine" not in everything


@pytest.mark.parametrize("name", ["clustering"])  # of levels: test_levels
def test_a_trajectory_is_judged_at_every_size(world: World, tmp_path: Path, name: str) -> None:
    small, by = (SMALL, "3 seeds") if name == "clustering" else (SMALL[:1], "1 run")
    runs = recordings_to_judge(_with(world, tmp_path))
    row = judge(name, runs)
    assert row.evidence is not None, row.note
    assert row.verdict is Verdict.REPRODUCED, (row.verdicts, row.note)
    assert row.evidence.recordings == (OWN, REFERENCE, *small)
    assert [part.which for part in row.evidence.parts] == ["", "an independent implementation", by]
    assert by in row.evidence.parts[-1].over
    assert row.evidence.parts[0] == judge(name, recordings_by_name(tmp_path)).evidence.parts[0]  # type: ignore[union-attr]
    assert row.note.endswith(f"and {len(small)} run{'s' * (len(small) > 1)} at small size agree.")
    assert "independent implementation: " in str(verdict_table(row).frame.loc["by runs", ""])


def test_another_recipe_by_that_name_is_no_part(world: World, tmp_path: Path) -> None:
    root = _with(world, tmp_path)
    path = root / REFERENCE / "run.json"
    run = json.loads(path.read_text())
    run["config"]["backbone"] = "res-5-64"
    path.write_text(json.dumps(run))
    row = judge("time", recordings_to_judge(root))
    assert row.evidence is not None
    assert REFERENCE not in row.evidence.recordings


@pytest.mark.parametrize("name", ["clustering"])  # of levels: test_levels
def test_small_runs_that_do_not_learn_take_the_verdict_away(
    world: World, tmp_path: Path, name: str
) -> None:
    row = judge(name, recordings_to_judge(_with(world, tmp_path, small="untrained")))
    assert row.verdict is Verdict.NOT_REPRODUCED
    assert row.verdicts[:2] == (Verdict.REPRODUCED, Verdict.REPRODUCED)
    by = "3 seeds" if name == "clustering" else "1 run"
    assert f"not reproduced (small size, {by}). The least of these counts." in row.note


def test_small_runs_cluster_by_their_tables_over_seeds(world: World, tmp_path: Path) -> None:
    runs = recordings_to_judge(_with(world, tmp_path))
    evidence = judge("clustering", runs).evidence
    assert evidence is not None
    ratios = [final(runs[name]) / start(runs[name]) for name in SMALL]
    assert evidence.parts[-1].effect.value == pytest.approx(stats.gmean(ratios))
    assert evidence.parts[-1].over == "3 seeds (all test images)"


def test_small_runs_alone(world: World, tmp_path: Path) -> None:
    root = _with(world, tmp_path)
    only = {name: run for name, run in recordings_to_judge(root).items() if name in SMALL}
    assert judge("clustering", only).verdict is Verdict.REPRODUCED
    assert judge("compression", only).verdict is Verdict.NOT_MEASURED
    two = {name: only[name] for name in SMALL[:2]}  # of which Student's interval says nothing
    assert judge("clustering", two).verdict is Verdict.NOT_MEASURED


def test_small_runs_with_features_are_counted_once(world: World, tmp_path: Path) -> None:
    root = _with(world, tmp_path)
    shutil.copytree(world("clusters")[OWN].path, root / SMALL[0], dirs_exist_ok=True)
    everything = dict(recordings_to_judge(root))
    row = judge("clustering", everything)
    assert row.evidence is not None
    assert [part.which for part in row.evidence.parts][2:] == ["3 seeds"]
    del everything[SMALL[2]]
    row = judge("clustering", everything)
    assert row.evidence is not None
    assert [part.which for part in row.evidence.parts][2:] == ["1 run"]


def test_a_run_that_does_not_keep_what_a_claim_takes_is_passed_over(
    world: World, tmp_path: Path
) -> None:
    ends = world("clusters")[OWN].epochs[:: len(world("clusters")[OWN].epochs) - 1]

    def kept(name: str) -> bool:  # test images and class means everywhere, the rest at both ends
        epoch, _, what = name.removesuffix(".affine").split("/")
        return what in ("test", "class_means") or int(epoch) in ends

    root = _with(world, tmp_path, kept=kept)
    last = open_recording(OWN, root).layers[-1]
    _thin(root / OWN, lambda name: name.split("/")[1] == last)
    runs = recordings_to_judge(root)
    for name, used, left in (
        ("depth", (REFERENCE, SMALL[0]), f"Lacking what this takes, and left out: {OWN}."),
        ("compression", (OWN,), f"Lacking what this takes, and left out: {REFERENCE}, {SMALL[0]}"),
        ("clustering", (OWN, REFERENCE, *SMALL), ""),
    ):
        row = judge(name, runs)
        assert row.evidence is not None, row.note
        assert row.evidence.recordings == used
        assert left in row.note
        assert bool(left) is ("left out" in row.note)
    alone = {name: run for name, run in runs.items() if name == OWN}
    assert judge("depth", alone).verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize("name", ["regularizer", "downstream", "generality"])
def test_claims_over_many_runs_do_not_count_them(world: World, tmp_path: Path, name: str) -> None:
    root = _with(world, tmp_path)
    with_them, without = recordings_to_judge(root), recordings_by_name(root)
    assert judge(name, with_them).as_dict() == judge(name, without).as_dict()


def test_a_readers_run_in_the_trajectorys_place_is_the_one_part(world: World) -> None:
    row = judge("semantic-over-random", {OWN: world("clusters")[OWN]})
    assert row.evidence is not None
    assert [part.name for part in row.evidence.parts] == ["a size of its own"]
    assert "left out" not in row.note


def test_the_command_shows_the_parts(
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = recordings_to_judge(_with(world, tmp_path))
    rows = [judge(name, runs) for name in ("clustering", "downstream")]
    monkeypatch.setattr("ssl_companion.chapters.commands.claims.ledger", lambda _: rows)
    assert main(["claims", "--json", "--root", str(tmp_path)]) == 0
    clustering, downstream = json.loads(capsys.readouterr().out)
    first, *others = clustering["parts"]
    for key in ("effect", "low", "high", "interval_over", "control_effect"):
        assert first[key] == clustering[key]
    assert [len(part["recordings"]) for part in others] == [1, 3]
    assert {part["verdict"] for part in others} == {"reproduced"}
    assert len(downstream["parts"]) == 1
    assert main(["claims", "--root", str(tmp_path)]) == 0
    assert "small size, 3 seeds: " in capsys.readouterr().out
