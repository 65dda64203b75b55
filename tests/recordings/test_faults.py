"""Truncated, altered and foreign recordings are refused by name; unfinished work goes on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import torch

from ssl_companion.presets import record as recorder
from ssl_companion.presets.record import Budget, OccupiedError, record_run
from ssl_companion.recordings import (
    MeasureConfig,
    Recording,
    RecordingError,
    list_recordings,
    measuring,
    open_recording,
    opening,
    recordings_root,
    writing,
)
from ssl_companion.training.snapshots import snapshot_path

from ..conftest import small_disk
from .conftest import KEEP_ALL, QUIET, Folders, Glyphs, Record, tiny_config, tiny_run


@pytest.fixture
def copy(recording: Recording, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recording.path, tmp_path / "copy"))


def test_an_absent_recording_names_those_that_are_called_nearly_so(
    recording: Recording, tmp_path: Path
) -> None:
    for i in range(9):
        shutil.copytree(recording.path, tmp_path / f"clusters-s{i}")
    shutil.copytree(recording.path, tmp_path / "depth")
    with pytest.raises(RecordingError, match=r"'cluster-s7' in .*such as clusters-s7, .*more"):
        open_recording("cluster-s7", tmp_path)
    with pytest.raises(RecordingError, match=rf"'x/depth' at {Path.cwd()}/x/depth or .*as depth "):
        open_recording("x/depth", tmp_path)
    with pytest.raises(RecordingError, match=r"'depth' in .*nor any other"):
        open_recording("depth", tmp_path / "none")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "[" * 100_000, '{"format": 99}', '{"name": "x"}']
)
def test_a_foreign_run_json_is_refused(copy: Path, content: str) -> None:
    (copy / "run.json").write_text(content)
    with pytest.raises(RecordingError, match=r"run\.json"):
        open_recording(copy)


def test_another_format_is_named_whatever_else_is_right(copy: Path) -> None:
    about = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(about | {"format": 2}))
    with pytest.raises(RecordingError, match=r"run\.json: has format 2, this version reads 1"):
        open_recording(copy)


def _cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


@pytest.mark.parametrize(
    ("file", "harm", "said"),
    [
        *((file, _cut(share), re.escape(file))
          for file in ("features.safetensors", "measures.csv.gz")
          for share in (0.0, 0.01, 0.5, 0.999)),
        ("losses.csv", lambda content: content.replace(b"epoch", b"room", 1), "altered"),
    ],
)  # fmt: skip
def test_truncated_and_altered_files_are_refused(
    copy: Path, file: str, harm: Callable[[bytes], bytes], said: str
) -> None:
    (copy / file).write_bytes(harm((copy / file).read_bytes()))
    opened = open_recording(copy)
    with pytest.raises(RecordingError, match=said):
        _ = opened.measures, opened.losses, opened.features(2)


def test_what_is_not_kept_is_named(recording: Recording) -> None:
    with pytest.raises(RecordingError, match="epoch 1"):
        recording.features(1, "stem")


def test_a_bare_name_means_what_is_in_the_folder_that_was_given(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("here", "there"):
        copied = Path(shutil.copytree(recording.path, tmp_path / place / "one"))
        about = json.loads((copied / "run.json").read_text())
        (copied / "run.json").write_text(json.dumps({**about, "title": place}))
    monkeypatch.chdir(tmp_path / "here")
    assert open_recording("one", tmp_path / "there").title == "there"
    assert open_recording("one").title == "here"
    assert open_recording(Path("../here/one"), tmp_path / "there").title == "here"


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RecordingError, match=r"typo: there is no such folder"):
        list_recordings(tmp_path / "typo")
    monkeypatch.setenv("SSL_COMPANION_RECORDINGS", "")  # as good as unset
    assert list_recordings()


def test_recordings_lie_where_one_is_told_else_in_the_checkout_else_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSL_COMPANION_RECORDINGS", raising=False)
    assert (recordings_root() / "../../_toc.yml").is_file()
    monkeypatch.setattr(opening, "checkout", lambda: None)
    assert recordings_root() == tmp_path / "recordings"
    monkeypatch.setenv("SSL_COMPANION_RECORDINGS", str(tmp_path / "named"))
    assert recordings_root() == tmp_path / "named"
    assert recordings_root("given") == Path("given")


@pytest.mark.parametrize("look", [list_recordings, lambda: open_recording("clustering-vicreg-s0")])
def test_without_a_checkout_the_book_s_recordings_are_said_to_be_elsewhere(
    look: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSL_COMPANION_RECORDINGS", raising=False)
    monkeypatch.setattr(opening, "checkout", lambda: None)
    with pytest.raises(RecordingError, match=r"come with a clone .* not with the installed"):
        look()
    monkeypatch.setenv("SSL_COMPANION_RECORDINGS", str(tmp_path / "none"))
    with pytest.raises(RecordingError) as caught:
        look()
    assert "clone" not in str(caught.value), "somebody named the folder"


def test_views_belong_to_as_many_images_as_were_kept(
    glyphs: Glyphs, folders: Folders, copy: Path, tmp_path: Path
) -> None:
    few = replace(KEEP_ALL, sample_images=3, map_images=5, map_views=4, keep="last")
    assert record_run(tiny_run("tiny", tiny_config(), few), *glyphs, folders[0], tmp_path, QUIET)
    views, image = open_recording("tiny", tmp_path).map_views(2)
    assert len(views) == 12
    assert image.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    about = json.loads((copy / "run.json").read_text())
    about["measured"]["config"]["map_images"] = 4  # 6 views were kept, of 2 images
    (copy / "run.json").write_text(json.dumps(about))
    with pytest.raises(RecordingError, match="6 views of 4 images"):
        open_recording(copy).map_views(2)


def test_listing_leaves_other_folders_alone(recording: Recording, tmp_path: Path) -> None:
    shutil.copytree(recording.path, tmp_path / "one")
    (tmp_path / "notes").mkdir()
    shutil.copytree(recording.path, tmp_path / ".one.half.tmp")
    assert [found.name for found in list_recordings(tmp_path)] == ["one"]


def test_an_unfinished_run_is_not_written(record: Record, glyphs: Glyphs, tmp_path: Path) -> None:
    assert not record(tiny_run("slow", tiny_config(epochs=50)), Budget(0))
    folder = next((tmp_path / "runs").iterdir())
    with pytest.raises(RecordingError, match="50 epochs"):
        writing.write_recording(folder, tmp_path / "out" / "slow", *glyphs, progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lost", [(1,), (0, 1, 2)])
def test_a_run_with_a_snapshot_gone_is_not_written_short(
    lost: tuple[int, ...], run_copy: Path, glyphs: Glyphs, tmp_path: Path
) -> None:
    for epoch in lost:
        snapshot_path(run_copy / "snapshots", epoch).unlink()
    said = f"no snapshot of epoch {', epoch '.join(map(str, lost))}, .* delete .*checkpoints"
    with pytest.raises(RecordingError, match=said):
        writing.write_recording(run_copy, tmp_path / "new", *glyphs, KEEP_ALL, progress=False)
    about = json.loads((run_copy / "run.json").read_text())
    del about["snapshots"]  # of a run from before they were written down
    (run_copy / "run.json").write_text(json.dumps(about))
    if len(lost) == 3:
        with pytest.raises(RecordingError, match="no snapshot of any epoch"):
            writing.write_recording(run_copy, tmp_path / "new", *glyphs, KEEP_ALL, progress=False)
    assert not (tmp_path / "new").exists()


def test_a_recording_with_an_epoch_missing_is_not_what_was_asked_for(
    recording: Recording, tmp_path: Path
) -> None:
    run = tiny_run("tiny", tiny_config())
    shutil.copytree(recording.path, tmp_path / "tiny")
    assert recorder.is_recorded(run, tmp_path)
    assert recorder.is_recorded(replace(run, snapshots=()), tmp_path)  # 0, 1, 2 by default
    about = json.loads((tmp_path / "tiny" / "run.json").read_text())
    (tmp_path / "tiny" / "run.json").write_text(json.dumps(about | {"epochs": [0, 2]}))
    assert not recorder.is_recorded(run, tmp_path)
    assert not recorder.is_recorded(replace(run, snapshots=()), tmp_path)


def test_pieces_make_the_same_recording_as_one_go(
    recording: Recording, record: Record, tmp_path: Path
) -> None:
    calls = 0
    while not record(tiny_run("tiny", tiny_config()), Budget(0)):
        calls += 1
        assert calls < 50
    assert calls >= 2
    for file in ("measures.csv.gz", "features.safetensors", "weights.safetensors", "subset.csv.gz"):
        pieced = tmp_path / "out" / "tiny" / file
        assert pieced.read_bytes() == (recording.path / file).read_bytes(), file


def test_what_is_recorded_is_left_alone_and_another_configuration_is_not(
    recording: Recording, glyphs: Glyphs, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def fake(config: object, *_: object) -> bool:
        trained.append(config)
        return False

    monkeypatch.setattr(recorder, "train", fake)
    assert record_run(tiny_run("tiny", tiny_config()), *glyphs, *folders, QUIET)
    assert not trained
    other = replace(tiny_run("tiny", tiny_config(seed=1)), scale="full")  # of a preset
    assert not record_run(other, *glyphs, *folders, QUIET)
    assert len(trained) == 1


def test_a_run_of_other_measures_is_measured_again_and_not_trained(
    glyphs: Glyphs,
    recording: Recording,
    folders: Folders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    shutil.copytree(recording.path, out / "tiny")
    bare = tiny_run("tiny", tiny_config(), replace(KEEP_ALL, weights=False, keep="none"))
    assert not recorder.is_recorded(bare, out)
    assert record_run(bare, *glyphs, folders[0], out, QUIET)
    assert recorder.is_recorded(bare, out)
    found = open_recording("tiny", out)
    assert not found.has_features
    assert found.weights_path is None
    assert found.run["wall_seconds"] == recording.run["wall_seconds"]  # trained once


def test_a_run_by_hand_replaces_no_other(
    recording: Recording, record: Record, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = Path(shutil.copytree(recording.path, out / "tiny")) / "run.json"
    text = before.read_text()
    other = replace(tiny_run("tiny", tiny_config(epochs=1, seed=1)), snapshots=(0, 1))
    with pytest.raises(OccupiedError, match=r"holds another run .*--name.*--overwrite"):
        record(other)
    assert not (tmp_path / "runs").exists()
    assert before.read_text() == text
    of_preset = replace(other, scale="reduced")
    recorder.require_place(of_preset, out)  # the same at another scale, or from another version
    real = replace(of_preset, config=replace(of_preset.config, data="cifar100"))
    with pytest.raises(OccupiedError, match="holds another run"):
        recorder.require_place(real, out)
    assert record(other, overwrite=True)
    assert open_recording("tiny", out).run["seed"] == 1


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "-s0"])
def test_a_name_is_a_folder_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match="expected a folder's name"):
        tiny_run(name, tiny_config())


def test_a_folder_of_something_else_is_not_replaced(
    glyphs: Glyphs, folders: Folders, recording: Recording, run_folder: Path
) -> None:
    theirs = recording.path.parent.parent / "theirs"
    (theirs / "tiny").mkdir(parents=True)
    (theirs / "tiny" / "thesis.tex").write_text("all of it")
    for again in (
        lambda: record_run(tiny_run("tiny", tiny_config()), *glyphs, folders[0], theirs, QUIET),
        lambda: writing.write_recording(
            run_folder, theirs / "tiny", *glyphs, KEEP_ALL, progress=False
        ),
    ):
        with pytest.raises(RecordingError, match="is no recording and would be replaced"):
            again()
    assert (theirs / "tiny" / "thesis.tex").read_text() == "all of it"


@pytest.mark.parametrize(
    ("field", "value"),
    [("map_images", 0), ("keep_train", 0), ("sample_images", 1), ("keep_samples", -1)],
)
def test_what_to_measure_is_checked_before_anything_is_trained(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"{field}: {value}; expected"):
        replace(KEEP_ALL, **{field: value})
    with pytest.raises(ValueError, match="keep: 'some'"):
        replace(KEEP_ALL, keep="some")


def test_a_network_that_has_collapsed_is_recorded_all_the_same(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = measuring.extract

    def to_a_point(*given: object, **named: object) -> dict[str, torch.Tensor]:
        return {layer: torch.zeros_like(x) for layer, x in real(*given, **named).items()}

    monkeypatch.setattr(measuring, "extract", to_a_point)
    run = tiny_run("point", tiny_config(epochs=1), replace(KEEP_ALL, every_sample_at=()))
    assert record(replace(run, snapshots=(0, 1)))
    found = open_recording("point", tmp_path / "out")
    measures = set(found.select(level="fine", epoch=1)["measure"])
    assert "ncc" in measures  # which is chance, and defined
    assert not measures & {"cdnv", "nc1", "knn"}


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        safetensors.SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_leaves_the_old_recording(
    error: Exception, copy: Path, glyphs: Glyphs, monkeypatch: pytest.MonkeyPatch, run_folder: Path
) -> None:
    before = {file.name: file.read_bytes() for file in copy.iterdir()}

    def full_disk(*_: object) -> None:
        raise error

    monkeypatch.setattr(writing.safetensors.torch, "save_file", full_disk)
    with pytest.raises(RecordingError, match=r"copy: could not be written .*No space.* make room"):
        writing.write_recording(run_folder, copy, *glyphs, KEEP_ALL, progress=False)
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_full_disk_while_measuring_keeps_what_was_measured(
    glyphs: Glyphs, run_copy: Path, tmp_path: Path
) -> None:
    lost = run_copy / "measured" / "epoch-00002.safetensors"
    content = _content(lost)
    lost.unlink()
    others = {path: path.read_bytes() for path in lost.parent.iterdir()}
    new = run_copy, tmp_path / "new", *glyphs, KEEP_ALL
    with (
        small_disk(1000),
        pytest.raises(RecordingError, match=r"epoch-00002\.safetensors: could not be written"),
    ):
        writing.write_recording(*new, progress=False)
    assert {path: path.read_bytes() for path in lost.parent.iterdir()} == others
    writing.write_recording(*new, progress=False)
    assert _content(lost) == content


def _content(path: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """What a file of tensors says; in which order its header says it is chance."""
    with safetensors.safe_open(path, framework="np") as file:
        names = file.keys()
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in names}


def test_what_does_not_count_any_more_is_no_excuse_to_go_on(
    glyphs: Glyphs, run_copy: Path, tmp_path: Path
) -> None:
    """Measures of another kind are in the folder: a spent budget stops after one all the same."""
    before = {path: path.read_bytes() for path in (run_copy / "measured").iterdir()}
    other = replace(KEEP_ALL, keep="none", probes=False)
    stopped = writing.write_recording(
        run_copy, tmp_path / "new", *glyphs, other, minutes=1e-9, progress=False
    )
    assert stopped is None
    changed = [path for path, content in before.items() if path.read_bytes() != content]
    assert [path.name for path in changed] == ["epoch-00000.safetensors"]


def test_targets_of_a_teacher_are_labels_for_another_run(
    record: Record, glyphs: Glyphs, tmp_path: Path
) -> None:
    few = MeasureConfig(sample_images=4, sample_views=2, sample_fresh=1, probes=False)
    teacher = tiny_run("teacher", tiny_config("supervised"), replace(few, targets=True))
    student = tiny_run("student", tiny_config(), replace(few, against="teacher"))
    out = tmp_path / "out"
    assert record(teacher)
    taught = open_recording("teacher", out)
    assert taught.target_epochs() == (0, 1, 2)
    assert taught.targets(2, "train").shape == (len(glyphs[0]),)
    assert taught.targets(2).max() < 100
    assert record(student)
    levels = set(open_recording("student", out).measures.level)
    assert {"teacher-000", "teacher-001", "teacher-002"} <= levels

    # Another teacher under the same name: what was measured against the old one does not count.
    before = open_recording("student", out).select(level="teacher-000", measure="ncc")
    other = tiny_run("teacher", tiny_config("supervised", seed=5), teacher.measure)
    assert record(other, overwrite=True)
    folder = next((tmp_path / "runs").glob("student-*"))
    writing.write_recording(folder, out / "student", *glyphs, student.measure, progress=False)
    after = open_recording("student", out).select(level="teacher-000", measure="ncc")
    assert not before.value.reset_index(drop=True).equals(after.value.reset_index(drop=True))

    taught = open_recording("teacher", out)
    described = json.loads((taught.path / "run.json").read_text())
    described["data"]["test_fingerprint"] = "0" * 64
    (taught.path / "run.json").write_text(json.dumps(described))
    other = tiny_run("other", tiny_config(seed=3), student.measure)
    with pytest.raises(RecordingError, match="other images"):
        record(other)
