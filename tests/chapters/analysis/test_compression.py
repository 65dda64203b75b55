"""Estimators of compression on inputs whose answers are known, and along recordings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ssl_companion.chapters.analysis import compression
from ssl_companion.chapters.analysis.compression import (
    ESTIMATORS,
    CompressionInputs,
    share_within,
)
from ssl_companion.measures import (
    coding_rate_given,
    directions,
    effective_rank,
    kde_information_bounds,
    renyi_entropy,
)
from ssl_companion.recordings import Recording


def _material(spread: float, images: int = 200, d: int = 6, seed: int = 0) -> CompressionInputs:
    """Images at normal places of variance one, views scattered about them."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(images, d))
    image = np.repeat(np.arange(images), 2)
    few = np.repeat(np.arange(5), 40)
    classes = np.arange(images) % 10
    means = np.stack([places[classes == k].mean(axis=0) for k in range(10)])
    return CompressionInputs(
        places[image] + spread * rng.normal(size=(2 * images, d)), image, classes, places,
        places[few] + spread * rng.normal(size=(200, d)), few, places, classes, means,
    )  # fmt: skip


@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0])
def test_the_share_within_samples_is_the_one_that_was_made(spread: float) -> None:
    m = _material(spread, images=2000)
    found = ESTIMATORS["variance share within samples"](m, 0.01)
    assert found == pytest.approx(spread**2 / (1 + spread**2), rel=0.05)


def test_the_share_within_is_of_squared_distances() -> None:
    points, means = np.array([[1.0, 0.0], [1.0, 2.0], [6.0, 0.0]]), np.array([[0.0, 0.0], [4.0, 2]])
    within = (1 + 5 + (4 + 4)) / 3  # 1, 1 + 4, 4 + 4
    between = 4 + 1  # both means are (2, 1) from their centre
    found = share_within(points, np.array([0, 0, 1]), means)
    assert found == pytest.approx(within / (within + between))


def test_every_estimator_reads_what_it_is_named_for() -> None:
    """Views of 40 images, 10 classes, and a few images of many views, all about other places."""
    m, other = _material(0.4, images=40), _material(0.2, images=30, seed=1)
    m = replace(m, many=other.many + 3, test=other.test, test_classes=other.classes,
                class_means=other.class_means)  # fmt: skip
    found = {name: of(m, 0.05) for name, of in ESTIMATORS.items()}
    bounds = kde_information_bounds(m.views, 0.05)
    # Directions are from the one mean of all views.
    whole = np.concatenate([m.views, m.many])
    centred = whole - whole.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(directions(whole), unit, atol=1e-9)
    few, many = unit[: len(m.views)], unit[len(m.views) :]

    def rate(z: np.ndarray) -> float:  # up to a squared error of 0.5
        d = z.shape[1]
        return float(np.linalg.slogdet(np.eye(d) + d / (len(z) * 0.5) * z.T @ z)[1]) / 2

    assert found["coding rate"] == pytest.approx(rate(few))
    by_class = m.classes[m.image]
    assert found["coding rate given the class"] == pytest.approx(coding_rate_given(few, by_class))
    given_sample = coding_rate_given(many, m.many_of)
    assert found["coding rate given the sample"] == pytest.approx(given_sample)
    assert found["Rényi entropy"] == pytest.approx(renyi_entropy(m.views))
    assert found["effective rank"] == pytest.approx(effective_rank(m.views))
    assert found["lower bound of the information"] == pytest.approx(bounds.lower)
    assert found["upper bound of the information"] == pytest.approx(bounds.upper)
    for name, own in (
        ("variance share within samples", (m.views, m.image, m.sample_means)),
        ("variance share within classes", (m.test, m.test_classes, m.class_means)),
    ):
        assert found[name] == pytest.approx(share_within(*own))


def test_share_within_is_nan_where_nothing_varies() -> None:
    assert np.isnan(share_within(np.ones((4, 2)), np.array([0, 0, 1, 1]), np.ones((2, 2))))


@pytest.mark.parametrize(
    "name",
    [
        "variance share within samples",
        "coding rate given the sample",
        "lower bound of the information",
    ],
)
def test_tighter_views_are_more_compressed(name: str) -> None:
    tight, wide = (ESTIMATORS[name](_material(s), 0.01) for s in (0.02, 0.6))
    assert tight < wide


@pytest.mark.parametrize(
    "name",
    ["coding rate", "Rényi entropy", "effective rank", "lower bound of the information",
     "upper bound of the information"],
)  # fmt: skip
def test_fewer_dimensions_are_more_compressed(name: str) -> None:
    m = _material(0.3)
    flat = np.diag([1, 1, 0.01, 0.01, 0.01, 0.01])
    squeezed = replace(m, views=m.views @ flat, many=m.many @ flat)
    assert ESTIMATORS[name](squeezed, 0.01) < ESTIMATORS[name](m, 0.01)


