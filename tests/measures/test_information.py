"""Variance shares, coding rates and effective rank: closed forms and formulas in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.covariance import EmpiricalCovariance

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import (
    ClassStatistics,
    alpha_req,
    coding_rate,
    coding_rate_given,
    conditional_rates,
    directions,
    effective_rank,
    gaussian_rate,
    participation_ratio,
    variance_share_within,
)

SEEDS = st.integers(0, 2**32 - 1)


def rate_by_hand(F: np.ndarray, epsilon: float) -> float:
    n, d = F.shape
    return float(np.linalg.slogdet(np.eye(d) + d / (n * epsilon**2) * F.T @ F)[1] / 2)


def orthonormal(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, d)))[0]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, shift=st.floats(-1e4, 1e4), log_scale=st.integers(-6, 6))
def test_shares_of_a_nested_design(seed, shift, log_scale):
    """Independent normal steps of class, sample and view: the shares are the variances'."""
    rng = np.random.default_rng(seed)
    classes = np.arange(40) % 4
    X = 3 * rng.standard_normal((4, 5))[classes] + rng.standard_normal((40, 5))
    samples = np.repeat(np.arange(40), 6)
    views = X[samples] + 0.5 * rng.standard_normal((240, 5))

    def by_hand(groups: np.ndarray) -> float:
        means = np.stack([views[groups == g].mean(0) for g in range(groups.max() + 1)])
        return float(((views - means[groups]) ** 2).sum() / ((views - views.mean(0)) ** 2).sum())

    moved = (views + shift) * 10.0**log_scale
    in_samples = variance_share_within(moved, 7 * samples + 2)  # ids may have gaps
    in_classes = variance_share_within(moved, classes[samples])
    assert in_samples == pytest.approx(by_hand(samples), rel=1e-6)
    assert in_classes == pytest.approx(by_hand(classes[samples]), rel=1e-6)
    assert in_samples < in_classes <= 1


def test_shares_and_rates_at_their_ends():
    y = np.arange(12) % 3
    assert variance_share_within(np.eye(3)[y], y) == 0.0
    X = np.repeat([[1.0], [-1.0]], 6, axis=0)
    assert variance_share_within(X, np.arange(12) % 3) == pytest.approx(1.0)
    assert coding_rate(np.zeros((10, 3))) == 0.0


@pytest.mark.parametrize(("n", "d", "a", "epsilon"), [(50, 8, 2.0, 0.5), (8, 8, 0.1, 1.0)])
def test_coding_rate_in_closed_form(n, d, a, epsilon):
    """All singular values a: d/2 log(1 + d a^2 / (n eps^2))."""
    expected = d / 2 * math.log1p(d * a**2 / (n * epsilon**2))
    assert coding_rate(a * orthonormal(n, d), epsilon) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(300, 10), (15, 10), (10, 40), (1, 5)])
def test_coding_rate_equals_the_determinant(n, d):
    F = np.random.default_rng(0).standard_normal((n, d)) + 0.3
    for epsilon in (0.1, 0.7, 3.0):
        assert coding_rate(F, epsilon) == pytest.approx(rate_by_hand(F, epsilon), rel=1e-10)
    default = coding_rate(F.astype(np.float32))
    assert default == pytest.approx(rate_by_hand(F, math.sqrt(0.5)), rel=1e-5)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_coding_rate_depends_on_scale_over_distortion_alone(scale):
    F = np.random.default_rng(0).standard_normal((60, 7))
    assert coding_rate(scale * F, scale * 0.5) == pytest.approx(coding_rate(F, 0.5), rel=1e-9)


@pytest.mark.parametrize("sizes", [(30, 30, 30), (5, 40, 12, 40), (1, 1, 60)])
def test_coding_rate_given_equals_the_sum_over_groups(sizes):
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    F = rng.standard_normal((len(y), 9)) + rng.standard_normal((len(sizes), 9))[y]
    expected = sum((y == g).mean() * rate_by_hand(F[y == g], 0.5) for g in range(len(sizes)))
    assert coding_rate_given(F, y, 0.5) == pytest.approx(expected, rel=1e-10)
    assert coding_rate_given(F, 5 * y + 3, 0.5) == pytest.approx(expected, rel=1e-10)
    assert coding_rate_given(F, y, 0.5) < coding_rate(F, 0.5)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3))
def test_directions_are_free_of_scale_and_offset(seed, scale, shift):
    X = np.random.default_rng(seed).standard_normal((50, 6))
    found = directions(X)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(directions(X * scale + shift * scale), found, atol=1e-9)
    c = X - X.mean(0)
    np.testing.assert_allclose(found, c / np.linalg.norm(c, axis=1, keepdims=True), atol=1e-12)


def test_effective_rank_is_rankmes():
    X = np.random.default_rng(0).standard_normal((400, 20)) * np.logspace(-3, 1, 20) + 0.4
    for rows in (X, X[:15], X[:45]):
        s = np.linalg.svd(rows, compute_uv=False)
        p = s / s.sum() + 1e-7
        assert effective_rank(rows) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-9)
        e = np.linalg.eigvalsh(np.cov(rows.T))
        q = e[e > 1e-12 * e.max()] / e.sum()
        by_variance = np.exp(-(q * np.log(q)).sum())
        assert effective_rank(rows, of="variance") == pytest.approx(by_variance, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, scale=st.floats(1e-6, 1e6), decay=st.floats(0, 3))
