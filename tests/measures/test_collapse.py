"""CDNV and NC1-NC4: formulas written out, analytic cases, symmetries."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import (
    ClassStatistics,
    NearestCentroid,
    cdnv,
    cdnv_of,
    directional_cdnv,
    directional_cdnv_of,
    nc4,
    neural_collapse,
    neural_collapse_of,
)


def cdnv_by_hand(X: np.ndarray, y: np.ndarray) -> float:
    means = [X[y == c].mean(0) for c in range(y.max() + 1)]
    var = [((X[y == c] - mean) ** 2).sum(1).mean() for c, mean in enumerate(means)]
    pairs = [
        (var[i] + var[j]) / (2 * ((means[i] - means[j]) ** 2).sum())
        for i, j in combinations(range(len(means)), 2)
    ]
    return float(np.mean(pairs))


def directional_by_hand(X: np.ndarray, y: np.ndarray) -> float:
    X = X.astype(np.float64)
    means = [X[y == c].mean(0) for c in range(y.max() + 1)]
    pairs = []
    for i, j in permutations(range(len(means)), 2):
        step = means[j] - means[i]
        along = (X[y == i] - means[i]) @ (step / np.linalg.norm(step))
        pairs.append((along**2).mean() / (step @ step))
    return float(np.mean(pairs))


def nc1_by_hand(X: np.ndarray, y: np.ndarray) -> float:
    means = np.stack([X[y == c].mean(0) for c in range(y.max() + 1)])
    residual = X - means[y]
    between = means - X.mean(0)
    within = residual.T @ residual / len(X)
    return float(np.trace(within @ np.linalg.pinv(between.T @ between / len(means))) / len(means))


def simplex(k: int, d: int, seed: int = 0) -> np.ndarray:
    """Class means [k, d] of a simplex equiangular tight frame, turned at random."""
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, k)))[0]
    return (np.eye(k) - 1 / k) @ basis.T


def test_cdnv_equals_the_formula(clusters):
    X, y = clusters(n=700, k=9)
    assert cdnv(X, y) == pytest.approx(cdnv_by_hand(X, y), rel=1e-12)
    assert cdnv(X.astype(np.float32), y) == pytest.approx(cdnv_by_hand(X, y), rel=1e-5)


def test_cdnv_of_two_gaussians():
    """Variances d s^2 and distance a: CDNV is d s^2 / a^2."""
    rng = np.random.default_rng(0)
    y = np.arange(200_000) % 2
    X = 0.3 * rng.standard_normal((len(y), 4))
    X[:, 0] += 2.0 * y
    assert cdnv(X, y) == pytest.approx(4 * 0.09 / 4.0, rel=0.01)


def test_cdnv_in_blocks_equals_the_whole_and_is_zero_of_collapsed_classes(clusters, monkeypatch):
    X, y = clusters(n=300, k=50)
    expected = cdnv(X, y)
    monkeypatch.setattr("ssl_companion.measures.collapse._PAIRS", 170)
    assert cdnv(X, y) == pytest.approx(expected, rel=1e-13)
    assert expected == pytest.approx(cdnv_by_hand(X, y), rel=1e-12)
    assert cdnv(np.eye(3)[y % 3], y % 3) == 0.0


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_directional_cdnv_equals_the_formula(clusters, kind, monkeypatch):
    X, y = clusters(n=500, k=7, d=5)
    X = X.astype(kind)
    expected = directional_by_hand(X, y)
    assert directional_cdnv(X, y) == pytest.approx(expected, rel=1e-10)
    assert 0 < expected < cdnv(X, y)
    monkeypatch.setattr("ssl_companion.measures.collapse._PAIRS", 21)  # three samples at a time
    assert directional_cdnv(X, y) == pytest.approx(expected, rel=1e-10)


def test_directional_cdnv_of_batches_is_that_of_the_whole(clusters):
    X, y = clusters(n=300, k=5)
    batches = [(X[:10], y[:10]), (X[10:250], y[10:250]), (X[250:], y[250:])]
    statistics = ClassStatistics("trace")
    for batch in batches:
        statistics.update(*batch)
    found = directional_cdnv_of(statistics, iter(batches))
    assert found == pytest.approx(directional_by_hand(X, y), rel=1e-12)
    with pytest.raises(
        ValueError, match=r"batches: \d+ samples of class 0; expected \d+, those of"
    ):
        directional_cdnv_of(statistics, batches[1:])
    with pytest.raises(ValueError, match="y: a label 5; expected labels below 5"):
        directional_cdnv_of(statistics, [(X, y + 1)])
    with pytest.raises(ValueError, match="statistics: scatter 'none'; expected 'trace' or 'full'"):
        directional_cdnv_of(ClassStatistics("none").update(X, y), batches)


def test_directional_cdnv_sees_no_spread_across_the_line_between_means(clusters):
    """Noise at right angles to every class mean, as much as one likes, changes CDNV alone."""
    X, y = clusters(n=400, k=4, d=3)
    noise = 50 * np.random.default_rng(0).standard_normal((400, 6))
    noise -= np.stack([noise[y == c].mean(0) for c in range(4)])[y]
    wide = np.hstack([X, noise])
    assert directional_cdnv(wide, y) == pytest.approx(directional_cdnv(X, y), rel=1e-9)
    assert cdnv(wide, y) > 100 * cdnv(X, y)
    line = X[:, :1]
    assert directional_cdnv(line, y) == pytest.approx(cdnv(line, y), rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3))
def test_directional_cdnv_is_free_of_pose_scale_order_and_class_numbers(seed, scale, shift):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(120) % 4)
    X = rng.standard_normal((4, 6))[y] + rng.standard_normal((120, 6))
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    order, names = rng.permutation(120), rng.permutation(4)
    moved = directional_cdnv((scale * (X @ turn + shift))[order], names[y][order])
    assert moved == pytest.approx(directional_cdnv(X, y), rel=1e-7)


def test_directional_cdnv_has_no_value_where_means_coincide():
    X, y = np.array([[0.0], [2.0], [-1.0], [3.0], [9.0]]), np.array([0, 0, 1, 1, 2])
    with pytest.raises(UndefinedMeasure, match="classes 0 and 1 of y have the same mean"):
        directional_cdnv(X, y)
    assert directional_cdnv(np.eye(3), np.arange(3)) == 0.0


def test_cdnv_of_near_classes_keeps_its_digits():
    """A matrix product of the means would lose these distances altogether."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4
    means = np.array([[0.0, 0.0], [1e-9, 0.0], [1e3, 0.0], [1e3, 2e-9]])
    X = means[y] + 1e-10 * np.where(y < 2, 1.0, 1e-3)[:, None] * rng.standard_normal((400, 2))
    assert cdnv(X, y) == pytest.approx(cdnv_by_hand(X, y), rel=1e-3)


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e9])
def test_cdnv_refuses_duplicate_means(offset):
    y = np.repeat([0, 1, 2], 40)
    X = np.random.default_rng(0).standard_normal((120, 5)) + offset
    X[80:] = X[:40][::-1]  # class 2 is class 0 in another order: the sums round differently
    with pytest.raises(ValueError, match="X: classes 0 and 2 of y have the same mean"):
        cdnv(X, y)


