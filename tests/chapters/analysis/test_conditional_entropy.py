"""Conditional entropies and their shares, on Gaussians whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_companion.chapters.analysis import conditional_entropy
from ssl_companion.chapters.analysis.accuracies import NotRecorded
from ssl_companion.chapters.analysis.conditional_entropy import (
    NOISE,
    NOISES,
    Entropies,
    EntropyCourse,
    Kept,
    _class_means,
    _Spectrum,
    _spectrum,
)
from ssl_companion.recordings import Recording, open_recording


class Truth(NamedTuple):
    """Covariances [D, D] of a view, of a view about its image (and of an image about its class),
    and of an image of the classes that there are."""

    view: np.ndarray
    within: np.ndarray
    image: np.ndarray


def _gaussian(
    dims: int, power: float, *, images: int = 200, views: int = 2, seed: int = 0
) -> tuple[Kept, Truth]:
    """Features of images and views whose covariances are known and steep; 5 images a class."""
    rng = np.random.default_rng(seed)
    rank = np.arange(1.0, dims + 1)
    between, within = rank**-power, 0.3 * rank ** (-power / 2)
    within *= between.sum() / rank.size / within.mean()

    def about(centres: np.ndarray, each: int) -> np.ndarray:
        noise = rng.normal(size=(len(centres), each, dims)) * np.sqrt(within)
        found: np.ndarray = centres[:, None] + noise
        return found

    places, classes = (rng.normal(size=(n, dims)) * np.sqrt(between) for n in (images, images // 2))
    plain = about(classes, 5).reshape(-1, dims)
    kept = Kept(about(places, views), plain, np.repeat(range(images // 2), 5))
    # Other images would have other places; the classes are all that there are.
    of_image = np.diag(within) + np.cov(classes.T, bias=True)
    return kept, Truth(np.diag(between + within), np.diag(within), of_image)


def _closed_form(covariance: np.ndarray, s2: float) -> float:
    return float(np.linalg.slogdet(np.eye(len(covariance)) + covariance / s2)[1]) / 2


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("dims", "views"), [(32, 2), (250, 2), (64, 40)])
def test_the_shares_are_those_of_the_gaussians_they_come_from(
    dims: int, views: int, power: float
) -> None:
    off = []
    for seed in range(6):  # the images' own luck is no error of the estimate
        kept, truth = _gaussian(dims, power, views=views, seed=seed)
        for noise, found in zip(NOISES, kept.entropies(NOISES), strict=True):
            s2, plain = noise * np.trace(truth.view), noise * np.trace(truth.image)
            expected = Entropies(
                _closed_form(truth.view, s2), _closed_form(truth.within, s2),
                _closed_form(truth.image, plain), _closed_form(truth.within, plain),
            )  # fmt: skip
            off.append([
                getattr(found, name) / getattr(expected, name)
                for name in ("views", "given_image", "view_share", "images", "given_class",
                             "class_share")
            ])  # fmt: skip
    by_noise = np.reshape(off, (6, len(NOISES), -1)).mean(axis=0)
    np.testing.assert_allclose(by_noise, 1.0, atol=0.04)


def test_the_plain_log_determinant_would_be_far_off() -> None:
    kept, truth = _gaussian(250, 0.5)
    s2 = 0.01 * np.trace(truth.view)
    plain = _closed_form(np.cov(kept.views[:, 0].T), s2)
    assert plain < 0.9 * _closed_form(truth.view, s2)


def test_classes_by_lot_leave_all_of_the_entropy() -> None:
    kept, _ = _gaussian(64, 1.5, images=400)
    by_lot = replace(kept, classes=np.random.default_rng(1).permutation(kept.classes))
    assert by_lot.entropies()[0].class_share == pytest.approx(1.0, abs=0.01)
    assert kept.entropies()[0].class_share < 0.9


VALUES = st.lists(st.floats(0.01, 10.0), min_size=2, max_size=12).map(np.array)


@given(VALUES, st.integers(2, 400), st.floats(0.01, 2.0))
@settings(max_examples=60, deadline=None)
def test_the_entropy_is_at_least_the_samples_own_and_falls_with_the_noise(
    values: np.ndarray, freedom: int, noise: float
) -> None:
    spectrum, s2 = _Spectrum(values[:freedom], freedom), noise * float(values.sum())
    less, more = spectrum.entropy(s2), spectrum.entropy(1.5 * s2)
    if not np.isfinite(less):  # too few views for so little noise
        assert freedom <= len(values)
        return
    assert less >= _closed_form(np.diag(values[:freedom]), s2) - 1e-9
    assert more <= less
    many = _Spectrum(values, 10**9)
    assert many.entropy(s2) == pytest.approx(_closed_form(np.diag(values), s2), rel=1e-6)


@given(st.floats(1e-3, 1e3), st.integers(0, 10))
@settings(max_examples=15, deadline=None)
def test_neither_the_unit_nor_the_axes_nor_the_place_matter(unit: float, seed: int) -> None:
    kept, _ = _gaussian(8, 1.0, images=40)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))[0] * unit
    moved = Kept(kept.views @ turn + unit, 3 * kept.images @ turn - unit, kept.classes)
    plain, other = kept.entropies()[0], moved.entropies()[0]
    for name in ("views", "given_image", "images", "given_class"):
        assert getattr(other, name) == pytest.approx(getattr(plain, name), rel=1e-6)


def test_a_point_has_no_share_and_too_little_noise_no_answer() -> None:
    kept, _ = _gaussian(8, 1.0, images=40)
    point = Kept(np.ones_like(kept.views), np.ones_like(kept.images), kept.classes)
    assert np.isnan(point.entropies()[0].view_share)
    assert np.isnan(_spectrum(np.random.default_rng(0).normal(size=(5, 50)), 4).entropy(1e-6))


def test_shares_and_information_are_of_their_own_entropy() -> None:
    found = Entropies(views=2.0, given_image=0.5, images=4.0, given_class=3.0)
    assert (found.view_share, found.class_share) == (0.25, 0.75)
    assert (found.about_image, found.about_class) == (1.5, 1.0)
    for quantity, (_, unit) in conditional_entropy.QUANTITIES.items():
        assert unit == ("share" if quantity.endswith("share") else "nats")


def test_each_covariance_has_its_degrees_of_freedom() -> None:
    """Of few images, on which one degree more or less shows: NumPy's covariances, pooled."""
    rng = np.random.default_rng(0)
    views, images = rng.normal(size=(6, 3, 4)), rng.normal(size=(9, 4))
    classes = np.repeat([2, 5], [4, 5])
    of_view = [np.cov(views[:, i].T) for i in range(3)]
    within = np.mean([np.cov(one.T) for one in views], axis=0)
    of_images = np.cov(images.T)
    in_class = sum((classes == k).sum() * np.cov(images[classes == k].T, bias=True) for k in (2, 5))

    def entropy(covariance: np.ndarray, freedom: int, s2: float) -> float:
        return _Spectrum(np.linalg.eigvalsh(covariance), freedom).entropy(s2)

    s2, plain = 0.5 * np.trace(np.mean(of_view, axis=0)), 0.5 * np.trace(of_images)
    [found] = Kept(views, images, classes).entropies([0.5])
    assert found.views == pytest.approx(np.mean([entropy(of, 5, s2) for of in of_view]))
    assert found.given_image == pytest.approx(entropy(within, 12, s2))
    assert found.images == pytest.approx(entropy(of_images, 8, plain))
    assert found.given_class == pytest.approx(entropy(in_class / 7, 7, plain))


