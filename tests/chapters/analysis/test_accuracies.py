"""Hits and intervals against scikit-learn, SciPy and what a recording says of itself."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.neighbors import NearestCentroid as Oracle

from ssl_companion.chapters.analysis.accuracies import (
    hits,
    measured,
    over_seeds,
    predicted,
    with_intervals,
)
from ssl_companion.chapters.analysis.clustering import (
    collapse_over_epochs,
    every_sample,
    gain,
    gain_on_permuted_labels,
    halfway,
    ncc_over_epochs,
    relative_to_start,
)
from ssl_companion.chapters.analysis.interventions import live_outcomes
from ssl_companion.data.hierarchy import Level, random_grouping
from ssl_companion.measures.resampling import draw_counts, interval, percentiles, resampled
from ssl_companion.recordings import Recording, RecordingError


@pytest.mark.parametrize("layer", [None, "stem"])
@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize(("level", "seed"), [("fine", 0), ("coarse", 0), ("random-coarse", 3)])
def test_hits_agree_with_scikit_learn(
    clusters: Recording, level: str, seed: int, split: str, layer: str | None
) -> None:
    chosen = clusters.hierarchy.level(level.removeprefix("random-"))
    if level.startswith("random"):
        chosen = random_grouping(chosen, seed)
    # The synthetic run keeps all of its training images, so its means can be made again.
    x, y = clusters.features(20, layer, "train"), chosen.labels(clusters.fine("train"))
    guess = Oracle().fit(x, y).predict(clusters.features(20, layer, split))
    found = hits(clusters, level, [20], layer, split, seed)[0]
    # The means of the recording are float16.
    assert (found != (guess == chosen.labels(clusters.fine(split)))).mean() < 0.01


def test_a_class_counts_in_the_mean_of_its_group_by_its_images() -> None:
    """One group has nine images at 0 and one at 10, so its mean is 1, and 11.5 is the other's."""
    run: Any = SimpleNamespace(
        class_means=lambda *_: np.array([[0.0], [10.0], [20.0]], np.float32),
        class_counts=np.array([9, 1, 5]),
        features=lambda *_: np.array([[10.0], [11.5]], np.float32),
    )
    level = Level("pair", ("a", "b"), np.array([0, 0, 1]))
    assert predicted(cast(Recording, run), level, 0).tolist() == [0, 1]


@pytest.fixture(scope="module")
def found_images(clusters: Recording) -> np.ndarray:
    """Of both ends and every sample-level image, the share of its fresh views that are found."""
    shares = []
    for epoch in (0, 20):
        means, (views, image) = clusters.sample_means(epoch), clusters.sample_views(epoch)
        nearest = np.square(views[:, None].astype(np.float64) - means).sum(axis=2).argmin(axis=1)
        shares.append((nearest == image).reshape(len(means), -1).mean(axis=1))
    return np.stack(shares)


def test_images_and_not_their_views_are_drawn_at_the_sample_level(
    clusters: Recording, found_images: np.ndarray
) -> None:
    first, last = found_images @ draw_counts(found_images.shape[1], 1000, 3).T / 100
    before, after = found_images.mean(axis=1)
    rows = ncc_over_epochs(clusters, ["sample"], epochs=[0, 20], seed=3)
    assert rows["n"].tolist() == [200, 200]
    assert rows["value"].tolist() == pytest.approx([before, after])
    assert rows[["low", "high"]].to_numpy() == pytest.approx(
        np.array([percentiles(first), percentiles(last)])
    )
    found = gain(clusters, "sample", seed=3)
    assert (found.low, found.high) == pytest.approx(percentiles(last / first))
    runs = {"regularizer-recipe-s0": clusters}
    row = live_outcomes(runs, ["recipe"], "sample", seed=3).iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(percentiles(last))
    assert (row["gain_low"], row["gain_high"]) == pytest.approx(percentiles(last - first))


def test_the_sample_level_is_of_all_images_where_an_epoch_keeps_no_views(
    clusters: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Recording.kept_epochs

    def without_one(self: Recording, layer: str | None = None, what: str = "test") -> tuple:
        return tuple(e for e in kept(self, layer, what) if what != "sample_views" or e != 1)

    monkeypatch.setattr(Recording, "kept_epochs", without_one)
    stored = measured(clusters, "ncc", ["sample"]).set_index("epoch")["value"]
    for epochs in ([0, 1], [1, 20]):
        found = ncc_over_epochs(clusters, ["sample"], epochs=epochs)
        assert found["epoch"].tolist() == epochs
        assert found["value"].tolist() == stored[epochs].tolist()
        assert found["low"].isna().all()
    assert ncc_over_epochs(clusters, ["sample"], epochs=[0, 20])["low"].notna().all()


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


def test_a_row_is_of_its_layer_split_and_grouping(clusters: Recording) -> None:
    where = {"layer": "stem", "split": "train", "seed": 3}
    row = ncc_over_epochs(clusters, ["random-coarse"], epochs=[20], **where).iloc[0]
    [hit] = hits(clusters, "random-coarse", [20], **where)
    assert row["value"] == pytest.approx(hit.mean())
    drawn = draw_counts(len(hit), 1000, 3) @ hit / len(hit)
    assert (row["low"], row["high"]) == pytest.approx(percentiles(drawn))


def test_views_of_one_image_are_drawn_together() -> None:
    values = np.repeat([0.0, 1.0] * 20, 25)  # 40 images of 25 equal views: 40 facts, not 1000
    drawn = resampled(values, np.repeat(np.arange(40), 25), 1500)
    assert drawn.std() == pytest.approx(0.5 / np.sqrt(40), rel=0.05)
    assert resampled(values, None, 1500).std() == pytest.approx(0.5 / np.sqrt(1000), rel=0.05)


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
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    assert found.high == np.mean(values) + half
    for confidence in (0.95, 0.8):
        found = over_seeds(values, confidence, ratios=True, limits=(0.6, 5))
        ends = stats.t.interval(confidence, 2, np.log(2), stats.sem(np.log(values)))
        expected = np.exp(ends).clip(0.6, 5).tolist()
        assert [found.low, found.high] == pytest.approx(expected)
    with pytest.raises(ValueError, match="two or more runs"):
        over_seeds([1.0])


def test_an_accuracy_has_wilsons_interval_of_the_confidence_asked_for() -> None:
    z, p, n = stats.norm.ppf(0.9), 0.25, 40
    row = with_intervals(pd.DataFrame({"value": [p], "n": [n]}), confidence=0.8).iloc[0]
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = np.array([centre - half, centre + half]) / (1 + z**2 / n)
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected))


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


