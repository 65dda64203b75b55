"""What is wider than a phone: code says that it goes on, tables of long texts stack their cells,
the panels of a figure stand one under the other, and other figures are drawn narrower."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssl_companion.chapters.plots.phone import Box
from ssl_companion.chapters.widgets.static_slider import page_figure
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


RED, GREEN, BLUE = (200, 30, 30), (30, 160, 30), (30, 30, 200)


def picture(*colours: tuple[int, int, int]) -> np.ndarray:
    """Stripes side by side, 614 by 300 pixels of a page."""
    stripes = np.array_split(np.zeros((450, 921, 3), dtype=np.uint8), len(colours), axis=1)
    for stripe, colour in zip(stripes, colours, strict=True):
        stripe[:] = colour
    return np.concatenate(stripes, axis=1)


@pytest.fixture
def figures(offline_page: Any, tmp_path: Path) -> Any:
    """A figure of two panels behind a slider, and one that is drawn narrower, 390 px wide."""
    halves = [Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1)]
    cut = page_figure(
        [picture(RED, GREEN), picture(BLUE, RED)], ["a", "b"], ["red, green", "blue, red"],
        "cut", "Two.", "which", parts=[halves, halves],
    )  # fmt: skip
    drawn = page_figure(
        [picture(RED)], [""], ["all"], "drawn", "One.", narrow=[picture(BLUE)[:, :700]]
    )
    styled = "".join(f'<div class="frames-figure">{one}</div>' for one in (cut, drawn))
    (tmp_path / "figures.html").write_text(
        f"""<!doctype html><html data-theme="light"><head><meta charset="utf-8">
        <script>window.DOCUMENTATION_OPTIONS = {{}};</script>
        <style>{(ASSETS / "companion.css").read_text("utf8")} figure {{ margin: 0 1rem }}</style>
        </head><body class="bd-content">{styled}
        <script>{(ASSETS / "companion.js").read_text("utf8")}</script></body></html>""",
        "utf8",
    )
    offline_page.set_viewport_size({"width": 390, "height": 800})
    offline_page.goto((tmp_path / "figures.html").as_uri())
    return offline_page


def colour_of(part: Any) -> tuple[int, int, int]:
    """The colour in the middle of what is on the screen."""
    image = Image.open(io.BytesIO(part.screenshot())).convert("RGB")
    found: Any = image.getpixel((image.width // 2, image.height // 2))
    return tuple(found)


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(one, other, strict=True))


def test_panels_stand_one_under_the_other_and_follow_the_slider(figures: Any) -> None:
    parts = figures.locator(".frames-part")
    assert parts.count() == 2
    boxes = [part.bounding_box() for part in parts.all()]
    assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    assert [near(colour_of(p), c) for p, c in zip(parts.all(), (RED, GREEN), strict=True)] == [
        True
    ] * 2
    figures.get_by_role("button", name="Next which").click()
    assert [near(colour_of(p), c) for p, c in zip(parts.all(), (BLUE, RED), strict=True)] == [
        True
    ] * 2
    alts = parts.locator("img").evaluate_all("all => all.map(one => one.alt)")
    assert alts == ["blue, red", ""], "said once"
    figures.set_viewport_size({"width": 1280, "height": 800})
    assert not parts.first.is_visible()
    assert figures.locator("#figure-cut .frames-stage > img:visible").count() == 1


def test_a_figure_of_one_panel_is_another_picture_on_a_phone(figures: Any) -> None:
    image = figures.locator("#figure-drawn img")
    box = image.bounding_box()
    assert box["x"] + box["width"] <= 390
    assert box["width"] / box["height"] == pytest.approx(700 / 450, abs=0.02)
    assert near(colour_of(image), BLUE)
    figures.set_viewport_size({"width": 1280, "height": 800})
    assert near(colour_of(image), RED)
