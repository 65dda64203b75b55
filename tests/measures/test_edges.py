"""At the edges of float64 the measures are right, or refuse by name: scales, orders, noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.special import logsumexp

from ssl_companion import measures as m
from ssl_companion.measures.resampling import pearson, spearman

RNG = np.random.default_rng(0)
Y = RNG.permutation(np.arange(120) % 6)
X = RNG.standard_normal((6, 5))[Y] + 0.5 * RNG.standard_normal((120, 5))
LEVELS = [np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])]


def _linear_probe(x: np.ndarray) -> Any:
    return m.LinearProbe(l2=1e-2).fit(x, Y).predict(x)


FREE_OF_SCALE: dict[str, Callable[[np.ndarray], Any]] = {
    "cdnv": lambda x: m.cdnv(x, Y),
    "directional_cdnv": lambda x: m.directional_cdnv(x, Y),
    "neural_collapse": lambda x: [
        getattr(m.neural_collapse(x, Y), name)
        for name in ("nc1", "nc2_equinorm", "nc2_equiangular")
    ],
    "variance_share_within": lambda x: m.variance_share_within(x, Y),
    "directions": m.directions,
    "effective_rank": m.effective_rank,
    "effective_rank of variance": lambda x: m.effective_rank(x, "variance"),
    "alpha_req": m.alpha_req,
    "participation_ratio": m.participation_ratio,
    "uniformity": m.uniformity,
    "alignment": lambda x: m.alignment(x, x[::-1].copy()),
    "conditional_rates": lambda x: m.conditional_rates(m.ClassStatistics("full").update(x, Y), 0.1),
    "cophenetic_correlation": lambda x: m.cophenetic_correlation(x[:6], LEVELS),
    "cut_agreement": lambda x: m.cut_agreement(x[:6], LEVELS[0], "ward"),
    "NearestCentroid": lambda x: m.NearestCentroid().fit(x, Y).predict(x),
    "NearestCentroid cosine": lambda x: m.NearestCentroid("cosine").fit(x, Y).predict(x),
    "WeightedKNN": lambda x: m.WeightedKNN(9).fit(x, Y).votes(x),
    "LinearProbe": _linear_probe,
    "nearest_neighbours": lambda x: m.nearest_neighbours(x, 5)[0],
    "renyi_entropy": m.renyi_entropy,
    "renyi_entropy linear": lambda x: m.renyi_entropy(x, 1.0, kernel="linear"),
    "renyi_information": lambda x: m.renyi_information(x, Y),
    "kde_information_bounds": lambda x: [
        m.kde_information_bounds(x).lower,
        m.kde_information_bounds(x).upper,
    ],
    "balanced_kmeans": lambda x: m.balanced_kmeans(x, [40, 50, 30]),
}


@pytest.mark.parametrize("log2_scale", [-400, -130, 130, 490])
@pytest.mark.parametrize("name", FREE_OF_SCALE)
def test_the_scale_changes_nothing(name: str, log2_scale: int) -> None:
    found, expected = (np.asarray(FREE_OF_SCALE[name](x)) for x in (X * 2.0**log2_scale, X))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("log2_scale", [-400, 0, 490])
def test_what_has_a_unit_follows_the_scale(log2_scale: int) -> None:
    scale = 2.0**log2_scale
    assert m.coding_rate(X * scale, 0.3 * scale) == pytest.approx(m.coding_rate(X, 0.3), rel=1e-12)
    assert m.coding_rate_given(X * scale, Y, 0.3 * scale) == pytest.approx(
        m.coding_rate_given(X, Y, 0.3), rel=1e-12
    )
    assert m.renyi_entropy(X * scale, 1.0, 0.7 * scale) == pytest.approx(
        m.renyi_entropy(X, 1.0, 0.7), rel=1e-12
    )
    np.testing.assert_allclose(
        m.nearest_neighbours(X * scale, 5)[1], m.nearest_neighbours(X, 5)[1] * scale, rtol=1e-12
    )
    np.testing.assert_allclose(
        m.dendrogram(X[:9] * scale)[:, 2], m.dendrogram(X[:9])[:, 2] * scale, rtol=1e-12
    )
    found, expected = (m.bootstrap_mean(x) for x in (X[:, 0] * scale, X[:, 0]))
    assert (found.low, found.high) == pytest.approx((expected.low * scale, expected.high * scale))


SIZES = [1, 2, 5, 12, 30]


def _entropy(alpha: float) -> float:
    """Of the shares of SIZES, by 80 digits."""
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 80, -(10**17), 10**17
        p, a = [Decimal(n) / sum(SIZES) for n in SIZES], Decimal(alpha)
        if a == 1:
            return float(-sum(q * q.ln() for q in p))
        return float(sum((a * q.ln()).exp() for q in p).ln() / (1 - a))


@pytest.mark.parametrize(
    "alpha",
    [1e-300, 1e-6, 0.01, 0.5, 0.89, 0.91, 1 - 1e-4, 1 - 1e-12, 1.0, 1 + 2e-16, 1 + 1e-9, 1.001,
     1.09, 1.11, 2.0, 2 + 1e-9, 10.0, 1e3, 1e6],
)  # fmt: skip
def test_entropies_of_any_order_are_those_of_eighty_digits(alpha: float) -> None:
    apart = np.repeat(np.eye(len(SIZES)), SIZES, axis=0)
    for given in ({"kernel": "linear"}, {"bandwidth": 1e-3}):
        assert m.renyi_entropy(apart, alpha, **given) == pytest.approx(_entropy(alpha), rel=1e-10)


def test_entropies_of_orders_without_end_are_that_of_the_largest_share() -> None:
    apart = np.repeat(np.eye(len(SIZES)), SIZES, axis=0)
    for alpha in (1e15, 1e300, 1.7e308):
        expected = math.log(sum(SIZES) / max(SIZES))
        assert m.renyi_entropy(apart, alpha, kernel="linear") == pytest.approx(expected, rel=1e-10)
    for alpha in (math.inf, math.nan):
        with pytest.raises(ValueError, match=f"^alpha: {alpha}; expected a finite number above 0$"):
            m.renyi_entropy(apart, alpha)


@pytest.mark.parametrize("scale", [1e-120, 1.0, 1e140])
def test_a_bandwidth_beyond_all_distances_sees_one_sample_and_one_below_them_sees_all(
    scale: float,
) -> None:
    for width in (1e200, 1e308):
        assert m.renyi_entropy(X * scale, 1.0, width) == pytest.approx(0, abs=1e-12)
    for width in (5e-324, 1e-200):
        assert m.renyi_entropy(X * scale, 2.0, width) == pytest.approx(math.log(120), rel=1e-12)


TIGHT = np.repeat(RNG.standard_normal((6, 5)), 20, axis=0) + 1e-9 * RNG.standard_normal((120, 5))
OUTLIER = np.concatenate([X, [[1e9] * 5]])


@pytest.mark.parametrize(("x", "width"), [(TIGHT, 1e-9), (OUTLIER, 0.7), (TIGHT + 10, 3e-9)])
def test_distances_far_below_the_spread_have_their_digits(x: np.ndarray, width: float) -> None:
    squares = squareform(pdist(x, "sqeuclidean"))
    shares = np.clip(np.linalg.eigvalsh(np.exp(-squares / (2 * width**2)) / len(x)), 1e-300, None)
    entropy = float(-(shares * np.log(shares)).sum())
    assert m.renyi_entropy(x, 1.0, width) == pytest.approx(entropy, rel=1e-5)
    bounds = m.kde_information_bounds(x, width**2, relative=False)
    for found, t in ((bounds.lower, 8), (bounds.upper, 2)):
        expected = -(logsumexp(-squares / (t * width**2), axis=1) - math.log(len(x))).mean()
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-120, 1.0, 1e140])
def test_noise_without_bounds(scale: float) -> None:
    twice = np.concatenate([X, X]) * scale  # every sample has its like
    for relative in (False, True):
        for noise in (5e-324, 1e-300):
            found = m.kde_information_bounds(twice, noise, relative)
            if relative or scale >= 1:
                assert (found.lower, found.upper) == pytest.approx((math.log(120),) * 2)
        found = m.kde_information_bounds(twice, 1e308, relative)
        assert (found.lower, found.upper) == pytest.approx((0, 0), abs=1e-12)


@pytest.mark.parametrize("epsilon", [5e-324, 1e-200, 1e-9, 1.0, 1e9, 1e200, 1.7e308])
@pytest.mark.parametrize("scale", [1e-120, 1.0, 1e140])
def test_coding_rates_at_any_distortion(epsilon: float, scale: float) -> None:
    """All singular values a: d/2 log(1 + d a^2 / (n eps^2))."""
    n, d = 12, 4
    x = scale * np.linalg.qr(RNG.standard_normal((n, d)))[0]
    log_ratio = math.log(d / n) + 2 * (math.log(scale) - math.log(epsilon))
    expected = d / 2 * (log_ratio if log_ratio > 700 else math.log1p(math.exp(log_ratio)))
    assert m.coding_rate(x, epsilon) == pytest.approx(expected, rel=1e-11)
    groups = np.repeat([0, 1], n)
    assert m.coding_rate_given(np.concatenate([x, x]), groups, epsilon) == pytest.approx(
        expected, rel=1e-11
    )
    assert m.coding_rate(0 * x, epsilon) == 0.0


@pytest.mark.parametrize("noise", [5e-324, 1e-200, 1.0, 1e200])
@pytest.mark.parametrize("scale", [1e-140, 1.0, 1e149])
def test_gaussian_rates_of_any_noise(noise: float, scale: float) -> None:
    variances = np.array([3.0, 1.0, 0.25, 0.0])
    logs = [math.log(v) + math.log(scale) - math.log(noise) for v in variances[:3]]
    expected = sum(t if t > 700 else math.log1p(math.exp(t)) for t in logs) / 2
    assert m.gaussian_rate(np.diag(variances * scale), noise) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_a_matrix_that_is_no_covariance_is_refused_and_rounding_is_not(
    dtype: type, scale: float
) -> None:
    c = np.array([[2.0, 1.0], [1.0, 3.0]], dtype) * dtype(scale)
    expected = math.log(np.linalg.det(np.eye(2) + np.array([[2, 1], [1, 3]]))) / 2
    off = c.copy()
    off[0, 1] *= 1 + 8 * np.finfo(dtype).eps
    flat = np.outer([1.0, 2.0], [1.0, 2.0]).astype(dtype) * dtype(scale)
    flat[1, 1] *= 1 - 4 * np.finfo(dtype).eps  # an eigenvalue just below zero
    assert m.gaussian_rate(off, scale) == pytest.approx(expected, rel=1e-5)
    assert m.gaussian_rate(flat, scale) == pytest.approx(math.log(6) / 2, rel=1e-5)
    off[0, 1] *= dtype(1.01)
    with pytest.raises(
        ValueError, match=r"^covariance\[(0, 1|1, 0)\]: .* across the diagonal; exp"
    ):
        m.gaussian_rate(off, scale)
    c[0, 1] = c[1, 0] = dtype(3 * scale)  # the determinant is -3
    with pytest.raises(
        ValueError, match=r"^covariance: an eigenvalue -0\.54\S*; expected none bel"
    ):
        m.gaussian_rate(c / dtype(scale), scale)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_neighbours_closer_than_float32_can_tell_are_those_of_float64(offset: float) -> None:
    for x in (TIGHT + offset, OUTLIER + offset, np.repeat(X[:3], 40, axis=0) + offset):
        exact = cdist(x, x)
        np.fill_diagonal(exact, np.inf)
        for k in (1, 5, 19):
            rows, distances = m.nearest_neighbours(x, k)
            expected = exact.argsort(axis=1, kind="stable")[:, :k]
            np.testing.assert_array_equal(rows, expected)
            np.testing.assert_allclose(
                distances, np.take_along_axis(exact, expected, 1), rtol=1e-9, atol=1e-300
            )


def test_groups_of_points_far_from_the_origin_are_those_near_it() -> None:
    x = np.round(X[:60] * 2**20) / 2**20  # so that the sum is exact
    sizes = [10, 20, 30]
    np.testing.assert_array_equal(
        m.balanced_kmeans(x + 2.0**30, sizes), m.balanced_kmeans(x, sizes)
    )
    np.testing.assert_array_equal(np.sort(m.balanced_kmeans(x, [1] * 60)), np.arange(60))  # K = N


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([2.5, 2.5, 55], "sizes: dtype torch.float64; expected integer labels"),
        (["20", "40"], "sizes: text, such as '20'; expected"),
        ([20, None, 40], r"sizes\[1\]: None; expected"),
        ([10**400, 1], "sizes: 1000+; expected integers that int64 holds"),
        ([2**62, 2**62, 2**62, 2**62, 60], "expected integers of 1 or more that add up to the 60"),
        ([1] * 61, "expected integers of 1 or more that add up to the 60 points"),
        ([30, 29], r"sizes: \[30, 29\]; expected integers of 1 or more that add up to the 60"),
        ([60, 0], r"sizes: \[60, 0\]; expected integers of 1 or more"),
        (True, r"sizes: shape \(\); expected one dimension"),
    ],
)
def test_sizes_that_are_none_are_refused_by_name(sizes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        m.balanced_kmeans(X[:60], sizes)
    with pytest.raises(ValueError, match="seed: -1; expected an integer of 0 or more"):
        m.balanced_kmeans(X[:60], [60], seed=-1)


@pytest.mark.parametrize("scale", [1e-200, 1e-100, 1.0, 1e100])
def test_correlations_at_any_scale_and_none_of_what_does_not_vary(scale: float) -> None:
    a, b = X[:, 0], X[:, 1]
    assert pearson(a * scale, b * scale) == pytest.approx(np.corrcoef(a, b)[0, 1], rel=1e-12)
    assert pearson(a, a) <= 1
    for n in (3, 6, 7, 49):  # sums of a tenth are rounded
        for constant in (0.1, 0.3, 1e-20, 1e20 / 3):
            for of in (pearson, spearman):
                assert np.isnan(of(np.full(n, constant * scale), a[:n]))
                assert np.isnan(of(a[:n], np.full(n, constant * scale)))


def test_means_in_float32_lose_nothing_more_in_the_dendrogram() -> None:
    means = (X[:12] + 1000).astype(np.float32)
    np.testing.assert_allclose(
        m.dendrogram(means), m.dendrogram(means.astype(np.float64)), rtol=1e-12
    )
