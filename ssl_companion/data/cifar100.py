"""CIFAR-100 as it lies on disk: where the files of a split are in a folder, and how to read them.

Two layouts give the same arrays, image by image:

- the official archive `cifar-100-python.tar.gz` (https://www.cs.toronto.edu/~kriz/cifar.html),
  packed or unpacked, with one pickle for each split;
- the parquet files of the Hugging Face hub (uoft-cs/cifar100), one or several shards for each
  split, with the columns `img` or `image` (a struct of `bytes`, a PNG file, and `path`, its name),
  `fine_label` and `coarse_label`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_companion.data.errors import DataError
from ssl_companion.data.hierarchy import CIFAR100
from ssl_companion.data.images import Decoded, in_canonical_order
from ssl_companion.io.atomic import file_digest
from ssl_companion.io.extras import needs

SPLIT_SIZES = {"train": 50_000, "test": 10_000}
ARCHIVE_NAME = "cifar-100-python.tar.gz"
ARCHIVE_MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
FOLDER = "cifar-100-python"  # in the archive, with one file for each split
SPLIT_MD5 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
}
CHECKSUMS = "SHA256SUMS"  # may lie beside the parquet files
_WITHIN = (".", "cifar100", "data")  # the hub's own copy keeps its files one folder down
_PICTURES, _LABELS = ("img", "image"), ("fine_label", "coarse_label")  # columns of the hub's files
_FETCH_AGAIN = (
    "Fetch the file again, or load with download=True to take the official archive instead."
)


@dataclass(frozen=True)
class Source:
    """The files that hold a split.

    Attributes:
        layout: "parquet", "unpacked" or "archive".
        split: "train" or "test".
        files: the shards, or the one file of the archive's layouts.
    """

    layout: str
    split: str
    files: tuple[Path, ...]

    def read(self) -> Decoded:
        """Decode the split.

        Raises:
            DataError: if a file is damaged or is not CIFAR-100's.
        """
        if self.layout == "parquet":
            return _read_parquet(self.files)
        return _read_pickle(self)


def find(path: Path, split: str) -> Source | None:
    """The files of a split, in the first layout that is there.

    Args:
        path: a folder, or the archive itself.
        split: "train" or "test".

    Returns:
        None if there are none.

    Raises:
        DataError: if some shards of the split are there and others are not.
    """
    if path.is_file() and path.name.endswith((".tar.gz", ".tgz")):
        return Source("archive", split, (path,))
    for folder in (path / within for within in _WITHIN):
        if shards := _shards(folder, split):
            return Source("parquet", split, shards)
        for unpacked in (folder / FOLDER, folder):
            if (unpacked / split).is_file() and (unpacked / "meta").is_file():
                return Source("unpacked", split, (unpacked / split,))
        if (folder / ARCHIVE_NAME).is_file():
            return Source("archive", split, (folder / ARCHIVE_NAME,))
    return None


def _shards(folder: Path, split: str) -> tuple[Path, ...]:
    pattern = re.compile(rf"{split}([-_.].*)?\.parquet")
    files = sorted(file for file in folder.glob("*.parquet") if pattern.fullmatch(file.name))
    for file in files:
        if numbered := re.fullmatch(r"(.*)-\d+-of-(\d+)", file.stem):
            there = len(list(folder.glob(f"{numbered[1]}-*-of-{numbered[2]}.parquet")))
            if there < int(numbered[2]):
                raise DataError(
                    f"one of {int(numbered[2])} shards, of which {there} are there.",
                    path=file,
                    mend=_FETCH_AGAIN,
                )
    return tuple(files)


def _read_pickle(source: Source) -> Decoded:
    """A split of the archive, packed or unpacked.

    A pickle can run any code while it is loaded. These bytes are loaded only after their MD5 has
    shown that they are the official ones, which also says that everything in them is right.
    """
    (path,), split = source.files, source.split
    try:
        if source.layout == "unpacked":
            content = path.read_bytes()
        else:
            with tarfile.open(path) as archive:
                content = archive.extractfile(f"{FOLDER}/{split}").read()  # type: ignore[union-attr]
    except (OSError, EOFError, zlib.error, tarfile.TarError, KeyError, AttributeError) as error:
        raise DataError(
            f"not CIFAR-100's whole archive ({error}).", path=path, mend=_FETCH_AGAIN
        ) from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != SPLIT_MD5[split]:
        raise DataError(
            f"the MD5 of its {split} split is {found}, the official one's is {SPLIT_MD5[split]}.",
            path=path,
            mend=_FETCH_AGAIN,
        )
    entry = pickle.loads(content, encoding="latin1")
    return in_canonical_order(
        entry["data"].reshape(-1, 3, 32, 32), np.array(entry["fine_labels"]), entry["filenames"]
    )


def _read_parquet(files: tuple[Path, ...]) -> Decoded:
    images, fine, names = zip(*map(_read_shard, files), strict=True)
    return in_canonical_order(
        np.concatenate(images), np.concatenate(fine), [name for some in names for name in some]
    )


def _read_shard(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images uint8 [N, 3, 32, 32], fine labels [N] and the names of the files ("" for none)."""
    with needs("train"):
        import pyarrow as pa
        import pyarrow.parquet as pq
        from PIL.Image import DecompressionBombError

    try:
        _check_sha256(path)
        there = pq.read_schema(path).names
        columns = [next(filter(there.__contains__, _PICTURES), _PICTURES[0]), *_LABELS]
        if absent := [column for column in columns if column not in there]:
            raise DataError(
                f"has no column {absent[0]!r}; its columns: {', '.join(there) or 'none'}.",
                path=path,
                mend=f"Expected {' or '.join(_PICTURES)}, {' and '.join(_LABELS)}, as in the "
                "parquet files of uoft-cs/cifar100: rename them, or load with download=True to "
                "take the official archive instead.",
            )
        table = pq.read_table(
            path, columns=columns, partitioning=None, page_checksum_verification=True
        ).flatten()
        fine, coarse = (table[column].to_numpy() for column in _LABELS)
        _check_labels(fine, coarse)
        names = [name or "" for name in table[f"{columns[0]}.path"].to_pylist()]
        images = np.empty((len(names), 3, 32, 32), dtype=np.uint8)
        for index, png in enumerate(table[f"{columns[0]}.bytes"].to_pylist()):
            try:
                images[index] = _pixels(png or b"")
            except (OSError, SyntaxError, ValueError, DecompressionBombError) as error:
                raise ValueError(
                    f"image {index} is no colour image of 32x32 pixels: {error}"
                ) from error
    except DataError:
        raise
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DataError(
            f"not a file of CIFAR-100 ({error}).", path=path, mend=_FETCH_AGAIN
        ) from error
    return images, fine, names


