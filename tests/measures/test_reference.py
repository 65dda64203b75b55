"""The measures on features of a real run, against what was measured when they were made."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_companion.measures import (
    NearestCentroid,
    cdnv,
    coding_rate,
    directions,
    effective_rank,
    neural_collapse,
)

EPOCHS = (0, 10, 200)


@pytest.fixture(params=EPOCHS, ids=lambda epoch: f"epoch {epoch}")
def features(request, reference):
    folder, results = reference
    with np.load(folder / f"features_{request.param:04d}.npz") as file:
        return dict(file), results["epochs"][str(request.param)]


def test_nearest_centroid_is_float64s_on_every_layer(features, brute_squares):
    arrays, _ = features
    for layer, means in enumerate(arrays["class_means"]):
        X = arrays["test"][layer]
        for offset, scale in ((0, 1), (1e6, 1), (0, 1e-20), (0, 1e20), (-3e3, 1e15)):
            moved = (X.astype(np.float64) + offset) * scale
            centres = (means.astype(np.float64) + offset) * scale
            predicted = NearestCentroid.from_centroids(centres).predict(moved)
            assert (predicted == brute_squares(moved, centres).argmin(1)).mean() >= 0.9999


def test_ncc_is_near_that_of_the_whole_test_set(features):
    arrays, results = features
    accuracies = []
    for layer, means in enumerate(arrays["class_means"]):
        model = NearestCentroid.from_centroids(means)
        accuracies.append(100 * model.score(arrays["test"][layer], arrays["labels"]))
    whole = [test for _, test in results["ncc_train_test_by_layer"]["fine"]]
    # 2000 of the 10,000 images: a standard error of about one point at 45%.
    np.testing.assert_allclose(accuracies, whole, atol=3.0)


def test_coding_rate_and_effective_rank_are_near_those_of_the_whole_test_set(features):
    arrays, results = features
    unit = directions(arrays["test"][-1])
    expected = results["coding_rate_test"]
    assert coding_rate(unit) == pytest.approx(expected["R"], rel=0.03)
    found = effective_rank(unit, of="variance")
    assert found == pytest.approx(expected["erank"], rel=0.05)


def test_collapse_grows_with_depth_and_training(reference):
    folder, _ = reference
    cdnvs, nc1s = [], []
    for epoch in EPOCHS:
        with np.load(folder / f"features_{epoch:04d}.npz") as file:
            X, y = file["test"][-1], file["labels"]
        cdnvs.append(cdnv(X, y))
        nc1s.append(neural_collapse(X, y).nc1)
    assert cdnvs == sorted(cdnvs, reverse=True)
    assert nc1s == sorted(nc1s, reverse=True)
