from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from ssl_companion.data.hierarchy import (
    CIFAR100,
    GLYPHS100,
    Hierarchy,
    Level,
    held_out_classes,
    hierarchy_of,
    random_grouping,
    random_groups,
)

# The coarse label of each fine label as it is published (the columns of the data set itself
# are compared in test_cifar100_real.py).
PUBLISHED = np.array(
    [
        [4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11],
        [6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5],
        [5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17],
        [10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13],
        [16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13],
    ]
).ravel()


def test_superclasses_are_the_published_ones() -> None:
    assert np.array_equal(CIFAR100.level("coarse").of_fine, PUBLISHED)


@pytest.mark.parametrize(
    ("fine", "coarse", "seven", "living"),
    [
        ("whale", "aquatic_mammals", "mammals", "living"),
        ("kangaroo", "large_omnivores_and_herbivores", "mammals", "living"),
        ("worm", "non-insect_invertebrates", "other_animals", "living"),
        ("girl", "people", "people", "living"),
        ("mushroom", "fruit_and_vegetables", "plants", "living"),
        ("wardrobe", "household_furniture", "household", "not_living"),
        ("sea", "large_natural_outdoor_scenes", "outdoors", "not_living"),
        ("castle", "large_man-made_outdoor_things", "outdoors", "not_living"),
        ("streetcar", "vehicles_2", "vehicles", "not_living"),
    ],
)
def test_classes_of_an_image_at_every_level(
    fine: str, coarse: str, seven: str, living: str
) -> None:
    label = np.array([CIFAR100.level("fine").class_names.index(fine)])
    names = [level.class_names[level.labels(label)[0]] for level in CIFAR100.levels]
    assert names == [fine, coarse, seven, living]


@pytest.mark.parametrize("hierarchy", [CIFAR100, GLYPHS100], ids=lambda h: h.name)
def test_hundred_classes_in_twenty_groups_of_five(hierarchy: Hierarchy) -> None:
    fine, coarse, *above = hierarchy.levels
    assert (fine.k, coarse.k) == (100, 20)
    assert len(set(fine.class_names)) == 100
    assert coarse.sizes.tolist() == [5] * 20
    assert [level.k for level in above] == [7, 2]
    assert hierarchy.names[:2] == ("fine", "coarse")


@pytest.mark.parametrize("hierarchy", [CIFAR100, GLYPHS100], ids=lambda h: h.name)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_random_grouping_keeps_the_sizes_and_nothing_else(hierarchy: Hierarchy, seed: int) -> None:
    coarse = hierarchy.level("coarse")
    control = random_grouping(coarse, seed)
    assert control.name == "random-coarse"
    assert sorted(control.sizes) == sorted(coarse.sizes)
    assert np.array_equal(control.of_fine, hierarchy.level("random-coarse", seed).of_fine)
    # 0 for unrelated groupings, 1 for equal ones
    assert abs(adjusted_rand_score(coarse.of_fine, control.of_fine)) < 0.25


def test_random_groups_are_those_of_shuffled_classes() -> None:
    coarse, seeds = CIFAR100.level("coarse"), (7, 0, 7)
    found = random_groups(coarse, seeds)
    for groups, seed in zip(found, seeds, strict=True):
        order = np.random.default_rng(seed).permutation(100)
        assert np.array_equal(groups, coarse.of_fine[order])
        assert np.array_equal(groups, random_grouping(coarse, seed).of_fine)
    found[0] = 0  # the caller's own
    assert np.array_equal(random_groups(coarse, [7])[0], found[2])
    assert random_groups(coarse, []).shape == (0, 100)


def test_random_groupings_of_a_seed_are_nested_and_of_two_seeds_differ() -> None:
    controls = [CIFAR100.level(f"random-{name}", 5) for name in CIFAR100.names]
    for finer, coarser in itertools.pairwise(controls):
        for group in range(finer.k):
            assert len(set(coarser.of_fine[finer.of_fine == group])) == 1
    other = CIFAR100.level("random-coarse", 6)
    assert adjusted_rand_score(controls[1].of_fine, other.of_fine) < 0.25


FOUR = Level("fine", ("p", "q", "r", "s"), np.arange(4))
OTHER = Level("other", ("p", "q", "r", "s"), np.arange(4))
HALVES = Level("halves", ("ab", "cd"), np.array([0, 0, 1, 1]))


@pytest.mark.parametrize("hierarchy", [CIFAR100, GLYPHS100])
def test_one_class_of_every_superclass_is_held_out(hierarchy: Hierarchy) -> None:
    out = held_out_classes(hierarchy)
    assert sorted(hierarchy.levels[1].of_fine[out]) == list(range(20))
    assert (out == held_out_classes(hierarchy)).all()
    assert (np.diff(out) > 0).all()


CROSSED = Level("crossed", ("ac", "bd"), np.array([0, 1, 0, 1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda coarse: coarse.labels(np.array([3, 100])), "fine: 100 .*; expected 0 to 99"),
        (lambda coarse: coarse.labels(np.array([-1])), "fine: -1 .*; expected 0 to 99"),
        (lambda coarse: coarse.labels(np.array([1.0])), "float64"),
        (lambda coarse: coarse.of_fine.__setitem__(0, 3), "read-only"),
        (lambda _: CIFAR100.level("eight"), "'eight'; expected one of fine, coarse, seven, living"),
        (lambda _: CIFAR100.level("random-eight"), "'random-eight'; expected one of fine, coarse"),
        (lambda _: hierarchy_of("cifar10"), "'cifar10'; expected one of cifar100, glyphs100"),
        (lambda _: Level("odd", tuple("abc"), np.array([0, 0, 1, 1])), "expected each of 0 to 2"),
        (lambda _: Level("odd", tuple("ab"), np.array([0.0, 1.0])), "integers"),
        (lambda _: Hierarchy("x", (FOUR, HALVES, CROSSED)), "'crossed' splits a class of 'halves'"),
        (lambda _: Hierarchy("x", (OTHER,)), "'other' is the first; expected one named 'fine'"),
        (lambda _: Hierarchy("x", (HALVES,)), "'halves' is the first; expected one named 'fine'"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[Level], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(CIFAR100.level("coarse"))


def test_what_makes_sense_is_not() -> None:
    Hierarchy("nested", (FOUR, HALVES))
    assert hierarchy_of("cifar100") is CIFAR100
    assert hierarchy_of("glyphs100") is GLYPHS100
