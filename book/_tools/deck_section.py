"""The slides of one section of a chapter: its figures, formulas, lists, rule and verdict."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from bs4.element import Tag
from page_text import clean, first_sentence, first_sentence_of, inside, mathml, plain

_LONGEST_LIST, _LONGEST_TABLE, _FEWEST_WORDS = 6, 8, 6  # items, rows, of a card


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


class SectionSlides:
    """One section from its first block to its last; formulas and lists gather until a figure."""

    def __init__(self, heading: Tag, above: str, instead: str = "") -> None:
        self.heading, self.above = instead or inside(heading), above
        self.verdict = "verdict" in plain(heading).lower()
        self.found: list[Slide] = []
        self.waiting: list[str] = []
        self.cards: list[str] = []
        self.said: list[Tag] = []
        self.introduced = 0  # how many of the words stand before what waits

    def slides(self, blocks: Sequence[Tag]) -> list[Slide]:
        for block in blocks:
            if block.name == "p":
                self._paragraph(block)
            elif block.name == "ul" and self.cards:
                self.cards[-1] += str(bullets(_items(block)))
            elif block.name == "ul" and len(block.find_all("li")) <= _LONGEST_LIST:
                self._wait(bullets(_items(block)))
            elif block.name == "div" and "math" in (block.get("class") or ""):
                self._wait(_formula(block))
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
            said = first_sentence(rest, _FEWEST_WORDS)
            self.cards.append(f"<dt>{inside(first)}</dt><dd>{said}</dd>")

    def _outputs(self, block: Tag) -> None:
        for part in block.select("figure.frames-figure, table.companion-table"):
            facts = _facts(part) if part.name == "table" else {}
            if part.select_one(".explorer"):
                continue  # has the height of a page, and is there to be moved by its reader
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

    def _wait(self, part: str) -> None:
        self.waiting.append(part)
        self.introduced = len(self.said)

    def _gathered(self) -> None:
        """What waits becomes a slide; words behind it belong to what comes next."""
        if self.waiting:
            body, self.waiting = "".join(self.waiting), []
            later, self.said = self.said[self.introduced :], self.said[: self.introduced]
            self._add("formula" if "<math" in body else "points", self.heading, body)
            self.said = later

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
    return f'<div class="formula"><div>{drawn}</div><span>{number.rstrip("#")}</span></div>'


def bullets(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"
