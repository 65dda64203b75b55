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
from page_text import clean, first_sentence, inside, mathml, plain

_SKIPPED = ("limits", "where this comes from", "where it came from", "what you need")
_SUMMARY = ("takeaways", "what to take along")
_OF_A_RULE = ("measured", "positive control", "negative controls")  # facts that a slide shows
_PARTS = (
    "figure.frames-figure, .companion-verdict, table.companion-table:not(.companion-verdict table)"
)
_EXPLAINS = re.compile(r"[a-z]|Here |Where |With ")  # goes on with the sentence of a formula
_BOLD = re.compile(r"<strong>(.*?)</strong>", re.DOTALL)
_LONG_CAPTION, _LEAD = 60, 12  # words
_LONGEST_LIST, _LONGEST_TABLE = 6, 8  # items, rows
_LONGEST_ITEMS, _CARD, _FEWEST_WORDS = 90, 60, 20  # words: of a whole list, a whole card, a cut one
_TALL = 1.1  # width over height of a picture that wants all the height of a slide
_TO_COPY = "to copy"  # in the heading of code that a slide shows


@dataclass
class Slide:
    """One slide; all texts are HTML.

    Attributes:
        kind: what it is, such as `figure` or `verdict`, with `tall` for a figure that is not wide;
            the style sheet knows it.
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

    @property
    def size(self) -> str:
        """How many words there are, `few`, `some` or `many`: few of them are drawn larger."""
        words = _count(self.body)
        return "few" if words <= 32 else "some" if words <= 60 else "many"


def _count(text: str) -> int:
    """How many words a piece of HTML has."""
    return len(BeautifulSoup(text, "html.parser").get_text().split())


@dataclass(frozen=True)
class Deck:
    """The slides of one chapter.

    Attributes:
        name: the page's.
        title: its heading as text.
        claim: what it is about, in a sentence of HTML.
        slides: in their order.
    """

    name: str
    title: str
    claim: str
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
    top = BeautifulSoup(page, "html.parser").select_one("article.bd-article section:has(> h1)")
    if top is None:
        raise ValueError(f"{name}: no article with a heading in this page; is it a built chapter?")
    objectives = top.select_one(":scope > .tip.admonition")
    if objectives is None:
        return None
    heading, opening = _found(top, "> h1"), _found(top, "> p")
    claim = _claim(opening)
    words = f'<p class="claim">{claim}</p>{_source(top)}'
    title = f'<div class="words">{words}</div>{_first_picture(top)}'
    slides = [Slide("title", inside(heading), title), *_paper(top), _objectives(objectives)]
    exercises: list[Slide] = []
    for section in top.find_all("section"):
        if head := section.find(["h2", "h3"], recursive=False):
            found = _section(section, head)
            (exercises if found and found[0].kind == "exercise" else slides).extend(found)
    asked = [Slide("discussion", "To discuss", bullets(questions))] if questions else []
    return Deck(name, plain(heading), claim, (*slides, *asked, *exercises))


def questions_of(guide: str, name: str) -> list[str]:
    """The questions to discuss that the built instructor's guide has for a chapter."""
    listed = BeautifulSoup(guide, "html.parser").select(f".discuss-{name} li")
    return [inside(item) for item in listed]


def _found(tag: Tag, selector: str) -> Tag:
    found = tag.select_one(f":scope {selector}")
    assert found is not None, f"{selector} in {tag.name} {tag.get('id')}"
    return found


def _claim(opening: Tag) -> str:
    """The claim in bold, with or without "according to the abstract of ..." before it."""
    bold = opening.find("strong")
    before = inside(opening).partition("<strong>")[0].strip()
    if isinstance(bold, Tag) and (not before or before.startswith("According to")):
        claim = inside(bold).rstrip(".")
        return f"{claim[:1].upper()}{claim[1:]}."
    return first_sentence(opening)


def _source(top: Tag) -> str:
    """The whole reference of what the chapter cites first."""
    cited = top.select_one(".bibtex-citation a")
    whole = re.sub(r"\s*URL: \S+$", "", str(cited.get("title", ""))) if cited else ""
    return f'<p class="source">{html.escape(whole)}</p>' if cited else ""


