"""Rows of `measures.csv`: what is left out because features have no such measure, and only that."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_companion import measures
from ssl_companion.data.hierarchy import Hierarchy, Level
from ssl_companion.data.images import LabelSet
from ssl_companion.recordings.config import MeasureConfig, Subsets
from ssl_companion.recordings.measuring import measure_features

FINE = np.arange(8) % 4
HIERARCHY = Hierarchy(
    "four",
    (
        Level("fine", tuple("abcd"), np.arange(4)),
        Level("coarse", ("ab", "cd"), np.array([0, 0, 1, 1])),
    ),
)
LABELS = LabelSet("eight", "train", FINE, np.array(list("01234567")), "", HIERARCHY)
EIGHT = np.arange(8)
SUBSETS = Subsets(train=EIGHT, test=EIGHT, sample=EIGHT, kept=EIGHT)
APART = torch.eye(4)[FINE] + 0.1 * torch.rand((8, 4), generator=torch.Generator().manual_seed(0))


def values(x: torch.Tensor) -> dict[str, float]:
    """What is measured of features of both sets: a value of each measure."""
    found = measure_features(
        {"last": x}, {"last": x}, 0, LABELS, LABELS, MeasureConfig(probes=True), SUBSETS
    )
    return {measure: value for *_, measure, value, _ in found.rows}


def test_what_collapsed_features_have_not_is_left_out() -> None:
    found = values(APART)
    assert found["knn"] == 1.0  # eight images have a nearest neighbour
    assert found.keys() >= {"ncc", "linear", "cdnv", "nc1", "effective_rank"}
    assert values(torch.zeros(8, 4)).keys() == {"ncc", "linear"}


def test_any_other_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(statistics: object) -> float:
        raise ValueError("statistics: not what they should be")

    monkeypatch.setattr(measures, "cdnv_of", broken)
    with pytest.raises(ValueError, match="not what they should be"):
        values(APART)
