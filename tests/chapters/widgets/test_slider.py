"""`frames` in both of its lives: pictures in a page, a widget in a kernel."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from ssl_companion.chapters.plots.theme import INVERTED
from ssl_companion.chapters.widgets.slider import (
    BOOK_VARIABLE,
    frames,
    in_book,
    picture,
)
from ssl_companion.chapters.widgets.static_slider import page_figure

TEXT = "A line whose height is the value."


def draw(value: float) -> Figure:
    figure = Figure(figsize=(3, 2))
    axis = figure.subplots()
    axis.axhline(float(value), color="#0173b2", linewidth=4)
    axis.set_ylim(0, 10)
    return figure


def tell(value: float) -> str:
    return f"a line at {value}"


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BOOK_VARIABLE, "html")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BOOK_VARIABLE, raising=False)


BLANK = np.full((4, 4, 3), 255, dtype=np.uint8)


class Reader(HTMLParser):
    """What a browser would read of a figure."""

    def __init__(self) -> None:
        super().__init__()
        self.alt: str | None = None
        self.caption = ""
        self.inside = False

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.inside = self.inside or tag == "figcaption"
        if tag == "img":
            self.alt = dict(attributes)["alt"]

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "figcaption"

    def handle_data(self, data: str) -> None:
        self.caption += data if self.inside else ""


def images_of(page: str) -> list[Image.Image]:
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(source))) for source in sources]


def test_as_text_a_figure_is_its_name_and_caption(book: None) -> None:
    shown = frames(draw, [1, 2], "line", "A line.", tell)
    assert repr(shown) == "PageFigure(name='line', caption='A line.')"  # no pictures a second time
    assert "base64" in shown._repr_html_()  # type: ignore[union-attr]


def test_the_variable_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BOOK_VARIABLE, raising=False)
    assert not in_book()
    monkeypatch.setenv(BOOK_VARIABLE, "html")
    assert in_book()


@pytest.mark.usefixtures("book")
class TestPage:
    def test_one_picture_for_each_value_and_one_visible(self) -> None:
        page = frames(draw, [1, 5, 9], "heights", TEXT, tell, label="height", start=1).html
        assert len(images_of(page)) == 3
        alts = re.findall(r'<img[^>]*alt="([^"]*)"', page)
        assert alts == ["a line at 1", "a line at 5", "a line at 9"]
        hidden = [" hidden>" in tag for tag in re.findall(r"<img[^>]*>", page)]
        assert hidden == [True, False, True]

    def test_it_opens_at_the_last_value(self) -> None:
        page = frames(draw, [1, 5, 9], "heights", TEXT, tell, label="height").html
        hidden = [" hidden>" in tag for tag in re.findall(r"<img[^>]*>", page)]
        assert hidden == [True, True, False]
        assert re.search(r'<input [^>]*value="2"\s+aria-valuetext="9"', page)

    def test_paper_has_the_first_and_the_last_value_named(self) -> None:
        page = frames(draw, [1, 5, 9], "heights", TEXT, tell, label="<height>", start=1).html
        named = re.findall(r'<p class="frames-paper">([^<]*)</p>\n<img[^>]*alt="([^"]*)"', page)
        assert named == [("&lt;height&gt; 1", "a line at 1"), ("&lt;height&gt; 9", "a line at 9")]
        assert '<p class="frames-paper"' not in picture(draw(1), "one", TEXT, tell(1)).html

    def test_the_slider_has_a_label_a_range_and_a_spoken_value(self) -> None:
        page = frames(
            draw, [1, 5, 9], "heights", TEXT, tell, label="height", show=lambda v: f"{v} m"
        ).html
        assert '<label for="range-heights">height</label>' in page
        assert re.search(r'<input id="range-heights" type="range" min="0" max="2"', page)
        assert 'aria-valuetext="9 m"' in page

    def test_pictures_are_true_to_what_was_drawn(self) -> None:
        """Within the 64 colours: the line is where the value says, the ground is white."""
        page = frames(draw, [2, 8], "heights", TEXT, tell).html
        rows = []
        for image in images_of(page):
            assert image.mode == "P"
            assert len(image.getcolors()) <= 64
            pixels = np.asarray(image.convert("RGB")).astype(int)
            assert tuple(pixels[0, 0]) == (255, 255, 255)
            middle = pixels[:, pixels.shape[1] // 2]
            blue = middle[:, 2] - middle[:, 0] > 100
            rows.append(np.flatnonzero(blue).mean() / len(middle))
        assert rows[0] - rows[1] == pytest.approx(0.77 * 0.6, abs=0.02)  # axes are 77% high

    def test_nothing_is_asked_from_outside(self) -> None:
        page = frames(draw, [1, 2], "heights", TEXT, tell).html
        assert not re.search(r"(src|href)=\"(?!data:)", page)
        assert "http" not in re.sub(r"base64,[^\"]+", "", page)

    def test_values_may_be_anything_with_a_name(self) -> None:
        page = frames(lambda name: draw(len(name)), ["fine", "coarse"], "levels", TEXT, tell).html
        assert 'data-shown="fine"' in page
        assert 'data-shown="coarse"' in page

    @settings(deadline=None)
    @given(st.text(min_size=1).filter(str.strip))
    def test_any_text_is_escaped(self, text: str) -> None:
        reader = Reader()
        reader.feed(page_figure([BLANK], [""], [text], "one", text))
        assert reader.alt == text
        assert reader.caption == text

    def test_markup_in_a_text_stays_text(self) -> None:
        page = picture(draw(1), "one", '<script>"&', '"><b>').html
        assert "<script>" not in page
        assert "&lt;script&gt;&quot;&amp;" in page
        assert 'alt="&quot;&gt;&lt;b&gt;"' in page

    def test_a_slider_that_changes_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="one picture for '1' and '2'"):
            frames(lambda _: draw(3), [1, 2], "still", TEXT, tell)

    def test_pictures_of_different_sizes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="pictures of sizes"):
            frames(lambda v: Figure(figsize=(v, 2)), [2, 3], "sizes", TEXT, tell)

    def test_twenty_frames_stay_small(self) -> None:
        page = frames(draw, list(np.linspace(0.2, 9.8, 20)), "many", TEXT, tell).html
        assert len(page) < 230_000


@pytest.mark.usefixtures("kernel")
class TestWidget:
    def test_moving_the_slider_draws_that_value(self) -> None:
        drawn: list[int] = []

        def render(value: int) -> Figure:
            drawn.append(value)
            return draw(value)

        box = frames(render, [1, 5, 9], "heights", TEXT, tell, label="height", start=0)
        slider, stage, caption = box.children
        assert drawn == [1]
        assert 'alt="a line at 1"' in stage.value
        before = stage.value
        slider.value = 2
        assert drawn == [1, 9]
        assert 'alt="a line at 9"' in stage.value
        assert stage.value != before
        slider.value = 0
        assert drawn == [1, 9], "drawn before, remembered"
        assert stage.value == before
        assert slider.description == "height"
        assert slider.label == "1"
        assert TEXT in caption.value

    def test_it_opens_at_the_last_value(self) -> None:
        slider, stage, _ = frames(draw, [1, 5, 9], "heights", TEXT, tell).children
        assert slider.label == "9"
        assert 'alt="a line at 9"' in stage.value

    def test_a_single_picture_needs_no_widget(self) -> None:
        result = picture(draw(1), "one", TEXT, "a line at 1")
        assert 'alt="a line at 1"' in result._repr_html_()
        assert "<input" not in result.html


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [1]}, "two or more"),
        ({"name": "Two Words"}, "name: 'Two Words'"),
        ({"caption": " "}, "caption"),
        ({"start": 2}, "start: 2"),
        ({"alt": lambda _: ""}, "alt"),
        ({"render": lambda _: "no figure"}, "expected a matplotlib Figure"),
    ],
)
@pytest.mark.parametrize("building", [False, True])
def test_bad_arguments_say_what_is_expected(
    change: dict, message: str, building: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BOOK_VARIABLE, "html" if building else "")
    arguments = {"render": draw, "values": [1, 2], "name": "n", "caption": TEXT, "alt": tell}
    with pytest.raises(ValueError, match=re.escape(message)):
        frames(**(arguments | change))


def test_on_a_dark_page_a_drawing_is_dark_and_the_photographs_in_it_are_as_they_were(
    book: None,
) -> None:
    def photographs(value: float) -> Figure:
        figure = Figure(figsize=(4, 2))
        axis = figure.add_axes((0.5, 0, 0.5, 1))
        axis.imshow(np.full((8, 8, 3), 0.1 * value))
        axis.set_axis_off()
        return figure

    page = frames(lambda v: photographs(v) if v else Figure((4, 2)), [0, 2, 5], "a", TEXT, tell)
    assert 'class="dark-light"' in page.html
    found = re.findall(r"--dark:url\(data:image/png;base64,([^)]+)\)", page.html)
    dark = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB"))
            for one in found]  # fmt: skip
    for light, one in zip(images_of(page.html), dark, strict=True):
        before = np.asarray(light.convert("RGB")).astype(int)
        assert tuple(one[0, 0]) == (18, 18, 18), "as dark as the page"
        middle = len(one) // 2
        assert tuple(one[middle, 40]) == (18, 18, 18)
        if one is not dark[0]:
            np.testing.assert_allclose(one[middle, -40], before[middle, -40], atol=2)
    assert "--dark" not in frames(draw, [1, 2], "b", TEXT, tell).html
    assert "--dark" in picture(photographs(3), "c", TEXT, tell(3)).html
    with pytest.raises(ValueError, match="dark: 1 pictures; expected 2 or none"):
        page_figure([before.astype(np.uint8)] * 2, "12", "ab", "d", TEXT, dark=dark[:1])


def test_the_style_sheet_darkens_as_these_pictures_do() -> None:
    sheet = Path(__file__).resolve().parents[3] / "book/assets/companion.css"
    assert f"filter: invert({INVERTED}) hue-rotate(180deg)" in sheet.read_text("utf8")