def _first_picture(top: Tag) -> str:
    """What the chapter's first moving figure shows before anything is moved, to look at."""
    moving = ".frames:has(input[type=range]):not(:has(.explorer))"
    image = top.select_one(f"{moving} img:not([hidden])")
    if image is None:
        return ""
    kind = " ".join(image.get("class") or [])
    return f'<img class="{kind}" alt="{html.escape(str(image["alt"]))}" src="{image["src"]}">'


def _paper(top: Tag) -> list[Slide]:
    """The box that says what the paper says."""
    for box in top.select(":scope > .admonition"):
        title = _found(box, ".admonition-title")
        if plain(title) == "In the paper":
            said = "".join(f"<p>{inside(p)}</p>" for p in box.select(":scope > p")[1:])
            return [Slide("paper", inside(title), said)]
    return []


def _objectives(box: Tag) -> Slide:
    times = (f'<p class="small">{inside(p)}</p>' for p in box.select(":scope > p")[1:])
    title, listed = _found(box, ".admonition-title"), _found(box, "ul")
    return Slide("objectives", inside(title), str(clean(listed)) + "".join(times))


def _section(section: Tag, heading: Tag) -> list[Slide]:
    words = plain(heading).lower()
    blocks = [b for b in section.select(":scope > :not(section)") if b is not heading]
    if words.startswith(_SKIPPED):
        return []
    if words.startswith("exercise"):
        return [_exercise(box) for box in section.select(".exercise.admonition")]
    if words.startswith(_SUMMARY):
        listed = section.find(["ul", "ol"])
        notes = [inside(block) for block in blocks if block.name == "p"]
        body = str(clean(listed)) if isinstance(listed, Tag) else ""
        return [Slide("takeaways", inside(heading), body, notes=notes)] if body else []
    outer = section.parent.find(["h2", "h3"], recursive=False) if section.parent else None
    above = inside(outer) if isinstance(outer, Tag) else ""
    if "prediction" in words:  # its figures are under the name of the section around it
        walked = _Section(above or inside(heading)).slides(blocks)
        return _prediction(heading, blocks) + [s for s in walked if "figure" in s.kind]
    return _Section(inside(heading), above).slides(blocks)


def _prediction(heading: Tag, blocks: Sequence[Tag]) -> list[Slide]:
    """The bold questions, with what is said before the first of them and between them."""
    paragraphs = [b for b in blocks if b.name == "p"]
    asking = [p for p in paragraphs if p.find("strong")]
    if not asking:
        return []
    opening = paragraphs[: paragraphs.index(asking[0])]
    lines = "".join(map(_questions, asking))
    if opening and lines.startswith('<p class="ask">'):
        lines = f'<p class="lead">{inside(opening[-1])}</p>{lines}'
    return [Slide("prediction", inside(heading), lines, notes=[inside(p) for p in paragraphs])]


def _questions(paragraph: Tag) -> str:
    """The bold questions of a paragraph, and the words before each of them.

    Whole sentences, and whatever comes before the first question, stand above it; other words
    begin the question: "And with one label, which is better?"
    """
    lines, words = "", ""
    parts = _BOLD.split(inside(paragraph))  # words and what is bold, by turns
    for before, ask in zip(parts[::2], parts[1::2], strict=False):
        if not plain(_parsed(ask)).endswith(("?", ".")):
            words += f"{before}<strong>{ask}</strong>"
            continue
        words = f"{words}{before}".strip()
        if words and lines and not words.endswith((".", "?", "!")):
            ask = f"{words} {ask}"
        elif words:
            lines += f'<p class="lead">{words}</p>'
        lines, words = f'{lines}<p class="ask">{ask[:1].upper()}{ask[1:]}</p>', ""
    return lines


def _exercise(box: Tag) -> Slide:
    number, body = box.select_one(".caption-number"), _found(box, "#exercise-content, section")
    named = re.search(r"\((.*)\)", plain(_found(box, ".admonition-title")))
    lead = body.find("strong")
    heading = html.escape(named[1]) if named else "Exercise"
    if not named and isinstance(lead, Tag):
        heading = inside(lead).rstrip(".")
        lead.decompose()
    where = plain(number) if number else "Exercise"
    return Slide("exercise", heading, f"<div>{inside(body)}</div>", where)


