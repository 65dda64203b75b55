"""Train one run in a folder of its own: checkpoints to resume, snapshots to measure."""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_companion.data.hierarchy import held_out_classes
from ssl_companion.data.images import ImageSet
from ssl_companion.io import provenance
from ssl_companion.io.atomic import atomic_file
from ssl_companion.io.lock import one_at_a_time
from ssl_companion.training.checkpoint import CheckpointError
from ssl_companion.training.config import LoopConfig, RunConfig
from ssl_companion.training.distributed import process_group, wait_for_all, world
from ssl_companion.training.runtime import computed
from ssl_companion.training.snapshots import (
    Unit,
    log_spaced,
    save_snapshot,
    snapshot_epochs,
    snapshot_steps,
)
from ssl_companion.training.trainer import Trainer


def measured_images(config: RunConfig, images: ImageSet) -> ImageSet:
    """The part of the training set that a run of `config` is measured on: `images_per_class` of
    every class, by seed 0. It is trained on these too, but for classes that are held out."""
    return images.subset(config.images_per_class) if config.images_per_class else images


def training_images(config: RunConfig, images: ImageSet) -> ImageSet:
    """The part of the training set that `config` trains on: `measured_images`, and of these, where
    classes are held out, those of the other classes."""
    measured = measured_images(config, images)
    if not config.held_out:
        return measured
    return measured.part(~np.isin(measured.fine, held_out_classes(measured.hierarchy)))


def train(
    config: RunConfig,
    images: ImageSet,
    folder: str | Path,
    loop: LoopConfig | None = None,
    epochs: tuple[int, ...] = (),
    steps: tuple[int, ...] = (),
) -> bool:
    """Train `config` in `folder`, from its last checkpoint where there is one.

    Args:
        config: the run.
        images: the whole training set; `training_images` picks the run's part.
        folder: gets `run.json` (what ran, where, since when), `checkpoints/`, `snapshots/`.
        loop: how to run; with `minutes` the call may stop before the end.
        epochs: those after which a snapshot is kept; by default `log_spaced`.
        steps: those after which one is kept besides, as far as they lie before the end.

    Returns:
        True when the run is complete, False when it stopped for the minutes and can go on.

    Raises:
        CheckpointError: `folder` holds a run of another configuration or on other images, or a
            damaged checkpoint; or it cannot be written to.
        DivergedError: the loss turned NaN.
        ValueError: `folder` holds a `run.json` that is not a run's.
        BusyError: another call trains in `folder` at this moment.
        KeyboardInterrupt: Ctrl-C was pressed, and the run is saved; another call goes on.
    """
    folder, loop = Path(folder), loop or LoopConfig()
    kept = frozenset(epochs or log_spaced(config.epochs))
    used = training_images(config, images)
    with process_group(loop.device) as device, _alone(folder):
        _claim(folder, config, used, device)

        def save(trainer: Trainer, number: int, unit: Unit) -> None:
            if world()[0] == 0:
                backbone, head = trainer.learner.backbone, trainer.learner.head
                classifier = head if isinstance(head, torch.nn.Linear) else None
                folder_of = folder / "snapshots"
                save_snapshot(folder_of, number, backbone, config.digest(), classifier, unit)

        def on_epoch(trainer: Trainer, epoch: int) -> None:
            if epoch in kept:
                save(trainer, epoch, "epoch")

        def on_step(trainer: Trainer, step: int) -> None:
            if step in steps and step < trainer.steps:
                save(trainer, step, "step")

        trainer = Trainer(config, used, loop, folder / "checkpoints", on_epoch, on_step)
        _require_snapshots(folder, trainer, kept, steps)
        first, started = trainer.step, time.monotonic()
        _forget_peak_memory(trainer.device)
        interrupted: KeyboardInterrupt | None = None
        try:
            complete = trainer.run()
        except KeyboardInterrupt as error:  # saved, as a call is that stops for the minutes
            complete, interrupted = False, error
        # What is said of a complete run is not to change because somebody asked for it again.
        if world()[0] == 0 and (trainer.step > first or not read_run(folder)["complete"]):
            before_end = sorted(n for n in steps if n < trainer.steps)
            kept_at = {"epoch": sorted(kept), "step": before_end}
            _note(folder, trainer, complete, time.monotonic() - started, kept_at)
        wait_for_all()
        if interrupted is not None:
            raise interrupted
    return complete


