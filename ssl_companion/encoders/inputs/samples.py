"""Training and test images that every checkpoint of an encoder is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_companion.data import ImageSet, Level
from ssl_companion.data.hierarchy import Hierarchy
from ssl_companion.data.images import LabelSet
from ssl_companion.encoders.inputs.hierarchies import HierarchyLike
from ssl_companion.encoders.inputs.labelled import (
    Labelled,
    as_images,
    check_same_classes,
    halves,
    hierarchy_over,
    images_and_labels,
    labels_of,
)
from ssl_companion.encoders.inputs.labels import ClassLabels
from ssl_companion.encoders.inputs.sources import SIZE, ImageStream, image_stream, shuffles

OWN = "own images"
_CHUNK = 256  # rows of an array that are hashed at a time


class RepeatedStream:
    """The images of a stream, once more for every checkpoint, and never all of them in memory.

    When it is made, it goes through them a first time, to count them and to know them again.

    Example:
        >>> pairs = [(torch.zeros(2, 3, 8, 8), [0, 1]), (torch.ones(1, 3, 8, 8), [1])]
        >>> stream = image_stream(pairs, "images")
        >>> images = RepeatedStream(stream)
        >>> images.shape, stream.labels, [len(batch) for batch in images]
        ((3, 3, 8, 8), array([0, 1, 1]), [2, 1])

    Args:
        stream: one that can begin anew.

    Attributes:
        name: what messages call it.
        total: how many images there are.
        shape: theirs, [N, ...].
        digest: SHA-256 of their types, shapes and bytes, whatever the batches.

    Raises:
        ValueError: no image at all, or batches of something else.
        SourceError, DataError: what gives the images failed.
    """

    def __init__(self, stream: ImageStream) -> None:
        self.name, self.total, self._stream = stream.name, 0, stream
        digest, kind = hashlib.sha256(), ""
        for i, batch in enumerate(stream):
            if not len(batch):
                continue
            images = as_images(batch, f"{self.name}[{i}]")
            if not self.total:
                self._first, sizes = _raw(images[:1]).tobytes(), tuple(images.shape[1:])
            if kind != (kind := f"{images.dtype} {tuple(images.shape[1:])}"):
                digest.update(kind.encode())
            digest.update(_raw(images))
            self.total += len(images)
        if not self.total:
            raise ValueError(f"{self.name}: none at all; expected one or more")
        self.shape, self.digest = (self.total, *sizes), digest.digest()

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[np.ndarray | Tensor]:
        """All batches.

        Raises:
            ValueError: other images than the first time, as far as their number and the first of
                them tell.
        """
        done = 0
        for batch in self._stream:
            if len(batch) and not done and _raw(batch[:1]).tobytes() != self._first:
                raise ValueError(
                    f"{self.name}: begin with another image than the first time; expected the same "
                    "ones in the same order for every checkpoint; leave out what shuffles, crops "
                    "or colours them at random"
                )
            done += len(batch)
            if done > self.total:
                break
            yield batch
        if done != self.total:
            more = " or more" if done > self.total else ""
            raise ValueError(
                f"{self.name}: {done}{more}, and {self.total} the first time; expected the same "
                "ones for every checkpoint; a data set, a DataLoader or a list of batches can "
                "begin anew"
            )


#: Images or features [N, ...]; or features [N, D] by epoch and layer.
Values = np.ndarray | Tensor | RepeatedStream | dict[int, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Samples:
    """Training or test images, or features, with all that a recording says of their labels.

    Example:
        >>> given = Labelled(np.zeros((4, 8)), [0, 0, 1, 1])
        >>> train, test = training_and_test(given, Labelled(None), None, features=True, seed=0)
        >>> train.values.shape, train.about.split, len(train.about), len(train.rows)
        ((4, 8), 'train', 2, 2)

    Attributes:
        values: images or features.
        about: labels and names of those that count.
        rows: which of the values these are, int64 ascending; None: all. Halves have the same
            values, so that an encoder runs over these once.
    """

    values: Values
    about: LabelSet
    rows: np.ndarray | None = None


def training_and_test(
    train: Labelled,
    test: Labelled,
    hierarchy: HierarchyLike | None,
    features: bool,
    seed: int,
    *,
    batch: int = 256,
    size: int = SIZE,
) -> tuple[Samples, Samples]:
    """What is given as training and test images, checked; halves of the first without the second.

    Example:
        >>> train, test = (Labelled(np.zeros((2, 8)), [0, 1], ["a", "b"]) for _ in range(2))
        >>> _, held_out = training_and_test(train, test, None, features=True, seed=0)
        >>> held_out.about.files.tolist()
        ['a', 'b']

    Args:
        train, test: images of any source that can be gone through again, see
            `sources.image_stream`; those of `test` may be None.
        hierarchy: upper levels (see `hierarchies.as_hierarchy`); None takes those of an
            `ImageSet`, of nested folders, or of labels in several columns.
        features: whether they are features already.
        seed: of the halves.
        batch: so many single images of a source make a batch.
        size: height and width of pictures that are decoded, in pixels.

    Raises:
        ValueError: bad images, labels or names, an iterator, or a DataLoader that shuffles; the
            message says which.
        SourceError, DataError: what gives the images failed.
    """
    given = _checked(train, features, "", batch, size)
    values, labels = given.values, given.labels
    parts: list[tuple[Values, np.ndarray, np.ndarray, np.ndarray | None]]
    if test.images is None:
        if test.labels is not None or test.names is not None:
            raise ValueError("test_labels: given without test_images; expected both or neither")
        parts = [
            (values, labels.y[rows], given.names[rows], rows) for rows in halves(labels.y, seed)
        ]
    else:
        held_out = _checked(test, features, "test_", batch, size, labels)
        parts = [(one.values, one.labels.y, one.names, None) for one in (given, held_out)]
        _check_alike(values, held_out.values, features)
    y, z = (fine for _, fine, _, _ in parts)
    k = check_same_classes(y, z)
    levels = hierarchy_over(given.hierarchy if hierarchy is None else hierarchy, labels)
    if absent := sorted(set(range(k)) - set(z.tolist())):
        raise ValueError(
            f"test_labels: class {absent[0]} is absent; expected an image of every class"
        )
    images = train.images
    title = images.name if isinstance(images, ImageSet) else OWN
    stand_in = isinstance(images, ImageSet) and images.stand_in
    if levels is None:
        classes = labels.names or tuple(f"class {label}" for label in range(k))
        levels = Hierarchy(OWN, (Level("fine", classes[:k], np.arange(k)),))
    first, second = (
        Samples(
            x,
            LabelSet(title, split, fine, files, _fingerprint(x, fine, rows), levels, stand_in),
            rows,
        )
        for split, (x, fine, files, rows) in zip(("train", "test"), parts, strict=True)
    )
    return first, second


@dataclass(frozen=True, eq=False)
class _Side:
    """What is given as training or as test images.

    Attributes:
        values: images or features.
        labels: what their labels say.
        names: of the images, str [N].
        hierarchy: levels that the images bring along.
    """

    values: Values
    labels: ClassLabels
    names: np.ndarray
    hierarchy: HierarchyLike | None


def _checked(
    given: Labelled,
    features: bool,
    prefix: str,
    batch: int,
    size: int,
    like: ClassLabels | None = None,
) -> _Side:
    images, names = given.images, given.names
    hierarchy: HierarchyLike | None = given.hierarchy
    values: Values
    if isinstance(images, Mapping) and features:
        values = _by_layer(images, prefix)
        for array in (array for layers in values.values() for array in layers.values()):
            _, labels = images_and_labels(Labelled(array, given.labels), prefix, like)
    elif isinstance(images, Mapping):
        raise ValueError(
            f"{prefix}images: a dictionary; expected one array for all checkpoints; features by "
            "epoch go with encoder None"
        )
    else:
        _require_repeatable(images, f"{prefix}images")
        source = image_stream(images, f"{prefix}images", batch=batch, size=size)
        if isinstance(source, ImageStream):
            values, own = RepeatedStream(source), given.labels is None
            found, titles = (source.labels, source.names) if own else (given.labels, None)
            labels = labels_of(found, values, prefix, titles, like)
            hierarchy = source.branches if own else None
            names = _paths(source, images) if names is None else names
        else:  # an array, perhaps of a file
            given = given if source is None else Labelled(source, given.labels)
            values, labels = images_and_labels(given, prefix, like)
    if names is None and isinstance(images, ImageSet):
        names = images.files.tolist()
    if names is None:
        names = [f"{prefix.replace('_', ' ')}image {row}" for row in range(len(labels.y))]
    return _Side(values, labels, _texts(names, len(labels.y), prefix), hierarchy)


def _require_repeatable(images: object, name: str) -> None:
    """Images that every checkpoint can go through again, in the same order.

    Raises:
        ValueError: others.
    """
    if isinstance(images, Iterator):
        raise ValueError(
            f"{name}: {type(images).__name__}, which gives its images only once; expected a source "
            "that every checkpoint can go through; a data set, a DataLoader or a list of batches "
            "can begin anew"
        )
    if shuffles(images):
        raise ValueError(
            f"{name}: a DataLoader that shuffles, or has a sampler of its own; expected one order "
            "for every checkpoint, since labels and kept features go by it; `shuffle=False` keeps "
            "that of the data set"
        )


def _paths(stream: ImageStream, given: object) -> list[str] | None:
    """Paths of a folder's pictures, as seen from the folder; None of other sources."""
    if not stream.files:
        return None
    folder = given if isinstance(given, str | Path) else None
    return [str(file.relative_to(folder) if folder else file) for file in stream.files]


