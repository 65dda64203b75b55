"""Labels of whatever kind as the classes 0 to K-1: integers, text, columns of a table, a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from ssl_companion.data import Hierarchy
from ssl_companion.encoders.inputs.files import read_labels
from ssl_companion.encoders.inputs.hierarchies import as_hierarchy, ordered_columns
from ssl_companion.measures import _checks

Labels = Sequence[int] | Sequence[str] | np.ndarray | Tensor | pd.Series | pd.DataFrame | str | Path


_FEW = 50  # images of which each may be of a class of its own


@dataclass(frozen=True, eq=False)
class ClassLabels:
    """What N labels say.

    Example:
        >>> found = class_labels(["dog", "cat", "dog"])
        >>> found.y, found.names
        (array([1, 0, 1]), ('cat', 'dog'))

    Attributes:
        y: int64 [N], numbers of classes.
        names: of the K classes; None where nobody named them.
        by_name: whether the classes were told apart by their names, and numbered here.
        hierarchy: of labels that came in several columns; None for others.
    """

    y: np.ndarray
    names: tuple[str, ...] | None = None
    by_name: bool = False
    hierarchy: Hierarchy | None = None


def class_labels(
    labels: Labels,
    name: str = "labels",
    *,
    length: int | None = None,
    of: str = "images",
    names: Sequence[str] | None = None,
    like: ClassLabels | None = None,
) -> ClassLabels:
    """Labels as numbers of classes, with the classes' names where they have any.

    Integers are numbers of classes already. Text is numbered in sorted order. Of a table the
    column with the most classes holds the labels (text, or integers, which may have gaps), and the
    others the groups of these classes.

    Example:
        >>> table = pd.DataFrame({"species": ["cat", "oak", "dog"], "kind": ["pet", "tree", "pet"]})
        >>> class_labels(table).hierarchy.names
        ('fine', 'kind')
        >>> class_labels(["dog"], "test_labels", like=class_labels(table)).y
        array([1])

    Args:
        labels: integers or text [N], a table of N rows, or the path of a file with such.
        name: what messages call them.
        length: the N that is required (that of the argument called `of`), or None.
        names: of classes that integers are the numbers of, where a data set knows them.
        like: other labels, whose numbers these have to share.

    Raises:
        ValueError: none of these, missing labels, another N, columns that do not nest, or classes
            that `like` has not.
    """
    if isinstance(labels, str | Path):
        labels = read_labels(labels)
    columns = None
    if isinstance(labels, pd.DataFrame):
        columns = ordered_columns(labels, name)
        if len(columns) > _FEW and columns.iloc[:, 0].is_unique:  # as names of files are
            raise ValueError(
                f"{name}: the column {columns.columns[0]!r} has another value in each of "
                f"{len(columns)} rows; expected classes; `table[[...]]` of the columns of labels "
                "leaves it out, and so does a file's name with theirs, FILE.csv:species"
            )
        labels = columns.iloc[:, 0]
    if columns is None and not _is_text(labels, name):
        return _numbers(labels, name, length, of, names, like)
    texts = _checks.any_labels(labels, name, length=length, of=of)
    classes, y = np.unique(texts, return_inverse=True)
    own = tuple(str(one) for one in classes)
    if like is not None:
        return ClassLabels(_looked_up(own, like, name)[y], like.names, by_name=True)
    upper = columns is not None and columns.shape[1] > 1
    hierarchy = as_hierarchy(columns, own, argument=name) if upper else None  # type: ignore[arg-type]
    return ClassLabels(y.astype(np.int64), own, by_name=True, hierarchy=hierarchy)


def _numbers(
    labels: Any,
    name: str,
    length: int | None,
    of: str,
    names: Sequence[str] | None,
    like: ClassLabels | None,
) -> ClassLabels:
    theirs, shape = "labels" if like is not None else "", np.shape(labels)
    if len(shape) == 2:
        raise ValueError(
            f"{name}: shape {tuple(shape)}; expected one number or name for each, [N]; of labels "
            f"in one-hot rows `np.argmax({name}, axis=1)` makes such, and columns of several "
            "levels go in a `pandas.DataFrame`"
        )
    y = _checks.labels(labels, name, length=length, of=of, like=theirs).cpu().numpy()
    if names is not None and int(y.max()) >= len(names):
        names = None  # of other classes
    if like is None:
        return ClassLabels(y, None if names is None else tuple(names))
    if names is not None and like.names is not None and tuple(names) != like.names:
        return ClassLabels(_looked_up(names, like, name, used=np.unique(y))[y], like.names)
    if like.by_name and names is None:
        raise ValueError(
            f"{name}: integers, such as {y[0]}; expected the names of classes, as those of labels"
        )
    return ClassLabels(y, like.names)


def _looked_up(
    names: Sequence[str], like: ClassLabels, name: str, used: np.ndarray | None = None
) -> np.ndarray:
    """The numbers that other labels have for classes of some names: int64 [K]."""
    if like.names is None:
        raise ValueError(
            f"{name}: text, such as {names[0]!r:.60}; expected integer labels, as those of labels; "
            f"`np.searchsorted(np.unique(labels), {name})` numbers them as those of labels"
        )
    number = {one: i for i, one in enumerate(like.names)}
    needed = names if used is None else [names[i] for i in used]
    if unknown := [one for one in needed if one not in number]:
        raise ValueError(
            f"{name}: {unknown[0]!r:.60} is none of the {len(number)} classes of labels; expected "
            f"some of {', '.join(map(repr, like.names[:5]))}{', ...' if len(number) > 5 else ''}; "
            "leave such images out"
        )
    return np.array([number.get(one, -1) for one in names], np.int64)


def _is_text(labels: Any, name: str) -> bool:
    if isinstance(labels, Tensor):
        return False
    array = _checks.as_array(labels, name)
    kind = array.dtype.kind
    return array.ndim > 0 and (
        kind in "UT" or (kind == "O" and array.size > 0 and isinstance(array.flat[0], str))
    )
