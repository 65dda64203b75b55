"""k-means with clusters of given sizes, against all that there is to choose from."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_companion.measures import balanced_kmeans


def cost(x: np.ndarray, groups: np.ndarray) -> float:
    parts = [x[groups == k] for k in np.unique(groups)]
    return sum(float(np.square(part - part.mean(axis=0)).sum()) for part in parts)


def test_clusters_that_lie_apart_are_found() -> None:
    rng = np.random.default_rng(0)
    own = np.repeat([0, 1, 2], [3, 5, 7])
    x = 10 * np.eye(3)[own] + rng.normal(size=(15, 3))
    order = rng.permutation(15)
    found = balanced_kmeans(x[order], [7, 3, 5], starts=200)
    assert np.bincount(found).tolist() == [7, 3, 5]
    pairs = set(zip(found.tolist(), own[order].tolist(), strict=True))
    assert len(pairs) == 3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_as_good_as_the_best_of_all_groupings(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(6, 2))
    best = min(
        cost(x, np.isin(np.arange(6), some).astype(int))
        for some in itertools.combinations(range(6), 3)
    )
    assert cost(x, balanced_kmeans(x, [3, 3], starts=60)) == pytest.approx(best, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_sizes_are_kept_and_a_seed_repeats(sizes: list[int], seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(sum(sizes), 3))
    found = balanced_kmeans(x, sizes, seed=seed)
    assert np.bincount(found, minlength=len(sizes)).tolist() == sizes
    assert np.array_equal(found, balanced_kmeans(x, sizes, seed=seed))


def test_points_in_one_place_are_shared_out() -> None:
    assert np.bincount(balanced_kmeans(np.ones((6, 2)), [2, 4])).tolist() == [2, 4]


@pytest.mark.parametrize(
    ("sizes", "starts", "named"),
    [*((sizes, 1, "sizes") for sizes in ([2, 2], [5, 0], [-1, 6], [], [[5]])), ([5], 0, "starts")],
)
def test_sizes_that_do_not_add_up_and_no_starts(sizes: list, starts: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        balanced_kmeans(np.zeros((5, 2)), sizes, starts=starts)
