"""Weighted nearest neighbours and the linear probe: ours, scikit-learn's and lightly's.

    python tests/benchmarks/bench_classifiers.py [--only knn] [--scale 0.1]

A line for each task and size (training samples, dimensions, classes; a fifth as many samples are
classified) has the time of each of the others over ours. Two probes are compared at one penalty,
and to one accuracy: the line ends with what each reaches.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from contest import OURS, Results, seconds_of, size_in_words
from lightly.utils.benchmarking import knn_predict
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from ssl_companion.measures import LinearProbe, WeightedKNN

KNN_SIZES = ((10_000, 250, 100), (50_000, 250, 100))
PROBE_SIZES = ((5_000, 250, 100), (20_000, 250, 100))
TASKS = ("knn", "probe")
K, TEMPERATURE, PENALTY = 200, 0.07, 1e-3


def make(n: int, dims: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test features, float32, and classes that overlap."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((k, dims))
    found: list[np.ndarray] = []
    for size in (n, n // 5):
        y = np.arange(size) % k
        noise = rng.standard_normal((size, dims))
        found += [(centres[y] + 3.5 * noise).astype(np.float32), y]
    x, y, x_test, y_test = found
    return x, y, x_test, y_test


def knn(results: Results, size: tuple[int, int, int], rounds: int, scale: float) -> None:
    x, y, asked, truth = make(max(2 * K, int(size[0] * scale)), *size[1:])

    def ours() -> float:
        return WeightedKNN(k=K, temperature=TEMPERATURE).fit(x, y).score(asked, truth)

    def lightlys() -> float:
        bank = torch.nn.functional.normalize(torch.from_numpy(x)).T.contiguous()
        rows = torch.nn.functional.normalize(torch.from_numpy(asked))
        found = knn_predict(rows, bank, torch.from_numpy(y), size[2], knn_k=K, knn_t=TEMPERATURE)[
            :, 0
        ]
        return float((found.numpy() == truth).mean())

    def sklearns() -> float:
        def weights(distances: np.ndarray) -> np.ndarray:
            return np.exp((1 - distances) / TEMPERATURE)

        model = KNeighborsClassifier(K, metric="cosine", weights=weights, algorithm="brute")
        return float(model.fit(x, y).score(asked, truth))

    _compare(results, f"kNN {size_in_words(*size)}",
             {OURS: ours, "lightly": lightlys, "sklearn": sklearns}, rounds)  # fmt: skip


def probe(results: Results, size: tuple[int, int, int], rounds: int, scale: float) -> None:
    x, y, asked, truth = make(max(2 * size[2], int(size[0] * scale)), *size[1:])

    def ours() -> float:
        return LinearProbe(l2=PENALTY).fit(x, y).score(asked, truth)

    def sklearns() -> float:
        centred = (x - x.mean(0)) / x.std(0)
        model = LogisticRegression(C=1 / (PENALTY * len(x)), max_iter=500, tol=1e-5)
        return float(model.fit(centred, y).score((asked - x.mean(0)) / x.std(0), truth))

    _compare(results, f"probe {size_in_words(*size)}", {OURS: ours, "sklearn": sklearns}, rounds)


def _compare(
    results: Results, task: str, contestants: dict[str, Callable[[], float]], rounds: int
) -> None:
    results.add(task, seconds_of(contestants, rounds))
    reached = "  ".join(f"{name} {run():.4f}" for name, run in contestants.items())
    print(f"{'  accuracy':34}{reached}")


def main(arguments: list[str] | None = None, results: Results | None = None) -> Results:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of samples")
    parser.add_argument("--only", nargs="*", choices=TASKS, default=TASKS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    results = Results() if results is None else results
    for task, run, sizes in (("knn", knn, KNN_SIZES), ("probe", probe, PROBE_SIZES)):
        for size in sizes if task in options.only else ():
            run(results, size, options.rounds, options.scale)
    return results


if __name__ == "__main__":
    print(main().summary())
