"""What students are given, and how a table of answers in a test's module is asked.

`SLIPS = {checker: [(answer, words of the hint), ...]}` and `RIGHT = {checker: [answer, ...]}`: to
a checker of numbers, or of a pair with one, an answer may also be a function of what the checker
is given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.exercises import Checked
from ssl_companion.recordings import Recording, list_recordings

RECORDING = {
    "check_steps": "reference",  # it keeps every layer
    "check_absolute": "collapsing",
    "check_degrees": "recipe",
    **dict.fromkeys(
        ("check_fall", "check_dose", "check_directions", "check_factor", "check_partial"), "run"
    ),
}
"""The fixture that is these checkers' `recording`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module, asked = metafunc.module, set(metafunc.fixturenames)
    if {"check", "answer", "says"} <= asked:
        rows = [(check, *row) for check, rows in module.SLIPS.items() for row in rows]
        ids = [f"{check.__name__}: {says}" for check, _, says in rows]
        metafunc.parametrize(("check", "answer", "says"), rows, ids=ids)
    elif {"check", "answer"} <= asked:
        right = [(check, answer) for check, answers in module.RIGHT.items() for answer in answers]
        metafunc.parametrize(("check", "answer"), right, ids=[c.__name__ for c, _ in right])


@pytest.fixture
def ask(request: pytest.FixtureRequest) -> Callable[..., Checked]:
    """`ask(checker, answer)` with what that checker is given."""

    def asked(check: Callable[..., Checked], answer: Any) -> Checked:
        first, *others = inspect.signature(check).parameters.values()
        level = "coarse" if check.__name__ == "check_through" else "fine"
        own = {"recording": RECORDING.get(check.__name__, "recording")}
        given = [
            level if p.name == "level" else request.getfixturevalue(own.get(p.name, p.name))
            for p in others
        ]
        of_given = first.annotation in ("float", "tuple[Any, float]") and callable(answer)
        return check(answer(*given) if of_given else answer, *given)

    return asked


def _recorded(name: str) -> Recording:
    found = {recording.name: recording for recording in list_recordings()}
    return found[name] if name in found else pytest.skip(f"no recording {name}")


@pytest.fixture(scope="session")
def recording() -> Recording:
    return _recorded("clustering-vicreg-s0")


@pytest.fixture(scope="session")
def reference() -> Recording:
    return _recorded("reference-vicreg-s0")


@pytest.fixture(scope="session")
def collapsing() -> Recording:
    return _recorded("regularizer-invariance-only-s0")


@pytest.fixture(scope="session")
def teacher() -> Recording:
    return _recorded("targets-teacher-s0")


@pytest.fixture(scope="session")
def run(write_synthetic: Callable[..., Recording]) -> Recording:
    return write_synthetic("exercises-clusters-s0", kind="clusters", epochs=(0, 1, 3, 5))


@pytest.fixture(scope="session")
def recipe(write_synthetic: Callable[..., Recording]) -> Recording:
    recording = write_synthetic("exercises-recipe-s0", kind="clusters", features=False)
    recording.run["config"]["projector_width"] = 32
    return recording


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """As `generality.every_run` makes it: 12 runs, of which 6 have all four properties."""
    start = np.array([5, 6, 4, 7, 5, 8, 6, 9, 4, 7, 5, 6]) / 100
    ratio = np.array([3.1, 2.9, 1.2, 2.4, 1.9, 1.4, 2.2, 1.7, 2.6, 1.1, 2.0, 1.6]) * 4 / 3
    order = {"time": np.where(np.arange(12) == 0, 0.5, 0.95), "depth": np.full(12, 0.9)}
    order["depth"][[1, 2, 3, 5]] = 0.4
    return pd.DataFrame({
        "recording": [f"run-{i}" for i in range(12)],
        "family": np.repeat(["architecture", "methods", "clustering"], 4),
        "start": start, "ncc": start * ratio**0.5, "ratio": ratio, "advantage": 0.2, **order,
    })  # fmt: skip
