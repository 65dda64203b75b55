"""From the landing page: one click to a finding's figure, a second step moves it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .conftest import drawn
from .test_browser import PAGES, Visit

pytestmark = pytest.mark.browser
CLAIMS = 9
IN_VIEW = """figure => {
  const box = figure.getBoundingClientRect();
  return box.top < innerHeight * 0.5 && box.bottom > 0;
}"""


def test_the_first_address_leads_to_the_landing_page(offline_page: Any, served: str) -> None:
    offline_page.goto(f"{served}/index.html")
    offline_page.wait_for_url(f"**/{PAGES[0]}.html")


@pytest.mark.parametrize("row", range(CLAIMS))
@pytest.mark.parametrize("width", [1280, 360])
def test_one_click_to_a_figure_and_a_key_to_move_it(
    row: int, width: int, offline_page: Any, visit: Visit
) -> None:
    offline_page.set_viewport_size({"width": width, "height": 800})
    page = visit(PAGES[0])
    rows = page.locator("ol.companion-ledger > li")
    assert rows.count() == CLAIMS
    rows.nth(row).get_by_role("link").first.click()
    page.wait_for_url(re.compile(r"\.html#."))
    drawn(page)
    anchor = page.evaluate("location.hash.slice(1)")
    figure = page.locator(f"figure.frames-figure[id='{anchor}']")
    assert figure.count() == 1, f"#{anchor} is no figure"
    assert figure.evaluate(IN_VIEW), "the figure is not where the reader looks"
    before = figure.locator(".frames-stage > img:not([hidden])").get_attribute("src")
    step = "Previous" if figure.locator("input").input_value() != "0" else "Next"
    figure.get_by_role("button", name=re.compile(f"^{step} ")).click()
    assert figure.locator(".frames-stage > img:not([hidden])").get_attribute("src") != before
