"""How long it takes to measure one snapshot, whole and by part.

    python tests/benchmarks/bench_measures.py [--backbone res-5-250] [--images 50000]

By default RES-5-250 and as many images as CIFAR-100 has where there is a CUDA device, and a
narrow network and few images elsewhere. A part's clock waits for the device, which the whole
is timed without; the medians of the rounds count. On a CPU, which other work may share, shares
of the whole are printed rather than seconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from ssl_companion.data import ImageSet, load
from ssl_companion.io.provenance import device_name
from ssl_companion.recordings import measuring
from ssl_companion.recordings.config import MeasureConfig
from ssl_companion.recordings.measuring import measure_snapshot
from ssl_companion.training.backbones import make_backbone
from ssl_companion.training.config import RunConfig, pick_device
from ssl_companion.training.extract import recalibrate_batchnorm
from ssl_companion.training.snapshots import load_snapshot, save_snapshot

# What `measure_snapshot` calls, and what that is.
PARTS = {
    "extract": "features of both sets",
    "measure_features": "class levels and probes",
    "extract_views": "features of views",
    "measure_samples": "sample level",
}
REST = "all images as classes, and the rest"


@dataclass(frozen=True)
class Task:
    """A snapshot, and what it is measured on."""

    path: Path
    config: RunConfig
    train: ImageSet
    test: ImageSet
    measure: MeasureConfig
    epoch: int
    device: torch.device


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def timed(spent: dict[str, float], name: str, device: torch.device) -> Iterator[None]:
    wait(device)
    start = time.perf_counter()
    yield
    wait(device)
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - start


def clocked(function: Callable[..., Any], spent: dict[str, float], name: str, device: torch.device
            ) -> Callable[..., Any]:  # fmt: skip
    def run(*args: Any, **options: Any) -> Any:
        with timed(spent, name, device):
            return function(*args, **options)

    return run


def one_round(task: Task, by_part: bool) -> dict[str, float]:
    """Seconds of the whole, or of each part."""
    spent: dict[str, float] = {}
    with ExitStack() as stack:
        if by_part:
            for name, part in PARTS.items():
                own = clocked(getattr(measuring, name), spent, part, task.device)
                stack.enter_context(mock.patch.object(measuring, name, own))
        loading: dict[str, float] = {}
        with timed(loading, "loading the snapshot", task.device):
            backbone = load_snapshot(task.path, task.config, task.device)
        views, precision = task.config.views, task.config.precision
        # Its statistics are those of no data yet, with which features may be of any size.
        recalibrate_batchnorm(backbone, task.train.images, views, precision)
        measured: dict[str, float] = {}
        with timed(measured, "whole", task.device):
            measure_snapshot(
                backbone, task.epoch, task.train, task.test, views, task.measure, precision
            )
    if not by_part:
        return measured
    return loading | spent | {REST: measured["whole"] - sum(spent.values())}


def report(wholes: list[float], parts: list[dict[str, float]], seconds: bool) -> None:
    """A line for each part."""
    whole = statistics.median(wholes)
    if seconds:
        low, high = min(wholes), max(wholes)
        print(f"{'measuring a snapshot':40}{whole:9.2f} s   ({low:.2f} to {high:.2f})")
    medians = {name: statistics.median(round_[name] for round_ in parts) for name in parts[0]}
    total = sum(medians.values())
    for name, value in medians.items():
        figure = f"{value:9.2f} s" if seconds else ""
        print(f"  {name:38}{figure}{value / total:9.1%}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--backbone", default="", help="res-5-250 on CUDA, else res-5-16")
    parser.add_argument("--images", type=int, default=0, help="50,000 on CUDA, else 2,000")
    parser.add_argument("--test-images", type=int, default=0, help="10,000 on CUDA, else 1,000")
    parser.add_argument("--sample-images", type=int, default=0, help="500 on CUDA, else 100")
    parser.add_argument("--sample-views", type=int, default=0, help="100 on CUDA, else 20")
    parser.add_argument("--every-sample", action="store_true", help="all images as classes, too")
    parser.add_argument("--probe-layers", action="store_true", help="probes on every layer")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    device = pick_device(options.device)
    cuda = device.type == "cuda"
    config = RunConfig(backbone=options.backbone or ("res-5-250" if cuda else "res-5-16"))
    train = load("glyphs100", "train", n=options.images or (50_000 if cuda else 2_000))
    test = load("glyphs100", "test", n=options.test_images or (10_000 if cuda else 1_000))
    measure = MeasureConfig(
        sample_images=options.sample_images or (500 if cuda else 100),
        sample_views=options.sample_views or (100 if cuda else 20),
        every_sample_at=(1,) if options.every_sample else (),
        probe_layers_at=(1,) if options.probe_layers else (),
        keep="all",
    )
    print(
        f"{config.backbone}, {len(train):,} and {len(test):,} images; {device_name(device)}; "
        f"torch {torch.__version__}; {options.rounds} rounds",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        backbone = make_backbone(config.backbone, seed=config.seed)
        path = save_snapshot(folder, 1, backbone, config.digest())
        task = Task(path, config, train, test, measure, 1, device)
        one_round(task, by_part=False)  # what is only done once in a process
        if cuda:
            torch.cuda.reset_peak_memory_stats(device)
        wholes, parts = [], []
        for _ in range(options.rounds):
            wholes.append(one_round(task, by_part=False)["whole"])
            parts.append(one_round(task, by_part=True))
    report(wholes, parts, seconds=cuda)
    if cuda:
        print(f"peak memory: {torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
