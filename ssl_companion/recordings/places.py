"""Where a recording goes: a place that can be written, and where nothing is that would be lost."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ssl_companion.io.lock import one_at_a_time
from ssl_companion.recordings.format import RUN, OccupiedError, RecordingError


def refuse_other_folder(destination: Path) -> None:
    """Make sure that what would be replaced is a recording, or nothing.

    Raises:
        RecordingError: a folder with files but no run.json, or a file; or this folder itself, which
            cannot be replaced from within.
    """
    if destination.name in ("", ".."):
        raise RecordingError(
            f"{destination}: has no name; expected a new folder, whose last part is the "
            "recording's name"
        )
    if (destination / RUN).exists() or not destination.exists():
        return
    if not destination.is_dir() or any(destination.iterdir()):
        raise RecordingError(
            f"{destination}: is no recording and would be replaced by one; expected a new folder. "
            "Give another place, or remove what is there"
        )


def refuse_recording(destination: Path, overwrite: bool) -> None:
    """Make sure that no recording is lost that nobody asked to replace.

    Raises:
        OccupiedError: one is there, and no `overwrite`.
        RecordingError: a folder of something else is there.
    """
    refuse_other_folder(destination)
    if (destination / RUN).exists() and not overwrite:
        raise OccupiedError(
            f"destination: {destination} holds a recording already; expected a new folder; give "
            "another name, or lose the one that is there by overwrite=True (--overwrite)"
        )


@contextlib.contextmanager
def held_place(destination: Path, look: Callable[[], object]) -> Iterator[None]:
    """Keep others from writing a recording at one place while the block does.

    Args:
        destination: the recording's folder.
        look: raises where it may not be replaced. What was seen before hours of work may have
            changed since, so that it is looked at here.
    """
    with one_at_a_time(destination):
        look()
        yield


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
