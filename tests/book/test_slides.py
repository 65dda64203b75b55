"""Slides: taken whole from a page, complete in themselves, and usable by whoever stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slides
from bs4 import BeautifulSoup
from chapter_source import toc
from deck import Deck, questions_of, read_deck
from page_text import first_sentence, mathml

ROOT = Path(__file__).resolve().parents[2]
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


def figure(name: str, pictures: int = 1) -> str:
    images = "".join(
        f'<img class="dark-light drawing" width="614" height="365" alt="picture {i}" '
        f'data-shown="{i}" src="{PIXEL}"{" hidden" if i < pictures - 1 else ""}>'
        for i in range(pictures)
    )
    bar = '<div class="frames-bar"><label>epoch</label><input type="range"></div>'
    images = f'{bar * (pictures > 1)}<div class="frames-stage">{images}</div>'
    return (
        f'<div class="cell"><figure class="frames-figure" id="{name}"><div class="frames">'
        f"<style>.frames{{}}</style>{images}</div><figcaption><p>"
        f'<span class="caption-number">Fig. 3 </span><span class="caption-text">A short one. And '
        f"a longer one of {name}.</span></p></figcaption></figure></div>"
    )


def facts(**rows: str) -> str:
    lines = "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in rows.items())
    return f'<div><table class="companion-table"><tbody>{lines}</tbody></table></div>'


def verdict(**rows: str) -> str:
    return f"""<div><div class="companion-verdict"><p><span class="judged"><span>✓ reproduced</span>
      </span></p><p class="result">It is two.</p><div class="forest"><p class="unit">distance</p>
      <div class="row effect"><svg><path d="M0 0"/></svg></div></div>{facts(**rows)}</div></div>"""


PAGE = f"""
<article class="bd-article"><section id="top"><h1>Two clouds<a class="headerlink">#</a></h1>
<p><strong>Clouds part</strong>; so the abstract of <span class="bibtex-citation">[<a
 title="A. Name. A paper. 2020. URL: https://example.org">Name, 2020</a>]</span>. More.</p>
<div class="admonition"><p class="admonition-title">In the paper</p><p>“Clouds.”</p></div>
<div class="tip admonition"><p class="admonition-title">What you will be able to do</p>
<ul><li><p>See them.</p></li></ul><p><strong>Time:</strong> 5 minutes.</p></div>
<section id="s1"><h2>What would decide it</h2><p>Before any number.</p>
{facts(**{"claim": "Clouds part.", "measured": "a distance", "threshold": "more than 1"})}</section>
<section id="s2"><h2>A prediction first</h2><p>They begin together. <strong>how far will they
go?</strong> Write it down.</p></section>
<section id="s3"><h2>The measurement</h2><p>With \\<span class="math">\\(d\\)</span>.</p>
<div class="math"><span class="eqno">(4)<a class="headerlink">#</a></span>
\\[d = \\frac{{a}}{{b}}, \\qquad a > 0.\\]</div>
<p>Look. <strong>Where is the end?</strong></p>{figure("first")}
<section id="s31"><h3>Again</h3>{figure("second", 3)}</section></section>
<section id="s4"><h2>The verdict</h2>
{verdict(claim="Clouds part.", verdict="reproduced", threshold="1")}
<p><strong>What would have disproved it:</strong> a standstill. And more.</p></section>
<section id="s5"><h2>Takeaways</h2><ul><li><p>Clouds part.</p></li></ul></section>
<section id="s6"><h2>Exercises</h2>
<div class="exercise admonition" id="ex"><p class="admonition-title"><span
 class="caption-number">Exercise 7 </span></p><section id="exercise-content">
