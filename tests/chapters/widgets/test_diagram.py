"""A diagram as a figure of a page: its drawing inside the page, its caption to be numbered."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from ssl_companion.chapters.plots.drawing import Drawing, label
from ssl_companion.chapters.widgets.diagram import diagram
from ssl_companion.chapters.widgets.static_slider import CAPTION_MARK

PANEL = Drawing("A & B", "One <and> two.", 40, [label(0, 12, "a < b")])


def test_a_diagram_is_a_figure_that_needs_nothing_outside_itself() -> None:
    page = diagram([PANEL, PANEL], "two-panels", "What & why.")
    figure = BeautifulSoup(page._repr_html_(), "html.parser").select_one("figure.frames")
    assert figure is not None
    assert figure["id"] == "figure-two-panels"
    assert len(figure.select(".frames-stage > .diagram > svg[role=img]")) == 2
    ids = [tag["id"] for tag in figure.select("svg [id]")]
    assert len(ids) == len(set(ids)) == 4
    for svg in figure.select("svg"):
        named = [figure.select_one(f"#{part}") for part in str(svg["aria-labelledby"]).split()]
        assert [part and part.get_text() for part in named] == [PANEL.title, PANEL.description]
    assert not figure.select("img, script, link, [href], [src]")
    _, caption, _ = page.html.split(CAPTION_MARK)
    assert caption == "<figcaption>What &amp; why.</figcaption>"


@pytest.mark.parametrize(
    ("panels", "name", "caption", "message"),
    [
        ([], "fine", "Fine.", "panels: none"),
        ([PANEL], "Not fine", "Fine.", "name: 'Not fine'"),
        ([PANEL], "fine", " ", "caption: ' '"),
    ],
)
def test_what_is_no_figure_is_refused(
    panels: list[Drawing], name: str, caption: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        diagram(panels, name, caption)
