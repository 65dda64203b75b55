"""The built book as it is read: on a desk, on a phone, from a file in the dark.

A page is opened once for all that is looked at in it; a look that changes the page comes last.
"""

from __future__ import annotations

import colorsys
import io
import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl_companion.chapters.plots.theme import PALETTE
from ssl_companion.chapters.widgets.static_slider import DPI

from .conftest import unfold
from .test_browser import MOVING, PAGES, ROOT, Visit

LIGHTEST, HEAVIEST = 0.35, 3_000_000  # of 1; bytes
CSS = (ROOT / "book/assets/companion.css").read_text("utf8")
FILTER = re.search(r"filter: invert\(([\d.]+)\) hue-rotate\(180deg\)", CSS)
WIDE = """selector => [...document.querySelectorAll(selector)]
  .filter(box => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1)
  .map(box => [box.scrollWidth, box.clientWidth, box.innerText.slice(0, 60), box.tabIndex,
               box.dataset.more || ""])"""
FORMULAS = "div.math mjx-container[display=true]"
TABLES = ".text_html:has(.companion-table)"
UNDRAWN = """[...document.querySelectorAll(".math")]
  .filter(formula => formula.querySelectorAll("mjx-container").length !== 1)
  .map(formula => formula.textContent)"""
UNTOLD = """[...document.querySelectorAll(".bd-article img")]
  .filter(image => !image.getAttribute("alt")).map(image => image.outerHTML.slice(0, 200))"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WORDS_OF_DIAGRAMS = """[...document.querySelectorAll(".diagram svg text")].map(text => {
  const panel = text.closest("svg"), frame = panel.getBoundingClientRect();
  const own = text.getBoundingClientRect(), scale = frame.width / panel.viewBox.baseVal.width;
  return [text.textContent, parseFloat(getComputedStyle(text).fontSize) * scale,
          own.left >= frame.left - 1 && own.right <= frame.right + 1];
})"""
Look = Callable[[Any, str], None]


def on_dark(colour: tuple[float, ...]) -> np.ndarray:
    """A colour under the style sheet's filter, by the filter's definition, sRGB in [0, 1]."""
    assert FILTER is not None
    share = float(FILTER[1])
    inverted = np.asarray(colour) * (1 - 2 * share) + share
    luma = np.array([0.213, 0.715, 0.072])
    return np.clip(2 * luma @ inverted - inverted, 0, 1)  # hue-rotate by half a turn


def luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def hue(colour: np.ndarray) -> float:
    return 360 * colorsys.rgb_to_hsv(*colour)[0]


def test_on_a_dark_page_white_is_its_ground_and_text_can_be_read() -> None:
    ground, ink = on_dark((1, 1, 1)), on_dark((0.15, 0.15, 0.15))
    assert np.allclose(ground * 255, 0x12, atol=1)
    assert contrast(ink, ground) >= 7


@pytest.mark.parametrize("place", range(6))
def test_on_a_dark_page_a_line_is_seen_and_keeps_its_hue(place: int) -> None:
    colour = np.array(PALETTE[place])
    dark = on_dark(tuple(colour))
    assert contrast(dark, on_dark((1, 1, 1))) >= 3
    if np.ptp(colour) > 0.15:  # grey has none
        turned = abs(hue(dark) - hue(colour))
        assert min(turned, 360 - turned) <= 25


@pytest.mark.browser
def test_icons_are_drawn_by_their_font(visit: Visit) -> None:
    page = visit(PAGES[1])
    icon = page.locator(".theme-switch-button i:visible").first
    assert page.evaluate("document.fonts.check('900 16px \"Font Awesome 6 Free\"')")
    assert icon.evaluate("icon => getComputedStyle(icon, '::before').content") not in ("", "none")
    assert icon.bounding_box()["width"] > 8


def _shade(png: bytes) -> float:
    return float(np.asarray(Image.open(io.BytesIO(png)).convert("L")).mean() / 255)


def opens_without_a_complaint(page: Any, name: str) -> None:
    assert page.get_by_role("heading", level=1).count() == 1
    assert not page.evaluate(UNDRAWN), "a formula was not drawn"
    assert not page.evaluate(UNTOLD), "a picture has no alternative text"


def weighs_at_most_three_megabytes_with_all_it_loads(page: Any, name: str) -> None:
    sizes = page.evaluate(
        """() => ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind))
          .filter(entry => entry.name.startsWith("http"))
          .map(entry => [entry.encodedBodySize, entry.name])"""
    )
    assert sum(size for size, _ in sizes) <= HEAVIEST, sorted(sizes)[-5:]
    assert not [name for _, name in sizes if "fontawesome.js" in name or "searchindex" in name]


def diagrams_can_be_read(page: Any, name: str) -> None:
    found = page.evaluate(WORDS_OF_DIAGRAMS)
    assert bool(found) == ("\ndiagram(" in (ROOT / f"{name}.md").read_text())
    assert not [text for text, size, _ in found if size < 11], "smaller than 11 pixels"
    assert not [text for text, _, inside in found if not inside], "outside of its panel"


def tables_and_formulas_fit(page: Any, name: str) -> None:
    assert not page.evaluate(WIDE, FORMULAS), "a formula is wider than its place"
    assert not page.evaluate(WIDE, TABLES), "a table is wider than its place"


def numbers_stand_in_columns_and_no_head_is_empty(page: Any, name: str) -> None:
    for kind, side in (("number", "right"), ("estimate", "left")):
        cells = page.locator(f"table.companion-table td.{kind}")
        sides = cells.evaluate_all("cells => cells.map(cell => getComputedStyle(cell).textAlign)")
        assert set(sides) <= {side}
    assert not page.evaluate(
        "[...document.querySelectorAll('.companion-table thead')]"
        ".filter(head => !head.textContent.trim()).length"
    )


def a_higher_heading_is_the_stronger_and_a_title_says_nothing_twice(page: Any, name: str) -> None:
    parts = [part.strip() for part in page.title().split("—")]
    assert len(set(parts)) == len(parts)
    sizes = [
        page.locator(f".bd-article {level}").first.evaluate(
            "h => [parseFloat(getComputedStyle(h).fontSize), +getComputedStyle(h).fontWeight]"
        )
        for level in ("h1", "h2", "h3")
        if page.locator(f".bd-article {level}").count()
    ]
    for above, below in itertools.pairwise(sizes):
        assert above[0] > below[0]
        assert above[1] >= below[1]


def a_notebook_says_how_to_run_it(page: Any, name: str) -> None:
    rows = page.locator(".companion-launch")
    if name == PAGES[0] or not (ROOT / f"{name}.ipynb").is_file():
        assert rows.count() == 0
        return
    assert rows.first.get_by_role("link", name="Download the notebook").count() == 1
    assert re.search(r"runs in \d+ s", rows.first.inner_text())
    with_exercises = page.locator(".bd-article h2", has_text=re.compile("^Exercises")).count()
    assert rows.count() == 1 + with_exercises


def on_paper_a_figure_shows_its_first_and_last_value(page: Any, name: str) -> None:
    page.emulate_media(media="print")
    for figure in page.locator(".frames:has(.frames-range)").all():
        pictures = figure.locator("img")
        seen = [image for image in pictures.all() if image.is_visible()]
        ends = (pictures.first, pictures.last)
        assert [image.get_attribute("data-shown") for image in seen] == [
            image.get_attribute("data-shown") for image in ends
        ]
        label = figure.locator("label").text_content()
        for image, named in zip(seen, figure.locator(".frames-paper").all(), strict=True):
            assert named.inner_text() == f"{label} {image.get_attribute('data-shown')}"
            assert named.bounding_box()["y"] < image.bounding_box()["y"]


def figures_keep_a_readable_size(page: Any, name: str) -> None:
    """Their smallest text, 10 points, is at least 11 pixels high, on narrower pictures and on parts
    of others; what is wider can be scrolled."""
    for image in page.locator(":is(.frames-stage, .frames-part) > img:visible").all():
        natural = float(image.get_attribute("width") or 0)
        style = image.get_attribute("style") or ""
        if narrow := re.search(r"--narrow-ratio:(\d+)/", style):
            natural = int(narrow[1]) * 96 / DPI
        assert image.bounding_box()["width"] / natural * 10 * 96 / 72 >= 11
    for part in page.locator(".frames-part:visible").all():
        box = part.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.viewport_size["width"]
    for *_, focusable, more in page.evaluate(WIDE, ".frames-stage"):
        assert focusable == 0, "a keyboard cannot scroll it"
        assert more == "right", "nothing says that there is more"


def a_value_stands_beside_its_slider(page: Any, name: str) -> None:
    for group in page.locator(".frames-range").all():
        label, slider, value = (
            group.locator(part).bounding_box() for part in ("label", "input", "b")
        )
        middles = [box["y"] + box["height"] / 2 for box in (label, slider, value)]
        assert max(middles) - min(middles) < 12, "on one line"
        assert slider["width"] >= 60, "long enough to be moved"
        assert value["x"] + value["width"] <= 390


def what_is_wider_is_scrolled_and_covers_nothing(page: Any, name: str) -> None:
    for *_, words, focusable, more in page.evaluate(WIDE, f"{FORMULAS}, {TABLES}"):
        assert focusable == 0, words
        assert more.startswith("right"), words
    covered = page.evaluate(
        """() => [...document.querySelectorAll("div.math:has(.eqno)")].filter(block => {
          const formula = block.querySelector("mjx-container").getBoundingClientRect();
          const number = block.querySelector(".eqno").getBoundingClientRect();
          return number.width && number.left < formula.right - 1;
        }).length"""
    )
    assert covered == 0, "a number lies on its formula"


def fits_a_narrower_screen_unfolded_too(page: Any, name: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate(TOO_WIDE) <= 0, "the page scrolls sideways"
    unfold(page)
    assert page.evaluate(TOO_WIDE) <= 0, "the page scrolls sideways when it is unfolded"


def drawings_are_dark_and_photographs_as_they_are(page: Any, name: str) -> None:
    for image in page.locator(".frames-figure .frames img:visible").all():
        filtered = image.evaluate("image => getComputedStyle(image).filter") != "none"
        assert filtered == ("drawing" in (image.get_attribute("class") or "").split())
    drawing = page.locator(".frames-figure .frames img.drawing:visible").first
    assert _shade(drawing.screenshot()) < LIGHTEST
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert drawing.evaluate("image => getComputedStyle(image).filter") == "none"


def _looked_at(page: Any, name: str, subtests: pytest.Subtests, *looks: Look) -> None:
    for look in looks:
        with subtests.test(look.__name__):
            look(page, name)


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_page_on_a_desk(
    name: str, offline_page: Any, visit: Visit, subtests: pytest.Subtests
) -> None:
    offline_page.set_viewport_size({"width": 1280, "height": 900})
    page = visit(name)
    page.wait_for_load_state("networkidle")
    _looked_at(
        page, name, subtests,
        opens_without_a_complaint,
        weighs_at_most_three_megabytes_with_all_it_loads,
        diagrams_can_be_read,
        tables_and_formulas_fit,
        numbers_stand_in_columns_and_no_head_is_empty,
        a_higher_heading_is_the_stronger_and_a_title_says_nothing_twice,
        a_notebook_says_how_to_run_it,
        on_paper_a_figure_shows_its_first_and_last_value,
    )  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_page_on_a_phone(
    name: str, offline_page: Any, visit: Visit, subtests: pytest.Subtests
) -> None:
    offline_page.set_viewport_size({"width": 390, "height": 844})
    _looked_at(
        visit(name), name, subtests,
        diagrams_can_be_read,
        figures_keep_a_readable_size,
        a_value_stands_beside_its_slider,
        what_is_wider_is_scrolled_and_covers_nothing,
        fits_a_narrower_screen_unfolded_too,
    )  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_page_from_a_file_in_the_dark(
    name: str, offline_page: Any, visit: Visit, subtests: pytest.Subtests
) -> None:
    offline_page.emulate_media(color_scheme="dark")
    looks = [opens_without_a_complaint]
    if name in MOVING:
        looks.append(drawings_are_dark_and_photographs_as_they_are)
    _looked_at(visit(name, "file"), name, subtests, *looks)