def test_every_line_is_relative_to_its_own_first_epoch() -> None:
    table = pd.DataFrame({
        "level": ["a", "a", "b", "b"], "epoch": [9, 0, 0, 9], "value": [0.6, 0.2, 0.5, 0.4],
        "low": [0.5, 0.1, 0.4, 0.3], "high": [0.7, 0.3, 0.6, 0.5], "n": 100,
    })  # fmt: skip
    columns = ["value", "low", "high"]
    first = np.array([[0.2], [0.2], [0.5], [0.5]])
    np.testing.assert_allclose(relative_to_start(table)[columns], table[columns] / first)
    less = relative_to_start(table, subtract=True)
    np.testing.assert_allclose(less[columns], table[columns] - first, atol=1e-12)
    assert less["epoch"].tolist() == [9, 0, 0, 9]


@pytest.mark.parametrize(
    ("line", "epoch"),
    [
        ([0.2, 0.4, 0.6], 3.0),
        ([0.2, 0.6, 0.6], 1.0),  # half way on the scale log(1 + epoch)
        ([0.2, 0.9, 0.6], np.expm1(np.log(4) * 2 / 7)),
        ([0.2, 0.2, 0.6], 7.0),
        ([0.6, 0.6, 0.2], np.nan),
        ([0.2, 0.9, 0.2], np.nan),
    ],
)  # fmt: skip
def test_halfway_is_where_the_middle_of_the_ends_is_first_reached(
    line: list[float], epoch: float
) -> None:
    table = pd.DataFrame({"level": "a", "epoch": [0, 3, 15], "value": line, "n": 9})
    found = halfway(table.iloc[::-1]).iloc[0]
    assert (found["first"], found["last"]) == (line[0], line[-1])
    assert found["epoch"] == pytest.approx(epoch, nan_ok=True)


def test_a_line_that_rests_at_its_middle_is_halfway_when_it_comes_there() -> None:
    table = pd.DataFrame({"level": "a", "epoch": [0, 2, 5, 9], "value": [0.0, 0.5, 0.5, 1.0]})
    assert halfway(table)["epoch"].item() == pytest.approx(2)


def test_halfway_lies_where_the_line_crosses_the_middle(clusters: Recording) -> None:
    table = measured(clusters, "ncc", ["fine", "coarse"])
    for row in halfway(table).to_dict("records"):
        line = table[table["level"] == row["level"]].sort_values("epoch")
        at = np.interp(np.log1p(row["epoch"]), np.log1p(line["epoch"]), line["value"])
        assert at == pytest.approx((row["first"] + row["last"]) / 2)


def test_what_was_measured_is_in_the_order_asked_for_and_of_that_layer() -> None:
    names = ("cdnv", "nc1", "nc2_equinorm", "nc2_equiangular", "ncc")
    rows = [
        (epoch, layer, level, split, measure, value, 7)
        for value, (measure, level, layer, split, epoch) in enumerate(
            (measure, level, layer, split, epoch)
            for measure in names
            for level in ("fine", "coarse", "sample", "sample-all")
            for layer in ("stem", "block1")
            for split in ("train", "test")
            for epoch in (0, 5)
        )
    ]
    columns = ["epoch", "layer", "level", "split", "measure", "value", "n"]
    table = pd.DataFrame(rows, columns=columns)

    def select(**where: str) -> pd.DataFrame:
        return table[np.all([table[c] == v for c, v in where.items()], axis=0)]

    run = cast(
        Recording, SimpleNamespace(name="r", layers=("stem", "block1"), select=select, run={})
    )

    def values(**where: str) -> list[int]:
        return select(**where)["value"].tolist()

    for layer in ("stem", None):
        at = {"measure": "ncc", "layer": layer or "block1", "split": "test"}
        found = ncc_over_epochs(run, ("coarse", "fine"), layer, live=False)
        expected = values(level="coarse", **at) + values(level="fine", **at)
        assert found["value"].tolist() == expected
        spread = collapse_over_epochs(run, layer)
        for measure in names[:-1]:
            own = {"measure": measure, "layer": layer or "block1", "split": "train"}
            assert spread.loc[spread["measure"] == measure, "value"].tolist() == values(**own)
        assert set(spread["measure"]) == set(names[:-1])
    assert len(measured(run, "ncc", ["fine"], "all")) == 4
    assert every_sample(run)["value"].tolist() == values(
        measure="ncc", level="sample-all", layer="block1", split="test"
    )


def test_what_was_not_kept_is_refused_by_name(write_synthetic: Callable[..., Recording]) -> None:
    light = write_synthetic("light", features=False, epochs=(0, 1))
    with pytest.raises(RecordingError, match="keeps no features"):
        ncc_over_epochs(light)
    assert len(ncc_over_epochs(light, live=False)) == 8
