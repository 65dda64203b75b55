"""Accuracies along the depth: live, of all images, and their order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.analysis import depth_and_time
from ssl_companion.chapters.analysis.accuracies import hits
from ssl_companion.recordings import Recording


def test_live_profiles_are_the_means_of_hits(clusters: Recording) -> None:
    table = depth_and_time.live_by_layer(clusters, ["coarse"])
    epochs = depth_and_time.shared_epochs(clusters)
    assert set(table["epoch"]) == {epochs[0], epochs[-1]}
    for row in table.itertuples():
        own = hits(clusters, "coarse", [row.epoch], row.layer)[0]
        assert row.value == pytest.approx(own.mean())
        assert row.low < row.value < row.high
        assert clusters.layers[row.depth] == row.layer


def test_wilsons_interval_against_its_formula() -> None:
    p, n, z = 0.2, 50, 1.959963984540054
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    row = depth_and_time.with_intervals(pd.DataFrame({"value": [p], "n": [n]})).iloc[0]
    assert row["low"] == pytest.approx(middle - half)
    assert row["high"] == pytest.approx(middle + half)


def test_only_what_was_measured_everywhere_is_mapped(clusters: Recording) -> None:
    found = depth_and_time.mapped_levels(clusters)
    assert set(clusters.hierarchy.names) <= set(found)
    assert "random-coarse" in found
    assert "sample" not in found  # at the last layer only, in the synthetic run


def test_runs_beside_each_other_share_epochs_and_the_scale_of_depth(
    clusters: Recording, untrained: Recording
) -> None:
    table = depth_and_time.accuracies_by_layer({"a": clusters, "b": untrained}, ["fine"])
    assert set(table["run"]) == {"a", "b"}
    assert set(table["epoch"]) == set(clusters.epochs) & set(untrained.epochs)
    first, last = (table[table["layer"] == clusters.layers[i]] for i in (0, -1))
    assert set(first["share"]) == {0.0}
    assert set(last["share"]) == {1.0}


def test_orders_find_growth_and_leave_what_stands_still_undefined(
    clusters: Recording, untrained: Recording
) -> None:
    table = depth_and_time.orders_of_levels({"grown": clusters, "not": untrained}).set_index("run")
    assert set(table.columns) == set(depth_and_time.ORDERS)
    assert table.loc["grown", "time"] > 0.8
    assert table.loc["grown", "depth"] > 0.8
    assert np.isnan(table.loc["not", "time"])


@pytest.mark.parametrize(
    ("epochs", "said"),
    [
        ([1, 2, 3, 4], "strictly from the bottom up"),
        ([4, 3, 2, 1], "strictly from the top down"),
        (
            [28, 2, 3, 5, 8],
            "all layers but one settle strictly from the bottom up; only *l0* breaks",
        ),
        ([5, 1, 4, 2, 3, 6], "in no clear order"),
        ([2, 1, 4, 3, 6, 5], "mostly from the bottom up"),
        ([1, np.nan], "Too few layers"),
        ([2, 2, 2], "at the same epoch"),
    ],
)
def test_the_order_in_which_layers_settle_is_told(epochs: list[float], said: str) -> None:
    halfway = pd.Series(epochs, [f"l{i}" for i in range(len(epochs))], dtype=float)
    words = depth_and_time.settling_in_words(halfway, "fine")
    assert said in words