class _Section:
    """One section from its first block to its last; formulas and lists gather until a figure."""

    def __init__(self, heading: str, above: str = "") -> None:
        self.heading, self.above = heading, above
        self.verdict = "verdict" in heading.lower()
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
                self.cards[-1] += bullets(_items(block))
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
            said = inside(rest)
            if _count(said) > _CARD:
                said = first_sentence(rest, _FEWEST_WORDS)
            self.cards.append(f"<dt>{inside(first)}</dt><dd>{said}</dd>")

    def _outputs(self, block: Tag) -> None:
        quoted = block.select_one("blockquote")
        if quoted is not None:  # one of the sentences is enough to show their form
            sentence = quoted.select_one("p") or quoted
            self._wait(f"<blockquote>{inside(sentence)}</blockquote>")
        code = block if "highlight" in str(block.get("class")) else None
        if code is not None and _TO_COPY in self.heading.lower() and not self.waiting:
            self._wait(f"<pre><code>{html.escape(code.get_text().strip())}</code></pre>")
        for part in block.select(_PARTS):
            facts = _facts(part) if part.name == "table" else {}
            if part.select_one(".explorer"):
                continue  # has the height of a page, and is there to be moved by its reader
            if part.name != "table" or "threshold" in facts:
                self._gathered()
            if part.name == "figure":
                self._figure(part)
            elif part.name != "table":
                self._add("verdict", self.heading, _verdict(part))
            elif "threshold" in facts:
                self._add("rule", self.heading, _rule(facts))
            elif self.verdict and not self.found and len(part.find_all("tr")) <= _LONGEST_TABLE:
                self._add("table", self.heading, str(clean(part)))

    def _figure(self, figure: Tag) -> None:
        caption, picture = _found(figure, "figcaption .caption-text"), _found(figure, ".frames")
        number, ratio = figure.select_one(".caption-number"), 0.0
        for image in picture.select("img"):
            ratio = float(str(image["width"])) / float(str(image["height"]))
            image["style"] = f"--ratio:{ratio:.4f}"  # so that it can fill the room there is
        _say_the_ends(picture)
        for style in picture.find_all("style", recursive=False):  # a diagram keeps its own
            style.decompose()
        for named in picture.select(".frames-paper"):
            named.decompose()
        small = f"<b>{plain(number)}</b> " if number else ""
        questions = [s for p in self.said for s in p.find_all("strong") if plain(s).endswith("?")]
        headline = inside(questions[-1]) if questions else self.heading
        eyebrow = self.heading if questions else self.above
        words = small + inside(caption)
        long = " long" if len(plain(caption).split()) > _LONG_CAPTION else ""
        kind = "figure tall" if 0 < ratio < _TALL else "figure"
        body = f'{picture}<p class="caption{long}" data-figure="{figure["id"]}">{words}</p>'
        self._add(kind, headline, body, eyebrow)

    def _wait(self, part: str) -> None:
        """Keep a part for the slide that comes, under the bold words that introduce it."""
        first = next(iter(self.said[-1].contents), None) if self.said else None
        if isinstance(first, Tag) and first.name == "strong" and plain(first).endswith("."):
            part = f'<p class="label">{inside(first).rstrip(".")}</p>{part}'
        self.waiting.append(part)
        self.introduced = len(self.said)

    def _gathered(self) -> None:
        """What waits becomes a slide; words behind it belong to what comes next."""
        if self.waiting:
            body, self.waiting = "".join(self.waiting), []
            later, self.said = self.said[self.introduced :], self.said[: self.introduced]
            kind = "formula" if 'class="formula"' in body else "points"
            if kind == "formula" and "<ul>" not in body:  # then nothing says what its letters are
                explained = [p for p in later[:1] if _EXPLAINS.match(plain(p))]
                body = _lead(self.said[-1:]) + body + _lead(explained)
            self._add(kind, self.heading, body)
            self.said = later

    def _add(self, kind: str, heading: str, body: str, eyebrow: str = "") -> None:
        notes, self.said = [inside(p) for p in self.said], []
        self.found.append(Slide(kind, heading, body, eyebrow or self.above, notes))


