"""Images and labels of somebody's own, as they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ssl_companion.data import Hierarchy, ImageSet
from ssl_companion.encoders.runner import check_images

_NUMBER = "`np.unique(labels, return_inverse=True)[1]` numbers them so"

Labels = Sequence[int] | np.ndarray | Tensor


def images_and_labels(
    images: ImageSet | np.ndarray | Tensor, labels: Labels | None, prefix: str
) -> tuple[np.ndarray | Tensor, np.ndarray]:
    """The images or features as they are, and their labels as int64 [N].

    Raises:
        ValueError: no array of images, or no label for each; named with `prefix` in front.
    """
    if isinstance(images, ImageSet):
        labels = images.fine if labels is None else labels
        images = images.images
    check_images(images, f"{prefix}images")
    if labels is None:
        raise ValueError(f"{prefix}labels: None; expected integers [N], as {prefix}images has none")
    if not len(images):
        raise ValueError(f"{prefix}images: none at all; expected two or more of each class")
    y = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if y.dtype.kind in "USO" and y.size:
        example = str(y.flat[0])
        raise ValueError(
            f"{prefix}labels: {y.dtype}, such as {example!r}; expected integers from 0; {_NUMBER}"
        )
    if y.ndim != 1 or y.dtype.kind not in "iu" or len(y) != len(images):
        raise ValueError(
            f"{prefix}labels: {y.dtype} of shape {y.shape}; expected {len(images)} integers, one "
            f"for each of {prefix}images"
        )
    return images, y.astype(np.int64)


def check_same_classes(y: np.ndarray, z: np.ndarray, hierarchy: Hierarchy | None) -> None:
    """Make sure that training labels y and test labels z are of the same classes.

    Raises:
        ValueError: gaps in the numbers, a single class, labels that only the test images have, or
            a hierarchy of other classes.
    """
    k = int(y.max()) + 1
    if y.min() < 0 or len(np.unique(y)) != k or k < 2:
        raise ValueError(
            f"labels: {len(np.unique(y))} different ones from {y.min()} to {y.max()}; expected "
            f"two classes or more, numbered from 0 without gaps; {_NUMBER}"
        )
    if z.min() < 0 or z.max() >= k:
        raise ValueError(f"test_labels: from {z.min()} to {z.max()}; expected 0 to {k - 1}")
    if hierarchy is not None and hierarchy.level(hierarchy.names[0]).k != k:
        finest = hierarchy.level(hierarchy.names[0])
        raise ValueError(
            f"hierarchy: has {finest.k} classes; the labels have {k}; expected that of these "
            "labels, or none"
        )
