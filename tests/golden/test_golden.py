"""What was computed before is computed still; `golden.py --write` where a change is meant."""

from __future__ import annotations

import golden
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", golden.COMMANDS)
def test_numbers(name: str) -> None:
    assert not list(golden.differences(golden.golden(name), golden.command(*golden.COMMANDS[name])))


@pytest.mark.browser
def test_chapters() -> None:
    if not golden.EXECUTED.exists():
        pytest.skip("the book is not built here: run `make book` first")
    if golden.versions() != golden.golden("chapters")["versions"]:
        pytest.skip(
            "other versions or another processor than the golden outputs': last digits may differ"
        )
    assert not list(golden.chapter_differences())


def test_a_difference_is_seen() -> None:
    before = {"a": [1.0, "x"], "b": {"c": 2.0}}
    assert not list(golden.differences(before, {"a": [1.0 + 1e-8, "x"], "b": {"c": 2}}))
    for after in ({"a": [1.001, "x"], "b": {"c": 2.0}}, {"a": [1.0, "y"], "b": {"c": 2.0}},
                  {"a": [1.0], "b": {"c": 2.0}}, {"a": [1.0, "x"]}):  # fmt: skip
        assert len(list(golden.differences(before, after))) == 1
