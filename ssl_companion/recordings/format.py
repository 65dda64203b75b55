"""The format of a recording: a folder that can be read without this package.

    run.json              what ran: configuration, seed, commit, versions, device, times, data
    losses.csv            a row an epoch, a column a term of the objective
    measures.csv.gz       tidy: epoch, layer, level, split, measure, value, n
    subset.csv.gz         the images whose features are kept: split, row, file, fine
    features.safetensors  their features, quantised, and the class means (some recordings)
    weights.safetensors   the backbone after the last epoch, float16 (some recordings)
    groupings.safetensors groups of classes, by their looks or those that verdicts take, and how
                          often each class is found in its group (see `groupings`; some recordings)
    levels.safetensors    balanced accuracies under groupings of every level, by epoch and layer
                          (see `group_accuracies`; recordings since that was added)
    steps.csv             of runs with snapshots between epochs: step, level, split, measure, value,
                          n, of the last layer. Their batch normalisation is settled first, as
                          before training

run.json has the SHA-256 of every other file, in recordings since that was added. Its "images" are
those that were trained on and its "data" says which were measured; they differ where classes were
held out, and these are data["held_out"] then. "first_losses" are the terms before any update.

Features are uint8 with an offset and a scale for each dimension:
feature = offset + scale * code. Keys are "<epoch>/<layer>/<what>", with the affine map at
"<key>.affine" (float32 [2, D]); class and sample means are float16, float32 where that would be
too coarse, or quantised as features are.

Of somebody's own encoder `run.json` has what is known: its `config` names the encoder, losses.csv
has no rows, and `data` holds `class_counts` and, for labels of their own, the `hierarchy`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import safetensors

from ssl_companion.errors import CompanionError

FORMAT = 1
RUN, LOSSES, MEASURES = "run.json", "losses.csv", "measures.csv.gz"
SUBSET, FEATURES, WEIGHTS = "subset.csv.gz", "features.safetensors", "weights.safetensors"
GROUPINGS_FILE, LEVELS_FILE, STEPS = "groupings.safetensors", "levels.safetensors", "steps.csv"
FILES = frozenset({
    RUN, LOSSES, MEASURES, SUBSET, FEATURES, WEIGHTS, GROUPINGS_FILE, LEVELS_FILE, STEPS,
})  # fmt: skip
MEASURE_COLUMNS = ("epoch", "layer", "level", "split", "measure", "value", "n")
STEP_COLUMNS = ("step", "level", "split", "measure", "value", "n")
#: A row of measures.csv.gz: epoch, layer, level, split, measure, value, n.
MeasureRow = tuple[int, str, str, str, str, float, int]

# Levels besides the hierarchy's: labels in another order, some images as classes of their own (the
# sample level), and all training images as classes.
RANDOM_IMAGE, SAMPLE, EVERY_SAMPLE = "random-image", "sample", "sample-all"
# Levels of a run that was trained without some classes: the images of these, and of the others.
HELD_OUT, SEEN = "held-out", "seen"

#: Where something was measured: an epoch and a layer (None: the last).
EpochLayer = tuple[int, str | None]


class RecordingError(CompanionError, ValueError):
    """A recording that cannot be used; the message names the path, the reason and a way out."""


class OccupiedError(RecordingError):
    """Another recording is where this one would go."""


class DamagedError(RecordingError):
    """A recording whose files are altered, cut short or of something else."""


class RecordingWarning(UserWarning):
    """A recording was left out of a list; the message says which, and why."""


@contextlib.contextmanager
def written(path: Path, kept: str = "") -> Iterator[None]:
    """What goes wrong with the disk while `path` is written, as one error with a way out.

    Args:
        path: where.
        kept: a sentence on what is not lost.
    """
    try:
        yield
    except (safetensors.SafetensorError, OSError) as error:
        raise RecordingError(
            f"{path}: could not be written ({error}); make room there or give another folder, "
            f"and do the same again. {kept}".rstrip()
        ) from error


def key(epoch: int, layer: str, what: str) -> str:
    """The name of a tensor in `features.safetensors`."""
    return f"{epoch}/{layer}/{what}"


def place_of(name: str, what: str) -> EpochLayer:
    """The epoch and the layer in a tensor's name "<epoch>/<layer>/<what>".

    Raises:
        ValueError: another name.
    """
    epoch, layer, found = name.split("/")
    if found != what:
        raise ValueError(f"a tensor {name!r}; expected '<epoch>/<layer>/{what}'")
    return int(epoch), layer
