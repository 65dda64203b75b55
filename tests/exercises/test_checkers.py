"""What all checkers share: numbers, slips, hints instead of errors."""

from __future__ import annotations

from typing import Any

import pytest

from ssl_companion.exercises import Checked, call, hint, near, number_of, right


def test_a_number_is_compared_and_slips_are_named() -> None:
    slips = {0.5: "half of it"}
    assert near(1.0, 1.0, 1e-6, slips, "no", "yes") == right("yes")
    assert near(0.5, 1.0, 1e-6, slips, "no", "yes") == hint("half of it")
    assert near(2.0, 1.0, 1e-6, slips, "no", "yes") == hint("no")


@pytest.mark.parametrize("answer", [None, ..., "twelve", float("nan"), [1, 2]])
def test_what_is_no_number_gets_a_hint_instead_of_an_error(answer: Any) -> None:
    assert isinstance(number_of(answer), Checked)
    assert not near(answer, 1.0, 1.0, {}, "no", "yes").ok


def test_what_an_answer_raises_is_quoted() -> None:
    found = call(lambda x: 1 / x, 0)
    assert isinstance(found, Checked)
    assert "ZeroDivisionError" in found.message
    assert isinstance(call(3), Checked)
    assert call(lambda x: x + 1, 1) == 2


def test_the_word_of_a_checker_reads_the_same_in_text_and_in_a_page() -> None:
    assert repr(right("so it is")) == "Right: so it is"
    assert hint("look again")._repr_markdown_() == "**Not yet:** look again"
