"""From a run's folder to a recording: measure every snapshot, then write it whole.

The last step of writing: what was measured of a run's snapshots becomes a folder of files.

A recording's folder: its files, written together or not at all.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor
from tqdm.auto import tqdm

from ssl_companion.data import ImageSet
from ssl_companion.data.images import LabelSet, balanced_indices
from ssl_companion.io import provenance
from ssl_companion.io.atomic import atomic_directory, atomic_file, file_digest
from ssl_companion.recordings.config import MeasureConfig, Subsets
from ssl_companion.recordings.format import (
    FEATURES,
    FORMAT,
    GROUPINGS_FILE,
    LOSSES,
    MEASURE_COLUMNS,
    MEASURES,
    RUN,
    SUBSET,
    WEIGHTS,
    RecordingError,
    written,
)
from ssl_companion.recordings.groupings import Groupings, write_groupings
from ssl_companion.recordings.measuring import (
    Measured,
    MeasureRow,
    Target,
    measure_snapshot,
    subset_rows,
)
from ssl_companion.recordings.reader import open_recording
from ssl_companion.recordings.targets import (
    keep_targets,
    load_targets,
    targets_digest,
    teacher_predictions,
)
from ssl_companion.training.config import (
    RunConfig,
    pick_device,
    run_config_from_dict,
)
from ssl_companion.training.extract import recalibrate_batchnorm
from ssl_companion.training.run import read_run, training_images
from ssl_companion.training.runtime import computed
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
        recalibrate_batchnorm(backbone, train.images, recipe.views, recipe.precision)
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
    with written(path, NOTHING_LOST), atomic_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=about)
    return measured


def _settled(epoch: int) -> bool:
    """Whether BatchNorm's statistics are brought to the untrained weights before measuring."""
    return epoch == 0


NOTHING_LOST = "What was trained and measured before is kept."


@dataclass(frozen=True, eq=False)
class Work:
    """What a call is about."""

    run_folder: Path
    recipe: RunConfig
    whole: ImageSet
    train: ImageSet
    test: ImageSet
    config: MeasureConfig
    device: str
    targets: list[Target]
    taught_by: dict[str, str] | None


def assemble(
    work: Work, destination: Path, run: dict[str, Any], parts: list[Measured], title: str
) -> None:
    """Write the recording of a run to `destination`, whole or not at all.

    Args:
        work: what it is about.
        destination: the recording's folder.
        run: the run's own description, as `read_run` gives it.
        parts: of every snapshot.
        title: plain words; the folder's name where there are none.

    Raises:
        RecordingError: the disk is full or not writable, or `destination` is a folder of
            something else.
    """
    train, config, device = work.train, work.config, pick_device(work.device)
    losses = run.pop("losses")
    described = run | {
        "seed": run["config"]["seed"],
        "data": about_data(train, work.test)
        | {"name": run["config"]["data"], "whole_train_fingerprint": work.whole.fingerprint},
        "measured": about_measuring(config, device)
        | {"computed": computed(work.recipe.precision, device)},
    }
    if work.taught_by:
        described["measured"]["against"] = work.taught_by
    subsets = Subsets.choose(train, work.test, config)
    contents = Contents(
        title,
        described,
        parts,
        train,
        work.test,
        subsets,
        subsets.sample[subsets.kept_samples(train, config)],
        losses,
        _weights(work.run_folder) if config.weights else {},
    )
    write_folder(destination, contents, NOTHING_LOST)


def _weights(run_folder: Path) -> dict[str, Tensor]:
    """The weights of the last snapshot, in half precision."""
    snapshots = run_folder / "snapshots"
    state = safetensors.torch.load_file(snapshot_path(snapshots, snapshot_epochs(snapshots)[-1]))
    return {k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()}