@pytest.mark.parametrize("name", [n for n in ESTIMATORS if n != "Rényi entropy"])
def test_no_estimator_is_fooled_by_the_unit_of_the_features(name: str) -> None:
    m = _material(0.3)
    grown = {f: getattr(m, f) * 1000 for f in ("views", "sample_means", "many", "test",
                                              "class_means")}  # fmt: skip
    # The effective rank adds 1e-7 to shares, which are free of the unit.
    expected = ESTIMATORS[name](m, 0.01)
    assert ESTIMATORS[name](replace(m, **grown), 0.01) == pytest.approx(expected)


def test_more_noise_leaves_less_information() -> None:
    m = _material(0.3)
    bounds = [
        ESTIMATORS["lower bound of the information"](m, noise) for noise in (0.001, 0.01, 0.1)
    ]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > bounds[-1] + 0.5


def test_a_half_holds_half_of_the_images_and_their_own_views() -> None:
    m = _material(0.001)
    half = m.half(seed=1)
    assert len(half.classes) == len(half.sample_means) == 100
    assert len(half.views) == 200
    np.testing.assert_allclose(half.views, half.sample_means[half.image], atol=0.01)
    assert len(half.test) == len(half.test_classes) == 100
    assert len(np.unique(half.many_of)) == 3, "the larger half of five"


def test_the_jackknife_interval_covers_as_fresh_images_vary() -> None:
    name = "variance share within samples"
    fresh = [ESTIMATORS[name](_material(0.3, seed=s), 0.01) for s in range(60)]
    halves = [ESTIMATORS[name](_material(0.3).half(s), 0.01) for s in range(60)]
    assert np.std(halves) == pytest.approx(np.std(fresh), rel=0.4)


def test_features_that_collapsed_to_a_point_are_an_answer() -> None:
    m = _material(0.3)
    point = {f: np.ones_like(getattr(m, f)) for f in ("views", "sample_means", "many", "test",
                                                      "class_means")}  # fmt: skip
    found = compression.estimates(replace(m, **point))
    assert found.shape == (len(ESTIMATORS),)
    assert np.isnan(found[0])


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [([1, 2, 4.0], 0.75, "rises"), ([4, 2, 1.0], -0.75, "falls"), ([1, 9, 2.0], 0.5, "rises"),
     ([4, 9, 4.05], 0.0123, "stays"), ([1, 2, np.nan], np.nan, "not defined"),
     ([0, 1, 0.0], np.nan, "not defined"), ([-4, 0, -1.0], 0.75, "rises"),
     ([-4, 0, 2.0], 1.5, "rises"), ([8, 8, 7.0], -0.125, "falls"), ([8, 8, 7.3], -0.0875, "stays"),
     ([10, 5, 9.0], -0.1, "falls")],
)  # fmt: skip
def test_a_change_is_from_the_first_to_the_last_as_a_share_of_the_larger(
    line: list[float], change: float, words: str
) -> None:
    found = compression.changes(np.array(line))
    assert found == pytest.approx(change, abs=1e-4, nan_ok=True)
    assert compression.in_words(float(found)) == words


def test_a_change_whose_interval_holds_zero_is_not_clear() -> None:
    assert compression.in_words(-0.104, low=-0.19, high=0.07) == compression.UNCLEAR
    assert compression.in_words(-0.104, low=-0.19, high=-0.02) == "falls"
    assert compression.in_words(0.04, low=-0.1, high=0.2) == "stays"


def test_what_classes_save_is_counted_from_the_shuffled_ones() -> None:
    name = "coding rate given the class"
    points = pd.DataFrame(
        {"epoch": [0, 5, 5], "estimator": [name, name, "x"], "value": [4, 3, 9.0]}
    )
    control = pd.DataFrame({"epoch": [0, 5], "value": [4.0, 4.0]})
    found = compression.saved_by_classes(points, control)
    assert found["saved"].tolist() == [0, 1]
    assert found["share"].tolist() == [0, 0.25]


FEW = ("variance share within samples", "coding rate given the class", "effective rank")


def test_every_estimator_at_every_epoch_with_its_interval(clusters: Recording) -> None:
    table = compression.trajectories(clusters, halves=6).table()
    assert set(table["estimator"]) == set(compression.ESTIMATORS)
    assert len(table) == len(compression.ESTIMATORS) * len(clusters.kept_epochs())
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    within = table[table["estimator"] == "variance share within samples"]
    assert within["value"].is_monotonic_decreasing
    inputs = CompressionInputs.of(clusters, 20)
    whole = compression.trajectories(clusters, halves=3, which=FEW)
    np.testing.assert_array_equal(whole.whole[:, -1], compression.estimates(inputs, which=FEW))
    half = compression.estimates(inputs.half(2), which=FEW)
    np.testing.assert_array_equal(whole.halves[2, :, -1], half)
    assert set(table["n"]) == {200}, "two fresh views of each of 100 images"
    units = table.groupby("estimator")["unit"].first()
    assert units["effective rank"] == "dimensions"
    assert units["variance share within classes"] == "share"
    assert (units[units.index.str.contains("rate|entropy|information")] == "nats").all()


