"""Streaming statistics against numpy on the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_companion.measures import ClassStatistics


def stream(X: np.ndarray, y: np.ndarray, parts: int, scatter: str = "full") -> ClassStatistics:
    statistics = ClassStatistics(scatter)
    for rows in np.array_split(np.arange(len(X)), parts):
        statistics.update(X[rows], y[rows])
    return statistics


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    parts=st.integers(1, 40),
    ordered=st.booleans(),
    offset=st.sampled_from([0.0, 1e3, 1e8]),
    kind=st.sampled_from([np.float32, np.float64]),
)
def test_equals_numpy_whatever_the_batches(seed, parts, ordered, offset, kind):
    rng = np.random.default_rng(seed)
    y = np.arange(200) % 5
    y = np.sort(y) if ordered else rng.permutation(y)
    X = rng.standard_normal((5, 4))[y] + 0.1 * rng.standard_normal((200, 4)) + offset
    X = X.astype(kind).astype(np.float64) if kind is np.float32 else X
    found = stream(X.astype(kind), y, parts)
    means = np.stack([X[y == c].mean(0) for c in range(5)])
    residual = X - means[y]
    close = {"rtol": 1e-6 if offset > 1e5 else 1e-10, "atol": 1e-13 * max(1, offset)}
    np.testing.assert_allclose(found.means.numpy(), means, **close)
    np.testing.assert_array_equal(found.counts.numpy(), np.bincount(y))
    variances = [(residual[y == c] ** 2).sum(1).mean() for c in range(5)]
    np.testing.assert_allclose(found.variances.numpy(), variances, **close)
    np.testing.assert_allclose(found.scatter_matrix.numpy(), residual.T @ residual, **close)
    np.testing.assert_allclose(found.global_mean.numpy(), X.mean(0), rtol=1e-12, atol=1e-12)


def test_samples_of_float32_that_are_all_the_same_have_no_variance():
    X = np.full((5000, 3), [0.1, 1e30, -1e-30], dtype=np.float32)
    found = stream(X, np.arange(5000) % 2, 7, "full")
    assert found.variances.tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(found.means.numpy(), X[:2].astype(np.float64))


def test_tight_classes_far_away_keep_their_spread():
    """A sum of squares minus a square of sums has no correct digit here."""
    rng = np.random.default_rng(0)
    y = np.arange(2000) % 4
    X = 1e6 * rng.standard_normal((4, 3))[y] + 1e-3 * rng.standard_normal((2000, 3))
    found = stream(X, y, 10, "trace")
    wide = X.astype(np.longdouble)
    expected = [float(((wide[y == c] - wide[y == c].mean(0)) ** 2).sum(1).mean()) for c in range(4)]
    np.testing.assert_allclose(found.variances.numpy(), expected, rtol=1e-6)
    naive = [(X[y == c] ** 2).sum(1).mean() - (X[y == c].mean(0) ** 2).sum() for c in range(4)]
    assert np.abs(np.array(naive) / expected - 1).max() > 1


def test_long_batches_are_cut_without_changing_the_answer(clusters):
    X, y = clusters(n=20_000, k=3)
    np.testing.assert_allclose(
        stream(X, y, 1).scatter_matrix, stream(X, y, 7).scatter_matrix, rtol=1e-11, atol=1e-9
    )


def test_a_refused_batch_leaves_the_statistics_as_they_were(clusters):
    X, y = clusters()
    statistics = ClassStatistics("full").update(X, y)
    before = statistics.means.clone()
    with pytest.raises(ValueError, match="nan"):
        statistics.update(np.where(np.arange(8) == 3, np.nan, X), y)
    with pytest.raises(ValueError, match="]: -1; expected a label of 0"):
        statistics.update(X, y - 1)
    assert torch.equal(statistics.means, before)
    assert int(statistics.counts.sum()) == len(X)


def test_variances_need_a_scatter(clusters):
    with pytest.raises(ValueError, match="scatter: 'none'"):
        _ = ClassStatistics("none").update(*clusters()).variances


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    offset=st.sampled_from([0.0, 1e3, 1e8]),
    scatter=st.sampled_from(["none", "trace", "full"]),
)
def test_grouped_classes_are_those_of_the_joined_labels(seed, offset, scatter):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(9), rng.integers(0, 9, 191)])  # classes of any size
    groups = np.concatenate([np.arange(3), rng.integers(0, 3, 6)])
    X = rng.standard_normal((9, 4))[y] + 0.1 * rng.standard_normal((200, 4)) + offset
    found = stream(X, y, 1, scatter).grouped(groups)
    expected = stream(X, groups[y], 1, "none" if scatter == "none" else "trace")
    assert found.scatter == expected.scatter
    assert torch.equal(found.counts, expected.counts)
    close = {"rtol": 1e-6 if offset > 1e5 else 1e-10, "atol": 1e-13 * max(1, offset)}
    torch.testing.assert_close(found.means, expected.means, **close)
    torch.testing.assert_close(found.sum_of_squares, expected.sum_of_squares, **close)


@pytest.mark.parametrize(
    ("groups", "present", "message"),
    [
        ([0, 1], 4, "groups: 2 labels; expected 4, one for each row of the statistics' classes"),
        ([0, 2, 2, 0], 4, "groups: no sample of class 1 "),
        (
            [0, 1, 15_075_141_000_000, 1],
            4,
            r"groups: no sample of class 2.*gaps",
        ),  # nothing so large
        ([0, 0, 1, 1], 2, "groups: no sample of class 1"),  # all of its classes are absent
        ([0, 0, 0, 0], 4, "groups: the single class"),
        ([0.0, 1.0, 1.0, 0.0], 4, "groups: dtype torch.float64; expected integer labels"),
    ],
)
def test_groups_that_are_none_are_refused(groups, present, message):
    statistics = ClassStatistics(n_classes=4).update(np.eye(4)[:present], np.arange(present))
    with pytest.raises(ValueError, match=message):
        statistics.grouped(np.array(groups))
