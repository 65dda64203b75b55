"""Which recordings a page of the book can show, by what they keep; its parameters cell asks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssl_companion.chapters.analysis.interventions import switch_epoch
from ssl_companion.chapters.claims.runs import from_the_start, with_training_images
from ssl_companion.recordings import (
    Recording,
    RecordingError,
    RecordingWarning,
    list_recordings,
    open_recording,
)
from ssl_companion.recordings.format import EVERY_SAMPLE, SAMPLE


class UnfitError(RecordingError):
    """A parameter of a page names what the page cannot show; the message names what it can."""


class Need(NamedTuple):
    """What a parameter of a page asks of a recording: in words, and as a test of it."""

    words: str
    holds: Callable[[Recording], bool]


def _any_features(run: Recording) -> bool:
    return run.has_features and bool(run.kept_epochs())


def _every_layer(run: Recording) -> bool:
    """Features from before training and from later, and of every layer at both ends of training."""
    if not from_the_start(run):
        return False
    common = set.intersection(*(set(run.kept_epochs(layer)) for layer in run.layers))
    return len(common) > 1


def _views(run: Recording) -> bool:
    kept = (run.kept_epochs(what=what) for what in ("sample_views", "map_views"))
    return with_training_images(run) and all(len(epochs) > 1 for epochs in kept)


def _one_fall(run: Recording) -> bool:
    """Features, and an objective on pairs of views whose weights stay as they are."""
    objective = run.run["config"].get("objective", {})
    own = isinstance(objective, dict) and objective.get("name") not in (None, "supervised")
    return own and not np.isfinite(switch_epoch(run)) and from_the_start(run)


def _levels_measured(run: Recording, start: str) -> bool:
    return bool(run.measures["level"].str.startswith(start).any())


_FEATURES = Need("features of test images, from before training and from later", from_the_start)
_TRAINING = Need(f"{_FEATURES.words}, and of training images", with_training_images)
_VIEWS = Need(f"{_FEATURES.words}, of training images and of views of single images", _views)
_BY_LAYER = Need(
    "accuracies of every layer", lambda run: set(run.layers) <= set(run.measures["layer"])
)

#: What each page's parameters ask for.
NEEDS: dict[str, dict[str, Need]] = {
    "explorer": {"RECORDING": Need("features of test images", _any_features)},
    "clusters-emerge": {
        "RECORDING": _VIEWS,
        "AGAIN": Need(
            f"{_FEATURES.words}, and each training image found again among all",
            lambda run: from_the_start(run) and _levels_measured(run, EVERY_SAMPLE),
        ),
    },
    "hierarchy": {"RECORDING": _TRAINING},
    "measuring-a-cluster": {"RECORDING": _TRAINING},
    "the-regularizer": {
        "RECORDING": Need(
            f"{_FEATURES.words}, and an objective on views that is the same throughout", _one_fall
        )
    },
    "time-and-depth": {
        "RECORDING": Need("features of every layer, from two epochs or more", _every_layer),
        "SELF_SUPERVISED": _BY_LAYER,
        "SUPERVISED": _BY_LAYER,
    },
    "compression": {"RECORDING": _VIEWS, "COLLAPSING": _VIEWS},
    "clusters-to-classifiers": {"RECORDING": _VIEWS},
    "random-targets": {
        "RECORDING": _FEATURES,
        "AGAIN": Need(
            f"{_FEATURES.words}, and accuracies on a teacher's targets",
            lambda run: from_the_start(run) and _levels_measured(run, "teacher-"),
        ),
        "TEACHER": Need("targets", lambda run: bool(run.target_epochs())),
    },
    "elsewhere": {"REFERENCE": _BY_LAYER},
}


def names_for(page: str, parameter: str = "RECORDING", root: str | Path | None = None) -> list[str]:
    """The recordings that a page can show, by name; one with damaged files is named in a warning.

    Args:
        page: its name, "explorer".
        parameter: of its parameters cell.
        root: where recordings are; by default where `list_recordings` looks.
    """
    need, found = NEEDS[page][parameter], []
    for run in list_recordings(root):
        try:
            if need.holds(run):
                found.append(run.name)
        except RecordingError as error:  # one bad recording does not end the choice of others
            warnings.warn(f"left out: {error}", RecordingWarning, stacklevel=2)
    return found


def levels_for(page: str, run: Recording) -> tuple[str, ...]:
    """The levels that a page can show of a recording: its hierarchy's, those with linear probes
    where the page compares these."""
    names = run.hierarchy.names
    if page == "clusters-to-classifiers":
        probed = set(run.select(measure="linear")["level"])
        return tuple(name for name in names if name in probed)
    return names


def open_for(
    page: str,
    name: str | Path,
    parameter: str = "RECORDING",
    levels: str | Sequence[str] = (),
    root: str | Path | None = None,
) -> Recording:
    """The recording that a parameter of a page names, if the page can show it.

    Args:
        page: its name, "explorer".
        name: of the recording, or its path.
        parameter: of the page's parameters cell.
        levels: LEVEL or LEVELS of that cell.
        root: where recordings are; by default where `list_recordings` looks.

    Raises:
        UnfitError: it keeps too little for the page, or has no such level; the message names those
            that would do.
        RecordingError: there is no such recording.
    """
    run, need = open_recording(name, root), NEEDS[page][parameter]
    if not need.holds(run):
        fit = ", ".join(names_for(page, parameter, root)) or "none that is recorded here"
        raise UnfitError(f"{parameter}: {str(name)!r}; expected one with {need.words}: {fit}")
    many = not isinstance(levels, str)
    known = levels_for(page, run) + ((SAMPLE,) if many and _levels_measured(run, SAMPLE) else ())
    for level in levels if many else (levels,):
        if level not in known:
            raise UnfitError(
                f"{'LEVELS' if many else 'LEVEL'}: {level!r}; expected one that "
                f"{run.name} has: {', '.join(known)}"
            )
    return run
