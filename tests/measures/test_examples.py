"""The examples in the measures' docstrings: one in every public one, and each true."""

from __future__ import annotations

import doctest
import sys

import pytest

from ssl_companion import measures


@pytest.mark.parametrize("name", measures.__all__)
def test_every_public_measure_has_an_example_that_is_true(name: str) -> None:
    public = getattr(measures, name)
    module = sys.modules[public.__module__]
    found = doctest.DocTestFinder(recurse=False).find(public, name, module=module)
    [example] = [test for test in found if test.examples]
    outcome = doctest.DocTestRunner().run(example)
    assert outcome.failed == 0, f"run `python -m doctest` on {module.__file__} to see why"
