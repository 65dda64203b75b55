"""Recordings: training trajectories, written down to be measured in front of a reader."""

from __future__ import annotations

from ssl_companion.recordings.config import MeasureConfig
from ssl_companion.recordings.format import (
    FORMAT,
    DamagedError,
    OccupiedError,
    RecordingError,
    RecordingWarning,
)
from ssl_companion.recordings.group_accuracies import GroupAccuracies, read_group_accuracies
from ssl_companion.recordings.kept import group_means, measure_kept
from ssl_companion.recordings.reader import (
    Recording,
    list_recordings,
    open_recording,
    recordings_root,
)
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
