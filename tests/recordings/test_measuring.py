"""Rows of `measures.csv`: what is left out because features have no such measure, and only that."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_companion import measures
from ssl_companion.data.hierarchy import Hierarchy, Level
from ssl_companion.data.images import LabelSet
from ssl_companion.recordings.measuring import class_rows, probe_rows

FINE = np.arange(8) % 4
HIERARCHY = Hierarchy(
    "four",
    (
        Level("fine", tuple("abcd"), np.arange(4)),
        Level("coarse", ("ab", "cd"), np.array([0, 0, 1, 1])),
    ),
)
LABELS = LabelSet("eight", "train", FINE, np.array(list("01234567")), "", HIERARCHY)
APART = torch.eye(4)[FINE] + 0.1 * torch.rand((8, 4), generator=torch.Generator().manual_seed(0))


def names(rows: list) -> set[str]:
    return {measure for *_, measure, _, _ in rows}


def test_eight_images_have_a_nearest_neighbour() -> None:
    rows = probe_rows(0, "last", APART, APART, LABELS, LABELS)
    assert {row[-2] for row in rows if row[-3] == "knn"} == {1.0}


def test_what_collapsed_features_have_not_is_left_out() -> None:
    assert names(class_rows(0, "last", APART, APART, LABELS, LABELS)) >= {"cdnv", "nc1"}
    zeros = torch.zeros(8, 4)
    assert names(class_rows(0, "last", zeros, zeros, LABELS, LABELS)) == {"ncc"}
    assert "knn" not in names(probe_rows(0, "last", zeros, zeros, LABELS, LABELS))


def test_any_other_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(statistics: object) -> float:
        raise ValueError("statistics: not what they should be")

    monkeypatch.setattr(measures, "cdnv_of", broken)
    with pytest.raises(ValueError, match="not what they should be"):
        class_rows(0, "last", APART, APART, LABELS, LABELS)
