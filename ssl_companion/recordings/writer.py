"""From a run's folder to a recording: measure every snapshot, then write it whole."""

from __future__ import annotations

import json
import time
from pathlib import Path

import safetensors
import safetensors.torch
from tqdm.auto import tqdm

from ssl_companion._files import atomic_file
from ssl_companion.data import ImageSet
from ssl_companion.data.images import balanced_indices
from ssl_companion.recordings.assembling import KEPT, Work, assemble
from ssl_companion.recordings.format import RecordingError, written
from ssl_companion.recordings.level_rows import Target
from ssl_companion.recordings.measure_config import MeasureConfig
from ssl_companion.recordings.measuring import Measured, measure_snapshot
from ssl_companion.recordings.reader import open_recording
from ssl_companion.recordings.targets import (
    keep_targets,
    load_targets,
    targets_digest,
    teacher_predictions,
)
from ssl_companion.training.config import RunConfig, run_config_from_dict
from ssl_companion.training.loop import pick_device
from ssl_companion.training.run import read_run, training_images
from ssl_companion.training.settle import settle_statistics
from ssl_companion.training.snapshots import (
    load_classifier,
    load_snapshot,
    snapshot_epochs,
    snapshot_path,
)


def write_recording(
    run_folder: str | Path,
    destination: str | Path,
    train: ImageSet,
    test: ImageSet,
    config: MeasureConfig | None = None,
    *,
    title: str = "",
    teacher: str = "",
    device: str = "auto",
    minutes: float = 0.0,
    progress: bool = True,
) -> Path | None:
    """Measure a finished run and write its recording.

    What has been measured is kept in the run's folder, snapshot by snapshot, so that a call
    that stops, for the minutes or by a fault, goes on where it was.

    Args:
        run_folder: of `training.run.train`, complete.
        destination: the recording's folder; replaced when the new one is whole.
        train, test: the whole sets; the run's part of the training set is taken from `train`.
        config: what to measure and keep.
        title: plain words for tables and captions.
        teacher: digest of the configuration that `config.against` has to have; empty: any.
        device: where to measure.
        minutes: stop after about so many; 0 means never.
        progress: show a progress bar.

    Returns:
        `destination`, or None when it stopped for the minutes.

    Raises:
        RecordingError: the run is not complete; the targets to measure against are absent or
            others; or the disk is full or not writable, and then nothing that stood is lost.
    """
    run_folder, destination = Path(run_folder), Path(destination)
    config = config or MeasureConfig()
    run = read_run(run_folder)
    if not run["complete"]:
        raise RecordingError(
            f"{run_folder}: {run.get('epochs_done', 0)} of {run['config']['epochs']} epochs are "
            "done; call the same command again to finish the run first"
        )
    recipe = run_config_from_dict(run["config"])
    whole, train = train, training_images(recipe, train)
    targets = _targets_for(config, recipe, destination.parent, whole, test, teacher)
    taught_by = _about_teacher(config.against, destination.parent) if targets else None
    work = Work(run_folder, recipe, whole, train, test, config, device, targets, taught_by)
    started, fresh = time.monotonic(), 0
    parts: list[Measured] = []
    epochs = snapshot_epochs(run_folder / "snapshots")
    for epoch in tqdm(epochs, desc=f"measuring {destination.name}", disable=not progress):
        found = _measured_before(work, epoch)
        # Every call measures something new, however short its time: calls come to an end.
        if minutes and fresh and found is None and time.monotonic() - started > minutes * 60:
            return None
        fresh += found is None
        parts.append(found or _measured(work, epoch))
    assemble(work, destination, run, parts, title)
    return destination


def _targets_for(
    config: MeasureConfig,
    recipe: RunConfig,
    root: Path,
    whole: ImageSet,
    test: ImageSet,
    teacher: str,
) -> list[Target]:
    if not config.against:
        return []
    part = recipe.images_per_class
    rows = balanced_indices(whole.fine, part) if part else None
    return load_targets(config.against, root, whole, test, rows, teacher)


def _about_teacher(name: str, root: Path) -> dict[str, str]:
    """Which recording gave the targets: its name, and what was trained to make them."""
    return {"name": name, "digest": open_recording(name, root).run.get("digest", "")}


def _measured_before(work: Work, epoch: int) -> Measured | None:
    """The measures of one snapshot, if they are in the run's folder already."""
    try:
        with safetensors.safe_open(_piece(work, epoch), framework="pt") as file:
            about = file.metadata() or {}
            if about.get("wanted") != _wanted(work, epoch):
                return None
            rows = [tuple(row) for row in json.loads(about["rows"])]
            names = file.keys()
            return Measured(rows, {name: file.get_tensor(name) for name in names})
    except (safetensors.SafetensorError, OSError):
        return None  # there is none, or it was cut short


def _piece(work: Work, epoch: int) -> Path:
    return work.run_folder / "measured" / f"epoch-{epoch:05d}.safetensors"


def _wanted(work: Work, epoch: int) -> str:
    """What the measures of a snapshot depend on, besides the snapshot."""
    sets = [work.train.fingerprint, work.test.fingerprint, targets_digest(work.targets)]
    return json.dumps([work.config.settings(), *sets, _settled(epoch)], sort_keys=True)


def _measured(work: Work, epoch: int) -> Measured:
    """Measure one snapshot, and keep what comes out in the run's folder."""
    config, train, test = work.config, work.train, work.test
    snapshot = snapshot_path(work.run_folder / "snapshots", epoch)
    recipe, device = work.recipe, pick_device(work.device)
    backbone = load_snapshot(snapshot, recipe, device)
    if _settled(epoch):
        settle_statistics(backbone, train.images, recipe.views, recipe.precision)
    measured = measure_snapshot(
        backbone, epoch, train, test, recipe.views, config, recipe.precision, work.targets
    )
    if config.targets:
        classifier = load_classifier(snapshot, recipe, device)
        predictions = teacher_predictions(backbone, classifier, work.whole, test, recipe.precision)
        measured.tensors |= keep_targets(epoch, *predictions)
    path = _piece(work, epoch)
    about = {"wanted": _wanted(work, epoch), "rows": json.dumps(measured.rows)}
    tensors = {name: tensor.contiguous() for name, tensor in measured.tensors.items()}
    with written(path, KEPT), atomic_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=about)
    return measured


def _settled(epoch: int) -> bool:
    """Whether BatchNorm's statistics are brought to the untrained weights before measuring."""
    return epoch == 0
