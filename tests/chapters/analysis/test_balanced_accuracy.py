"""Balanced accuracies against scikit-learn; what is drawn again is classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from sklearn.metrics import balanced_accuracy_score

from ssl_companion.chapters.analysis import (
    generality,
    random_targets,
)
from ssl_companion.chapters.analysis.accuracies import predicted
from ssl_companion.chapters.analysis.balanced_accuracy import (
    balanced,
    drawn_balanced,
    recalls,
)
from ssl_companion.data.hierarchy import random_grouping
from ssl_companion.measures.resampling import draw_counts
from ssl_companion.recordings import Recording


@pytest.mark.parametrize("name", ["fine", "coarse", "family", "kind"])
def test_balanced_accuracy_is_scikit_learns(clusters: Recording, name: str) -> None:
    level = clusters.hierarchy.level(name)
    [found] = recalls(clusters, [level], [(20, None), (0, "stem")])
    truth = level.labels(clusters.fine())
    for got, (epoch, layer) in zip(
        balanced(found, level.of_fine), ((20, None), (0, "stem")), strict=True
    ):
        expected = balanced_accuracy_score(truth, predicted(clusters, level, epoch, layer))
        assert got == pytest.approx(expected)


@given(
    h=of_numpy.arrays(np.float64, (3, 12), elements=st.floats(0, 1)),
    of=st.permutations([0] * 7 + [1] * 4 + [2]),
    w=of_numpy.arrays(np.int64, (5, 12), elements=st.integers(0, 3)),
)
def test_a_class_drawn_twice_counts_twice(h: np.ndarray, of: list[int], w: np.ndarray) -> None:
    w[:, 0] += 1  # at least one class is drawn
    group = np.array(of)
    found = drawn_balanced(h, group, w.astype(float))
    for r, times in enumerate(w):
        again = np.repeat(np.arange(12), times)
        means = [h[:, again[group[again] == g]].mean(axis=1) for g in set(group[again].tolist())]
        np.testing.assert_allclose(found[:, r], np.mean(means, axis=0), atol=1e-12)


def test_a_class_without_images_is_left_out() -> None:
    group = np.array([0, 0, 1])
    assert balanced(np.array([1.0, np.nan, 0.0]), group) == 0.5
    assert balanced(np.array([1.0, 0.5, np.nan]), group) == 0.75


def test_draws_are_of_as_many_classes_as_there_are() -> None:
    drawn = draw_counts(10, 50, 1)
    assert (drawn.sum(axis=1) == 10).all()
    np.testing.assert_array_equal(drawn, draw_counts(10, 50, 1))


def test_naming_the_largest_group_gains_nothing() -> None:
    of_fine = np.array([0] * 8 + [1] * 2)
    always_first = (of_fine == 0).astype(float)
    assert always_first.mean() == 0.8
    assert balanced(always_first, of_fine) == 0.5


def test_the_advantage_over_itself_is_nothing(clusters: Recording) -> None:
    level = clusters.hierarchy.level("coarse")
    found = random_targets.advantage(clusters, level, random_targets.ends(clusters), [level, level])
    np.testing.assert_allclose(found.value, 0, atol=1e-12)
    np.testing.assert_allclose(found.draws, 0, atol=1e-12)
    assert found.others.shape == (2, 2)


def test_luck_is_what_the_recorded_grouping_lacks(clusters: Recording) -> None:
    level = clusters.hierarchy.level("coarse")
    growths = []
    for seed in range(generality.REFERENCE_GROUPINGS):
        own = random_grouping(level, seed)
        [found] = recalls(clusters, [own], random_targets.ends(clusters))
        first, last = balanced(found, own.of_fine)
        growths.append(last - first)
    luck = generality.grouping_bias({"one": clusters, "again": clusters})
    assert luck == pytest.approx(np.mean(growths) - growths[0])
    assert np.isnan(generality.grouping_bias({}))
    plain = generality.every_run({"one": clusters}, luck=0.0)
    less = generality.every_run({"one": clusters})
    assert less["advantage"].item() == pytest.approx(plain["advantage"].item() - luck)
