"""Matrix-based entropy and the pairwise bounds: analytic cases and a Monte Carlo truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.special import logsumexp

from ssl_companion.measures import (
    entropies,
    kde_information_bounds,
    renyi_entropy,
    renyi_information,
)

ALPHAS = [0.5, 1.0, 1.01, 2.0, 5.0]


def entropy_by_hand(gram: np.ndarray, alpha: float) -> float:
    eigenvalues = np.clip(np.linalg.eigvalsh(gram / np.trace(gram)), 0, None)
    if alpha == 1:
        kept = eigenvalues[eigenvalues > 0]
        return float(-(kept * np.log(kept)).sum())
    return float(np.log((eigenvalues**alpha).sum()) / (1 - alpha))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_entropy_between_equal_and_orthogonal_samples(alpha):
    assert renyi_entropy(np.ones((20, 4)), alpha) == pytest.approx(0, abs=1e-6)
    assert renyi_entropy(np.ones((20, 4)), alpha, kernel="linear") == pytest.approx(0, abs=1e-6)
    apart = 3 * np.eye(20)
    assert renyi_entropy(apart, alpha, kernel="linear") == pytest.approx(math.log(20))
    assert renyi_entropy(apart, alpha, bandwidth=0.1) == pytest.approx(math.log(20))
    blocks = apart[np.repeat([3, 9], 10)]  # two distinct samples, ten times each
    assert renyi_entropy(blocks, alpha, kernel="linear") == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("bandwidth", [None, 0.5, 3.0])
def test_entropy_equals_the_eigenvalues(alpha, bandwidth):
    X = np.random.default_rng(0).standard_normal((80, 6)) + 4
    width = np.median(pdist(X)) if bandwidth is None else bandwidth
    gram = np.exp(-(squareform(pdist(X)) ** 2) / (2 * width**2))
    expected = entropy_by_hand(gram, alpha)
    # torch's median of an even number of pairs is the lower one, numpy's is between.
    rel = 1e-2 if bandwidth is None else 1e-9
    assert renyi_entropy(X, alpha, bandwidth) == pytest.approx(expected, rel=rel)


def test_entropy_falls_with_alpha():
    X = np.random.default_rng(0).standard_normal((60, 3))
    found = [renyi_entropy(X, alpha) for alpha in (0.5, 0.999, 1.0, 1.001, 2.0, 4.0)]
    assert found == sorted(found, reverse=True)
    assert found[1] - found[3] < 0.01


def test_information_between_features_and_labels():
    y = np.arange(40) % 4
    told = 2 * np.eye(4)[y]
    assert renyi_information(told, y, kernel="linear") == pytest.approx(math.log(4))
    assert renyi_information(np.ones((40, 4)), y) == pytest.approx(0, abs=1e-9)
    rng = np.random.default_rng(0)
    X = told + rng.standard_normal((40, 4))
    shuffled = [renyi_information(X, rng.permutation(y)) for _ in range(5)]
    assert renyi_information(X, y) > max(shuffled)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), log_scale=st.integers(-6, 6), shift=st.floats(-1e3, 1e3))
def test_rotation_shift_and_scale_change_nothing(seed, log_scale, shift):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((50, 5))
    moved = (X @ np.linalg.qr(rng.standard_normal((5, 5)))[0] + shift) * 10.0**log_scale
    assert renyi_entropy(moved) == pytest.approx(renyi_entropy(X), rel=1e-8)
    a, b = kde_information_bounds(moved, 0.05), kde_information_bounds(X, 0.05)
    assert a.lower == pytest.approx(b.lower, rel=1e-7)
    assert a.upper == pytest.approx(b.upper, rel=1e-7)


def test_bounds_of_two_points():
    X = np.array([[0.0, 0.0, 1.0], [3.0, 4.0, 1.0]])  # 5 apart
    found = kde_information_bounds(X, noise=4.0, relative=False)
    assert found.lower == pytest.approx(math.log(2) - math.log1p(math.exp(-25 / 32)))
    assert found.upper == pytest.approx(math.log(2) - math.log1p(math.exp(-25 / 8)))
    assert found.noise_variance == 4.0


@pytest.mark.parametrize("s2", [0.1, 1.0, 4.0])
def test_bounds_of_the_gaussian_channel(s2):
    """f normal, unit variance in d dimensions: both bounds and the information are known.

    The mean of exp(-(f - f')^2 / (2 t)) over f' is that of a normal of variance t + 1, with
    t = 4 s^2 for the lower and s^2 for the upper bound; the channel carries
    d/2 log(1 + 1/s^2).
    """
    d, n = 2, 4000
    X = np.random.default_rng(0).standard_normal((n, d))
    found = kde_information_bounds(X, noise=s2, relative=False)
    lower, upper = (d / 2 * (math.log1p(1 / t) + 1 / (t + 1)) for t in (4 * s2, s2))
    truth = d / 2 * math.log1p(1 / s2)
    assert found.lower == pytest.approx(lower, rel=0.04)
    assert found.upper == pytest.approx(upper, rel=0.04)
    assert found.lower < truth < found.upper


@pytest.mark.parametrize("noise", [0.01, 0.1, 1.0])
def test_bounds_hold_the_information_of_the_mixture(noise):
    """The mixture's own entropy by many draws lies between."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5, 3))[np.arange(60) % 5] + 0.3 * rng.standard_normal((60, 3))
    draws = X[rng.integers(0, 60, 40_000)]
    draws = draws + math.sqrt(noise) * rng.standard_normal(draws.shape)
    squares = ((draws[:, None] - X) ** 2).sum(-1)
    log_density = logsumexp(-squares / (2 * noise), axis=1) - math.log(60)
    log_norm = 3 / 2 * math.log(2 * math.pi * noise)
    entropy_of_noise = 3 / 2 * math.log(2 * math.pi * math.e * noise)
    truth = -(log_density.mean() - log_norm) - entropy_of_noise
    found = kde_information_bounds(X, noise, relative=False)
    assert found.lower <= truth + 0.02
    assert found.upper >= truth - 0.02
    assert 0 < found.lower < found.upper <= math.log(60)


def test_noise_is_a_share_of_the_total_variance_and_more_of_it_carries_less():
    X = np.random.default_rng(0).standard_normal((200, 8)) * 3 + 50
    total = X.var(0).sum()
    share = kde_information_bounds(X, 0.02)
    absolute = kde_information_bounds(X, 0.02 * total, relative=False)
    assert share.noise_variance == pytest.approx(0.02 * total)
    assert share.lower == pytest.approx(absolute.lower)
    assert share.upper == pytest.approx(absolute.upper)
    found = [kde_information_bounds(X, noise) for noise in (1e-6, 0.01, 0.1, 1.0, 100.0)]
    assert [found[0].lower, found[0].upper] == pytest.approx([math.log(200)] * 2)
    assert found[-1].upper < 0.1
    lowers = [bounds.lower for bounds in found]
    assert lowers == sorted(lowers, reverse=True)
    equal = kde_information_bounds(np.ones((30, 3)), 0.1, relative=False)
    assert equal.upper == pytest.approx(0, abs=1e-12)


def test_blocks_equal_the_whole(monkeypatch):
    X = np.random.default_rng(0).standard_normal((150, 4))
    whole = kde_information_bounds(X, 0.05)
    monkeypatch.setattr("ssl_companion.measures.entropies._PAIRS", 1000)
    blocks = kde_information_bounds(X, 0.05)
    assert blocks.lower == pytest.approx(whole.lower, rel=1e-12)
    assert blocks.upper == pytest.approx(whole.upper, rel=1e-12)


def test_blocks_of_pairs_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 3)), np.arange(50) % 7
    found = renyi_information(X, y), renyi_information(X, y, alpha=0.5), renyi_entropy(X)
    for pairs in (1, 333):
        monkeypatch.setattr(entropies, "_PAIRS", pairs)
        again = renyi_information(X, y), renyi_information(X, y, alpha=0.5), renyi_entropy(X)
        assert again == pytest.approx(found, rel=1e-12)


def test_more_samples_than_whose_pairs_fit_are_refused(monkeypatch):
    monkeypatch.setattr(entropies, "_MOST", 10)
    assert renyi_entropy(np.eye(10)) > 0
    with pytest.raises(ValueError, match=r"X: 25 samples; expected 10 or fewer.*one of every 3"):
        renyi_information(np.eye(25), np.arange(25) % 2)
