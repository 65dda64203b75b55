"""From a run's folder to a recording: measure every snapshot, then write it whole."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import safetensors
import safetensors.torch
import torch
from tqdm.auto import tqdm

from ssl_companion import provenance
from ssl_companion._files import atomic_directory, atomic_file
from ssl_companion.data import ImageSet
from ssl_companion.data.images import balanced_indices
from ssl_companion.recordings.format import (
    FEATURES,
    FORMAT,
    LOSSES,
    MEASURE_COLUMNS,
    MEASURES,
    RUN,
    SUBSET,
    WEIGHTS,
    RecordingError,
)
from ssl_companion.recordings.level_rows import Target
from ssl_companion.recordings.measuring import (
    MeasureConfig,
    Measured,
    Subsets,
    measure_snapshot,
)
from ssl_companion.recordings.subset_rows import subset_rows
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
        device: where to measure.
        minutes: stop after about so many; 0 means never.
        progress: show a progress bar.

    Returns:
        `destination`, or None when it stopped for the minutes.

    Raises:
        RecordingError: the run is not complete.
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
    targets = _targets_for(config, recipe, destination.parent, whole, test)
    work = _Work(run_folder, recipe, whole, train, test, config, device, targets)
    before = len(list((run_folder / "measured").glob("epoch-*.safetensors")))
    started = time.monotonic()
    parts: list[Measured] = []
    epochs = snapshot_epochs(run_folder / "snapshots")
    for epoch in tqdm(epochs, desc=f"measuring {destination.name}", disable=not progress):
        # Every call measures something new, however short its time: calls come to an end.
        fresh = len(parts) > before
        if minutes and fresh and time.monotonic() - started > minutes * 60:
            return None
        parts.append(_measured(work, epoch))
    _assemble(work, destination, run, parts, title)
    return destination


@dataclass(frozen=True, eq=False)
class _Work:
    """What a call is about."""

    run_folder: Path
    recipe: RunConfig
    whole: ImageSet
    train: ImageSet
    test: ImageSet
    config: MeasureConfig
    device: str
    targets: list[Target]


def _targets_for(
    config: MeasureConfig, recipe: RunConfig, root: Path, whole: ImageSet, test: ImageSet
) -> list[Target]:
    if not config.against:
        return []
    part = recipe.images_per_class
    rows = balanced_indices(whole.fine, part) if part else None
    return load_targets(config.against, root, whole, test, rows)


def _measured(work: _Work, epoch: int) -> Measured:
    """The measures of one snapshot, from the run's folder if they are there already."""
    config, train, test = work.config, work.train, work.test
    path = work.run_folder / "measured" / f"epoch-{epoch:05d}.safetensors"
    sets = [train.fingerprint, test.fingerprint, targets_digest(work.targets)]
    wanted = json.dumps([asdict(config), *sets, _settled(epoch)], sort_keys=True)
    if path.exists():
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
                if about.get("wanted") == wanted:
                    rows = [tuple(row) for row in json.loads(about["rows"])]
                    names = file.keys()
                    return Measured(rows, {name: file.get_tensor(name) for name in names})
        except safetensors.SafetensorError:
            pass  # cut short; it is measured again
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
    about = {"wanted": wanted, "rows": json.dumps(measured.rows)}
    tensors = {name: tensor.contiguous() for name, tensor in measured.tensors.items()}
    with atomic_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=about)
    return measured


def _settled(epoch: int) -> bool:
    """Whether BatchNorm's statistics are brought to the untrained weights before measuring."""
    return epoch == 0


def _assemble(
    work: _Work, destination: Path, run: dict[str, Any], parts: list[Measured], title: str
) -> None:
    train, test, config = work.train, work.test, work.config
    tensors = {name: tensor for part in parts for name, tensor in part.tensors.items()}
    subsets = Subsets.choose(train, test, config)
    rows = [row for part in parts for row in part.rows]
    rows += subset_rows(tensors, train, test, subsets)
    layers = tuple(dict.fromkeys(row[1] for row in rows))
    losses = run.pop("losses")
    described = {
        "format": FORMAT,
        "name": destination.name,
        "title": title or destination.name,
        **run,
        "seed": run["config"]["seed"],
        "layers": list(layers),
        "epochs": sorted({row[0] for row in rows}),
        "data": {
            "name": run["config"]["data"],
            "title": train.name,
            "stand_in": train.stand_in,
            "train_images": len(train),
            "test_images": len(test),
            "train_fingerprint": train.fingerprint,
            "whole_train_fingerprint": work.whole.fingerprint,
            "test_fingerprint": test.fingerprint,
        },
        "measured": {
            "config": asdict(config),
            "git": provenance.git_commit(),
            "versions": provenance.versions(),
            "device": provenance.device_name(pick_device(work.device)),
        },
    }
    with atomic_directory(destination) as folder:
        (folder / RUN).write_text(json.dumps(described, indent=1) + "\n")
        pd.DataFrame(losses).to_csv(folder / LOSSES, index=False, float_format="%.7g")
        table = pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))
        table.to_csv(folder / MEASURES, index=False, float_format="%.7g")
        if tensors:
            _write_subset(folder / SUBSET, train, test, subsets)
            safetensors.torch.save_file(tensors, folder / FEATURES)
        if config.weights:
            _write_weights(work.run_folder, folder / WEIGHTS)


def _write_subset(path: Path, train: ImageSet, test: ImageSet, subsets: Subsets) -> None:
    frames = []
    for split, images, rows in (
        ("train", train, subsets.train),
        ("test", test, subsets.test),
        ("sample", train, subsets.sample),
    ):
        frames.append(
            pd.DataFrame(
                {"split": split, "row": rows, "file": images.files[rows],
                 "fine": images.fine[rows]}
            )
        )  # fmt: skip
    pd.concat(frames).to_csv(path, index=False)


def _write_weights(run_folder: Path, path: Path) -> None:
    snapshots = run_folder / "snapshots"
    last = snapshot_path(snapshots, snapshot_epochs(snapshots)[-1])
    state = safetensors.torch.load_file(last)
    half = {k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()}
    safetensors.torch.save_file(half, path)
