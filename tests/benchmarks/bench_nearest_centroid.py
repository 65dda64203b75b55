"""Class means and the nearest of them: ours, scikit-learn, NumPy, plain torch and raw FAISS.

    python tests/benchmarks/bench_nearest_centroid.py [--only fit] [--scale 0.1]

A line for each task and size (samples, dimensions, classes) has the time of each of the others
over ours: below 1, the other is faster. Of many classes, fewer points are asked for. Then how far
each agrees with float64, as the points are and with an offset common to all features, and the
memory that the first search among 50,000 centres takes beyond them.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import torch
from contest import OURS, Contestants, Results, seconds_of, size_in_words
from sklearn.neighbors import NearestCentroid as SklearnNearestCentroid

from ssl_companion.measures import NearestCentroid

# Samples, dimensions, classes, and of how many samples the nearest class is asked for.
SIZES = (
    (10_000, 64, 100, 10_000),
    (10_000, 250, 100, 10_000),
    (100_000, 250, 100, 100_000),
    (100_000, 250, 5_000, 20_000),
    (1_000_000, 128, 1_000, 100_000),
)
MANY = (50_000, 512)  # centres and dimensions of the look at memory
OFFSET = 1e4
TASKS = ("fit", "predict", "cosine", "agreement", "memory")
_AT_ONCE = 4096  # rows that plain NumPy and torch take at a time


def make(n: int, dims: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, dims], float32, around k centres, and their classes [n], each of them present."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % k)
    centres = rng.standard_normal((k, dims), dtype=np.float32)
    return centres[y] + 2 * rng.standard_normal((n, dims), dtype=np.float32), y


def fits(x: np.ndarray, y: np.ndarray, k: int, device: str) -> Contestants:
    """Each gives the class means."""
    there, labels = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)

    def plain() -> torch.Tensor:
        sums = torch.zeros(k, x.shape[1], device=device).index_add_(0, labels, there)
        return sums / torch.bincount(labels)[:, None]

    def sorted_sums() -> np.ndarray:
        counts = np.bincount(y)
        starts = np.concatenate([[0], counts.cumsum()[:-1]])
        means: np.ndarray = np.add.reduceat(x[np.argsort(y, kind="stable")], starts)
        return means / counts[:, None]

    mine = x if device == "cpu" else there
    found: dict[str, Callable[[], object]] = {
        OURS: lambda: NearestCentroid().fit(mine, y).centroids_,
        "torch": plain,
    }
    if device == "cpu":
        found["numpy"] = sorted_sums
        found["sklearn"] = lambda: SklearnNearestCentroid().fit(x, y)
    return found


def searches(centres: np.ndarray, points: np.ndarray, metric: str, device: str) -> Contestants:
    """Each gives the nearest centre of each point."""
    x, c = torch.from_numpy(points).to(device), torch.from_numpy(centres).to(device)
    model = NearestCentroid.from_centroids(c, metric=metric)  # type: ignore[arg-type]
    mine = points if device == "cpu" else x
    cosine = metric == "cosine"

    def by_torch() -> torch.Tensor:
        base = torch.nn.functional.normalize(c) if cosine else c
        half = torch.zeros(len(c), device=device) if cosine else c.square().sum(1) / 2
        return torch.cat([torch.addmm(-half, rows, base.T).argmax(1) for rows in x.split(_AT_ONCE)])

    def by_numpy() -> np.ndarray:
        base = centres / np.linalg.norm(centres, axis=1, keepdims=True) if cosine else centres
        half = 0.0 if cosine else (centres**2).sum(1) / 2
        parts = [points[i : i + _AT_ONCE] for i in range(0, len(points), _AT_ONCE)]
        return np.concatenate([(rows @ base.T - half).argmax(1) for rows in parts])

    def by_faiss() -> np.ndarray:
        if not cosine:
            return faiss.knn(points, centres, 1)[1][:, 0]
        base = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        return faiss.knn(points, base, 1, metric=faiss.METRIC_INNER_PRODUCT)[1][:, 0]

    found: dict[str, Callable[[], object]] = {OURS: lambda: model.predict(mine), "torch": by_torch}
    if device == "cpu":
        found |= {"numpy": by_numpy, "faiss": by_faiss}
        if not cosine:
            found["sklearn"] = _sklearn(centres, points)
    return found


def _sklearn(centres: np.ndarray, points: np.ndarray) -> Callable[[], object]:
    model = SklearnNearestCentroid()
    with warnings.catch_warnings():  # of one sample a class, which is what we mean
        warnings.simplefilter("ignore")
        model.fit(centres, np.arange(len(centres)))
    return lambda: model.predict(points)


def agreement(centres: np.ndarray, points: np.ndarray, device: str) -> dict[str, float]:
    """Share of the points on which each agrees with differences in float64."""
    truth = torch.cdist(
        torch.from_numpy(points).double(),
        torch.from_numpy(centres).double(),
        compute_mode="donot_use_mm_for_euclid_dist",
    ).argmin(1)
    return {
        name: float((torch.as_tensor(run()).cpu() == truth).double().mean())
        for name, run in searches(centres, points, "euclidean", device).items()
    }


def print_agreement(n: int, dims: int, k: int, device: str) -> None:
    """Two lines: as the points are, and far from the origin."""
    points, _ = make(min(n, 1000), dims, min(n, 1000))
    centres, _ = make(k, dims, k, seed=1)
    for words, offset in (("as they are", 0.0), (f"offset {OFFSET:g}", OFFSET)):
        shared = np.float32(offset)
        found = agreement(centres + shared, points + shared, device)
        shares = "  ".join(f"{name} {share:.4%}" for name, share in found.items())
        print(f"{'agreement, ' + words:34}{shares}")


def peak(run: Callable[[], object]) -> float:
    """MB by which the memory of this process grows at most in a call (of Linux alone)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def kilobytes(field: str) -> int:
        (line,) = [line for line in status.read_text().splitlines() if line.startswith(field)]
        return int(line.split()[1])

    reset.write_text("5")  # the peak is that from now on
    before = kilobytes("VmRSS")
    run()
    return (kilobytes("VmHWM") - before) / 1e3


