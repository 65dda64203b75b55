"""A recording's folder: its files, written together or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from torch import Tensor

from ssl_companion import provenance
from ssl_companion._files import atomic_directory, file_digest
from ssl_companion.data.images import LabelSet
from ssl_companion.recordings.format import (
    FEATURES,
    FORMAT,
    GROUPINGS,
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
from ssl_companion.recordings.level_rows import Row
from ssl_companion.recordings.measure_config import MeasureConfig
from ssl_companion.recordings.measuring import Measured
from ssl_companion.recordings.subset_rows import subset_rows
from ssl_companion.recordings.subsets import Subsets


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
    by: Callable[[Row], str] | None = None


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
            write_groupings(folder / GROUPINGS, contents.groupings)
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
