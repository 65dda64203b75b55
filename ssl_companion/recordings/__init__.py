"""Recordings: training trajectories, written down to be measured in front of a reader."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ssl_companion.recordings.config import MeasureConfig
from ssl_companion.recordings.format import (
    FORMAT,
    DamagedError,
    OccupiedError,
    RecordingError,
    RecordingWarning,
)
from ssl_companion.recordings.opening import list_recordings, open_recording, recordings_root
from ssl_companion.recordings.reader import Recording

if TYPE_CHECKING:
    from ssl_companion.recordings.group_accuracies import GroupAccuracies, read_group_accuracies
    from ssl_companion.recordings.kept import group_means, measure_kept
    from ssl_companion.recordings.writing import write_recording

__all__ = [
    "FORMAT",
    "DamagedError",
    "GroupAccuracies",
    "MeasureConfig",
    "OccupiedError",
    "Recording",
    "RecordingError",
    "RecordingWarning",
    "group_means",
    "list_recordings",
    "measure_kept",
    "open_recording",
    "read_group_accuracies",
    "recordings_root",
    "write_recording",
]

# The modules of the names that need torch, which what is recorded can be listed without.
_LATER = {
    "GroupAccuracies": "group_accuracies",
    "group_means": "kept",
    "measure_kept": "kept",
    "read_group_accuracies": "group_accuracies",
    "write_recording": "writing",
}


def __getattr__(name: str) -> object:
    """One of these when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