def test_alpha_req_is_the_slope_of_the_spectrum(seed, scale, decay):
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((60, 12)))[0]
    basis = np.linalg.qr(basis - basis.mean(0))[0]
    made = basis * scale * np.arange(1, 13) ** (-decay / 2)
    assert alpha_req(made) == pytest.approx(decay, abs=1e-6)
    X = np.random.default_rng(seed).standard_normal((60, 12)) * np.logspace(0, 2, 12)
    spectrum = np.sort(np.linalg.eigvalsh(np.cov(X.T)))[::-1]
    slope = stats.linregress(np.log(np.arange(1, 13)), np.log(spectrum)).slope
    assert alpha_req(X * scale + 3 * scale) == pytest.approx(-slope, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3))
def test_participation_ratio_is_that_of_the_covariances_eigenvalues(seed, scale, shift):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, 6)) * np.arange(1, 7)
    spectrum = np.linalg.eigvalsh(EmpiricalCovariance().fit(X).covariance_)
    expected = spectrum.sum() ** 2 / (spectrum**2).sum()
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    moved = rng.permutation(scale * (X @ turn + shift))
    assert participation_ratio(X) == pytest.approx(expected, rel=1e-12)
    assert participation_ratio(moved) == pytest.approx(expected, rel=1e-6)


def test_participation_ratio_at_its_ends():
    even = orthonormal(50, 8) - orthonormal(50, 8).mean(0)
    white = np.linalg.qr(even)[0]
    assert participation_ratio(white) == pytest.approx(8)
    assert participation_ratio(np.outer(np.arange(9.0), [1, 2, 3])) == pytest.approx(1)
    wide = np.random.default_rng(0).standard_normal((4, 500))
    assert 2.5 < participation_ratio(wide) <= 3 + 1e-12
    with pytest.raises(UndefinedMeasure, match="X: the same row throughout"):
        participation_ratio(np.full((5, 3), 0.1, np.float32))


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_effective_rank_at_its_ends(scale):
    assert effective_rank(scale * orthonormal(40, 8)) == pytest.approx(8, rel=1e-4)
    one = np.outer(np.arange(1, 41), np.arange(1, 9)) * scale
    assert effective_rank(one) == pytest.approx(1, abs=1e-3)
    assert effective_rank(one, of="variance") == pytest.approx(1, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, shift=st.floats(-1e4, 1e4), noise=st.sampled_from([0.01, 0.1, 1.0]))
def test_rates_of_gaussian_channels_are_log_determinants(seed, shift, noise):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(4), [30, 20, 10, 5]))
    X = (2 * rng.standard_normal((4, 6))[y] + rng.standard_normal((65, 6))) @ np.diag(
        [3, 1, 1, 0.1, 0.1, 0.0]
    ) + shift
    total = EmpiricalCovariance().fit(X).covariance_ * 65 / 64
    within = sum(
        (y == k).sum() * EmpiricalCovariance().fit(X[y == k]).covariance_ for k in range(4)
    )
    variance = noise * np.trace(total)

    def by_hand(covariance):
        return np.linalg.slogdet(np.eye(6) + covariance / variance)[1] / 2

    found = conditional_rates(ClassStatistics("full").update(X, y), noise)
    assert found.total == pytest.approx(by_hand(total), rel=1e-6)
    assert found.given == pytest.approx(by_hand(within / 61), rel=1e-6)
    assert gaussian_rate(total, variance) == pytest.approx(by_hand(total), rel=1e-9)
    scaled = conditional_rates(ClassStatistics("full").update(1e3 * X, y), noise)
    assert scaled == pytest.approx(found, rel=1e-6)  # the noise follows the scale


def test_rates_at_their_ends():
    y = np.arange(12) % 3
    given_all = conditional_rates(ClassStatistics("full").update(np.eye(3)[y], y), 0.1)
    assert given_all.given == 0.0 < given_all.total
    with pytest.raises(UndefinedMeasure, match="the same row throughout"):
        conditional_rates(ClassStatistics("full").update(np.ones((12, 3)), y), 0.1)
    with pytest.raises(ValueError, match="classes: scatter 'trace'; expected 'full'"):
        conditional_rates(ClassStatistics("trace").update(np.eye(3)[y], y), 0.1)
    with pytest.raises(ValueError, match="classes: 3 samples of 3 classes; expected more"):
        conditional_rates(ClassStatistics("full").update(np.eye(3), np.arange(3)), 0.1)
    with pytest.raises(ValueError, match=r"covariance: shape \(2, 3\); expected a square"):
        gaussian_rate(np.ones((2, 3)), 1.0)
    with pytest.raises(ValueError, match="noise_variance: 0"):
        gaussian_rate(np.eye(2), 0)
