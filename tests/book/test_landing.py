"""The landing page: its doors, how it says to cite, and its figure in the browser."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import companion_landing
import pytest
import yaml
from pybtex.database import parse_file, parse_string

from .test_browser import Visit

ROOT = Path(__file__).resolve().parents[2]
PAGE = "book/introduction"
SOURCE = (ROOT / f"{PAGE}.md").read_text("utf8")
COLAB = "https://colab.research.google.com/github/somebody/book/blob/main/book"
BODY = (
    '<p>Words.</p><div class="companion-doors">\n<p><a href="a.html">Start</a>\n</p></div><a>b</a>'
)


def _body(page: str, buttons: list[dict[str, Any]], body: str = BODY) -> str:
    app = SimpleNamespace(config=SimpleNamespace(root_doc=PAGE))
    context = {"body": body, "header_buttons": buttons}
    companion_landing.colab_door(app, page, "page.html", context, None)  # type: ignore[arg-type]
    return str(context["body"])


def test_the_door_to_colab_is_there_where_there_is_an_address() -> None:
    launch = {"label": "launch-buttons", "buttons": [{"url": f"{COLAB}/introduction.ipynb"}]}
    with_link = _body(PAGE, [{"label": "other"}, launch])
    link = f'</a> <a class="reference external" href="{COLAB}/clusters-emerge.ipynb">Run on Colab'
    assert with_link == BODY.replace("</a>", f"{link}</a>", 1)
    assert _body(PAGE, []) == BODY
    assert _body("book/other", [launch]) == BODY
    without_doors = "<p><a>a</a></p>"
    assert _body(PAGE, [launch], without_doors) == without_doors


def test_the_chapter_behind_the_door_has_a_notebook() -> None:
    assert (ROOT / f"{companion_landing.CHAPTER}.ipynb").is_file()


def test_what_is_to_be_cited_is_what_the_other_files_say() -> None:
    shown = parse_string(SOURCE.split("```text\n")[1].split("```")[0], "bibtex").entries
    paper = parse_file(str(ROOT / "book/references.bib"), "bibtex").entries["benshaul2023"]
    assert shown["benshaul2023"] == paper
    book, cff = shown["ssl_companion"], yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))
    assert book.fields["title"].replace("{", "").replace("}", "") == cff["title"]
    assert str(book.persons["author"][0]).strip("{}") == cff["authors"][0]["name"]
    assert book.fields["license"] == cff["license"]


def test_no_code_stands_before_the_figure() -> None:
    cells = re.findall(r"```\{code-cell\} ipython3\n:tags: \[([^\]]*)\]\n(.*?)```", SOURCE, re.S)
    assert all("remove" in tags for tags, _ in cells)


@pytest.fixture
def landing(visit: Visit) -> Any:
    return visit(PAGE)


def _state(page: Any) -> tuple[list[str], str]:
    after = page.locator("[data-after] img")
    return after.evaluate_all("all => all.map(one => one.src + one.alt)"), page.locator(
        "[data-told]"
    ).inner_text()


@pytest.mark.browser
def test_the_keyboard_moves_the_neighbours(landing: Any) -> None:
    slider = landing.locator(".nearest input[type=range]")
    slider.focus()
    seen = []
    for _ in range(int(slider.get_attribute("max")) + 1):
        seen.append(_state(landing))
        shown = slider.get_attribute("aria-valuetext")
        assert landing.locator(".nearest-bar b").inner_text() == shown
        assert re.search(rf" after {shown} epochs?\.$", seen[-1][1])
        landing.keyboard.press("ArrowLeft")
    assert all(a != b for a, b in itertools.pairwise(seen))
    before = landing.locator("[data-before] img").evaluate_all("all => all.map(o => o.src + o.alt)")
    assert seen[-1][0] == before  # epoch 0 is before training


@pytest.mark.browser
def test_another_photograph_has_other_neighbours(landing: Any) -> None:
    first = _state(landing)
    button = landing.locator("[data-choice]").nth(1)
    button.focus()
    landing.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert landing.locator("[data-choice][aria-pressed=true]").count() == 1
    second = _state(landing)
    assert first[0] != second[0]
    assert button.inner_text() in second[1]


@pytest.mark.browser
def test_it_plays_from_the_beginning_to_the_end(landing: Any) -> None:
    play = landing.locator(".nearest [data-play]")
    play.click()
    assert play.inner_text() == "Pause"
    landing.wait_for_function("document.querySelector('.nearest [data-play]').innerText === 'Play'")
    slider = landing.locator(".nearest input[type=range]")
    assert slider.input_value() == slider.get_attribute("max")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_the_answer_is_on_the_first_screen(
    theme: str, offline_page: Any, visit: Visit
) -> None:
    offline_page.set_viewport_size({"width": 390, "height": 844})
    offline_page.emulate_media(color_scheme=theme)
    page = visit(PAGE)
    sizes = page.locator(".nearest").evaluate(
        "root => [...root.querySelectorAll('*')].filter(one => one.innerText?.trim())"
        ".map(one => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 11
    for part in ("[data-told]", "[data-before] li", "[data-after] li"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] + box["height"] < 844, part
    filters = page.locator(".nearest img").evaluate_all(
        "images => images.map(image => getComputedStyle(image).filter)"
    )
    assert set(filters) == {"none"}
