"""Rows that are not copied, and subsets of classes that are larger and smaller than their share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_companion.encoders import subsets
from ssl_companion.encoders.subsets import Rows, balanced_subset, random_subset


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any),
    size=st.integers(1, 150),
    seed=st.integers(0, 9),
)
def test_a_balanced_subset_has_equal_shares_of_all_classes_that_are_large_enough(
    counts: list[int], size: int, seed: int
) -> None:
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    found = balanced_subset(y, size, seed)
    assert (np.diff(found) > 0).all()
    np.testing.assert_array_equal(found, balanced_subset(y, size, seed))
    if len(y) <= size:
        assert len(found) == len(y)
        return
    kept, there = np.bincount(y[found], minlength=len(counts)), np.array(counts)
    share = kept.max()
    np.testing.assert_array_equal(kept, np.minimum(there, share))
    present = int((there > 0).sum())
    assert kept.sum() <= max(size, present)
    assert np.minimum(there, share + 1).sum() > size  # the next larger share does not fit


def test_subsets_follow_their_seed_and_are_drawn_from_everywhere() -> None:
    y = np.arange(1000) % 4
    draws = [balanced_subset(y, 100, seed) for seed in range(200)]
    assert len({tuple(draw) for draw in draws}) == 200
    times = np.bincount(np.concatenate(draws), minlength=1000)
    assert abs(times.mean() - 20) < 1e-9
    assert times.std() < 1.5 * np.sqrt(20)
    drawn = np.bincount(np.concatenate([random_subset(1000, 100, s) for s in range(200)]))
    assert len(drawn) == 1000
    assert drawn.std() < 1.5 * np.sqrt(20)
    assert random_subset(4, 4).tolist() == [0, 1, 2, 3]


def test_rows_are_batches_of_what_indexing_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.arange(60.0).reshape(20, 3)
    which = np.array([1, 4, 5, 9, 13, 18, 19])
    half = Rows(x, which)
    assert (len(half), half.shape) == (7, (7, 3))
    [(at, rows)] = half.batches()
    assert at == slice(0, 7)
    torch.testing.assert_close(rows, x[which])
    monkeypatch.setattr(subsets, "_ROWS", 2)
    monkeypatch.setattr(subsets, "_AT_ONCE", 9)
    parts = list(half.batches())
    assert [len(rows) for _, rows in parts] == [3, 3, 1]
    torch.testing.assert_close(torch.cat([rows for _, rows in parts]), x[which])
    assert [at.start for at, _ in parts] == [0, 3, 6]
    torch.testing.assert_close(half.take(np.array([0, 6])), x[[1, 19]])


def test_all_rows_are_the_features_themselves() -> None:
    x = torch.zeros(5, 2)
    whole = Rows(x)
    [(_, rows)] = whole.batches()
    assert rows is x
    assert whole.take(np.arange(5)) is x
    assert whole.take(np.arange(4)).shape == (4, 2)
