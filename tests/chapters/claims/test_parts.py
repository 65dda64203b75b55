"""Runs of several sizes are judged apart, and the least of their verdicts counts."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
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
    Control,
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
from ssl_companion.chapters.widgets.verdicts import verdict_facts
from ssl_companion.measures import Interval
from ssl_companion.recordings import Recording, open_recording
from ssl_companion.recordings.groupings import Groupings, write_groupings

World = Callable[[str], dict[str, Recording]]
RULE = Rule("above", 1.0, 1.5, "ratio", "for a test")
NOTHING = Interval(1.0, 0.9, 1.1)
YES, HALF, NO = Interval(2.0, 1.6, 2.4), Interval(1.4, 1.2, 1.6), Interval(1.0, 0.8, 1.2)
OWN, REFERENCE = "clustering-vicreg-s0", "reference-vicreg-s0"
SMALL = tuple(f"small/clustering-vicreg-s{seed}" for seed in (0, 1, 2))


CONTROLS = (
    Control("labels", Interval(3.0, 2.8, 3.2), "yes"),
    Control("nothing", NOTHING, "no"),
)


def claim_of(*parts: Part) -> Claim:
    return Claim("a", "A.", "m", RULE, "c", "p", "n", lambda _: Evidence(parts, "A note."))


def part(effect: Interval, size: str, which: str = "", runs: int = 1) -> Part:
    names = tuple(f"{size} {which} {i}" for i in range(runs))
    return Part(effect, CONTROLS, "images", names, size, which, pilot=runs == 1)


def test_parts_that_agree_give_their_verdict() -> None:
    row = claim_of(
        part(YES, "full size"), part(YES, "full size", "another"), part(YES, "small size", runs=3)
    ).judge({})
    assert row.verdict is Verdict.REPRODUCED
    assert row.note == "A note. The 3 judgements agree."
    assert row.evidence is not None
    assert len(row.evidence.recordings) == 5
    assert not row.pilot


def test_of_parts_that_differ_the_least_counts_and_the_note_says_which() -> None:
    row = claim_of(part(YES, "full size"), part(HALF, "small size", "3 seeds", 3)).judge({})
    assert row.verdict is Verdict.PARTLY
    assert row.note == (
        "A note. The 2 judgements differ: reproduced (full size); partly (small size, 3 seeds). "
        "The weakest of them counts."
    )
    assert (row.as_dict()["effect"], row.judged) == (YES.value, "partly")
    assert claim_of(part(NO, "a"), part(HALF, "b")).judge({}).verdict is Verdict.NOT_REPRODUCED


WRONG = (Control("labels", NOTHING, "yes"), CONTROLS[1])


@pytest.mark.parametrize(
    "why", [{"fails": "the reference fails"}, {"controls": WRONG}, {"controls": ()}]
)
@pytest.mark.parametrize("effect", [YES, HALF, NO])
def test_what_cannot_tell_does_not_count_where_the_same_is_told_at_another_size(
    effect: Interval, why: dict[str, object]
) -> None:
    blind = replace(part(YES, "small size", "3 seeds", 3), **why)  # type: ignore[arg-type]
    sees = part(effect, "full size")
    row, alone = claim_of(blind, sees).judge({}), claim_of(sees).judge({})
    assert (row.verdict, row.pilot) == (alone.verdict, True)
    assert row.verdicts[0] is Verdict.UNDECIDED
    assert row.deciding == sees
    assert "Not counted, because they cannot tell: small size, 3 seeds." in row.note
    assert claim_of(blind).judge({}).verdict is Verdict.UNDECIDED
    assert claim_of(blind, blind).judge({}).verdict is Verdict.UNDECIDED
    # Another question is no substitute, nor is the same one by another rule.
    for other in (replace(sees, what="another"), replace(sees, rule=RULE)):
        wanted = Verdict.NOT_REPRODUCED if effect == NO else Verdict.UNDECIDED
        assert claim_of(blind, other).judge({}).verdict is wanted


def test_an_interval_that_is_too_wide_counts() -> None:
    wide = part(Interval(1.4, 0.8, 1.9), "small size", runs=3)
    assert claim_of(part(YES, "full size"), wide).judge({}).verdict is Verdict.UNDECIDED


def test_a_verdict_that_rests_on_single_runs_says_pilot() -> None:
    row = claim_of(part(HALF, "full size"), part(YES, "small size", runs=3)).judge({})
    assert row.judged == "partly (pilot)"
    assert row.as_dict()["pilot"] is True
    assert claim_of(part(HALF, "a"), part(HALF, "b", runs=3)).judge({}).judged == "partly"


def test_a_single_part_needs_no_agreement() -> None:
    row = claim_of(Part(YES, CONTROLS, "images", ("one",))).judge({})
    assert (row.verdict, row.note) == (Verdict.REPRODUCED, "A note.")
    assert "every part" not in verdict_facts(row)
    assert row.as_dict()["parts"][0]["name"] == ""  # type: ignore[index]
    with pytest.raises(ValueError, match="parts: none; expected one or more"):
        Evidence(())


def test_a_part_may_have_a_rule_of_its_own_and_reasons_of_its_own() -> None:
    strict = replace(RULE, least=1.9)
    row = claim_of(part(YES, "a"), replace(part(YES, "b"), rule=strict)).judge({})
    assert [v.value for v in row.verdicts] == ["reproduced", "partly"]
    assert row.as_dict()["parts"][1]["least_effect"] == 1.9  # type: ignore[index]
    lost = replace(part(YES, "c"), lost="the information is gone")
    row = claim_of(lost).judge({})
    assert row.verdict is Verdict.NOT_REPRODUCED
    assert "The information is gone (c)." in row.note
    assert claim_of(replace(lost, fails="no reference")).judge({}).verdict is Verdict.UNDECIDED


@given(st.lists(st.tuples(*[st.floats(-3, 3)] * 3).map(sorted), min_size=1), st.randoms())
def test_the_verdict_is_the_least_in_whatever_order(
    ends: list[list[float]], random: object
) -> None:
    effects = [Interval(value, low, high) for low, value, high in ends]
    verdicts = [decide(effect, RULE, CONTROLS) for effect in effects]
    order = [Verdict.NOT_REPRODUCED, Verdict.UNDECIDED, Verdict.PARTLY, Verdict.REPRODUCED]
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
        if open_recording(root / name).has_features:
            counts = _counts(world(small)[Path(name).name].path)
            write_groupings(root / name / "groupings.safetensors", counts)
            (root / name / "features.safetensors").unlink()
    if kept is not None:
        _thin(root / REFERENCE, kept)
    return root


@functools.cache
def _counts(folder: Path) -> Groupings:
    return counts_for_verdicts(open_recording(folder))


def _thin(folder: Path, kept: Callable[[str], bool]) -> None:
    path = folder / "features.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file({k: v for k, v in tensors.items() if kept(k)}, path)


def test_what_stands_beside_the_presets_is_found(world: World, tmp_path: Path) -> None:
    root = _with(world, tmp_path)
    presets, everything = recordings_by_name(root), recordings_to_judge(root)
    assert set(everything) - set(presets) == {REFERENCE, *SMALL}
    assert "mine" not in everything


def test_a_trajectory_is_judged_at_every_size(world: World, tmp_path: Path) -> None:
    runs = recordings_to_judge(_with(world, tmp_path))
    row = judge("clustering", runs)
    assert row.evidence is not None, row.note
    assert row.verdict is Verdict.REPRODUCED, (row.verdicts, row.note)
    assert row.evidence.recordings == (OWN, REFERENCE, *SMALL)
    found = [part.which for part in row.evidence.parts]
    assert found == ["", "an independent implementation", "3 seeds"]
    assert row.evidence.parts[-1].over == "3 seeds"
    alone = judge("clustering", recordings_by_name(tmp_path)).evidence
    assert alone is not None
    assert row.evidence.parts[0].effect == alone.parts[0].effect
    assert row.note.endswith("The 3 judgements agree.")
    assert [part.pilot for part in row.evidence.parts] == [True, True, False]
    assert "independent implementation: " in str(verdict_facts(row)["every part"])


@pytest.mark.parametrize("seeds", [2, 3])
def test_full_size_runs_are_held_by_known_answers_of_their_size(
    world: World, tmp_path: Path, seeds: int
) -> None:
    runs = dict(recordings_to_judge(_with(world, tmp_path)))
    # Large ones that answer wrongly: the rows that they hold can tell nothing.
    large = {f"controls-supervised-250-s{i}": runs[f"controls-by-lot-s{i}"] for i in range(seeds)}
    row = judge("clustering", runs | large)
    assert row.evidence is not None
    by_size = dict(zip((one.size for one in row.evidence.parts), row.verdicts, strict=True))
    assert by_size.pop("full size") is [Verdict.REPRODUCED, Verdict.UNDECIDED][seeds == 3]
    assert set(by_size.values()) == {Verdict.REPRODUCED}
    assert row.verdict is Verdict.REPRODUCED
    assert ("Not counted, because they cannot tell: full size" in row.note) == (seeds == 3)


def test_another_recipe_by_that_name_is_no_part(world: World, tmp_path: Path) -> None:
    root = _with(world, tmp_path)
    path = root / REFERENCE / "run.json"
    run = json.loads(path.read_text())
    run["config"]["backbone"] = "res-5-64"
    path.write_text(json.dumps(run))
    row = judge("clustering", recordings_to_judge(root))
    assert row.evidence is not None
    assert REFERENCE not in row.evidence.recordings


def test_small_runs_that_do_not_learn_take_the_verdict_away(world: World, tmp_path: Path) -> None:
    row = judge("clustering", recordings_to_judge(_with(world, tmp_path, small="untrained")))
    assert row.verdict is Verdict.NOT_REPRODUCED
    assert row.verdicts[:2] == (Verdict.REPRODUCED, Verdict.REPRODUCED)
    assert "not reproduced (small size, 3 seeds). The weakest of them counts." in row.note


def test_small_runs_cluster_by_their_tables_over_seeds(world: World, tmp_path: Path) -> None:
    runs = recordings_to_judge(_with(world, tmp_path))
    evidence = judge("clustering", runs).evidence
    assert evidence is not None
    ratios = [final(runs[name]) / start(runs[name]) for name in SMALL]
    assert evidence.parts[-1].effect.value == pytest.approx(stats.gmean(ratios))
    assert evidence.parts[-1].over == "3 seeds"


def test_small_runs_alone(world: World, tmp_path: Path) -> None:
    root = _with(world, tmp_path)
    found = recordings_to_judge(root)
    answers = {name: run for name, run in found.items() if name.startswith("controls-")}
    only = answers | {name: found[name] for name in SMALL}
    assert judge("clustering", only).verdict is Verdict.REPRODUCED
    # Of two, Student's interval says nothing.
    two = answers | {name: found[name] for name in SMALL[:2]}
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
    root = _with(world, tmp_path, kept=lambda name: "/train" not in name)
    row = judge("clustering", recordings_to_judge(root))
    assert row.evidence is not None
    assert row.evidence.recordings == (OWN, *SMALL)
    assert f"Recorded without what this measurement needs: {REFERENCE}." in row.note


@pytest.mark.parametrize("name", ["downstream", "generality"])
def test_claims_over_many_runs_do_not_count_them(world: World, tmp_path: Path, name: str) -> None:
    root = _with(world, tmp_path)
    with_them, without = recordings_to_judge(root), recordings_by_name(root)
    assert judge(name, with_them).as_dict() == judge(name, without).as_dict()


def test_a_readers_run_in_the_trajectorys_place_is_the_one_part(world: World) -> None:
    row = judge("clustering", {OWN: world("clusters")[OWN]})
    assert row.evidence is not None
    assert [part.name for part in row.evidence.parts] == ["a size of its own"]
    assert "Left out" not in row.note


def test_the_command_shows_the_parts(
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = recordings_to_judge(_with(world, tmp_path))
    rows = [judge(name, runs) for name in ("clustering", "downstream")]
    monkeypatch.setattr("ssl_companion.chapters.claims.ledger", lambda _: rows)
    assert main(["claims", "--json", "--root", str(tmp_path)]) == 0
    clustering, downstream = json.loads(capsys.readouterr().out)
    first, *others = clustering["parts"]
    for key in ("effect", "low", "high", "unit", "positive_control", "negative_controls"):
        assert first[key] == clustering[key]
    assert [len(part["measured_on"]) for part in others] == [1, 3]
    assert {part["verdict"] for part in others} == {"reproduced"}
    assert [part["name"] for part in downstream["parts"]] == ["moves with", "improves"]
    assert main(["claims", "--root", str(tmp_path)]) == 0
    assert "small size, 3 seeds: " in capsys.readouterr().out
