"""What several seeds say: means and Student's intervals, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ssl_companion.chapters.analysis.depth_and_time import mean_order
from ssl_companion.chapters.analysis.generality import by_seed, ncc_over_seeds
from ssl_companion.recordings import Recording


@pytest.fixture(scope="module")
def runs(write_synthetic) -> list[Recording]:
    return [write_synthetic(f"seeds-{seed}", seed=seed, features=False) for seed in range(3)]


def test_the_mean_over_seeds_has_students_interval(runs: list[Recording]) -> None:
    table = ncc_over_seeds(runs, ["fine", "coarse"]).set_index(["level", "epoch"])
    assert len(table) == 2 * len(runs[0].epochs)
    for (level, epoch), row in table.iterrows():
        where = {"level": level, "epoch": epoch, "layer": runs[0].layers[-1], "split": "test"}
        values = [run.select(measure="ncc", **where)["value"].item() for run in runs]
        assert row["value"] == pytest.approx(np.mean(values))
        low, high = np.clip(stats.t.interval(0.95, 2, np.mean(values), stats.sem(values)), 0, 1)
        if np.std(values) > 0:
            assert (row["low"], row["high"]) == pytest.approx((low, high))
        assert row["n"] == 3
    assert 0 <= table["low"].min() <= table["high"].max() <= 1


def test_one_seed_has_no_interval_and_only_shared_epochs_count(
    runs: list[Recording], write_synthetic
) -> None:
    alone = ncc_over_seeds(runs[:1], ["fine"])
    assert alone["low"].isna().all()
    assert alone["value"].notna().all()
    other = write_synthetic("seeds-short", seed=5, features=False, epochs=(0, 4, 20))
    assert ncc_over_seeds([*runs, other], ["fine"])["epoch"].tolist() == [0, 4, 20]


def test_each_seed_in_a_row(runs: list[Recording]) -> None:
    table = by_seed(runs, "coarse")
    assert table["seed"].tolist() == [0, 1, 2]
    assert (table["after"] > table["before"]).all()
    assert table["time"].tolist() == [mean_order(run, "epoch") for run in runs]
    assert table["depth"].nunique() > 1 or table["after"].nunique() > 1, "seeds differ"
