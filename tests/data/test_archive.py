from __future__ import annotations

import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import CIFAR100 as TorchvisionCIFAR100

from ssl_companion.data import DataError, archive
from ssl_companion.data.archive import read_packed, read_unpacked
from ssl_companion.io.atomic import file_digest


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[bytes], str]:
    """Read bytes as the file of a split; the message must name the file and a way out."""

    def message_for(content: bytes) -> str:
        path = tmp_path / "train"
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_unpacked(path)
        assert str(path) in str(caught.value)
        assert "download=True" in str(caught.value)
        return str(caught.value)

    return message_for


def test_packed_and_unpacked_hold_the_same(
    archive_file: Path, unpacked_folder: Path, fake: Any, agree: Callable[..., bool]
) -> None:
    packed = read_packed(archive_file, "test")
    unpacked = read_unpacked(unpacked_folder / "cifar-100-python" / "test")
    assert agree(packed, fake)
    for name in ("images", "fine", "files"):
        assert np.array_equal(getattr(packed, name), getattr(unpacked, name))


def test_reads_what_torchvision_reads(
    unpacked_folder: Path, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpacked_folder / "cifar-100-python"
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}))
    for attribute, split in (("train_list", "train"), ("test_list", "test")):
        checked = [[split, file_digest(folder / split, "md5")]]
        monkeypatch.setattr(TorchvisionCIFAR100, attribute, checked)
    meta = {**TorchvisionCIFAR100.meta, "md5": file_digest(folder / "meta", "md5")}
    monkeypatch.setattr(TorchvisionCIFAR100, "meta", meta)
    theirs = TorchvisionCIFAR100(str(unpacked_folder), train=True)
    ours = read_unpacked(folder / "train")
    row = {image.tobytes(): label for image, label in zip(ours.images, ours.fine, strict=True)}
    assert len(row) == len(theirs) == len(fake.fine)
    for image, label in zip(theirs.data.transpose(0, 3, 1, 2), theirs.targets, strict=True):
        assert row[image.tobytes()] == label


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_what_python_3_writes(tmp_path: Path, fake: Any, protocol: int) -> None:
    content = pickle.loads(fake.pickled(), encoding="bytes")
    again = {key.decode(): value for key, value in content.items()}
    again["data"] = np.array(again["data"])
    path = tmp_path / "train"
    path.write_bytes(pickle.dumps(again, protocol=protocol))
    reference = tmp_path / "reference"
    reference.write_bytes(fake.pickled())
    assert np.array_equal(read_unpacked(path).images, read_unpacked(reference).images)


def test_reads_columns_first_arrays(tmp_path: Path, fake: Any) -> None:
    content = pickle.loads(fake.pickled(), encoding="bytes")
    content[b"data"] = np.asfortranarray(content[b"data"])
    (tmp_path / "F").write_bytes(pickle.dumps(content, protocol=4))
    (tmp_path / "C").write_bytes(fake.pickled())
    one, other = read_unpacked(tmp_path / "F"), read_unpacked(tmp_path / "C")
    assert np.array_equal(one.images, other.images)


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_runs_code_is_refused(
    refused: Callable[[bytes], str], tmp_path: Path, protocol: int
) -> None:
    mark = tmp_path / "mark"
    evil = pickle.dumps({b"data": Evil(mark)}, protocol=protocol)
    assert "open, which the format does not need" in refused(evil)
    assert not mark.exists()
    pickle.loads(evil)[b"data"].close()
    assert mark.exists()  # it would have run


@pytest.mark.parametrize(
    "value", [np.float64(3), np.arange(3.0), np.array([None]), np.dtype("O"), Exception("x"), int]
)
def test_nothing_beyond_arrays_of_bytes_is_admitted(
    refused: Callable[[bytes], str], value: object
) -> None:
    assert "not a whole pickle" in refused(pickle.dumps({b"data": value}, protocol=4))