<p><strong>Far.</strong> How far?</p></section></div>
<div class="solution dropdown admonition"><section><p>Very far indeed.</p></section></div></section>
<section id="s7"><h2>Limits</h2><p>Only clouds.</p></section></section></article>"""


@pytest.fixture(scope="module")
def small() -> Deck:
    deck = read_deck(PAGE, "clouds", ["Which <em>cloud</em>?"])
    assert deck is not None
    return deck


def test_slides_follow_the_chapter(small: Deck) -> None:
    assert [slide.kind for slide in small.slides] == [
        "title", "paper", "objectives", "rule", "prediction", "formula", "figure", "figure",
        "verdict", "cards", "takeaways", "discussion", "exercise",
    ]  # fmt: skip
    by_kind = {slide.kind: slide for slide in small.slides}
    assert "Clouds part." in by_kind["title"].body
    assert "A. Name. A paper. 2020" in by_kind["title"].body
    assert "https://example.org" not in by_kind["title"].body
    assert "How far will they" in by_kind["prediction"].body
    assert "They begin together." in by_kind["prediction"].body
    assert "more than 1" in by_kind["rule"].body
    assert "“Clouds.”" in by_kind["paper"].body
    assert "picture 2" in by_kind["title"].body, "what the figure shows before it is moved"
    assert 'class="verdict-word yes">✓ reproduced' in by_kind["verdict"].body
    assert "It is two." in by_kind["verdict"].body
    assert "<svg>" in by_kind["verdict"].body, "on its scale"
    assert by_kind["exercise"].heading == "Far"
    assert by_kind["exercise"].eyebrow == "Exercise 7"


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (
            "<p>Two train. <strong>How far do they go?</strong> Then two more train. "
            "<strong>Which of these loses?</strong> Write it down.</p>",
            "lead: Two train. | ask: How far do they go? | lead: Then two more train. | "
            "ask: Which of these loses?",
        ),
        (
            "<p>Two <strong>bold</strong> clouds. <strong>Do they part?</strong> And with "
            "<em>one</em> point, <strong>which is better?</strong></p>",
            "lead: Two bold clouds. | ask: Do they part? | "
            "ask: And with one point, which is better?",
        ),
        (
            "<p>They begin together.</p><p><strong>Do they part? And when?</strong> Look.</p>"
            "<p><strong>Why?</strong></p>",
            "lead: They begin together. | ask: Do they part? And when? | ask: Why?",
        ),
    ],
)
def test_a_prediction_keeps_what_stands_between_its_questions(asked: str, shown: str) -> None:
    page = re.sub(r"(?s)(prediction first</h2>).*?</section>", rf"\1{asked}</section>", PAGE)
    deck = read_deck(page, "clouds")
    assert deck is not None
    (body,) = (slide.body for slide in deck.slides if slide.kind == "prediction")
    lines = BeautifulSoup(body, "html.parser").find_all("p")
    assert " | ".join(f"{line['class'][0]}: {line.get_text()}" for line in lines) == shown


def test_a_figure_has_the_question_as_its_headline_and_its_whole_caption(small: Deck) -> None:
    first, second = (slide for slide in small.slides if slide.kind == "figure")
    assert (first.heading, first.eyebrow) == ("Where is the end?", "The measurement")
    assert (second.heading, second.eyebrow) == ("Again", "The measurement")
    assert "A short one." in first.body
    assert "a longer one" in first.body
    assert second.body.count("<img") == 3
    assert re.findall(r'end-words">([^<]*)', second.body) == ["epoch: 0", "epoch: 2"]
    assert "end-words" not in first.body
    assert "--ratio:1.6822" in first.body


def test_a_diagram_comes_with_its_own_style() -> None:
    drawn = '<div class="diagram"><style>.box{}</style><svg></svg></div>'
    page = re.sub(r'(?s)<img class="dark-light[^>]*>', drawn, PAGE, count=1)
    deck = read_deck(page, "clouds")
    assert deck is not None
    shown = [slide.body for slide in deck.slides if slide.kind == "figure"]
    assert drawn in shown[0]
    assert not any(".frames{}" in body for body in shown)


def test_a_claim_keeps_its_subject_whatever_stands_before_it() -> None:
    bold = "<strong>Clouds part</strong>; so the abstract of"
    for said, claim in [
        ("According to the abstract of [], <strong>clouds part</strong>. More.", "Clouds part."),
        ("[] claim that <strong>clouds part</strong>. More.", "Name claim that clouds part."),
    ]:
        cited = re.search(r'(?s)<span class="bibtex-citation">.*?</span>', PAGE)
        assert cited is not None
        page = re.sub(rf"(?s)<p>{bold}.*?</p>", f"<p>{said}</p>", PAGE)
        page = page.replace("[]", cited[0])
        deck = read_deck(page, "clouds")
        assert deck is not None
        assert BeautifulSoup(deck.claim, "html.parser").get_text() == claim


def test_what_may_and_may_not_be_said_keep_their_labels_and_reasons() -> None:
    section = """<section id="s8"><h2>What may be said</h2><p><strong>May be said.</strong> So:</p>
    <div class="cell"><blockquote><div><p>They part.</p></div></blockquote><blockquote><div><p>Two.
    </p></div></blockquote></div><p><strong>May not be said.</strong> Never:</p>
    <ul><li><p><em>"They rain."</em> That is a question of water.</p></li></ul></section>"""
    deck = read_deck(PAGE.replace('<section id="s5">', f'{section}<section id="s5">'), "clouds")
    assert deck is not None
    body = next(s.body for s in deck.slides if s.heading == "What may be said")
    said = " ".join(BeautifulSoup(body, "html.parser").get_text(" ").split())
    assert said == (
        'May be said They part. May not be said "They rain." That is a question of water.'
    )


def test_code_to_copy_is_on_a_slide_and_other_code_is_not() -> None:
    code = '<div class="highlight-python notranslate"><pre>print(1)</pre></div>'
    sections = "".join(
        f'<section id="{name[:4]}"><h2>{name}</h2>{code}</section>'
        for name in ("Lines to copy", "More")
    )
    deck = read_deck(PAGE.replace('<section id="s5">', f'{sections}<section id="s5">'), "clouds")
    assert deck is not None
    assert [s.heading for s in deck.slides if "print(1)" in s.body] == ["Lines to copy"]


def test_a_tall_figure_gets_the_height_of_the_slide_and_a_short_card_is_whole(small: Deck) -> None:
    deck = read_deck(PAGE.replace('height="365"', 'height="793"'), "clouds")
    assert deck is not None
    assert [s.kind for s in deck.slides if "figure" in s.kind] == ["figure tall"] * 2
    cards = next(slide.body for slide in small.slides if slide.kind == "cards")
    assert "a standstill. And more." in cards


def test_no_solution_and_no_link_is_on_a_slide(small: Deck) -> None:
    page = slides.deck_page(small)
    assert "Very far indeed" not in page
    inside = "".join(slide.body + slide.heading + "".join(slide.notes) for slide in small.slides)
    assert not re.search(r"<a\b|href=|\[\d|\\\(", inside)


def test_formulas_become_mathml_side_by_side_ones_one_under_the_other(small: Deck) -> None:
    body = next(slide.body for slide in small.slides if slide.kind == "formula")
    assert body.count('display="block"') == 2
    assert "(4)" in body
    assert "<mo>&#x0002C;</mo>" not in body
    assert re.search(r'class="lead">With \S*<math', body), "what its letters are"
    braced = mathml(r"\underbrace{\sum_{i=1}^n a_i}_{\text{all}}", True)
    assert '<mrow class="braced"><mrow><munderover>' in braced
    assert "23DF" not in braced
    with pytest.raises(ValueError, match="frac"):
        mathml(r"\frac{1}{")


def test_a_page_without_objectives_has_no_deck_and_a_foreign_page_is_refused() -> None:
    assert read_deck(PAGE.replace("tip admonition", "note admonition"), "clouds") is None
    with pytest.raises(ValueError, match="foreign"):
        read_deck("<html><p>nothing</p></html>", "foreign")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("Wang et al. say so. Two.", "Wang et al. say so."),
        ("At 0.5 <b>it</b> ends? No.", "At 0.5 it ends?"),
        ("See Fig. 3 first. Two.", "See Fig. 3 first."),
        ("No end", "No end"),
    ],
)
def test_the_first_sentence_ends_where_it_ends(text: str, first: str) -> None:
    paragraph = BeautifulSoup(f"<p>{text}</p>", "html.parser").p
    assert paragraph is not None
    assert first_sentence(paragraph) == first


def test_a_sentence_of_two_words_takes_the_next_one_along() -> None:
    paragraph = BeautifulSoup("<p>How much. A curve can be flat. Three.</p>", "html.parser").p
    assert paragraph is not None
    assert first_sentence(paragraph, 6) == "How much. A curve can be flat."


def test_questions_come_from_the_guide() -> None:
    guide = '<div class="discuss-clouds"><ul><li><p>Why <a href="x">so</a>?</p></li></ul></div>'
    assert questions_of(guide, "clouds") == ["<p>Why so?</p>"]
    assert questions_of(guide, "other") == []


def test_a_book_that_is_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make book"):
        slides.build(tmp_path / "nothing", tmp_path / "out")


# In the browser, from the built book.

CHAPTERS = [
    Path(page).name
    for _, page in toc(ROOT)
    if "} What you will be able to do" in (ROOT / f"{page}.md").read_text("utf8")
]


@pytest.fixture(scope="session")
def decks(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The decks of the built book, written now."""
    folder = tmp_path_factory.mktemp("slides")
    slides.build(site, folder, ROOT)
    return folder


