"""The last step of writing: what was measured of a run's snapshots becomes a folder of files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ssl_companion import provenance
from ssl_companion._files import atomic_directory
from ssl_companion.data import ImageSet
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
from ssl_companion.recordings.measuring import MeasureConfig, Measured, Subsets
from ssl_companion.recordings.subset_rows import subset_rows
from ssl_companion.training.config import RunConfig
from ssl_companion.training.loop import pick_device
from ssl_companion.training.snapshots import snapshot_epochs, snapshot_path


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


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """What goes wrong with the disk while `path` is written, as one error with a way out."""
    try:
        yield
    except (safetensors.SafetensorError, OSError) as error:
        raise RecordingError(
            f"{path}: could not be written ({error}); make room there or give another folder, "
            "and call the same command again. What was trained and measured before is kept."
        ) from error


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


def assemble(
    work: Work, destination: Path, run: dict[str, Any], parts: list[Measured], title: str
) -> None:
    """Write the recording to `destination`, whole or not at all.

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
    refuse_other_folder(destination)
    train, test, config = work.train, work.test, work.config
    tensors = {name: tensor for part in parts for name, tensor in part.tensors.items()}
    subsets = Subsets.choose(train, test, config)
    rows = [row for part in parts for row in part.rows]
    rows += subset_rows(tensors, train, test, subsets)
    layers = tuple(dict.fromkeys(row[1] for row in rows))
    losses = run.pop("losses")
    weights = _weights(work.run_folder) if config.weights else {}
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
    if work.taught_by:
        described["measured"]["against"] = work.taught_by
    with written(destination), atomic_directory(destination) as folder:
        (folder / RUN).write_text(json.dumps(described, indent=1) + "\n")
        pd.DataFrame(losses).to_csv(folder / LOSSES, index=False, float_format="%.7g")
        table = pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))
        table.to_csv(folder / MEASURES, index=False, float_format="%.7g")
        if tensors:
            _write_subset(folder / SUBSET, work, subsets)
            safetensors.torch.save_file(tensors, folder / FEATURES)
        if weights:
            safetensors.torch.save_file(weights, folder / WEIGHTS)


def _write_subset(path: Path, work: Work, subsets: Subsets) -> None:
    frames, train = [], work.train
    for split, images, rows in (
        ("train", train, subsets.train),
        ("test", work.test, subsets.test),
        ("sample", train, subsets.sample[subsets.kept_samples(train, work.config)]),
    ):
        frames.append(
            pd.DataFrame(
                {"split": split, "row": rows, "file": images.files[rows],
                 "fine": images.fine[rows]}
            )
        )  # fmt: skip
    pd.concat(frames).to_csv(path, index=False)


def _weights(run_folder: Path) -> dict[str, Tensor]:
    """The weights of the last snapshot, in half precision."""
    snapshots = run_folder / "snapshots"
    state = safetensors.torch.load_file(snapshot_path(snapshots, snapshot_epochs(snapshots)[-1]))
    return {k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()}