def _texts(names: Sequence[object], n: int, prefix: str) -> np.ndarray:
    """Names of n images, str [n].

    Raises:
        ValueError: not as many, or no text.
    """
    if isinstance(names, str) or not hasattr(names, "__len__"):
        raise ValueError(f"{prefix}names: {type(names).__name__}; expected a list of names")
    if len(names) != n:
        raise ValueError(
            f"{prefix}names: {len(names)} for {n} images; expected one for each, or none"
        )
    texts = [str(name) for name in names]
    for row, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError:  # of a file that is called in bytes of another encoding
            raise ValueError(
                f"{prefix}names[{row}]: {ascii(text)[:60]}; expected text that UTF-8 can write; "
                "`os.fsencode(name).decode('latin-1')` makes such of a file's name"
            ) from None
    return np.array(texts)


def _by_layer(given: Mapping[Any, Any], prefix: str) -> dict[int, dict[str, Any]]:
    """Features by epoch and layer, from those by epoch, too."""
    found: dict[int, dict[str, Any]] = {}
    for epoch, one in given.items():
        layers = one if isinstance(one, Mapping) else {"features": one}
        found[epoch] = {str(layer): x for layer, x in layers.items()}
        if not found[epoch]:
            raise ValueError(f"{prefix}images: no layer at epoch {epoch!r}; expected one or more")
        if len(found[epoch]) < len(layers):
            raise ValueError(
                f"{prefix}images: the layers {list(layers)} at epoch {epoch!r}; expected each of a "
                "name of its own"
            )
    if not found:
        raise ValueError(f"{prefix}images: an empty dictionary; expected features by epoch")
    return found


