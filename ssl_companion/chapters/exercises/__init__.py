"""Exercises that check themselves: a checker says "right" with a reason, or gives a hint.

One module a chapter, one `check_<name>(answer, ...)` an exercise. Inside, a checker returns the
sentence that says why the answer is right and raises `NotYet` with a hint where it is not;
`checker` makes a `Checked` of either. So a checker never raises for a wrong answer, an unfinished
page still runs, and no hint gives the answer away.

An answer is made a plain number, word or array before it is compared, so that no comparison is
the answer's own; and whatever it raises while it is looked at is its own fault, `sys.exit` too.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
Config = TypeVar("Config")
SINGLE = 1e-5
"""How far single precision may be off, as a share of the value: torch computes in it."""
ELSE = "anything else"
"""In a table of hints, the key of the hint for a number that is none of the known slips."""


@dataclass(frozen=True)
class Checked:
    """What a checker found."""

    ok: bool
    message: str

    def __repr__(self) -> str:
        return f"{'Right' if self.ok else 'Not yet'}: {self.message}"

    def _repr_markdown_(self) -> str:
        return f"**{'Right' if self.ok else 'Not yet'}:** {self.message}"


_EMPTY = "the answer is empty. Write your own code where the cell marks the place."


class NotYet(Exception):
    """The answer does not hold; the message says where to look, not what to write."""


def checker(judge: Callable[P, str]) -> Callable[P, Checked]:
    """A checker made of a function that returns why an answer is right or raises `NotYet`."""

    @functools.wraps(judge)
    def check(*args: P.args, **kwargs: P.kwargs) -> Checked:
        try:
            return Checked(True, judge(*args, **kwargs))
        except NotYet as hint:
            return Checked(False, str(hint))
        except SystemExit:
            return Checked(False, "your answer left by sys.exit() when it was looked at.")

    return check


def checker_of_number(
    judge: Callable[Concatenate[float, P], str],
) -> Callable[Concatenate[Any, P], Checked]:
    """A checker of numbers: what is none gets its hint before anything is measured."""

    @checker
    @functools.wraps(judge)
    def check(answer: Any, *args: P.args, **kwargs: P.kwargs) -> str:
        return judge(number_of(answer), *args, **kwargs)

    return check


def number_of(answer: Any) -> float:
    """The answer as a finite number.

    Words, truth values and arrays are none, not even those that Python would convert.
    """
    if answer is None or answer is ...:
        raise NotYet(_EMPTY)
    kind = type(answer).__name__
    try:
        shape = tuple(getattr(answer, "shape", ()))
    except Exception:
        shape = ()
    if shape:
        raise NotYet(
            f"expected one number, this is of type {kind} and has the shape {shape}: is a mean or "
            "a sum missing, or an index?"
        )
    if isinstance(answer, (list, tuple, set, dict)):
        raise NotYet(f"expected one number, this is of type {kind} with {len(answer)} entries.")
    if isinstance(answer, (str, bytes, bool)) or "bool" in str(getattr(answer, "dtype", "")):
        raise NotYet(f"expected a number, this is of type {kind}.")
    try:
        value = float(answer)
    except Exception:  # whatever the answer's own conversion raises
        raise NotYet(f"expected a number, this is of type {kind}.") from None
    if not math.isfinite(value):
        raise NotYet(f"expected a finite number, this is {value}.")
    return value


def array_of(answer: Any) -> np.ndarray:
    """The answer as a float64 array."""
    if answer is None or answer is ...:
        raise NotYet(_EMPTY)
    try:
        return np.asarray(answer, dtype=np.float64)
    except Exception as error:  # whatever the answer's own conversion raises
        raise NotYet(f"expected an array of numbers ({error}).") from None


def word_of(answer: Any) -> str:
    """The answer as a plain word: a string of a class of its own may compare as it likes."""
    if answer is None or answer is ...:
        raise NotYet(_EMPTY)
    if not isinstance(answer, str):
        raise NotYet(f"expected a word in quotes, this is of type {type(answer).__name__}.")
    return str.__str__(answer)


def plain_config(answer: Any, kind: type[Config]) -> Config:
    """The answer as exactly this dataclass of words and numbers, and not a class derived of it."""
    if not isinstance(answer, kind):
        name = kind.__name__
        raise NotYet(f"expected {name}(...) with your settings, this is of type {_kind(answer)}.")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value = getattr(answer, field.name)
        try:
            plain = word_of(value) if isinstance(field.default, str) else number_of(value)
        except NotYet as hint:
            raise NotYet(f"{field.name}: {hint}") from None
        if isinstance(field.default, int):
            if plain != int(plain):
                raise NotYet(f"{field.name}: {plain:g}; expected a whole number.")
            plain = int(plain)
        values[field.name] = plain
    try:
        return kind(**values)
    except ValueError as error:
        raise NotYet(f"{error}.") from None


def _kind(answer: Any) -> str:
    return type(answer).__name__


def call(function: Any, *arguments: Any) -> Any:
    """`function(*arguments)`; what a reader's function raises is quoted in the hint."""
    if not callable(function):
        raise NotYet(f"expected a function, this is of type {type(function).__name__}.")
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        raise NotYet(f"your function raised {type(error).__name__}: {error}") from error


def near(answer: Any, expected: float, hints: dict[Any, str], tolerance: float = 1e-6) -> None:
    """Compare a number with the expected one; known slips get hints of their own.

    Per cent and rounded numbers are slips of every exercise. A slip that comes to the right
    value by chance is none.

    Args:
        answer: what the reader computed.
        expected: the right value.
        hints: what likely slips come to, each with the hint for it, tried in this order; and
            under `ELSE` the hint for any other value.
        tolerance: largest absolute difference that counts as equal; single precision is no slip,
            and so a hundred-thousandth of the value always is.

    Raises:
        NotYet: the answer is another one.
    """
    value = number_of(answer)
    tolerance = max(tolerance, SINGLE * abs(expected))
    if abs(value - expected) <= tolerance:
        return
    for slip, hint in hints.items():
        if slip is not ELSE and abs(value - slip) <= tolerance:
            raise NotYet(hint)
    if value and abs(value / 100 - expected) <= tolerance:
        raise NotYet("that is in per cent; this book writes fractions.")
    if value and value in (round(expected, 2), round(expected, 3)):
        raise NotYet("that looks rounded; hand over the number as it was computed.")
    raise NotYet(hints[ELSE])
