"""NearestCentroid is the rule of float64 at any scale and offset; and its symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_companion.measures import NearestCentroid

SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=60, deadline=None)


def sample(seed: int, n: int = 400) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    k, d = int(rng.integers(2, 40)), int(rng.integers(1, 30))
    y = rng.permutation(np.arange(n) % k)
    return rng, rng.standard_normal((k, d))[y] + rng.standard_normal((n, d)), y


def exact_means(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    wide = X.astype(np.longdouble)
    return np.stack([wide[y == c].mean(0) for c in range(y.max() + 1)]).astype(np.float64)


def assert_is_float64s_rule(X: np.ndarray, y: np.ndarray, brute_squares) -> None:
    model = NearestCentroid().fit(X, y)
    means = exact_means(X, y)
    for c, mean in enumerate(means):
        own = X[y == c].astype(np.float64)
        rounding = np.sqrt(len(own)) * np.spacing(np.abs(own).max(0))
        assert (np.abs(model.centroids_[c] - mean) <= 4 * rounding).all()
    squares = brute_squares(X, model.centroids_)
    predicted = model.predict(X)
    assert (predicted == squares.argmin(1)).mean() >= 0.9999
    # ... and what was chosen is nearest up to the rounding of float64's own sums.
    chosen = squares[np.arange(len(X)), predicted]
    assert (chosen <= squares.min(1) * (1 + 1e-13)).all()


@few
@given(
    seed=SEEDS,
    scale=st.integers(-20, 20),
    offset=st.integers(-3, 12),
    sign=st.sampled_from([-1, 1]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_any_scale_and_common_offset(brute_squares, seed, scale, offset, sign, dtype):
    _, X, y = sample(seed)
    given_ = ((X + sign * 10.0**offset) * 10.0**scale).astype(dtype)
    assert_is_float64s_rule(given_, y, brute_squares)


@few
@given(seed=SEEDS, low=st.integers(-20, 0), high=st.integers(0, 20), offsets=st.booleans())
def test_mixed_scales_and_offsets_of_the_dimensions(brute_squares, seed, low, high, offsets):
    rng, X, y = sample(seed)
    X = X * 10.0 ** rng.integers(low, high + 1, X.shape[1])
    if offsets:
        X = X + 10.0 ** rng.integers(low, high + 1, X.shape[1])
    assert_is_float64s_rule(X, y, brute_squares)


@few
@given(seed=SEEDS, far=st.integers(2, 30), spread=st.integers(-4, -2))
def test_one_class_far_from_all_others_or_all_of_them_far_from_the_origin(
    brute_squares, seed, far, spread
):
    _, X, y = sample(seed)
    assert_is_float64s_rule(X + (y == 0)[:, None] * 10.0**far, y, brute_squares)
    assert_is_float64s_rule(1e6 + X * 10.0**spread, y, brute_squares)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, levels=st.integers(1, 3), k=st.integers(2, 25))
def test_lattices_full_of_ties(brute_squares, seed, levels, k):
    """Integer points and centres: many exact ties, each to the lowest index."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(-levels, levels + 1, (k, 4)).astype(np.float64)
    X = rng.integers(-levels, levels + 1, (300, 4)).astype(np.float64)
    predicted = NearestCentroid.from_centroids(centres).predict(X)
    np.testing.assert_array_equal(predicted, brute_squares(X, centres).argmin(1))


@few
@given(seed=SEEDS, scale=st.integers(-20, 20), offset=st.integers(-3, 3))
def test_cosine_at_any_scale(seed, scale, offset):
    _, X, y = sample(seed)
    X = (X + 10.0**offset) * 10.0**scale
    model = NearestCentroid("cosine").fit(X, y)

    def unit(rows: np.ndarray) -> np.ndarray:
        rows = rows * 10.0**-scale
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    u, c = unit(X), unit(model.centroids_)
    predicted = model.predict(X)
    squares = ((u[:, None] - c) ** 2).sum(-1)
    # Unit vectors are rounded at 1e-16, which is all that may tell the answers apart.
    chosen = np.sqrt(squares[np.arange(len(X)), predicted])
    assert (chosen <= np.sqrt(squares.min(1)) + 1e-15).all()


@few
@given(seed=SEEDS, shift=st.floats(-1e3, 1e3), scale=st.floats(1e-3, 1e3))
def test_rotation_shift_and_scale_change_nothing(seed, shift, scale):
    rng, X, y = sample(seed)
    rotation = np.linalg.qr(rng.standard_normal((X.shape[1],) * 2))[0]
    expected = NearestCentroid().fit(X, y).predict(X)
    moved = (X @ rotation + shift) * scale
    assert (NearestCentroid().fit(moved, y).predict(moved) == expected).mean() >= 0.9999


@few
@given(seed=SEEDS)
def test_predictions_follow_a_permutation_of_the_labels(seed):
    rng, X, y = sample(seed)
    renamed = rng.permutation(y.max() + 1)
    expected = renamed[NearestCentroid().fit(X, y).predict(X)]
    np.testing.assert_array_equal(NearestCentroid().fit(X, renamed[y]).predict(X), expected)


@pytest.mark.parametrize(("k", "d"), [(5000, 64), (300, 250)])
def test_many_centres(brute_squares, k, d):
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((k, d)).astype(np.float32) + np.float32(100)
    X = rng.standard_normal((1000, d)).astype(np.float32) + np.float32(100)
    predicted = NearestCentroid.from_centroids(centres).predict(X)
    np.testing.assert_array_equal(predicted, brute_squares(X, centres).argmin(1))
