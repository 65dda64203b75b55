"""A chapter as a deck of slides: what each slide says, taken from the chapter's built page.

Nothing is written for the slides alone. The title slide has the claim, a figure's headline is
the question that the chapter asks of it, and so on, by the order that every chapter keeps:
claim, objectives, prediction, measurement, verdict, takeaways, exercises.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bs4 import BeautifulSoup
from bs4.element import Tag
from deck_section import SectionSlides, Slide, bullets
from page_text import clean, first_sentence, inside, plain

_SKIPPED = ("limits", "where this comes from", "where it came from", "what you need")
_SUMMARY = ("takeaways", "what to take along")
_LONGEST_LEAD = 60  # words


@dataclass(frozen=True)
class Deck:
    """The slides of one chapter; `name` is the page's, `title` its heading as text."""

    name: str
    title: str
    slides: tuple[Slide, ...]


def read_deck(page: str, name: str, questions: Sequence[str] = ()) -> Deck | None:
    """The deck of a built page, or None for a page that states no objectives.

    Args:
        page: the HTML of the page.
        name: of the page, for messages.
        questions: to discuss, as HTML; they come before the exercises.

    Raises:
        ValueError: for a page without an article or heading.
    """
    article = BeautifulSoup(page, "html.parser").select_one("article.bd-article")
    top = article.find("section") if article else None
    heading = top.find("h1") if isinstance(top, Tag) else None
    if not isinstance(top, Tag) or not isinstance(heading, Tag):
        raise ValueError(f"{name}: no article with a heading in this page; is it a built chapter?")
    objectives = top.select_one(":scope > .tip.admonition")
    if objectives is None:
        return None
    slides = [_title(top, heading), _objectives(objectives)]
    for section in top.find_all("section"):
        if re.fullmatch(r"h[23]", _heading(section).name if _heading(section) else ""):
            slides += _section(section)
    asked = [Slide("discussion", "To discuss", bullets(questions))] if questions else []
    first = next((i for i, s in enumerate(slides) if s.kind == "exercise"), len(slides))
    slides[first:first] = asked
    return Deck(name, plain(heading), tuple(slides))


def questions_of(guide: str, name: str) -> list[str]:
    """The questions to discuss that the built instructor's guide has for a chapter."""
    section = BeautifulSoup(guide, "html.parser").select_one(f".discuss-{name}")
    return [inside(item) for item in section.select("li")] if section else []


def _heading(section: Tag) -> Tag:
    found = section.find(["h1", "h2", "h3", "h4"], recursive=False)
    return found if isinstance(found, Tag) else Tag(name="none")


def _title(top: Tag, heading: Tag) -> Slide:
    opening = top.find("p", recursive=False)
    assert isinstance(opening, Tag)
    first = opening.contents[0]
    bold = isinstance(first, Tag) and first.name == "strong"
    claim = inside(first) + "." if bold and isinstance(first, Tag) else first_sentence(opening)
    cited = opening.select_one(".bibtex-citation a")
    source = ""
    if cited is not None:
        whole = re.sub(r"\s*URL: \S+$", "", str(cited.get("title", "")))
        source = f'<p class="source">{html.escape(whole)}</p>'
    return Slide("title", inside(heading), f'<p class="claim">{claim}</p>{source}')


def _objectives(box: Tag) -> Slide:
    title, listed = box.select_one(".admonition-title"), box.find("ul")
    assert isinstance(title, Tag)
    assert isinstance(listed, Tag)
    times = "".join(
        f'<p class="small">{inside(p)}</p>' for p in box.find_all("p", recursive=False)[1:]
    )
    return Slide("objectives", inside(title), str(clean(listed)) + times)


def _section(section: Tag) -> list[Slide]:
    heading = _heading(section)
    words = plain(heading).lower()
    blocks = [
        b
        for b in section.find_all(True, recursive=False)
        if b.name != "section" and b is not heading
    ]
    if words.startswith(_SKIPPED):
        return []
    if words.startswith("exercise"):
        return _exercises(section)
    if words.startswith(_SUMMARY):
        listed = section.find(["ul", "ol"])
        notes = [inside(block) for block in blocks if block.name == "p"]
        body = str(clean(listed)) if isinstance(listed, Tag) else ""
        return [Slide("takeaways", inside(heading), body, notes=notes)] if body else []
    if "prediction" in words:
        asked = _prediction(heading, blocks)
        walk = SectionSlides(
            heading, "", _above(section)
        )  # its figures are under the section's name
        return asked + [slide for slide in walk.slides(blocks) if slide.kind == "figure"]
    return SectionSlides(heading, _above(section)).slides(blocks)


def _above(section: Tag) -> str:
    """The heading of the section around this one, unless that is the chapter's own."""
    heading = _heading(parent) if (parent := section.find_parent("section")) else None
    return inside(heading) if heading is not None and heading.name != "h1" else ""


def _prediction(heading: Tag, blocks: Sequence[Tag]) -> list[Slide]:
    """The bold questions, with what is said before the first of them."""
    paragraphs = [b for b in blocks if b.name == "p"]
    asking = [p for p in paragraphs if p.find("strong")]
    if not asking:
        return []
    bold = [s for p in asking for s in p.find_all("strong") if plain(s).endswith(("?", "."))]
    opening = paragraphs[: paragraphs.index(asking[0])]
    lead = _before(asking[0]) or (inside(opening[-1]) if opening else "")
    if len(lead.split()) > _LONGEST_LEAD:
        lead = first_sentence(asking[0])
    lines = f'<p class="lead">{lead}</p>' if lead else ""
    lines += "".join(f'<p class="ask">{_capital(inside(s))}</p>' for s in bold)
    return [Slide("prediction", inside(heading), lines, notes=[inside(p) for p in paragraphs])]


def _before(paragraph: Tag) -> str:
    """What a paragraph says before its first bold words."""
    own = clean(paragraph)
    first = own.find("strong")
    assert isinstance(first, Tag)
    for later in [first, *first.next_siblings]:
        later.extract()
    return own.decode_contents().strip()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _exercises(section: Tag) -> list[Slide]:
    slides = []
    for box in section.select(".exercise.admonition"):
        number, body = (
            box.select_one(".caption-number"),
            box.select_one("#exercise-content, section"),
        )
        assert body is not None
        named = re.search(r"\((.*)\)", plain(box.select_one(".admonition-title") or box))
        lead = body.find("strong")
        if named:
            heading = html.escape(named[1])
        elif isinstance(lead, Tag):
            heading = inside(lead).rstrip(".")
            lead.decompose()
        else:
            heading = "Exercise"
        text = f"<div>{inside(body)}</div>"
        where = plain(number) if number else "Exercise"
        slides.append(Slide("exercise", heading, text, where))
    return slides