@pytest.fixture
def page(offline_page: Any) -> Iterator[Any]:
    offline_page.set_viewport_size({"width": 1280, "height": 720})
    return offline_page


STATE = """(() => {
  const slide = document.querySelector(".slide.now");
  return {
    shown: [...document.querySelectorAll(".slide")].filter(s => s.offsetParent !== null).length,
    hash: location.hash, number: document.querySelector("#number").textContent,
    high: slide.scrollHeight - slide.clientHeight, wide: slide.scrollWidth - slide.clientWidth,
    pictures: [...slide.querySelectorAll(".frames img:not([hidden])")]
      .map(i => i.getBoundingClientRect())
      .map(r => [r.width, r.height, r.left, r.right, r.top, r.bottom]),
    undrawn: /\\\\\\(|\\\\\\[|\\$\\$/.test(slide.innerText),
  };
})()"""

REACH = """() => [
  document.documentElement.scrollWidth - document.documentElement.clientWidth,
  [...document.querySelectorAll("#bar button")].filter(button => button.checkVisibility())
    .map(button => button.getBoundingClientRect()).map(box => [box.left, box.right]),
]"""


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", CHAPTERS)
def test_every_slide_can_be_reached_and_fits(name: str, theme: str, page: Any, decks: Path) -> None:
    page.emulate_media(color_scheme=theme)
    page.goto((decks / f"{name}.html").as_uri())
    count = page.locator(".slide").count()
    assert count >= 10
    for number in range(1, count + 1):
        found = page.evaluate(STATE)
        assert found["shown"] == 1
        assert found["number"] == f"{number} / {count}"
        assert found["high"] <= 0, f"slide {number} is too high by {found['high']}"
        assert found["wide"] <= 0, f"slide {number} is too wide by {found['wide']}"
        assert not found["undrawn"], f"a formula on slide {number} was not drawn"
        for width, height, left, right, _, bottom in found["pictures"]:
            assert max(width / 1280, height / 720) > 0.65, "too small for the back row"
            assert left >= 0
            assert right <= 1280
            assert bottom <= 720
        page.keyboard.press("ArrowRight")
    assert page.evaluate("location.hash") == f"#{count}"
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    light = sum(int(c) for c in re.findall(r"\d+", background)[:3]) > 380
    assert light == (theme == "light")


