"""Write recordings: measure a finished run's snapshots, or take what was measured, as a folder.

`write_recording` goes through the snapshots of a run, keeps what it measures of each in the run's
folder, and has it written at the end. `Contents.write` is that end, for measurements of any origin:
the files of a recording, together or not at all.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
    MeasureRow,
    RecordingError,
    written,
)
from ssl_companion.recordings.groupings import Groupings, write_groupings
from ssl_companion.recordings.kept import subset_rows
from ssl_companion.recordings.measuring import Measured, Target, measure_snapshot
from ssl_companion.recordings.reader import open_recording
from ssl_companion.recordings.targets import (
    keep_targets,
    load_targets,
    targets_digest,
    teacher_predictions,
)
from ssl_companion.training.config import RunConfig, pick_device, run_config_from_dict
from ssl_companion.training.extract import recalibrate_batchnorm
from ssl_companion.training.run import measured_images, read_run, training_images
from ssl_companion.training.runtime import computed
from ssl_companion.training.snapshots import (
    load_classifier,
    load_snapshot,
    snapshot_epochs,
    snapshot_path,
)

_NOTHING_LOST = "What was trained and measured before is kept."


def write_recording(
    run_folder: str | Path,
    destination: str | Path,
    train: ImageSet,
    test: ImageSet,
    config: MeasureConfig | None = None,
    *,
    title: str = "",
    teacher: str = "",
    device: torch.device | None = None,
    minutes: float | None = None,
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
        device: where to measure; None: on CUDA where there is one.
        minutes: stop after about so many, and one snapshot at least; None means never.
        progress: show a progress bar.

    Returns:
        `destination`, or None when it stopped for the minutes.

    Raises:
        RecordingError: the run is not complete; the targets to measure against are absent or
            others; or the disk is full or not writable, and then nothing that stood is lost.
    """
    run_folder, destination = Path(run_folder), Path(destination)
    config, device = config or MeasureConfig(), device or pick_device()
    run = read_run(run_folder)
    if not run["complete"]:
        raise RecordingError(
            f"{run_folder}: {run.get('epochs_done', 0)} of {run['config']['epochs']} epochs are "
            "done; call the same command again to finish the run first"
        )
    recipe = run_config_from_dict(run["config"])
    root = destination.parent
    snapshots = _Snapshots(
        folder=run_folder,
        recipe=recipe,
        whole=train,
        train=measured_images(recipe, train),
        test=test,
        config=config,
        device=device,
        targets=_targets(config, recipe, root, train, test, teacher),
    )
    started, fresh = time.monotonic(), 0
    parts: list[Measured] = []
    for epoch in tqdm(snapshots.epochs, desc=f"measuring {destination.name}", disable=not progress):
        found = snapshots.measured_before(epoch)
        # Every call measures something new, however short its time: calls come to an end.
        late = minutes is not None and time.monotonic() - started > minutes * 60
        if late and fresh and found is None:
            return None
        fresh += found is None
        parts.append(found or snapshots.measure(epoch))
    losses = run.pop("losses")
    data = about_data(snapshots.train, test)
    measured = about_measuring(config, device) | {"computed": computed(recipe.precision, device)}
    if snapshots.targets:
        against = open_recording(config.against, root)
        measured["against"] = {"name": config.against, "digest": against.run.get("digest", "")}
    Contents(
        title=title,
        run=run
        | {
            "seed": run["config"]["seed"],
            "data": data
            | {"name": run["config"]["data"], "whole_train_fingerprint": train.fingerprint},
            "measured": measured,
        },
        parts=parts,
        train=snapshots.train,
        test=test,
        subsets=Subsets.choose(snapshots.train, test, config),
        losses=losses,
        weights=snapshots.last_weights() if config.weights else {},
    ).write(destination, _NOTHING_LOST)
    return destination


