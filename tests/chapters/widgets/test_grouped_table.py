"""Rows stand under the head of their group."""

from __future__ import annotations

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from ssl_companion.chapters.widgets.grouped_table import GroupedTable

FRAME = pd.DataFrame({"what": ["<a>", "<a>", "b"], "run": ["1", "2", "3"], "value": [7, 8, 9]})


def test_each_group_has_one_head_over_all_columns_and_its_rows() -> None:
    page = BeautifulSoup(GroupedTable(FRAME)._repr_html_(), "html.parser")
    assert [th.text for th in page.select("thead th")] == ["run", "value"]
    heads = page.select("th[scope=rowgroup]")
    assert [(th.text, th["colspan"]) for th in heads] == [("<a>", "2"), ("b", "2")]
    rows = [[cell.text for cell in row] for row in page.select("tbody tr:has(td)")]
    assert rows == [["1", "7"], ["2", "8"], ["3", "9"]]


def test_stacked_cells_carry_the_names_of_their_columns() -> None:
    page = BeautifulSoup(GroupedTable(FRAME, stack=True)._repr_html_(), "html.parser")
    assert "stacked" in page.table["class"]
    assert [div["data-head"] for div in page.select("td > div")] == ["value"] * 3


def test_as_text_it_has_the_same() -> None:
    assert repr(GroupedTable(FRAME)).splitlines()[0] == "<a>"
    words = " ".join(repr(GroupedTable(FRAME)).split())
    assert words == "<a> run value 1 7 2 8 b run value 3 9"


def test_a_table_without_a_column_for_the_values_is_refused() -> None:
    with pytest.raises(ValueError, match=r"frame: columns \['what', 'run'\]; expected a group"):
        GroupedTable(FRAME[["what", "run"]])
