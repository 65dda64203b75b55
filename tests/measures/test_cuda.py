"""The measures on CUDA tensors: the same answers as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_companion import measures as m
from ssl_companion.measures import _faiss

gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
needs_gpu = pytest.mark.parametrize("device", [pytest.param("cuda", marks=gpu)])


@pytest.fixture(params=["faiss", "torch"])
def searched_by(monkeypatch, request):
    """Who searches on the GPU: FAISS, or the test fails; and torch, where there is no FAISS."""
    if request.param == "torch":
        monkeypatch.setattr(_faiss, "faiss", None)
        monkeypatch.setattr(_faiss, "_warned", {"import"})
    elif _faiss.faiss is None:
        pytest.skip("FAISS is not installed")
    else:
        assert hasattr(_faiss.faiss, "StandardGpuResources"), "a FAISS without CUDA is installed"
        monkeypatch.setattr(_faiss, "_by_torch", lambda *_: pytest.fail("torch searched"))


@needs_gpu
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_nearest_centroid(clusters, device, metric, offset, searched_by):
    X, y = clusters(n=5000, k=60, d=30)
    X = X + offset
    expected = m.NearestCentroid(metric).fit(X, y).predict(X)
    x = torch.from_numpy(X).to(device)
    found = m.NearestCentroid(metric).fit(x, y).predict(x)
    assert found.device.type == "cuda"
    assert (found.cpu().numpy() == expected).mean() >= (0.9999 if metric == "euclidean" else 0.99)
    moved = m.NearestCentroid(metric, device=device).fit(X, y).predict(X)
    np.testing.assert_array_equal(moved, found.cpu().numpy())


@needs_gpu
def test_nearest_centroid_with_many_doubtful_points(device, searched_by):
    rng = np.random.default_rng(0)
    centres, X = 1e-5 * rng.standard_normal((300, 32)), rng.standard_normal((3000, 32))
    expected = m.NearestCentroid.from_centroids(centres).predict(X)
    found = m.NearestCentroid.from_centroids(centres, device=device).predict(X)
    np.testing.assert_array_equal(found, expected)


@needs_gpu
def test_collapse_probe_knn_and_information(clusters, device, searched_by):
    X, y = clusters(n=1000)
    x, labels = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    assert m.cdnv(x, labels) == pytest.approx(m.cdnv(X, y), rel=1e-9)
    weight = np.random.default_rng(0).standard_normal((6, 8))
    on_gpu, on_cpu = m.neural_collapse(x, labels, weight), m.neural_collapse(X, y, weight)
    assert on_gpu.nc1 == pytest.approx(on_cpu.nc1, rel=1e-6)
    assert on_gpu.nc4 == pytest.approx(on_cpu.nc4, abs=2e-3)
    for model in (m.LinearProbe, m.LinearProbe, m.WeightedKNN):
        a, b = model().fit(x, labels).score(x, labels), model().fit(X, y).score(X, y)
        assert a == pytest.approx(b, abs=5e-3)
    for measure in (m.coding_rate, m.effective_rank, m.renyi_entropy):
        assert measure(x) == pytest.approx(measure(X), rel=1e-6)
    assert m.coding_rate_given(x, labels) == pytest.approx(m.coding_rate_given(X, y), rel=1e-6)
    bounds = m.kde_information_bounds(x), m.kde_information_bounds(X)
    assert bounds[0].lower == pytest.approx(bounds[1].lower, rel=1e-6)


@pytest.mark.parametrize("kind", ["l2", "inner-product"])
def test_the_search_without_faiss_gpu_equals_faiss(kind):
    """What serves CUDA tensors where only faiss-cpu is installed; it runs anywhere."""
    rng = np.random.default_rng(0)
    x, base = (torch.from_numpy(rng.standard_normal((n, 6)).astype("f4")) for n in (40, 25))
    expected, found = _faiss.nearest(x, base, 5, kind), _faiss._by_torch(x, base, 5, kind)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-4)
    assert torch.equal(found[1], expected[1])
