"""What students are given: recordings of the book, and a table of runs that is nobody's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssl_companion.recordings import Recording, list_recordings


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
def table() -> pd.DataFrame:
    """As `generality.every_run` makes it: 12 runs, of which 6 have all four properties."""
    start = np.array([5, 6, 4, 7, 5, 8, 6, 9, 4, 7, 5, 6]) / 100
    ratio = np.array([3.1, 2.9, 1.2, 2.4, 1.9, 1.4, 2.2, 1.7, 2.6, 1.1, 2.0, 1.6])
    order = {"time": np.where(np.arange(12) == 0, 0.5, 0.95), "depth": np.full(12, 0.9)}
    order["depth"][[1, 2, 3, 5]] = 0.4
    return pd.DataFrame({
        "recording": [f"run-{i}" for i in range(12)],
        "family": np.repeat(["architecture", "methods", "clustering"], 4),
        "start": start, "ncc": start * ratio**0.5, "ratio": ratio, "advantage": 0.2, **order,
    })  # fmt: skip
