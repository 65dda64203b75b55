"""Maps keep neighbours together, and come out the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_companion.embedding import umap_embedding, umap_series


@pytest.fixture(scope="module")
def clusters() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 25)
    return rng.normal(size=(75, 8)) + 8 * rng.normal(size=(3, 8))[labels], labels


@pytest.mark.slow  # UMAP compiles for a while
def test_clusters_stay_clusters_and_a_seed_fixes_the_map(
    clusters: tuple[np.ndarray, np.ndarray],
) -> None:
    features, labels = clusters
    points = umap_embedding(features)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(len(points))
    assert (labels[distances.argmin(axis=1)] == labels).all()
    assert points.std() == pytest.approx(1, abs=1e-4)
    np.testing.assert_array_equal(points, umap_embedding(features))
    turned = features @ np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
    first, second = umap_series([features, turned])
    np.testing.assert_array_equal(first, points)
    assert np.linalg.norm(first - second, axis=1).mean() < 1, "begun where the first one ended"


def test_bad_input_is_refused(clusters: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"\(75, 8\): expected \[N, D\] with N > 80"):
        umap_embedding(clusters[0], neighbours=80)
    with pytest.raises(ValueError, match="start has shape"):
        umap_embedding(clusters[0], start=np.zeros((3, 2)))
