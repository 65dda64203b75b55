"""Write recordings: measure a finished run's snapshots, or take what was measured, as a folder.

`write_recording` goes through the snapshots of a run, keeps what it measures of each in the run's
folder, and has it written at the end. `Contents.write` is that end, for measurements of any origin:
the files of a recording, together or not at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor
from tqdm.auto import tqdm

from ssl_companion.data import ImageSet
from ssl_companion.data.hierarchy import held_out_classes
from ssl_companion.data.images import LabelSet, balanced_indices
from ssl_companion.io import provenance
from ssl_companion.io.atomic import atomic_directory, atomic_file, file_digest
from ssl_companion.measures import ClassStatistics
from ssl_companion.measures._torch_state import plain_torch
from ssl_companion.recordings.config import MeasureConfig, Subsets
from ssl_companion.recordings.format import (
    FEATURES,
    FORMAT,
    GROUPINGS_FILE,
    LEVELS_FILE,
    LOSSES,
    MEASURE_COLUMNS,
    MEASURES,
    RUN,
    STEP_COLUMNS,
    STEPS,
    SUBSET,
    WEIGHTS,
    MeasureRow,
    RecordingError,
    place_of,
    written,
)
from ssl_companion.recordings.group_accuracies import (
    GroupAccuracies,
    LevelGroupings,
    open_group_accuracies,
    write_group_accuracies,
)
from ssl_companion.recordings.groupings import Groupings, level_groupings, write_groupings
from ssl_companion.recordings.kept import subset_rows
from ssl_companion.recordings.measuring import (
    Measured,
    Target,
    measure_snapshot,
    measure_step,
)
from ssl_companion.recordings.opening import open_recording
from ssl_companion.recordings.places import refuse_other_folder
from ssl_companion.recordings.targets import (
    keep_targets,
    load_targets,
    targets_digest,
    teacher_predictions,
)
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.config import RunConfig, pick_device, run_config_from_dict
from ssl_companion.training.extract import extract, recalibrate_batchnorm
from ssl_companion.training.run import measured_images, read_run, training_images
from ssl_companion.training.runtime import computed
from ssl_companion.training.snapshots import (
    Unit,
    load_classifier,
    load_snapshot,
    snapshot_epochs,
    snapshot_path,
    snapshot_steps,
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
        RecordingError: the run is not complete, or a snapshot that it kept is gone; the targets to
            measure against are absent or others; or the disk is full or not writable, and then
            nothing that stood is lost.
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
    _require_snapshots(run_folder, snapshots.all(), run.pop("snapshots", None))
    started, fresh = time.monotonic(), 0
    parts: list[Measured] = []
    steps: list[Measured] = []
    bar = tqdm(snapshots.all(), desc=f"measuring {destination.name}", disable=not progress)
    for number, unit in bar:
        found = snapshots.measured_before(number, unit)
        # Every call measures something new, however short its time: calls come to an end.
        late = minutes is not None and time.monotonic() - started > minutes * 60
        if late and fresh and found is None:
            return None
        fresh += found is None
        found = found or snapshots.measure(number, unit)
        (parts if unit == "epoch" else steps).append(found)
    losses = run.pop("losses")
    data = about_data(snapshots.train, test)
    if recipe.held_out:
        data["held_out"] = snapshots.held_out.tolist()
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
        level_groupings=snapshots.groupings,
        steps=steps,
    ).write(destination, _NOTHING_LOST)
    return destination


def _require_snapshots(
    folder: Path, there: list[tuple[int, Unit]], kept: Mapping[str, Sequence[int]] | None
) -> None:
    """Make sure that there is a snapshot of every epoch and step at which the run kept one.

    Runs from before they were written down have to have one of an epoch at least.
    """
    wanted = [(n, unit) for unit in get_args(Unit) for n in (kept or {}).get(unit, ())]
    lost = [f"{unit} {n}" for n, unit in wanted if (n, unit) not in there]
    if lost or not any(unit == "epoch" for _, unit in there):
        raise RecordingError(
            f"{folder / 'snapshots'}: has no snapshot of {', '.join(lost) or 'any epoch'}, which "
            f"the run kept; put it back, or delete {folder / 'checkpoints'} and train again: the "
            "run begins anew, and comes out the same"
        )


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

    def all(self) -> list[tuple[int, Unit]]:
        """Every snapshot: those of epochs, then those of steps."""
        steps = snapshot_steps(self.folder / "snapshots")
        return [*((n, "epoch") for n in self.epochs), *((n, "step") for n in steps)]

    @functools.cached_property
    def held_out(self) -> np.ndarray:
        """The classes that were not trained on, int64 [K], of most runs none."""
        none = np.zeros(0, np.int64)
        return held_out_classes(self.train.hierarchy) if self.recipe.held_out else none

    @functools.cached_property
    def groupings(self) -> LevelGroupings | None:
        """Groupings of the classes at every level, the same whenever and wherever a run goes on;
        None where none are asked for."""
        if not self.config.groupings:
            return None
        path = self.folder / "measured" / f"groupings-{self.train.fingerprint[:16]}.safetensors"
        with contextlib.suppress(RecordingError):
            return open_group_accuracies(path, self.train.hierarchy)
        before = None
        backbone = self._network(self.epochs[0], "epoch")
        if self.epochs[0] == 0:
            x = extract(backbone, self.train.images, precision=self.recipe.precision)
            of_classes = ClassStatistics("none").update(x[backbone.layers[-1]], self.train.fine)
            before = of_classes.means.cpu().numpy()
        found = level_groupings(self.train, before, backbone.width)
        write_group_accuracies(
            path, GroupAccuracies(found.levels, found.kinds, found.groups, balanced={})
        )
        return found

    def _network(self, number: int, unit: Unit) -> Backbone:
        """A snapshot's network as it is measured."""
        path, recipe = snapshot_path(self.folder / "snapshots", number, unit), self.recipe
        backbone = load_snapshot(path, recipe, self.device)
        if _settled(number, unit):
            images = training_images(recipe, self.whole).images
            recalibrate_batchnorm(backbone, images, recipe.views, recipe.precision)
        return backbone

    def measured_before(self, number: int, unit: Unit) -> Measured | None:
        """The measures of one snapshot, if they are in the run's folder already."""
        try:
            with safetensors.safe_open(self._piece(number, unit), framework="pt") as file:
                about = file.metadata() or {}
                if about.get("wanted") != self._wanted(number, unit):
                    return None
                rows = [tuple(row) for row in json.loads(about["rows"])]
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (safetensors.SafetensorError, OSError):
            return None  # there is none, or it was cut short
        names = [name for name in tensors if name.endswith("/balanced")]
        balanced = {place_of(name, "balanced"): tensors.pop(name).numpy() for name in names}
        return Measured(rows=rows, tensors=tensors, balanced=balanced)

    def measure(self, number: int, unit: Unit) -> Measured:
        """Measure one snapshot, and keep what comes out."""
        recipe, backbone = self.recipe, self._network(number, unit)
        about = self.train, self.test, recipe.views, self.config, recipe.precision
        if unit == "step":
            measured = measure_step(backbone, number, *about)
        else:
            ends = self.epochs[0], self.epochs[-1]
            also = self.targets, self.groupings, self.held_out.tolist(), number in ends
            measured = measure_snapshot(backbone, number, *about, *also)
        if self.config.targets and unit == "epoch":
            snapshot = snapshot_path(self.folder / "snapshots", number)
            classifier = load_classifier(snapshot, recipe, self.device)
            measured.tensors |= keep_targets(
                number,
                *teacher_predictions(backbone, classifier, self.whole, self.test, recipe.precision),
            )
        path = self._piece(number, unit)
        said = {"wanted": self._wanted(number, unit), "rows": json.dumps(measured.rows)}
        tensors = {name: tensor.contiguous() for name, tensor in measured.tensors.items()}
        for (epoch, layer), values in measured.balanced.items():
            tensors[f"{epoch}/{layer}/balanced"] = torch.from_numpy(values)
        with written(path, _NOTHING_LOST), atomic_file(path) as temporary:
            safetensors.torch.save_file(tensors, temporary, metadata=said)
        return measured

    def last_weights(self) -> dict[str, Tensor]:
        """The weights of the last snapshot, in half precision."""
        last = snapshot_path(self.folder / "snapshots", self.epochs[-1])
        state = safetensors.torch.load_file(last)
        return {k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()}

    def _piece(self, number: int, unit: Unit) -> Path:
        return self.folder / "measured" / f"{unit}-{number:05d}.safetensors"

    def _wanted(self, number: int, unit: Unit) -> str:
        """What the measures of a snapshot depend on, besides the snapshot."""
        sets = [self.train.fingerprint, self.test.fingerprint, targets_digest(self.targets)]
        wanted = [self.config.settings(), *sets, _settled(number, unit), _MEASURES]
        if unit == "epoch":
            of = self.groupings
            groups = hashlib.sha256(of.groups.tobytes()).hexdigest() if of else ""
            wanted += [groups, number in (self.epochs[0], self.epochs[-1])]
        return json.dumps(wanted, sort_keys=True)


