"""A run that fits into the minutes at hand: planned by a few timed steps, trained, measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch

from ssl_companion.chapters.english import listed
from ssl_companion.chapters.widgets.slider import in_book
from ssl_companion.data import ImageSet
from ssl_companion.data.threads import tensor_threads
from ssl_companion.presets.estimate import estimate
from ssl_companion.presets.record import record_run
from ssl_companion.presets.runs import Run, describe_config
from ssl_companion.recordings import MeasureConfig, Recording, open_recording
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.config import (
    LoopConfig,
    ObjectiveConfig,
    OptimConfig,
    RunConfig,
    pick_device,
)
from ssl_companion.training.extract import recalibrate_batchnorm
from ssl_companion.training.run import training_images
from ssl_companion.training.snapshots import (
    load_snapshot,
    snapshot_epochs,
    snapshot_path,
)

QUICK_RUN = "quick"
_SECONDS = 100  # a shorter time is told in seconds
_GROUPS = {"sample": "single images", "fine": "classes", "coarse": "superclasses"}
# NCC accuracy hardly moves if it changes by less than these points and by less than this factor.
_POINTS, _FACTOR = 0.05, 1.5
MINUTES = {"glyphs100": 2.0, "cifar100": 10.0}
BOOK_MINUTES = 0.4  # while the book is built; its readers train longer
# On a GPU a network takes up to minutes to compile, and how long is only known afterwards: a run
# of minutes keeps to its plan if it does without.
_COMPILE = "no"
_LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200)


@dataclass(frozen=True)
class Plan:
    """What fits.

    Attributes:
        run: the run.
        minutes: estimated, training and measuring together.
        device: where.
        threads: on a CPU; one where other work on the machine makes more of them slower.
    """

    run: Run
    minutes: float
    device: torch.device
    threads: int


def minutes_for(data: str) -> float:
    """Minutes that a live run on a data set is meant to take, training and measuring together.

    Raises:
        ValueError: an unknown data set.
    """
    if data not in MINUTES:
        raise ValueError(f"data: {data!r}; expected one of {', '.join(MINUTES)}")
    return BOOK_MINUTES if in_book() else MINUTES[data]


def plan(
    data: str = "glyphs100",
    minutes: float = 2.0,
    *,
    seed: int = 0,
    objective: ObjectiveConfig | None = None,
    device: str = "auto",
) -> Plan:
    """The longest of a ladder of runs that fits into the minutes on this device.

    A few steps are timed first. Where not even one epoch fits, one epoch it is.

    Args:
        data: "glyphs100" or "cifar100".
        minutes: for training and measuring.
        seed: of everything random.
        objective: by default VICReg's recipe.
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: unknown data, minutes that are not positive, or an absent device.
    """
    minutes_for(data)
    if not minutes > 0:
        raise ValueError(f"minutes: {minutes!r}; expected a positive number")
    where = pick_device(device)
    shape = _shape(data, where, seed, objective or ObjectiveConfig())
    ladder = [_run(replace(shape, epochs=epochs)) for epochs in _LENGTHS]
    choices = {1, torch.get_num_threads()} if where.type == "cpu" else {torch.get_num_threads()}
    by_threads = {threads: _costs(ladder, where, threads) for threads in sorted(choices)}
    threads, costs = min(by_threads.items(), key=lambda item: item[1][-1])
    fitting = [i for i, cost in enumerate(costs) if cost <= minutes]
    best = fitting[-1] if fitting else 0
    return Plan(ladder[best], costs[best], where, threads)


def _costs(ladder: list[Run], device: torch.device, threads: int) -> list[float]:
    """Minutes of each run."""
    with tensor_threads(threads):
        rows = estimate(ladder, device, _COMPILE)
    # On a CPU the estimate of measuring is that of its passes; the rest takes about as long again.
    measuring = 1 if device.type == "cuda" else 2
    return [row["train_minutes"] + measuring * row["measure_minutes"] for row in rows]


def train_and_measure(
    planned: Plan,
    train: ImageSet,
    test: ImageSet,
    folder: str | Path,
    progress: bool | None = None,
) -> Recording:
    """Train a plan's run, measure it, and open its recording.

    A call that was interrupted goes on from its last checkpoint when it is made again.

    Args:
        planned: what to train.
        train, test: the whole data set.
        folder: gets `runs/` and `recordings/`; another plan's recording there is replaced.
        progress: show progress bars; by default everywhere but in a page of the book.
    """
    folder, progress = Path(folder), not in_book() if progress is None else progress
    loop = LoopConfig(device=planned.device, compile=_COMPILE, progress=progress)
    with tensor_threads(planned.threads):
        where = folder / "runs", folder / "recordings"
        record_run(planned.run, train, test, *where, loop, overwrite=True)
    return open_recording(folder / "recordings" / planned.run.name)


def encoder(planned: Plan, folder: str | Path, epoch: int, train: ImageSet) -> Backbone:
    """The network of a trained plan as its recording measured it, in evaluation mode.

    Args:
        planned: what was trained.
        folder: as in `train_and_measure`.
        epoch: one of the measured.
        train: the whole training set; before training (epoch 0) the network's normalisation
            statistics are those of its views, as in every recording.

    Raises:
        ValueError: that epoch was not measured, or nothing was trained in the folder.
    """
    config = planned.run.config
    snapshots = planned.run.folder(Path(folder) / "runs") / "snapshots"
    known = snapshot_epochs(snapshots)
    if epoch not in known:
        there = f"expected one of {known}" if known else "expected a run of this plan"
        raise ValueError(f"epoch: {epoch!r}; {there} in {folder}")
    network = load_snapshot(snapshot_path(snapshots, epoch), config)
    if epoch == 0:
        images = training_images(config, train).images
        recalibrate_batchnorm(network, images, config.views, config.precision)
    return network


def _shape(data: str, device: torch.device, seed: int, objective: ObjectiveConfig) -> RunConfig:
    """The network and the part of the data for a device: minutes on two cores, or on a T4."""
    small = RunConfig(
        backbone="res-2-32",
        objective=objective,
        optim=_optimizer(objective, batch=128),
        projector_width=512,
        data=data,  # type: ignore[arg-type]  # checked by minutes_for
        images_per_class=50,
        batch=128,
        seed=seed,
    )
    if device.type != "cuda":
        return small
    return replace(
        small,
        backbone="res-5-64",
        optim=_optimizer(objective, batch=256),
        images_per_class=0,
        batch=256,
    )


def _optimizer(objective: ObjectiveConfig, batch: int) -> OptimConfig:
    if objective.name == "supervised":
        return OptimConfig(name="sgd", lr=0.1, weight_decay=5e-4, warmup_epochs=1)
    return OptimConfig(lr=0.2 * batch / 256)  # a third less than the recipe: a narrow projector


def _run(config: RunConfig) -> Run:
    measure = MeasureConfig(
        sample_images=100,
        sample_views=15,
        sample_fresh=5,
        probes=False,
        keep="all",
        keep_train=10,
        keep_test=20,
    )
    return Run(QUICK_RUN, "trained on this page", config, measure, _snapshots(config.epochs))


def _snapshots(epochs: int) -> tuple[int, ...]:
    """Before training, on the way (twice in a long run), and the end."""
    late = {round(epochs**0.75)} if epochs >= 10 else set()
    return tuple(sorted({0, round(epochs**0.5), epochs} | late))


def title(planned: Plan) -> str:
    """The run in words, with its estimate."""
    return f"{describe_config(planned.run.config)}: about {_time(60 * planned.minutes)}"


def _time(seconds: float) -> str:
    unit = "second" if seconds < _SECONDS else "minute"
    number = f"{seconds if unit == 'second' else seconds / 60:.0f}"
    return f"{number} {unit}{'s' if number != '1' else ''}"


def what_moved(ncc: pd.DataFrame, seconds: float) -> str:
    """What a run did to NCC accuracy at each level, in a sentence.

    Args:
        ncc: columns epoch, level, value; other levels than sample, fine and coarse are left out.
        seconds: that the training took.
    """
    table = ncc.pivot(index="level", columns="epoch", values="value").sort_index(axis=1)
    said: dict[str, list[str]] = {"rose": [], "fell": [], "hardly moved": []}
    for level, name in _GROUPS.items():
        if level in table.index:
            values = table.loc[level].to_numpy()
            first, last = float(values[0]), float(values[-1])
            low, high = min(first, last), max(first, last)
            moved = high - low >= _POINTS or (low > 0 and high >= _FACTOR * low)
            kind = ("rose" if last > first else "fell") if moved else "hardly moved"
            said[kind].append(f"{name} ({first:.1%} to {last:.1%})")
    parts = [f"it {kind} on {listed(names)}" for kind, names in said.items() if names]
    return f"NCC accuracy in {_time(seconds)} of training: {'; '.join(parts)}."
