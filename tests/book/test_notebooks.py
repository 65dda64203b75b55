"""The notebooks made of the chapters, with solutions and for students, in plain Markdown."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import jupytext
import nbformat
import plain_notebook
import pytest
import student
import sync
from bs4 import BeautifulSoup
from chapter_source import equations, figures
from markdown_it import MarkdownIt
from nbclient import NotebookClient
from plain_notebook import PlainMarkdown, References

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sync.chapters(ROOT)
SITE = sync.site_url(sync.repository_url(ROOT))
SOLUTION = re.compile(r"^(`{3,})\{solution\} \S+\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
FOLDED = re.compile(
    r"^<details><summary>Solution</summary>\n\n(.*?)\n\n</details>$", re.DOTALL | re.MULTILINE
)
PYTHON = re.compile(r"^```python\n.*?^```$", re.DOTALL | re.MULTILINE)
STUB = re.compile(r"^```\{code-cell\}[^\n]*\n:tags: \[exercise, [^\n]*\n(.*?)^```", re.S | re.M)
DRAW = MarkdownIt("commonmark", {"html": True}).enable("table")
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    student.build(folder, ROOT)
    return folder


@pytest.fixture(params=["with solutions", "for students"])
def notebook(chapter: Path, edition: Path, request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    """A chapter's notebook: the one beside its source, and the one of the student edition."""
    beside = chapter.with_suffix(".ipynb")
    path = beside if request.param == "with solutions" else edition / beside.name
    return nbformat.read(path, as_version=4)


