"""Upper levels of the classes from whatever says them: a dictionary, paths, columns of a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ssl_companion.data import Hierarchy, Level
from ssl_companion.data.errors import DataError
from ssl_companion.measures import _checks

#: Whatever `as_hierarchy` takes.
HierarchyLike = Hierarchy | Mapping[Any, Any] | Sequence[Any] | np.ndarray | pd.DataFrame
#: From the root to the class itself, as ("entity", "animal", "pet", "cat").
_Branch = tuple[str, ...]

_EXPECTED = (
    "expected a Hierarchy, a dictionary of class and group, a nested dictionary, a list of paths "
    "such as 'animal/pet/cat', the group's number of each class, or a table with a column for each "
    "level"
)
_RESERVED = ("fine", "all", "labels", "permuted", "sample")


def as_hierarchy(
    given: HierarchyLike, names: Sequence[str], *, argument: str = "hierarchy"
) -> Hierarchy:
    """Levels above K classes, the finest first, from one of six forms that say the same.

    Groups of nested dictionaries and of paths are told apart by all that is above them; groups of
    dictionaries of classes and of columns by their names, so that one name is one group. Where
    some classes lie deeper than others, counted from the root, a class that ends early is a group
    of its own at the levels below. A level with a single group, such as a common root, is left
    out, and so is a level that groups the classes as the one below it does. Classes that are not
    among `names` are left out.

    Example:
        >>> names = ["car", "cat", "dog", "wolf"]
        >>> tree = {"animal": {"pet": ["cat", "dog"], "wild": ["wolf"]}, "thing": ["car"]}
        >>> for level in as_hierarchy(tree, names).levels[1:]:
        ...     print(level.name, level.class_names, level.of_fine)
        level1 ('car', 'pet', 'wild') [0 1 1 2]
        level2 ('animal', 'thing') [1 0 0 0]
        >>> groups = {"cat": ("pet", "animal"), "dog": ("pet", "animal"),
        ...           "wolf": ("wild", "animal"), "car": "thing"}
        >>> as_hierarchy(groups, names).levels[2].class_names
        ('animal', 'thing')

    Args:
        given: a `Hierarchy` (its classes are found by their names); a dictionary of class and
            group, or of class and groups, fine to coarse; a nested dictionary that ends in lists
            of classes; a list of paths, from the root to the class, with "/" between; the number
            of each class's group, K integers; or a table (`pandas.DataFrame`) with a column for
            each level, in either order, and a row for each class or for each image.
        names: of the K classes, in the order of their numbers; of labels that are numbers "0",
            "1" and so on.
        argument: what messages call `given`.

    Returns:
        The level "fine" of the K classes; above it levels by the names of the columns, or
        "level1", "level2" and so on.

    Raises:
        ValueError: a class without a place, with two of them, or something else than these forms.
    """
    titles: Sequence[Any] | None = None
    if isinstance(given, Hierarchy):
        branches, titles = _of_hierarchy(given), given.names
    elif isinstance(given, pd.DataFrame):
        columns = ordered_columns(given, argument, names)
        branches, titles = _of_columns(columns, argument), list(columns.columns)
    elif isinstance(given, Mapping):
        branches = _of_mapping(given, names, argument)
    elif (numbers := _group_numbers(given)) is not None:
        if len(numbers) != len(names):
            raise ValueError(
                f"{argument}: {len(numbers)} numbers of groups for {len(names)} classes; expected "
                "one for each class, in the order of the classes"
            )
        branches = _of_classes(dict(zip(names, numbers, strict=True)), argument)
    elif isinstance(given, list | tuple):
        branches = _each_once((_parts(path, argument) for path in given), argument)
    else:
        raise ValueError(f"{argument}: {_said(given)}; {_EXPECTED}")
    return _built(branches, [str(name) for name in names], titles, argument)


def read_hierarchy(path: str | Path) -> Any:
    """What a JSON file says of a hierarchy, in one of the forms that `as_hierarchy` takes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "groups.json")
        ...     _ = file.write_text('{"animal": ["cat", "dog"], "thing": ["car"]}')
        ...     read_hierarchy(file)
        {'animal': ['cat', 'dog'], 'thing': ['car']}

    Raises:
        DataError: the file is absent or damaged.
    """
    try:
        return json.loads(Path(path).read_text("utf8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        mend = 'expected JSON such as {"animal": ["cat", "dog"], "thing": ["car"]}'
        raise DataError(f"cannot be read ({reason});", path=path, mend=mend) from None


def ordered_columns(
    table: pd.DataFrame, argument: str = "labels", names: Sequence[str] = ()
) -> pd.DataFrame:
    """Columns of labels from fine to coarse, by how many classes they have.

    Example:
        >>> table = pd.DataFrame({"kind": ["pet", "pet"], "species": ["cat", "dog"]})
        >>> list(ordered_columns(table).columns)
        ['species', 'kind']

    Args:
        table: integers or text, N rows, a column for each level.
        argument: what messages call it.
        names: of the classes at the finest level, where they are known; of columns with as many
            classes the one with these comes first, or else the one that was first.

    Returns:
        A table of integers and text, with the same titles.

    Raises:
        ValueError: no column, no row, a name twice, missing labels, or labels of another kind.
    """
    titles = list(table.columns)
    if not titles or not len(table):
        raise ValueError(
            f"{argument}: a table of shape {table.shape}; expected a column of labels or several, "
            "from fine to coarse"
        )
    if len(set(titles)) < len(titles):
        raise ValueError(f"{argument}: columns {titles}; expected names that differ")
    columns = {
        title: _checks.any_labels(np.array(table[title]), f"{argument}[{title!r}]")
        for title in titles
    }
    counts = {title: len(np.unique(column)) for title, column in columns.items()}
    if counts[titles[0]] < counts[titles[-1]]:
        titles.reverse()
    known = {str(name) for name in names}
    finest = [title for title in titles if known <= set(columns[title].astype(str))]
    # Stable: others with as many classes stay as they were.
    titles.sort(key=lambda title: (-counts[title], title not in finest))
    return pd.DataFrame({title: columns[title] for title in titles})


def _of_hierarchy(given: Hierarchy) -> dict[str, _Branch]:
    return {
        name: tuple(level.class_names[level.of_fine[i]] for level in reversed(given.levels))
        for i, name in enumerate(given.levels[0].class_names)
    }


def _of_columns(columns: pd.DataFrame, argument: str) -> dict[str, _Branch]:
    titles = list(columns.columns)
    rows = columns.drop_duplicates().astype(str).to_numpy()[:, ::-1]
    branches: dict[str, _Branch] = {}
    for row in rows.tolist():
        before = branches.setdefault(row[-1], tuple(row))
        if before != tuple(row):
            at = max(i for i in range(len(row)) if before[i] != row[i])
            raise ValueError(
                f"{argument}: class {row[-1]!r} is in {before[at]!r} and in {row[at]!r} at "
                f"{titles[::-1][at]!r}; expected each class in one group at every level"
            )
    return _nested_by_name(branches, argument)


def _of_mapping(
    given: Mapping[Any, Any], names: Sequence[str], argument: str
) -> dict[str, _Branch]:
    """Of class and groups, or of groups and what is in them: whichever has more of the classes."""
    if not given:
        raise ValueError(f"{argument}: an empty dictionary; {_EXPECTED}")
    known = {str(name) for name in names}
    if not any(isinstance(value, Mapping) for value in given.values()):
        leaves = {str(name) for value in given.values() for name in _several(value)}
        if len(known & {str(key) for key in given}) >= len(known & leaves):
            return _of_classes(given, argument)
    return _each_once(_walked(given, (), argument), argument)


def _of_classes(given: Mapping[Any, Any], argument: str) -> dict[str, _Branch]:
    branches = {}
    for key, value in given.items():
        groups = _several(value)
        if unfit := [group for group in groups if not _is_name(group)]:
            raise ValueError(
                f"{argument}[{key!r}]: {_said(unfit[0])}; expected the name of a group, or a tuple "
                "of such, from fine to coarse"
            )
        branches[str(key)] = (*(str(group) for group in reversed(groups)), str(key))
    return _nested_by_name(branches, argument)


def _nested_by_name(branches: dict[str, _Branch], argument: str) -> dict[str, _Branch]:
    """Refuse groups of one name, at one level, with different groups above them."""
    above: dict[tuple[int, str], _Branch] = {}
    for branch in branches.values():
        for depth, group in enumerate(branch[:-1]):
            before = above.setdefault((depth, group), branch[:depth])
            if before != branch[:depth]:
                raise ValueError(
                    f"{argument}: group {group!r} is in {before[-1]!r} and in "
                    f"{branch[depth - 1]!r}; expected levels that nest, each group in one above "
                    "it; give groups that differ different names"
                )
    return branches


def _walked(node: Any, above: _Branch, argument: str) -> Iterator[_Branch]:
    """The branches of a nested dictionary, which ends in lists of classes."""
    if isinstance(node, Mapping) and node:
        for key, below in node.items():
            yield from _walked(below, (*above, str(key)), argument)
        return
    found = _several(node)
    if not found or not all(_is_name(name) for name in found):
        unfit = next((name for name in found if not _is_name(name)), node)
        raise ValueError(
            f"{argument}[{'/'.join(above)!r}]: {_said(unfit)}; expected names of classes, or a "
            "dictionary of groups"
        )
    yield from ((*above, str(name)) for name in found)


def _parts(path: Any, argument: str) -> _Branch:
    parts = [part for part in path.split("/") if part] if isinstance(path, str) else _several(path)
    if not parts or not all(_is_name(part) for part in parts):
        raise ValueError(
            f"{argument}: {_said(path)} among the paths; expected text such as 'animal/pet/cat'"
        )
    return tuple(str(part) for part in parts)


def _each_once(branches: Iterable[_Branch], argument: str) -> dict[str, _Branch]:
    found: dict[str, _Branch] = {}
    for branch in branches:
        before = found.setdefault(branch[-1], branch)
        if before is not branch:
            raise ValueError(
                f"{argument}: class {branch[-1]!r} at {'/'.join(before)!r} and at "
                f"{'/'.join(branch)!r}; expected each class once"
            )
    return found


def _built(
    branches: Mapping[str, _Branch],
    names: Sequence[str],
    titles: Sequence[Any] | None,
    argument: str,
) -> Hierarchy:
    """Levels of branches; `titles` of the levels, the finest first."""
    if absent := [name for name in names if name not in branches]:
        some = ", ".join(map(repr, list(branches)[:3]))
        raise ValueError(
            f"{argument}: no place for class {absent[0]!r} ({len(absent)} of {len(names)} absent), "
            f"only for {some} and so on; expected one for every class of the labels"
        )
    depth = max(len(branches[name]) for name in names)
    rows = [branches[name] + (name,) * (depth - len(branches[name])) for name in names]
    levels = [Level("fine", tuple(names), np.arange(len(names)))]
    for reach in range(depth - 1, 0, -1):
        groups = sorted({row[:reach] for row in rows}, key=lambda branch: branch[::-1])
        if not 1 < len(groups) < levels[-1].k:
            continue
        number = {group: i for i, group in enumerate(groups)}
        of_fine = np.array([number[row[:reach]] for row in rows])
        title = f"level{len(levels)}" if titles is None else titles[depth - reach]
        levels.append(Level(_title(title, len(levels), argument), _named(groups), of_fine))
    return Hierarchy("own hierarchy", tuple(levels))


def _title(title: Any, number: int, argument: str) -> str:
    """A column's name as a level's; a number, which a table without names has, is none."""
    if not isinstance(title, str):
        return f"level{number}"
    if title in _RESERVED or title.startswith(("random-", "looks-")) or not title:
        raise ValueError(
            f"{argument}: a level {title!r} above the finest; expected another name, since rows of "
            "tables of measures are called so; `rename(columns=...)` gives a column one"
        )
    return title


def _named(groups: Sequence[_Branch]) -> tuple[str, ...]:
    """Names of groups: their own, or all of the branch where two share one."""
    own = [group[-1] for group in groups]
    return tuple(
        name if own.count(name) == 1 else "/".join(group)
        for name, group in zip(own, groups, strict=True)
    )


def _group_numbers(given: Any) -> list[int] | None:
    """The numbers of groups, where that is what was given."""
    rows = given.tolist() if isinstance(given, np.ndarray) else given
    listed = isinstance(rows, list | tuple) and len(rows) > 0
    whole = listed and all(_is_name(one) and not isinstance(one, str) for one in rows)
    return [int(one) for one in rows] if whole else None


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int | np.integer) and not isinstance(value, bool)


def _said(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, str | int | float) else type(value).__name__
