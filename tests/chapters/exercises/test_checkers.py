"""What all checkers share: numbers, slips, hints instead of errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ssl_companion.chapters.exercises import (
    Checked,
    array_of,
    call,
    hint,
    near,
    number_of,
    of_number,
    right,
)


def test_a_number_is_compared_and_slips_are_named() -> None:
    slips = {0.5: "half of it"}
    assert near(1.0, 1.0, 1e-6, slips, "no", "yes") == right("yes")
    assert near(0.5, 1.0, 1e-6, slips, "no", "yes") == hint("half of it")
    assert near(2.0, 1.0, 1e-6, slips, "no", "yes") == hint("no")


def test_per_cent_and_rounded_numbers_are_slips_of_every_exercise() -> None:
    assert "per cent" in near(26.35, 0.2635, 1e-4, {}, "no", "yes").message
    assert "rounded" in near(0.26, 0.2635, 1e-4, {}, "no", "yes").message
    assert "rounded" in near(0.264, 0.2635, 1e-4, {}, "no", "yes").message
    assert near(0.27, 0.2635, 1e-4, {}, "no", "yes") == hint("no")
    assert near(0, 0.001, 1e-4, {}, "no", "yes") == hint("no")


def test_a_slip_that_comes_to_the_right_value_is_none() -> None:
    assert near(1.0, 1.0, 1e-6, {1.0: "a slip"}, "no", "yes").ok


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (np.array([0.1, 0.2]), r"shape \(2,\): is a mean"),
        (torch.ones(1), r"shape \(1,\)"),
        (pd.Series([0.5]), "Series and has the shape"),
        ((0.1, 0.2), "tuple with 2 entries"),
        (np.True_, "bool"),
        ("0.5", "of type str"),
        (10**400, "of type int"),
    ],
)
def test_what_could_be_turned_into_a_number_is_none_yet(answer: Any, says: str) -> None:
    found = number_of(answer)
    assert isinstance(found, Checked)
    assert re.search(says, found.message)


@pytest.mark.parametrize(
    "answer", [2, 2.0, np.float32(2), np.int64(2), torch.tensor(2), np.array(2)]
)
def test_numbers_of_all_kinds_are_numbers(answer: Any) -> None:
    assert number_of(answer) == 2.0


def test_nothing_is_measured_for_what_is_no_number() -> None:
    @of_number
    def check(answer: float, why: str) -> Checked:
        """Two, and a reason."""
        assert isinstance(answer, float)
        return near(answer, 2, 0, {}, "no", why)

    assert check(np.int64(2), "yes") == right("yes")
    assert check(np.int64(3), why="yes") == hint("no")
    assert "one number" in check([2], "yes").message
    assert check.__doc__ == "Two, and a reason."


@pytest.mark.parametrize("answer", [None, "a", [[1], [2, 3]], {"a": 1}, [object()], [10**400]])
def test_what_is_no_array_gets_a_hint(answer: Any) -> None:
    assert isinstance(array_of(answer), Checked)


def test_arrays_come_in_many_ways() -> None:
    for answer in ([[1, 2]], ((1, 2),), torch.tensor([[1, 2]]), pd.DataFrame([[1, 2]])):
        found = array_of(answer)
        assert isinstance(found, np.ndarray)
        assert found.tolist() == [[1.0, 2.0]]


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
