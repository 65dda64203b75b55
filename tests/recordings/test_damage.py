"""What stands in a recording comes back; what is damaged is named and never taken for a number."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from copy import deepcopy as copy_of
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from ssl_companion.__main__ import main
from ssl_companion.encoders.inputs.labelled import Labelled
from ssl_companion.encoders.record import record_encoder
from ssl_companion.errors import CompanionError
from ssl_companion.io.atomic import file_digest
from ssl_companion.io.tables import read_table
from ssl_companion.presets import record as recorder
from ssl_companion.recordings import (
    DamagedError,
    Recording,
    RecordingWarning,
    list_recordings,
    open_recording,
    read_group_accuracies,
)
from ssl_companion.recordings.checks import check_run
from ssl_companion.recordings.format import FEATURES, key

from ..conftest import run_json, unseal
from .conftest import Record, tiny_config, tiny_run


@pytest.fixture
def copy(recording: Recording, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recording.path, tmp_path / "root" / "tiny"))


_NUMBERS = [f"{i:03}" for i in range(1, 11)] + ["1e5", "-0.0"]
_WORDS = ["001", "1e5", "NA", "", "nan", "None", "1.0", " a,b ", 'q"q', "é", "True", "x"]


@pytest.mark.parametrize("names", [_NUMBERS, _WORDS])
def test_names_come_back_as_they_were_written(tmp_path: Path, names: list[str]) -> None:
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    y = np.repeat([0, 1], 6)
    layers = ("01", "1e1")
    given = Labelled({0: dict.fromkeys(layers, x)}, y, names)
    made = record_encoder(None, given, destination=tmp_path / "mine", progress=False)
    assert made.layers == layers
    assert set(made.measures["layer"]) == set(layers)
    for split in ("train", "test"):
        assert made.files(split).dtype.kind == "U"
        kept = made.files(split).tolist()
        assert kept
        assert set(kept) <= set(names)
        assert [int(y[names.index(name)]) for name in kept] == made.fine(split).tolist()


def test_a_table_guesses_no_types(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    cells = ["001", "1e5", "NA", "", "nan", "-", "1_0"]
    pd.DataFrame({"name": cells, "n": range(7), "x": [0.1] * 7}).to_csv(path, index=False)
    found = read_table(path, ["name"], ["n"], ["x"])
    assert found["name"].tolist() == cells
    assert found["n"].tolist() == list(range(7))


def test_cells_beyond_the_header_are_not_dropped(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n,x\n1,2,3\n1,2,3\n")
    with pytest.raises(ValueError, match="more cells than the header"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("cell", ["3.9", "", "1e2", "abc", "nan", "1_0", "9" * 30])
def test_a_bad_whole_number_is_named(tmp_path: Path, cell: str) -> None:
    (tmp_path / "t.csv").write_text(f"n,x\n{cell},1\n")
    with pytest.raises(ValueError, match=r"row 1: n: .*expected a whole number"):
        read_table(tmp_path / "t.csv", (), ["n"], ["x"])


@pytest.mark.parametrize("cell", ["inf", "", "abc", "nan", "-inf", "1_0"])
def test_a_bad_number_is_named(tmp_path: Path, cell: str) -> None:
    (tmp_path / "t.csv").write_text(f"n,x\n1,{cell}\n")
    with pytest.raises(ValueError, match=r"row 1: x: .*expected a finite number"):
        read_table(tmp_path / "t.csv", (), ["n"], ["x"])


@pytest.mark.parametrize("harm", [lambda b: b[:-12], lambda b: b[:3], lambda b: b"\x00" + b[1:],
                                  lambda b: b[:40] + b"\xff\xff\xff" + b[43:]])  # fmt: skip
def test_a_packed_table_that_cannot_be_unpacked_is_refused(
    tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "t.csv.gz"
    pd.DataFrame({"n": range(200), "x": rng.random(200)}).to_csv(path, index=False)
    assert len(read_table(path, (), ["n"], ["x"])) == 200
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises((ValueError, OSError)):
        read_table(path, (), ["n"], ["x"])


def _edit(folder: Path, file: str, change: Callable[[pd.DataFrame], Any]) -> None:
    table = pd.read_csv(folder / file, dtype=str, keep_default_na=False)
    changed = change(table)
    (table if changed is None else changed).to_csv(folder / file, index=False)


def _cell(column: str, value: str) -> Callable[[pd.DataFrame], None]:
    def change(table: pd.DataFrame) -> None:
        table.loc[0, column] = value

    return change


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("measures.csv.gz", _cell("value", "7.5"), r"7\.5"),
        ("measures.csv.gz", _cell("value", "inf"), "'inf'"),
        ("measures.csv.gz", _cell("epoch", "77"), "77"),
        ("measures.csv.gz", lambda table: pd.concat([table, table.head(1)]), "twice"),
        ("subset.csv.gz", _cell("fine", "3.9"), r"'3\.9'"),
        ("subset.csv.gz", _cell("fine", ""), "''"),
        ("subset.csv.gz", _cell("fine", "100"), "100; expected 0 to 99"),
        ("subset.csv.gz", _cell("row", "-1"), "-1"),
        ("measures.csv.gz", _cell("layer", "elsewhere"), "layer: elsewhere; expected one of"),
        ("measures.csv.gz", _cell("n", "0"), "n: 0; expected 1 or more"),
        ("subset.csv.gz", _cell("fine", "-1"), "fine: -1; expected 0 to 99"),
        ("subset.csv.gz", _cell("row", "200"), "row: 200; expected 0 to 199"),
        ("subset.csv.gz", lambda table: pd.concat([table, table.head(1)]), "twice"),
        ("losses.csv", _cell("total", "abc"), "'abc'"),
        ("losses.csv", _cell("epoch", "0.5"), r"'0\.5'"),
        ("losses.csv", lambda table: pd.concat([table, table.head(1)]), "twice"),
        ("losses.csv", lambda table: table.drop(columns="total"), "has no column 'total'"),
    ],
)
def test_values_are_not_cast_in_silence(
    copy: Path, file: str, change: Callable[[pd.DataFrame], Any], said: str
) -> None:
    unseal(copy)
    _edit(copy, file, change)
    with pytest.raises(DamagedError, match=rf"{file}.*{said}.*restore it"):
        _read_all(copy)


@pytest.mark.parametrize(
    "field",
    ["title", "layers", "epochs", "config", "device", "git", "data", "measured", "wall_seconds"],
)
def test_a_recording_without_a_field_is_left_out_by_name(
    copy: Path, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Path(shutil.copytree(copy, copy.parent / "broken"))
    about = json.loads((broken / "run.json").read_text())
    del about[field]
    (broken / "run.json").write_text(json.dumps(about))
    with pytest.warns(RecordingWarning, match=rf"broken.run\.json: {field}"):
        assert [found.name for found in list_recordings(copy.parent)] == ["tiny"]
    assert main(["recordings", "--root", str(copy.parent)]) == 0
    told = capsys.readouterr()
    assert "tiny" in told.out
    assert told.err.count("\n") == 1
    assert "broken" in told.err


def _with_nan(x: np.ndarray) -> np.ndarray:
    found = x.astype(np.float32)
    found.flat[-1] = np.nan
    return found


@pytest.mark.parametrize(
    ("what", "change", "said"),
    [
        ("test.affine", lambda x: x[:1], "expected an offset and a scale"),
        ("test.affine", lambda x: x.astype(np.int64), "expected an offset and a scale"),
        ("test.affine", _with_nan, "expected finite numbers"),
        ("test.affine", None, "cannot be read"),
        ("test", lambda x: x[:-1], "99 rows; expected 100"),
        ("test", _with_nan, "expected finite numbers"),
        ("test", lambda x: x.astype(np.int64), "int64 of shape .*expected finite numbers"),
        ("test", lambda x: x.astype(np.float32)[0], r"shape \[6\]; expected finite numbers"),
        ("class_means", lambda x: x[:-1], "99 rows; expected 100"),
        ("class_means", _with_nan, "expected finite numbers"),
        ("sample_means", lambda x: x[:-1], "9 rows; expected 10"),
        ("sample_views", lambda x: x[:-1], "views of 10 images"),
        ("map_views", lambda x: x[:-1], "views of 2 images"),
        ("targets.test", lambda _: np.array([3, 100], np.uint8), "expected classes from 0 to 99"),
        ("targets.test", lambda _: np.array([-1, 3], np.int64), "expected classes from 0 to 99"),
        ("targets.test", lambda _: np.array([0.5, 3]), "expected classes from 0 to 99"),
        ("targets.test", lambda _: np.zeros((2, 2), np.uint8), "expected classes from 0 to 99"),
        ("targets.test", lambda _: np.zeros(0, np.uint8), "expected classes from 0 to 99"),
    ],
)
def test_a_tensor_of_another_kind_is_named(
    copy: Path, what: str, change: Callable[[np.ndarray], np.ndarray] | None, said: str
) -> None:
    unseal(copy)
    run = open_recording(copy)
    tensors = safetensors.numpy.load_file(copy / FEATURES)
    name = key(2, "classifier" if what.startswith("targets") else run.layers[-1], what)
    if change is None:
        del tensors[name]
    else:
        tensors[name] = np.ascontiguousarray(change(tensors.get(name, np.zeros(0))))
    safetensors.numpy.save_file(tensors, copy / FEATURES)
    with pytest.raises(DamagedError, match=rf"{FEATURES}.*{said}"):
        _read_all(copy)


_GONE = object()
_COUNT = [_GONE, -1, 0.5, True, "7", None, 2**60, 10**400, 10**5000]
_SECONDS = [_GONE, -1, "9", True, float("nan"), float("inf"), 10**400]
_TEXT, _TEXT_OR_NULL = [_GONE, None, 3], [_GONE, 3, ["a"]]
_BAD: dict[str, list[Any]] = {
    "title": _TEXT,
    "digest": _TEXT,
    "layers": [_GONE, [], ["a", "a"], [3], "stem", None],
    "epochs": [_GONE, [], [2, 1], [1, 1], [0.5], [-1], [True], 3, None],
    "seed": [_GONE, -1, 0.5, True, "0", 10**400],
    "device": _TEXT,
    "end": _TEXT_OR_NULL,
    "train_seconds": _SECONDS,
    "wall_seconds": [None, *_SECONDS],
    "versions": [_GONE, None, []],
    "git": [_GONE, None, "abc"],
    "git.commit": _TEXT_OR_NULL,
    "git.clean": [_GONE, None, 1],
    "data.name": _TEXT,
    "data.title": _TEXT,
    "data.stand_in": [_GONE, None, 0, "no"],
    "data.train_images": _COUNT,
    "data.test_images": _COUNT,
    "data.train_fingerprint": _TEXT,
    "data.test_fingerprint": _TEXT,
    "data.whole_train_fingerprint": _TEXT,
    "data.held_out": [None, [-1], ["a"], [100], 3],
    "data.class_counts": [None, [1], [0] * 100, [-1] * 100, [0.5] * 100],
    "measured.device": _TEXT,
    "measured.git.commit": _TEXT_OR_NULL,
    "measured.config": [_GONE, None, [], "all"],
    "measured.config.keep_test": _COUNT,
    "measured.config.keep_train": _COUNT,
    "measured.config.map_images": _COUNT,
    "measured.against": [None, {}, {"digest": 3}, "abc"],
    "sha256": [[], {"losses.csv": 3}, {"losses.csv": "abc"}, {"losses.csv": "A" * 64}],
    "computed": [None, 3],
    "peak_memory_bytes": [-1, 0.5, "7"],
    "source": [None, {}, {"about": 3}, "abc"],
    "config": [_GONE, None, [], {}, {"encoder": 3}],
    "config.unknown": [1],
    "config.epochs": [_GONE, 2.5, 10**400, 0, "2", True],
    "config.seed": [_GONE, "0", -1],
    "config.batch": [_GONE, True],
    "config.projector_width": [2.5],
    "config.images_per_class": ["2", -1],
    "config.backbone": [_GONE, 3, "res-5-999999999"],
    "config.objective": [_GONE, None, [1], {}, {"name": "x"}],
    "config.objective.name": [_GONE, 3],
    "config.objective.on_from": [_GONE],
    "data.hierarchy": [
        None, [], {"name": "x"}, {"name": "x", "levels": []}, {"name": "x", "levels": [{}]},
        *({"name": "x", "levels": [{"name": "fine", "class_names": ["a", name], "of_fine": [0, i]}]}
          for name, i in ((3, 1), ("b", 1.0), ("b", 7))),
    ],
}  # fmt: skip


@pytest.mark.parametrize("field", _BAD)
def test_every_field_of_run_json_is_looked_at(field: str) -> None:
    given = run_json(tiny_config(), title="one", epochs=[0, 2])
    check_run(given)
    within, *path = field.split(".")[::-1]
    for value in _BAD[field]:
        about: Any = copy_of(given)
        at = about
        for part in reversed(path):
            at = at.setdefault(part, {})
        if value is _GONE:
            del at[within]
        else:
            at[within] = value
        named = {"config": "config: ", "data.hierarchy": "hierarchy"}
        where = named.get(path[-1] if path[-1:] == ["config"] else field, field)
        with pytest.raises(ValueError, match=re.escape(where)) as error:
            check_run(about)
        assert len(str(error.value)) < 400


def test_what_is_altered_is_said_and_refused(
    copy: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(copy.parent)
    assert main(["recordings", "--verify", "--root", root]) == 0
    content = bytearray((copy / "features.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "features.safetensors").write_bytes(bytes(content))
    capsys.readouterr()
    assert main(["recordings", "--verify", "--root", root]) == 1
    assert "altered" in capsys.readouterr().out
    with pytest.raises(DamagedError, match=r"features\.safetensors: altered.*restore"):
        open_recording(copy).features(2)
    shutil.copytree(copy, copy.parent / "set" / "deeper")
    (copy / "features.safetensors").unlink()
    with pytest.raises(DamagedError, match=r"features\.safetensors: cannot be read"):
        open_recording(copy).features(2)
    shutil.copy(copy / "losses.csv", copy / "steps.csv")
    with pytest.raises(DamagedError, match=r"steps\.csv: is not one of the files"):
        _ = open_recording(copy).steps
    (copy.parent / "torn").mkdir()
    (copy.parent / "torn" / "run.json").write_text("{")
    assert main(["recordings", "--verify", "--root", root]) == 1
    told = capsys.readouterr().out
    expected = (
        "deeper.features", "damaged: .*features.safetensors: cannot be read",
        "altered: .*steps.csv: is not one", "damaged: .*torn", "3 recordings, 3 of",
    )  # fmt: skip
    assert [line for line in expected if not re.search(line, told)] == []
    shutil.rmtree(copy.parent)
    shutil.copytree(recording.path, copy)
    unseal(copy)
    assert main(["recordings", "--verify", "--root", root]) == 0
    assert "no digests" in capsys.readouterr().out


def test_a_note_beside_the_files_is_no_damage_and_a_file_of_the_format_is(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (".DS_Store", "notes.txt"):
        (copy / name).write_text("mine")
    verify = ["recordings", "--verify", "--root"]
    assert main([*verify, str(copy.parent)]) == 0
    shutil.copy(copy / "measures.csv.gz", copy / "steps.csv")
    for root in (copy.parent.parent, copy.parent, copy):
        assert main([*verify, str(root)]) == 1
        assert "steps.csv: is not one of the files" in capsys.readouterr().out


def test_a_run_that_is_trained_beside_recordings_is_none_of_them(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy.parent / "mine-03bde2f2/snapshots").mkdir(parents=True)
    (copy.parent / "mine-03bde2f2/run.json").write_text('{"complete": false}')
    assert [found.name for found in list_recordings(copy.parent)] == ["tiny"]
    assert main(["recordings", "--verify", "--root", str(copy.parent)]) == 0
    assert "1 recordings" in capsys.readouterr().out


def test_a_recording_is_called_as_its_folder_is_from_within_it_too(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy)
    assert open_recording(".").name == open_recording("../tiny/").name == "tiny"
    monkeypatch.chdir(copy.parent)
    assert open_recording(Path("tiny/../tiny")).name == "tiny"


@pytest.mark.parametrize("place", [".", "..", "new/.."])
def test_a_recording_needs_a_name_before_anything_is_measured(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    x, y = np.eye(4), [0, 0, 1, 1]
    with pytest.raises(CompanionError, match="has no name; expected a new folder"):
        record_encoder(None, x, y, destination=place)
    assert not list((tmp_path / "empty").iterdir())


def test_a_run_by_hand_does_not_replace_what_another_version_wrote(copy: Path) -> None:
    about = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(about | {"format": 2}))
    before = {path.name: file_digest(path) for path in copy.iterdir()}
    own = tiny_run("tiny", tiny_config(epochs=1, seed=1))
    with pytest.raises(recorder.OccupiedError, match=r"that cannot be read; .*--overwrite"):
        recorder.require_place(own, copy.parent)
    recorder.require_place(replace(own, scale="reduced"), copy.parent)  # `record` makes it again
    assert {path.name: file_digest(path) for path in copy.iterdir()} == before


def test_every_recording_of_the_book_is_as_it_was_written() -> None:
    assert main(["recordings", "--verify"]) == 0


def test_the_ledger_refuses_an_altered_recording(
    write_synthetic: Callable[..., Recording], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_synthetic("clustering-vicreg-s0", tmp_path)
    about = json.loads((run.path / "run.json").read_text())
    about["sha256"] = {
        file.name: file_digest(file) for file in run.path.iterdir() if file.name != "run.json"
    }
    (run.path / "run.json").write_text(json.dumps(about))
    _edit(run.path, "measures.csv.gz", _cell("value", "0.5"))
    assert main(["claims", "--root", str(tmp_path)]) != 0
    told = capsys.readouterr()
    assert "measures.csv.gz: altered" in told.err
    assert told.err.count("\n") == 1


def _read_all(folder: Path) -> None:
    """All that a recording can be asked for."""
    run = open_recording(folder)
    _ = run.measures, run.losses, run.steps, run.class_counts
    if run.has_features:
        for split in ("train", "test", "sample"):
            _ = run.fine(split), run.rows(split), run.files(split)
        for layer in run.layers:
            for epoch in run.kept_epochs(layer):
                run.features(epoch, layer)
                run.class_means(epoch, layer)
        for epoch in run.kept_epochs(what="sample_means"):
            run.sample_means(epoch)
        for epoch in run.kept_epochs(what="sample_views"):
            run.sample_views(epoch)
        for epoch in run.kept_epochs(what="map_views"):
            run.map_views(epoch)
        for epoch in run.target_epochs():
            run.targets(epoch)
    if run.has_group_accuracies:
        read_group_accuracies(run)
    if run.weights_path is not None:
        run.backbone()


_ODD: list[Any] = [
    None, True, "", "NA", "é", -1, 0.5, 10**400, 2**70, 1e308, [], {}, [[]], {"a": [{}]}, [None],
]  # fmt: skip


def _harm_json(folder: Path, rng: np.random.Generator) -> None:
    about = json.loads((folder / "run.json").read_text())
    at = about
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = keys[rng.integers(len(keys))]
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.7:
            at = at[key]
            continue
        break
    if rng.random() < 0.3:
        del at[key]
    else:
        at[key] = _ODD[rng.integers(len(_ODD))]
    (folder / "run.json").write_text(json.dumps(about))


def _harm_table(folder: Path, rng: np.random.Generator) -> None:
    file = ("measures.csv.gz", "subset.csv.gz", "losses.csv")[rng.integers(3)]
    opened = gzip.open if file.endswith(".gz") else open
    with opened(folder / file, "rt") as there:
        lines = there.read().splitlines()
    i = int(rng.integers(len(lines)))
    match rng.integers(3):
        case 0:
            del lines[i]
        case 1:
            lines.insert(i, lines[i])
        case 2:
            cells = lines[i].split(",")
            odd = ["", "NA", "3.9", "-1", "1e400", "abc", '"', "9" * 30, "a,b"]
            cells[rng.integers(len(cells))] = odd[rng.integers(len(odd))]
            lines[i] = ",".join(cells)
    with opened(folder / file, "wt") as there:
        there.write("\n".join(lines) + "\n")


def _harm_tensor(folder: Path, rng: np.random.Generator) -> None:
    file = ("features", "weights", "levels")[rng.integers(3)] + ".safetensors"
    tensors = safetensors.numpy.load_file(folder / file)
    name = sorted(tensors)[rng.integers(len(tensors))]
    x = tensors[name]
    match rng.integers(5):
        case 0:
            del tensors[name]
        case 1:
            tensors[name] = np.ascontiguousarray(x[:1] if x.ndim else x)
        case 2:
            tensors[name] = x.astype([np.int64, np.float64, np.bool_, np.int8][rng.integers(4)])
        case 3:
            tensors[name] = x.reshape(-1)
        case 4:
            tensors[name] = np.full_like(x, np.nan if x.dtype.kind == "f" else 255)
    safetensors.numpy.save_file(tensors, folder / file)


def _harm_bytes(folder: Path, rng: np.random.Generator) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    path, other = (files[i] for i in rng.integers(len(files), size=2))
    content = bytearray(path.read_bytes())
    match rng.integers(4):
        case 0:
            for i in rng.integers(min(len(content), 2000), size=3):
                content[i] = rng.integers(256)
            path.write_bytes(bytes(content))
        case 1:
            path.write_bytes(bytes(content[: rng.integers(len(content))]))
        case 2:
            path.write_bytes(other.read_bytes())
        case 3:
            path.unlink()
            path.mkdir()


@pytest.mark.slow
@pytest.mark.parametrize("harm", [_harm_json, _harm_table, _harm_tensor, _harm_bytes])
def test_a_damaged_recording_is_read_or_refused_in_a_sentence(
    recording: Recording, tmp_path: Path, harm: Callable[[Path, np.random.Generator], None]
) -> None:
    for seed in range(250):
        rng = np.random.default_rng([seed, 7])
        folder = Path(shutil.copytree(recording.path, tmp_path / f"{seed}"))
        if rng.random() < 0.9:
            unseal(folder)
        harm(folder, rng)
        try:
            _read_all(folder)
        except CompanionError as error:
            said = str(error)
            assert str(folder) in said or "tiny" in said, said
        except Exception as error:
            raise AssertionError(f"{harm.__name__}, seed {seed}: {error!r}") from error
        shutil.rmtree(folder)


def test_a_recording_that_came_meanwhile_is_not_destroyed(
    recording: Recording, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, there = recorder.train, tmp_path / "out" / "tiny"

    def train_while_another_writes(*given: Any) -> bool:
        shutil.copytree(recording.path, there)
        return real(*given)

    monkeypatch.setattr(recorder, "train", train_while_another_writes)
    other = replace(tiny_run("tiny", tiny_config(epochs=1, seed=1)), snapshots=(0, 1))
    with pytest.raises(recorder.OccupiedError, match="holds another run"):
        record(other)
    assert open_recording(there).run["seed"] == recording.run["seed"]
