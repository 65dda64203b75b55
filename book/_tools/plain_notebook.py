"""A chapter as a notebook in the plain Markdown that Jupyter and Colab draw.

Solutions fold away or are left out; exercises become headings, boxes become quotations, and
references to terms, pages, figures and equations become words and links.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
from chapter_source import Block, blocks, equations, figures, figures_of, title_of
from pybtex.database import parse_file

_ROLE = re.compile(r"\{(?P<name>[a-z:]+)\}`(?P<text>[^`]+)`")
# Words that a citation completes: "the abstract of ...", "as ... claim".
_GOVERNING = re.compile(r"\b(of|what|as|by|from|in|to|see)\s+$")
_SENTENCE_BEGINS = re.compile(r"(^|[.?!*]\s+|\n\n)\**$")
_QUOTED = ("admonition", "note", "tip", "warning", "important", "seealso", "hint", "caution")


@dataclass(frozen=True)
class References:
    """What the words of any chapter may refer to.

    Attributes:
        titles: heading of every page, by its name.
        links: address of every page that may be linked to, by its name.
        citations: names and year of every reference, by its key.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    citations: Mapping[str, str] = field(default_factory=dict)


def references(root: Path, links: dict[str, str]) -> References:
    """What the words of any chapter may refer to.

    Args:
        root: of the repository.
        links: address of every page that may be linked to, by its name.
    """
    pages = (root / "book").glob("*.md")
    titles = {page.stem: title_of(page.read_text("utf8")) or page.stem for page in pages}
    return References(titles, links, citations(root / "book/references.bib"))


def citations(bibliography: Path) -> dict[str, str]:
    """Names and year of every entry of a BibTeX file, by its key.

    Raises:
        ValueError: for an entry without an author or a year.
    """
    found = {}
    for key, entry in parse_file(str(bibliography), "bibtex").entries.items():
        try:
            people, year = entry.persons["author"], entry.fields["year"]
        except KeyError as error:
            raise ValueError(f"{bibliography.name}: {key}: expected a field {error}") from error
        names = [" ".join(map(str, person.rich_last_names)) for person in people]
        said = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        found[key] = f"{said}, {year}"
    return found


def plain_notebook(
    page: Path, text: str, book: References, solutions: bool = False
) -> nbformat.NotebookNode:
    """A chapter without outputs, and with names of cells that do not change by chance.

    Nothing in it says that it belongs to a Markdown file, so that no editor which keeps such
    pairs in step writes the plain text back over the source.

    Args:
        page: the file of the source, for its name.
        text: MyST Markdown.
        book: what the words of any chapter may refer to.
        solutions: fold them away; they are left out otherwise.

    Raises:
        ValueError: for Markdown of a kind that cannot be made plain; the message names the page.
    """
    notebook = jupytext.reads(text, fmt="md:myst")
    plain = PlainMarkdown(book, solutions, figures(text), equations(text))
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{page.stem}-{index}"
        if cell.cell_type == "code":
            plain.drawn += len(figures_of(cell.source))
            continue
        try:
            cell.source = plain(cell.source)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{page.name}: {error}") from error
    notebook.cells = [cell for cell in notebook.cells if cell.source]
    notebook.metadata.pop("jupytext", None)
    nbformat.validate(notebook)
    return notebook


@dataclass
class PlainMarkdown:
    """Makes one chapter's Markdown cells plain, in their order.

    Attributes:
        book: what the words may refer to.
        solutions: fold them away; they are left out otherwise.
        figures: names of the chapter's figures, in their order.
        equations: labels of its equations, in their order.
        drawn: how many of its figures stand above.
        exercises: how many of its exercises do.
    """

    book: References
    solutions: bool = False
    figures: Sequence[str] = ()
    equations: Sequence[str] = ()
    drawn: int = 0
    exercises: int = 0

    def __call__(self, text: str) -> str:
        """MyST Markdown without directives and roles.

        Raises:
            ValueError: for a directive or a role that has no form in plain Markdown.
        """
        return "\n\n".join(filter(None, map(self._block, blocks(text))))

    def _block(self, block: Block) -> str:
        if block.kind == "equation":
            return f"$$\n{block.body} \\tag{{{self.equations.index(block.name) + 1}}}\n$$"
        if block.kind == "words":
            return _ROLE.sub(self._role, block.text)
        if block.kind == "code":
            return block.text
        name, title, body = block.name, block.title, block.body
        if name == "solution":
            return _folded("Solution", self(body)) if self.solutions else ""
        if name == "dropdown":
            return _folded(title, self(body))
        if name == "exercise":
            self.exercises += 1
            return f"### Exercise {self.exercises}{': ' + title if title else ''}\n\n{self(body)}"
        if name in _QUOTED:
            lines = [f"**{title or name.capitalize()}**", "", *self(body).splitlines()]
            return "\n".join(f"> {line}".rstrip() for line in lines)
        raise ValueError(f"directive {{{name}}} {title}: it has no form in plain Markdown yet")

    def _role(self, match: re.Match[str]) -> str:
        name, target = match["name"], " ".join(match["text"].split())
        label = re.fullmatch(r"(.*?)\s*<(.*)>", target)
        words, target = (label[1], label[2]) if label else ("", target)
        before = match.string[: match.start()]
        if name == "cite":
            said = [self.book.citations[key.strip()] for key in target.split(",")]
            if _GOVERNING.search(before):
                return " and ".join(re.sub(r", (\d+)$", r" (\1)", one) for one in said)
            return f"({'; '.join(said)})"
        if name == "term":
            return words or target
        if name == "doc":
            page = target.strip("/")
            words, address = words or self.book.titles[page], self.book.links.get(page)
            return f"[{words}]({address})" if address else words
        if name == "eq":
            if target not in self.equations:
                return "(an equation of another page)"
            return f"({self.equations.index(target) + 1})"
        if name == "numref":
            where = self._figure(target)
            return where[0].upper() + where[1:] if _SENTENCE_BEGINS.search(before) else where
        raise ValueError(f"role {match[0]}: it has no form in plain Markdown yet")

    def _figure(self, name: str) -> str:
        """Where the figure `name` is, seen from here."""
        if name not in self.figures:
            return "a figure of another page"
        place = self.figures.index(name)
        near = {self.drawn - 1: "the figure above", self.drawn: "the figure below"}
        return near.get(place, f"figure {place + 1} of this notebook")


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
