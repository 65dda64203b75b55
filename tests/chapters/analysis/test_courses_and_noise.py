"""Courses of the estimators and the bounds at every noise, against what is known of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ssl_companion.chapters.analysis import compression
from ssl_companion.chapters.analysis.compression import CompressionInputs
from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import kde_information_bounds
from ssl_companion.recordings import Recording

FEW = ("variance share within samples", "coding rate given the class", "effective rank")


def test_courses_are_those_of_the_claims(clusters: Recording) -> None:
    found = compression.estimator_trajectories(clusters, which=FEW, halves=3)
    whole, halves = compression.trajectories(clusters, halves=3, which=FEW)
    np.testing.assert_allclose(found.whole, whole)
    np.testing.assert_allclose(found.halves, halves)
    table = found.table()
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    expected = compression.over_epochs(clusters, halves=3, which=FEW)
    np.testing.assert_allclose(table["value"], expected["value"])
    np.testing.assert_allclose(table[["low", "high"]], expected[["low", "high"]])


def test_falls_are_measured_from_the_peak() -> None:
    whole = np.array([[1.0, 4.0, 3.0], [1.0, 2.0, 5.0], [2.0, np.nan, 1.0]])
    names = tuple(compression.ESTIMATOR_KINDS)[:3]
    made = compression.Trajectories("made", names, (0, 1, 2), whole, whole[None], 9)
    fell = made.falls().set_index("name")
    assert fell["value"].tolist()[:2] == [0.25, 0.0]
    assert np.isnan(fell["value"].iloc[2])
    assert fell["peak_epoch"].tolist()[:2] == [1, 2]
    assert fell["peak"].tolist()[:2] == [4.0, 5.0]


def test_the_level_of_the_classes_counts(clusters: Recording) -> None:
    name = ("variance share within classes",)
    fine, coarse = (
        compression.estimator_trajectories(clusters, level, which=name, halves=0).whole
        for level in ("fine", "coarse")
    )
    assert (coarse > fine).all()  # a superclass holds the differences of its classes as well


def test_shuffled_classes_are_dearer_where_classes_cluster(clusters: Recording) -> None:
    control = compression.rate_given_shuffled(clusters, "coarse", epochs=[20], shuffles=4)
    own = compression.estimator_trajectories(
        clusters, "coarse", epochs=[20], which=("coding rate given the class",), halves=0
    )
    assert control["low"].iloc[0] > own.whole[0, 0]


def _views(images: int = 6, each: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(images), each)
    places = rng.normal(size=(images, 4))
    return places[image] + 0.3 * rng.normal(size=(len(image), 4)), image


@pytest.mark.parametrize("level", [1e-3, 0.05, 1.0])
def test_bounds_given_the_sample_are_those_of_each_image(level: float) -> None:
    views, image = _views()
    variance = level * views.var(axis=0).sum()
    each = [kde_information_bounds(views[image == i], variance, relative=False) for i in range(6)]
    order = np.random.default_rng(1).permutation(len(image))
    lower, upper = compression.bounds_given_sample(views[order], image[order], level)
    assert lower == pytest.approx(np.mean([b.lower for b in each]))
    assert upper == pytest.approx(np.mean([b.upper for b in each]))


def test_bounds_given_the_sample_end_at_zero_and_at_the_ceiling() -> None:
    views, image = _views()
    assert compression.bounds_given_sample(views, image, 1e-9) == pytest.approx([np.log(5)] * 2)
    assert compression.bounds_given_sample(views, image, 1e9) == pytest.approx([0, 0], abs=1e-6)


def test_bounds_given_the_sample_refuse_what_they_cannot_answer() -> None:
    views, image = _views()
    with pytest.raises(ValueError, match="expected one number"):
        compression.bounds_given_sample(views[1:], image[1:], 0.1)
    with pytest.raises(ValueError, match=r"noise: 0.0; expected a number above 0"):
        compression.bounds_given_sample(views, image, 0.0)
    with pytest.raises(UndefinedMeasure, match="no variance"):
        compression.bounds_given_sample(np.ones_like(views), image, 0.1)


def test_over_noise_falls_with_the_noise_and_agrees_with_the_estimators(
    clusters: Recording,
) -> None:
    levels = [0.001, 0.01, 0.5]
    found = compression.over_noise(clusters, levels, halves=2, epochs=[0, 20])
    ends = np.array([found[level].whole[:, -1] for level in levels])
    assert (np.diff(ends, axis=0) <= 1e-9).all()
    same = compression.estimator_trajectories(
        clusters, which=compression.TOTAL, halves=2, epochs=[0, 20]
    )
    np.testing.assert_allclose(found[0.01].whole[:2], same.whole)
    np.testing.assert_allclose(found[0.01].halves[:, :2], same.halves)
    given = compression.over_noise(clusters, [0.01], halves=0, epochs=[0, 20], total=False)
    np.testing.assert_allclose(given[0.01].whole, found[0.01].whole[2:])
    assert given[0.01].falls()[["low", "high"]].notna().all().all()


def test_a_point_has_no_information(clusters: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    real = CompressionInputs.of

    def point(recording: Recording, epoch: int) -> CompressionInputs:
        made = real(recording, epoch)
        return dataclasses.replace(made, views=np.ones_like(made.views))

    monkeypatch.setattr(CompressionInputs, "of", point)
    found = compression.over_noise(clusters, [0.1], halves=2, epochs=[0, 1])
    assert np.isnan(found[0.1].whole).all()
    assert found[0.1].falls()["value"].isna().all()
    assert compression.rate_given_shuffled(clusters, epochs=[0])["value"].isna().all()
