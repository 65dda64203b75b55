"""Go on with a recording: what was measured, read back, and whether it is of the same things."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import safetensors.torch

from ssl_companion.recordings.format import FEATURES, MEASURE_COLUMNS
from ssl_companion.recordings.measuring import Measured
from ssl_companion.recordings.reader import Recording


def parts_of(recording: Recording) -> dict[int, Measured]:
    """What was measured at each epoch, as `Contents` takes it to write it again.

    Balanced accuracies under groupings are not read: recordings of somebody's own encoder have
    none.

    Raises:
        DamagedError: a file is altered or absent.
    """
    parts = {epoch: Measured() for epoch in recording.epochs}
    for row in recording.measures[list(MEASURE_COLUMNS)].itertuples(index=False, name=None):
        if not row[3].startswith("subset-"):  # which are measured when it is written
            parts[row[0]].rows.append(row)
    if recording.has_features:
        for name, tensor in safetensors.torch.load_file(recording.file(FEATURES)).items():
            parts[int(name.partition("/")[0])].tensors[name] = tensor
    return parts


def first_difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first value of `here` that is another one in `there`, in words; "" where there is none.

    Args:
        there: run.json of a recording. What it does not say, as versions wrote less before, is no
            difference.
        here: what it would say of these data and settings.
    """
    recorded = dict(_leaves(there))
    for name, value in _leaves(json.loads(json.dumps(here))):  # tuples become lists
        if recorded.get(name, value) != value:
            return f"{name} is {_short(recorded[name])} there, {_short(value)} here"
    return ""


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """What stands in nested dictionaries, by path."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _short(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 40 else f"{said[:37]}..."
