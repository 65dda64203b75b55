"""Numbers on an axis do not touch, and signed ones are written as the book writes them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ssl_companion.chapters.plots import panels, target_comparisons
from ssl_companion.chapters.plots.figures import log_epochs
from ssl_companion.chapters.plots.ticks import RoomyLocator, signed


def numbers(axis: Axes) -> list[str]:
    """The numbers below an axis once it is drawn; that none of them touch is checked."""
    figure = axis.figure
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    labels = [label for label in axis.get_xticklabels() if label.get_text()]
    boxes = [label.get_window_extent(canvas.get_renderer()) for label in labels]
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    return [label.get_text() for label in labels]


@pytest.mark.parametrize("inches", [1.8, 2.5, 6.4])
@pytest.mark.parametrize("last", [100, 200, 1000])
def test_numbers_of_epochs_never_touch_and_their_ends_stay(inches: float, last: int) -> None:
    axis = Figure(figsize=(inches, 2), layout="constrained").subplots()
    axis.plot([0, last], [0, 1])
    log_epochs(axis, np.array([0, last]))
    shown = numbers(axis)
    assert (shown[0], shown[-1]) == ("0", str(last))
    assert "10" in shown


def test_a_short_run_has_its_measured_epochs_below_the_axis() -> None:
    axis = Figure(figsize=(6.4, 2), layout="constrained").subplots()
    axis.plot([0, 2, 4], [0, 1, 2])
    log_epochs(axis, np.array([0, 2, 4, 4]))
    assert numbers(axis) == ["0", "2", "4"]


def test_where_there_is_room_all_numbers_are_shown() -> None:
    axis = Figure(figsize=(6.4, 2)).subplots()
    axis.set_xlim(0, 10)
    axis.xaxis.set_major_locator(RoomyLocator([10, 0, 5]))
    assert axis.get_xticks().tolist() == [0, 5, 10]


def test_a_spectrum_beside_another_panel_has_numbers_that_do_not_touch() -> None:
    spectra = pd.DataFrame({"line": "1", "direction": np.arange(1, 251), "value": 0.1})
    response = pd.DataFrame({"dose": [0.0, 1], "value": 0.2, "low": 0.1, "high": 0.3, "start": 0.1})
    left, _ = panels.spectrum_and_doses(spectra, response, 1.0).axes
    assert numbers(left)[-1] == "200"


@pytest.mark.parametrize(
    ("value", "words"),
    [(6.34, "+6.3"), (-0.8, "−0.8"), (0.0, "0.0"), (-0.04, "0.0"), (0.04, "0.0")],
)
def test_a_difference_has_a_minus_and_nothing_has_no_sign(value: float, words: str) -> None:
    assert signed(value, 1) == words


def test_a_map_of_differences_writes_them_so() -> None:
    table = pd.DataFrame({0: [-0.008, 0.0], 5: [0.063, -0.0004]}, index=["stem", "block1"])
    axis = target_comparisons.map_of_differences(table, title="points").axes[0]
    assert sorted(text.get_text() for text in axis.texts) == ["+6.3", "0.0", "0.0", "−0.8"]


@pytest.mark.parametrize("places", [[], [1.0, 2.0]])
def test_an_axis_without_a_place_in_view_has_no_numbers(places: list[float]) -> None:
    axis = Figure().subplots()
    axis.set_xlim(3, 4)
    axis.xaxis.set_major_locator(RoomyLocator(places))
    assert numbers(axis) == []
