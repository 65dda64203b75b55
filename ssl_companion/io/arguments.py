"""Checks of numbers and words that somebody gives: "<argument>: <value>; expected <what>".

Those of arrays and tensors are the measures' own.
"""

from __future__ import annotations

import numpy as np


def positive(value: float, name: str) -> float:
    """`value` as a float above zero.

    Raises:
        ValueError: not a finite number above zero.
    """
    number = _number(value, name)
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{name}: {value!r}; expected a finite number above 0")
    return number


def not_negative(value: float, name: str) -> float:
    """`value` as a finite float of zero or more.

    Raises:
        ValueError: not such a number.
    """
    number = _number(value, name)
    if not (np.isfinite(number) and number >= 0):
        raise ValueError(f"{name}: {value!r}; expected a finite number of 0 or more")
    return number


def _number(value: float, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ValueError(f"{name}: {value!r}; expected a number") from None


_MOST = np.iinfo(np.int64).max


def at_least(value: int, least: int, name: str) -> int:
    """`value` as an int of `least` or more.

    Raises:
        ValueError: not an integer, below `least`, or more than int64 holds.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}: {value!r}; expected an integer of {least} or more")
    if value > _MOST:
        raise ValueError(f"{name}: above {_MOST}; expected an integer that int64 holds")
    return int(value)


def one_of(value: str, allowed: tuple[str, ...], name: str) -> str:
    """`value` if it is among `allowed`.

    Raises:
        ValueError: otherwise, listing what is allowed.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name}: {value!r}; expected one of {', '.join(map(repr, allowed))}")
    return value
