"""Which runs the claims are judged by: the presets', and those that stand beside them.

The recipe of the trajectory was trained more than once: by this package, by an independent
implementation (`REFERENCE`), and on a smaller network under several seeds, in the folder `SMALL`.
A recording at one scale has the name of that at the other, so names alone do not say which runs
may be compared: `same_training` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssl_companion.chapters.analysis.accuracies import Runs
from ssl_companion.chapters.analysis.balanced_accuracy import epochs_judged
from ssl_companion.chapters.analysis.level_controls import is_held_against_looks, only_accuracies
from ssl_companion.presets.catalogue import PRESET_NAMES, scale_of
from ssl_companion.recordings import Recording, list_recordings, recordings_root


def same_training(one: Recording, other: Recording, *, but: tuple[str, ...] = ()) -> bool:
    """Whether two runs were trained on the same images and differ in their seed at most.

    Args:
        one, other: recordings.
        but: parts of the configuration that may differ besides, such as "objective".
    """
    return _common(one, but) == _common(other, but)


def _common(run: Recording, but: tuple[str, ...]) -> tuple[Any, Any]:
    config = {k: v for k, v in run.run["config"].items() if k not in ("seed", *but)}
    return config, run.run["data"].get("train_fingerprint")


SMALL, REFERENCE = "small", "reference"
SEEDS = 3  # below this, Student's interval says nothing

_OWN = re.compile(r"clustering-vicreg-s(\d+)")
_REFERENCE = re.compile(rf"{REFERENCE}-vicreg-s(\d+)")
_SMALL = re.compile(rf"{SMALL}/clustering-vicreg-s(\d+)")
ONE_RUN = "1 run"  # of several seeds
FULL_SIZE, SMALL_SIZE = "full size", "small size"
_SIZES = {"full": FULL_SIZE, "reduced": SMALL_SIZE, "": "a size of its own"}


def set_aside(folder: str, root: str | Path | None = None) -> Runs:
    """The recordings in a folder such as `SMALL` under `recordings_root(root)`, by name; {} for
    none."""
    path = recordings_root(root) / folder
    return {one.name: one for one in list_recordings(path)} if path.is_dir() else {}


def recordings_by_name(root: str | Path | None = None) -> Runs:
    """The presets' recordings under `root` (by default where `list_recordings` looks), by name.

    A reader's own recordings beside them are no part of what a claim was to be judged by.
    """
    return _of(PRESET_NAMES, root)


def recordings_to_judge(root: str | Path | None = None) -> Runs:
    """`recordings_by_name`, and those of the same presets that stand beside them.

    These are "reference-vicreg-s0" and so on, of an independent implementation, and runs of
    another size as "small/clustering-vicreg-s0". Only claims about the trajectory and about the
    regularizer take them.
    """
    beside = {f"{SMALL}/{name}": run for name, run in set_aside(SMALL, root).items()}
    return {**_of((*PRESET_NAMES, REFERENCE), root), **beside}


def _of(families: tuple[str, ...], root: str | Path | None) -> dict[str, Recording]:
    found = {recording.name: recording for recording in list_recordings(root)}
    return {name: one for name, one in found.items() if name.partition("-")[0] in families}


def without_those_beside(recordings: Runs) -> Runs:
    """Without the runs that `recordings_to_judge` adds to the presets'."""
    beside = (f"{REFERENCE}-", f"{SMALL}/")
    return {name: run for name, run in recordings.items() if not name.startswith(beside)}


def seeds(recordings: Runs) -> list[Recording]:
    """The runs of the trajectory, by seed: the first, and those that differ in nothing else."""
    return _by_seed(recordings, _OWN)


def small_seeds(recordings: Runs) -> list[Recording]:
    """The small runs of the trajectory, by seed; none if they are fewer than `SEEDS`."""
    runs = _by_seed(recordings, _SMALL)
    return runs if len(runs) >= SEEDS else []


def reference_seeds(recordings: Runs) -> list[Recording]:
    """The runs of the independent implementation, by seed, if they have the recipe of `seeds`."""
    own = seeds(recordings)
    return [
        run for run in _by_seed(recordings, _REFERENCE) if not own or same_training(run, own[0])
    ]


def _by_seed(recordings: Runs, named: re.Pattern[str]) -> list[Recording]:
    found = {int(m[1]): name for name in recordings if (m := named.fullmatch(name))}
    runs = [recordings[found[seed]] for seed in sorted(found)]
    return [run for run in runs if same_training(run, runs[0])]


class Looked(NamedTuple):
    """A run whose features (or counts of them) a claim looks into, and what it is.

    Attributes:
        run: the recording.
        name: as verdicts call it, "small/clustering-vicreg-s0".
        size, which: see `Part`.
    """

    run: Recording
    name: str
    size: str
    which: str


def runs_to_judge_apart(recordings: Runs, keeps: Callable[[Recording], bool]) -> list[Looked]:
    """The runs that a claim looks into, each to be judged apart.

    Args:
        recordings: by name.
        keeps: whether a run keeps what the claim takes.

    Returns:
        The first such run of the trajectory, the first of the independent implementation, and the
        first small one; runs that do not keep what it takes are passed over.
    """
    found = []
    for named, size, which in (
        (_OWN, "", ""),
        (_REFERENCE, "full", "an independent implementation"),
        (_SMALL, "reduced", ONE_RUN),
    ):
        runs = reference_seeds(recordings) if named is _REFERENCE else _by_seed(recordings, named)
        run = next(filter(keeps, runs), None)
        if run is not None:
            name = names_of_small([run])[0] if named is _SMALL else run.name
            found.append(Looked(run, name, _SIZES[size or scale_of(run) or ""], which))
    return found


def names_of_small(runs: Sequence[Recording]) -> tuple[str, ...]:
    """What the small runs are called beside those of full size."""
    return tuple(f"{SMALL}/{run.name}" for run in runs)


def network_and_length(run: Recording) -> str:
    """ "RES-5-250, 50,000 images, 30 epochs"."""
    config, data = run.run["config"], run.run["data"]
    return (
        f"{config['backbone'].upper()}, {data['train_images']:,} images, {config['epochs']} epochs"
    )


def left_out(recordings: Runs, used: Sequence[str]) -> str:
    """A sentence on the sizes and implementations of which no run was used; "" without any."""
    small = names_of_small(_by_seed(recordings, _SMALL))
    groups = [[run.name for run in _by_seed(recordings, named)] for named in (_OWN, _REFERENCE)]
    names = [name for group in (*groups, small) if not set(group) & set(used) for name in group]
    return f"Recorded without what this measurement needs: {', '.join(names)}." if names else ""


def from_the_start(run: Recording) -> bool:
    """Features of test images from before training and from later."""
    kept = run.kept_epochs() if run.has_features else ()
    return len(kept) > 1 and kept[0] == run.epochs[0]


def is_looked_at(run: Recording) -> bool:
    """Features of test images, or counts of them, from before training and from later, and what
    the levels are held against: groups by looks, too."""
    if only_accuracies(run) or not is_held_against_looks(run):
        return False
    kept = epochs_judged(run)
    return len(kept) > 1 and kept[0] == run.epochs[0]


def with_training_images(run: Recording) -> bool:
    """Features as in `from_the_start`, and of training images at the first and the last epoch."""
    if not (run.has_features and from_the_start(run)):
        return False
    kept = run.kept_epochs()
    return {kept[0], kept[-1]} <= set(run.kept_epochs(what="train"))
