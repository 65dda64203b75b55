"""Figures draw the numbers they are given, in one theme that stays inside them."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from ssl_companion.chapters.plots import figures

EPOCHS = [0, 1, 3, 10, 30, 100, 200]


@pytest.fixture
def table() -> pd.DataFrame:
    rows = [
        {"epoch": e, "level": level, "value": v, "low": v - 0.02, "high": v + 0.03}
        for level, slope in (("fine", 0.07), ("coarse", 0.1))
        for e, v in zip(EPOCHS, 0.05 + slope * np.log1p(EPOCHS), strict=True)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # the order of rows does not matter


def test_curves_hold_the_table_sorted_by_epoch(table: pd.DataFrame) -> None:
    axis = figures.curves(table, y_label="NCC accuracy").axes[0]
    for line in axis.get_lines():
        own = table[table["level"] == line.get_label()].sort_values("epoch")
        np.testing.assert_array_equal(line.get_xdata(), own["epoch"])
        np.testing.assert_array_equal(line.get_ydata(), own["value"])
    assert axis.get_xlabel() == "epoch"
    assert axis.get_ylabel() == "NCC accuracy"


def test_intervals_reach_from_low_to_high(table: pd.DataFrame) -> None:
    axis = figures.curves(table, y_label="NCC accuracy").axes[0]
    assert len(axis.collections) == 2
    heights = {
        round(float(y), 6) for band in axis.collections for y in band.get_paths()[0].vertices[:, 1]
    }
    for name in ("low", "high"):
        assert {round(float(y), 6) for y in table[name]} <= heights


def test_the_epoch_axis_holds_zero_and_is_logarithmic_above_one(table: pd.DataFrame) -> None:
    axis = figures.curves(table, y_label="NCC accuracy").axes[0]
    at = {e: axis.transData.transform((e, 0))[0] for e in (0, 1, 10, 100)}
    assert at[0] < at[1]
    assert at[10] - at[1] == pytest.approx(at[100] - at[10], rel=1e-6)
    ticks = [label.get_text() for label in axis.get_xticklabels()]
    assert ticks == ["0", "1", "2", "5", "10", "20", "50", "100", "200"]


def test_lines_differ_by_marker_and_by_colour(table: pd.DataFrame) -> None:
    lines = figures.curves(table, y_label="NCC accuracy").axes[0].get_lines()
    assert len({line.get_marker() for line in lines}) == len(lines)
    assert len({to_rgb(line.get_color()) for line in lines}) == len(lines)


def test_drawing_leaves_the_settings_of_matplotlib_alone(table: pd.DataFrame) -> None:
    before = dict(matplotlib.rcParams)
    figures.curves(table, y_label="NCC accuracy")
    assert dict(matplotlib.rcParams) == before


def test_a_map_draws_each_group_under_its_name() -> None:
    points = np.random.default_rng(0).normal(size=(30, 2))
    labels = np.repeat([0, 1, 2], 10)
    panel = figures.Map("start", points, labels, ["oak", "rose", "crab"])
    figure = figures.maps([[panel, panel], [panel, panel]])
    drawn = [axis for axis in figure.axes if axis.collections]
    assert len(drawn) == 4
    for axis in drawn:
        for k, group in enumerate(axis.collections):
            np.testing.assert_allclose(group.get_offsets(), points[labels == k])
            assert group.get_label() == panel.names[k]
    legends = [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    assert [[t.get_text() for t in one.get_texts()] for one in legends] == [panel.names] * 2


def test_the_mark_of_a_moving_figure_stands_where_asked(table: pd.DataFrame) -> None:
    panel = figures.Map("epoch 30", np.zeros((2, 2)), np.array([0, 1]), ["a", "b"])
    axis = figures.map_and_curves(panel, table, y_label="NCC accuracy", mark=30).axes[1]
    assert [list(line.get_xdata()) for line in axis.get_lines()][-1] == [30, 30]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": np.zeros((3, 3))}, "points: shape"),
        ({"labels": np.array([0])}, "labels: shape"),
        ({"labels": np.array([0, 1, 7])}, "expected 0 to 1"),
        ({"labels": np.array([0, 1, -1])}, "expected 0 to 1"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(change: dict, message: str) -> None:
    fields = {"title": "t", "points": np.zeros((3, 2)), "labels": np.array([0, 1, 1])}
    with pytest.raises(ValueError, match=message):
        figures.Map(**(fields | {"names": ["a", "b"]} | change))


def test_a_table_without_its_columns_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="table: columns"):
        figures.curves(table.drop(columns="value"), y_label="NCC accuracy")
    with pytest.raises(ValueError, match="no rows"):
        figures.curves(table[:0], y_label="NCC accuracy")


def test_descriptions_say_the_numbers_that_are_drawn(table: pd.DataFrame) -> None:
    text = figures.describe_curves(table, "NCC accuracy on test images")
    assert text.startswith("NCC accuracy on test images, by epoch. Lines: ")
    assert "fine, from 5.0% at epoch 0 to 42.1% at epoch 200" in text
    assert "coarse, from 5.0% at epoch 0 to 58.0% at epoch 200" in text
    assert figures.describe_values("Accuracy", {"fine": 0.457}) == "Accuracy: fine 45.7%."
    named = figures.describe_values("Accuracy", {"SimCLR, alignment only": 0.5, "all": 1})
    assert named == "Accuracy: SimCLR, alignment only 50.0%; all 100.0%."
    assert figures.describe_number(1.23456, percent=False) == "1.23"
