"""Both layouts on disk: what is found, what is read, and what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torchvision.datasets import CIFAR100 as TorchvisionCIFAR100

from ssl_companion.data import DataError, cifar100
from ssl_companion.data.cifar100 import Source, find
from ssl_companion.data.images import Decoded
from ssl_companion.io.atomic import file_digest

from .conftest import make_fake, same_images

Refused = Callable[[pa.Table], str]


def read(folder: Path, split: str = "train") -> Decoded:
    source = find(folder, split)
    assert source is not None
    return source.read()


def message_of(folder: Path, split: str = "train") -> str:
    """The message of the refusal; it names the file and a way out."""
    source = find(folder, split)
    assert source is not None
    with pytest.raises(DataError) as caught:
        source.read()
    assert caught.value.path == source.files[0]
    assert str(source.files[0]) in str(caught.value)
    assert "download=True" in str(caught.value)
    return str(caught.value)


def same_arrays(one: Decoded, other: Decoded) -> bool:
    names = ("images", "fine", "files")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


# --- the official archive


def test_the_archive_holds_what_was_put_into_it(
    archive_file: Path, unpacked_folder: Path, fake: Any
) -> None:
    packed, unpacked = read(archive_file, "test"), read(unpacked_folder, "test")
    assert same_images(packed, fake)
    assert same_arrays(packed, unpacked)


def test_it_is_read_where_md5_is_forbidden_for_secrets(
    archive_file: Path, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with FIPS."""
    real = hashlib.md5

    def fips(data: bytes = b"", *, usedforsecurity: bool = True) -> object:
        if usedforsecurity:
            raise ValueError("disabled for FIPS")
        return real(data, usedforsecurity=False)

    monkeypatch.setattr(hashlib, "md5", fips)
    assert same_images(read(archive_file, "test"), fake)


def test_the_checksums_are_the_published_ones() -> None:
    official = TorchvisionCIFAR100
    assert (official.filename, official.tgz_md5) == (cifar100.ARCHIVE_NAME, cifar100.ARCHIVE_MD5)
    assert official.base_folder == cifar100.FOLDER
    assert dict([*official.train_list, *official.test_list]) == cifar100.SPLIT_MD5


def test_torchvision_reads_the_same(
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
    ours = read(unpacked_folder)
    label_of = {image.tobytes(): k for image, k in zip(ours.images, ours.fine, strict=True)}
    assert len(label_of) == len(theirs) == len(fake.fine)
    for image, label in zip(theirs.data.transpose(0, 3, 1, 2), theirs.targets, strict=True):
        assert label_of[image.tobytes()] == label


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("packed", [False, True])
def test_a_pickle_of_unknown_origin_is_not_loaded(
    unpacked_folder: Path, archive_file: Path, tmp_path: Path, packed: bool
) -> None:
    mark = tmp_path / "mark"
    path = unpacked_folder / "cifar-100-python" / "train"
    path.write_bytes(pickle.dumps({"data": Evil(mark)}))
    if packed:
        with tarfile.open(archive_file, "w:gz") as tar:
            tar.add(path.parent, "cifar-100-python")
    assert "the MD5 of its train split is" in message_of(archive_file if packed else path.parent)
    assert not mark.exists()
    pickle.loads(path.read_bytes())["data"].close()
    assert mark.exists()  # it would have run


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_half_an_archive_is_refused(
    archive_file: Path, unpacked_folder: Path, share: float
) -> None:
    for path in (archive_file, unpacked_folder / "cifar-100-python" / "test"):
        os.truncate(path, int(path.stat().st_size * share))
    assert "not CIFAR-100's whole archive" in message_of(archive_file, "test")
    assert "MD5" in message_of(unpacked_folder, "test")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cifar-100-python.tar.gz"
    (tmp_path / "readme").write_text("nothing here")
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "readme", "cifar-100-python/readme")
    assert "cifar-100-python/train" in message_of(path)


