"""NearestCentroid against scikit-learn and float64 differences, and its estimator's manners."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestCentroid as SklearnNearestCentroid

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import (
    NearestCentroid,
    WeightedKNN,
    _search,
    cdnv,
    nearest_neighbours,
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_sklearn(clusters, dtype):
    X, y = clusters(n=3000, k=30, d=20, spread=1.5)
    X = X.astype(dtype)
    ours, theirs = NearestCentroid().fit(X, y), SklearnNearestCentroid().fit(X, y)
    np.testing.assert_allclose(ours.centroids_, theirs.centroids_, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y))
    assert 0.3 < ours.score(X, y) < 0.99


def test_cosine_agrees_with_sklearn_distances(clusters):
    X, y = clusters(n=2000, k=20, d=10, spread=1.5)
    ours = NearestCentroid("cosine").fit(X, y)
    means = np.stack([X[y == c].mean(0) for c in range(20)])
    np.testing.assert_allclose(ours.centroids_, means, atol=1e-12)
    expected = pairwise_distances(X, means, metric="cosine").argmin(1)
    np.testing.assert_array_equal(ours.predict(X), expected)
    assert (expected != NearestCentroid().fit(X, y).predict(X)).any()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_batches_in_any_order_equal_one_fit(clusters, metric):
    X, y = clusters(n=1000, k=7)
    whole = NearestCentroid(metric).fit(X, y)
    parts = NearestCentroid(metric)
    order = np.argsort(y, kind="stable")  # so that classes are absent from most batches
    for rows in np.array_split(order, 13):
        parts.partial_fit(X[rows], y[rows])
    np.testing.assert_allclose(parts.centroids_, whole.centroids_, atol=1e-14)
    np.testing.assert_array_equal(parts.counts_, np.bincount(y))
    np.testing.assert_array_equal(parts.predict(X), whole.predict(X))


def test_fit_forgets_what_came_before_and_predictions_follow_more_batches(clusters):
    X, y = clusters()
    fresh = NearestCentroid().fit(X, y)
    used = NearestCentroid().fit(X[:, :3] + 5, y % 3).fit(X, y)
    np.testing.assert_array_equal(used.centroids_, fresh.centroids_)
    np.testing.assert_array_equal(used.classes_, np.arange(6))
    model = NearestCentroid().partial_fit(X[:300], y[:300])
    assert model.predict(X).shape == (600,)
    np.testing.assert_array_equal(model.partial_fit(X[300:], y[300:]).predict(X), fresh.predict(X))


def test_tensors_come_back_as_tensors(clusters):
    X, y = clusters()
    expected = NearestCentroid().fit(X, y).predict(X)
    model = NearestCentroid().fit(torch.from_numpy(X), torch.from_numpy(y))
    found = model.predict(torch.from_numpy(X))
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.int64
    np.testing.assert_array_equal(found.numpy(), expected)
    assert isinstance(model.predict(X), np.ndarray)
    assert model.score(torch.from_numpy(X), y) == NearestCentroid().fit(X, y).score(X, y)


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.astype(np.float16),
        lambda X: torch.from_numpy(X).bfloat16(),
        lambda X: np.round(X * 10).astype(np.int16),
        lambda X: X.astype(">f4"),
        lambda X: np.asfortranarray(X),
        lambda X: X[::-1][::-1][:, ::-1],
        lambda X: X.astype(np.longdouble),
        lambda X: X.tolist(),
    ],
    ids=["half", "bfloat16", "int16", "big-endian", "fortran", "negative", "long", "lists"],
)
def test_any_kind_of_real_array(clusters, convert):
    X, y = clusters()
    given = convert(X)
    plain = np.asarray(given.float() if isinstance(given, torch.Tensor) else given, np.float64)
    model = NearestCentroid().fit(given, y)
    expected = NearestCentroid().fit(plain, y)
    np.testing.assert_array_equal(np.asarray(model.predict(given)), expected.predict(plain))


@pytest.mark.filterwarnings("error")
def test_read_only_input_is_neither_copied_to_nor_warned_about(clusters):
    X, y = clusters()
    before = X.copy()
    X.setflags(write=False)
    y.setflags(write=False)
    NearestCentroid().fit(X, y).score(X, y)
    np.testing.assert_array_equal(X, before)


def test_from_centroids_with_classes_of_its_own(clusters):
    X, y = clusters()
    means = NearestCentroid().fit(X, y).centroids_
    names = np.array([40, 7, 11, 90, 3, 22])
    model = NearestCentroid.from_centroids(means, names)
    np.testing.assert_array_equal(model.predict(X), names[NearestCentroid().fit(X, y).predict(X)])
    fitted = NearestCentroid().fit(X, names[y], classes=names)
    np.testing.assert_array_equal(fitted.predict(X), model.predict(X))
    assert fitted.score(X, names[y]) == NearestCentroid().fit(X, y).score(X, y)


def test_ties_go_to_the_lowest_row():
    means = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    model = NearestCentroid.from_centroids(means)
    np.testing.assert_array_equal(model.predict([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0]]), [0, 0, 3])
    many = NearestCentroid.from_centroids(np.tile(means, (20, 1)))
    np.testing.assert_array_equal(many.predict([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0]]), [0, 0, 3])
    late = NearestCentroid.from_centroids(means)
    means[:] = 0  # the model has its own copy
    np.testing.assert_array_equal(late.predict([[0.0, 3.0]]), [3])
    collapsed = np.full((500, 16), 0.1)
    assert not NearestCentroid().fit(collapsed, np.arange(500) % 50).predict(collapsed).any()


def test_float32_and_float64_give_one_answer(brute_squares):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 6))
    X = rng.standard_normal((300, 6))
    expected = brute_squares(X, centres).argmin(1)
    search = _search.ExactSearch(torch.from_numpy(centres))
    np.testing.assert_array_equal(search(torch.from_numpy(X)), expected)
    np.testing.assert_array_equal(search._in_float64(torch.from_numpy(X)), expected)


def test_answers_that_float32_cannot_give_are_searched_again(monkeypatch, brute_squares):
    """Without the second look the same search is wrong, so the look is what mends it."""
    rng = np.random.default_rng(1)
    centres = 1e-5 * rng.standard_normal((50, 32))
    X = rng.standard_normal((2000, 32))
    exact = brute_squares(X, centres).argmin(1)
    model = NearestCentroid.from_centroids(centres)
    np.testing.assert_array_equal(model.predict(X), exact)
    monkeypatch.setattr(_search, "float32_error", lambda squares, *_: squares * 0 - 1)
    assert (model.predict(X) != exact).mean() > 1e-3


def test_a_far_query_does_not_spoil_the_others(clusters):
    X, y = clusters()
    model = NearestCentroid().fit(X, y)
    with_outlier = np.concatenate([X, [[1e60] * 8], [[1e-60] * 8]])
    np.testing.assert_array_equal(model.predict(with_outlier)[:-2], model.predict(X))


def test_refuses_to_go_on_from_given_centroids(clusters):
    X, y = clusters()
    with pytest.raises(ValueError, match="partial_fit"):
        NearestCentroid.from_centroids(np.eye(8)).partial_fit(X, y)


NAMES = {
    "gaps": np.array([15_075_141, 7, 2**40, 90, 3, 22]),
    "negative": np.array([-1, 5, -7, 0, 2, 9]),
    "text": np.array(["oak", "maple", "cat", "dog", "1e5", "001"]),
    "objects": np.array(["oak", "maple", "cat", "dog", "NA", "ox"], dtype=object),
}


@pytest.mark.parametrize("kind", NAMES)
def test_any_labels_are_those_of_sklearn(clusters, kind):
    X, y = clusters(spread=1.5)
    names = NAMES[kind][y]
    ours, theirs = NearestCentroid().fit(X, names), SklearnNearestCentroid().fit(X, names)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.centroids_, theirs.centroids_, atol=1e-12)
    np.testing.assert_array_equal(ours.counts_, [(names == c).sum() for c in theirs.classes_])
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, names) == pytest.approx(theirs.score(X, names))
    parts = NearestCentroid()
    for rows in np.array_split(np.argsort(-y, kind="stable"), 7):  # classes come one by one
        parts.partial_fit(X[rows], names[rows])
    np.testing.assert_array_equal(parts.classes_, theirs.classes_)
    np.testing.assert_array_equal(parts.counts_, ours.counts_)
    np.testing.assert_array_equal(parts.predict(X), theirs.predict(X))


def test_text_answers_tensors_too_and_other_kinds_of_labels_are_refused(clusters):
    X, y = clusters()
    model = NearestCentroid().fit(X, NAMES["text"][y])
    found = model.predict(torch.from_numpy(X))
    np.testing.assert_array_equal(found, model.predict(X))
    with pytest.raises(ValueError, match=r"y: a label \d; expected labels such as '001'"):
        model.score(X, y)
    with pytest.raises(ValueError, match="y: a label 'elm'; expected labels among the 6 classes"):
        model.score(X, ["elm"] * len(X))
    with pytest.raises(ValueError, match=r"y: a label \d; expected labels such as"):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(model.predict(X), found)  # as it was


@pytest.mark.parametrize("state", ["inference", "float64", "device", "autocast"])
def test_the_state_of_torch_changes_no_number_and_later_batches_are_welcome(clusters, state):
    X, y = clusters()
    expected = NearestCentroid().fit(X, y)
    contexts = {
        "inference": torch.inference_mode,
        "float64": contextlib.nullcontext,
        "device": lambda: torch.device("meta"),
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    }
    if state == "float64":
        torch.set_default_dtype(torch.float64)
    try:
        with contexts[state]():
            tensor, labels = torch.from_numpy(X).clone(), torch.from_numpy(y).clone()
            model = NearestCentroid().partial_fit(tensor[:300], labels[:300])
            votes = WeightedKNN(5).fit(tensor, labels).votes(tensor)
            rows = nearest_neighbours(tensor, 3)[0]
            found = cdnv(tensor, labels)
    finally:
        torch.set_default_dtype(torch.float32)
    model.partial_fit(tensor[300:], labels[300:])
    np.testing.assert_allclose(model.centroids_, expected.centroids_, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(model.predict(tensor), expected.predict(X))
    np.testing.assert_array_equal(votes, WeightedKNN(5).fit(X, y).votes(X))
    np.testing.assert_array_equal(rows, nearest_neighbours(X, 3)[0])
    assert found == cdnv(X, y)


def test_rows_too_short_to_be_squared_keep_their_direction(clusters):
    X, y = clusters()
    model = NearestCentroid("cosine").fit(X, y)
    both = np.concatenate([X * 1e-200, X[:1]])
    np.testing.assert_array_equal(model.predict(both)[:-1], model.predict(X))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_row_of_zeros_is_named_wherever_it_stands(kind):
    X = np.ones((40_000, 2), dtype=kind)
    X[33_333] = 0
    model = NearestCentroid.from_centroids([[0.0, 1.0], [1.0, 0.5]], metric="cosine")
    with pytest.raises(UndefinedMeasure, match=r"X\[33333\]: all zeros"):
        model.predict(X)


@pytest.mark.parametrize("labels", [[-3, 4], [-(2**63), 2**63 - 1], [2**63 - 2, 2**63 - 1]])
def test_labels_may_be_any_integers(labels):
    X, y = [[0.0], [1.0], [9.0]], np.array([labels[0], labels[0], labels[1]])
    model = NearestCentroid().fit(X, y)
    assert model.predict([[2.0], [7.0]]).tolist() == labels
    for unknown in (labels[0] + 1, max(labels[0] - 1, -(2**63))):
        if unknown not in labels:
            with pytest.raises(ValueError, match=f"y: a label {unknown}; expected labels among"):
                model.score(X, np.array([labels[0], unknown, labels[1]]))
