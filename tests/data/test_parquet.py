from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssl_companion.data import DataError
from ssl_companion.data.parquet import files_of, read_parquet
from ssl_companion.io.atomic import file_digest


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


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[pa.Table], str]:
    """Write a table, read it back, return the message; it must name the file and a way out."""

    def message_for(table: pa.Table) -> str:
        path = tmp_path / "train.parquet"
        pq.write_table(table, path)
        with pytest.raises(DataError) as caught:
            read_parquet([path])
        assert str(path) in str(caught.value)
        assert "download=True" in str(caught.value)
        assert caught.value.path == path
        return str(caught.value)

    return message_for


@pytest.mark.parametrize("split", ["train", "test"])
def test_reads_one_shard_and_several(
    parquet_folder: Path, fake: Any, agree: Callable[..., bool], split: str
) -> None:
    decoded = read_parquet(files_of(parquet_folder, split))
    assert decoded.images.dtype == np.uint8
    assert decoded.images.flags.c_contiguous
    assert decoded.fine.dtype == np.int64
    assert agree(decoded, fake)


def test_the_order_of_rows_and_shards_does_not_matter(tmp_path: Path, fake: Any) -> None:
    table = fake.table()
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    pq.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    pq.write_table(shuffled, tmp_path / "test-00000-of-00001.parquet")
    one, other = (read_parquet(files_of(tmp_path, split)) for split in ("train", "test"))
    for name in ("images", "fine", "files"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_neighbours_do_not_share_a_class(tmp_path: Path, make: Callable[..., Any]) -> None:
    fake = make(400)
    order = np.argsort(fake.fine)
    path = tmp_path / "train.parquet"
    pq.write_table(fake.table().take(order), path)
    fine = read_parquet([path]).fine
    assert (np.diff(fine) == 0).mean() < 0.05


def test_images_without_names_are_called_after_their_place(tmp_path: Path, fake: Any) -> None:
    fake.names = [None] * len(fake.fine)
    pq.write_table(fake.table(), tmp_path / "train.parquet")
    files = read_parquet([tmp_path / "train.parquet"]).files
    assert files[:2].tolist() == ["image_00000.png", "image_00001.png"]
    assert len(set(files.tolist())) == len(files)


@pytest.mark.parametrize("column", ["img", "fine_label", "coarse_label"])
def test_missing_column(refused: Callable[..., str], fake: Any, column: str) -> None:
    assert f"no column {column}" in refused(fake.table().drop_columns([column]))


def test_image_column_of_another_kind(refused: Callable[..., str], fake: Any) -> None:
    table = fake.table()
    message = refused(table.set_column(0, "img", pa.array(fake.pngs())))
    assert "struct of bytes and path, it is binary" in message


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("fine", 100, "image 7 has the fine label 100"),
        ("fine", -1, "image 7 has the fine label -1"),
        ("coarse", 20, "image 7 has the coarse label 20"),
    ],
)
def test_label_out_of_range(
    refused: Callable[..., str], fake: Any, column: str, value: int, said: str
) -> None:
    getattr(fake, column)[7] = value
    assert said in refused(fake.table())


def test_coarse_label_at_odds_with_the_fine_one(refused: Callable[..., str], fake: Any) -> None:
    fake.fine[5], fake.coarse[5] = 0, 3
    message = refused(fake.table())
    assert "image 5: apple is in fruit_and_vegetables (4)" in message
    assert "food_containers (3)" in message


def test_labels_that_are_no_whole_numbers(refused: Callable[..., str], fake: Any) -> None:
    table = fake.table()
    halves = pa.array([0.5] * table.num_rows)
    assert "fine_label must hold whole numbers" in refused(
        table.set_column(1, "fine_label", halves)
    )
    gap = pa.array([None, *fake.fine[1:]], pa.int64())
    assert "1 empty cells" in refused(table.set_column(1, "fine_label", gap))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (png((31, 32)), "it is RGB of 31x32 pixels"),
        (bomb(), "decompression bomb"),
        (png(mode="L"), "it is L of 32x32 pixels"),
        (png(mode="RGBA"), "it is RGBA of 32x32 pixels"),
        (png()[:-30], "no PNG file"),
        (b"", "no PNG file"),
        (None, "no PNG file"),
        (b"GIF89a" + bytes(40), "no PNG file"),
    ],
)
def test_images_that_are_not_what_they_should_be(
    refused: Callable[..., str], fake: Any, data: bytes | None, said: str
) -> None:
    pngs = fake.pngs()
    pngs[11] = data
    message = refused(fake.table(pngs))
    assert "image 11" in message
    assert said in message


def test_no_rows(refused: Callable[..., str], fake: Any) -> None:
    assert "no images" in refused(fake.table().slice(0, 0))


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.999])
def test_truncated_file(parquet_folder: Path, keep: float) -> None:
    path = parquet_folder / "train-00000-of-00001.parquet"
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(DataError, match="not a whole parquet file") as caught:
        read_parquet([path])
    assert str(path) in str(caught.value)


def test_missing_shard(parquet_folder: Path) -> None:
    (parquet_folder / "test-00000-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"missing; test-00001-of-00002\.parquet is one of 2") as e:
        files_of(parquet_folder, "test")
    assert e.value.path == parquet_folder / "test-00000-of-00002.parquet"


def test_checksums_beside_the_files_are_compared(parquet_folder: Path, fake: Any) -> None:
    path = parquet_folder / "train-00000-of-00001.parquet"
    checksums = parquet_folder / "SHA256SUMS"
    checksums.write_text(f"{file_digest(path)}  {path.name}\n")
    read_parquet([path])
    fake.images[0, 0, 0, 0] ^= 1  # a whole and plausible file, but another one
    pq.write_table(fake.table(), path)
    with pytest.raises(DataError, match=r"its SHA-256 is .* SHA256SUMS beside it says"):
        read_parquet([path])


def test_only_files_of_the_split_count(parquet_folder: Path) -> None:
    (parquet_folder / "training_notes.parquet").write_bytes(b"")
    (parquet_folder / "train.parquet.part").write_bytes(b"")
    names = [path.name for path in files_of(parquet_folder, "train")]
    assert names == ["train-00000-of-00001.parquet"]
