"""The figures of two chapters put what they are given where their captions say it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.plots import panels


def line(axis: Any, name: str) -> Any:
    (found,) = [line for line in axis.lines if line.get_label() == name]
    return found


def test_outcomes_draw_the_live_ones_and_every_seed_of_the_same_variants() -> None:
    live = pd.DataFrame({
        "variant": ["recipe", "off"], "words": ["the recipe", "switched off"],
        "start": 0.05, "value": [0.3, 0.2], "low": 0.1, "high": 0.4,
    })  # fmt: skip
    measured = pd.DataFrame({
        "variant": ["off", "recipe", "recipe", "other"],
        "words": ["switched off", "the recipe", "the recipe", "another"],
        "ncc": [0.21, 0.31, 0.32, 0.9],
    })  # fmt: skip
    axis = panels.outcomes(live, measured).axes[0]
    np.testing.assert_array_equal(axis.lines[4].get_xdata(), [0.21, 0.31, 0.32])
    assert axis.lines[5].get_xdata()[0] == 0.05


def test_the_chosen_dose_is_marked_on_both_sides() -> None:
    doses = (0.0, 0.2, 1.0)
    spectra = pd.concat(
        pd.DataFrame({"line": f"{d:g}", "direction": [1, 2], "value": [0.9, 0.1]}) for d in doses
    )
    response = pd.DataFrame({"dose": doses, "value": 0.2, "low": 0.1, "high": 0.3, "start": 0.05})
    left, right = panels.spectrum_and_doses(spectra, response, 0.2).axes
    assert left.get_title(loc="left") == "weight × 0.2"
    assert line(left, "0.2").get_linewidth() > line(left, "1").get_linewidth()
    assert right.lines[1].get_xdata()[0] == 0.2
    assert right.lines[2].get_ydata()[0] == 0.05


def test_the_epoch_and_the_switch_stand_on_the_courses() -> None:
    spectra = pd.DataFrame({"line": ["a", "b"], "direction": 1, "value": [0.9, 0.8]})
    courses = pd.DataFrame({
        "line": ["a", "a", "b", "b"], "epoch": [0, 4, 0, 4], "value": 0.1, "low": 0.0, "high": 0.2,
    })  # fmt: skip
    left, right = panels.spectra_and_courses(spectra, courses, 4, 3.0).axes
    assert line(left, "b").get_color() == line(right, "b").get_color()
    assert [drawn.get_xdata()[0] for drawn in right.lines[2:]] == [4, 3.0]


def test_terms_are_not_percentages_and_accuracy_is() -> None:
    course = pd.DataFrame({"epoch": [1, 2], "term": "invariance", "value": [0.0, -2.0]})
    ncc = pd.DataFrame({"epoch": [0, 2], "level": "fine", "value": [0.05, 0.1]})
    left, right = panels.terms_and_accuracy(course, ncc, "fine").axes
    assert "%" not in left.yaxis.get_major_formatter()(-2.0)
    assert "%" in right.yaxis.get_major_formatter()(0.1)


def test_probes_keep_the_places_they_have_in_the_other_figure() -> None:
    table = pd.DataFrame({"ncc": [0.1, 0.2], "linear": [0.3, 0.4], "knn": [np.nan, 0.35]})
    (axis,) = panels.against_probes({"runs": table}).axes
    assert axis.get_title(loc="left") == "2 runs"
    assert line(axis, "linear probe").get_marker() == "s"
    assert len(line(axis, "nearest neighbours").get_xdata()) == 1


@pytest.mark.parametrize("labels", [1, 5])
def test_few_labels_show_this_number_over_epochs_and_all_numbers_at_the_end(labels: int) -> None:
    rows = [
        {"epoch": e, "labels": m, "classifier": "probe", "value": 0.01 * (e + m), "low": 0.0,
         "high": 0.3}
        for e in (0, 10) for m in (1, 2, 5)
    ]  # fmt: skip
    left, right = panels.plot_few_labels(pd.DataFrame(rows), labels).axes
    np.testing.assert_allclose(
        line(left, "probe").get_ydata(), [0.01 * labels, 0.1 + 0.01 * labels]
    )
    np.testing.assert_allclose(line(right, "probe").get_ydata(), [0.11, 0.12, 0.15])
    assert right.lines[1].get_xdata()[0] == labels
