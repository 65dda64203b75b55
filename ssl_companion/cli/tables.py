"""Tables and JSON on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd


def show(rows: Sequence[Mapping[Any, Any]], as_json: bool, empty: str = "nothing to show") -> None:
    """Print rows as JSON (one list) or as an aligned table."""
    if as_json:
        print(json.dumps(rows, indent=1))
    elif not rows:
        print(empty)
    else:
        table = pd.DataFrame(rows)
        print(table.to_string(index=False, float_format=lambda x: f"{x:.4f}", na_rep="-"))
