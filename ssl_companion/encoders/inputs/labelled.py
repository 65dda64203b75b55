"""Images or features of somebody's own, their labels and the levels above these, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from ssl_companion.data import Hierarchy, ImageSet
from ssl_companion.encoders.inputs.hierarchies import HierarchyLike, as_hierarchy
from ssl_companion.encoders.inputs.labels import ClassLabels, class_labels
from ssl_companion.encoders.inputs.labels import Labels as Labels
from ssl_companion.measures import _checks

_NUMBER = "`np.unique(labels, return_inverse=True)[1]` numbers them so"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images, or features of them, with what is known of each of the N.

    Example:
        >>> flowers = Labelled(np.zeros((2, 8)), labels=[0, 1], names=["rose.png", "lily.png"])
        >>> flowers.names[1]
        'lily.png'

    Attributes:
        images: an `ImageSet`, an array or a tensor; any other source of images (see
            `sources.image_stream`); or features by epoch, or by epoch and layer.
        labels: integers [N], 0 to K-1, or text, or a table (see `labels.class_labels`); None for
            an `ImageSet`, and for any other source of images that brings its own.
        names: what the images are called; None: "image 0" and so on, or the files of an `ImageSet`
            or of a folder.
    """

    images: Any
    labels: Labels | None = None
    names: Sequence[str] | None = None

    @classmethod
    def of(cls, images: Any, labels: Labels | None = None) -> Labelled:
        """What was given as images and as labels; labels beside a `Labelled` replace its own."""
        if not isinstance(images, Labelled):
            return cls(images, labels)
        return images if labels is None else cls(images.images, labels, images.names)

    @property
    def hierarchy(self) -> Hierarchy | None:
        """That of an `ImageSet`, as long as its labels are its own."""
        own = isinstance(self.images, ImageSet) and self.labels is None
        return self.images.hierarchy if own else None


def images_and_labels(
    given: Labelled, prefix: str = "", like: ClassLabels | None = None
) -> tuple[np.ndarray | Tensor, ClassLabels]:
    """The images or features as they are, and what their labels say.

    Example:
        >>> images_and_labels(Labelled(np.zeros((3, 8)), ["a", "b", "b"]))[1].y
        array([0, 1, 1])

    Args:
        given: an array or a tensor, or an `ImageSet`, and labels.
        prefix: what messages put in front of "images" and "labels".
        like: labels whose numbers these have to share.

    Raises:
        ValueError: no array of images, or no label for each; named with `prefix` in front.
    """
    labels, names = given.labels, None
    if isinstance(given.images, ImageSet) and labels is None:
        labels, names = given.images.fine, given.images.hierarchy.levels[0].class_names
    images = as_images(given.images, f"{prefix}images")
    return images, labels_of(labels, images, prefix, names, like)


def as_images(images: object, name: str) -> np.ndarray | Tensor:
    """The images or features as they are; what is no array of such is refused, with the way to one.

    Example:
        >>> as_images([[1.0, 2.0]], "images")
        Traceback (most recent call last):
        ValueError: images: list; expected an array or tensor [N, 3, H, W] or [N, D]; \
`np.asarray(images)` is one

    Args:
        images: an array, a tensor or an `ImageSet`.
        name: what messages call them.

    Raises:
        ValueError: something else, or numbers that are not real.
    """
    if isinstance(images, ImageSet):
        images = images.images
    wanted = "expected an array or tensor [N, 3, H, W] or [N, D]"
    if not isinstance(images, np.ndarray | Tensor):
        listed = isinstance(images, list | tuple) or hasattr(images, "__array__")
        way = f"; `np.asarray({name})` is one" if listed else ""
        if isinstance(images, Dataset) and not hasattr(images, "__len__"):
            way = ", or a data set that has a `__len__`"
        raise ValueError(f"{name}: {type(images).__name__}; {wanted}{way}")
    if images.ndim < 2:
        raise ValueError(f"{name}: shape {tuple(images.shape)}; {wanted}")
    # Of a plain array, which may be mapped, the first one tells all: no mask, dense, real numbers.
    some = images[:1] if type(images) in (np.ndarray, np.memmap) else images
    if _checks.as_tensor(some, name).is_complex():
        raise ValueError(f"{name}: dtype {images.dtype}; expected real numbers")
    return images if isinstance(images, Tensor) else np.asarray(images)


