"""Hits and intervals against scikit-learn, SciPy and what a recording says of itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn.neighbors import NearestCentroid as Oracle

from ssl_companion.chapters.analysis.accuracies import hits, measured, over_seeds
from ssl_companion.chapters.analysis.clustering import (
    gain,
    gain_on_permuted_labels,
    halfway,
    ncc_over_epochs,
    relative_to_start,
)
from ssl_companion.measures.resampling import interval, resampled
from ssl_companion.recordings import Recording, RecordingError


def test_hits_agree_with_scikit_learn(clusters: Recording) -> None:
    x, y = clusters.features(20, split="train"), clusters.fine("train")
    # The synthetic run keeps all of its training images, so its means can be made again.
    expected = Oracle().fit(x, y).predict(clusters.features(20)) == clusters.fine()
    assert (hits(clusters, "fine", [20])[0] != expected).mean() < 0.01  # means are float16


@pytest.mark.parametrize("level", ["fine", "coarse", "random-coarse"])
def test_live_accuracy_is_what_the_recording_says(clusters: Recording, level: str) -> None:
    live = ncc_over_epochs(clusters, [level]).set_index("epoch")["value"]
    stored = ncc_over_epochs(clusters, [level], live=False).set_index("epoch")["value"]
    np.testing.assert_allclose(live, stored, atol=0.01)  # features are kept in 8 bits
    assert live.iloc[-1] > 2 * live.iloc[0]


def test_the_interval_of_an_accuracy_is_the_binomial_one(clusters: Recording) -> None:
    row = ncc_over_epochs(clusters, ["fine"], epochs=[1]).iloc[0]
    low, high = stats.binom.interval(0.95, row["n"], row["value"])
    assert row["low"] == pytest.approx(low / row["n"], abs=0.005)
    assert row["high"] == pytest.approx(high / row["n"], abs=0.005)


def test_views_of_one_image_are_drawn_together() -> None:
    values = np.repeat([0.0, 1.0] * 20, 25)  # 40 images of 25 equal views: 40 facts, not 1000
    drawn = resampled(values, np.repeat(np.arange(40), 25), 4000)
    assert drawn.std() == pytest.approx(0.5 / np.sqrt(40), rel=0.05)
    assert resampled(values, None, 4000).std() == pytest.approx(0.5 / np.sqrt(1000), rel=0.05)


def test_the_same_images_are_drawn_for_every_row() -> None:
    values = np.random.default_rng(0).random(50)
    drawn = resampled(np.stack([values, values + 1]))
    np.testing.assert_allclose(drawn[1] - drawn[0], 1)


def test_students_interval_agrees_with_scipy() -> None:
    values = [1.0, 2.0, 4.0]
    found = over_seeds(values)
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    ratios = over_seeds(values, ratios=True)
    assert ratios.value == pytest.approx(2.0)
    assert ratios.low > 0
    orders = over_seeds([0.9, 1.0, 1.0], limits=(-1, 1))
    assert orders.high == 1, "no correlation is above 1"
    assert orders.low == pytest.approx(over_seeds([0.9, 1.0, 1.0]).low)
    with pytest.raises(ValueError, match="two or more runs"):
        over_seeds([1.0])


def test_an_interval_of_nothing_is_nothing() -> None:
    assert np.isnan(interval(1.0, np.array([np.nan, np.nan, 1.0])).value)
    assert interval(1.0, np.array([np.nan, 1.0, 2.0])).high == pytest.approx(1.975)


def test_gain_is_the_ratio_of_the_ends(clusters: Recording, untrained: Recording) -> None:
    ends = ncc_over_epochs(clusters, ["fine"]).sort_values("epoch")["value"]
    found = gain(clusters)
    assert found.value == pytest.approx(ends.iloc[-1] / ends.iloc[0])
    assert gain(clusters, subtract=True).value == pytest.approx(ends.iloc[-1] - ends.iloc[0])
    same = gain(untrained)
    assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)


def test_permuted_labels_gain_nothing(clusters: Recording) -> None:
    control = gain_on_permuted_labels(clusters)
    assert control.low < 1 < control.high
    assert control.high < gain(clusters).low


def test_relative_to_start_begins_at_one_on_every_line(clusters: Recording) -> None:
    table = relative_to_start(ncc_over_epochs(clusters))
    assert (table.loc[table["epoch"] == 0, "value"] == 1).all()
    less = relative_to_start(ncc_over_epochs(clusters), subtract=True)
    assert (less.loc[less["epoch"] == 0, "value"] == 0).all()


def test_halfway_lies_where_the_line_crosses_the_middle(clusters: Recording) -> None:
    table = measured(clusters, "ncc", ["fine", "coarse"])
    for row in halfway(table).to_dict("records"):
        line = table[table["level"] == row["level"]].sort_values("epoch")
        at = np.interp(np.log1p(row["epoch"]), np.log1p(line["epoch"]), line["value"])
        assert at == pytest.approx((row["first"] + row["last"]) / 2)


def test_what_was_not_kept_is_refused_by_name(write_synthetic: Callable[..., Recording]) -> None:
    light = write_synthetic("light", features=False, epochs=(0, 1))
    with pytest.raises(RecordingError, match="keeps no features"):
        ncc_over_epochs(light)
    assert len(ncc_over_epochs(light, live=False)) == 8
