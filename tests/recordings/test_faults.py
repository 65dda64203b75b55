"""Truncated, altered and foreign recordings are refused by name; unfinished work goes on."""

from __future__ import annotations

import json
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors

from ssl_companion import recorder
from ssl_companion.data import ImageSet
from ssl_companion.recorder import Budget, record_run
from ssl_companion.recordings import (
    MeasureConfig,
    Recording,
    RecordingError,
    assembling,
    list_recordings,
    open_recording,
    writer,
)

from .conftest import KEEP_ALL, QUIET, tiny_config, tiny_run


@pytest.fixture
def copy(recording: Recording, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recording.path, tmp_path / "copy"))


def test_an_absent_recording_names_the_known_ones(recording: Recording) -> None:
    with pytest.raises(RecordingError, match=r"'nothing'.*known: .*tiny"):
        open_recording("nothing", recording.path.parent)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', '{"name": "x"}'])
def test_a_foreign_run_json_is_refused(copy: Path, content: str) -> None:
    (copy / "run.json").write_text(content)
    with pytest.raises(RecordingError, match=r"run\.json"):
        open_recording(copy)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_features_are_refused(copy: Path, share: float) -> None:
    path = copy / "features.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(RecordingError, match=r"features\.safetensors"):
        open_recording(copy).features(2)


def test_a_truncated_table_is_refused(copy: Path) -> None:
    path = copy / "measures.csv"
    text = path.read_text()
    path.write_text(text[: text.rindex(",") - 8])
    with pytest.raises(RecordingError, match=r"measures\.csv"):
        _ = open_recording(copy).measures


def test_a_missing_column_is_named(copy: Path) -> None:
    path = copy / "measures.csv"
    path.write_text(path.read_text().replace("layer", "room", 1))
    with pytest.raises(RecordingError, match="'layer'"):
        _ = open_recording(copy).measures


def test_what_is_not_kept_is_named(recording: Recording) -> None:
    with pytest.raises(RecordingError, match="epoch 1"):
        recording.features(1, "stem")


def test_listing_leaves_other_folders_alone(recording: Recording, tmp_path: Path) -> None:
    shutil.copytree(recording.path, tmp_path / "one")
    (tmp_path / "notes").mkdir()
    shutil.copytree(recording.path, tmp_path / ".one.half.tmp")
    assert [found.name for found in list_recordings(tmp_path)] == ["one"]