@pytest.mark.parametrize("k", [2, 5, 20])
def test_a_simplex_is_the_ideal_of_nc2(k):
    y = np.arange(20 * k) % k
    rng = np.random.default_rng(k)
    noise = 0.01 * rng.standard_normal((len(y), 30))
    for c in range(k):  # no noise in the means: their geometry is exact
        noise[y == c] -= noise[y == c].mean(0)
    means = simplex(k, 30)
    found = neural_collapse(means[y] + noise + 7.0, y, 3.0 * means, np.zeros(k))
    assert found.nc2_equinorm == pytest.approx(0, abs=1e-12)
    assert found.nc2_equiangular == pytest.approx(0, abs=1e-12)
    assert found.nc3 == pytest.approx(0, abs=1e-12)
    assert 0 < found.nc1 < 0.01
    opposite = neural_collapse(means[y] + noise, y, -means)
    assert opposite.nc3 == pytest.approx(4)
    assert opposite.nc4 < 0.2


def test_nc2_equals_its_definition(clusters):
    X, y = clusters(k=5)
    means = np.stack([X[y == c].mean(0) for c in range(5)]) - X.mean(0)
    norms = np.linalg.norm(means, axis=1)
    cosines = [means[i] @ means[j] / norms[i] / norms[j] for i, j in combinations(range(5), 2)]
    found = neural_collapse(X, y)
    assert found.nc2_equinorm == pytest.approx(norms.std() / norms.mean())
    assert found.nc2_equiangular == pytest.approx(np.abs(np.array(cosines) + 0.25).mean())
    assert found.nc3 is None
    assert found.nc4 is None


