"""Features and labels from files: NumPy, torch, safetensors, Parquet and tables of text.

A name may follow the path where a file holds several things: `features.npz:test`,
`table.parquet:species`, `table.csv:species,family`. No file can run code: pickled objects are
refused, and so is a file of torch that holds more than tensors.
"""

from __future__ import annotations

import csv
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd
import torch
from numpy.lib.format import MAGIC_PREFIX
from torch import Tensor

from ssl_companion.data.errors import DataError
from ssl_companion.errors import CompanionError
from ssl_companion.io.extras import needs

_ARRAYS = (".npy", ".npz", ".pt", ".pth", ".safetensors")
_TABLES = (".parquet", ".csv", ".tsv")
_KNOWN = (*_ARRAYS, *_TABLES)


class Place(NamedTuple):
    """A file, and what of it.

    Example:
        >>> Place.of("tables/own.csv:species,family")
        Place(path=PosixPath('tables/own.csv'), names=('species', 'family'))

    Attributes:
        path: the file.
        names: of arrays or columns; none where all of it, or its only one, is meant.
    """

    path: Path
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, said: str | Path) -> Place:
        """From a path, with or without ":" and names behind it."""
        path, _, names = str(said).rpartition(":")
        if Path(path).suffix.lower() not in _KNOWN or Path(said).exists():
            return cls(Path(said))
        return cls(Path(path), tuple(name for name in names.split(",") if name))


def read_features(path: str | Path, *, without: Sequence[str] = ()) -> np.ndarray:
    """Features [N, D], or images [N, ...], from a file.

    `.npy` is mapped: nothing is read before it is used. So is `.pt`, unless torch 1.5 or older
    wrote it. A table (`.parquet`, `.csv`, `.tsv`) gives its columns of numbers in their order, or
    the columns that are named, or one column of lists. The first line of a table of text names
    the columns, unless it is of numbers (other than 0, 1, 2 and so on). Half precisions that NumPy
    lacks become float32.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/both.npz", train=np.eye(3), test=np.ones((2, 3)))
        ...     read_features(f"{folder}/both.npz:test").shape
        (2, 3)

    Args:
        path: of `.npy`, `.npz`, `.pt`, `.pth`, `.safetensors`, `.parquet`, `.csv` or `.tsv`; and a
            name after ":" where there are several arrays, or names of columns.
        without: columns of a table that are no features, such as that of the labels.

    Raises:
        DataError: absent, empty, truncated, damaged or foreign; several arrays and no name; the
            message has the path, the reason and the way out.
        MissingExtraError: Parquet, and `pyarrow` is not installed.
    """
    place = _existing(Place.of(path))
    if place.path.suffix.lower() in _TABLES:
        table = _table(place)
        if not place.names:
            unnamed = [title for title in table.columns if str(title).startswith("Unnamed:")]
            table = table.drop(columns=[*unnamed, *(set(without) & set(table.columns))])
        return _numbers(table, place)
    array = _array(place)
    if array.dtype.kind not in "biuf":
        _refuse(place, f"numbers of type {array.dtype}", "expected real numbers")
    return array


def read_labels(path: str | Path) -> np.ndarray | pd.DataFrame:
    """Labels [N] from a file, integers or text; or a table, where there are several columns.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "labels.txt").write_text("cat\\ndog\\ncat\\n")
        ...     read_labels(f"{folder}/labels.txt").tolist()
        ['cat', 'dog', 'cat']

    Args:
        path: as for `read_features`, or of `.txt`, a label a line. Of a table without names of
            columns after ":" all columns are labels.

    Raises:
        DataError: as for `read_features`.
        MissingExtraError: Parquet, and `pyarrow` is not installed.
    """
    place = _existing(Place.of(path))
    suffix = place.path.suffix.lower()
    if suffix == ".txt":
        lines = _read(place, lambda: place.path.read_text("utf8")).splitlines()
        texts = [line.strip() for line in lines]
        if not all(texts):
            _refuse(place, f"line {texts.index('') + 1} is empty", "expected a label in each line")
        return _whole(np.array(texts))
    if suffix in _TABLES:
        table = _table(place)
        table = table[[title for title in table if not str(title).startswith("Unnamed:")]]
        return table if table.shape[1] > 1 else table.iloc[:, 0].to_numpy()
    return np.array(_array(place))