@pytest.mark.parametrize("keep", [0, 1, 100, 5_000, 600_000, -1])
def test_truncated_pickle(refused: Callable[[bytes], str], fake: Any, keep: int) -> None:
    assert "not a whole pickle" in refused(fake.pickled()[:keep])


def test_damaged_pickles_are_never_misread(tmp_path: Path, fake: Any) -> None:
    whole = fake.pickled()
    pixels = whole.index(fake.images.tobytes())
    rng = np.random.default_rng(0)
    path = tmp_path / "train"
    refusals = 0
    for place in rng.integers(0, len(whole) - fake.images.nbytes, 150):
        place = int(place) + (fake.images.nbytes if place >= pixels else 0)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_unpacked(path)
        except DataError:
            refusals += 1
        else:  # a letter of a file name, at worst
            assert sorted(image.tobytes() for image in found.images) == sorted(
                image.tobytes() for image in fake.images
            )
    assert refusals > 10


@pytest.mark.parametrize("key", ["data", "fine_labels", "coarse_labels", "filenames"])
def test_missing_key(refused: Callable[[bytes], str], fake: Any, key: str) -> None:
    content = pickle.loads(fake.pickled(), encoding="bytes")
    del content[key.encode()]
    assert f"has no {key}" in refused(pickle.dumps(content, protocol=4))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("fine_labels", [1, 2], "fine_labels must be 200 whole numbers"),
        ("fine_labels", [0.5] * 200, "fine_labels must be 200 whole numbers"),
        ("coarse_labels", "x" * 200, "coarse_labels must be 200 whole numbers"),
        ("filenames", [b"a.png"], "filenames must be 200 names"),
        ("data", np.zeros((200, 3071), np.uint8), "it is (200, 3071)"),
        ("data", np.zeros(200 * 3072, np.uint8), "it is (614400,)"),
        ("data", b"bytes", "it is bytes"),
        ("data", np.zeros((0, 3072), np.uint8), "holds no images"),
    ],
)
def test_content_of_another_kind(
    refused: Callable[[bytes], str], fake: Any, key: str, value: object, said: str
) -> None:
    content = pickle.loads(fake.pickled(), encoding="bytes")
    content[key.encode()] = value
    assert said in refused(pickle.dumps(content, protocol=4))


def test_no_dictionary(refused: Callable[[bytes], str]) -> None:
    assert "must hold a dictionary, it holds a list" in refused(pickle.dumps([1, 2]))


@pytest.mark.parametrize(("field", "said"), [("fine", "fine label 100"), ("coarse", "coarse")])
def test_label_out_of_range(
    refused: Callable[[bytes], str], fake: Any, field: str, said: str
) -> None:
    getattr(fake, field)[3] = 100
    assert said in refused(fake.pickled())


def test_wrong_checksum(archive_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = archive.MD5
    monkeypatch.setattr(archive, "MD5", "0" * 32)
    with pytest.raises(DataError, match=f"MD5 is {right}, the official archive's is 0000") as e:
        read_packed(archive_file, "train")
    assert str(archive_file) in str(e.value)


def test_the_official_checksum() -> None:
    published = TorchvisionCIFAR100
    assert (published.filename, published.tgz_md5) == (archive.ARCHIVE_NAME, archive.MD5)


def test_truncated_archive(archive_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(archive_file, archive_file.stat().st_size // 2)
    with pytest.raises(DataError, match="MD5"):
        read_packed(archive_file, "train")
    monkeypatch.setattr(archive, "MD5", file_digest(archive_file, "md5"))
    with pytest.raises(DataError, match="not CIFAR-100's archive"):
        read_packed(archive_file, "test")


def test_another_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cifar-100-python.tar.gz"
    (tmp_path / "readme").write_text("nothing here")
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "readme", "cifar-100-python/readme")
    monkeypatch.setattr(archive, "MD5", file_digest(path, "md5"))
    with pytest.raises(DataError, match=r"not CIFAR-100's archive .*cifar-100-python/train"):
        read_packed(path, "train")