@pytest.mark.browser
@pytest.mark.parametrize("name", CHAPTERS)
def test_each_figure_of_the_chapter_is_in_its_deck(name: str, site: Path, decks: Path) -> None:
    chapter = BeautifulSoup((site / f"book/{name}.html").read_text("utf8"), "html.parser")
    deck = BeautifulSoup((decks / f"{name}.html").read_text("utf8"), "html.parser")
    for figure in chapter.select("figure.frames-figure"):
        caption = deck.select_one(f'[data-figure="{figure["id"]}"]')
        if figure.select_one(".explorer"):
            assert caption is None, "an explorer does not fit a slide"
            continue
        slide = caption.find_parent("section")
        there = [image["src"] for image in slide.select(".frames img")]
        assert there == [image["src"] for image in figure.select("img")]


@pytest.mark.browser
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_deck_is_one_file_with_what_a_lecture_needs(name: str, decks: Path) -> None:
    text = (decks / f"{name}.html").read_text("utf8")
    bare = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.findall(r"(?:src|href)=\"(?!data:|index\.html)[^\"]+\"", bare)
    assert not re.findall(r"https?://(?!www\.w3\.org)", bare)
    assert len(text) < 3_000_000
    assert "# solution" not in text
    kinds = set(re.findall(r'<section class="slide (\w+)', text))
    assert {"title", "objectives", "figure", "takeaways", "discussion", "exercise"} <= kinds
    deck = BeautifulSoup(text, "html.parser")
    assert all(image.get("alt") for image in deck.select("img"))
    assert len(deck.select("h1")) == 1


