"""The last step of writing: what was measured of a run's snapshots becomes a folder of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from ssl_companion.data import ImageSet
from ssl_companion.recordings.folder import Contents, about_data, about_measuring, write_folder
from ssl_companion.recordings.level_rows import Target
from ssl_companion.recordings.measure_config import MeasureConfig
from ssl_companion.recordings.measuring import Measured
from ssl_companion.recordings.subsets import Subsets
from ssl_companion.training.config import RunConfig
from ssl_companion.training.loop import pick_device
from ssl_companion.training.precision import computed
from ssl_companion.training.snapshots import snapshot_epochs, snapshot_path

KEPT = "What was trained and measured before is kept."


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
    write_folder(destination, contents, KEPT)


def _weights(run_folder: Path) -> dict[str, Tensor]:
    """The weights of the last snapshot, in half precision."""
    snapshots = run_folder / "snapshots"
    state = safetensors.torch.load_file(snapshot_path(snapshots, snapshot_epochs(snapshots)[-1]))
    return {k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()}
