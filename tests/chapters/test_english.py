"""Numbers and lists as a sentence has them."""

from __future__ import annotations

import pytest

from ssl_companion.chapters.english import count_in_words, listed, ordinal


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (10, "10th"), (11, "11th"), (13, "13th"), (21, "21st"),
     (112, "112th"), (123, "123rd")],
)  # fmt: skip
def test_ranks(number: int, said: str) -> None:
    assert ordinal(number) == said


def test_counts_are_words_up_to_ten() -> None:
    assert [count_in_words(n) for n in (0, 1, 10, 11)] == ["none", "one", "ten", "11"]


def test_lists() -> None:
    assert [listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