def _check_alike(train: Values, test: Values, features: bool) -> None:
    """Test images of the same epochs and layers, and features of the same dimensions."""

    def sizes(one: Values) -> dict[tuple[Any, str], int]:
        tables = one if isinstance(one, dict) else {0: {"features": one}}
        return {
            (epoch, layer): x.shape[1] for epoch, found in tables.items()
            for layer, x in found.items()
        }  # fmt: skip

    here, there = sizes(train), sizes(test)
    if set(here) != set(there):
        raise ValueError(
            f"test_images: features of {list(there)}; expected those of images: {list(here)}"
        )
    if odd := [place for place in here if features and here[place] != there[place]]:
        epoch, layer = odd[0]
        raise ValueError(
            f"test_images: {there[odd[0]]} dimensions of {layer!r} at epoch {epoch}; expected "
            f"{here[odd[0]]}, those of images"
        )


def _fingerprint(values: Values, labels: np.ndarray, rows: np.ndarray | None) -> str:
    """SHA-256 of some rows of values, or of all, and of their labels, hexadecimal."""
    digest = hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    if isinstance(values, RepeatedStream):
        rows = np.arange(len(values)) if rows is None else rows
        digest.update(np.ascontiguousarray(rows, dtype="<i8").tobytes() + values.digest)
        return digest.hexdigest()
    tables = values if isinstance(values, dict) else {0: {"": values}}
    for epoch, layers in tables.items():
        for layer, x in layers.items():
            n = len(labels)
            digest.update(f"{epoch} {layer} {x.dtype} {(n, *x.shape[1:])}".encode())
            for start in range(0, n, _CHUNK):  # a memory map is read bit by bit
                at = slice(start, start + _CHUNK)
                digest.update(_raw(x[at if rows is None else rows[at]]))
    return digest.hexdigest()


def _raw(x: np.ndarray | Tensor) -> memoryview:
    """The bytes of numbers."""
    if isinstance(x, Tensor):  # NumPy has no bfloat16, but any number has bytes
        x = x.detach().cpu().contiguous().view(torch.uint8).numpy()
    return np.ascontiguousarray(x).data
