"""Small CIFAR-100s in every layout, made without the package's own readers or writers."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssl_companion.data import CIFAR100, cifar100


@dataclass
class Fake:
    """Images with labels and names; change a field and write it to get a fault."""

    images: np.ndarray
    fine: list[int]
    coarse: list[int]
    names: list[str | None] = field(default_factory=list)

    def pngs(self) -> list[bytes | None]:
        files = []
        for image in self.images:
            file = io.BytesIO()
            Image.fromarray(image.transpose(1, 2, 0)).save(file, "PNG")
            files.append(file.getvalue())
        return files

    def table(self, pngs: list[bytes | None] | None = None) -> pa.Table:
        """The rows as the Hugging Face hub has them."""
        pictures = [
            {"bytes": data, "path": name}
            for data, name in zip(pngs or self.pngs(), self.names, strict=True)
        ]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        return pa.table(
            {
                "img": pa.array(pictures, kind),
                "fine_label": pa.array(self.fine, pa.int64()),
                "coarse_label": pa.array(self.coarse, pa.int64()),
            }
        )

    def pickled(self) -> bytes:
        """The bytes that Python 2 wrote into the official archive."""
        content = {
            b"filenames": [(name or "").encode() for name in self.names],
            b"batch_label": b"training batch 1 of 1",
            b"fine_labels": self.fine,
            b"coarse_labels": self.coarse,
            b"data": self.images.reshape(len(self.images), -1),
        }
        return python2_pickle(content)


def python2_pickle(content: Any) -> bytes:
    """Pickle as Python 2 and its numpy did: bytes are strings, modules have their old names."""
    file = io.BytesIO()
    _Python2Pickler(file, protocol=2).dump(content)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


class _Python2Pickler(pickle._Pickler):  # the one in Python, whose parts can be exchanged
    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, data: bytes) -> None:
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)
        self.memoize(data)

    dispatch[bytes] = save_string


def make_fake(n: int = 200, seed: int = 0) -> Fake:
    rng = np.random.default_rng(seed)
    fine = rng.permutation(np.arange(n) % 100)
    images = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    names: list[str | None] = [f"thing_s_{i:06d}.png" for i in range(n)]
    return Fake(images, fine.tolist(), CIFAR100.level("coarse").of_fine[fine].tolist(), names)


@pytest.fixture
def fake() -> Fake:
    return make_fake()


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own and no data set; returns the cache's folder."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(cache))
    monkeypatch.delenv("SSL_COMPANION_DATA", raising=False)
    return cache


@pytest.fixture
def parquet_folder(tmp_path: Path, fake: Fake) -> Path:
    """The test split of `fake` in two shards, and its train split in one."""
    folder = tmp_path / "parquet"
    folder.mkdir()
    table = fake.table()
    pq.write_table(table, folder / "train-00000-of-00001.parquet")
    pq.write_table(table.slice(0, 120), folder / "test-00000-of-00002.parquet")
    pq.write_table(table.slice(120), folder / "test-00001-of-00002.parquet")
    return folder


@pytest.fixture
def make_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Fake], Path]:
    """Write a folder cifar-100-python with both splits; returns the folder that holds it.

    The package takes the MD5 of its files for the official ones.
    """

    def write(fake: Fake) -> Path:
        folder = tmp_path / "unpacked" / "cifar-100-python"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "meta").write_bytes(python2_pickle({b"fine_label_names": []}))
        for split in ("train", "test"):
            (folder / split).write_bytes(fake.pickled())
            digest = hashlib.md5(fake.pickled()).hexdigest()
            monkeypatch.setitem(cifar100.SPLIT_MD5, split, digest)
        return folder.parent

    return write


@pytest.fixture
def unpacked_folder(make_unpacked: Callable[[Fake], Path], fake: Fake) -> Path:
    return make_unpacked(fake)


@pytest.fixture
def archive_file(tmp_path: Path, unpacked_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packed archive, whose MD5 the package takes for the official one."""
    path = tmp_path / "packed" / "cifar-100-python.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        tar.add(unpacked_folder / "cifar-100-python", "cifar-100-python")
    monkeypatch.setattr(cifar100, "ARCHIVE_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    return path


def same_images(found: Any, fake: Fake) -> bool:
    """Whether two sets hold the same images with the same labels and names, in any order."""

    def rows(images: np.ndarray, fine: Any, names: Any) -> list[tuple[bytes, int, str]]:
        return sorted(
            (image.tobytes(), int(label), str(name))
            for image, label, name in zip(images, fine, names, strict=True)
        )

    return rows(found.images, found.fine, found.files) == rows(fake.images, fake.fine, fake.names)
