"""The linear probe against scikit-learn's logistic regression."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ssl_companion.chapters.analysis.collapse_signs import collapsing_clouds
from ssl_companion.measures import LinearProbe
from ssl_companion.recordings import list_recordings, open_recording


@pytest.fixture(scope="module")
def data(clusters):
    X, y = clusters(n=1500, k=7, d=12, spread=1.3)
    return X * np.logspace(-2, 2, 12) + 5.0, y


@pytest.fixture(scope="module")
def sklearns(data):
    X, y = data
    z = StandardScaler().fit_transform(X)
    model = LogisticRegression(C=1 / (1e-3 * len(X)), tol=1e-8, max_iter=5000).fit(z, y)
    return model, z


def test_lbfgs_finds_sklearns_solution(data, sklearns):
    X, y = data
    model, z = sklearns
    probe = LinearProbe(l2=1e-3, tolerance=1e-9, max_iter=2000).fit(X, y)
    expected = model.decision_function(z)
    found = X @ probe.weight_.T + probe.bias_  # for features as they come
    np.testing.assert_allclose(
        found - found.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-4
    )
    np.testing.assert_array_equal(probe.predict(X), model.predict(z))
    assert probe.score(X, y) == pytest.approx(model.score(z, y))
    assert 0.5 < probe.score(X, y) < 0.99
    log_p = model.predict_log_proba(z)[np.arange(len(y)), y]
    penalty = 1e-3 / 2 * (model.coef_**2).sum()
    assert probe.loss_ == pytest.approx(-log_p.mean() + penalty, rel=1e-6)


@pytest.mark.parametrize("kind", ["float32", "tensor"])
def test_float32_and_tensors_reach_the_same_accuracy(data, sklearns, kind):
    X, y = data
    model, z = sklearns
    given = X.astype(np.float32) if kind == "float32" else torch.from_numpy(X).float()
    probe = LinearProbe(l2=1e-3).fit(given, y)
    found = probe.predict(given)
    assert isinstance(found, torch.Tensor) == (kind == "tensor")
    assert (np.asarray(found) == model.predict(z)).mean() > 0.995


def test_a_fit_is_the_same_again_and_touches_no_random_state(data):
    X, y = data
    state = torch.get_rng_state()
    with torch.no_grad():
        first = LinearProbe().fit(X, y)
    np.testing.assert_array_equal(first.weight_, LinearProbe().fit(X, y).weight_)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale_and_offset_of_the_features_do_not_matter(clusters, dtype):
    X, y = clusters(n=800, k=5, d=6, spread=1.5)
    expected = LinearProbe(l2=1e-2).fit(X, y).predict(X)
    scales = np.array([1e-15, 1e-3, 1.0, 1e3, 1e10, 1e18])
    moved = ((X + 100.0) * scales).astype(dtype)
    assert (LinearProbe(l2=1e-2).fit(moved, y).predict(moved) == expected).mean() > 0.99


def test_constant_features_are_ignored(clusters):
    X, y = clusters()
    constant = np.concatenate([X, np.full((len(X), 2), 0.1)], axis=1)
    probe = LinearProbe().fit(constant, y)
    np.testing.assert_array_equal(probe.weight_[:, 8:], 0)
    constant[:, 8:] = 1e9  # nor do they matter where they do vary later
    np.testing.assert_array_equal(probe.predict(constant), LinearProbe().fit(X, y).predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_varies_by_rounding_only_is_ignored(clusters, dtype):
    X, y = clusters()
    one = np.ones(len(X), dtype)
    one[::2] = np.nextafter(one[0], dtype(2))
    probe = LinearProbe().fit(np.concatenate([X.astype(dtype), one[:, None]], axis=1), y)
    np.testing.assert_array_equal(probe.weight_[:, 8], 0)


def test_without_standardisation_it_is_sklearn_on_raw_features(clusters):
    X, y = clusters(n=500)
    model = LogisticRegression(C=1 / (1e-2 * len(X)), tol=1e-8, max_iter=2000).fit(X, y)
    probe = LinearProbe(l2=1e-2, standardise=False, tolerance=1e-9, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(probe.weight_, model.coef_, atol=1e-4)


def test_more_iterations_never_worsen_the_loss(data):
    X, y = data
    with pytest.warns(ConvergenceWarning):
        losses = [LinearProbe(max_iter=i).fit(X, y).loss_ for i in (1, 5, 25, 125)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("log_scale", [1, 3, 10, 20, 30, 140])
def test_large_features_without_standardisation_are_sklearns(clusters, dtype, log_scale):
    """The penalty of features s times as large is s^2 times as strong; beyond, there is none."""
    if dtype == np.float32 and log_scale > 30:
        pytest.skip("float32 has no such numbers")
    X, y = clusters(n=500, spread=1.3)
    scale = 10.0**log_scale
    model = LogisticRegression(C=1 / (1e-1 / scale**2 * len(X)), tol=1e-6, max_iter=5000).fit(X, y)
    moved = (X * scale).astype(dtype)
    probe = LinearProbe(l2=1e-1, standardise=False, max_iter=1000).fit(moved, y)
    log_p = model.predict_log_proba(X)[np.arange(len(y)), y]
    loss = -log_p.mean() + 1e-1 / scale**2 / 2 * (model.coef_**2).sum()
    assert probe.loss_ == pytest.approx(loss, rel=1e-3)
    assert (probe.predict(moved) == model.predict(X)).mean() > 0.99
    found = X @ (probe.weight_ * scale).T + probe.bias_
    expected = model.decision_function(X)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_features_are_standardised_or_refused_with_the_way_out(clusters, dtype):
    X, y = clusters(spread=1.3)
    small = (X * 1e-10).astype(dtype)
    expected = LinearProbe().fit(X, y).predict(X)
    assert (LinearProbe().fit(small, y).predict(small) == expected).mean() > 0.995
    with pytest.raises(
        ValueError,
        match=r"^X: no magnitude above \S+e-10; expected 0\.001 or more, 100 times the tol.*; "
        "use standardise=True, or multiply X by a constant$",
    ):
        LinearProbe(standardise=False).fit(small, y)
    with pytest.warns(ConvergenceWarning):  # the tolerance is the user's
        LinearProbe(standardise=False, tolerance=1e-13).fit(small, y)
    zeros = LinearProbe(standardise=False).fit(0 * X, y)  # nothing to see, and that is no fault
    assert zeros.loss_ == pytest.approx(np.log(6), rel=1e-6)


def test_a_loss_that_is_not_finite_is_refused_with_the_way_out(clusters, monkeypatch):
    X, y = clusters()
    monkeypatch.setattr("ssl_companion.measures.probes._LARGE", np.inf)  # it is not divided
    with pytest.raises(ValueError, match=r"^X: the loss is .*; use standardise=True, or divide X"):
        LinearProbe(standardise=False).fit((X * 1e10).astype(np.float32), y)


def test_a_fit_that_did_not_converge_says_so_and_others_are_silent(data):
    X, y = data
    with pytest.warns(ConvergenceWarning, match=r"gradient is \d+% .* raise max_iter") as said:
        LinearProbe(max_iter=1).fit(X, y)
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LinearProbe(max_iter=100).fit(X, y)
        LinearProbe().fit(X, np.random.default_rng(0).permutation(y))  # nothing to learn
        LinearProbe(l2=1e-2, max_iter=100).fit(X[:, :3].astype(np.float32), y)


def test_the_probes_of_the_books_recordings_converge_without_a_warning():
    """As the recorder (300 iterations) and the chapters (100) fit them."""
    run = open_recording(next(found for found in list_recordings() if found.has_features).path)
    layer = run.layers[-1]
    y = run.fine("train")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epoch in run.kept_epochs(layer, "train")[::6]:
            x = run.features(epoch, layer, "train")
            for given in ({}, {"l2": 1e-2, "max_iter": 100}, {"l2": 1e-3, "max_iter": 100}):
                LinearProbe(**given).fit(x, y)
        for progress in (0.0, 0.5, 0.9, 0.999):
            collapsing_clouds(progress)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_far_from_the_training_features_is_classified_too(clusters, dtype):
    X, y = clusters()
    probe = LinearProbe().fit(X.astype(dtype), y)
    far = np.concatenate([X, X[:50] * 1e60])
    found = probe.predict(far)
    np.testing.assert_array_equal(found[:600], probe.predict(X))
    np.testing.assert_array_equal(found[600:], (X[:50] @ probe.weight_.T).argmax(1))


def test_inference_mode_changes_no_number(data):
    X, y = data
    expected = LinearProbe().fit(X, y)
    with torch.inference_mode():
        tensor, labels = torch.from_numpy(X).clone(), torch.from_numpy(y).clone()
        inside = LinearProbe().fit(tensor, labels)
    for found in (inside, LinearProbe().fit(tensor, labels)):
        np.testing.assert_array_equal(found.weight_, expected.weight_)