def test_the_jackknife_spreads_as_fresh_images_do() -> None:
    fresh = [_gaussian(16, 1.0, seed=s)[0].entropies()[0].view_share for s in range(60)]
    kept, _ = _gaussian(16, 1.0)
    halves = [kept.half(s).entropies()[0].view_share for s in range(60)]
    assert np.std(halves) == pytest.approx(np.std(fresh), rel=0.4)


def test_a_half_holds_half_of_the_images_of_each_class() -> None:
    kept, _ = _gaussian(4, 1.0, images=40)
    half = kept.half(3)
    assert half.views.shape == (20, 2, 4)
    assert set(np.bincount(half.classes)) == {2, 3}
    own = {tuple(row) for row in kept.views.reshape(40, -1)}
    assert {tuple(row) for row in half.views.reshape(20, -1)} <= own


def test_a_course_falls_from_its_first_epoch_to_its_last(
    clusters: Recording, untrained: Recording
) -> None:
    found = conditional_entropy.course(clusters, halves=8, noises=NOISES)
    assert found.epochs == (0, 1, 4, 20)
    table = found.table()
    assert (table["low"] <= table["value"] + 1e-12).all()
    assert (table["value"] <= table["high"] + 1e-12).all()
    shares = table[(table["quantity"] == "view_share") & (table["noise"] == 0.01)]
    fall = found.fall("view_share")
    assert fall.value == pytest.approx(shares["value"].iloc[0] - shares["value"].iloc[-1])
    assert 0 < fall.low <= fall.value <= fall.high
    still = conditional_entropy.before_and_after(untrained, halves=4)
    assert still.epochs == (0, 20)
    assert still.fall("class_share").value == pytest.approx(0, abs=1e-9)
    with pytest.raises(NotRecorded, match="at two epochs"):
        conditional_entropy.course(untrained, epochs=[0])


