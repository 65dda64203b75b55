"""The rulers' chapter: clouds on the way to collapse, signs of a recording, searches, pixels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid as Oracle

from ssl_companion.chapters.analysis import (
    collapse_signs,
    pixel_baselines,
    search_precision,
    toy_objectives,
)
from ssl_companion.data import load
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.hierarchy import random_grouping
from ssl_companion.measures import bootstrap_accuracy, cdnv
from ssl_companion.measures.resampling import percentiles
from ssl_companion.recordings import Recording
from ssl_companion.training.config import ObjectiveConfig


def test_clouds_collapse_in_every_sign() -> None:
    loose, tight = (collapse_signs.collapsing_clouds(p).signs() for p in (0.0, 0.95))
    for name in collapse_signs.SIGNS[:4]:
        assert tight[name] < 0.1 * loose[name]
    assert tight["NC3"] < 0.01
    assert tight["NC4"] == tight["NCC"] == 1.0
    assert loose["NCC"] < 1.0


CORNERS = np.array([[0, 2], [-np.sqrt(3), -1], [np.sqrt(3), -1]])


def test_the_means_move_from_each_classs_own_side_to_the_corners() -> None:
    end = collapse_signs.collapsing_clouds(1 - 1e-6, per_class=4)
    np.testing.assert_allclose(end.points, np.repeat(CORNERS, 4, axis=0), atol=1e-5)
    start = np.mean(
        [collapse_signs.collapsing_clouds(0, per_class=8, seed=s).points for s in range(12)], axis=0
    )
    means = start.reshape(3, 8, 2).mean(axis=1)
    np.testing.assert_allclose(means, 0.45 * CORNERS, atol=0.35)  # drawn with deviation 0.55


def test_the_clouds_have_the_classifier_of_scikit_learn() -> None:
    made = collapse_signs.collapsing_clouds(0.3, per_class=50)
    own = LogisticRegression(C=1 / (1e-2 * 150), tol=1e-8).fit(made.points, made.labels)
    np.testing.assert_allclose(made.weight, own.coef_, atol=1e-3)
    np.testing.assert_allclose(made.bias - made.bias.mean(), own.intercept_, atol=1e-3)


def test_signs_are_computed_by_hand() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.normal(size=(60, 2)) + np.array([[0.0, 3.0], [-1.0, 0.0], [1.5, -1.0]])[y]
    weight, bias = rng.normal(size=(3, 2)), np.array([0.0, 4.0, -1.0])
    found = collapse_signs.signs(x, y, weight, bias)
    means = np.stack([x[y == k].mean(axis=0) for k in range(3)])
    lengths = np.linalg.norm(means - x.mean(axis=0), axis=1)
    assert found["NC2 lengths"] == pytest.approx(lengths.std() / lengths.mean())
    nearest = np.linalg.norm(x[:, None] - means, axis=2).argmin(axis=1)
    assert found["NCC"] == pytest.approx((nearest == y).mean())
    agrees = (x @ weight.T + bias).argmax(axis=1) == nearest
    assert 0 < agrees.mean() < 1
    assert found["NC4"] == pytest.approx(agrees.mean())
    assert len({round(value, 6) for value in found.values()}) == 7


def test_signs_along_the_way_are_those_of_its_clouds() -> None:
    table = collapse_signs.signs_along_collapse((0.1, 0.5), 4, 10, seed=5)
    for progress, own in table.groupby("progress"):
        made = collapse_signs.collapsing_clouds(progress, 4, 10, 5).signs()
        assert dict(zip(own["measure"], own["value"], strict=True)) == made


def test_the_clouds_keep_their_noise_and_move_their_means() -> None:
    a, b = (collapse_signs.collapsing_clouds(p, seed=3) for p in (0.2, 0.6))
    np.testing.assert_array_equal(a.labels, b.labels)
    for k in range(3):
        own = a.labels == k
        x, y = (c.points[own] - c.points[own].mean(axis=0) for c in (a, b))
        np.testing.assert_allclose(x / 0.8, y / 0.4, atol=1e-12)
    assert not np.allclose(a.points, collapse_signs.collapsing_clouds(0.2, seed=4).points)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"progress": 1.0}, "progress: 1.0; expected 0 or more and less than 1"),
        ({"progress": -0.1}, "progress: -0.1"),
        ({"progress": 0.5, "classes": 1}, "expected 2 or more of each"),
    ],
)
def test_clouds_that_cannot_be_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collapse_signs.collapsing_clouds(**settings)


def test_a_recording_that_clusters_beats_its_permuted_labels(clusters: Recording) -> None:
    ends = (clusters.epochs[0], clusters.epochs[-1])
    tables = [
        collapse_signs.through_training(clusters, "coarse", epochs=ends, permuted=permuted)
        for permuted in (False, True)
    ]
    own, permuted = (t.set_index(["epoch", "measure"]) for t in tables)
    assert set(own.index.get_level_values("measure")) == {*collapse_signs.SIGNS, "NC4", "NCC"}
    last = ends[1]
    assert own.loc[(last, "CDNV"), "value"] < 0.5 * permuted.loc[(last, "CDNV"), "value"]
    ncc = own.loc[(last, "NCC")]
    assert ncc["low"] > permuted.loc[(last, "NCC"), "high"]
    assert ncc["low"] <= ncc["value"] <= ncc["high"]
    assert np.isnan(own.loc[(last, "NC1"), "low"])


def test_a_recordings_signs_are_of_its_layer_grouping_and_orders(
    clusters: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = random_grouping(clusters.hierarchy.level("coarse"), 3)
    x, test = (clusters.features(20, "stem", split) for split in ("train", "test"))
    y, z = (level.labels(clusters.fine(split)) for split in ("train", "test"))
    # The epochs that keep training images are looked at, whatever else is kept.
    monkeypatch.setattr(
        Recording,
        "kept_epochs",
        lambda _, layer=None, what="test": (20,) if what == "train" else (),
    )
    own, permuted = (
        collapse_signs.through_training(
            clusters, "random-coarse", "stem", permuted=permuted, seed=3
        ).set_index("measure")
        for permuted in (False, True)
    )
    assert set(own["epoch"]) == {20}
    assert own.loc["CDNV", "value"] == pytest.approx(cdnv(x, y))
    guess = Oracle().fit(x, y).predict(test)
    found = bootstrap_accuracy(guess, z, seed=3)
    expected = (found.value, found.low, found.high)
    assert tuple(own.loc["NCC", ["value", "low", "high"]]) == pytest.approx(expected)
    rng = np.random.default_rng(3)
    orders = [rng.permutation(y) for _ in range(20)]
    drawn = np.array([Oracle().fit(x, order).score(test, z) for order in orders])
    assert permuted.loc["NCC", "value"] == pytest.approx(drawn.mean())
    assert tuple(permuted.loc["NCC", ["low", "high"]]) == pytest.approx(percentiles(drawn))
    assert permuted.loc["CDNV", "value"] == pytest.approx(cdnv(x, orders[0]))
    # Whose classifier is scikit-learn's of the standardised features, at this penalty.
    wide = x.std(axis=0)
    linear = LogisticRegression(C=1 / (1e-3 * len(x)), max_iter=300).fit(x / wide, y)
    centred = np.stack([x[y == k].mean(axis=0) for k in range(level.k)]) - x.mean(axis=0)
    weight = linear.coef_ / wide
    apart = weight / np.linalg.norm(weight) - centred / np.linalg.norm(centred)
    assert own.loc["NC3", "value"] == pytest.approx(np.square(apart).sum(), rel=0.03)


def test_the_searches_agree_where_nothing_is_hard() -> None:
    rng = np.random.default_rng(0)
    x, centres = rng.normal(size=(300, 12)), rng.normal(size=(25, 12))
    brute = np.array([[np.sum((p - c) ** 2) for c in centres] for p in x]).argmin(axis=1)
    np.testing.assert_array_equal(search_precision.by_differences(x, centres), brute)
    np.testing.assert_array_equal(search_precision.by_products(x, centres), brute)
    for search in search_precision.SEARCHES.values():
        assert (search(x, centres) == brute).mean() > 0.99


def test_an_offset_breaks_float32_and_not_this_package() -> None:
    rng = np.random.default_rng(1)
    x, centres = rng.normal(size=(400, 32)), rng.normal(size=(20, 32))
    table = search_precision.agreement(x, centres, [1.0, 1e4, 1e8])
    at = table.set_index(["search", "offset"])["value"]
    assert at["products in float32", 1.0] == 1.0
    assert at["products in float32", 1e4] < 0.5
    assert at["rounded, then exact", 1e4] > 0.99
    assert at["rounded, then exact", 1e8] < 0.5
    assert search_precision.worst(table, "NearestCentroid").value == 1.0
    found = search_precision.worst(table, "products in float32")
    assert found.low < found.value < found.high < 0.5
    with pytest.raises(ValueError, match="search: 'magic'"):
        search_precision.worst(table, "magic")


def test_a_recordings_features_come_in_units_of_their_spread(write_synthetic) -> None:
    recording = write_synthetic("rulers-units", epochs=(0, 3))
    x, centres, labels = search_precision.features_and_centres(recording, "coarse")
    assert x.shape[0] == len(labels) == len(recording.fine()) + len(recording.fine("train"))
    assert centres.shape == (recording.hierarchy.level("coarse").k, x.shape[1])
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-9)
    assert x.std() == pytest.approx(1.0)
    # Moving and scaling everything does not change who is nearest.
    from ssl_companion.chapters.analysis.accuracies import hits

    own = search_precision.by_differences(x, centres) == labels
    np.testing.assert_array_equal(own[: len(recording.fine())], hits(recording, "coarse", (3,))[0])


def test_ratios_are_of_the_searches_that_they_name() -> None:
    table = search_precision.time_ratios((5, 50), n=200, dims=4, repeats=1)
    assert list(table.columns) == ["centres", "differences", "products"]
    assert table["centres"].tolist() == [5, 50]
    assert (table[["differences", "products"]] > 0).all(axis=None)


def test_the_recipe_turns_from_nothing_to_itself() -> None:
    full = ViewConfig()
    assert pixel_baselines.recipe_at(1) == full
    still = pixel_baselines.recipe_at(0)
    assert (still.scale, still.ratio) == ((1, 1), (1, 1))
    assert still.flip == still.grey == still.solarise == still.strength == 0
    assert pixel_baselines.recipe_at(0.5).scale == pytest.approx((0.6, 1.0))
    assert pixel_baselines.recipe_at(2).strength == 2
    assert pixel_baselines.recipe_at(2).scale == full.scale
    with pytest.raises(ValueError, match="strength: -1; expected 0 or more"):
        pixel_baselines.recipe_at(-1)


def test_views_without_strength_are_the_images_and_find_themselves() -> None:
    images = load("glyphs100", "test", n=200).images[:40]
    made = pixel_baselines.views_of(images, 2, pixel_baselines.recipe_at(0))
    np.testing.assert_allclose(made[:, 0], images / 255.0, atol=1e-5)
    table = pixel_baselines.pixel_clustering(images, (0, 1), n_views=4, n_fresh=2).set_index(
        "strength"
    )
    assert table.loc[0, "value"] == 1.0
    assert table.loc[1, "low"] <= table.loc[1, "value"] <= table.loc[1, "high"] < 0.9


def test_endings_are_run_by_run_and_an_ending_has_an_interval() -> None:
    table = toy_objectives.endings({"recipe": ObjectiveConfig()}, (0, 1, 2), steps=3)
    assert set(table["measure"]) == {"ncc", "spread", "rank", "kept"}
    assert len(table) == 12
    values = table.query("measure == 'rank'")["value"]
    found = toy_objectives.ending(table, "recipe", "rank")
    assert found.value == pytest.approx(values.mean())
    assert found.low < found.value < found.high
