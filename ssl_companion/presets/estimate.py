"""What a run will take on this device: its beginning is timed, and the rest is product."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ssl_companion.data import ImageSet, hierarchy_of
from ssl_companion.data.hierarchy import held_out_classes
from ssl_companion.presets.runs import Run
from ssl_companion.recordings.group_accuracies import PLACE_KEEPING
from ssl_companion.recordings.measuring import Target, measure_snapshot
from ssl_companion.training.backbones import make_backbone, padding
from ssl_companion.training.checkpoint import CHECKPOINTS_KEPT
from ssl_companion.training.config import LoopConfig
from ssl_companion.training.extract import extract
from ssl_companion.training.trainer import Trainer

_CLASSES = 100
_GROUPINGS, _BY_LOOKS = 394, 90  # of the fine level and the three above, and those kept whole
_TRAIN = {"cifar100": 50_000, "glyphs100": 10_000}
_TEST = {"cifar100": 10_000, "glyphs100": 2_000}
# Steps that warm up, and steps that are timed. On CUDA the first ones compile the network and
# capture its graphs, which takes longer than hundreds of steps.
_STEPS = {"cpu": (1, 3), "cuda": (4, 20)}
# Where a snapshot is measured whole, once; elsewhere that would take minutes.
_MEASURED_WHOLE = ("cuda",)


def estimate(runs: list[Run], device: torch.device, compiled: str = "auto") -> list[dict[str, Any]]:
    """Minutes and megabytes of each run.

    Runs of the same shape are timed once. On CUDA one snapshot of each shape is measured whole,
    on noise; on a CPU only the forward passes of measuring are counted, and its searches and
    probes, which take about as long again, are not. Of the epochs at which more is
    measured than at others, what all training images as classes add is counted by its passes,
    and the probes of further layers are not.

    Args:
        runs: what to estimate, in the order in which they are recorded.
        device: where.
        compiled: as `LoopConfig.compile`.

    Returns:
        name, compile_minutes (0 but for the first run of a shape, as one process records them),
        train_minutes and measure_minutes, which all add up, disk_mb (of the recording), work_mb
        (of the run's folder when it is fullest: every snapshot and its measures, and the
        checkpoints, of which there is one more than are kept while it is written).
    """
    known: dict[str, _Cost] = {}
    measured: dict[str, float] = {}
    rows = []
    for run in runs:
        shape = _shape_of(run)
        new = shape not in known
        if new:
            known[shape] = _time(run, device, compiled)
        cost, config, measure = known[shape], run.config, run.measure
        n, m = _images(run)
        if device.type in _MEASURED_WHOLE:
            kind = _kind_of(run)
            if kind not in measured:
                measured[kind] = _measuring(run, device)
            snapshot = measured[kind]
        else:
            sampled = measure.sample_images * (measure.sample_views + measure.sample_fresh)
            snapshot = cost.image * (n + m + sampled)
        every = n * (measure.every_sample_views + 1) * len(measure.every_sample_at)
        # The maps of the first and the last snapshot take another pass each.
        every += 2 * (n + m)
        measuring = snapshot * (len(run.snapshots) + len(run.steps)) + cost.image * every
        training = cost.step * config.epochs * (_trained(run) // config.batch)
        disk = disk_bytes(run)
        snapshots = len(run.snapshots) + len(run.steps)
        work = snapshots * cost.snapshot + (CHECKPOINTS_KEPT + 1) * cost.checkpoint + disk
        rows.append(
            {
                "name": run.name,
                "compile_minutes": round(cost.compile / 60, 2) if new else 0.0,
                "train_minutes": round(training / 60, 2),
                "measure_minutes": round(measuring / 60, 2),
                "disk_mb": round(disk / 1e6, 2),
                "work_mb": round(work / 1e6, 2),
            }
        )
    return rows


@dataclass(frozen=True)
class _Cost:
    """Seconds that the first steps take beyond others (compiling), of a training step and of an
    image in a forward pass that taps every layer; bytes of a checkpoint and of a snapshot."""

    compile: float
    step: float
    image: float
    checkpoint: float
    snapshot: float


def _shape_of(run: Run) -> str:
    config = run.config
    kinds = config.objective.name, config.optim.name
    return repr((config.backbone, *kinds, config.batch, config.projector_width))


def _kind_of(run: Run) -> str:
    """What the time of measuring a snapshot depends on."""
    measure, config = run.measure, run.config
    sample = measure.sample_images, measure.sample_views, measure.sample_fresh
    return repr((config.backbone, config.data, _images(run), sample, measure.probes, _targets(run)))


def _images(run: Run) -> tuple[int, int]:
    """How many training images it is measured on, and how many test images."""
    data = run.config.data
    return run.config.images_per_class * _CLASSES or _TRAIN[data], _TEST[data]


def _trained(run: Run) -> int:
    """How many images it trains on."""
    n, _ = _images(run)
    out = len(held_out_classes(hierarchy_of(run.config.data))) if run.config.held_out else 0
    return n * (_CLASSES - out) // _CLASSES


def _targets(run: Run) -> int:
    """How many labels it is measured against besides its own: a snapshot of its teacher each."""
    return 0 if run.teacher is None else len(run.teacher.snapshots)


def _time(run: Run, device: torch.device, compiled: str) -> _Cost:
    first, timed = _STEPS[device.type]
    # One epoch holds all the steps: the next one's permutation would make the device wait.
    n = (first + timed) * run.config.batch
    noise = _noise(n, "train", run)
    config = replace(run.config, images_per_class=0, held_out=False)
    loop = LoopConfig(device=device, compile=compiled, progress=False)
    trainer = Trainer(config, noise, loop)

    def train(steps: int) -> None:
        for _ in range(steps):
            trainer.train_step()

    begun = _clock(lambda: train(first), device)
    step = _clock(lambda: train(timed), device) / timed
    backbone = trainer.learner.backbone.eval()
    some = noise.images[: 2 * run.config.batch]
    extract(backbone, some)
    image = _clock(lambda: extract(backbone, some), device) / len(some)
    snapshot = dict(backbone.exported_state())
    if isinstance(trainer.learner.head, torch.nn.Linear):
        snapshot |= trainer.learner.head.state_dict()
    checkpoint = _tensor_bytes(trainer.state())
    return _Cost(max(0.0, begun - first * step), step, image, checkpoint, _tensor_bytes(snapshot))


def _measuring(run: Run, device: torch.device) -> float:
    """Seconds in which an ordinary snapshot is measured: one at an epoch that asks for no more."""
    config, (n, m) = run.config, _images(run)
    train, test = _noise(n, "train", run), _noise(m, "test", run)
    backbone = make_backbone(config.backbone, seed=0, pad_to=padding(device)).eval()
    backbone.to(device).to(memory_format=torch.channels_last)
    targets = [
        Target(level=f"teacher-{i}", train=train.fine, test=test.fine) for i in range(_targets(run))
    ]

    def measure() -> None:
        measure_snapshot(
            backbone, -1, train, test, config.views, run.measure, config.precision, targets
        )

    return _clock(measure, device)


def _noise(n: int, split: str, run: Run) -> ImageSet:
    """Random images, as many of each class as of the others."""
    rng = np.random.default_rng(int(split == "train"))
    return ImageSet(
        name="noise",
        split=split,
        images=rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8),
        fine=np.arange(n) % _CLASSES,
        files=np.arange(n).astype(str),
        fingerprint="",
        hierarchy=hierarchy_of(run.config.data),
    )


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
    """Of the recording: what is kept, about 7 bytes a row of its measures, and 4 kB about it.

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
    ends = 2 * (1 + len(PLACE_KEEPING)) * len(layers)
    groupings = 2 * _GROUPINGS * (size + ends) + _BY_LOOKS * _CLASSES
    rows = 7 * 42 * size * len(layers)
    return float(total + groupings + rows + 100 * run.config.epochs + 4000)


@functools.cache
def _anatomy(name: str) -> tuple[tuple[str, ...], int, int]:
    """Of a backbone: its layers, the width of their features, the number of its weights."""
    with torch.device("meta"):  # without drawing the weights
        backbone = make_backbone(name, seed=0)
    return backbone.layers, backbone.width, sum(p.numel() for p in backbone.parameters())