def test_the_noise_asked_for_is_that_of_the_whole_and_of_the_halves(clusters: Recording) -> None:
    which = ("lower bound of the information",)
    found = compression.trajectories(clusters, epochs=[20], halves=1, noise=0.5, which=which)
    own = CompressionInputs.of(clusters, 20)
    for inputs, value in ((own, found.whole), (own.half(0), found.halves[0])):
        assert value.item() == kde_information_bounds(inputs.views, 0.5).lower


def test_changes_have_an_interval_and_words() -> None:
    whole = np.array([[2.0, 4.0, 4.0], [1.0, 2.0, 5.0], [2.0, 3.0, np.nan]])
    names = tuple(compression.ESTIMATOR_KINDS)[:3]
    halves = whole * np.array([1.0, 1.0, 1.1])
    made = compression.Trajectories("made", names, (0, 1, 2), whole, halves[None], 9)
    found = made.changes().set_index("estimator")
    assert found["value"].tolist()[:2] == [0.5, 0.8]
    assert found["shape"].tolist() == ["rises", "rises", "not defined"]
    assert found["first"].tolist() == [2.0, 1.0, 2.0]
    assert found[["low", "high"]].iloc[:2].notna().all().all()
    shown = compression.changes_by_run({"own": made.changes(), "other": made.changes()[::-1]})
    assert shown["estimator"].tolist() == list(names)
    assert shown["before → after"].tolist() == [
        "200.0% → 400.0%", "100.0% → 500.0%", "2.00 → nan nats",
    ]  # fmt: skip
    assert shown["own"].tolist() == [
        "rises, +50% (+50% to +50%)", "rises, +80% (+80% to +80%)", "not defined",
    ]  # fmt: skip
    assert shown["other"].tolist() == ["rises, +50%", "rises, +80%", "not defined"]


@pytest.mark.parametrize(
    ("last", "shown"), [(86.0, "86.0"), (120.0, "120"), (0.5, "0.500"), (43.26, "43.3")]
)
def test_both_ends_of_a_change_are_shown_in_three_digits(last: float, shown: str) -> None:
    names = ("coding rate",)
    assert compression.UNITS[names[0]] == "nats"
    whole = np.array([[43.3, last]])
    made = compression.Trajectories("made", names, (0, 1), whole, whole[None], 9)
    row = compression.changes_by_run({"own": made.changes()}).iloc[0]
    assert row["before → after"] == f"43.3 → {shown} nats"


def test_the_level_of_the_classes_counts(clusters: Recording) -> None:
    name = ("variance share within classes",)
    fine, coarse = (
        compression.trajectories(clusters, level, which=name, halves=0).whole
        for level in ("fine", "coarse")
    )
    assert (coarse > fine).all()  # a superclass holds the differences of its classes as well


def test_shuffled_classes_are_dearer_where_classes_cluster(clusters: Recording) -> None:
    control = compression.rate_given_shuffled(clusters, "coarse", epochs=[20], shuffles=4)
    own = compression.trajectories(
        clusters, "coarse", epochs=[20], which=("coding rate given the class",), halves=0
    )
    assert control["low"].iloc[0] > own.whole[0, 0]
    m = CompressionInputs.of(clusters, 20, "coarse")
    rng, z = np.random.default_rng(0), directions(m.views)
    drawn = [coding_rate_given(z, rng.permutation(m.classes)[m.image]) for _ in range(4)]
    row = control.iloc[0]
    assert row["value"] == pytest.approx(np.mean(drawn))
    ends = stats.mstats.mquantiles(drawn, [0.025, 0.975], alphap=1, betap=1)
    assert (row["low"], row["high"]) == pytest.approx(tuple(ends))


def test_class_means_are_of_all_images_of_a_class(
    clusters: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = np.arange(1, 101)
    monkeypatch.setattr(Recording, "class_counts", counts)
    means = CompressionInputs.of(clusters, 20, "coarse").class_means
    of_fine, fine = clusters.hierarchy.level("coarse").of_fine, clusters.class_means(20)
    expected = [np.average(fine[of_fine == k], axis=0, weights=counts[of_fine == k])
                for k in range(len(means))]  # fmt: skip
    np.testing.assert_allclose(means, expected, rtol=1e-4, atol=1e-5)


def test_a_point_has_no_rate(clusters: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    real = CompressionInputs.of

    def point(recording: Recording, epoch: int, level: str) -> CompressionInputs:
        made = real(recording, epoch, level)
        return replace(made, views=np.ones_like(made.views))

    monkeypatch.setattr(CompressionInputs, "of", point)
    assert compression.rate_given_shuffled(clusters, epochs=[0])["value"].isna().all()
