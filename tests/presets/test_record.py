"""Budgets, teachers and what counts as recorded: decided before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ssl_companion.data import ImageSet, load
from ssl_companion.presets import record as recorder
from ssl_companion.presets.record import Budget, NoTeacherError, record_run
from ssl_companion.presets.runs import Run
from ssl_companion.recordings import MeasureConfig, RecordingError, open_recording, writing
from ssl_companion.training.config import LoopConfig, RunConfig

from ..conftest import halved
from ..training.tiny import tiny_config

QUIET = LoopConfig(device="cpu", progress=False)
FEW = MeasureConfig(sample_images=4, sample_views=2, sample_fresh=1, probes=False)


def tiny(name: str, seed: int = 0, teacher: Run | None = None, **measure: object) -> Run:
    objective = "supervised" if "teacher" in name else "vicreg"
    config = tiny_config(objective, images_per_class=2, epochs=1, batch=50, seed=seed)
    asked = replace(FEW, against=teacher.name if teacher else "", **measure)  # type: ignore[arg-type]
    return Run(name, "tiny", config, asked, (0, 1), "full", teacher)


TEACHER = tiny("targets-teacher-s0", targets=True)
OTHER = tiny("targets-teacher-s0", seed=1, targets=True)  # the same name at another scale, say
PUPIL = tiny("clustering-vicreg-s0", teacher=TEACHER)


@pytest.fixture(scope="module")
def glyphs() -> tuple[ImageSet, ImageSet]:
    train, test = load("glyphs100", "train").subset(4), load("glyphs100", "test").subset(2)
    return halved(train), halved(test)


Record = Callable[..., bool]


@pytest.fixture
def record(glyphs: tuple[ImageSet, ImageSet], tmp_path: Path) -> Record:
    def record(run: Run, budget: Budget | None = None) -> bool:
        return record_run(run, *glyphs, tmp_path / "runs", tmp_path / "out", QUIET, budget)

    return record


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """What a call would have trained."""
    configs: list[RunConfig] = []

    def fake(config: RunConfig, *_: object) -> bool:
        configs.append(config)
        return False

    monkeypatch.setattr(recorder, "train", fake)
    return configs


def test_a_spent_budget_begins_no_other_run(record: Record, trained: list[RunConfig]) -> None:
    budget = Budget(0)
    assert not record(tiny("a-s0"), budget)  # the first of a call always gets its step
    assert len(trained) == 1
    assert not record(tiny("b-s1", seed=1), budget)
    assert len(trained) == 1


def test_a_budget_without_end_is_never_spent(record: Record, trained: list[RunConfig]) -> None:
    budget = Budget()
    for seed in range(3):
        record(tiny(f"a-s{seed}", seed=seed), budget)
    assert len(trained) == 3


def test_what_was_trained_in_the_last_minute_is_measured_by_the_next_call(
    record: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured = []
    real = writing.measure_snapshot
    monkeypatch.setattr(
        writing, "measure_snapshot", lambda *args: measured.append(args[1]) or real(*args)
    )
    calls = 0
    while not record(tiny("a-s0"), Budget(0)):
        calls += 1
        described = json.loads(next((tmp_path / "runs").glob("*/run.json")).read_text())
        done = described["complete"]
        # A snapshot a call, and none in the call that trained the last step.
        assert len(measured) <= 1
        assert done or not measured
        measured.clear()
        assert calls < 20
    assert calls >= 2


def test_a_missing_teacher_is_named_before_training(
    record: Record, trained: list[RunConfig]
) -> None:
    makes = "`ssl-companion record targets --only targets-teacher-s0 --scale full --data glyphs100`"
    with pytest.raises(NoTeacherError, match=r"'targets-teacher-s0', which is not recorded") as e:
        record(PUPIL)
    assert makes in str(e.value)
    assert not trained
    by_hand = replace(PUPIL, teacher=None)
    with pytest.raises(NoTeacherError, match="record 'targets-teacher-s0' there first"):
        record(by_hand)


def test_a_run_belongs_to_its_teacher(
    record: Record,
    glyphs: tuple[ImageSet, ImageSet],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert record(OTHER)
    with monkeypatch.context() as untrained:
        untrained.setattr(recorder, "train", lambda *_: pytest.fail("training began"))
        with pytest.raises(NoTeacherError, match=r"another teacher than the one wanted.*seed 1"):
            record(PUPIL)

    # A recording that was measured against another teacher is not the one that is asked for.
    against_other = replace(PUPIL, teacher=OTHER)
    assert record(against_other)
    path = tmp_path / "out" / PUPIL.name
    about = open_recording(path).run["measured"]["against"]
    assert about == {"name": OTHER.name, "digest": OTHER.config.digest()}
    assert recorder.is_recorded(against_other, tmp_path / "out")
    assert not recorder.is_recorded(PUPIL, tmp_path / "out")
    assert record(TEACHER)  # in the other's place
    assert record(PUPIL)  # measured again; its training stands
    assert open_recording(path).run["measured"]["against"]["digest"] == TEACHER.config.digest()
    assert recorder.is_recorded(PUPIL, tmp_path / "out")

    # Nor is the teacher changed between training and measuring without being noticed.
    folder = next(path for path in (tmp_path / "runs").glob("clustering-*") if path.is_dir())
    with pytest.raises(ValueError, match="another teacher than the one wanted"):
        writing.write_recording(
            folder, path, *glyphs, PUPIL.measure, teacher=OTHER.config.digest(), progress=False
        )

    # A recording from before recordings said so stays valid.
    described = json.loads((path / "run.json").read_text())
    del described["measured"]["against"]
    (path / "run.json").write_text(json.dumps(described))
    assert recorder.is_recorded(PUPIL, tmp_path / "out")
    assert recorder.is_recorded(against_other, tmp_path / "out")


def test_a_place_that_cannot_be_written_is_refused_before_training(
    glyphs: tuple[ImageSet, ImageSet], tmp_path: Path, trained: list[RunConfig]
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file/recordings"
    with pytest.raises(RecordingError, match=r"no recording can be written there .*--out") as said:
        record_run(tiny("mine"), *glyphs, tmp_path / "runs", place, QUIET, overwrite=True)
    assert str(place) in str(said.value)
    assert "\n" not in str(said.value)
    assert trained == []