@dataclass(frozen=True, eq=False)
class Contents:
    """What the files of a recording say.

    Attributes:
        title: plain words; the folder's name where there are none.
        run: what run.json says besides name, title, layers and epochs.
        parts: of every epoch.
        train, test: the images that were measured.
        subsets: those of them whose features are kept.
        samples: training images of the sample level that are kept.
        losses: columns by name.
        weights: a network's, if they are kept.
        groupings: groups of classes by looks, and what was found in them.
        by: of each row of measures.csv, a word for how it came about: a further column.
    """

    title: str
    run: Mapping[str, Any]
    parts: Sequence[Measured]
    train: LabelSet
    test: LabelSet
    subsets: Subsets
    samples: np.ndarray
    losses: Any
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    groupings: Groupings | None = None
    by: Callable[[MeasureRow], str] | None = None


def refuse_other_folder(destination: Path) -> None:
    """Make sure that what would be replaced is a recording, or nothing.

    Raises:
        RecordingError: a folder with files but no run.json, or a file.
    """
    if (destination / RUN).exists() or not destination.exists():
        return
    if not destination.is_dir() or any(destination.iterdir()):
        raise RecordingError(
            f"{destination}: is no recording and would be replaced by one; expected a new folder. "
            "Give another place, or remove what is there"
        )


def require_writable(root: Path) -> None:
    """Make sure that a recording can be written under `root`, before hours go into it.

    Raises:
        RecordingError: it cannot.
    """
    there = next(path for path in (root, *root.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):  # nothing is left, also where nothing is recorded
            pass
    except OSError as error:
        raise RecordingError(
            f"{root}: no recording can be written there ({error.strerror}); give another folder "
            "(--out)"
        ) from error


def write_folder(destination: Path, contents: Contents, kept: str = "") -> None:
    """Write a recording's files to `destination`, whole or not at all.

    Args:
        destination: the recording's folder.
        contents: of its files.
        kept: what an error says of work that is not lost.

    Raises:
        RecordingError: the disk is full or not writable, or `destination` is a folder of
            something else.
    """
    refuse_other_folder(destination)
    train, test, subsets = contents.train, contents.test, contents.subsets
    tensors = {name: tensor for part in contents.parts for name, tensor in part.tensors.items()}
    rows = [row for part in contents.parts for row in part.rows]
    rows += subset_rows(tensors, train, test, subsets)
    described = {
        "format": FORMAT,
        "name": destination.name,
        "title": contents.title or destination.name,
        **contents.run,
        "layers": list(dict.fromkeys(row[1] for row in rows)),
        "epochs": sorted({row[0] for row in rows}),
    }
    with written(destination, kept), atomic_directory(destination) as folder:
        pd.DataFrame(contents.losses).to_csv(folder / LOSSES, index=False, float_format="%.7g")
        table = pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))
        if contents.by:
            table["by"] = [contents.by(row) for row in rows]
        table.to_csv(folder / MEASURES, index=False, float_format="%.7g")
        if tensors:
            _subset(contents).to_csv(folder / SUBSET, index=False)
            safetensors.torch.save_file(tensors, folder / FEATURES)
        if contents.weights:
            safetensors.torch.save_file(dict(contents.weights), folder / WEIGHTS)
        if contents.groupings:
            write_groupings(folder / GROUPINGS_FILE, contents.groupings)
        described["sha256"] = {file.name: file_digest(file) for file in sorted(folder.iterdir())}
        (folder / RUN).write_text(json.dumps(described, indent=1) + "\n")


def _subset(contents: Contents) -> pd.DataFrame:
    train, test, subsets = contents.train, contents.test, contents.subsets
    frames = [
        pd.DataFrame({"split": split, "row": rows, "file": images.files[rows],
                      "fine": images.fine[rows]})
        for split, images, rows in (("train", train, subsets.train), ("test", test, subsets.test),
                                    ("sample", train, contents.samples))
    ]  # fmt: skip
    return pd.concat(frames)


def about_data(train: LabelSet, test: LabelSet) -> dict[str, Any]:
    """The images behind a recording, as its run.json says it."""
    return {
        "title": train.name,
        "stand_in": train.stand_in,
        "train_images": len(train),
        "test_images": len(test),
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
    }


def about_measuring(config: MeasureConfig, device: torch.device) -> dict[str, Any]:
    """What measured a recording, and how, as its run.json says it."""
    return {
        "config": asdict(config),
        "git": provenance.git_commit(),
        "versions": provenance.versions(),
        "device": provenance.device_name(device),
    }