@pytest.mark.parametrize(("k", "d"), [(4, 20), (20, 6), (8, 8)])
def test_nc1_equals_numpys_pseudo_inverse(clusters, k, d):
    X, y = clusters(n=800, k=k, d=d)
    assert neural_collapse(X, y).nc1 == pytest.approx(nc1_by_hand(X, y), rel=1e-8)
    uneven = np.concatenate([y, np.zeros(100, int)])
    X = np.concatenate([X, X[y == 0][:1] + np.random.default_rng(1).standard_normal((100, d))])
    assert neural_collapse(X, uneven).nc1 == pytest.approx(nc1_by_hand(X, uneven), rel=1e-8)


def test_nc4_is_the_agreement_of_the_two_rules(clusters):
    X, y = clusters(n=2000, k=8, spread=1.2)
    theirs = LogisticRegression(max_iter=500).fit(X, y)
    means = NearestCentroid().fit(X, y)
    agree = (theirs.predict(X) == means.predict(X)).mean()
    found = neural_collapse(X, y, theirs.coef_, theirs.intercept_)
    assert found.nc4 == pytest.approx(agree)
    assert 0.5 < agree < 1
    # The nearest mean is itself a linear rule: it agrees with itself.
    c = means.centroids_
    assert nc4(X, c, c, -(c**2).sum(1) / 2) == 1.0


def test_streamed_statistics_give_the_same(clusters):
    X, y = clusters(n=900, k=6)
    statistics = ClassStatistics("full")
    for rows in np.array_split(np.arange(900), 11):
        statistics.update(X[rows], y[rows])
    weight = np.random.default_rng(0).standard_normal((6, 8))
    whole, streamed = neural_collapse(X, y, weight), neural_collapse_of(statistics, weight)
    for name in ("nc1", "nc2_equinorm", "nc2_equiangular", "nc3"):
        assert getattr(streamed, name) == pytest.approx(getattr(whole, name), rel=1e-9)
    assert cdnv_of(statistics) == pytest.approx(cdnv(X, y), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), log_scale=st.integers(-6, 6), shift=st.floats(-1e3, 1e3))
def test_rotation_shift_scale_and_names_change_nothing(seed, log_scale, shift):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(200) % 5)
    X = 2 * rng.standard_normal((5, 6))[y] + rng.standard_normal((200, 6))
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    moved = (X @ rotation + shift) * 10.0**log_scale
    renamed = rng.permutation(5)[y]
    assert cdnv(moved, renamed) == pytest.approx(cdnv(X, y), rel=1e-7)
    a, b = neural_collapse(moved, renamed), neural_collapse(X, y)
    assert a.nc1 == pytest.approx(b.nc1, rel=1e-6)
    assert a.nc2_equinorm == pytest.approx(b.nc2_equinorm, rel=1e-7)
    assert a.nc2_equiangular == pytest.approx(b.nc2_equiangular, rel=1e-7)


@pytest.mark.parametrize("k", [3, 6])
def test_nc1_far_from_the_origin_is_that_of_the_same_features_moved_back(k):
    rng = np.random.default_rng(0)
    y = np.arange(240) % k
    far = rng.standard_normal((k, 8))[y] + 0.3 * rng.standard_normal((240, 8)) + 3e9
    near = far - 3e9  # exact
    assert neural_collapse(far, y).nc1 == pytest.approx(neural_collapse(near, y).nc1, rel=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_nc1_far_from_the_origin_knows_the_directions_that_the_means_have(rank):
    """Class means on a line, in a plane: what they are rounded by is no direction between them."""
    rng, grid = np.random.default_rng(0), 2.0**-20
    means = rng.integers(-3000, 3000, (6, rank)) @ rng.integers(-3000, 3000, (rank, 8)) / 2.0**20
    noise = np.round(0.3 * rng.standard_normal((6, 5, 8)) / grid) * grid
    near = np.concatenate([means[:, None] + noise, means[:, None] - noise], axis=1).reshape(-1, 8)
    far, y = near + 3e9, np.repeat(np.arange(6), 10)
    assert (far - 3e9 == near).all()
    within, between = 2 * np.einsum("knd,kne->de", noise, noise) / 60, np.cov(means.T, bias=True)
    expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-9)) / 6
    assert neural_collapse(near, y).nc1 == pytest.approx(expected, rel=1e-9)
    assert neural_collapse(far, y).nc1 == pytest.approx(expected, rel=1e-6)
