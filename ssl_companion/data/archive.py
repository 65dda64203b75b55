"""CIFAR-100 from its official archive, packed or unpacked.

`cifar-100-python.tar.gz` (https://www.cs.toronto.edu/~kriz/cifar.html) holds a pickle for
each split: a dictionary of `data` (uint8 [N, 3072]: red, green, blue planes), `fine_labels`,
`coarse_labels` and `filenames`. A pickle can run any code while it is loaded, so these are
read by an unpickler that knows nothing beyond dictionaries, lists, numbers, bytes and
arrays of bytes, and rebuilds the arrays itself.
"""

from __future__ import annotations

import math
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

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

ARCHIVE_NAME = "cifar-100-python.tar.gz"
FOLDER = "cifar-100-python"
MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
KEYS = ("data", "fine_labels", "coarse_labels", "filenames")


def read_packed(path: Path, split: str) -> Decoded:
    """Read a split out of the archive, whose MD5 is compared first.

    Raises:
        DataError: if the checksum is wrong or the content is not CIFAR-100's.
    """
    check_md5(path)
    try:
        with tarfile.open(path, "r:gz") as archive:
            member = archive.extractfile(f"{FOLDER}/{split}")
            if member is None:
                raise KeyError(f"{FOLDER}/{split} is no file")
            with member:
                return _read(member, path)
    except (tarfile.TarError, OSError, EOFError, KeyError, zlib.error) as error:
        raise DataError(
            f"not CIFAR-100's archive ({error}).", path=path, mend=FETCH_AGAIN
        ) from error


def read_unpacked(path: Path) -> Decoded:
    """Read a split from its file in the unpacked archive.

    Raises:
        DataError: if the file is damaged or its content is not CIFAR-100's.
    """
    try:
        with open(path, "rb") as file:
            return _read(file, path)
    except OSError as error:
        raise DataError(f"cannot be read ({error}).", path=path, mend=FETCH_AGAIN) from error


def check_md5(path: Path) -> None:
    """Refuse an archive other than the official one.

    Raises:
        DataError: if the checksum differs, with both checksums and the size found.
    """
    found = file_digest(path, "md5")
    if found != MD5:
        raise DataError(
            f"its MD5 is {found}, the official archive's is {MD5}; it has "
            f"{path.stat().st_size:,} bytes (a download cut short has fewer than 169,001,437).",
            path=path,
            mend="Load with download=True to fetch what is missing, or delete it and fetch it "
            "again.",
        )


def _read(file: IO[bytes], path: Path) -> Decoded:
    content = _unpickle(file, path)
    absent = [key for key in KEYS if key not in content]
    if absent:
        raise DataError(
            f"has no {absent[0]}; it holds {', '.join(sorted(content)) or 'nothing'}.",
            path=path,
            mend=FETCH_AGAIN,
        )
    data = content["data"]
    width = math.prod(SHAPE)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != width:
        raise DataError(
            f"data must be an array of bytes [N, {width}], it is "
            f"{getattr(data, 'shape', type(data).__name__)}.",
            path=path,
            mend=FETCH_AGAIN,
        )
    if len(data) == 0:
        raise DataError("holds no images.", path=path, mend=FETCH_AGAIN)
    fine, coarse = (_integers(content, key, len(data), path) for key in KEYS[1:3])
    check_labels(fine, coarse, path)
    names = content["filenames"]
    if not isinstance(names, list) or len(names) != len(data):
        raise DataError(f"filenames must be {len(data)} names.", path=path, mend=FETCH_AGAIN)
    return in_canonical_order(data.reshape(-1, *SHAPE), fine, [_text(name) for name in names])


def _integers(content: dict[str, Any], key: str, n: int, path: Path) -> np.ndarray:
    values = content[key]
    whole = isinstance(values, list) and all(type(value) is int for value in values)
    if not whole or len(values) != n:
        raise DataError(f"{key} must be {n} whole numbers.", path=path, mend=FETCH_AGAIN)
    return np.array(values)


def _unpickle(file: IO[bytes], path: Path) -> dict[str, Any]:
    try:
        content = _Unpickler(file, encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise anything (see the module's manual)
        raise DataError(
            f"not a whole pickle of CIFAR-100's kind ({type(error).__name__}: {error}).",
            path=path,
            mend=FETCH_AGAIN,
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"must hold a dictionary, it holds a {type(content).__name__}.",
            path=path,
            mend=FETCH_AGAIN,
        )
    return {_text(k): v.rebuilt() if isinstance(v, _Array) else v for k, v in content.items()}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _Kind:
    """Stands for the type `numpy.dtype` in the pickle; only bytes are known."""

    def __init__(self, name: bytes | str, *_: object) -> None:
        if _text(name) not in ("u1", "|u1"):
            raise pickle.UnpicklingError(f"arrays must hold bytes (u1), not {_text(name)}")

    def __setstate__(self, state: object) -> None:
        """Nothing to restore: bytes have no order and no fields."""


class _Array:
    """Stands for an array while the pickle is read; `rebuilt` makes it one."""

    def __init__(self, *_: object) -> None:
        self.shape: tuple[int, ...] = ()
        self.order: Any = "C"
        self.data: bytes = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, _, fortran, self.data = state
        self.order = "F" if fortran else "C"

    def rebuilt(self) -> np.ndarray:
        if math.prod(self.shape) != len(self.data):
            raise ValueError(f"{len(self.data)} bytes are no array of shape {self.shape}")
        return np.frombuffer(self.data, dtype=np.uint8).reshape(self.shape, order=self.order)


def _from_buffer(data: bytes, _: object, shape: tuple[int, ...], order: str) -> _Array:
    """Stands for what newer versions of numpy write in place of `_reconstruct`."""
    array = _Array()
    array.shape, array.order, array.data = shape, order, bytes(data)
    return array


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into a pickle of protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"unexpected encoding {encoding}")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which the format does not need"
            ) from None
