"""Weighted nearest neighbours against scikit-learn's, with the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from ssl_companion.measures import NearestCentroid, WeightedKNN


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (200, 0.5), (200, 0.01)])
def test_agrees_with_sklearn(clusters, k, temperature):
    X, y = clusters(n=1200, k=9, d=10, spread=1.2)
    train, test = slice(0, 900), slice(900, None)
    theirs = KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / temperature)
    ).fit(X[train], y[train])
    ours = WeightedKNN(k, temperature).fit(X[train], y[train])
    np.testing.assert_allclose(ours.votes(X[test]), theirs.predict_proba(X[test]), atol=1e-4)
    assert (ours.predict(X[test]) == theirs.predict(X[test])).mean() > 0.995
    assert ours.score(X[test], y[test]) == pytest.approx(theirs.score(X[test], y[test]), abs=0.01)


def test_votes_sum_to_one_at_temperatures_where_exp_overflows(clusters):
    X, y = clusters()
    votes = WeightedKNN(50, 1e-4).fit(X, y).votes(X)
    np.testing.assert_allclose(votes.sum(1), 1, atol=1e-5)
    # The sample itself is the nearest and has all the weight.
    np.testing.assert_array_equal(votes.argmax(1), y)


@pytest.mark.parametrize("scale", [1e-10, 1e10])
def test_the_length_of_features_does_not_matter(clusters, scale):
    X, y = clusters()
    expected = WeightedKNN(30).fit(X, y).predict(X)
    np.testing.assert_array_equal(WeightedKNN(30).fit(X * scale, y).predict(X * scale), expected)


def test_tensors_come_back_as_tensors(clusters):
    X, y = clusters()
    model = WeightedKNN(20).fit(torch.from_numpy(X), torch.from_numpy(y))
    found = model.predict(torch.from_numpy(X))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(found, WeightedKNN(20).fit(X, y).predict(X))


def test_names_the_row_of_zeros_whatever_block_it_is_in(clusters):
    X, y = clusters()
    many = np.concatenate([X] * (20_000 // len(X) + 1))
    many[17_123] = 0
    labels = np.resize(y, len(many))
    for refuses in (
        lambda: WeightedKNN(5).fit(many, labels),
        lambda: WeightedKNN(5).fit(X, y).predict(many),
        lambda: NearestCentroid("cosine").fit(X, y).predict(many),
    ):
        with pytest.raises(ValueError, match=r"X\[17123\]: all zeros"):
            refuses()
