"""The drawing of many runs: what misses is shown, and shown as a miss."""

from __future__ import annotations

import pandas as pd
import pytest

from ssl_companion.chapters.plots import panels


def runs() -> pd.DataFrame:
    rows = [("a", "width", 1.2, False), ("b", "width", 1.8, True), ("c", "batch", 2.0, True)]
    table = pd.DataFrame(rows, columns=["setting", "group", "value", "reached"])
    return table.assign(low=table["value"] - 0.1, high=table["value"] + 0.1)


def test_every_run_is_drawn_once_and_misses_have_a_marker_of_their_own() -> None:
    axis = panels.plot_every_run(runs(), x_label="ratio", least=1.5, null=1.0).axes[0]
    lines = {str(line.get_label()): line for line in axis.lines}
    assert list(lines["misses it"].get_xdata()) == [1.2]
    assert list(lines["reaches it"].get_xdata()) == [1.8, 2.0]
    assert lines["misses it"].get_marker() != lines["reaches it"].get_marker()
    assert [text.get_text() for text in axis.get_yticklabels()] == ["a", "b", "c"]


def test_groups_stand_apart() -> None:
    axis = panels.plot_every_run(runs(), x_label="ratio", least=1.5, null=1.0).axes[0]
    first, second, third = axis.get_yticks()
    assert third - second > second - first


def test_no_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        panels.plot_every_run(runs().iloc[:0], x_label="ratio", least=1.5, null=1.0)