# Goes up when there is more to measure: what was measured before is then measured again.
_MEASURES = 2


def _settled(number: int, unit: Unit) -> bool:
    """Whether BatchNorm's statistics are brought to the weights before measuring.

    They begin as statistics of nothing, and lag behind weights that change fast.
    """
    return unit == "step" or number == 0


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
        level_groupings: under which the parts have balanced accuracies.
        steps: of snapshots between epochs, the step in the place of the epoch.
        by: of each row of measures.csv.gz, a word for how it came about: a further column.
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
    level_groupings: LevelGroupings | None = None
    steps: Sequence[Measured] = ()
    by: Callable[[MeasureRow], str] | None = None

    @plain_torch()
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
            same_bytes = {"method": "gzip", "compresslevel": 9, "mtime": 0}
            table.to_csv(
                folder / MEASURES, index=False, float_format="%.7g", compression=same_bytes
            )
            if tensors:
                self._subset().to_csv(folder / SUBSET, index=False, compression=same_bytes)
                safetensors.torch.save_file(tensors, folder / FEATURES)
            if self.weights:
                safetensors.torch.save_file(dict(self.weights), folder / WEIGHTS)
            if self.groupings:
                write_groupings(folder / GROUPINGS_FILE, self.groupings)
            if of := self.level_groupings:
                balanced = {p: v for part in self.parts for p, v in part.balanced.items()}
                found = GroupAccuracies(of.levels, of.kinds, of.groups, balanced)
                write_group_accuracies(folder / LEVELS_FILE, found)
            if self.steps:
                self._steps().to_csv(folder / STEPS, index=False, float_format="%.7g")
            described["sha256"] = {f.name: file_digest(f) for f in sorted(folder.iterdir())}
            (folder / RUN).write_text(json.dumps(described, indent=1) + "\n")

    def _steps(self) -> pd.DataFrame:
        """The rows of steps.csv; step 0 is what was measured before training."""
        measured = [row for part in self.steps for row in part.rows]
        wanted = {row[1:5] for row in measured}
        start = [row for part in self.parts for row in part.rows if row[0] == 0]
        rows = [row for row in start if row[1:5] in wanted] + measured
        table = pd.DataFrame(rows, columns=list(MEASURE_COLUMNS)).rename(columns={"epoch": "step"})
        return table[list(STEP_COLUMNS)]

    def _subset(self) -> pd.DataFrame:
        """The rows of subset.csv.gz."""
        chosen = self.subsets
        frames = [
            pd.DataFrame({"split": split, "row": rows, "file": images.files[rows],
                          "fine": images.fine[rows]})
            for split, images, rows in (("train", self.train, chosen.train),
                                        ("test", self.test, chosen.test),
                                        ("sample", self.train, chosen.sample[chosen.kept]))
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
