"""Tables and JSON on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def show(rows: Sequence[Mapping[Any, Any]], as_json: bool, empty: str = "nothing to show") -> None:
    """Print rows as JSON (one list) or as an aligned table."""
    if as_json:
        print(json.dumps(rows, indent=1))
    elif not rows:
        print(empty)
    else:
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = [_column(str(name), [row.get(name) for row in rows]) for name in names]
        for line in zip(*columns, strict=True):
            print(" ".join(line))


def _column(name: str, values: Sequence[Any]) -> list[str]:
    """The lines of a column, of one width; a name over numbers is set off from the one before."""
    numbers = all(value is None or isinstance(value, int | float) for value in values)
    lines = [f" {name}" if numbers else name, *map(_cell, values)]
    width = max(map(len, lines))
    return [line.rjust(width) for line in lines]


_ON_ONE_LINE = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN
        return "-"
    return (f"{value:.4f}" if isinstance(value, float) else str(value)).translate(_ON_ONE_LINE)
