"""Levels of meaning: the same images under finer and coarser labels, and random controls.

The paper asks at which level of a hierarchy representations align with classes
(Ben-Shaul et al., *Reverse Engineering Self-Supervised Learning*, NeurIPS 2023,
arXiv:2305.15614). A random control says what that alignment is worth: `random_grouping`
throws whole classes together into groups of the same sizes as a level's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ssl_companion.data import _cifar100_names, _glyph_names

RANDOM = "random-"


@dataclass(frozen=True, eq=False)
class Level:
    """One way to group the K_fine fine classes into K classes.

    Attributes:
        name: for example "coarse", or "random-coarse" for its control.
        class_names: the K names; class i is called `class_names[i]`.
        of_fine: int64 [K_fine], the class at this level of every fine class; read only.

    Raises:
        ValueError: if `of_fine` is not one-dimensional and integer, or does not reach each
            of the K classes and no other.
    """

    name: str
    class_names: tuple[str, ...]
    of_fine: np.ndarray

    def __post_init__(self) -> None:
        of_fine = np.asarray(self.of_fine)
        if of_fine.ndim != 1 or of_fine.dtype.kind not in "iu":
            raise ValueError(
                f"of_fine: an array of shape {of_fine.shape} and type {of_fine.dtype}; "
                "expected integers [K_fine]"
            )
        reached = np.unique(of_fine)
        if not np.array_equal(reached, np.arange(len(self.class_names))):
            raise ValueError(
                f"of_fine: classes {reached.tolist()} in level {self.name!r}; expected each of "
                f"0 to {len(self.class_names) - 1}, one for each of its names"
            )
        of_fine = of_fine.astype(np.int64)
        of_fine.flags.writeable = False
        object.__setattr__(self, "of_fine", of_fine)

    @property
    def k(self) -> int:
        """Number of classes, K."""
        return len(self.class_names)

    @property
    def sizes(self) -> np.ndarray:
        """How many fine classes each class holds: int64 [K]."""
        return np.bincount(self.of_fine, minlength=self.k)

    def labels(self, fine: np.ndarray) -> np.ndarray:
        """Labels at this level of images with the given fine labels.

        Args:
            fine: integers [N], each from 0 to K_fine - 1.

        Returns:
            int64 [N], each from 0 to K - 1.

        Raises:
            ValueError: if `fine` is not integer or a label lies outside its range.
        """
        fine = np.asarray(fine)
        if fine.dtype.kind not in "iu":
            raise ValueError(f"fine: an array of type {fine.dtype}; expected integers")
        outside = (fine < 0) | (fine >= len(self.of_fine))
        if outside.any():
            raise ValueError(
                f"fine: {fine[outside].ravel()[0]} among the labels; expected 0 to "
                f"{len(self.of_fine) - 1}"
            )
        return self.of_fine[fine]


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Nested levels over the same fine classes, the finest first.

    Raises:
        ValueError: if the first level is not "fine", one class each, or a level splits a
            class of the level before it.
    """

    name: str
    levels: tuple[Level, ...]

    def __post_init__(self) -> None:
        finest = self.levels[0]
        if finest.name != "fine" or not np.array_equal(finest.of_fine, np.arange(finest.k)):
            raise ValueError(
                f"levels: {finest.name!r} is the first; expected one named 'fine' in which "
                "every class stands for itself"
            )
        for finer, coarser in zip(self.levels, self.levels[1:], strict=False):
            pairs = {(int(a), int(b)) for a, b in zip(finer.of_fine, coarser.of_fine, strict=True)}
            if len(pairs) != finer.k:
                raise ValueError(
                    f"levels: {coarser.name!r} splits a class of {finer.name!r}; expected nested "
                    "levels, the finest first"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the levels, the finest first (without the random controls)."""
        return tuple(level.name for level in self.levels)

    def level(self, name: str, seed: int = 0) -> Level:
        """The level of that name; "random-" before a name gives its control for `seed`.

        Raises:
            ValueError: if there is no such level; the message names those there are.
        """
        wanted = name.removeprefix(RANDOM)
        for level in self.levels:
            if level.name == wanted:
                return random_grouping(level, seed) if name.startswith(RANDOM) else level
        raise ValueError(
            f"level: {name!r}; expected one of {', '.join(self.names)}, or one of them after "
            f"{RANDOM!r} for its random control"
        )


def hierarchy_to_dict(hierarchy: Hierarchy) -> dict[str, Any]:
    """A hierarchy as JSON can hold it."""
    return {
        "name": hierarchy.name,
        "levels": [
            {"name": level.name, "class_names": list(level.class_names),
             "of_fine": level.of_fine.tolist()}
            for level in hierarchy.levels
        ],
    }  # fmt: skip


def hierarchy_from_dict(described: Mapping[str, Any]) -> Hierarchy:
    """The hierarchy that `hierarchy_to_dict` described.

    Raises:
        KeyError, ValueError: something is missing, or the levels are none.
    """
    levels = [
        Level(one["name"], tuple(one["class_names"]), np.asarray(one["of_fine"]))
        for one in described["levels"]
    ]
    return Hierarchy(described["name"], tuple(levels))


def random_grouping(level: Level, seed: int) -> Level:
    """The fine classes shuffled into groups of the same sizes as the level's own.

    A seed stands for one shuffle of the fine classes, whatever the level: under the same
    seed the controls of nested levels are nested too, the same tree with its leaves
    shuffled. (At the level "fine" that only renames the classes.)

    Returns:
        A level named "random-<level>" with K classes "random 0" to "random K-1".
    """
    names = tuple(f"random {index}" for index in range(level.k))
    return Level(RANDOM + level.name, names, random_groups(level, [seed])[0])


def random_groups(level: Level, seeds: Iterable[int]) -> np.ndarray:
    """The groups of `random_grouping` under each of G seeds, int64 [G, K_fine]."""
    n = len(level.of_fine)
    orders = np.array([_shuffle(n, seed) for seed in seeds], np.int64).reshape(-1, n)
    return level.of_fine[orders]


@lru_cache(maxsize=1024)
def _shuffle(n: int, seed: int) -> np.ndarray:
    """One order of n classes; a recording is held against hundreds, always the same."""
    return np.random.default_rng(seed).permutation(n)


def held_out_classes(hierarchy: Hierarchy) -> np.ndarray:
    """One fine class of every superclass, always the same: those that a held-out run does not see.

    Drawn by `numpy.random.default_rng(0)`, superclass by superclass.

    Returns:
        int64 [K], ascending, of the K classes of the level above the fine one.
    """
    rng, above = np.random.default_rng(0), hierarchy.levels[1].of_fine
    drawn = [rng.choice(np.flatnonzero(above == i)) for i in range(int(above.max()) + 1)]
    return np.sort(np.array(drawn, np.int64))


def _group(name: str, groups: Mapping[str, Sequence[str]], finer: Level) -> Level:
    """A level from the names of what each of its classes holds, one level down."""
    index_of = {member: i for i, members in enumerate(groups.values()) for member in members}
    up = np.array([index_of[member] for member in finer.class_names])
    return Level(name, tuple(groups), up[finer.of_fine])


def _cifar100() -> Hierarchy:
    names = tuple(sorted(name for group in _cifar100_names.COARSE.values() for name in group))
    fine = Level("fine", names, np.arange(len(names)))
    coarse = _group("coarse", _cifar100_names.COARSE, fine)
    seven = _group("seven", _cifar100_names.SEVEN, coarse)
    return Hierarchy(
        "CIFAR-100", (fine, coarse, seven, _group("living", _cifar100_names.LIVING, seven))
    )


def _glyphs100() -> Hierarchy:
    blocks = {b: tuple(f"{b}_{name}" for name in of) for b, of in _glyph_names.COARSE.items()}
    names = tuple(name for group in blocks.values() for name in group)
    fine = Level("fine", names, np.arange(len(names)))
    coarse = _group("coarse", blocks, fine)
    family = _group("family", _glyph_names.FAMILY, coarse)
    return Hierarchy(
        "Glyphs-100 (stand-in)", (fine, coarse, family, _group("kind", _glyph_names.KIND, family))
    )


CIFAR100 = _cifar100()
GLYPHS100 = _glyphs100()
_BY_NAME = {"cifar100": CIFAR100, "glyphs100": GLYPHS100}


def hierarchy_of(data_name: str) -> Hierarchy:
    """The hierarchy of a data set: "cifar100" or "glyphs100".

    Raises:
        ValueError: if the name is neither.
    """
    try:
        return _BY_NAME[data_name]
    except KeyError:
        raise ValueError(
            f"data_name: {data_name!r}; expected one of {', '.join(_BY_NAME)}"
        ) from None
