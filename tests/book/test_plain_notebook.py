"""The notebooks beside the chapters: plain prose, solutions folded, links to the book online."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
import nbformat
import pytest
import sync
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sync.chapters(ROOT)
SITE = sync.site_url(sync.repository_url(ROOT))
SOLUTION = re.compile(r"^(`{3,})\{solution\} \S+\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
FOLDED = re.compile(
    r"^<details><summary>Solution</summary>\n\n(.*?)\n\n</details>$", re.DOTALL | re.MULTILINE
)
PYTHON = re.compile(r"^```python\n.*?^```$", re.DOTALL | re.MULTILINE)
DRAW = MarkdownIt("commonmark", {"html": True}).enable("table")

pytestmark = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)


def prose(chapter: Path) -> str:
    notebook = nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_no_directive_and_no_role_is_left(chapter: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", prose(chapter), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", "", text, flags=re.DOTALL)
    assert not re.search(r"\{[a-z:-]+\}|^:::|^```|^:[a-z]+:", text, re.MULTILINE)


def test_every_solution_is_there_folded_with_its_code_as_it_is(chapter: Path) -> None:
    folded = FOLDED.findall(prose(chapter))
    solutions = [match[2] for match in SOLUTION.finditer(chapter.read_text("utf8"))]
    assert len(folded) == len(solutions)
    for shown, source in zip(folded, solutions, strict=True):
        assert PYTHON.findall(shown) == PYTHON.findall(source)
        drawn = DRAW.render(f"<details><summary>Solution</summary>\n\n{shown}\n\n</details>")
        assert drawn.count("<details>") == drawn.count("</details>") == 1
        assert drawn.count("<pre><code") == len(PYTHON.findall(source))


def test_its_code_is_the_chapters(chapter: Path) -> None:
    source = jupytext.reads(chapter.read_text("utf8"), fmt="md:myst")
    notebook = nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)
    code = [
        [(c.source, c.metadata.get("tags", [])) for c in n.cells if c.cell_type == "code"]
        for n in (source, notebook)
    ]
    assert code[0] == code[1]


def test_links_lead_to_pages_of_the_book(chapter: Path) -> None:
    linked = re.findall(r"\]\(([^)\s]+)\)", prose(chapter))
    assert all(address.startswith("http") for address in linked), "Colab follows no other"
    own = [address.split("#")[0] for address in linked if address.startswith(SITE)]
    assert own or "{doc}" not in chapter.read_text("utf8")
    for address in own:
        assert (ROOT / address.removeprefix(f"{SITE}/")).with_suffix(".md").is_file()


def test_no_editor_takes_it_for_the_pair_of_its_source(chapter: Path) -> None:
    notebook = nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)
    assert "jupytext" not in notebook.metadata
    assert "formats:" not in chapter.read_text("utf8").split("\n---\n")[0]