def test_an_unfinished_run_is_not_written(
    glyphs: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    run = tiny_run("slow", tiny_config(epochs=50))
    spent = Budget(1e-5)
    assert not record_run(run, *glyphs, tmp_path / "runs", tmp_path / "out", QUIET, spent)
    folder = next((tmp_path / "runs").iterdir())
    with pytest.raises(RecordingError, match="50 epochs"):
        writer.write_recording(folder, tmp_path / "out" / "slow", *glyphs, progress=False)
    assert not (tmp_path / "out").exists()


def test_pieces_make_the_same_recording_as_one_go(
    recording: Recording, glyphs: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    run = tiny_run("tiny", tiny_config())
    calls = 0
    while not record_run(run, *glyphs, tmp_path / "r", tmp_path / "out", QUIET, Budget(1e-5)):
        calls += 1
        assert calls < 50
    assert calls >= 2
    pieced = open_recording("tiny", tmp_path / "out")
    for file in ("measures.csv", "features.safetensors", "weights.safetensors", "subset.csv"):
        assert (pieced.path / file).read_bytes() == (recording.path / file).read_bytes(), file


def test_what_is_recorded_is_left_alone_and_another_configuration_is_not(
    recording: Recording,
    glyphs: tuple[ImageSet, ImageSet],
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained = []

    def fake(config: object, *_: object) -> bool:
        trained.append(config)
        return False

    monkeypatch.setattr(recorder, "train", fake)
    assert record_run(tiny_run("tiny", tiny_config()), *glyphs, *folders, QUIET)
    assert not trained
    assert not record_run(tiny_run("tiny", tiny_config(seed=1)), *glyphs, *folders, QUIET)
    assert len(trained) == 1


def run_folder(folders: tuple[Path, Path]) -> Path:
    return next(path for path in folders[0].glob("tiny-*") if path.is_dir())


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        safetensors.SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_leaves_the_old_recording(
    error: Exception,
    copy: Path,
    glyphs: tuple[ImageSet, ImageSet],
    folders: tuple[Path, Path],
    recording: Recording,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {file.name: file.read_bytes() for file in copy.iterdir()}

    def full_disk(*_: object) -> None:
        raise error

    monkeypatch.setattr(assembling.safetensors.torch, "save_file", full_disk)
    with pytest.raises(RecordingError, match=r"copy: could not be written .*No space.* make room"):
        writer.write_recording(run_folder(folders), copy, *glyphs, KEEP_ALL, progress=False)
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_full_disk_while_measuring_keeps_what_was_measured(
    glyphs: tuple[ImageSet, ImageSet],
    folders: tuple[Path, Path],
    recording: Recording,
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(run_folder(folders), tmp_path / "run"))
    lost = folder / "measured" / "epoch-00002.safetensors"
    content = _content(lost)
    lost.unlink()
    others = {path: path.read_bytes() for path in lost.parent.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(RecordingError, match=r"epoch-00002\.safetensors: could not be written"):
            writer.write_recording(folder, tmp_path / "new", *glyphs, KEEP_ALL, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in lost.parent.iterdir()} == others
    writer.write_recording(folder, tmp_path / "new", *glyphs, KEEP_ALL, progress=False)
    assert _content(lost) == content


def _content(path: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """What a file of tensors says; in which order its header says it is chance."""
    with safetensors.safe_open(path, framework="np") as file:
        names = file.keys()
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in names}


def test_what_does_not_count_any_more_is_no_excuse_to_go_on(
    glyphs: tuple[ImageSet, ImageSet],
    folders: tuple[Path, Path],
    recording: Recording,
    tmp_path: Path,
) -> None:
    """Measures of another kind are in the folder: a spent budget stops after one all the same."""
    folder = Path(shutil.copytree(run_folder(folders), tmp_path / "run"))
    before = {path: path.read_bytes() for path in (folder / "measured").iterdir()}
    other = replace(KEEP_ALL, keep="none", probes=False)
    stopped = writer.write_recording(
        folder, tmp_path / "new", *glyphs, other, minutes=1e-9, progress=False
    )
    assert stopped is None
    changed = [path for path, content in before.items() if path.read_bytes() != content]
    assert [path.name for path in changed] == ["epoch-00000.safetensors"]


def test_targets_of_a_teacher_are_labels_for_another_run(
    glyphs: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    few = MeasureConfig(sample_images=4, sample_views=2, sample_fresh=1, probes=False)
    teacher = tiny_run("teacher", tiny_config("supervised"), replace(few, targets=True))
    student = tiny_run("student", tiny_config(), replace(few, against="teacher"))
    out = tmp_path / "out"
    assert record_run(teacher, *glyphs, tmp_path / "runs", out, QUIET)
    taught = open_recording("teacher", out)
    assert taught.target_epochs() == (0, 1, 2)
    assert taught.targets(2, "train").shape == (len(glyphs[0]),)
    assert taught.targets(2).max() < 100
    assert record_run(student, *glyphs, tmp_path / "runs", out, QUIET)
    levels = set(open_recording("student", out).measures.level)
    assert {"teacher-000", "teacher-001", "teacher-002"} <= levels

    # Another teacher under the same name: what was measured against the old one does not count.
    before = open_recording("student", out).select(level="teacher-000", measure="ncc")
    other = tiny_run("teacher", tiny_config("supervised", seed=5), teacher.measure)
    assert record_run(other, *glyphs, tmp_path / "runs", out, QUIET)
    folder = next((tmp_path / "runs").glob("student-*"))
    writer.write_recording(folder, out / "student", *glyphs, student.measure, progress=False)
    after = open_recording("student", out).select(level="teacher-000", measure="ncc")
    assert not before.value.reset_index(drop=True).equals(after.value.reset_index(drop=True))

    taught = open_recording("teacher", out)
    described = json.loads((taught.path / "run.json").read_text())
    described["data"]["test_fingerprint"] = "0" * 64
    (taught.path / "run.json").write_text(json.dumps(described))
    other = tiny_run("other", tiny_config(seed=3), student.measure)
    with pytest.raises(RecordingError, match="other images"):
        record_run(other, *glyphs, tmp_path / "runs", out, QUIET)
