"""The sheet of photographs: what is on it, whose images they are, and how it is refused."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import photographs as tool
import pytest
from PIL import Image

from ssl_companion.chapters.photographs import (
    INDEX,
    SHEET,
    PhotographSheet,
    images_of_each_class,
    photograph_address,
    photograph_sheet,
    photographs,
    tiled,
)
from ssl_companion.data import load
from ssl_companion.data.cifar100 import find
from ssl_companion.recordings import Recording, RecordingError, list_recordings, open_recording

DATA = os.environ.get("SSL_COMPANION_DATA")  # as it is before the tests' own surroundings


@pytest.fixture(scope="module")
def sheet() -> PhotographSheet:
    found = photograph_sheet()
    assert found is not None
    return found


def _decoded(address: str) -> np.ndarray:
    kind, _, data = address.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_the_sheet_is_small_and_says_whose_images_it_has(sheet: PhotographSheet) -> None:
    assert (tool.ASSETS / SHEET).stat().st_size < 500_000
    assert "Krizhevsky" in sheet.about["source"]
    assert sheet.about["page"] == "https://www.cs.toronto.edu/~kriz/cifar.html"
    assert "80 million tiny images" in sheet.about["terms"]
    assert sheet.tiles.shape == (len(sheet.places), 32, 32, 3)
    assert sheet.tiles.dtype == np.uint8


def test_it_has_the_images_of_every_recording_but_the_teacher(sheet: PhotographSheet) -> None:
    without = [r.name for r in list_recordings() if r.has_features and photographs(r) is None]
    assert without == ["targets-teacher-s0"]  # of whose 2,000 it has 1,000


@pytest.mark.parametrize("name", tool.RECORDINGS)
def test_labels_are_those_of_the_recording(name: str, sheet: PhotographSheet) -> None:
    recording = open_recording(name)
    found = [sheet.places["test", row] for row in recording.rows("test")]
    assert np.array_equal(sheet.fine[found], recording.fine("test"))
    pictures = photographs(recording)
    assert pictures is not None
    assert np.array_equal(pictures, sheet.tiles[found])


def test_the_index_lists_what_the_recordings_keep(sheet: PhotographSheet) -> None:
    rows = tool.wanted()
    assert list(sheet.places) == [(split, row) for split, own in rows.items() for row in own]
    whole = open_recording("reference-vicreg-s0")
    for row, label in zip(whole.rows("sample")[:5], whole.fine("sample"), strict=False):
        assert sheet.fine[sheet.places["train", int(row)]] == label


def test_no_image_is_blank(sheet: PhotographSheet) -> None:
    assert sheet.tiles.reshape(len(sheet.tiles), -1).std(axis=1).min() > 2


def test_absent_rows_and_other_data_have_no_pictures(
    sheet: PhotographSheet, clusters: Recording
) -> None:
    held = next(row for split, row in sheet.places if split == "test")
    absent = next(row for row in range(10_000) if ("test", row) not in sheet.places)
    assert sheet.of_rows("test", [held]) is not None
    assert sheet.of_rows("test", [held, absent]) is None
    assert photographs(clusters) is None  # other images, under the same rows
    assert photographs(open_recording("regularizer-invariance-only-s0"), "sample") is None
    with pytest.raises(ValueError, match="split: 'val'; expected one of train, sample, test"):
        photographs(clusters, "val")


def test_it_is_found_beside_the_recordings_where_the_package_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheet: PhotographSheet
) -> None:
    monkeypatch.setattr("ssl_companion.chapters.photographs.checkout", lambda: None)
    monkeypatch.setenv("SSL_COMPANION_RECORDINGS", str(tmp_path / "recordings"))
    assert photograph_sheet() is None
    (tmp_path / "assets").mkdir()
    for name in (SHEET, INDEX):
        shutil.copy(tool.ASSETS / name, tmp_path / "assets")
    found = photograph_sheet()
    assert found is not None
    assert np.array_equal(found.tiles, sheet.tiles)


def _cut_short(folder: Path) -> None:
    (folder / SHEET).write_bytes((tool.ASSETS / SHEET).read_bytes()[:1000])


def _without_labels(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps(index | {"fine": {"test": [1], "train": []}}))


def _no_index(folder: Path) -> None:
    (folder / INDEX).unlink()


@pytest.mark.parametrize("damage", [_cut_short, _without_labels, _no_index])
def test_a_damaged_sheet_is_refused(damage: Callable[[Path], None], tmp_path: Path) -> None:
    for name in (SHEET, INDEX):
        shutil.copy(tool.ASSETS / name, tmp_path)
    damage(tmp_path)
    with pytest.raises(RecordingError, match=rf"{SHEET}: truncated or foreign .*; restore it"):
        photograph_sheet(tmp_path)


def test_images_stand_in_rows() -> None:
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] + np.ones((3, 2, 2, 3), np.uint8)
    together = tiled(images, 2)
    assert together.shape == (4, 4, 3)
    assert together[::2, ::2, 0].tolist() == [[1, 2], [3, 0]]


def test_an_address_shows_one_image_or_many(sheet: PhotographSheet) -> None:
    one = _decoded(photograph_address(sheet.tiles[0]))
    assert one.shape == (32, 32, 3)
    assert np.abs(one.astype(int) - sheet.tiles[0]).mean() < 8
    assert _decoded(photograph_address(sheet.tiles[:5], columns=3)).shape == (64, 96, 3)


@pytest.mark.slow
@pytest.mark.skipif(
    DATA is None or not all(find(Path(DATA), split) for split in ("test", "train")),
    reason="SSL_COMPANION_DATA holds no CIFAR-100",
)
def test_the_sheet_is_what_the_data_set_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheet: PhotographSheet
) -> None:
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(tmp_path))
    splits = {split: load(split=split, root=DATA) for split in ("test", "train")}
    assert tool.difference(*tool.sheet(splits)) is None
    for (split, row), tile in sheet.places.items():  # each image, and not another of its class
        image = splits[split].images[row].transpose(1, 2, 0)
        alike = np.corrcoef(image.ravel(), sheet.tiles[tile].ravel())[0, 1]
        assert alike > 0.9, (split, row)


def test_as_many_photographs_of_each_class_are_drawn_in_random_order(
    sheet: PhotographSheet,
) -> None:
    found = sheet.of_each_class(2, seed=1)
    assert found.shape == (200, 3, 32, 32)
    of = {tile.tobytes(): own for tile, own in zip(sheet.tiles, sheet.fine, strict=True)}
    fine = [of[np.ascontiguousarray(np.moveaxis(one, 0, -1)).tobytes()] for one in found]
    assert sorted(fine) == sorted([*range(100)] * 2)
    assert fine != sorted(fine)
    images, name = images_of_each_class(2, seed=1)
    np.testing.assert_array_equal(images, found)
    assert name == "CIFAR-100"
    assert (sheet.of_each_class(2, seed=2) != found).any()


def test_without_a_sheet_other_images_take_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl_companion.chapters.photographs.photograph_sheet", lambda: None)
    monkeypatch.delenv("SSL_COMPANION_DATA", raising=False)
    found, name = images_of_each_class(2)
    assert found.shape == (200, 3, 32, 32)
    assert name != ""
