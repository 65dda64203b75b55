"""Clouds, classes and images are drawn as they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.plots import clouds, figures


def test_every_view_is_drawn_about_the_middle_of_its_cloud() -> None:
    cloud = np.random.default_rng(0).normal(size=(6, 5, 2)) + 7
    kinds = np.arange(6) // 2, np.arange(6) % 2
    figure = clouds.clouds({"a": cloud, "b": 2 * cloud, "c": cloud}, kinds, reach=3.0)
    first, second, third, empty = figure.axes
    assert [axis.get_title(loc="left") for axis in (first, second, third)] == ["a", "b", "c"]
    assert not empty.axison
    drawn = np.concatenate([line.get_xydata() for line in second.get_lines()])
    np.testing.assert_allclose(drawn, 2 * (cloud - cloud.mean(axis=(0, 1))).reshape(-1, 2))
    looks = {(line.get_color(), line.get_marker()) for line in first.get_lines()}
    assert len(looks) == 6
    assert first.get_xlim() == second.get_xlim() == (-3.0, 3.0)


def test_a_cloud_that_is_not_centred_stays_in_its_place() -> None:
    cloud = np.full((2, 2, 2), 5.0)
    kinds = np.array([0, 1]), np.array([0, 0])
    axis = clouds.clouds({"a": cloud}, kinds, columns=1, centred=False, reach=6.0).axes[0]
    assert {tuple(p) for line in axis.get_lines() for p in line.get_xydata()} == {(5.0, 5.0)}


def test_classes_stand_beside_their_measures() -> None:
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(9, 2)), np.repeat([0, 1, 2], 3)
    table = pd.DataFrame(
        {"progress": [0, 0.5] * 2, "measure": ["NC1"] * 2 + ["CDNV"] * 2, "value": [2, 1, 4, 3]}
    )
    figure = clouds.classes_and_signs(
        points, labels, np.eye(3)[:, :2] + 0.1, table,
        names=["a", "b", "c"], mark=0.5, x="progress", x_label="share of the way", reach=3,
    )  # fmt: skip
    left, right = figure.axes
    means = [line.get_xydata()[0] for line in left.get_lines()]
    np.testing.assert_allclose(means, [points[labels == k].mean(axis=0) for k in range(3)])
    assert right.get_yscale() == "log"
    lines = {line.get_label(): list(line.get_ydata()) for line in right.get_lines()}
    assert lines["NC1"] == [2, 1]
    assert lines["CDNV"] == [4, 3]
    assert list(right.get_lines()[-1].get_xdata()) == [0.5, 0.5]


def test_images_stand_in_rows_beside_the_curve() -> None:
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    views = rng.random((2, 3, 3, 4, 4), dtype=np.float32)
    table = pd.DataFrame({"strength": [0, 1], "value": [1, 0.3], "low": [0.9, 0.2],
                          "high": [1, 0.4]})  # fmt: skip
    figure = figures.views_and_curve(originals, views, table, mark=1, y_label="share")
    images = [axis.get_images()[0].get_array() for axis in figure.axes if axis.get_images()]
    assert len(images) == 2 * 4
    np.testing.assert_array_equal(images[4], np.moveaxis(originals[1], 0, -1))
    np.testing.assert_array_equal(images[6], np.moveaxis(views[1, 1], 0, -1))
    with pytest.raises(ValueError, match="views: of 2 images; expected 1"):
        figures.views_and_curve(originals[:1], views, table, mark=1, y_label="share")
