"""Panels to compare hold the numbers they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from ssl_companion.chapters.plots.panels import (
    Cloud,
    Panel,
    intervals,
    panels_side_by_side,
    scatters,
)


def panel(*names: str, **settings: Any) -> Panel:
    rows = [
        {"x": x, "line": name, "value": 0.1 * (i + 1) + 0.01 * x, "low": 0.05, "high": 0.9}
        for i, name in enumerate(names)
        for x in (5.0, 0.0, 0.2, 1.0)
    ]
    return Panel(pd.DataFrame(rows), "x", "line", "dose", "accuracy", **settings)


def lines(axis: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}


def test_lines_hold_the_table_sorted_and_keep_their_colour_from_panel_to_panel() -> None:
    figure = panels_side_by_side([panel("a", "b", "c"), panel("b", "c")])
    left, right = map(lines, figure.axes)
    assert left["b"].get_color() == right["b"].get_color() != left["a"].get_color()
    assert left["b"].get_marker() == right["b"].get_marker()
    np.testing.assert_array_equal(left["a"].get_xdata(), [0.0, 0.2, 1.0, 5.0])
    np.testing.assert_allclose(left["a"].get_ydata(), [0.1, 0.102, 0.11, 0.15])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]


def test_one_strong_line_leaves_the_others_pale_and_without_interval() -> None:
    axis = panels_side_by_side([panel("a", "b", strong="b", legend=False)]).axes[0]
    drawn = lines(axis)
    assert np.ptp(to_rgb(drawn["a"].get_color())) == 0  # grey
    assert np.ptp(to_rgb(drawn["b"].get_color())) > 0.3
    assert len(axis.collections) == 1


def test_doses_are_ticked_where_they_are_and_hold_zero() -> None:
    axis = panels_side_by_side(
        [panel("a", scale="doses", mark=0.2, switch=1.0, reference=0.3)]
    ).axes[0]
    assert axis.get_xticks().tolist() == [0.0, 0.2, 1.0, 5.0]
    assert axis.get_xlim()[0] < 0
    assert [line.get_xdata()[0] for line in axis.lines[1:3]] == [0.2, 1.0]
    assert axis.lines[3].get_ydata()[0] == 0.3


def test_a_switch_that_never_was_is_not_drawn() -> None:
    assert len(panels_side_by_side([panel("a", switch=float("nan"))]).axes[0].lines) == 1


def test_intervals_put_the_first_row_on_top_and_draw_every_seed() -> None:
    table = pd.DataFrame(
        {"name": ["x", "y"], "value": [0.2, 0.4], "low": [0.1, 0.3], "high": [0.3, 0.6]}
    )
    seeds = pd.DataFrame({"name": ["y", "x", "y"], "value": [0.5, 0.2, 0.6]})
    axis = intervals(table, x_label="accuracy", seeds=seeds, reference=0.25).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["x", "y"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]
    np.testing.assert_array_equal(axis.lines[0].get_xdata(), [0.1, 0.3])
    np.testing.assert_array_equal(axis.lines[4].get_xdata(), [0.5, 0.2, 0.6])


def test_scatters_share_the_vertical_axis_and_the_markers() -> None:
    table = pd.DataFrame({"x": [0.1, 0.2], "y": [0.3, 0.4], "hue": ["linear", "knn"]})
    figure = scatters(
        [Cloud(table, "epochs"), Cloud(table.head(1) * 2, "runs", hue="hue")],
        x_label="NCC", y_label="probe",
    )  # fmt: skip
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim()
    assert lines(first)["linear"].get_marker() != lines(first)["knn"].get_marker()


def test_a_table_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="table: columns"):
        Panel(pd.DataFrame({"x": [1]}), "x", "line", "", "")
    with pytest.raises(ValueError, match="no rows"):
        Panel(pd.DataFrame({"x": [], "line": [], "value": []}), "x", "line", "", "")
    with pytest.raises(ValueError, match="table: columns"):
        intervals(pd.DataFrame({"name": ["a"], "value": [1.0]}), x_label="")
