"""What all checkers share: numbers, slips, hints instead of errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssl_companion.chapters.exercises import (
    ELSE,
    Checked,
    NotYet,
    array_of,
    call,
    checker,
    checker_of_number,
    near,
    number_of,
    word_of,
)


@pytest.mark.parametrize(
    ("answer", "expected", "says"),
    [
        (1.0, 1.0, "yes"),
        (1.00005, 1.0, "yes"),
        (0.5, 1.0, "half of it"),
        (0.5, 0.5, "yes"),  # a slip that comes to the right value is none
        (2.0, 1.0, "no"),
        (26.35, 0.2635, "per cent"),
        (0.26, 0.2635, "rounded"),
        (0.264, 0.2635, "rounded"),
        (0.27, 0.2635, "no"),
        (0, 0.001, "no"),
    ],
)
def test_a_number_is_compared_and_slips_are_named(
    answer: float, expected: float, says: str
) -> None:
    @checker_of_number
    def check(answer: float) -> str:
        near(answer, expected, {0.5: "half of it", ELSE: "no"}, 1e-4)
        return "yes"

    assert says in check(answer).message
    assert check(answer).ok == (says == "yes")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        *((None, "the answer is empty"), (..., "the answer is empty"), (10**400, "of type int")),
        *(("twelve", "of type str"), ("0.5", "of type str"), (True, "bool"), (np.True_, "bool")),
        *(
            (torch.tensor(True), "a number"),
            (float("nan"), "finite"),
            (np.float32("inf"), "finite"),
        ),
        *(([1, 2], "list with 2 entries"), ((0.1, 0.2), "tuple with 2"), (torch.ones(1), "(1,)")),
        *((np.ones(2), "shape (2,)"), (pd.Series([0.5]), "Series and has the shape")),
        (Checked(True, "so it is"), "of type Checked"),
    ],
)
def test_what_could_be_turned_into_a_number_is_none_yet(answer: Any, says: str) -> None:
    with pytest.raises(NotYet) as found:
        number_of(answer)
    assert says in str(found.value)


@pytest.mark.parametrize("kind", [float, np.float64, np.array, torch.tensor])
@given(value=st.floats(-1e6, 1e6, width=32))
def test_numbers_of_all_kinds_are_numbers(kind: Callable[[float], Any], value: float) -> None:
    assert number_of(kind(value)) == value


@given(value=st.floats(1e-3, 1e6))
def test_single_precision_is_right_and_a_number_beside_it_is_not(value: float) -> None:
    near(torch.tensor(value, dtype=torch.float32) * 3 / 3, value, {ELSE: "no"}, 1e-12)
    with pytest.raises(NotYet):
        near(value * (1 + 1e-4), value, {ELSE: "no"}, 1e-12)


def test_nothing_is_measured_for_what_is_no_number() -> None:
    @checker_of_number
    def check(answer: float, why: str) -> str:
        """Two, and a reason."""
        assert isinstance(answer, float)
        near(answer, 2, {ELSE: "no"}, 0)
        return why

    assert check(np.int64(2), "yes") == Checked(True, "yes")
    assert check(np.int64(3), why="yes") == Checked(False, "no")
    assert "one number" in check([2], "yes").message
    assert check.__doc__ == "Two, and a reason."


@pytest.mark.parametrize("answer", [None, "a", [[1], [2, 3]], {"a": 1}, [object()], [10**400]])
def test_what_is_no_array_gets_a_hint(answer: Any) -> None:
    with pytest.raises(NotYet, match=r"expected an array|the answer is empty"):
        array_of(answer)


@pytest.mark.parametrize(
    ("answer", "says"),
    [(None, "the answer is empty"), (..., "the answer is empty"), (3, "of type int")],
)
def test_what_is_no_word_gets_a_hint_and_an_untouched_cell_the_usual_one(
    answer: Any, says: str
) -> None:
    with pytest.raises(NotYet, match=says):
        word_of(answer)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, pd.DataFrame])
def test_arrays_come_in_many_ways(kind: Callable[[Any], Any]) -> None:
    assert array_of(kind([[1, 2]])).tolist() == [[1.0, 2.0]]


def test_what_an_answer_raises_is_quoted() -> None:
    assert call(lambda x: x + 1, 1) == 2
    with pytest.raises(NotYet, match="ZeroDivisionError"):
        call(lambda x: 1 / x, 0)
    with pytest.raises(NotYet, match="expected a function"):
        call(3)


def test_the_word_of_a_checker_reads_the_same_in_text_and_in_a_page() -> None:
    assert repr(checker(lambda: "so it is")()) == "Right: so it is"
    assert Checked(False, "look again")._repr_markdown_() == "**Not yet:** look again"