def _existing(place: Place) -> Place:
    """The place, once its file is there, is not empty and has a known ending."""
    path = place.path
    if path.suffix.lower() not in (*_KNOWN, ".txt"):
        _refuse(place, f"a file ending in {path.suffix!r}", f"expected one of {', '.join(_KNOWN)}")
    try:
        size = path.stat().st_size
    except OSError as error:
        _refuse(place, f"cannot be read ({error.strerror})", "expected a file; check the path")
    if size == 0:
        _refuse(place, "empty", "expected a file with an array or a table; write it again")
    return place


def _refuse(place: Place, problem: str, mend: str) -> NoReturn:
    raise DataError(f"{problem};", path=place.path, mend=mend) from None


def _read(place: Place, read: Callable[[], Any]) -> Any:
    """What `read` returns; whatever a foreign or damaged file makes it raise becomes one line."""
    suffix = place.path.suffix.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    except CompanionError:
        raise
    except Exception as error:
        strerror = isinstance(error, OSError) and error.strerror
        reason = " ".join(str(strerror or error).split())
        # What libraries say of such a file goes on to advise how to load it all the same.
        if "pickle" in reason.lower() or "weights_only" in reason:
            reason = "it holds objects of Python, or is damaged"
        mend = f"expected {_CONTENT[suffix]}; write it again by `{_WRITTEN_BY[suffix]}`"
        _refuse(place, f"cannot be read as {suffix} ({reason[:160]})", mend)


_CONTENT = dict.fromkeys(_ARRAYS, "an array of numbers or text") | dict.fromkeys(
    _TABLES, "a table, a row for each image"
) | {".pt": "a tensor", ".pth": "a tensor", ".txt": "a label in each line, in UTF-8"}  # fmt: skip
_WRITTEN_BY = {
    ".npy": "numpy.save(PATH, ARRAY)",
    ".npz": "numpy.savez(PATH, NAME=ARRAY)",
    ".pt": "torch.save(TENSOR, PATH)",
    ".pth": "torch.save(TENSOR, PATH)",
    ".safetensors": "safetensors.torch.save_file({NAME: TENSOR}, PATH)",
    ".parquet": "DATAFRAME.to_parquet(PATH)",
    ".csv": "DATAFRAME.to_csv(PATH, index=False)",
    ".tsv": "DATAFRAME.to_csv(PATH, sep='\\t', index=False)",
    ".txt": "PATH.write_text('\\n'.join(LABELS))",
}


def _array(place: Place) -> np.ndarray:
    """The one array of a file, or the one that is named."""
    path, suffix = place.path, place.path.suffix.lower()
    if suffix == ".npy":
        _refuse_names(place)
        return _read(place, lambda: _mapped(path))
    if suffix == ".npz":
        return _read(place, lambda: _of_archive(place))
    if suffix == ".safetensors":
        return _plain(_read(place, lambda: _of_safetensors(place)))
    if suffix in (".pt", ".pth"):
        found = _read(place, lambda: torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        ))  # fmt: skip
        if isinstance(found, Mapping):
            tensors = {str(k): v for k, v in found.items() if isinstance(v, Tensor)}
            found = tensors[_one_of(list(tensors), place, "tensor")]
        else:
            _refuse_names(place)
        if not isinstance(found, Tensor):
            _refuse(place, f"holds {type(found).__name__}", "expected a tensor, or a dictionary")
        return _plain(found)
    _refuse(place, f"a file ending in {suffix!r}", f"expected one of {', '.join(_KNOWN)}")


