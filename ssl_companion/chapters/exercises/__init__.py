"""Exercises that check themselves: a checker says "right" with a reason, or gives a hint.

One module a chapter, one `check_<name>(answer, ...)` an exercise. A checker never raises for a
wrong answer, so that an unfinished page still runs, and never gives the answer away.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

import numpy as np

P = ParamSpec("P")


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
    """The answer as a finite number, or a hint that asks for one.

    Words, truth values and arrays are none, not even those that Python would convert.
    """
    if isinstance(answer, Checked):
        return answer
    if answer is None or answer is ...:
        return hint("nothing is returned yet: put your own line in the place marked for it.")
    kind = type(answer).__name__
    if shape := tuple(getattr(answer, "shape", ())):
        return hint(
            f"expected one number, this is of type {kind} and has the shape {shape}: is a mean or "
            "a sum missing, or an index?"
        )
    if isinstance(answer, (list, tuple, set, dict)):
        return hint(f"expected one number, this is of type {kind} with {len(answer)} entries.")
    if isinstance(answer, (str, bytes, bool)) or "bool" in str(getattr(answer, "dtype", "")):
        return hint(f"expected a number, this is of type {kind}.")
    try:
        value = float(answer)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return hint(f"expected a number, this is of type {kind}.")
    return value if math.isfinite(value) else hint(f"expected a finite number, this is {value}.")


def array_of(answer: Any) -> np.ndarray | Checked:
    """The answer as a float64 array, or a hint that asks for one."""
    if isinstance(answer, Checked):
        return answer
    if answer is None or answer is ...:
        return hint("nothing is returned yet: put your own lines in the place marked for them.")
    try:
        return np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        return hint(f"expected an array of numbers ({error}).")


def of_number(
    check: Callable[Concatenate[float, P], Checked],
) -> Callable[Concatenate[Any, P], Checked]:
    """A checker of numbers: what is none gets its hint before anything is measured."""

    @functools.wraps(check)
    def checked(answer: Any, *args: P.args, **kwargs: P.kwargs) -> Checked:
        value = number_of(answer)
        return value if isinstance(value, Checked) else check(value, *args, **kwargs)

    return checked


def call(function: Any, *arguments: Any) -> Any:
    """`function(*arguments)`, or a hint that quotes what it raised."""
    if not callable(function):
        return hint(f"expected a function, this is of type {type(function).__name__}.")
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

    Per cent and rounded numbers are slips of every exercise. A slip that comes to the right
    value by chance is none.

    Args:
        answer: what the reader computed, or a hint already.
        expected: the right value.
        tolerance: largest absolute difference that counts as right.
        slips: wrong values that are likely, each with the hint for it.
        otherwise: the hint for any other value.
        why: what the right value shows.
    """
    value = number_of(answer)
    if isinstance(value, Checked):
        return value
    if abs(value - expected) <= tolerance:
        return right(why)
    for slip, words in slips.items():
        if abs(value - slip) <= tolerance:
            return hint(words)
    if value and abs(value / 100 - expected) <= tolerance:
        return hint("that is in per cent; this book writes fractions.")
    if value and value in (round(expected, 2), round(expected, 3)):
        return hint("that looks rounded; hand over the number as it was computed.")
    return hint(otherwise)


Checker = Callable[..., Checked]
