"""Tables as text: what was written comes back, and a bad cell is named."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def read_table(
    path: Path,
    text: Collection[str] = (),
    integers: Collection[str] = (),
    finite: Collection[str] = (),
    unique: Collection[str] = (),
) -> pd.DataFrame:
    """A CSV file without guessed types: "001" and "NA" are text where text was written.

    Args:
        path: the file, compressed if its name ends in ".gz".
        text: columns of text; they come back character by character.
        integers: columns of whole numbers, int64.
        finite: columns of finite numbers, float64.
        unique: columns that together tell the rows apart.

    Returns:
        All columns. Those that are not named are float64, where an empty cell is NaN, if all
        their cells are numbers, and otherwise text.

    Raises:
        ValueError: a column is absent or has a bad cell, or a row stands there twice.
        OSError: the file cannot be read.
    """
    import pandas as pd  # here: it takes longer than most of what a table is looked up for

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # cells beyond the header
        try:
            table = pd.read_csv(path, dtype=str, na_filter=False, index_col=False)
        except (EOFError, zlib.error) as error:
            raise ValueError(f"cannot be unpacked: {error}") from error
        except pd.errors.ParserWarning as error:
            raise ValueError("has rows of more cells than the header") from error
    if absent := [name for name in (*text, *integers, *finite) if name not in table.columns]:
        raise ValueError(f"has no column {absent[0]!r}")
    for name in sorted(set(table.columns) - set(text)):
        cells = table[name]
        if name in integers:
            bad = ~cells.str.fullmatch(r"-?[0-9]{1,18}")
            _refuse(cells, bad.to_numpy(), "a whole number")
            table[name] = cells.astype(np.int64)
            continue
        numbers = pd.to_numeric(cells.where(cells != "", "nan"), errors="coerce").astype(np.float64)
        if name in finite:
            _refuse(cells, ~np.isfinite(numbers.to_numpy()), "a finite number")
            table[name] = numbers
        elif (numbers.notna() | cells.isin(["", "nan"])).all():
            table[name] = numbers
    if unique and (twice := table.duplicated(list(unique))).any():
        row = int(np.flatnonzero(twice)[0])
        said = ", ".join(f"{name} {table[name].iloc[row]}" for name in unique)
        raise ValueError(f"row {row + 1}: {said} stands there twice; expected once")
    return table


def _refuse(cells: pd.Series, bad: np.ndarray, wanted: str) -> None:
    """Name the first bad cell of a column."""
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"row {row + 1}: {cells.name}: {cells.iloc[row]!r}; expected {wanted}")
