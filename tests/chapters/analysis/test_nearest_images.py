"""Nearest images through training, against counts made one by one."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_companion.chapters.analysis.nearest_images import NearestImages, nearest_images
from ssl_companion.recordings import Recording


@pytest.fixture(scope="module")
def found(clusters: Recording) -> NearestImages:
    return nearest_images(clusters, k=4)


def test_rows_are_the_nearest_by_the_last_layer(found: NearestImages, clusters: Recording) -> None:
    for epoch, rows in zip(found.epochs, found.rows, strict=True):
        x = clusters.features(epoch).astype(float)
        for place in (0, 7, 500):
            far = np.linalg.norm(x - x[place], axis=1)
            far[place] = np.inf
            assert rows[place].tolist() == np.argsort(far)[:4].tolist()


def test_counts_are_of_the_own_group(found: NearestImages) -> None:
    counts = found.same_group()
    assert counts.shape == (len(found.epochs), len(found.fine))
    for place in (3, 321):
        own = [found.groups[row] == found.groups[place] for row in found.rows[-1, place]]
        assert counts[-1, place] == sum(own)
    assert counts[-1].mean() > counts[0].mean()  # what these runs were made to show


def test_chance_is_what_random_neighbours_give(found: NearestImages) -> None:
    n, rng = len(found.fine), np.random.default_rng(0)
    pairs = rng.integers(n, size=(200_000, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    drawn = (found.groups[pairs[:, 0]] == found.groups[pairs[:, 1]]).mean()
    assert found.by_chance() == pytest.approx(drawn, abs=0.003)


def _with(after: list[int], fine: list[int]) -> NearestImages:
    """Images of one group or of another by turns, so many neighbours of which are of their own."""
    groups = np.array(fine) % 2
    rows = np.empty((2, len(fine), 2), dtype=np.int64)
    for place, (count, group) in enumerate(zip(after, groups, strict=True)):
        own, other = np.flatnonzero(groups == group)[0], np.flatnonzero(groups != group)[0]
        rows[:, place] = [own] * count + [other] * (2 - count)
    return NearestImages((0, 5), rows, np.array(fine), groups, ("a", "b", "c"), ("x", "y"))


def test_the_typical_image_is_the_median_one() -> None:
    found = _with([2, 0, 1, 0, 2, 0, 1], [0, 0, 0, 1, 1, 1, 1])
    assert found.typical(0) == 2
    assert found.typical(1) == 5  # of 0, 0, 1, 2 the lower of the middle two: the second 0


def test_examples_stand_at_ranks_of_the_classes() -> None:
    found = _with([0, 0, 2, 2, 1, 1], [0, 0, 1, 1, 2, 2])
    assert found.examples("a", (1, 2, 3)) == [0, 2, 4]  # a is third: not twice
    assert found.examples("c", (3,)) == [4, 0]
    with pytest.raises(ValueError, match="first: 'd'; expected one of a, b, c"):
        found.examples("d", ())