def prose(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@each_chapter
def test_a_notebook_is_valid_and_its_markdown_is_plain(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    text = re.sub(r"^```.*?^```$", "", prose(notebook), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", "", text, flags=re.DOTALL)
    assert not re.search(r"\{[a-z:-]+\}|^:::|^```|^:[a-z]+:", text, re.MULTILINE)


@each_chapter
def test_code_is_the_chapters(chapter: Path, notebook: nbformat.NotebookNode) -> None:
    source = jupytext.reads(chapter.read_text("utf8"), fmt="md:myst")
    code = [
        [(c.source, c.metadata.get("tags", [])) for c in n.cells if c.cell_type == "code"]
        for n in (source, notebook)
    ]
    told = [cell for cell in code[0] if "solutions" not in cell[1]]  # what solutions give
    assert code[1] == (told if notebook.metadata.get("ssl_companion") else code[0])


@each_chapter
def test_every_exercise_is_stated_before_its_stub(
    chapter: Path, notebook: nbformat.NotebookNode
) -> None:
    tagged = [c for c in notebook.cells if "exercise" in c.metadata.get("tags", [])]
    assert len(tagged) == len(STUB.findall(chapter.read_text("utf8")))
    for number, cell in enumerate(tagged, 1):
        before = notebook.cells[notebook.cells.index(cell) - 1]
        assert before.cell_type == "markdown"
        assert re.search(rf"^### Exercise {number}\b", before.source, re.MULTILINE)


@each_chapter
def test_no_line_of_a_solution_is_left_for_students(chapter: Path, edition: Path) -> None:
    text = chapter.read_text("utf8")
    elsewhere = {line.strip() for line in SOLUTION.sub("", text).splitlines()}
    telling = {
        line.strip()
        for match in SOLUTION.finditer(text)
        for line in match[2].splitlines()
        if len(line.strip()) > 3 and line.strip() not in elsewhere
    }
    assert len(telling) >= len(STUB.findall(text)), "every solution adds a line to its stub"
    notebook = nbformat.read(edition / f"{chapter.stem}.ipynb", as_version=4)
    there = {line.strip() for cell in notebook.cells for line in cell.source.splitlines()}
    assert not telling & there
    assert not any(mark in line for line in there for mark in ("# solution", "{solution}"))


@each_chapter
def test_every_other_solution_is_folded_with_its_code_as_it_is(chapter: Path) -> None:
    folded = FOLDED.findall(prose(nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)))
    solutions = [match[2] for match in SOLUTION.finditer(chapter.read_text("utf8"))]
    assert len(folded) == len(solutions)
    for shown, source in zip(folded, solutions, strict=True):
        assert PYTHON.findall(shown) == PYTHON.findall(source)
        drawn = DRAW.render(f"<details><summary>Solution</summary>\n\n{shown}\n\n</details>")
        assert drawn.count("<details>") == drawn.count("</details>") == 1
        assert drawn.count("<pre><code") == len(PYTHON.findall(source))


@each_chapter
def test_links_lead_to_pages_of_the_book(
    chapter: Path, edition: Path, notebook: nbformat.NotebookNode
) -> None:
    linked = re.findall(r"\]\(([^)\s]+)\)", prose(notebook))
    for address in linked:
        if address.startswith(SITE):
            assert (ROOT / address.removeprefix(f"{SITE}/")).with_suffix(".md").is_file()
        elif student.MARK in notebook.metadata and not address.startswith("http"):
            assert (edition / address).is_file()
        else:
            assert address.startswith("http"), "Colab follows no other"
    assert linked or "{doc}" not in chapter.read_text("utf8")


@each_chapter
def test_no_editor_takes_it_for_the_pair_of_its_source(
    chapter: Path, notebook: nbformat.NotebookNode
) -> None:
    assert "jupytext" not in notebook.metadata
    assert "formats:" not in chapter.read_text("utf8").split("\n---\n")[0]


def test_the_edition_is_the_same_at_every_run(edition: Path, tmp_path: Path) -> None:
    student.build(tmp_path, ROOT)
    for path in edition.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    with zipfile.ZipFile(tmp_path / student.ARCHIVE) as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert names == {f"{chapter.stem}.ipynb" for chapter in CHAPTERS}


def test_equations_count_in_their_order_also_where_they_fold_away() -> None:
    one, two, three = (f"$$\nx\n$$ ({name})\n" for name in ("one", "two", "three"))
    page = f"{one}\n:::{{dropdown}} Formulas\nSo\n\n{two}:::\n\n{three}"
    assert equations(page) == ("one", "two", "three")


def test_directives_become_headings_quotations_and_details() -> None:
    book = References(
        titles={"hierarchy": "Hierarchy", "glossary": "Glossary"},
        links={"hierarchy": "hierarchy.ipynb"},
        citations={"a": "A et al., 2020", "b": "B, 1999"},
    )
    figures, equations = ("one", "two", "three"), ("first", "second")
    text = """\
:::{admonition} Before you begin
:class: tip

- Read {doc}`hierarchy` and {doc}`the words <glossary>`.
:::

{numref}`two` is beside {numref}`one` {cite}`a,b`, as {cite}`a` say. {numref}`three` too.
{numref}`map` as well.

$$
x = 1
$$ (second)

````{exercise} A name
:label: name

Find $x$ in {eq}`second` and {eq}`map`, with the {term}`views <View>`.
````

````{solution} name
:class: dropdown

```python
# solution: name
x = 1
```
````

:::{dropdown} Why?
Because.
:::
"""
    plain = PlainMarkdown(book, False, figures, equations, drawn=1, exercises=2)
    assert (
        plain(text)
        == """\
> **Before you begin**
>
> - Read [Hierarchy](hierarchy.ipynb) and the words.

The figure below is beside the figure above (A et al., 2020; B, 1999), as A et al. (2020) say. \
Figure 3 of this notebook too.
A figure of another page as well.

$$
x = 1 \\tag{2}
$$

### Exercise 3: A name

Find $x$ in (2) and (an equation of another page), with the views.

<details><summary>Why?</summary>

Because.

</details>"""
    )


@pytest.mark.parametrize("text", ["```{figure} x.png\n```\n", "See {ref}`there`."])
def test_what_has_no_plain_form_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"figure|ref"):
        PlainMarkdown(References())(text)


@pytest.mark.parametrize(
    ("authors", "said"),
    [
        (r"M{\"u}ller, A. and B, C.", "Müller and B, 2001"),
        ("Sanchez Giraldo, L. and B, C. and D, E.", "Sanchez Giraldo et al., 2001"),
        ("{The Team}", "The Team, 2001"),
    ],
)
def test_names_in_the_bibliography_are_read(authors: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "references.bib"
    file.write_text(f"@article{{key,\n  author = {{{authors}}},\n  year = {{2001}}\n}}\n", "utf8")
    assert plain_notebook.citations(file) == {"key": said}
    file.write_text("@article{key,\n  title = {No one}\n}\n", "utf8")
    with pytest.raises(ValueError, match=r"references.bib: key: expected a field 'author'"):
        plain_notebook.citations(file)


@pytest.mark.browser
@each_chapter
def test_figures_are_counted_as_in_the_built_page(chapter: Path, site: Path) -> None:
    built = BeautifulSoup((site / f"book/{chapter.stem}.html").read_text("utf8"), "html.parser")
    shown = tuple(str(figure["id"]) for figure in built.select("figure.frames-figure"))
    named = figures(chapter.read_text("utf8"))
    assert len(named) == len(shown)
    for name, there in zip(named, shown, strict=True):
        # A heading of the same name keeps it; Sphinx then counts: id1, id2.
        assert there == name or re.fullmatch(r"id\d+", there)


@pytest.mark.slow
def test_a_notebook_runs_to_its_end_with_its_stubs_untouched(edition: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(edition / "time-and-depth.ipynb", as_version=4)
    kept = {k: v for k, v in os.environ.items() if k != "SSL_COMPANION_BOOK"}
    paths = os.pathsep.join([str(ROOT), kept.get("PYTHONPATH", "")])
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources)
    client.execute(env=kept | {"PYTHONPATH": paths})
    tagged = [c for c in notebook.cells if "exercise" in c.metadata.get("tags", [])]
    said = [str(cell.outputs) for cell in tagged]
    assert len(said) == len(STUB.findall((ROOT / "book/time-and-depth.md").read_text("utf8")))
    assert all("Not yet" in one for one in said)
