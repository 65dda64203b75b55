"""Rows of `measures.csv.gz`: no more is left out than what features have no measure of."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.hierarchy import Hierarchy, Level
from ssl_companion.data.images import ImageSet, LabelSet
from ssl_companion.recordings import measuring
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
APART = torch.eye(4)[FINE] + 0.1 * torch.rand((8, 4), generator=torch.Generator().manual_seed(0))


def names(x: torch.Tensor) -> dict[str, float]:
    """The measures of features [8, D] by name, at the last of the levels that have each."""
    config = MeasureConfig(keep="none")
    subsets = Subsets.choose(LABELS, LABELS, config)
    found = measure_features({"last": x}, {"last": x}, 0, LABELS, LABELS, config, subsets)
    return {measure: value for *_, measure, value, _ in found.rows}


def test_eight_images_have_a_nearest_neighbour() -> None:
    assert names(APART)["knn"] == 1.0


def test_what_collapsed_features_have_not_is_left_out() -> None:
    assert names(APART).keys() >= {"cdnv", "nc1", "effective_rank"}
    assert names(torch.zeros(8, 4)).keys() == {"ncc", "linear"}


def test_any_other_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(here: object) -> float:
        raise ValueError("statistics: not what they should be")

    monkeypatch.setitem(measuring.OF_CLASSES, "cdnv", broken)
    with pytest.raises(ValueError, match="not what they should be"):
        names(APART)


def test_of_all_images_views_one_view_each_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[np.ndarray]] = []

    def views(_: object, pictures: np.ndarray, n: int, *__: object, **___: object) -> object:
        gc.collect()
        assert sum(one() is not None for one in made) <= 1, "the views of other images are let go"
        array = np.random.default_rng(len(made)).normal(size=(len(pictures), n, 4))
        made.append(weakref.ref(array))
        return {"last": torch.from_numpy(array)}

    monkeypatch.setattr(measuring, "extract_views", views)
    pictures = np.zeros((12_000, 3, 1, 1), np.uint8)
    train = ImageSet.__new__(ImageSet)
    monkeypatch.setattr(ImageSet, "images", pictures, raising=False)
    monkeypatch.setattr(ImageSet, "__len__", lambda _: len(pictures))
    backbone = type("OneLayer", (), {"layers": ("last",)})()
    measuring._every_sample(backbone, train, ViewConfig(), 3, "fp32")
    assert len(made) == 3


def test_a_test_feature_of_another_layer_or_dimension_is_named() -> None:
    config = MeasureConfig(keep="none")
    given = config, Subsets.choose(LABELS, LABELS, config)
    for name, other in (("last", APART[:, :2]), ("first", APART)):
        with pytest.raises(ValueError, match=rf"x_test: .*'{name}'.*; expected .*'last': 4"):
            measure_features({"last": APART}, {name: other}, 0, LABELS, LABELS, *given)


def test_a_measure_that_is_added_is_recorded_and_offered_for_encoders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        measuring.OF_CLASSES, "classes", lambda here: float(len(here.classes.counts))
    )
    assert names(APART)["classes"] == 4.0


def test_the_control_of_images_has_the_order_that_recordings_were_made_with() -> None:
    """Another order would be another control: two recordings could not be held side by side."""
    fine = np.repeat(np.arange(10), 7)
    for split, seed in (("train", [0, 1]), ("test", [0, 0])):
        images = LabelSet("many", split, fine, np.arange(70).astype(str), "", HIERARCHY)
        found = measuring.shuffled_labels(images)
        np.testing.assert_array_equal(found, np.random.default_rng(seed).permutation(fine))
        np.testing.assert_array_equal(np.bincount(found), np.bincount(fine))
    lots = measuring.levels_and_controls(HIERARCHY)
    assert [level.name for level in lots] == ["fine", "coarse", "random-coarse"]
    np.testing.assert_array_equal(lots[2].of_fine, HIERARCHY.level("random-coarse", 0).of_fine)
