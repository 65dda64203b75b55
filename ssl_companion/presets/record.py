"""Record a run of a preset: train it, measure it, write it down, within a budget of minutes."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ssl_companion.data import ImageSet
from ssl_companion.presets.runs import Run
from ssl_companion.recordings import (
    OccupiedError,
    Recording,
    RecordingError,
    open_recording,
    write_recording,
)
from ssl_companion.recordings.format import RUN
from ssl_companion.recordings.places import held_place, refuse_other_folder, require_writable
from ssl_companion.recordings.targets import load_targets
from ssl_companion.training.config import LoopConfig
from ssl_companion.training.distributed import any_process, world
from ssl_companion.training.run import read_run, train
from ssl_companion.training.snapshots import log_spaced


class NoTeacherError(RecordingError):
    """The targets that a run is measured against are not recorded, or others are."""


@dataclass
class Budget:
    """Minutes that several runs share.

    Attributes:
        minutes: from now on; None means no end.
        begun: whether one of the runs has used some of them.
    """

    minutes: float | None = None
    begun: bool = field(default=False, init=False)
    _started: float = field(default_factory=time.monotonic, init=False)

    def left(self) -> float | None:
        """Minutes left, 0 or more; None means no end."""
        if self.minutes is None:
            return None
        return max(0.0, self.minutes - (time.monotonic() - self._started) / 60)

    @property
    def spent(self) -> bool:
        """Whether nothing more should begin. Never before anything did: however short the
        minutes are, repeated calls come to an end."""
        return self.begun and self.left() == 0


def is_recorded(run: Run, destination: Path) -> bool:
    """Whether a recording of just this run is at its place: trained, measured and kept as asked,
    at every epoch that was asked for, and against its teacher.

    A recording that does not say which teacher it was measured against counts.
    """
    recording = _standing(run, destination)
    if recording is None or not run.measure.is_that_of(recording.run["measured"]["config"]):
        return False
    if not set(run.snapshots or log_spaced(run.config.epochs)) <= set(recording.epochs):
        return False
    about, teacher = recording.run["measured"].get("against"), _teacher_digest(run)
    if about and teacher and about["digest"] != teacher:
        return False
    return bool(recording.run["digest"] == run.config.digest())


def _standing(run: Run, destination: Path) -> Recording | None:
    """What is recorded under the run's name, if it can be read."""
    try:
        return open_recording(destination / run.name)
    except RecordingError:
        return None


def require_place(run: Run, destination: Path) -> None:
    """Make sure that recording `run` destroys no other run's recording.

    A preset's run may replace the one of its name at another scale or from an older version.
    Nothing replaces a recording of another data set, and a run by hand replaces no other, nor one
    that cannot be read: it may be whole, and of another version of the format.

    Raises:
        OccupiedError: it would; the message says what is there, and the ways out.
        RecordingError: a folder of something else is there.
    """
    refuse_other_folder(destination / run.name)
    there = _standing(run, destination)
    if there is None:
        if not run.scale and (destination / run.name / RUN).exists():
            raise OccupiedError(
                f"{destination / run.name} holds a recording that cannot be read; give another "
                "folder (--out) or another name (--name), or --overwrite to lose the one that is "
                "there"
            )
        return
    same_data = there.run["data"]["name"] == run.config.data
    if same_data and (run.scale or there.run["digest"] == run.config.digest()):
        return
    raise OccupiedError(
        f"{there.path} holds another run ({there.title}) than the one asked for ({run.title}); "
        "give another folder (--out)"
        + ("" if run.scale else " or another name (--name)")
        + ", or --overwrite to lose the one that is there"
    )


def _teacher_digest(run: Run) -> str:
    """Of the teacher's configuration; empty where any will do."""
    return "" if run.teacher is None else run.teacher.config.digest()


def require_teacher(run: Run, destination: Path, train: ImageSet, test: ImageSet) -> None:
    """Make sure that what `run` is measured against stands in `destination`.

    Raises:
        NoTeacherError: it does not, or is another; the message has the command that makes it.
    """
    name = run.measure.against
    if not name:
        return
    makes = f"record {name!r} there first, with its targets"
    if run.teacher is not None:
        makes = f"`{run.teacher.command}` makes it"
    if not (destination / name / RUN).exists():
        raise NoTeacherError(
            f"{run.name} is measured against the targets of {name!r}, which is not recorded in "
            f"{destination}; {makes}"
        )
    try:
        load_targets(name, destination, train, test, digest=_teacher_digest(run))
    except RecordingError as error:
        raise NoTeacherError(
            f"{run.name} is measured against the targets of {name!r}: {error}; {makes}"
        ) from error


def record_run(
    run: Run,
    train_images: ImageSet,
    test_images: ImageSet,
    runs_folder: str | Path,
    destination: str | Path,
    loop: LoopConfig | None = None,
    budget: Budget | None = None,
    overwrite: bool = False,
) -> bool:
    """Train, measure and write `run` unless it is recorded already.

    Args:
        run: what to record.
        train_images, test_images: the whole data set.
        runs_folder: where unfinished runs live; the run gets a folder of its name there.
        destination: folder of recordings.
        loop: how to run.
        budget: shared minutes; the call stops cleanly when they are spent.
        overwrite: replace another run's recording of the same name.

    Returns:
        True when the recording stands, False when the minutes were spent before.

    Raises:
        NoTeacherError: the run is measured against a recording that is absent or another; it is
            looked for before anything is trained.
        OccupiedError: another run is recorded there (see `require_place`), and no `overwrite`.
        RecordingError: nothing can be written there, which is found before training, too.
    """
    destination, loop = Path(destination), loop or LoopConfig()
    budget = budget or Budget()
    if is_recorded(run, destination):
        return True
    if not overwrite:
        require_place(run, destination)
    require_writable(destination)
    require_teacher(run, destination, train_images, test_images)
    device = loop.device
    if any_process(budget.spent, device):
        return False
    budget.begun = True
    folder = run.folder(runs_folder)
    trained = _trained(folder)
    timed = replace(loop, minutes=budget.left())
    if not train(run.config, train_images, folder, timed, run.snapshots, run.steps):
        return False
    if not trained and any_process(budget.spent, device):
        return False
    written = True
    if world()[0] == 0:  # one process measures and writes; the others wait for its word
        look = nullcontext if overwrite else partial(require_place, run, destination)
        with held_place(destination / run.name, look):
            path = write_recording(
                folder,
                destination / run.name,
                train_images,
                test_images,
                run.measure,
                title=run.title,
                teacher=_teacher_digest(run),
                device=device,
                minutes=budget.left(),
                progress=loop.progress,
            )
        written = path is not None
    return not any_process(not written, device)


def _trained(folder: Path) -> bool:
    """Whether a call before this one finished the training."""
    return (folder / "run.json").exists() and bool(read_run(folder)["complete"])
