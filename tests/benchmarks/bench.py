"""Everything that is faster or slower than what a user would pick instead, in one run.

    python tests/benchmarks/bench.py [--scale 0.1]

Class means, their search, neighbours, probes, views and training steps, a line each: the time of
each of the others over ours, so that below 1 the other is faster. The last line says where that is.
"""

from __future__ import annotations

import argparse

import bench_classifiers
import bench_nearest_centroid
import bench_training
import bench_views
from contest import Results


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of samples")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    results, rounds = Results(), ["--rounds", str(options.rounds)]
    scaled = [*rounds, "--scale", str(options.scale)]
    bench_nearest_centroid.main(scaled, results)
    bench_classifiers.main(scaled, results)
    bench_views.main(rounds, results)
    bench_training.main([*rounds, "--images", str(max(1000, int(10_000 * options.scale)))], results)
    print(results.summary())


if __name__ == "__main__":
    main()
