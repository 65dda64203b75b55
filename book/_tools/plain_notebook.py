"""A chapter's source as a notebook in plain Markdown, and what its words may refer to."""

from __future__ import annotations

import ast
import dataclasses
import re
import unicodedata
from pathlib import Path

import jupytext
import nbformat
from plain_markdown import References, count_exercises, plain_markdown

# Where a call that shows a figure has the figure's name among its arguments.
_NAME = {"picture": 1, "frames": 2, "explorer": 1}
_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*(.*?)^```", re.DOTALL | re.MULTILINE)
_LABEL = re.compile(r"^\$\$ \(([\w-]+)\)$", re.MULTILINE)


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
    known = dataclasses.replace(book, figures=figures(text), equations=_equations(text))
    drawn = exercises = 0
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{page.stem}-{index}"
        if cell.cell_type == "code":
            drawn += len(_figures_of(cell.source))
            continue
        before, exercises = exercises, exercises + count_exercises(cell.source)
        try:
            cell.source = plain_markdown(cell.source, known, drawn, before, solutions)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{page.name}: {error}") from error
    notebook.cells = [cell for cell in notebook.cells if cell.source]
    notebook.metadata.pop("jupytext", None)
    nbformat.validate(notebook)
    return notebook


def references(root: Path, links: dict[str, str]) -> References:
    """What the words of any chapter may refer to.

    Args:
        root: of the repository.
        links: address of every page that may be linked to, by its name.
    """
    pages = {page.stem: page.read_text("utf8") for page in sorted((root / "book").glob("*.md"))}
    return References(
        titles={stem: _title(text) or stem for stem, text in pages.items()},
        links=links,
        citations=citations((root / "book/references.bib").read_text("utf8")),
        pages={
            name: stem
            for stem, text in pages.items()
            for name in (*figures(text), *_equations(text))
        },
    )


def figures(text: str) -> tuple[str, ...]:
    """Names of a page's figures, in their order."""
    return tuple(name for code in _CELL.findall(text) for name in _figures_of(code))


def _equations(text: str) -> tuple[str, ...]:
    return tuple(_LABEL.findall(text))


def _figures_of(code: str) -> list[str]:
    """Names of the figures that a cell shows."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    shown = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id in _NAME]
    shown.sort(key=lambda call: call.lineno)
    return [ast.literal_eval(call.args[_NAME[call.func.id]]) for call in shown]  # type: ignore[attr-defined]


def _title(text: str) -> str:
    match = re.search(r"(?m)^# (.+)$", re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL))
    return match[1] if match else ""


def citations(bibliography: str) -> dict[str, str]:
    """Names and year of every entry of a BibTeX file, by its key."""
    found = {}
    for entry in re.split(r"(?m)^@", bibliography)[1:]:
        key = re.match(r"\w+\{([^,]+),", entry)
        author = re.search(r"(?m)^\s*author\s*=\s*\{(.*)\},?$", entry)
        year = re.search(r"(?m)^\s*year\s*=\s*\{?(\d+)", entry)
        if not key or not author or not year:
            raise ValueError(
                f"references.bib: an entry without key, author or year: {entry[:60]!r}"
            )
        names = [n.split(",")[0].strip("{} ") for n in author[1].split(" and ")]
        said = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}"
        said = f"{names[0]} et al." if len(names) > 2 else said
        found[key[1]] = f"{_letters(said)}, {year[1]}"
    return found


def _letters(text: str) -> str:
    """TeX's accents as the letters they make."""
    marks = {
        "'": "\u0301",
        "`": "\u0300",
        '"': "\u0308",
        "^": "\u0302",
        "~": "\u0303",
        "c ": "\u0327",
    }
    for mark, combining in marks.items():
        pattern = rf"\{{?\\{re.escape(mark)}\{{?(\\?\w)\}}?\}}?"
        text = re.sub(pattern, lambda m, c=combining: m[1].strip("\\") + c, text)  # type: ignore[misc]
    return unicodedata.normalize("NFC", re.sub(r"[{}]", "", text))
