"""A figure on a phone: where its columns lie, and what it looks like drawn narrower."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ssl_companion.chapters.plots import clouds, panels, phone
from ssl_companion.chapters.plots.figures import views_and_curve
from ssl_companion.chapters.plots.panels import Panel, panels_side_by_side


def drawn(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()
    return figure


def pair(names: tuple[str, ...] = ("one", "two")) -> Figure:
    rows = [(name, epoch, 0.1 * epoch) for name in names for epoch in (0, 1, 2)]
    table = pd.DataFrame(rows, columns=["line", "epoch", "value"])
    panel = Panel(table, "epoch", "line", "epoch", "accuracy")
    return drawn(panels_side_by_side([panel, panel]))


def test_panels_side_by_side_are_apart_and_a_common_legend_is_a_part_of_its_own() -> None:
    (parts,) = phone.columns([pair()])
    left, right, legend = parts
    assert (left.left, right.right) == (0, 1)
    assert left.right == right.left == pytest.approx(0.5, abs=0.05), "nothing between is lost"
    assert legend.top >= left.bottom - 0.05, "below the panels"
    assert legend.right < 0.5, "no wider than its words"


def test_panels_with_titles_of_their_own_are_shown_in_reading_order() -> None:
    figure = clouds.clouds(
        {name: np.random.default_rng(0).normal(size=(3, 4, 2)) for name in "abcd"},
        (np.arange(3), np.arange(3)),
    )
    (parts,) = phone.columns([drawn(figure)])
    places = [(part.left > 0.3, part.top > 0.3) for part in parts]
    assert places == [(False, False), (True, False), (False, True), (True, True)]
    assert parts[0].bottom == parts[2].top == parts[3].top, "nothing between is lost"


def test_rows_of_images_beside_a_curve_stay_together() -> None:
    curve = pd.DataFrame({"strength": [0.0, 1.0], "value": 0.5, "low": 0.4, "high": 0.6})
    images = np.zeros((2, 3, 8, 8))
    figure = views_and_curve(images, np.zeros((2, 3, 3, 8, 8)), curve, mark=1.0, y_label="share")
    (parts,) = phone.columns([drawn(figure)])
    assert len(parts) == 2
    assert parts[0].right == pytest.approx(1.25 / 2.25, abs=0.05)


def test_frames_have_as_many_columns_and_each_has_its_own_legend() -> None:
    long = tuple(f"a rather long name {i}" for i in range(2))
    one, other = phone.columns([pair(), pair(long)])
    for parts in (one, other):
        assert (parts[0].left, parts[0].right, parts[1].right) == (0, parts[1].left, 1)
    assert (len(one), len(other)) == (3, 4)


def test_a_figure_of_one_panel_or_of_panels_that_share_a_scale_is_not_cut() -> None:
    single = Figure(figsize=(6.4, 3), layout="constrained")
    single.subplots().plot([0, 1])
    assert phone.columns([drawn(single)]) == []
    shared = Figure(figsize=(6.4, 3), layout="constrained")
    for axis in shared.subplots(1, 2, sharey=True):
        axis.plot([0, 1])
    assert phone.columns([drawn(shared)]) == []


def test_narrower_long_names_stand_above_their_rows_and_the_legend_fits() -> None:
    names = [f"a setting with a rather long name, number {i}" for i in range(8)]
    table = pd.DataFrame({"setting": names, "group": "g", "value": 2.0, "low": 1.9, "high": 2.1,
                          "reached": True})  # fmt: skip
    figure = drawn(panels.plot_every_run(table, x_label="ratio", least=1.5, null=1.0))
    phone.narrow(figure)
    drawn(figure)
    (axis,) = figure.axes
    assert figure.get_figwidth() == phone.PHONE_WIDTH
    assert not any(label.get_text() for label in axis.get_yticklabels())
    assert {text.get_text() for text in axis.texts} >= set(names)
    assert axis.get_position().width > 0.9, "the rows have the width"
    for text in axis.texts:
        assert text.get_window_extent().x1 <= figure.bbox.x1
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width


def test_narrower_short_names_stay_beside_their_rows() -> None:
    table = pd.DataFrame({"name": ["a", "b"], "value": 0.5, "low": 0.4, "high": 0.6})
    figure = drawn(panels.intervals(table, x_label="accuracy"))
    phone.narrow(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
