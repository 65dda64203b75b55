"""Somebody's images or features with their labels, as sets that a recording is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_companion._own_inputs import Labels, check_labels, images_and_labels
from ssl_companion.data import Hierarchy, ImageSet, Level
from ssl_companion.data.images import LabelSet
from ssl_companion.own import halves

OWN = "own images"

#: Images or features [N, ...]; or features [N, D] by epoch and layer.
Table = np.ndarray | Tensor | dict[int, dict[str, Any]]
Given = tuple[Any, Labels | None, Sequence[str] | None]


def labelled_sets(
    features: bool, train: Given, test: Given, hierarchy: Hierarchy | None, seed: int
) -> tuple[tuple[Table, LabelSet], tuple[Table, LabelSet]]:
    """What is given as training and test images, checked; halves of the first without the second.

    Args:
        features: whether they are features already.
        train, test: images or features, labels and names.
        hierarchy: upper levels.
        seed: of the halves.

    Raises:
        ValueError: bad images, labels or names; the message says which.
    """
    if isinstance(train[0], ImageSet) and train[1] is None:
        hierarchy = hierarchy or train[0].hierarchy  # which its own labels have
    x, y, names = _given(features, train, "")
    title, stand_in = _title(train[0]), isinstance(train[0], ImageSet) and train[0].stand_in
    if test[0] is None:
        if test[1] is not None or test[2] is not None:
            raise ValueError("test_labels, test_names: given without test_images")
        rows = halves(y, seed)
        parts = [(_rows(x, some), y[some], names[some]) for some in rows]
    else:
        parts = [(x, y, names), _given(features, test, "test_")]
        _check_alike(x, parts[1][0])
    check_labels(parts[0][1], parts[1][1], hierarchy)
    k = int(parts[0][1].max()) + 1
    if absent := sorted(set(range(k)) - set(parts[1][1].tolist())):
        raise ValueError(
            f"test_labels: class {absent[0]} is absent; expected an image of every class"
        )
    hierarchy = hierarchy or _one_level(k)
    sets = [
        LabelSet(title, split, labels, files, _fingerprint(values, labels), hierarchy, stand_in)
        for split, (values, labels, files) in zip(("train", "test"), parts, strict=True)
    ]
    return (parts[0][0], sets[0]), (parts[1][0], sets[1])


def _given(features: bool, given: Given, prefix: str) -> tuple[Table, np.ndarray, np.ndarray]:
    """Images or features, labels int64 [N], names str [N]."""
    values, labels, names = given
    table: Table
    if features and isinstance(values, Mapping):
        by_layer = _by_layer(values, prefix)
        arrays = [array for layers in by_layer.values() for array in layers.values()]
        for array in arrays:
            _, y = images_and_labels(array, labels, prefix)
        table = by_layer
    elif isinstance(values, Mapping):
        raise ValueError(
            f"{prefix}images: a dictionary; expected one array for all checkpoints. Features by "
            "epoch go with encoder None"
        )
    else:
        table, y = images_and_labels(values, labels, prefix)
    if names is None and isinstance(values, ImageSet):
        names = values.files.tolist()
    if names is None:
        names = [f"{prefix.replace('_', ' ')}image {row}" for row in range(len(y))]
    if len(names) != len(y):
        raise ValueError(
            f"{prefix}names: {len(names)} for {len(y)} images; expected one for each, or none"
        )
    return table, y, np.array([str(name) for name in names])


def _by_layer(values: Mapping[Any, Any], prefix: str) -> dict[int, dict[str, Any]]:
    """Features by epoch and layer, from those by epoch, too."""
    found: dict[int, dict[str, Any]] = {}
    for epoch, given in values.items():
        found[epoch] = dict(given) if isinstance(given, Mapping) else {"features": given}
        if not found[epoch]:
            raise ValueError(f"{prefix}images: no layer at epoch {epoch!r}; expected one or more")
    if not found:
        raise ValueError(f"{prefix}images: an empty dictionary; expected features by epoch")
    return found


def _check_alike(table: Table, test: Table) -> None:
    def places(one: Table) -> list[tuple[Any, str]]:
        layers = one.items() if isinstance(one, dict) else ()
        return sorted((epoch, layer) for epoch, found in layers for layer in found)

    if places(table) != places(test):
        raise ValueError(
            f"test_images: features of {places(test) or 'one layer'}; expected those of images: "
            f"{places(table) or 'one layer'}"
        )


def _rows(table: Table, rows: np.ndarray) -> Table:
    if not isinstance(table, dict):
        return table[rows]
    return {epoch: {k: v[rows] for k, v in layers.items()} for epoch, layers in table.items()}


def _title(images: object) -> str:
    return images.name if isinstance(images, ImageSet) else OWN


def _one_level(k: int) -> Hierarchy:
    names = tuple(f"class {label}" for label in range(k))
    return Hierarchy(OWN, (Level("fine", names, np.arange(k)),))


def _fingerprint(table: Table, labels: np.ndarray) -> str:
    """SHA-256 of values and labels, hexadecimal."""
    digest = hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    tables = table if isinstance(table, dict) else {0: {"": table}}
    for epoch, layers in tables.items():
        for layer, values in layers.items():
            digest.update(f"{epoch} {layer} {values.dtype} {tuple(values.shape)}".encode())
            if isinstance(values, Tensor):  # NumPy has no bfloat16, but any number has bytes
                values = values.detach().cpu().contiguous().view(torch.uint8).numpy()
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