def print_memory() -> None:
    """A line with what a first search among many centres takes beyond them."""
    centres, _ = make(MANY[0], MANY[1], MANY[0])
    some = centres[:2000] + np.float32(0.1)
    model = NearestCentroid.from_centroids(centres)
    warm = NearestCentroid.from_centroids(centres[:2])  # what the first search of all brings along
    warm.predict(some[:2])
    faiss.knn(some[:2], centres[:2], 1)
    runs = {"faiss": lambda: faiss.knn(some, centres, 1), OURS: lambda: model.predict(some)}
    parts = [f"{name} {peak(run):.0f} MB" for name, run in runs.items()]
    print(f"{'memory, ' + size_in_words(*MANY):34}{'  '.join(parts)}")


def compare(
    results: Results, scale: float, rounds: int, only: tuple[str, ...], device: str
) -> None:
    """Run the tasks on every size."""
    where = "" if device == "cpu" else f" {device}"
    for samples, dims, k, asked in SIZES:
        n, words = max(k, int(samples * scale)), size_in_words(samples, dims, k) + where
        x, y = make(n, dims, k)
        if "fit" in only:
            results.add(f"fit {words}", seconds_of(fits(x, y, k, device), rounds, device))
        centres = np.stack([x[y == c].mean(0) for c in range(k)])
        points = x[: max(1000, int(asked * scale))]
        for task, metric in (("predict", "euclidean"), ("cosine", "cosine")):
            if task in only:
                run = searches(centres, points, metric, device)
                results.add(f"{task} {words}", seconds_of(run, rounds, device))
    if "agreement" in only:
        print_agreement(*SIZES[-1][:3], device)


def main(arguments: list[str] | None = None, results: Results | None = None) -> Results:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of torch, FAISS and BLAS")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of samples")
    parser.add_argument("--only", nargs="*", choices=TASKS, default=TASKS)
    options = parser.parse_args(arguments)
    results = Results() if results is None else results
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    only = tuple(options.only)
    compare(results, options.scale, options.rounds, only, "cpu")
    if torch.cuda.is_available():
        compare(results, options.scale, options.rounds, only, "cuda")
    if "memory" in only and sys.platform == "linux":
        print_memory()
    return results


if __name__ == "__main__":
    print(main().summary())
