"""Images or features of somebody's own with their labels: checked, and split for measuring."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ssl_companion.data import Hierarchy, ImageSet, Level
from ssl_companion.data.images import LabelSet
from ssl_companion.encoders.inputs.hierarchies import HierarchyLike, as_hierarchy
from ssl_companion.encoders.inputs.labels import ClassLabels, class_labels
from ssl_companion.encoders.inputs.labels import Labels as Labels
from ssl_companion.measures import _checks

Images = ImageSet | np.ndarray | Tensor
#: Images or features [N, ...]; or features [N, D] by epoch and layer.
Values = np.ndarray | Tensor | dict[int, dict[str, Any]]

OWN = "own images"
_NUMBER = "`np.unique(labels, return_inverse=True)[1]` numbers them so"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images, or features of them, with what is known of each of the N.

    Example:
        >>> flowers = Labelled(np.zeros((2, 8)), labels=[0, 1], names=["rose.png", "lily.png"])
        >>> flowers.names[1]
        'lily.png'

    Attributes:
        images: an `ImageSet`, an array or a tensor; or features by epoch, or by epoch and layer.
        labels: integers [N], 0 to K-1, or text, or a table (see `labels.class_labels`); None for
            an `ImageSet`, and for any other source of images that brings its own.
        names: what the images are called; None: "image 0" and so on, or an `ImageSet`'s files.
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
    if isinstance(images, DataLoader):
        raise ValueError(
            f"{name}: a DataLoader; {wanted}; gather its batches of pairs: `images, labels = "
            "(torch.cat(parts) for parts in zip(*loader))`"
        )
    if isinstance(images, Dataset):
        raise ValueError(
            f"{name}: {type(images).__name__}, a data set of torch; {wanted}; gather its pairs: "
            "`images, labels = torch.utils.data.default_collate([*dataset])`"
        )
    if not isinstance(images, np.ndarray | Tensor):
        listed = isinstance(images, list | tuple) or hasattr(images, "__array__")
        way = f"; `np.asarray({name})` is one" if listed else ""
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


@dataclass(frozen=True, eq=False)
class Samples:
    """Training or test images, or features, with all that a recording says of their labels.

    Example:
        >>> given = Labelled(np.zeros((4, 8)), [0, 0, 1, 1])
        >>> train, _ = training_and_test(given, Labelled(None), None, features=True, seed=0)
        >>> train.values.shape, train.about.split
        ((2, 8), 'train')
    """

    values: Values
    about: LabelSet


def training_and_test(
    train: Labelled, test: Labelled, hierarchy: HierarchyLike | None, features: bool, seed: int
) -> tuple[Samples, Samples]:
    """What is given as training and test images, checked; halves of the first without the second.

    Example:
        >>> train, test = (Labelled(np.zeros((2, 8)), [0, 1], ["a", "b"]) for _ in range(2))
        >>> _, held_out = training_and_test(train, test, None, features=True, seed=0)
        >>> held_out.about.files.tolist()
        ['a', 'b']

    Args:
        train, test: the images of `test` may be None.
        hierarchy: upper levels (see `hierarchies.as_hierarchy`); None takes those of an
            `ImageSet`, or of labels in several columns.
        features: whether they are features already.
        seed: of the halves.

    Raises:
        ValueError: bad images, labels or names; the message says which.
    """
    x, labels, names = _checked(train, features, "")
    y = labels.y
    if test.images is None:
        if test.labels is not None or test.names is not None:
            raise ValueError("test_labels: given without test_images; expected both or neither")
        parts = [(_rows(x, some), y[some], names[some]) for some in halves(y, seed)]
    else:
        held_out, theirs, test_names = _checked(test, features, "test_", labels)
        parts = [(x, y, names), (held_out, theirs.y, test_names)]
        _check_alike(x, held_out, features)
    (_, y, _), (_, z, _) = parts
    k = check_same_classes(y, z)
    given = train.hierarchy if hierarchy is None else hierarchy
    levels = hierarchy_over(given, labels)
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
            values,
            LabelSet(title, split, fine, files, _fingerprint(values, fine), levels, stand_in),
        )
        for split, (values, fine, files) in zip(("train", "test"), parts, strict=True)
    )
    return first, second


def _checked(
    given: Labelled, features: bool, prefix: str, like: ClassLabels | None = None
) -> tuple[Values, ClassLabels, np.ndarray]:
    """Images or features, what their labels say, names str [N]."""
    images, names = given.images, given.names
    values: Values
    if not isinstance(images, Mapping):
        values, labels = images_and_labels(given, prefix, like)
    elif features:
        values = _by_layer(images, prefix)
        for array in (array for layers in values.values() for array in layers.values()):
            _, labels = images_and_labels(Labelled(array, given.labels), prefix, like)
    else:
        raise ValueError(
            f"{prefix}images: a dictionary; expected one array for all checkpoints; features by "
            "epoch go with encoder None"
        )
    if names is None and isinstance(images, ImageSet):
        names = images.files.tolist()
    if names is None:
        names = [f"{prefix.replace('_', ' ')}image {row}" for row in range(len(labels.y))]
    if isinstance(names, str) or not hasattr(names, "__len__"):
        raise ValueError(f"{prefix}names: {type(names).__name__}; expected a list of names")
    if len(names) != len(labels.y):
        raise ValueError(
            f"{prefix}names: {len(names)} for {len(labels.y)} images; expected one for each, or "
            "none"
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
    return values, labels, np.array(texts)


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


def _rows(values: Values, rows: np.ndarray) -> Values:
    if not isinstance(values, dict):
        return values[rows]
    return {epoch: {k: v[rows] for k, v in layers.items()} for epoch, layers in values.items()}


def _fingerprint(values: Values, labels: np.ndarray) -> str:
    """SHA-256 of values and labels, hexadecimal."""
    digest = hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    tables = values if isinstance(values, dict) else {0: {"": values}}
    for epoch, layers in tables.items():
        for layer, x in layers.items():
            digest.update(f"{epoch} {layer} {x.dtype} {tuple(x.shape)}".encode())
            if isinstance(x, Tensor):  # NumPy has no bfloat16, but any number has bytes
                x = x.detach().cpu().contiguous().view(torch.uint8).numpy()
            digest.update(np.ascontiguousarray(x).data)
    return digest.hexdigest()
