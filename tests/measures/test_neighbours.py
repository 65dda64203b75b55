"""Nearest neighbours against scikit-learn's in float64, ties and bad input included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from ssl_companion.measures import nearest_neighbours

X = np.random.default_rng(0).standard_normal((40, 6))


@pytest.mark.parametrize("k", [1, 7, 39])
def test_agrees_with_sklearn(k):
    distances, rows = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(X).kneighbors()
    found, apart = nearest_neighbours(X, k)
    np.testing.assert_array_equal(found, rows)
    np.testing.assert_allclose(apart, distances)
    assert (found.dtype, apart.dtype) == (np.int64, np.float64)
    for x, kind in ((torch.from_numpy(X), int), (X, np.int64)):
        for ours, theirs in zip(nearest_neighbours(x, kind(k)), (found, apart), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@given(seed=st.integers(0, 99), exponent=st.integers(-20, 20), offset=st.floats(-1e6, 1e6))
def test_scale_and_offset_change_no_neighbour(seed, exponent, offset):
    x = np.random.default_rng(seed).standard_normal((60, 4)) + offset
    found, apart = nearest_neighbours(x * 2.0**exponent, 5)
    exact = cdist(x, x)
    np.fill_diagonal(exact, np.inf)
    np.testing.assert_array_equal(found, exact.argsort(axis=1, kind="stable")[:, :5])
    expected = np.take_along_axis(exact, found, axis=1) * 2.0**exponent
    np.testing.assert_allclose(apart, expected, rtol=1e-9)


def test_a_tie_goes_to_the_lower_row_and_no_point_is_its_own_neighbour():
    x = np.repeat(np.eye(3), 3, axis=0)  # three times each of three points, all the same apart
    found, apart = nearest_neighbours(x, 4)
    np.testing.assert_array_equal(found[4], [3, 5, 0, 1])
    np.testing.assert_allclose(apart[4], [0, 0, np.sqrt(2), np.sqrt(2)])
    assert not (found == np.arange(9)[:, None]).any()


@pytest.mark.parametrize("k", [0, -1, 40])
def test_refuses_a_number_of_neighbours_that_there_is_not(k):
    with pytest.raises(ValueError, match=f"k: {k}; expected 1 to 39"):
        nearest_neighbours(X, k)
