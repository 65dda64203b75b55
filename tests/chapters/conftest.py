"""Two synthetic runs: one in which clusters grow, one that is never trained."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from ssl_companion.chapters.analysis.conditional_entropy import NOISES, Kept
from ssl_companion.recordings import Recording, open_recording


@pytest.fixture(scope="session")
def clusters(write_synthetic: Callable[..., Recording]) -> Recording:
    return write_synthetic("findings-clusters-s0", kind="clusters")


@pytest.fixture(scope="session")
def untrained(write_synthetic: Callable[..., Recording]) -> Recording:
    return write_synthetic("findings-untrained-s0", kind="untrained")


@pytest.fixture(scope="session")
def add_entropies() -> Callable[[Recording], Recording]:
    """Writes the entropies of a recording's features into its table, as the recorder does."""

    def add(run: Recording) -> Recording:
        rows = []
        for epoch in run.kept_epochs():
            for noise, e in zip(NOISES, Kept.of(run, epoch).entropies(NOISES), strict=True):
                for level, whole, given in (("sample", e.views, e.given_image),
                                            ("fine", e.images, e.given_class)):  # fmt: skip
                    where = (epoch, run.layers[-1], level, "train")
                    rows.append((*where, f"rate@{noise:g}", whole, 9))
                    rows.append((*where, f"rate_given@{noise:g}", given, 9))
        file = run.path / "measures.csv.gz"
        table = pd.read_csv(file)
        added = pd.DataFrame(rows, columns=table.columns)
        pd.concat([table, added]).to_csv(file, index=False)
        return open_recording(run.path)

    return add