def _targets(
    config: MeasureConfig,
    recipe: RunConfig,
    root: Path,
    train: ImageSet,
    test: ImageSet,
    teacher: str,
) -> list[Target]:
    """The labels that a teacher gave to the images that a run was trained on, and to `test`."""
    if not config.against:
        return []
    part = recipe.images_per_class
    rows = balanced_indices(train.fine, part) if part else None
    return load_targets(config.against, root, train, test, rows, teacher)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Snapshots:
    """The snapshots of a run, measured one by one; what comes out is kept in the run's folder."""

    folder: Path
    recipe: RunConfig
    whole: ImageSet
    train: ImageSet
    test: ImageSet
    config: MeasureConfig
    device: torch.device
    targets: list[Target]

    @property
    def epochs(self) -> tuple[int, ...]:
        return snapshot_epochs(self.folder / "snapshots")

    def measured_before(self, epoch: int) -> Measured | None:
        """The measures of one snapshot, if they are in the run's folder already."""
        try:
            with safetensors.safe_open(self._piece(epoch), framework="pt") as file:
                about = file.metadata() or {}
                if about.get("wanted") != self._wanted(epoch):
                    return None
                rows = [tuple(row) for row in json.loads(about["rows"])]
                return Measured(
                    rows=rows,
                    tensors={name: file.get_tensor(name) for name in file.keys()},  # noqa: SIM118
                )
        except (safetensors.SafetensorError, OSError):
            return None  # there is none, or it was cut short

    def measure(self, epoch: int) -> Measured:
        """Measure one snapshot, and keep what comes out."""
        snapshot, recipe = snapshot_path(self.folder / "snapshots", epoch), self.recipe
        backbone = load_snapshot(snapshot, recipe, self.device)
        if _settled(epoch):
            images = training_images(recipe, self.whole).images
            recalibrate_batchnorm(backbone, images, recipe.views, recipe.precision)
        measured = measure_snapshot(
            backbone,
            epoch,
            self.train,
            self.test,
            recipe.views,
            self.config,
            recipe.precision,
            self.targets,
        )
        if self.config.targets:
            classifier = load_classifier(snapshot, recipe, self.device)
            measured.tensors |= keep_targets(
                epoch,
                *teacher_predictions(backbone, classifier, self.whole, self.test, recipe.precision),
            )
        path = self._piece(epoch)
        about = {"wanted": self._wanted(epoch), "rows": json.dumps(measured.rows)}
        tensors = {name: tensor.contiguous() for name, tensor in measured.tensors.items()}
        with written(path, _NOTHING_LOST), atomic_file(path) as temporary:
            safetensors.torch.save_file(tensors, temporary, metadata=about)
        return measured

    def last_weights(self) -> dict[str, Tensor]:
        """The weights of the last snapshot, in half precision."""
        last = snapshot_path(self.folder / "snapshots", self.epochs[-1])
        state = safetensors.torch.load_file(last)
        return {k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()}

    def _piece(self, epoch: int) -> Path:
        return self.folder / "measured" / f"epoch-{epoch:05d}.safetensors"

    def _wanted(self, epoch: int) -> str:
        """What the measures of a snapshot depend on, besides the snapshot."""
        sets = [self.train.fingerprint, self.test.fingerprint, targets_digest(self.targets)]
        return json.dumps([self.config.settings(), *sets, _settled(epoch)], sort_keys=True)


def _settled(epoch: int) -> bool:
    """Whether BatchNorm's statistics are brought to the untrained weights before measuring."""
    return epoch == 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Contents:
    """What the files of a recording say.

    Attributes:
        title: plain words; the folder's name where there are none.
        run: what run.json says besides name, title, layers and epochs.
        parts: of every epoch.
        train, test: the images that were measured.
        subsets: those of them whose features are kept.
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
    losses: Any
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    groupings: Groupings | None = None
    by: Callable[[MeasureRow], str] | None = None

    def write(self, destination: Path, nothing_lost: str = "") -> None:
        """Write a recording's files to `destination`, whole or not at all.

        Args:
            destination: the recording's folder.
            nothing_lost: what an error says of work that is kept.

        Raises:
            RecordingError: the disk is full or not writable, or `destination` is a folder of
                something else.
        """
        refuse_other_folder(destination)
        tensors = {name: tensor for part in self.parts for name, tensor in part.tensors.items()}
        rows = [row for part in self.parts for row in part.rows]
        rows += subset_rows(tensors, self.train, self.test, self.subsets)
        described = {
            "format": FORMAT,
            "name": destination.name,
            "title": self.title or destination.name,
            **self.run,
            "layers": list(dict.fromkeys(row[1] for row in rows)),
            "epochs": sorted({row[0] for row in rows}),
        }
        with written(destination, nothing_lost), atomic_directory(destination) as folder:
            pd.DataFrame(self.losses).to_csv(folder / LOSSES, index=False, float_format="%.7g")
            table = pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))
            if self.by:
                table["by"] = [self.by(row) for row in rows]
            table.to_csv(folder / MEASURES, index=False, float_format="%.7g")
            if tensors:
                self._subset().to_csv(folder / SUBSET, index=False)
                safetensors.torch.save_file(tensors, folder / FEATURES)
            if self.weights:
                safetensors.torch.save_file(dict(self.weights), folder / WEIGHTS)
            if self.groupings:
                write_groupings(folder / GROUPINGS_FILE, self.groupings)
            described["sha256"] = {f.name: file_digest(f) for f in sorted(folder.iterdir())}
            (folder / RUN).write_text(json.dumps(described, indent=1) + "\n")

    def _subset(self) -> pd.DataFrame:
        """The rows of subset.csv."""
        chosen = self.subsets
        frames = [
            pd.DataFrame({"split": split, "row": rows, "file": images.files[rows],
                          "fine": images.fine[rows]})
            for split, images, rows in (("train", self.train, chosen.train),
                                        ("test", self.test, chosen.test),
                                        ("sample", self.train, chosen.sample[chosen.kept]))
        ]  # fmt: skip
        return pd.concat(frames)


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
