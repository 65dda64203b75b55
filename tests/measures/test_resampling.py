"""Bootstrap intervals against the binomial, SciPy's bootstrap and their own coverage."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ssl_companion.measures import bootstrap, bootstrap_accuracy, bootstrap_mean
from ssl_companion.measures.resampling import (
    draw_counts,
    interval,
    pearson,
    percentiles,
    resampled,
    spearman,
    wilson,
)


def test_an_accuracys_interval_is_the_binomials():
    y = np.zeros(1000, dtype=int)
    predicted = (np.arange(1000) >= 300).astype(int)  # 30% correct
    found = bootstrap_accuracy(predicted, y, resamples=20_000)
    assert found.value == pytest.approx(0.3)
    low, high = stats.binom.ppf([0.025, 0.975], 1000, 0.3) / 1000
    assert found.low == pytest.approx(low, abs=0.0021)
    assert found.high == pytest.approx(high, abs=0.0021)
    assert bootstrap_accuracy(predicted, y, confidence=0.5).high < found.high


def test_agrees_with_scipy_on_real_values():
    values = np.random.default_rng(0).exponential(size=150)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=5000, random_state=1
    ).confidence_interval
    for found in (
        bootstrap_mean(values, resamples=5000),
        bootstrap(lambda rows: values[rows].mean(-1), 150, resamples=5000),
    ):
        assert found.value == pytest.approx(values.mean())
        assert found.low == pytest.approx(theirs.low, abs=0.02)
        assert found.high == pytest.approx(theirs.high, abs=0.02)


def test_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        found = bootstrap_mean(rng.random(200) < 0.4, resamples=400, seed=seed)
        hits += found.low <= 0.4 <= found.high
    assert 0.9 < hits / 300 < 0.985


def test_views_of_one_image_are_drawn_together():
    rng = np.random.default_rng(0)
    per_image = rng.random(100)
    images = np.repeat(rng.permutation(1000)[:100], 20)  # ids with gaps
    views = np.repeat(per_image, 20)
    together = bootstrap_mean(views, images)
    alone = bootstrap_mean(per_image)
    assert together.low == pytest.approx(alone.low, abs=0.01)
    assert together.high == pytest.approx(alone.high, abs=0.01)
    apart = bootstrap_mean(views)  # as if the 2000 views were independent
    assert (together.high - together.low) > 3 * (apart.high - apart.low)
    # An image counts as often as it has views.
    uneven = bootstrap_mean([1.0, 0.0, 0.0, 0.0], [0, 1, 1, 1], resamples=4000)
    assert (uneven.value, uneven.low, uneven.high) == (0.25, 0.0, 1.0)


def test_paired_differences_are_tighter_than_unpaired():
    rng = np.random.default_rng(0)
    a = rng.random(2000) < 0.5
    b = np.where(rng.random(2000) < 0.05, ~a, a)
    paired = bootstrap_mean(b.astype(int) - a.astype(int))
    assert paired.value == pytest.approx(b.mean() - a.mean())
    assert paired.high - paired.low < 0.5 * (bootstrap_mean(a).high - bootstrap_mean(a).low + 1e-9)


def test_the_seed_decides():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    bootstrap_mean(values)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_a_correlations_interval():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(400)
    y = 0.6 * x + 0.8 * rng.standard_normal(400)
    found = bootstrap(lambda rows: pearson(x[rows], y[rows]), 400)
    assert found.value == pytest.approx(stats.pearsonr(x, y).statistic)
    centre, half = np.arctanh(found.value), 1.96 / np.sqrt(397)  # Fisher's
    assert found.low == pytest.approx(np.tanh(centre - half), abs=0.03)
    assert found.high == pytest.approx(np.tanh(centre + half), abs=0.03)


def test_draws_without_a_value_are_left_out_and_too_many_of_them_leave_nothing():
    def only_if_varied(rows: np.ndarray) -> np.ndarray:
        return np.where(np.ptp(rows, axis=-1) == 0, np.nan, rows.mean(-1))

    found = bootstrap(only_if_varied, 3)  # one draw in nine is constant
    assert np.isfinite([found.low, found.high]).all()
    nothing = bootstrap(only_if_varied, 1)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 30), kinds=st.integers(1, 9))
def test_spearman_is_scipys_row_by_row_ties_included(seed: int, n: int, kinds: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, kinds, (2, 4, n)).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows that do not vary, which give NaN
        expected = [stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), expected, atol=1e-12)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_ends_are_the_quantiles_that_leave_half_of_the_rest_on_each_side(confidence: float) -> None:
    drawn = np.random.default_rng(0).permutation(np.linspace(0, 1, 2001))
    tail = (1 - confidence) / 2
    assert percentiles(drawn, confidence) == pytest.approx((tail, 1 - tail))
    found = interval(0.4, drawn, confidence)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, tail, 1 - tail))
    assert found.confidence == confidence
    assert percentiles(drawn) == percentiles(drawn, 0.95)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("known", "of", "told"), [(5, 10, True), (4, 9, False), (0, 3, False)])
def test_half_of_the_draws_have_to_be_finite(bad: float, known: int, of: int, told: bool) -> None:
    drawn = np.concatenate([np.full(of - known, bad), np.linspace(1, 2, known)])
    found = interval(1.5, drawn)
    ends = (found.low, found.high) if told else percentiles(drawn)
    assert np.isfinite([found.value, *ends]).all() == told
    if told:  # of those that are finite
        assert ends == pytest.approx((1.025, 1.975))
    assert np.isnan(interval(bad, np.ones(10)).low)


def test_one_draw_at_a_time_is_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(30)
    for resamples in (1, 7, 50):
        whole = bootstrap_mean(values, resamples=resamples)
        for at_once in (1, 60, 95):
            monkeypatch.setattr("ssl_companion.measures.resampling._DRAWS", at_once)
            found = bootstrap_mean(values, resamples=resamples)
            assert (found.low, found.high) == pytest.approx((whole.low, whole.high), rel=1e-12)
        monkeypatch.undo()


def test_every_image_is_drawn_as_often_and_as_many_as_there_are() -> None:
    seen: list[np.ndarray] = []

    def statistic(rows: np.ndarray) -> np.ndarray:
        seen.append(rows)
        return rows.mean(-1)

    bootstrap(statistic, 12, resamples=5000)
    drawn = next(rows for rows in seen if rows.ndim == 2)
    assert drawn.shape == (5000, 12)
    for counts in (
        np.bincount(drawn.ravel(), minlength=12),
        draw_counts(12, 5000).sum(axis=0),
        draw_counts(12, 5000, np.random.default_rng(7)).sum(axis=0),
    ):
        assert len(counts) == 12
        assert stats.chisquare(counts).pvalue > 1e-4
    assert (draw_counts(12, 5000).sum(axis=1) == 12).all()
    assert draw_counts(12, 5000).var(axis=0) == pytest.approx(np.full(12, 11 / 12), rel=0.1)


def test_resampled_means_are_those_of_the_images_drawn() -> None:
    rng = np.random.default_rng(0)
    values, images = rng.random((3, 20)), np.repeat([9, 2, 5, 30], [5, 5, 2, 8])  # ids with gaps
    by_image = {i: np.flatnonzero(images == i) for i in np.unique(images)}
    found = resampled(values, images, resamples=40, seed=5)
    for r, times in enumerate(draw_counts(4, 40, 5).astype(int)):
        rows = np.concatenate(
            [np.tile(by_image[i], n) for i, n in zip(by_image, times, strict=True)]
        )
        np.testing.assert_allclose(found[:, r], values[:, rows].mean(axis=1), rtol=1e-12)
    alone = resampled(values[0], None, resamples=40, seed=5)
    np.testing.assert_allclose(alone, draw_counts(20, 40, 5) @ values[0] / 20, rtol=1e-12)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (3, 7), (7, 7), (199, 200)])
def test_wilsons_interval_is_its_formula(hits: int, n: int) -> None:
    for confidence in (0.9, 0.95):
        z, p = stats.norm.ppf((1 + confidence) / 2), hits / n
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        found = wilson(p, n, confidence)
        assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-12)
        assert (found.value, found.confidence) == (p, confidence)
    assert wilson(p, n) == wilson(p, n, 0.95)


@pytest.mark.parametrize(
    ("function", "resamples"),
    [
        (bootstrap_mean, 2000),
        (bootstrap_accuracy, 2000),
        (bootstrap, 1000),
        (draw_counts, 1000),
        (resampled, 1000),
    ],
)
def test_published_intervals_are_of_so_many_draws_of_seed_zero_at_95_percent(
    function: Callable[..., object], resamples: int
) -> None:
    usual = {name: of.default for name, of in inspect.signature(function).parameters.items()}
    assert (usual["resamples"], usual["seed"]) == (resamples, 0)
    assert usual.get("confidence", 0.95) == 0.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_mean([]), "values: empty"),
        (lambda: bootstrap_mean([1.0, np.nan]), r"values\[1\]: nan"),
        (lambda: bootstrap_mean([[1.0]]), r"values: shape \(1, 1\)"),
        (lambda: bootstrap_mean([1.0, 2.0], [0]), "images: 1 labels; expected 2"),
        (lambda: bootstrap_mean([1.0], confidence=1.0), "confidence: 1.0"),
        (lambda: bootstrap_mean([1.0], resamples=0), "resamples: 0"),
        (lambda: bootstrap_mean([1.0], seed=-1), "seed: -1"),
        (lambda: bootstrap_accuracy([1, 2], [1]), "predicted: 2 labels; expected 1"),
        (lambda: bootstrap(lambda rows: rows.mean(-1), 0), "n: 0"),
        (lambda: bootstrap(np.mean, 5), r"statistic: gives the shape \(\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