def test_a_course_is_of_fresh_views_and_training_images_and_of_their_halves(
    clusters: Recording,
) -> None:
    found = conditional_entropy.course(clusters, epochs=[1, 20], halves=2, noises=NOISES, seed=3)
    views, image = clusters.sample_views(20)
    own = Kept(
        np.stack([views[image == i] for i in range(100)]),
        clusters.features(20, split="train"),
        clusters.fine("train"),
    )
    whole = own.entropies(NOISES)
    assert found.whole[1] == whole
    assert found.halves[1][1] == own.half(4).entropies(NOISES)
    table = found.table().set_index(["quantity", "noise", "epoch"]).sort_index()
    behind = {"view_share": 100, "about_image": 100, "class_share": 1200, "about_class": 1200}
    for quantity, n in behind.items():
        for noise, known in zip(NOISES, whole, strict=True):
            row = table.loc[(quantity, noise, 20)]
            assert (row["value"], row["n"]) == (getattr(known, quantity), n)
            fell = found.fall(quantity, noise).value
            assert fell == pytest.approx(table.loc[(quantity, noise, 1), "value"] - row["value"])


def test_a_direction_follows_the_interval() -> None:
    def run(ends: tuple[float, float], *halves: tuple[float, float]) -> str:
        whole, *parts = (
            [[Entropies(views, 1.0, 1.0, 1.0)] for views in line] for line in (ends, *halves)
        )
        made = EntropyCourse("made", (0, 1), (NOISE,), whole, parts, 9, 9)
        return made.direction("views")

    assert run((3.0, 1.0)) == "falls"
    assert run((1.0, 3.0)) == "rises"
    assert run((1.0, 1.0)) == "does not measurably change"
    assert run((3.0, 1.0), (3.0, 1.0), (3.5, 1.0)) == "falls"
    assert run((2.0, 1.5), (3.0, 1.0), (1.0, 3.0)) == "does not measurably change"


def test_a_table_is_read_in_place_of_features(
    write_synthetic: Callable[..., Recording], add_entropies: Callable[..., Recording]
) -> None:
    run = write_synthetic("entropies-in-the-table-s0")
    live = conditional_entropy.course(run, halves=3)
    tabled = conditional_entropy.course(add_entropies(run), halves=3)
    pd.testing.assert_frame_equal(live.table(), tabled.table())
    (run.path / "features.safetensors").unlink()
    without = conditional_entropy.course(open_recording(run.path), halves=3)
    assert without.whole[-1][0].view_share == pytest.approx(live.whole[-1][0].view_share)
    assert np.isnan(without.fall("view_share").low)


def test_what_the_table_has_comes_from_it_and_the_rest_from_the_features(
    write_synthetic: Callable[..., Recording],
    add_entropies: Callable[..., Recording],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = add_entropies(write_synthetic("entropies-of-all-images-s0", layers=1))
    live = Kept.of(run, 20).entropies([0.01, 0.5])
    table = pd.read_csv(run.path / "measures.csv.gz")
    table.loc[table["measure"] == "rate@0.01", "value"] *= 2
    table.to_csv(run.path / "measures.csv.gz", index=False)
    run = open_recording(run.path)
    told, other = conditional_entropy.entropies(run, 20, [0.01, 0.5])
    assert (told.views, told.images) == pytest.approx((2 * live[0].views, 2 * live[0].images))
    assert told.given_image == pytest.approx(live[0].given_image)
    assert other == live[1]

    kept = Recording.kept_epochs

    def without_one(self: Recording, layer: str | None = None, what: str = "test") -> tuple:
        return tuple(e for e in kept(self, layer, what) if what != "sample_views" or e != 1)

    monkeypatch.setattr(Recording, "kept_epochs", without_one)
    course = conditional_entropy.course(run, halves=3).table()
    unknown = course[course["low"].isna()]
    assert set(unknown["epoch"]) == {1}, "an epoch without views has no halves"
    assert unknown["value"].notna().all()
    assert course.loc[course["epoch"] != 1, "low"].notna().all()


def test_entropies_are_computed_where_views_and_training_images_are_kept(
    clusters: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = {"train": (0, 1, 4), "sample_views": (1, 4, 20), "test": (0, 1, 4, 20)}
    monkeypatch.setattr(Recording, "kept_epochs", lambda _, layer=None, what="test": epochs[what])
    assert conditional_entropy.epochs_of(clusters) == (1, 4)


def test_a_run_with_neither_says_so(write_synthetic: Callable[..., Recording]) -> None:
    run = write_synthetic("no-entropies-s0", features=False)
    assert conditional_entropy.epochs_of(run) == ()
    with pytest.raises(NotRecorded, match="no-entropies-s0: no entropies"):
        conditional_entropy.before_and_after(run)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_class_means_are_those_of_each_class_alone_to_the_last_bit(dtype: type) -> None:
    rng = np.random.default_rng(0)
    classes = rng.permutation(np.repeat(np.arange(3, 33), rng.integers(1, 12, 30)))
    x = rng.standard_normal((len(classes), 7)).astype(dtype)
    means, names = _class_means(x, classes)
    expected = np.stack([x[classes == k].mean(axis=0) for k in np.unique(classes)])
    np.testing.assert_array_equal(means, expected)
    np.testing.assert_array_equal(np.unique(classes)[names], classes)
