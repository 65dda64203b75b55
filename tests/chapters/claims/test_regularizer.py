"""The regularizer's two rules, on arms whose accuracies are made up."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_companion.chapters.analysis.accuracies import NotRecorded, Runs
from ssl_companion.chapters.claims import Verdict, judge, regularizer
from ssl_companion.recordings import Recording, open_recording
from ssl_companion.recordings.format import MEASURE_COLUMNS
from ssl_companion.training.config import RunConfig

from ...conftest import run_json

#: accuracies at the end of each arm, of a start at 5%
DRIVEN = {
    "recipe": 0.25, "weight-0.2": 0.10, "invariance-0.2": 0.24, "invariance-only": 0.02,
    "regularizer-only": 0.06,
}  # fmt: skip
ALIKE = DRIVEN | {"weight-0.2": 0.20, "invariance-0.2": 0.20}
BY_INVARIANCE = DRIVEN | {"weight-0.2": 0.24, "invariance-0.2": 0.10, "invariance-only": 0.22}
Write = Callable[..., Runs]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(ends, seeds, family)`: a recording for each arm and seed."""

    def made(ends: dict[str, float], seeds: int = 3, family: str = "regularizer") -> Runs:
        found = {}
        for seed in range(seeds):
            for arm, end in ends.items():
                name = f"{family}-{arm}-s{seed}"
                if (family, arm) == ("terms-vicreg", "recipe"):
                    name = f"architecture-recipe-s{seed}"
                moved = end + 0.004 * seed if end > 0.05 else end
                found[name] = _write(tmp_path / name, arm, seed, moved)
        return found

    return made


def _write(folder: Path, arm: str, seed: int, end: float) -> Recording:
    rows = [
        (epoch, "last", "fine", "test", "ncc", value, 10_000)
        for epoch, value in ((0, 0.05), (30, end))
    ]
    folder.mkdir()
    table = pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))
    table.to_csv(folder / "measures.csv.gz", index=False)
    pd.DataFrame({"epoch": [1], "total": [1.0]}).to_csv(folder / "losses.csv", index=False)
    config = RunConfig(backbone="res-5-32", data="glyphs100", epochs=30, seed=seed)
    about = run_json(config, name=folder.name, title=f"Made up; {arm}", epochs=[0, 30])
    (folder / "run.json").write_text(json.dumps(about))
    return open_recording(folder)


@pytest.mark.parametrize("family", ["regularizer", "terms-vicreg"])
def test_a_regularizer_that_the_outcome_answers_to_drives(write: Write, family: str) -> None:
    row = judge("regularizer", write(DRIVEN, family=family))
    assert row.verdict is Verdict.REPRODUCED, row.note
    assert row.evidence is not None
    elasticity, necessity = row.evidence.parts
    assert elasticity.effect.value == pytest.approx(0.14 / 0.2, abs=0.03)
    assert necessity.effect.value == pytest.approx(0.23 / 0.2, abs=0.03)
    assert elasticity.over == "3 seeds"
    assert not row.pilot
    assert "RES-5-32, 100 images, 30 epochs" in elasticity.name


def test_terms_that_count_alike_drive_nothing(write: Write) -> None:
    row = judge("regularizer", write(ALIKE))
    assert row.verdict in (Verdict.NOT_REPRODUCED, Verdict.UNDECIDED)
    assert row.verdicts[0] is not Verdict.REPRODUCED


def test_an_invariance_that_drives_is_not_a_regularizer(write: Write) -> None:
    assert judge("regularizer", write(BY_INVARIANCE)).verdict is Verdict.NOT_REPRODUCED


def test_one_that_is_not_needed_is_not_enough(write: Write) -> None:
    row = judge("regularizer", write(DRIVEN | {"invariance-only": 0.2}))
    assert row.verdicts[0] is Verdict.REPRODUCED
    assert row.verdict is Verdict.PARTLY


def test_one_seed_is_a_pilot_without_controls(write: Write) -> None:
    row = judge("regularizer", write(DRIVEN, seeds=1))
    assert row.evidence is not None
    assert row.evidence.parts[0].over == "1 run an arm: 10000 test images"
    assert row.judged == "undecided (pilot)"
    assert "No positive control is recorded" in row.note


def test_a_recipe_that_gains_nothing_decides_nothing(write: Write) -> None:
    row = judge("regularizer", write(dict.fromkeys(DRIVEN, 0.05)))
    assert row.verdict is Verdict.UNDECIDED
    assert "gains nothing" in row.note


def test_a_recipe_below_whitened_pixels_decides_nothing(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame([{"level": "fine", "after": 0.25, "whitened": 0.26}])
    monkeypatch.setattr(regularizer, "compare_with_pixels", lambda _: rows)
    row = judge("regularizer", write(DRIVEN))
    assert row.verdict is Verdict.UNDECIDED
    assert "ends at 25.0%, below nearest class means of whitened pixels at 26.0%" in row.note


def test_a_set_that_lacks_an_arm_is_told_and_not_judged(write: Write) -> None:
    runs = {n: r for n, r in write(DRIVEN).items() if "invariance-0.2" not in n}
    row = judge("regularizer", runs)
    assert row.verdict is Verdict.NOT_MEASURED
    assert "regularizer-invariance-0.2-s*" in row.note
    table = regularizer.losses(runs)
    assert set(table["seeds"]) == {3}
    assert "the invariance at 1/5" not in set(table["intervention"])


def test_arms_of_another_training_are_no_part_of_a_set(write: Write) -> None:
    runs = dict(write(DRIVEN))
    run = runs["regularizer-weight-0.2-s1"]
    about = json.loads((run.path / "run.json").read_text())
    about["config"]["epochs"] = 6
    (run.path / "run.json").write_text(json.dumps(about))
    runs["regularizer-weight-0.2-s1"] = open_recording(run.path)
    (one,) = regularizer.arm_sets(runs)
    assert set(one.having(["recipe", "weight-0.2"])) == {0, 2}


def test_a_run_that_was_not_measured_is_said_by_name(write: Write) -> None:
    run = write(DRIVEN, seeds=1)["regularizer-recipe-s0"]
    table = pd.read_csv(run.path / "measures.csv.gz")
    table[table["epoch"] > 0].to_csv(run.path / "measures.csv.gz", index=False)
    with pytest.raises(NotRecorded, match="regularizer-recipe-s0 has no NCC accuracy before"):
        regularizer.gained(open_recording(run.path))


gains = st.floats(-0.3, 0.6)


@given(st.floats(0.01, 0.6), gains, gains, gains)
def test_the_losses_are_shares_of_the_recipes_gain(
    recipe: float, weak: float, weak_invariance: float, without: float
) -> None:
    own = {"recipe": recipe, "weight-0.2": weak, "invariance-0.2": weak_invariance,
           "invariance-only": without}  # fmt: skip
    lost = {arm: (recipe - gained) / recipe for arm, gained in own.items()}
    assert regularizer.elasticity(own) == pytest.approx(lost["weight-0.2"] - lost["invariance-0.2"])
    assert regularizer.necessity(own) == pytest.approx(lost["invariance-only"])
    assert regularizer.elasticity(own | {"invariance-0.2": weak}) == 0
    assert math.isnan(regularizer.necessity(own | {"recipe": 0.0}))
