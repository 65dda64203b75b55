"""What a run will take on this device: a few steps and passes are timed, the rest is product."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ssl_companion.data import ImageSet, hierarchy_of
from ssl_companion.experiments import Run
from ssl_companion.training.extract import extract
from ssl_companion.training.loop import LoopConfig, Trainer

_CLASSES = 100
_TRAIN = {"cifar100": 50_000, "glyphs100": 10_000}
_TEST = {"cifar100": 10_000, "glyphs100": 2_000}


def estimate(runs: list[Run], device: torch.device, steps: int = 3) -> list[dict[str, Any]]:
    """Minutes and megabytes of each run.

    Runs of the same shape are timed once. Reading the features of all images and of the
    sample level's views is counted; probes are not.

    Args:
        runs: what to estimate.
        device: where.
        steps: timed, after a first one that warms up.
    """
    seconds: dict[str, tuple[float, float]] = {}
    rows = []
    for run in runs:
        shape = _shape_of(run)
        if shape not in seconds:
            seconds[shape] = _time(run, device, steps)
        per_step, per_image = seconds[shape]
        config, measure = run.config, run.measure
        n = config.images_per_class * _CLASSES or _TRAIN[config.data]
        sampled = measure.sample_images * (measure.sample_views + measure.sample_fresh)
        every = n * (measure.every_sample_views + 1) * len(measure.every_sample_at)
        passes = len(run.snapshots) * (n + _TEST[config.data] + sampled) + every
        training = per_step * config.epochs * (n // config.batch)
        rows.append(
            {
                "name": run.name,
                "train_minutes": round(training / 60, 2),
                "measure_minutes": round(per_image * passes / 60, 2),
                "disk_mb": round(_disk_bytes(run) / 1e6, 2),
            }
        )
    return rows


def _shape_of(run: Run) -> str:
    config = run.config
    return repr((config.backbone, config.objective.name, config.batch, config.projector_width))


def _time(run: Run, device: torch.device, steps: int) -> tuple[float, float]:
    """Seconds a training step and seconds an image of a forward pass that taps every layer."""
    n = 2 * run.config.batch
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
    trainer = Trainer(config, noise, LoopConfig(device=str(device), progress=False))
    trainer.train_step()

    def train() -> None:
        for _ in range(steps):
            trainer.train_step()

    per_step = _clock(train, device) / steps
    backbone = trainer.learner.backbone.eval()
    extract(backbone, noise.images)
    return per_step, _clock(lambda: extract(backbone, noise.images), device) / n


def _clock(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _disk_bytes(run: Run) -> float:
    """Of the recording: features kept, and about 250 bytes a row of measures and losses."""
    from ssl_companion.training.backbones import make_backbone

    backbone = make_backbone(run.config.backbone, seed=0)
    measure, width = run.measure, backbone.width
    kept = sum(len(measure.layers_kept(epoch, backbone.layers)) for epoch in run.snapshots)
    per_layer = _CLASSES * (measure.keep_train + measure.keep_test + 2)  # means are two bytes
    last = measure.sample_images * (2 + measure.keep_fresh)
    last += measure.map_images * measure.map_views
    features = width * (kept * per_layer + (len(run.snapshots) if kept else 0) * last)
    if measure.targets:
        features += len(run.snapshots) * (_TRAIN[run.config.data] + _TEST[run.config.data])
    rows = len(run.snapshots) * len(backbone.layers) * 30 * 50 + 100 * run.config.epochs
    weights = sum(p.numel() for p in backbone.parameters()) * 2 if measure.weights else 0
    return features + rows + weights
