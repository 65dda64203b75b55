from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_companion.data import CIFAR100, DataError, ImageSet, describe_sources, load, loading

from .conftest import make_fake, same_images

pytestmark = pytest.mark.filterwarnings("ignore:.*images, CIFAR-100")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the download by one that copies nothing and notes where it was to go."""
    asked: list[Path] = []

    def fetch(folder: Path) -> Path:
        asked.append(folder)
        raise DataError("no network here", path=folder)

    monkeypatch.setattr(loading, "fetch", fetch)
    return asked


def test_all_layouts_give_the_same_set(
    parquet_folder: Path, unpacked_folder: Path, archive_file: Path, fake: Any
) -> None:
    roots = [
        parquet_folder,
        unpacked_folder,
        unpacked_folder / "cifar-100-python",
        archive_file.parent,
        archive_file,
    ]
    sets = [load(split="test", root=root) for root in roots]
    assert same_images(sets[0], fake)
    for images in sets:
        assert np.array_equal(images.images, sets[0].images)
        assert np.array_equal(images.files, sets[0].files)
        assert images.fingerprint == sets[0].fingerprint
        assert np.array_equal(images.subset(1).fine, sets[0].subset(1).fine)


def test_a_set_says_what_it_is_and_is_read_only(parquet_folder: Path) -> None:
    images = load(root=str(parquet_folder))
    assert isinstance(images, ImageSet)
    assert (images.name, images.split, images.stand_in) == ("CIFAR-100", "train", False)
    assert images.hierarchy is CIFAR100
    assert isinstance(images.images, np.memmap)
    assert images.images.shape == (200, 3, 32, 32)
    with pytest.raises(ValueError, match="read-only"):
        images.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        images.fine[0] = 0


def test_an_incomplete_set_is_announced(parquet_folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"train split has 200 images, CIFAR-100's has 50,000"):
        load(root=parquet_folder)


def test_a_hub_folder_one_level_down_is_found(parquet_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    shutil.copytree(parquet_folder, tmp_path / "hub" / "cifar100")
    assert len(load(root=tmp_path / "hub")) == 200


def test_the_root_goes_before_the_environment_variable(
    parquet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_COMPANION_DATA", str(parquet_folder))
    assert len(load()) == 200
    with pytest.raises(DataError, match=r"no train split(.|\n)*the data root given") as caught:
        load(root=tmp_path)  # no other place is tried
    assert str(tmp_path) in str(caught.value)


def test_nothing_anywhere_names_every_way_out(surroundings: Path) -> None:
    with pytest.raises(DataError) as caught:
        load()
    message = str(caught.value)
    for way in ("download=True", "SSL_COMPANION_DATA", "cifar-100-python", "parquet", "glyphs100"):
        assert way in message
    assert str(surroundings / "cifar100") in message
    assert caught.value.path == surroundings / "cifar100"


def test_a_split_that_is_not_there_is_named(parquet_folder: Path) -> None:
    for shard in parquet_folder.glob("test*"):
        shard.unlink()
    with pytest.raises(DataError, match=r"no test split(.|\n)*train +found as parquet"):
        load(split="test", root=parquet_folder)


@pytest.mark.parametrize("same_date", [False, True])
def test_a_changed_source_is_decoded_again(
    make_unpacked: Callable[..., Path], same_date: bool
) -> None:
    unpacked_folder = make_unpacked(make_fake(200))
    load(root=unpacked_folder)
    path = unpacked_folder / "cifar-100-python" / "train"
    other = make_fake(200, seed=1)
    stamps = path.stat()
    time.sleep(0.02)
    make_unpacked(other)
    assert path.stat().st_size == stamps.st_size
    if same_date:
        os.utime(path, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    assert same_images(load(root=unpacked_folder), other)


def test_auto_takes_what_there_is(
    parquet_folder: Path, surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load("auto", "test", n=100).stand_in
    shutil.copytree(parquet_folder, surroundings / "cifar100")
    assert not load("auto", "test").stand_in
    for shard in (surroundings / "cifar100").glob("test*"):
        shard.unlink()
    with pytest.raises(DataError, match=r"no test split(.|\n)*train +found as parquet"):
        load("auto", "test")  # never half of one and half of the other
    monkeypatch.setenv("SSL_COMPANION_DATA", "/nowhere")
    with pytest.raises(DataError, match="SSL_COMPANION_DATA; it does not exist"):
        load("auto")


def test_download_goes_to_the_root(no_network: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no network here"):
        load(root=tmp_path / "data", download=True)
    assert no_network == [tmp_path / "data"]


def test_download_replaces_damaged_files(
    parquet_folder: Path, archive_file: Path, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(parquet_folder / "train-00000-of-00001.parquet", 1000)
    with pytest.raises(DataError, match="not a file of CIFAR-100"):
        load(root=parquet_folder)

    def fetch(folder: Path) -> Path:
        return Path(shutil.copy(archive_file, folder))

    monkeypatch.setattr(loading, "fetch", fetch)
    assert same_images(load(root=parquet_folder, download=True), fake)


def test_no_download_where_there_is_data(no_network: list[Path], parquet_folder: Path) -> None:
    load(root=parquet_folder, download=True)
    assert no_network == []


def test_no_download_when_only_the_cache_is_at_fault(
    no_network: list[Path], parquet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cache cannot be written"):
        load(root=parquet_folder, download=True)
    assert no_network == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "cifar10"}, "name: 'cifar10'; expected one of cifar100, glyphs100, auto"),
        ({"split": "valid"}, "split: 'valid'; expected one of train, test"),
        ({"n": 100}, "n: 100; expected None for cifar100"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load(**arguments)


def test_sources_are_described_with_what_is_missing(
    parquet_folder: Path, unpacked_folder: Path, tmp_path: Path
) -> None:
    found = describe_sources(parquet_folder)
    assert found.complete
    assert "found as parquet: test-00000-of-00002.parquet, test-00001-of" in str(found)
    assert "found as unpacked" in str(describe_sources(unpacked_folder))
    (parquet_folder / "test-00000-of-00002.parquet").unlink()
    partial = describe_sources(parquet_folder)
    assert not partial.complete
    assert "one of 2 shards" in str(partial)
    nothing = str(describe_sources(tmp_path / "nowhere"))
    assert "it does not exist" in nothing
    assert "download=True" in nothing
    assert str(tmp_path / "nowhere") in nothing


def test_what_another_package_says_in_lines_is_said_in_one_and_ways_out_stay_a_list() -> None:
    error = DataError("not a file of it (Error:\n  line 3\n).", path="a.parquet", mend="Fetch it.")
    assert str(error) == "a.parquet: not a file of it (Error: line 3 ). Fetch it."
    assert str(DataError("gone.", mend="one\ntwo")) == "gone.\none\ntwo"