def _mapped(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise ValueError("it does not begin as one")
    # Mapped, an array that says it is larger than its file is refused before room is made.
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _of_archive(place: Place) -> np.ndarray:
    with np.load(place.path, allow_pickle=False) as archive:
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is no archive of arrays")
        array: np.ndarray = archive[_one_of(archive.files, place, "array")]
    return array


def _of_safetensors(place: Place) -> Tensor:
    import safetensors

    with safetensors.safe_open(place.path, framework="pt") as file:
        tensor: Tensor = file.get_tensor(_one_of(list(file.keys()), place, "tensor"))
    return tensor


def _plain(tensor: Tensor) -> np.ndarray:
    """As NumPy has it, which knows no bfloat16 and no smaller floats."""
    tensor = tensor.detach()
    if tensor.layout != torch.strided or tensor.is_quantized:
        tensor = tensor.dequantize() if tensor.is_quantized else tensor.to_dense()
    small = tensor.is_floating_point() and tensor.dtype not in (
        torch.float16, torch.float32, torch.float64
    )  # fmt: skip
    return (tensor.float() if small else tensor).numpy()


def _one_of(held: Sequence[str], place: Place, kind: str) -> str:
    """The name of the only thing that a file holds, or of the one that is asked for."""
    shown = ", ".join(held[:8]) + (", ..." if len(held) > 8 else "")
    if len(place.names) > 1:
        _refuse(place, f"{len(place.names)} names are given", f"expected one of {shown}")
    if place.names:
        if place.names[0] not in held:
            _refuse(place, f"holds no {kind} {place.names[0]!r}", f"expected one of {shown}")
        return place.names[0]
    if len(held) != 1:
        some = f"several {kind}s ({shown})" if held else f"no {kind}"
        _refuse(place, f"holds {some}", f"expected one; `{place.path}:NAME` names one of several")
    return held[0]


def _refuse_names(place: Place) -> None:
    if place.names:
        _refuse(place, "holds a single array", f"expected no {place.names[0]!r} after the path")


def _table(place: Place) -> pd.DataFrame:
    """A table, or the columns of it that are named, in that order."""
    path, suffix = place.path, place.path.suffix.lower()
    if suffix == ".parquet":
        with needs("train"):
            import pyarrow  # noqa: F401  (pandas reads Parquet by it)
        table = _read(place, lambda: pd.read_parquet(path, engine="pyarrow"))
    else:
        table = _read(place, lambda: _of_text(path, "\t" if suffix == ".tsv" else ","))
    table.columns = table.columns.map(lambda title: title if isinstance(title, str) else str(title))
    for name in place.names:
        if name not in table.columns:
            shown = ", ".join(table.columns[:8]) + (", ..." if table.shape[1] > 8 else "")
            _refuse(place, f"has no column {name!r}", f"expected one of {shown}")
    if not len(table) or not table.shape[1]:
        _refuse(place, "a table without a row", "expected a row for each image")
    return table[list(place.names)] if place.names else table


def _of_text(path: Path, separator: str) -> pd.DataFrame:
    with path.open(encoding="utf8", newline="") as file:
        first = next(csv.reader(file, delimiter=separator), [])
    # pandas names columns that nobody named 0, 1, 2 and so on.
    counted = len(first) > 1 and first == [str(i) for i in range(len(first))]
    named = counted or not all(_is_number(cell) for cell in first)
    # A class may be called "None" or "NA": only an empty cell is a missing one.
    table: pd.DataFrame = pd.read_csv(
        path, sep=separator, header=0 if named else None, keep_default_na=False,
        na_values=["", "nan", "NaN"],
    )  # fmt: skip
    return table


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(table: pd.DataFrame, place: Place) -> np.ndarray:
    """The columns of numbers as one array [N, D]; or a single column of lists as such."""
    numeric = table.select_dtypes(include="number")
    if place.names and numeric.shape[1] < table.shape[1] and table.shape[1] > 1:
        odd = next(title for title in table if title not in numeric)
        _refuse(place, f"column {odd!r} is not of numbers", "expected columns of numbers")
    if numeric.shape[1]:
        return numeric.to_numpy()
    lists = [str(title) for title in table if isinstance(table[title].iloc[0], np.ndarray | list)]
    if len(lists) != 1:
        some = f"several columns of lists ({', '.join(lists[:8])})" if lists else "no numbers"
        _refuse(place, f"has {some}", f"expected columns of numbers; `{place.path}:NAME` names one")
    try:
        return np.stack(table[lists[0]].tolist())
    except (ValueError, TypeError) as error:
        _refuse(place, f"column {lists[0]!r}: {error}", "expected lists of one length")


def _whole(texts: np.ndarray) -> np.ndarray:
    """Text that is whole numbers all through as integers; other text as it is."""
    whole = all(text.isascii() and text.removeprefix("-").isdigit() for text in texts)
    return texts.astype(np.int64) if whole else texts