def labels_of(
    labels: Labels | None,
    images: Any,
    prefix: str = "",
    names: Sequence[str] | None = None,
    like: ClassLabels | None = None,
) -> ClassLabels:
    """What the labels of images say, one of each.

    Example:
        >>> labels_of(["b", "a"], np.zeros((2, 8))).names
        ('a', 'b')

    Args:
        labels: see `labels.class_labels`.
        images: whatever has a length.
        prefix: what messages put in front of "images" and "labels".
        names: of the classes, where integers are their numbers.
        like: labels whose numbers these have to share.

    Raises:
        ValueError: no image, no labels, or not one for each.
    """
    if labels is None:
        raise ValueError(f"{prefix}labels: None; expected integers [N], as {prefix}images has none")
    if not len(images):
        least = "one or more" if prefix else "two or more of each class"
        raise ValueError(f"{prefix}images: none at all; expected {least}")
    return class_labels(
        labels,
        f"{prefix}labels",
        length=len(images),
        of=f"{prefix}images",
        names=names,
        like=like,
    )


def check_same_classes(y: np.ndarray, z: np.ndarray | None) -> int:
    """Make sure that training labels y and test labels z are of the same classes.

    Example:
        >>> check_same_classes(np.array([0, 1, 1]), np.array([0, 2]))
        Traceback (most recent call last):
        ValueError: test_labels: from 0 to 2; expected 0 to 1

    Returns:
        K, how many classes there are.

    Raises:
        ValueError: gaps in the numbers, a single class, or labels that only the test images have.
    """
    k = int(y.max()) + 1
    if k == 1:
        raise ValueError("labels: a single class; expected two classes or more")
    if y.min() < 0 or len(np.unique(y)) != k:
        raise ValueError(
            f"labels: {len(np.unique(y))} different ones from {y.min()} to {y.max()}; expected "
            f"two classes or more, numbered from 0 without gaps; {_NUMBER}"
        )
    if z is not None and (z.min() < 0 or z.max() >= k):
        raise ValueError(f"test_labels: from {z.min()} to {z.max()}; expected 0 to {k - 1}")
    return k


def hierarchy_over(given: HierarchyLike | None, labels: ClassLabels) -> Hierarchy | None:
    """Levels above the classes of some labels: those that are given, or those of the labels.

    Example:
        >>> found = class_labels(["cat", "dog", "oak"])
        >>> hierarchy_over({"cat": "animal", "dog": "animal", "oak": "plant"}, found).names
        ('fine', 'level1')

    Args:
        given: see `hierarchies.as_hierarchy`; a `Hierarchy` has its classes in the order of their
            numbers, unless the labels are names.
        labels: of every class one or more.

    Raises:
        ValueError: a hierarchy of other classes, or with a level of a single class.
    """
    if given is None:
        return labels.hierarchy
    k = int(labels.y.max()) + 1
    if not isinstance(given, Hierarchy) or labels.by_name:
        return as_hierarchy(given, labels.names or [str(i) for i in range(k)])
    if (found := given.levels[0].k) != k:
        raise ValueError(
            f"hierarchy: has {found} classes; expected the {k} of the labels, or no hierarchy"
        )
    if single := [level.name for level in given.levels if level.k < 2]:
        raise ValueError(
            f"hierarchy: a single class at level {single[0]!r}; expected two or more; leave it out"
        )
    return given


def halves(labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two halves of every class, drawn at random; the odd one goes to the first.

    Example:
        >>> first, second = halves(np.array([0, 0, 0, 1, 1]))
        >>> len(first), len(second)
        (3, 2)

    Raises:
        ValueError: a class with a single image.
    """
    rng = np.random.default_rng(_checks.at_least(seed, 0, "seed"))
    first, second = [], []
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        if len(own) < 2:
            raise ValueError(
                f"labels: class {label} has a single image; expected two or more of each, "
                "or test_images"
            )
        cut = (len(own) + 1) // 2
        first.append(own[:cut])
        second.append(own[cut:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))
