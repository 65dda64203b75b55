"""Exercises that check themselves: a checker says "right" with a reason, or gives a hint.

One module a chapter, one `check_<name>(answer, ...)` an exercise. A checker never raises for a
wrong answer, so that an unfinished page still runs, and never gives the answer away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Checked:
    """What a checker found."""

    ok: bool
    message: str

    def __repr__(self) -> str:
        return f"{'Right' if self.ok else 'Not yet'}: {self.message}"

    def _repr_markdown_(self) -> str:
        return f"**{'Right' if self.ok else 'Not yet'}:** {self.message}"


def right(message: str) -> Checked:
    """The answer holds; `message` says what it shows."""
    return Checked(True, message)


def hint(message: str) -> Checked:
    """The answer does not hold; `message` says where to look, not what to write."""
    return Checked(False, message)


def number_of(answer: Any) -> float | Checked:
    """The answer as a finite number, or a hint that asks for one."""
    if answer is None or answer is ...:
        return hint("nothing is returned yet: put your own line in the place marked for it.")
    try:
        value = float(answer)
    except (TypeError, ValueError):
        return hint(f"expected a number, this is a {type(answer).__name__}.")
    return value if math.isfinite(value) else hint(f"expected a finite number, this is {value}.")


def call(function: Any, *arguments: Any) -> Any:
    """`function(*arguments)`, or a hint that quotes what it raised."""
    if not callable(function):
        return hint(f"expected a function, this is a {type(function).__name__}.")
    try:
        return function(*arguments)
    except Exception as error:
        return hint(f"your function raised {type(error).__name__}: {error}")


def near(
    answer: Any,
    expected: float,
    tolerance: float,
    slips: dict[float, str],
    otherwise: str,
    why: str,
) -> Checked:
    """Compare a number with the expected one; known slips get hints of their own.

    Args:
        answer: what the reader computed, or a hint already.
        expected: the right value.
        tolerance: largest absolute difference that counts as right.
        slips: wrong values that are likely, each with the hint for it.
        otherwise: the hint for any other value.
        why: what the right value shows.
    """
    value = answer if isinstance(answer, Checked) else number_of(answer)
    if isinstance(value, Checked):
        return value
    if abs(value - expected) <= tolerance:
        return right(why)
    for slip, words in slips.items():
        if abs(value - slip) <= tolerance:
            return hint(words)
    return hint(otherwise)


Checker = Callable[..., Checked]
