"""`measure_encoder` of features in a mapped file, measure by measure: seconds, and memory it adds.

    python tests/benchmarks/bench_encoder_measures.py [--images 200000] [--only ncc knn] [--alone]

A line for each measure has the seconds of the processor and the most memory above the input, as
the table of `measure_encoder` is made: NCC accuracy with its twenty permutations, accuracies with
their intervals. Below it stand the same of scikit-learn and lightly where they have the measure, on
the images that ours is of, and their time over ours: below 1 the other is faster. (torchmetrics
has none of these measures.)
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import torch
from contest import OURS, Results, size_in_words
from lightly.utils.benchmarking import knn_predict
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from ssl_companion.encoders.catalogue import CATALOGUE
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.subsets import balanced_subset, random_subset

TEMPERATURE, PENALTY, AT_ONCE = 0.07, 1e-4, 1000
Score = Callable[[], float]


@dataclass(frozen=True)
class Features:
    """Training and test features, float32, mapped, and the classes of both."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    z: np.ndarray

    def subset(self, size: int) -> Features:
        """What `measure_encoder` fits probes on and asks them of."""
        fit, ask = balanced_subset(self.y, size), random_subset(len(self.z), size)
        return Features(self.x[fit], self.y[fit], self.x_test[ask], self.z[ask])


def make(folder: Path, n: int, n_test: int, dims: int, k: int) -> Features:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((k, dims), dtype=np.float32)
    found: list[np.ndarray] = []
    for name, size in (("train", n), ("test", n_test)):
        path = folder / f"{name}.npy"
        x = np.lib.format.open_memmap(path, "w+", np.float32, (size, dims))
        y = rng.integers(k, size=size)
        y[:k] = np.arange(k)
        for start in range(0, size, 10_000):
            rows = y[start : start + 10_000]
            noise = rng.standard_normal((len(rows), dims), dtype=np.float32)
            x[start : start + 10_000] = centres[rows] + 4 * noise
        x.flush()
        found += [np.load(path, mmap_mode="r"), y]
    return Features(*found)


def sklearns_ncc(all_of_them: Features, few: Features) -> float:
    model = NearestCentroid().fit(all_of_them.x, all_of_them.y)
    return float(model.score(all_of_them.x_test, all_of_them.z))


def sklearns_knn(all_of_them: Features, few: Features) -> float:
    model = KNeighborsClassifier(
        min(200, len(few.x) // 10), metric="cosine", algorithm="brute",
        weights=lambda distances: np.exp((1 - distances) / TEMPERATURE),
    )  # fmt: skip
    return float(model.fit(few.x, few.y).score(few.x_test, few.z))


def lightlys_knn(all_of_them: Features, few: Features) -> float:
    bank = torch.nn.functional.normalize(torch.from_numpy(few.x)).T.contiguous()
    y, k, hits = torch.from_numpy(few.y), int(few.y.max()) + 1, 0
    for start in range(0, len(few.z), AT_ONCE):
        rows = torch.nn.functional.normalize(torch.from_numpy(few.x_test[start : start + AT_ONCE]))
        near = min(200, len(few.x) // 10)
        found = knn_predict(rows, bank, y, k, knn_k=near, knn_t=TEMPERATURE)[:, 0].numpy()
        hits += int((found == few.z[start : start + AT_ONCE]).sum())
    return hits / len(few.z)


def sklearns_linear(all_of_them: Features, few: Features) -> float:
    mean, deviation = few.x.mean(0), few.x.std(0)
    model = LogisticRegression(C=1 / (PENALTY * len(few.x)), max_iter=300, tol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit((few.x - mean) / deviation, few.y)
    return float(model.score((few.x_test - mean) / deviation, few.z))


OTHERS: dict[str, dict[str, Callable[[Features, Features], float]]] = {
    "ncc": {"sklearn": sklearns_ncc},
    "knn": {"sklearn": sklearns_knn, "lightly": lightlys_knn},
    "linear": {"sklearn": sklearns_linear},
}


def memory() -> float:
    """MB of this process that are no part of a mapped file."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def watched(run: Score) -> tuple[float, float, float]:
    """What it returns, its seconds of the processor, and the most memory that it adds, in MB."""
    gc.collect()
    before, peak, done = memory(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak.append(memory() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        start = time.process_time()
        value = run()
        seconds = time.process_time() - start
    finally:
        done.set()
        thread.join()
    return value, seconds, max(peak)


def compare(
    name: str, given: Features, subset_size: int, alone: bool, results: Results
) -> tuple[float, float]:
    """The line of a measure, and those of the others; seconds and MB of ours."""

    def ours() -> float:
        table = measure_encoder(
            None, given.x, given.y, test_images=given.x_test, test_labels=given.z, which=name,
            subset_size=subset_size,
        )  # fmt: skip
        return float(table["value"][0])

    found = {OURS: watched(ours)}
    print(line(name, found[OURS]), flush=True)
    others = {} if alone else OTHERS.get(name, {})
    few = given.subset(subset_size) if others else given
    for other, run in others.items():
        found[other] = watched(lambda run=run: run(given, few))  # type: ignore[misc]
        print(line(f"  {other}", found[other]), flush=True)
    if others:
        results.add(f"{name} over ours", {who: [seconds] for who, (_, seconds, _) in found.items()})
    return found[OURS][1:]


def line(name: str, found: tuple[float, float, float]) -> str:
    value, seconds, megabytes = found
    return f"{name:34}{seconds:9.2f} s {megabytes:9.0f} MB   {value:.4f}"


def main(arguments: list[str] | None = None, results: Results | None = None) -> Results:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000, help="training images")
    parser.add_argument("--test-images", type=int, default=0, help="a tenth of these")
    parser.add_argument("--dims", type=int, default=512)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--subset-size", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=tuple(CATALOGUE), default=tuple(CATALOGUE))
    parser.add_argument("--alone", action="store_true", help="leave the others out")
    parser.add_argument("--folder", help="of the mapped files, as large as the features")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    results = Results() if results is None else results
    n, n_test = options.images, options.test_images or options.images // 10
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        given = make(Path(folder), n, n_test, options.dims, options.classes)
        size = size_in_words(n, options.dims, options.classes)
        print(f"{size}, {n_test:,} test images; the input takes {given.x.nbytes / 2**20:.0f} MB")
        few = given.x[:2000]
        measure_encoder(None, few, np.arange(len(few)) % 10)  # what a process does once
        found = [compare(name, given, options.subset_size, options.alone, results)
                 for name in options.only]  # fmt: skip
    seconds, peak = sum(one[0] for one in found), max(one[1] for one in found)
    print(f"{'all of ours':34}{seconds:9.2f} s {peak:9.0f} MB")
    return results


if __name__ == "__main__":
    outcome = main()
    if outcome.ratios:
        print(outcome.summary())
