"""Numbers and lists as an English sentence has them."""

from __future__ import annotations

from collections.abc import Sequence

_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_TEENS = range(11, 14)


def count_in_words(count: int) -> str:
    """How many, in words up to ten.

    Example:
        ```python
        count_in_words(0), count_in_words(5), count_in_words(12)  # "none", "five", "12"
        ```
    """
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def ordinal(number: int) -> str:
    """A rank in digits.

    Example:
        ```python
        ordinal(1), ordinal(12), ordinal(23)  # "1st", "12th", "23rd"
        ```
    """
    ending = "th" if number % 100 in _TEENS else _ENDINGS.get(number % 10, "th")
    return f"{number}{ending}"


def listed(things: Sequence[str]) -> str:
    """Things one after the other.

    Example:
        ```python
        listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])  # "a", "a and b", "a, b and c"
        ```
    """
    return " and ".join(filter(None, (", ".join(things[:-1]), *things[-1:])))
