"""What a figure says, in words and numbers: alternative texts made from what is drawn."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def curves(
    table: pd.DataFrame, what: str, *, x: str = "epoch", hue: str = "level", percent: bool = True
) -> str:
    """Alternative text of `figures.curves`: where each line starts and ends, in numbers."""
    parts = []
    for name, line in table.groupby(hue, sort=False):
        line = line.sort_values(x)
        first, last = line.iloc[0], line.iloc[-1]
        parts.append(
            f"{name} goes from {number(first['value'], percent)} at {x} {first[x]:g} "
            f"to {number(last['value'], percent)} at {x} {last[x]:g}"
        )
    return f"{what}. Lines over {x}: " + "; ".join(parts) + "."


def values(what: str, numbers: Mapping[str, float], *, percent: bool = True) -> str:
    """Alternative text that lists named numbers after a sentence."""
    return f"{what}: " + ", ".join(f"{k} {number(v, percent)}" for k, v in numbers.items()) + "."


def number(value: float, percent: bool = True) -> str:
    """A number as the book writes it: 45.7%, or three significant digits."""
    return f"{100 * value:.1f}%" if percent else f"{value:.3g}"