def _check_sha256(path: Path) -> None:
    """Compare with the list of checksums that may lie beside the file."""
    listed = path.with_name(CHECKSUMS)
    for line in listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else ():
        expected, _, name = line.partition(" ")
        if name.strip().lstrip("*") == path.name:
            found = file_digest(path)
            if found != expected.lower():
                raise ValueError(f"its SHA-256 is {found}, {CHECKSUMS} beside it says {expected}")


def _check_labels(fine: np.ndarray, coarse: np.ndarray) -> None:
    """Refuse labels that are out of range or in another order than CIFAR-100's."""
    level = CIFAR100.level("coarse")
    if not len(fine):
        raise ValueError("it holds no images")
    wrong = np.flatnonzero(level.labels(fine) != coarse)
    if len(wrong):
        name = CIFAR100.level("fine").class_names[fine[wrong[0]]]
        right = level.of_fine[fine[wrong[0]]]
        raise ValueError(
            f"{len(wrong)} coarse labels do not go with their fine ones; the first is of image "
            f"{wrong[0]}: {name} is in {level.class_names[right]} ({right}), the file says "
            f"{coarse[wrong[0]]}"
        )


def _pixels(png: bytes) -> np.ndarray:
    from PIL import Image

    image = Image.open(io.BytesIO(png), formats=("PNG",))
    if image.mode != "RGB" or image.size != (32, 32):  # looked at before anything is decoded
        raise ValueError(f"it is {image.mode} of {image.size[0]}x{image.size[1]} pixels")
    return np.asarray(image).transpose(2, 0, 1)
