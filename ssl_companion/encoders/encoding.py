"""Features of training and test images with their labels, from whatever is given as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ssl_companion.data import Hierarchy
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
from ssl_companion.encoders.looks import groups_by_looks
from ssl_companion.encoders.running.runner import Runner
from ssl_companion.encoders.subsets import Rows
from ssl_companion.recordings.measuring import require_alike


@dataclass(frozen=True, eq=False)
class Encoded:
    """Features by layer, and what is known of their images.

    Example:
        >>> x, y = np.eye(4), ["cat", "cat", "dog", "dog"]
        >>> found = encode(Runner(None), Labelled(x, y), Labelled(None))
        >>> found.names, found.y, found.train["features"].shape
        (('cat', 'dog'), array([0, 1]), (2, 4))

    Attributes:
        train: layer -> rows of features of the training images [N, D].
        test: the same of the test images [M, D].
        y: labels of the training images, int64 [N], 0 to K-1.
        z: labels of the test images, int64 [M].
        names: of the K classes; None where nobody named them.
        hierarchy: the levels above them; None where there are none.
        images, labels: what was given as training images with int64 [N] labels, before a split in
            halves; None where that is no array of images.
    """

    train: dict[str, Rows]
    test: dict[str, Rows]
    y: np.ndarray
    z: np.ndarray
    names: tuple[str, ...] | None
    hierarchy: Hierarchy | None
    images: np.ndarray | Tensor | None
    labels: np.ndarray

    def by_looks(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Groups of classes that look alike, see `looks.groups_by_looks`; none without an array of
        images, or without levels."""
        if self.images is None or self.hierarchy is None:
            return {}
        return groups_by_looks(self.images, self.labels, self.hierarchy, seed=seed)


def encode(
    run: Runner,
    train: Labelled,
    test: Labelled,
    hierarchy: HierarchyLike | None = None,
    *,
    seed: int = 0,
    size: int = SIZE,
) -> Encoded:
    """Run an encoder over training and test images, each of them once.

    Labels that are known beforehand are checked before the encoder runs, and those of a stream are
    gathered meanwhile. Without test images all are encoded, and then the features are split in
    halves, class by class.

    Example:
        >>> pairs = [(np.zeros((2, 3, 4, 4), np.uint8), ["cat", "dog"]) for _ in range(3)]
        >>> colours = Runner(lambda x: x.mean(dim=(2, 3)))
        >>> found = encode(colours, Labelled(pairs), Labelled(None))
        >>> found.names, found.train["output"].shape, found.test["output"].shape
        (('cat', 'dog'), (4, 3), (2, 3))

    Args:
        run: the encoder; without one the images are features.
        train: images and labels, see `sources.image_stream`.
        test: as `train`; with None as its images, none.
        hierarchy: see `hierarchies.as_hierarchy`; None takes that which the images or the labels
            bring.
        seed: of the halves.
        size: height and width of pictures that are decoded, in pixels.

    Raises:
        ValueError: bad images, labels or hierarchy, or bad outputs of the encoder.
        EncoderError: the encoder itself failed.
        SourceError: what gives the images failed.
        DataError: a folder or a file that will not do.
    """
    first = _Side(train, "", run.batch, size)
    second = None if test.images is None else _Side(test, "test_", run.batch, size)
    if second is None and test.labels is not None:
        raise ValueError("test_labels: given without test_images; expected both or neither")
    # Before the encoder runs for an hour, as far as labels are known.
    if (labels := first.labels()) is not None:
        check_same_classes(labels.y, None)
        hierarchy_over(first.hierarchy if hierarchy is None else hierarchy, labels)
        if second is None:
            halves(labels.y, seed)
        elif (held_out := second.labels(like=labels)) is not None:
            check_same_classes(labels.y, held_out.y)
    x = run(first.images, "images")
    labels = first.labels(x)
    assert labels is not None
    if second is None:
        check_same_classes(labels.y, None)
        fit, held = halves(labels.y, seed)
        x_train, x_test = ({k: Rows(v, some) for k, v in x.items()} for some in (fit, held))
        y, z = labels.y[fit], labels.y[held]
    else:
        x_held_out = run(second.images, "test_images")
        held_out = second.labels(x_held_out, like=labels)
        assert held_out is not None
        require_alike(x, x_held_out, ("images", "test_images"))
        x_train, x_test = ({k: Rows(v) for k, v in one.items()} for one in (x, x_held_out))
        y, z = labels.y, held_out.y
    k = check_same_classes(y, z)
    levels = hierarchy_over(first.hierarchy if hierarchy is None else hierarchy, labels)
    names = None if labels.names is None else labels.names[:k]
    seen = first.images if first.stream is None and run.encoder is not None else None
    seen = seen if seen is not None and seen.ndim in (3, 4) else None
    return Encoded(x_train, x_test, y, z, names, levels, seen, labels.y)


class _Side:
    """Training or test images as an encoder takes them, and their labels once they are known."""

    def __init__(self, given: Labelled, prefix: str, batch: int, size: int) -> None:
        self.prefix, self._given = prefix, given
        source = image_stream(given.images, f"{prefix}images", batch=batch, size=size)
        self.stream = source if isinstance(source, ImageStream) else None
        if isinstance(source, np.ndarray):  # of a file
            self._given = Labelled(source, given.labels)
        self._known: ClassLabels | None = None
        self.hierarchy: HierarchyLike | None = given.hierarchy
        if self.stream is not None:
            self.images: Any = self.stream
            if given.labels is None:
                self.hierarchy = self.stream.branches
            elif shuffles(given.images):
                raise ValueError(
                    f"{prefix}labels: given beside a DataLoader that shuffles the images; expected "
                    "labels in its batches, or `shuffle=False`"
                )
        else:
            self.images = as_images(self._given.images, f"{prefix}images")

    def labels(
        self, features: dict[str, Tensor] | None = None, like: ClassLabels | None = None
    ) -> ClassLabels | None:
        """What is known of the labels, before features are there (None: nothing yet) or with them.

        Raises:
            ValueError: labels that will not do, or none.
        """
        if self._known is None and self.stream is None:
            self._known = images_and_labels(self._given, self.prefix, like)[1]
        elif self._known is None and self.stream is not None:
            own, given = self.stream.labels, self._given.labels
            if features is not None or (given is None and own is not None):
                rows = own if features is None else next(iter(features.values()))
                found, names = (own, self.stream.names) if given is None else (given, None)
                self._known = labels_of(found, rows, self.prefix, names, like)
        return self._known
