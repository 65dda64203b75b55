"""Nearest-centroid search: ours, scikit-learn's and a plain torch one, in one run.

    python tests/benchmarks/bench_nearest_centroid.py [--check]

The three take turns, so that what else the machine does falls on all of them alike; the
medians of the repetitions are compared. Agreement is with float64 differences on a sample of
the points, once as they are and once with an offset common to all features.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import faiss
import numpy as np
import torch
from sklearn.neighbors import NearestCentroid as SklearnNearestCentroid

from ssl_companion.measures import NearestCentroid

DIMS = 250
SIZES = ((100, 100_000), (5_000, 100_000), (50_000, 10_000))  # centroids, points
GPU_SIZES = ((100, 50_000), (5_000, 100_000), (50_000, 1_000_000))
ALLOWED = 1.10  # at 5,000 centroids and more, of the better of the other two
OFFSET = 1e4

Predict = Callable[[], "np.ndarray | torch.Tensor"]


def make(k: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Centroids [k, DIMS] and points [n, DIMS] around them, float32."""
    rng = np.random.default_rng(seed)
    centroids = rng.standard_normal((k, DIMS), dtype=np.float32)
    noise = rng.standard_normal((n, DIMS), dtype=np.float32)
    return centroids, centroids[rng.integers(0, k, n)] + 2 * noise


def plain_torch(points: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """argmax of x.c - |c|^2 / 2 in float32, 4096 points at a time."""
    half = centroids.square().sum(1) / 2
    found = [torch.addmm(-half, x, centroids.T).argmax(1) for x in points.split(4096)]
    return torch.cat(found)


def contenders(centroids: np.ndarray, points: np.ndarray, device: str) -> dict[str, Predict]:
    x, c = torch.from_numpy(points).to(device), torch.from_numpy(centroids).to(device)
    ours = NearestCentroid.from_centroids(c)
    found: dict[str, Predict] = {
        "ours": lambda: ours.predict(x if device != "cpu" else points),
        "torch": lambda: plain_torch(x, c),
    }
    if device == "cpu":
        sklearn = SklearnNearestCentroid()
        with warnings.catch_warnings():  # of one sample a class, which is what we mean
            warnings.simplefilter("ignore")
            sklearn.fit(centroids, np.arange(len(centroids)))
        found["sklearn"] = lambda: sklearn.predict(points)
    return found


def timed(predict: Predict, device: str) -> float:
    start = time.perf_counter()
    predict()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def agreement(centroids: np.ndarray, points: np.ndarray, device: str) -> dict[str, float]:
    """Share of points on which each one agrees with differences in float64."""
    wide = torch.from_numpy(centroids).double()
    truth = torch.cdist(
        torch.from_numpy(points).double(), wide, compute_mode="donot_use_mm_for_euclid_dist"
    ).argmin(1)
    return {
        name: float((torch.as_tensor(predict()).cpu() == truth).double().mean())
        for name, predict in contenders(centroids, points, device).items()
    }


def compare(k: int, n: int, repetitions: int, device: str = "cpu") -> float:
    """Print one size; return our median over that of the best of the others."""
    centroids, points = make(k, n)
    run = contenders(centroids, points, device)
    seconds: dict[str, list[float]] = {name: [] for name in run}
    for repetition in range(repetitions + 1):
        for name, predict in run.items():
            took = timed(predict, device)
            if repetition:  # the first warms up
                seconds[name].append(took)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    best = min(median for name, median in medians.items() if name != "ours")
    ratio = medians["ours"] / best
    print(f"\n{n:,} points, {k:,} centroids, {DIMS} dimensions, {device}")
    some = points[:1000]
    as_is = agreement(centroids, some, device)
    shifted = agreement(centroids + np.float32(OFFSET), some + np.float32(OFFSET), device)
    print(f"  {'':8} {'median s':>10} {'to ours':>8}  agreement, and with offset {OFFSET:g}")
    for name, median in medians.items():
        relative = median / medians["ours"]
        print(f"  {name:8} {median:10.4f} {relative:8.2f}  {as_is[name]:.4%}  {shifted[name]:.4%}")
    print(f"  ours / best other: {ratio:.2f}")
    return ratio


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of torch, FAISS and scikit-learn")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of points")
    parser.add_argument("--check", action="store_true", help="fail if slower than allowed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    ratios = []
    for k, n in SIZES:
        ratio = compare(k, max(1000, int(n * options.scale)), options.repetitions)
        ratios += [ratio] if k >= 5_000 else []
    if torch.cuda.is_available():
        for k, n in GPU_SIZES:
            compare(k, max(1000, int(n * options.scale)), options.repetitions, "cuda")
    worst = max(ratios)
    print(f"\nworst ratio at 5,000 centroids and more: {worst:.2f} (allowed: {ALLOWED:.2f})")
    return int(options.check and worst > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