# --- the parquet files


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Write a table, read it back, return the message."""

    def message_for(table: pa.Table) -> str:
        pq.write_table(table, tmp_path / "train.parquet")
        return message_of(tmp_path)

    return message_for


def png(size: tuple[int, int] = (32, 32), mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 0).save(file, "PNG")
    return file.getvalue()


def bomb() -> bytes:
    """A few bytes that claim to be 100,000x100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    side = (100_000).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes([8, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_shard_and_several_are_read(parquet_folder: Path, fake: Any, split: str) -> None:
    decoded = read(parquet_folder, split)
    assert decoded.images.dtype == np.uint8
    assert decoded.images.flags.c_contiguous
    assert decoded.fine.dtype == np.int64
    assert same_images(decoded, fake)


def test_the_order_of_rows_and_shards_does_not_matter(tmp_path: Path, fake: Any) -> None:
    table = fake.table()
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    pq.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    pq.write_table(shuffled, tmp_path / "test-00000-of-00001.parquet")
    assert same_arrays(read(tmp_path, "train"), read(tmp_path, "test"))


def test_neighbours_do_not_share_a_class(tmp_path: Path) -> None:
    fake = make_fake(400)
    pq.write_table(fake.table().take(np.argsort(fake.fine)), tmp_path / "train.parquet")
    assert (np.diff(read(tmp_path).fine) == 0).mean() < 0.05


def test_pictures_may_be_called_image(tmp_path: Path, fake: Any) -> None:
    pq.write_table(fake.table().rename_columns({"img": "image"}), tmp_path / "train.parquet")
    pq.write_table(fake.table(), tmp_path / "test.parquet")
    assert same_arrays(read(tmp_path, "train"), read(tmp_path, "test"))


def test_images_without_names_are_called_after_their_place(tmp_path: Path, fake: Any) -> None:
    fake.names = [None] * len(fake.fine)
    pq.write_table(fake.table(), tmp_path / "train.parquet")
    files = read(tmp_path).files
    assert files[:2].tolist() == ["image_00000.png", "image_00001.png"]
    assert len(set(files.tolist())) == len(files)


@pytest.mark.parametrize("column", ["img", "fine_label", "coarse_label"])
def test_a_column_that_is_absent_or_of_another_kind_is_refused(
    refused: Refused, fake: Any, column: str
) -> None:
    table = fake.table()
    message = refused(table.drop_columns([column]))
    assert f"has no column {column!r}; its columns: " in message
    assert "img or image, fine_label and coarse_label" in message
    assert "Fetch the file again" not in message, "it would have the same columns"
    odd = pa.array([b"0.5"] * table.num_rows)
    at = table.column_names.index(column)
    message = refused(table.set_column(at, column, odd))
    said = {"img": "img.path", "fine_label": "of type object", "coarse_label": "of image 0"}
    assert said[column] in message


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("fine", 100, "fine: 100 among the labels; expected 0 to 99"),
        ("fine", -1, "fine: -1 among the labels"),
        ("fine", None, "float64; expected integers"),
        ("coarse", 20, "of image 7"),
        ("coarse", None, "of image 7"),
        ("coarse", 3, "image 7: apple is in fruit_and_vegetables (4), the file says 3"),
    ],
)
def test_labels_that_cifar_100_cannot_have_are_refused(
    refused: Refused, fake: Any, column: str, value: int | None, said: str
) -> None:
    getattr(fake, column)[7] = value
    if said.startswith("image 7: apple"):
        fake.fine[7] = 0
    assert said in refused(fake.table())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (png((31, 32)), "it is RGB of 31x32 pixels"),
        (bomb(), "decompression bomb"),
        (png(mode="L"), "it is L of 32x32 pixels"),
        (png(mode="RGBA"), "it is RGBA of 32x32 pixels"),
        (png()[:-30], "truncated"),
        (b"", "cannot identify image file"),
        (None, "cannot identify image file"),
        (b"GIF89a" + bytes(40), "cannot identify image file"),
    ],
)
def test_images_that_are_not_what_they_should_be_are_refused(
    refused: Refused, fake: Any, data: bytes | None, said: str
) -> None:
    pngs = fake.pngs()
    pngs[11] = data
    message = refused(fake.table(pngs))
    assert "image 11 is no colour image of 32x32 pixels" in message
    assert said in message


def test_a_file_without_rows_is_refused(refused: Refused, fake: Any) -> None:
    assert "no images" in refused(fake.table().slice(0, 0))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_half_a_parquet_file_is_refused(parquet_folder: Path, share: float) -> None:
    path = parquet_folder / "train-00000-of-00001.parquet"
    os.truncate(path, int(path.stat().st_size * share))
    assert "not a file of CIFAR-100" in message_of(parquet_folder)


def test_a_missing_shard_is_noticed(parquet_folder: Path) -> None:
    (parquet_folder / "test-00000-of-00002.parquet").unlink()
    with pytest.raises(DataError, match="one of 2 shards, of which 1 are there") as caught:
        find(parquet_folder, "test")
    assert caught.value.path == parquet_folder / "test-00001-of-00002.parquet"


def test_checksums_beside_the_files_are_compared(parquet_folder: Path, fake: Any) -> None:
    path = parquet_folder / "train-00000-of-00001.parquet"
    checksums = parquet_folder / "SHA256SUMS"
    checksums.write_text(f"\n{file_digest(path)}  {path.name}\n")
    read(parquet_folder)
    fake.images[0, 0, 0, 0] ^= 1  # a whole and plausible file, but another one
    pq.write_table(fake.table(), path)
    assert "SHA256SUMS beside it says" in message_of(parquet_folder)


def test_only_files_of_the_split_count(parquet_folder: Path) -> None:
    (parquet_folder / "training_notes.parquet").write_bytes(b"")
    (parquet_folder / "train.parquet.part").write_bytes(b"")
    expected = Source("parquet", "train", (parquet_folder / "train-00000-of-00001.parquet",))
    assert find(parquet_folder, "train") == expected