def _lead(paragraphs: Sequence[Tag]) -> str:
    """A paragraph beside a formula, or what of it a slide has room for."""
    return "".join(f'<p class="lead">{first_sentence(p, _LEAD)}</p>' for p in paragraphs)


def _facts(table: Tag) -> dict[str, str]:
    """Rows of one name and one value; nothing for a table of another form."""
    rows = [(row.find_all("th"), row.find_all("td")) for row in table.select("tbody > tr")]
    if any(len(names) != 1 or len(values) != 1 for names, values in rows):
        return {}
    return {plain(name): inside(value) for (name,), (value,) in rows}


def _say_the_ends(picture: Tag) -> None:
    """Under the first and the last picture of a slider what they show, and a button for both."""
    images, label = picture.select("img"), picture.select_one(".frames-bar label")
    if label is None or not images:
        return
    for image in (images[0], images[-1]):
        said = html.escape(f"{plain(label)}: {image['data-shown']}")
        image["class"] = " ".join([*(image.get("class") or []), "end"])
        image.insert_after(_parsed(f'<p class="end-words">{said}</p>'))
    button = '<button type="button" data-ends aria-pressed="false">First and last</button>'
    _found(picture, ".frames-bar").append(_parsed(button))


def _parsed(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "html.parser")


def _rule(facts: dict[str, str]) -> str:
    shown = [key for key in _OF_A_RULE if key in facts]
    return f'<p class="big">{facts["threshold"]}</p>{_listed(facts, shown)}'


def _verdict(box: Tag) -> str:
    """The claim, the verdict, what was found, and that on a scale with its controls."""
    table = box.select_one("table.companion-table")  # none where there is no evidence to list
    facts = _facts(table) if table else {}
    claim = f"<p>{facts['claim']}</p>" if "claim" in facts else ""
    word = plain(_found(box, ".judged"))
    halfway = re.search("partly|undecided", word)
    mark = "partly" if halfway else "no" if "not " in word else "yes"
    forests = box.select(".forest")
    # Lines of their names; two more of each plot for its unit and its key.
    rows = 2 * len(forests) + sum(len(plain(n)) // 50 + 1 for n in box.select(".forest .name"))
    scales = "".join(map(str, forests))
    return (
        f'{claim}<p class="verdict-word {mark}">{word}</p>'
        f'<p class="result">{inside(_found(box, ".result"))}</p>'
        f'<div class="scales" style="--rows:{rows}">{scales}</div>'
    )


def _listed(facts: dict[str, str], keys: Sequence[str]) -> str:
    return f"<dl>{''.join(f'<dt>{key}</dt><dd>{facts[key]}</dd>' for key in keys)}</dl>"


def _items(listed: Tag) -> list[str]:
    """The items of a list, whole if a slide has room for them, else their first sentences."""
    items = listed.find_all("li", recursive=False)
    if _count(str(clean(listed))) <= _LONGEST_ITEMS:
        return [inside(item.find("p", recursive=False) or item) for item in items]
    return [first_sentence(item) for item in items]


def _formula(block: Tag) -> str:
    """A displayed formula with its number; parts that stand side by side, one under the other."""
    number = plain(eqno) if (eqno := block.select_one(".eqno")) else ""
    tex = block.get_text().split("\\[", 1)[-1].rsplit("\\]", 1)[0]
    tex = re.sub(r"\\(begin|end)\{(equation|split|align(ed)?)\*?\}", "", tex)
    parts = [tex]
    if "\\begin" not in tex:
        parts = re.split(r"\\\\|,?\s*\\qquad", tex.replace("&", ""))
    drawn = "".join(mathml(part, True) for part in parts if part.strip())
    return f'<div class="formula"><div>{drawn}</div><span>{number.rstrip("#")}</span></div>'


def bullets(items: Sequence[str]) -> str:
    """A list of the items, which are HTML."""
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
