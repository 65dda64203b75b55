"""What a run will take on this device: a few steps and passes are timed, the rest is product."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ssl_companion.data import ImageSet, hierarchy_of
from ssl_companion.experiments import Run
from ssl_companion.training.backbones import make_backbone
from ssl_companion.training.checkpoint import KEPT
from ssl_companion.training.extract import extract
from ssl_companion.training.loop import LoopConfig, Trainer

_CLASSES = 100
_TRAIN = {"cifar100": 50_000, "glyphs100": 10_000}
_TEST = {"cifar100": 10_000, "glyphs100": 2_000}
# Steps that warm up, and steps that are timed. On CUDA the first ones compile the network and
# capture its graphs, which takes longer than hundreds of steps.
_STEPS = {"cpu": (1, 3), "cuda": (4, 20)}


def estimate(runs: list[Run], device: torch.device, compiled: str = "auto") -> list[dict[str, Any]]:
    """Minutes and megabytes of each run.

    Runs of the same shape are timed once. Reading the features of all images and of the
    sample level's views is counted; probes are not.

    Args:
        runs: what to estimate.
        device: where.
        compiled: as `LoopConfig.compile`; the minutes that compiling takes are not counted.

    Returns:
        name, train_minutes, measure_minutes, disk_mb (of the recording), work_mb (of the run's
        folder when it is fullest: every snapshot and its measures, and the checkpoints, of
        which there is one more than are kept while it is written).
    """
    known: dict[str, _Cost] = {}
    rows = []
    for run in runs:
        shape = _shape_of(run)
        if shape not in known:
            known[shape] = _time(run, device, compiled)
        cost, config, measure = known[shape], run.config, run.measure
        n = config.images_per_class * _CLASSES or _TRAIN[config.data]
        sampled = measure.sample_images * (measure.sample_views + measure.sample_fresh)
        every = n * (measure.every_sample_views + 1) * len(measure.every_sample_at)
        passes = len(run.snapshots) * (n + _TEST[config.data] + sampled) + every
        training = cost.step * config.epochs * (n // config.batch)
        disk = disk_bytes(run)
        work = len(run.snapshots) * cost.snapshot + (KEPT + 1) * cost.checkpoint + disk
        rows.append(
            {
                "name": run.name,
                "train_minutes": round(training / 60, 2),
                "measure_minutes": round(cost.image * passes / 60, 2),
                "disk_mb": round(disk / 1e6, 2),
                "work_mb": round(work / 1e6, 2),
            }
        )
    return rows


@dataclass(frozen=True)
class _Cost:
    """Seconds of a training step and of an image in a forward pass that taps every layer; bytes
    of a checkpoint and of a snapshot."""

    step: float
    image: float
    checkpoint: float
    snapshot: float


def _shape_of(run: Run) -> str:
    config = run.config
    kinds = config.objective.name, config.optim.name
    return repr((config.backbone, *kinds, config.batch, config.projector_width))


def _time(run: Run, device: torch.device, compiled: str) -> _Cost:
    first, timed = _STEPS[device.type]
    # One epoch holds all the steps: the next one's permutation would make the device wait.
    n = (first + timed) * run.config.batch
    rng = np.random.default_rng(0)
    noise = ImageSet(
        name="noise",
        split="train",
        images=rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8),
        fine=np.arange(n) % _CLASSES,
        files=np.arange(n).astype(str),
        fingerprint="",
        hierarchy=hierarchy_of(run.config.data),
    )
    config = replace(run.config, images_per_class=0)
    loop = LoopConfig(device=str(device), compile=compiled, progress=False)
    trainer = Trainer(config, noise, loop)

    def train(steps: int) -> None:
        for _ in range(steps):
            trainer.train_step()

    train(first)
    step = _clock(lambda: train(timed), device) / timed
    backbone = trainer.learner.backbone.eval()
    some = noise.images[: 2 * run.config.batch]
    extract(backbone, some)
    image = _clock(lambda: extract(backbone, some), device) / len(some)
    snapshot = dict(backbone.exported_state())
    if isinstance(trainer.learner.head, torch.nn.Linear):
        snapshot |= trainer.learner.head.state_dict()
    return _Cost(step, image, _tensor_bytes(trainer.state()), _tensor_bytes(snapshot))


def _clock(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _tensor_bytes(tree: object) -> float:
    """Of all tensors in nested dictionaries and lists."""
    if isinstance(tree, torch.Tensor):
        return float(tree.numel() * tree.element_size())
    if isinstance(tree, dict):
        return sum(_tensor_bytes(part) for part in tree.values())
    return sum(_tensor_bytes(part) for part in tree) if isinstance(tree, list | tuple) else 0.0


def disk_bytes(run: Run) -> float:
    """Of the recording: what is kept, and about 50 bytes a row of its tables.

    Nothing is trained for it.
    """
    layers, width, weights = _anatomy(run.config.backbone)
    measure, size = run.measure, len(run.snapshots)
    by_epoch = [len(measure.layers_kept(epoch, layers)) for epoch in run.snapshots]
    images = _CLASSES * (measure.keep_train + measure.keep_test)
    samples = min(measure.keep_samples or measure.sample_images, measure.sample_images)
    maps = measure.map_images * min(measure.map_views, measure.sample_views)
    # Codes are one byte, means two, and each table of codes has a map of eight a dimension.
    layer = images + 2 * _CLASSES + 2 * 8
    last = samples * (2 + measure.keep_fresh) + maps + 2 * 8
    total = width * (sum(by_epoch) * layer + sum(map(bool, by_epoch)) * last)
    if measure.targets:
        total += size * (_TRAIN[run.config.data] + _TEST[run.config.data])
    if total:
        total += 37 * (images + samples)  # whose features these are
    if measure.weights:
        total += 2 * weights
    return float(total + 50 * 30 * size * len(layers) + 100 * run.config.epochs)


@functools.cache
def _anatomy(name: str) -> tuple[tuple[str, ...], int, int]:
    """Of a backbone: its layers, the width of their features, the number of its weights."""
    with torch.device("meta"):  # without drawing the weights
        backbone = make_backbone(name, seed=0)
    return backbone.layers, backbone.width, sum(p.numel() for p in backbone.parameters())
