"""The pixels' own accuracy against scikit-learn, and the file that keeps it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestCentroid as SklearnNearestCentroid

from ssl_companion.__main__ import main
from ssl_companion.chapters.analysis import pixel_baselines
from ssl_companion.chapters.commands import baselines as command
from ssl_companion.data import ImageSet, load
from ssl_companion.recordings import Recording, list_recordings, recordings_root

from ...conftest import halved


@pytest.fixture(scope="module")
def images() -> tuple[ImageSet, ImageSet]:
    train, test = (load("glyphs100", split).subset(4) for split in ("train", "test"))
    return halved(train), halved(test)


@pytest.fixture(scope="module")
def table(images: tuple[ImageSet, ImageSet]) -> pd.DataFrame:
    train, test = images
    return pixel_baselines.pixel_baselines(train, test, (8, 16, 5000))


@pytest.mark.parametrize(("encoder", "dims"), [("pixels", 768), ("whitened pixels", 8)])
def test_agrees_with_scikit_learn(
    table: pd.DataFrame, images: tuple[ImageSet, ImageSet], encoder: str, dims: int
) -> None:
    train, test = images
    x, z = (np.asarray(s.images).reshape(len(s), -1) / 255 for s in (train, test))
    if encoder != "pixels":
        scaled = PCA(dims, whiten=True, svd_solver="full").fit(x)
        x, z = scaled.transform(x), scaled.transform(z)
    for level in train.hierarchy.levels:
        rule = SklearnNearestCentroid().fit(x, level.labels(train.fine))
        found = table[(table["encoder"] == encoder) & (table["dims"] == dims)]
        value = found[found["level"] == level.name]["value"].item()
        assert value == pytest.approx(rule.score(z, level.labels(test.fine)), abs=0.005)


def test_widths_that_cannot_be_are_left_out(table: pd.DataFrame) -> None:
    assert sorted(set(table["dims"])) == [8, 16, 768]
    assert set(table["train_images"]) == {400}


def test_rows_of_the_same_set_are_replaced_and_others_kept(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    other = table.assign(fingerprint="another", train_images=7)
    for rows in (other, table, table.assign(value=0.5)):
        path = pixel_baselines.write_baselines(rows, tmp_path)
    kept = pd.read_csv(path)
    assert len(kept) == 2 * len(table)
    assert (kept.loc[kept["train_images"] == 400, "value"] == 0.5).all()
    assert [p.name for p in tmp_path.iterdir()] == [pixel_baselines.FILE]


def test_a_recording_stands_beside_the_width_nearest_to_its_own(
    table: pd.DataFrame, tmp_path: Path, write_synthetic: Callable[..., Recording]
) -> None:
    run = write_synthetic("baseline-beside-s0", features=True)
    run.run["config"]["backbone"] = "res-1-16"  # 16 dimensions
    assert pixel_baselines.compare_with_pixels(run, tmp_path).empty
    run.run["data"]["train_fingerprint"] = table["fingerprint"][0]
    pixel_baselines.write_baselines(table, tmp_path)
    found = pixel_baselines.compare_with_pixels(run, tmp_path)
    assert (found["dims"] == 16).all()
    assert found["level"].tolist() == list(run.hierarchy.names)
    white = table[(table["dims"] == 16) & (table["level"] == "fine")]["value"].item()
    assert found["whitened"][0] == pytest.approx(white, rel=1e-5)
    assert pixel_baselines.compare_with_pixels(run, tmp_path)["after"][0] > found["before"][0]


def test_the_command_writes_what_the_chapters_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "load", lambda *given: halved(load(*given)))
    arguments = ["baselines", "--data", "glyphs100", "--images-per-class", "3", "--out"]
    assert main([*arguments, str(tmp_path)]) == 0
    assert "whitened pixels" in capsys.readouterr().out
    assert set(pd.read_csv(tmp_path / pixel_baselines.FILE)["train_images"]) == {300}


def test_every_recording_of_the_book_has_its_baseline() -> None:
    if os.environ.get("SSL_COMPANION_RECORDINGS"):
        pytest.skip("recordings of another place")
    lacking = [
        run.name for run in list_recordings() if pixel_baselines.compare_with_pixels(run).empty
    ]
    assert not lacking


@pytest.mark.slow
def test_the_baselines_of_the_book_are_what_the_data_set_gives() -> None:
    kept = pd.read_csv(recordings_root() / pixel_baselines.FILE)
    try:
        train, test = load("cifar100", "train"), load("cifar100", "test")
    except (ValueError, RuntimeError, OSError) as error:
        pytest.skip(f"the data set is not here: {error}")
    again = pixel_baselines.pixel_baselines(train.subset(100), test, (32, 64))
    both = again.merge(kept, on=["fingerprint", "encoder", "dims", "level"])
    assert len(both) == len(again)
    np.testing.assert_allclose(both["value_x"], both["value_y"], atol=1e-3)
