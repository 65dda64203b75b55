"""A chapter as a deck of slides: what each slide says, taken from the chapter's built page.

Nothing is written for the slides alone. The title slide has the claim, a figure's headline is
the question that the chapter asks of it, and so on, by the order that every chapter keeps:
claim, objectives, prediction, measurement, verdict, takeaways, exercises.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from bs4 import BeautifulSoup
from bs4.element import Tag
from page_text import clean, first_sentence, first_sentence_of, inside, mathml, plain

_SKIPPED = ("limits", "where this comes from", "where it came from", "what you need")
_SUMMARY = ("takeaways", "what to take along")
_LONGEST_LIST, _LONGEST_TABLE, _LONGEST_LEAD = 6, 8, 60  # items, rows, words


@dataclass
class Slide:
    """One slide; all texts are HTML.

    Attributes:
        kind: what it is, such as `figure` or `verdict`; the style sheet knows it.
        heading: its headline.
        body: what stands under the headline.
        eyebrow: the small line above it.
        notes: the chapter's own words around it, for the person who speaks.
    """

    kind: str
    heading: str
    body: str
    eyebrow: str = ""
    notes: list[str] = field(default_factory=list)


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
    asked = [Slide("discussion", "To discuss", _list(questions))] if questions else []
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
    times = "".join(f'<p class="small">{inside(p)}</p>' for p in box.find_all("p", recursive=False)[1:])
    return Slide("objectives", inside(title), str(clean(listed)) + times)


def _section(section: Tag) -> list[Slide]:
    heading = _heading(section)
    words = plain(heading).lower()
    blocks = [b for b in section.find_all(True, recursive=False) if b.name != "section" and b is not heading]
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
        walk = _Walk(heading, "", _above(section))  # its figures are under the section's name
        return asked + [slide for slide in walk.slides(blocks) if slide.kind == "figure"]
    return _Walk(heading, _above(section)).slides(blocks)


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


class _Walk:
    """One section from its first block to its last; formulas and lists gather until a figure."""

    def __init__(self, heading: Tag, above: str, instead: str = "") -> None:
        self.heading, self.above = instead or inside(heading), above
        self.verdict = "verdict" in plain(heading).lower()
        self.found: list[Slide] = []
        self.waiting: list[str] = []
        self.cards: list[str] = []
        self.said: list[Tag] = []

    def slides(self, blocks: Sequence[Tag]) -> list[Slide]:
        for block in blocks:
            if block.name == "p":
                self._paragraph(block)
            elif block.name == "ul" and self.cards:
                self.cards[-1] += str(_list(_items(block)))
            elif block.name == "ul" and len(block.find_all("li")) <= _LONGEST_LIST:
                self.waiting.append(_list(_items(block)))
            elif block.name == "div" and "math" in block.get("class", []):
                self.waiting.append(_formula(block))
            else:
                self._outputs(block)
        self._gathered()
        if self.cards:
            body = f"<dl>{''.join(self.cards)}</dl>"
            self._add("cards", "Read it with care", body, self.heading)
        if self.found:
            self.found[-1].notes += [inside(p) for p in self.said]
        return self.found

    def _paragraph(self, paragraph: Tag) -> None:
        """Words for the notes; under a verdict, what begins in bold is a card as well."""
        self.said.append(paragraph)
        first = paragraph.contents[0] if paragraph.contents else None
        if self.verdict and isinstance(first, Tag) and first.name == "strong":
            rest = clean(paragraph)
            rest.contents[0].extract()
            self.cards.append(f"<dt>{inside(first)}</dt><dd>{first_sentence(rest)}</dd>")

    def _outputs(self, block: Tag) -> None:
        for part in block.select("figure.frames-figure, table.companion-table"):
            facts = _facts(part) if part.name == "table" else {}
            if part.name == "figure":
                self._gathered()
                self._figure(part)
            elif "verdict" in facts:
                self._gathered()
                self._add("verdict", self.heading, _verdict(facts))
            elif "has to be" in facts:
                self._gathered()
                self._add("rule", self.heading, _rule(facts))
            elif self.verdict and not self.found and len(part.find_all("tr")) <= _LONGEST_TABLE:
                self._add("table", self.heading, str(clean(part)))

    def _figure(self, figure: Tag) -> None:
        caption = figure.select_one("figcaption .caption-text")
        number = figure.select_one(".caption-number")
        picture = figure.select_one(".frames")
        assert caption is not None
        assert picture is not None
        for image in picture.select("img"):
            ratio = float(str(image["width"])) / float(str(image["height"]))
            image["style"] = f"--ratio:{ratio:.4f}"  # so that it can fill the room there is
        for style in picture.select("style"):
            style.decompose()
        short = html.escape(first_sentence_of(plain(caption)))
        small = f"<b>{plain(number)}</b> " if number else ""
        questions = [s for p in self.said for s in p.find_all("strong") if plain(s).endswith("?")]
        headline = inside(questions[-1]) if questions else self.heading
        eyebrow = self.heading if questions else self.above
        body = f'{picture}<p class="caption" data-figure="{figure["id"]}">{small}{short}</p>'
        self._add("figure", headline, body, eyebrow)
        self.found[-1].notes.append(inside(caption))

    def _gathered(self) -> None:
        if self.waiting:
            body, self.waiting = "".join(self.waiting), []
            self._add("formula" if "<math" in body else "points", self.heading, body)

    def _add(self, kind: str, heading: str, body: str, eyebrow: str = "") -> None:
        notes, self.said = [inside(p) for p in self.said], []
        self.found.append(Slide(kind, heading, body, eyebrow or self.above, notes))


def _facts(table: Tag) -> dict[str, str]:
    """Rows of one name and one value; nothing for a table of another form."""
    rows = table.select("tbody > tr")
    if any(len(row.find_all("th")) != 1 or len(row.find_all("td")) != 1 for row in rows):
        return {}
    return {plain(row.find_all("th")[0]): inside(row.find_all("td")[0]) for row in rows}


def _rule(facts: dict[str, str]) -> str:
    shown = ("measured", "control", "because")
    lines = "".join(f"<dt>{key}</dt><dd>{facts[key]}</dd>" for key in shown if key in facts)
    return f'<p class="big">{facts["has to be"]}</p><dl>{lines}</dl>'


def _verdict(facts: dict[str, str]) -> str:
    word = facts["verdict"]
    mark = "yes" if word.startswith("reproduced") else "partly" if "partly" in word else "no"
    said = facts.get("claim") or facts.get("statement", "")
    hidden = ("claim", "statement", "verdict", "recordings", "note")
    rest = "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in facts.items() if k not in hidden)
    note = f'<p class="small">{facts["note"]}</p>' if "note" in facts else ""
    return f'<p>{said}</p><p class="verdict-word {mark}">{word}</p><dl>{rest}</dl>{note}'


def _exercises(section: Tag) -> list[Slide]:
    slides = []
    for box in section.select(".exercise.admonition"):
        number, body = box.select_one(".caption-number"), box.select_one("#exercise-content, section")
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


def _items(listed: Tag) -> list[str]:
    return [first_sentence(item) for item in listed.find_all("li", recursive=False)]


def _formula(block: Tag) -> str:
    """A displayed formula with its number; parts that stand side by side, one under the other."""
    number = plain(eqno) if (eqno := block.select_one(".eqno")) else ""
    tex = block.get_text().split("\\[", 1)[-1].rsplit("\\]", 1)[0]
    if "\\begin" not in tex:
        drawn = "".join(mathml(part, True) for part in re.split(r",?\s*\\qquad", tex))
    else:
        drawn = mathml(tex, True)
    return f'<div class="formula">{drawn}<span>{number.rstrip("#")}</span></div>'


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"