def _require_snapshots(
    folder: Path, trainer: Trainer, epochs: frozenset[int], steps: tuple[int, ...]
) -> None:
    """Make sure that the snapshots up to the last checkpoint are there: a run that goes on does
    not pass them again."""
    if trainer.step == 0 or world()[0] > 0:
        return
    there, at = folder / "snapshots", trainer.step
    lost = [f"epoch {n}" for n in sorted(epochs - set(snapshot_epochs(there)))
            if n <= trainer.epoch]  # fmt: skip
    lost += [f"step {n}" for n in sorted(set(steps) - set(snapshot_steps(there)))
             if n <= at and n < trainer.steps]  # fmt: skip
    if lost:
        raise CheckpointError(
            f"{there}: has no snapshot of {', '.join(lost)}, which the run has passed; delete "
            f"{folder / 'checkpoints'} and give the same command again: the run is trained from "
            "its beginning, and comes out the same"
        )


def _alone(folder: Path) -> AbstractContextManager[None]:
    """Two calls at once would both train, and each would find the other's checkpoints."""
    first = world()[0] == 0  # the one that writes
    return one_at_a_time(folder.absolute(), wait=False) if first else nullcontext()


def read_run(folder: str | Path) -> dict[str, Any]:
    """`run.json` of a run's folder.

    Raises:
        ValueError: there is none, or it is damaged or of something else.
    """
    path = Path(folder) / "run.json"
    try:
        described = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a readable description of a run ({error})") from error
    if not isinstance(described, dict) or not {"digest", "config", "complete"} <= described.keys():
        raise ValueError(f"{path}: does not describe a run; expected what `train` writes there")
    return described


def _claim(folder: Path, config: RunConfig, images: ImageSet, device: torch.device) -> None:
    """Write down what runs here at the first call; refuse a folder of another run."""
    path = folder / "run.json"
    if path.exists():
        run = read_run(folder)
        if run["digest"] != config.digest():
            raise CheckpointError(
                f"{folder}: holds a run of another configuration; choose another name or folder, "
                "or delete it to start again"
            )
        begun_on = run.get("images", {}).get("fingerprint", images.fingerprint)
        if begun_on != images.fingerprint:
            raise CheckpointError(
                f"{folder}: holds a run on other images (fingerprint {begun_on[:12]}, these have "
                f"{images.fingerprint[:12]}); give it those, or choose another name or folder"
            )
        return
    if world()[0] > 0:
        return
    _write(path, {
        "digest": config.digest(),
        "config": config.as_dict(),
        "images": {"name": images.name, "n": len(images), "fingerprint": images.fingerprint},
        "git": provenance.git_commit(),
        "versions": provenance.versions(),
        "device": provenance.device_name(device),
        "computed": computed(config.precision, device),
        "processes": world()[1],
        "start": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "complete": False,
    })  # fmt: skip


def _note(
    folder: Path, trainer: Trainer, complete: bool, seconds: float, kept_at: dict[str, list[int]]
) -> None:
    """Bring `run.json` up to date after a call."""
    run = read_run(folder)
    peaks = (run.get("peak_memory_bytes"), _peak_memory(trainer.device))
    run |= {
        "computed": _computed(run, trainer),
        "complete": complete,
        "snapshots": kept_at,
        "epochs_done": trainer.epoch,
        "train_seconds": round(trainer.seconds, 3),
        "wall_seconds": round(run.get("wall_seconds", 0.0) + seconds, 3),
        "peak_memory_bytes": max((p for p in peaks if p is not None), default=None),
        "end": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "first_losses": trainer.first_losses,
        "losses": trainer.history.rows,
    }
    _write(folder / "run.json", run)


def _computed(run: dict[str, Any], trainer: Trainer) -> str:
    """In which precision so far: a run may go on on a machine that has another."""
    now = computed(trainer.config.precision, trainer.device)
    before = run.get("computed", now)
    return before if now in before.split(" and ") else f"{before} and {now}"


def _forget_peak_memory(device: torch.device) -> None:
    """What this process did on the device before is none of the run's."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory(device: torch.device) -> int | None:
    """Most bytes of tensors at a time since `_forget_peak_memory`; None without an accelerator."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _write(path: Path, values: dict[str, Any]) -> None:
    try:
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n")
    except OSError as error:
        raise CheckpointError(
            f"{path}: could not be written ({error}); make room there and call again: the run goes "
            "on from its last checkpoint; or give another folder (--runs)"
        ) from error