@pytest.mark.browser
def test_keys_buttons_hash_and_overview(page: Any, decks: Path) -> None:
    page.goto(f"{(decks / 'clusters-emerge.html').as_uri()}#3")
    now = "document.querySelector('.slide.now').id"
    count = page.locator(".slide").count()
    assert page.evaluate(now) == "slide-3"
    for key, slide in [
        ("PageDown", 4), (" ", 5), ("ArrowLeft", 4), ("PageUp", 3), ("End", count),
        ("ArrowRight", count), ("Home", 1), ("ArrowLeft", 1),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate(now) == f"slide-{slide}", key
    page.get_by_role("button", name="Next slide").click()
    assert page.evaluate(now) == "slide-2"
    page.keyboard.press("o")
    assert page.locator("#overview button").count() == count
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate(now) == "slide-3"
    page.keyboard.press("Escape")
    assert page.locator("#overview").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#overview").is_visible()
    assert page.evaluate(now) == "slide-3"
    page.evaluate("location.hash = '#5'")
    page.wait_for_function(f"{now} === 'slide-5'")
    before = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != before
    page.keyboard.press("s")
    assert page.locator(".slide.now .notes").is_visible()


@pytest.mark.browser
def test_a_slider_moves_its_picture_and_gives_the_keys_back(page: Any, decks: Path) -> None:
    page.goto((decks / "clusters-emerge.html").as_uri())
    moving = page.locator(".slide:has(input[type=range])").first
    number = moving.get_attribute("id").removeprefix("slide-")
    page.evaluate(f"location.hash = '#{number}'")
    slider = moving.locator("input[type=range]")
    slider.focus()
    before = moving.locator("img:not([hidden])").get_attribute("src")
    last = int(slider.input_value())
    page.keyboard.press("ArrowLeft")
    assert slider.input_value() == str(last - 1)
    assert moving.locator("img:not([hidden])").get_attribute("src") != before
    assert moving.is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert not moving.is_visible()
    page.keyboard.press("ArrowLeft")
    slider.focus()
    page.keyboard.press("PageDown")
    assert not moving.is_visible(), "a presenter's remote control turns the slide"


@pytest.mark.browser
def test_the_ends_of_a_slider_stand_side_by_side_when_asked_for_and_on_paper(
    page: Any, decks: Path
) -> None:
    page.goto((decks / "clusters-emerge.html").as_uri())
    moving = page.locator(".slide:has(input[type=range])").first
    page.evaluate(f"location.hash = '#{moving.get_attribute('id').removeprefix('slide-')}'")
    shown = moving.locator(".frames img:visible")
    assert shown.count() == 1
    moving.get_by_role("button", name="First and last").click()
    names = [word.inner_text() for word in moving.locator(".end-words").all()]
    left, right = (image.bounding_box() for image in shown.all())
    assert left["x"] + left["width"] <= right["x"]
    assert left["y"] == right["y"]
    assert len(set(names)) == 2
    moving.get_by_role("button", name="First and last").click()
    assert shown.count() == 1
    page.emulate_media(media="print")
    assert shown.count() == 2


@pytest.mark.browser
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_deck_fits_a_phone(name: str, offline_page: Any, decks: Path) -> None:
    offline_page.set_viewport_size({"width": 360, "height": 740})
    offline_page.goto((decks / f"{name}.html").as_uri())
    for _ in range(offline_page.locator(".slide").count()):
        wide, buttons = offline_page.evaluate(REACH)
        assert wide <= 0
        assert len(buttons) > 1
        assert all(left >= 0 and right <= 360 for left, right in buttons), "a button out of reach"
        offline_page.keyboard.press("ArrowRight")


@pytest.mark.browser
def test_a_swipe_turns_the_slide(page: Any, decks: Path) -> None:
    page.goto((decks / "compression.html").as_uri())
    page.evaluate(
        """() => {
          const slide = document.querySelector(".slide.now");
          const touch = x => new Touch({identifier: 1, target: slide, clientX: x, clientY: 300});
          const send = (kind, x, all) => slide.dispatchEvent(new TouchEvent(kind, {
            bubbles: true, touches: all, changedTouches: [touch(x)]}));
          send("touchstart", 600, [touch(600)]); send("touchend", 300, []);
        }"""
    )
    assert page.evaluate("location.hash") == "#2"


@pytest.mark.browser
def test_printing_gives_a_page_for_each_slide(page: Any, decks: Path) -> None:
    page.goto((decks / "time-and-depth.html").as_uri())
    count = page.locator(".slide").count()
    paper = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == count


@pytest.mark.browser
def test_the_index_leads_to_every_deck(page: Any, decks: Path) -> None:
    page.goto((decks / "index.html").as_uri())
    links = [link.get_attribute("href") for link in page.locator("main li a").all()]
    assert links == [f"{name}.html" for name in CHAPTERS]
    assert all((decks / link).is_file() for link in links)
