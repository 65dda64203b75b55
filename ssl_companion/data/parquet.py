"""CIFAR-100 from the parquet files of the Hugging Face hub (uoft-cs/cifar100).

Columns: `img` (struct of `bytes`, a PNG file, and `path`, its name or null), `fine_label`
and `coarse_label`. A split is one file or several shards.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ssl_companion.data._decoded import (
    FETCH_AGAIN,
    SHAPE,
    Decoded,
    check_labels,
    in_canonical_order,
)
from ssl_companion.data.errors import DataError
from ssl_companion.io.atomic import file_digest
from ssl_companion.io.extras import needs

PARQUET_COLUMNS = ("img", "fine_label", "coarse_label")
CHECKSUMS = "SHA256SUMS"
_CHUNK = 512  # images a thread decodes at a time: long enough to outweigh the hand-over


def files_of(folder: Path, split: str) -> tuple[Path, ...]:
    """The parquet files of a split in a folder, in the order of their names.

    Raises:
        DataError: if their names say that there are more shards than the folder holds.
    """
    pattern = re.compile(rf"{split}([-_.].*)?\.parquet")
    files = sorted(p for p in folder.glob("*.parquet") if pattern.fullmatch(p.name))
    for file in files:
        if numbered := re.fullmatch(r"(.*)-(\d+)-of-(\d+)\.parquet", file.name):
            stem, width, shards = numbered[1], len(numbered[2]), int(numbered[3])
            wanted = [f"{stem}-{i:0{width}d}-of-{numbered[3]}.parquet" for i in range(shards)]
            absent = [name for name in wanted if not (folder / name).is_file()]
            if absent:
                raise DataError(
                    f"missing; {file.name} is one of {shards} shards.",
                    path=folder / absent[0],
                    mend=FETCH_AGAIN,
                )
    return tuple(files)


def read_parquet(files: Sequence[Path]) -> Decoded:
    """Read and decode all images of a split.

    Raises:
        DataError: if a file is damaged, has other columns, holds a label out of range or at
            odds with its superclass, or an image that is not 32x32 in colour.
    """
    shards = [_read_shard(path) for path in files]
    images = np.concatenate([shard[0] for shard in shards])
    fine = np.concatenate([shard[1] for shard in shards])
    return in_canonical_order(images, fine, [name for shard in shards for name in shard[2]])


def _read_shard(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    _verify_checksum(path)
    table = _table(path)
    if table.num_rows == 0:
        raise DataError("holds no images.", path=path, mend=FETCH_AGAIN)
    fine, coarse = (_integers(table, column, path) for column in PARQUET_COLUMNS[1:])
    check_labels(fine, coarse, path)
    pictures = table["img"].combine_chunks()
    kind = pictures.type
    if not {"bytes", "path"} <= {kind.field(i).name for i in range(kind.num_fields)}:
        raise DataError(
            f"column img must be a struct of bytes and path, it is {kind}.",
            path=path,
            mend=FETCH_AGAIN,
        )
    try:
        names = [name or "" for name in pictures.field("path").to_pylist()]
    except UnicodeDecodeError as error:
        raise DataError(
            f"a file name is no text ({error}).", path=path, mend=FETCH_AGAIN
        ) from error
    return _decode(pictures.field("bytes").to_pylist(), path), fine, names


def _verify_checksum(path: Path) -> None:
    """Compare with the list of checksums that may lie beside the file."""
    checksums = path.parent / CHECKSUMS
    if not checksums.is_file():
        return
    for line in checksums.read_text(encoding="utf-8", errors="replace").splitlines():
        expected, _, name = line.partition(" ")
        if name.strip().lstrip("*") == path.name:
            found = file_digest(path)
            if found != expected.lower():
                raise DataError(
                    f"its SHA-256 is {found}, {checksums.name} beside it says {expected}.",
                    path=path,
                    mend=FETCH_AGAIN,
                )


def _table(path: Path) -> Any:
    with needs("train"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = file.schema_arrow.names
            absent = [column for column in PARQUET_COLUMNS if column not in found]
            if absent:
                raise DataError(
                    f"has no column {absent[0]}; its columns are {', '.join(found)}.",
                    path=path,
                    mend=f"A CIFAR-100 file has {', '.join(PARQUET_COLUMNS)}. {FETCH_AGAIN}",
                )
            return file.read(columns=list(PARQUET_COLUMNS))
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"not a whole parquet file ({error}).", path=path, mend=FETCH_AGAIN
        ) from error


def _integers(table: Any, column: str, path: Path) -> np.ndarray:
    import pyarrow as pa

    values = table[column]
    if not pa.types.is_integer(values.type) or values.null_count:
        raise DataError(
            f"column {column} must hold whole numbers, it is {values.type} with "
            f"{values.null_count} empty cells.",
            path=path,
            mend=FETCH_AGAIN,
        )
    return values.to_numpy().astype(np.int64)


def _decode(pictures: list[bytes | None], path: Path) -> np.ndarray:
    """Decode PNG files on several threads: uint8 [N, 3, 32, 32]."""
    with needs("train"):
        from PIL.Image import DecompressionBombError
    images = np.empty((len(pictures), *SHAPE), dtype=np.uint8)
    # what pillow raises for one or the other kind of damage
    unreadable = (OSError, SyntaxError, ValueError, DecompressionBombError)

    def decode(start: int) -> None:
        for index in range(start, min(start + _CHUNK, len(pictures))):
            try:
                images[index] = _pixels(pictures[index] or b"")
            except unreadable as error:
                raise DataError(
                    f"image {index} is no PNG file of {SHAPE[1]}x{SHAPE[2]} pixels in colour "
                    f"({error}).",
                    path=path,
                    mend=FETCH_AGAIN,
                ) from error

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(decode, range(0, len(pictures), _CHUNK)):
            pass
    return images


def _pixels(png: bytes) -> np.ndarray:
    """The pixels of a PNG file, uint8 [3, 32, 32]; its size is looked at before the rest."""
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        if image.mode != "RGB" or image.size != (SHAPE[2], SHAPE[1]):
            raise ValueError(f"it is {image.mode} of {image.size[0]}x{image.size[1]} pixels")
        flat = np.frombuffer(image.tobytes(), dtype=np.uint8)
    return flat.reshape(SHAPE[1], SHAPE[2], 3).transpose(2, 0, 1)
