"""Two synthetic runs: one in which clusters grow, one that is never trained."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssl_companion.recordings import Recording


@pytest.fixture(scope="session")
def clusters(write_synthetic: Callable[..., Recording]) -> Recording:
    return write_synthetic("findings-clusters-s0", kind="clusters")


@pytest.fixture(scope="session")
def untrained(write_synthetic: Callable[..., Recording]) -> Recording:
    return write_synthetic("findings-untrained-s0", kind="untrained")
