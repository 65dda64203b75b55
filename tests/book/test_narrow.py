"""What is wider than a phone: code says that it goes on, tables of long texts stack their cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ssl_companion.chapters.widgets.tables import Table

pytestmark = pytest.mark.browser
ASSETS = Path(__file__).resolve().parents[2] / "book/assets"
LONG = "print('a line of code that is wider than any phone is, whatever its letters')"
MASK = "box => getComputedStyle(box).maskImage"


@pytest.fixture
def phone(offline_page: Any, tmp_path: Path) -> Any:
    """A page with the book's own style and script, 390 px wide."""
    frame = pd.DataFrame({"what": ["threshold"] * 2, "before": ["", "word " * 30],
                          "after": ["word " * 40, "averylongname" * 9]})  # fmt: skip
    table = Table(frame, index=False, stack=True)._repr_html_()
    (tmp_path / "page.html").write_text(
        f"""<!doctype html><html data-theme="light"><head><meta charset="utf-8">
        <script>window.DOCUMENTATION_OPTIONS = {{}};</script>
        <style>{(ASSETS / "companion.css").read_text("utf8")} pre {{ overflow: auto }}</style>
        </head><body class="bd-content"><article class="bd-article"><pre>{LONG}</pre>
        <pre>short</pre><div class="text_html">{table}</div></article>
        <script>{(ASSETS / "companion.js").read_text("utf8")}</script></body></html>""",
        "utf8",
    )
    offline_page.set_viewport_size({"width": 390, "height": 800})
    offline_page.goto((tmp_path / "page.html").as_uri())
    offline_page.wait_for_function("document.querySelector('pre').dataset.more")
    return offline_page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_code_fades_on_the_side_where_there_is_more(phone: Any, theme: str) -> None:
    phone.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    code, short = phone.locator("pre").first, phone.locator("pre").last
    assert code.get_attribute("data-more") == "right"
    assert code.get_attribute("tabindex") == "0", "a keyboard can scroll it"
    assert "gradient" in code.evaluate(MASK)
    code.evaluate("box => { box.scrollLeft = 1e6; }")
    phone.wait_for_function("document.querySelector('pre').dataset.more === 'left'")
    assert short.evaluate(MASK) == "none"
    phone.set_viewport_size({"width": 1280, "height": 800})
    phone.wait_for_function("!document.querySelector('pre').dataset.more")
    assert code.evaluate(MASK) == "none"


def test_a_stacked_table_fits_and_every_cell_has_its_columns_name(phone: Any) -> None:
    box = phone.locator(".text_html")
    assert box.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    cells = phone.locator("td:visible")
    assert cells.count() == 5, "an empty cell takes no place"
    assert not phone.locator("thead").is_visible()
    heads = cells.locator("div").evaluate_all(
        "all => all.map(one => getComputedStyle(one, '::before').content)"
    )
    assert heads == ['"what"', '"after"', '"what"', '"before"', '"after"']
    phone.set_viewport_size({"width": 1280, "height": 800})
    assert phone.locator("thead").is_visible()
    assert cells.count() == 6
    first = cells.first.locator("div")
    assert first.evaluate("one => getComputedStyle(one, '::before').content") == "none"
