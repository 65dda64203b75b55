"""Record a run of a preset: train it, measure it, write it down, within a budget of minutes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from ssl_companion.data import ImageSet
from ssl_companion.experiments import Run
from ssl_companion.recordings import RecordingError, open_recording, write_recording
from ssl_companion.training.distributed import any_process, world
from ssl_companion.training.loop import LoopConfig, pick_device
from ssl_companion.training.run import train


@dataclass
class Budget:
    """Minutes that several runs share; 0 means no end."""

    minutes: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Minutes left; 0 means no end, so a spent budget gives a very small number instead."""
        if not self.minutes:
            return 0.0
        return max(1e-6, self.minutes - (time.monotonic() - self._started) / 60)


def is_recorded(run: Run, destination: Path) -> bool:
    """Whether a recording of just this configuration stands at its place."""
    try:
        recording = open_recording(destination / run.name)
    except RecordingError:
        return False
    return bool(recording.run["digest"] == run.config.digest())


def record_run(
    run: Run,
    train_images: ImageSet,
    test_images: ImageSet,
    runs_folder: str | Path,
    destination: str | Path,
    loop: LoopConfig | None = None,
    budget: Budget | None = None,
) -> bool:
    """Train, measure and write `run` unless it is recorded already.

    Args:
        run: what to record.
        train_images, test_images: the whole data set.
        runs_folder: where unfinished runs live; the run gets a folder of its name there.
        destination: folder of recordings.
        loop: how to run.
        budget: shared minutes; the call stops cleanly when they are spent.

    Returns:
        True when the recording stands, False when the minutes were spent before.
    """
    destination, loop = Path(destination), loop or LoopConfig()
    budget = budget or Budget()
    if is_recorded(run, destination):
        return True
    folder = Path(runs_folder) / f"{run.name}-{run.config.digest()[:8]}"
    timed = replace(loop, minutes=budget.left())
    if not train(run.config, train_images, folder, timed, run.snapshots):
        return False
    written = True
    if world()[0] == 0:  # one process measures and writes; the others wait for its word
        path = write_recording(
            folder,
            destination / run.name,
            train_images,
            test_images,
            run.measure,
            title=run.title,
            device=loop.device,
            minutes=budget.left(),
            progress=loop.progress,
        )
        written = path is not None
    return not any_process(not written, pick_device(loop.device))
