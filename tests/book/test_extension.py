"""The Sphinx extension: numbered figures, honest caches, nothing from another host."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import sys
from pathlib import Path

import companion_card
import companion_stamp
import jupytext
import nbformat
import pytest
from companion_book import NumberFigures
from companion_downloads import from_cache, with_outputs
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from matplotlib.figure import Figure

from ssl_companion.chapters.plots.drawing import Drawing, box
from ssl_companion.chapters.widgets.diagram import diagram
from ssl_companion.chapters.widgets.slider import picture
from ssl_companion.recordings import open_recording

ROOT = Path(__file__).resolve().parents[2]


def emitted(name: str, caption: str) -> nodes.document:
    """A document with one output cell as myst-nb leaves it."""
    document = new_document("page", get_default_settings(Parser))
    page = picture(Figure(figsize=(1, 1)), name, caption, "an empty figure").html
    bundle = nodes.container(nb_element="mime_bundle")
    for kind, text in (("text/html", page), ("text/plain", "PageFigure()")):
        bundle += nodes.container(
            "", nodes.raw("", text, format="html" if "html" in kind else "text"), mime_type=kind
        )
    document += bundle
    return document


def test_a_picture_becomes_a_figure_that_can_be_referred_to() -> None:
    document = emitted("two-clouds", 'Points of "a" & b')
    NumberFigures(document).apply()
    (figure,) = document.findall(nodes.figure)
    assert figure["names"] == ["two-clouds"]
    assert document.nameids["two-clouds"] in figure["ids"]
    (caption,) = figure.findall(nodes.caption)
    assert caption.astext() == 'Points of "a" & b'
    (raw,) = document.findall(nodes.raw)
    assert 'alt="an empty figure"' in raw.astext()
    assert "<figure" not in raw.astext()
    assert "figcaption" not in raw.astext()
    assert raw.astext().count("<div") == raw.astext().count("</div>")


def test_a_diagram_becomes_a_figure_with_its_drawing_in_the_page() -> None:
    document = new_document("page", get_default_settings(Parser))
    page = diagram([Drawing("Two", "Two boxes.", 10, [box(0, 0, 5, 5)])], "two-boxes", "Boxes.")
    bundle = nodes.container(nb_element="mime_bundle")
    bundle += nodes.raw("", page.html, format="html")
    document += bundle
    NumberFigures(document).apply()
    (figure,) = document.findall(nodes.figure)
    assert figure["names"] == ["two-boxes"]
    (raw,) = document.findall(nodes.raw)
    assert "<svg" in raw.astext()
    assert "<figure" not in raw.astext()


def test_other_outputs_are_left_alone() -> None:
    document = new_document("page", get_default_settings(Parser))
    bundle = nodes.container(nb_element="mime_bundle")
    bundle += nodes.raw("", "<table></table>", format="html")
    document += bundle
    NumberFigures(document).apply()
    assert list(document.findall(nodes.figure)) == []
    assert bundle in document.children


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folders = ("measures", "chapters/widgets/assets/explorer")
    for name in (
        *(f"ssl_companion/{f}" for f in folders),
        "book/recordings/run",
        "book/assets",
        "tests",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "requirements.txt").write_text("numpy>=1.26\n# --- the book\njupytext>=1\n")
    (tmp_path / "ssl_companion/measures/ncc.py").write_text("A = 1\n")
    (tmp_path / "book/recordings/run/measures.csv.gz").write_text("epoch\n0\n")
    (tmp_path / "book/page.md").write_text("# Page\n")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("ssl_companion/measures/ncc.py", True),
        ("book/recordings/run/measures.csv.gz", True),
        ("requirements.txt", True),
        ("ssl_companion/new.py", True),
        ("ssl_companion/chapters/widgets/assets/explorer/map.js", True),
        ("book/assets/photographs.json", True),
        ("book/page.md", False),
        ("tests/test_new.py", False),
    ],
)
def test_outputs_are_kept_until_what_they_are_computed_from_changes(
    inputs: Path, path: str, counts: bool
) -> None:
    before = companion_stamp.inputs_digest(inputs)
    assert companion_stamp.inputs_digest(inputs) == before
    (inputs / path).write_text("# other\n")
    assert (companion_stamp.inputs_digest(inputs) != before) is counts


def test_an_upgraded_library_counts(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = companion_stamp.inputs_digest(inputs)
    monkeypatch.setattr(companion_stamp, "_version", lambda name: "99.0")
    assert companion_stamp.inputs_digest(inputs) != before


def test_the_footer_names_version_and_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    line = companion_stamp.footer(tmp_path)  # no repository: the day of the build
    assert '<time datetime="2023-11-14">14 November 2023</time>' in line
    assert re.search(r"Version \d+\.\d+\.\d+", line)


PAGE = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# Page

```{code-cell} ipython3
import os
from pathlib import Path

print("constant is", Path("../ssl_companion/constant.txt.py").read_text())
print("building:", os.environ["SSL_COMPANION_BOOK"])
```
"""


@pytest.mark.slow
def test_a_changed_package_is_executed_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    book = tmp_path / "book"
    book.mkdir()
    for name in ("_ext", "_tools", "_templates", "assets"):
        shutil.copytree(ROOT / "book" / name, book / name)
    (book / "references.bib").write_text("")
    for name in ("_config.yml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/page\n")
    (book / "page.md").write_text(PAGE)
    constant = tmp_path / "ssl_companion/constant.txt.py"
    constant.parent.mkdir()

    def build() -> tuple[str, str]:
        jupyter_book = Path(sys.executable).with_name("jupyter-book")
        command = [str(jupyter_book), "build", str(tmp_path), "-W", "-n"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr, (tmp_path / "_build/html/book/page.html").read_text()

    constant.write_text("1")
    log, page = build()
    assert "constant is 1" in page
    assert "building: html" in page
    assert "Executed notebook" in log
    assert "book/page.ipynb is missing: run `make notebooks`" in log
    notebook = jupytext.reads(PAGE, fmt="md:myst")
    notebook.cells[0].source = "Plain words."
    nbformat.write(notebook, book / "page.ipynb")
    log, page = build()
    offered = nbformat.read(tmp_path / "_build/html/_sources/book/page.ipynb", as_version=4)
    assert offered.cells[0].source == "Plain words."
    assert any(cell.get("outputs") for cell in offered.cells)
    assert "Executed notebook" not in log
    assert "constant is 1" in page
    constant.write_text("2")
    log, page = build()
    assert "constant is 2" in page
    assert len(list((tmp_path / "_build/.jupyter_cache").iterdir())) == 1


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        ("https://github.com/Some-One/a-book", "https://some-one.github.io/a-book/"),
        ("", ""),
    ],
)
def test_the_site_s_address_follows_from_the_repository_s(repository: str, address: str) -> None:
    assert companion_card.site_address(repository) == address


def test_the_card_shows_the_recording_s_numbers() -> None:
    recording = open_recording(companion_card.RECORDING, ROOT / "book/recordings")
    figure = companion_card.card(recording)
    assert (figure.get_size_inches() * figure.dpi).tolist() == [1200, 630]
    rows = recording.select(
        measure="ncc", level="fine", split="test", layer=recording.layers[-1]
    ).sort_values("epoch")["value"]
    words = [text.get_text() for text in figure.axes[0].texts]
    assert f"×{rows.iloc[-1] / rows.iloc[0]:.1f}\nits class" in words
    figure.draw_without_rendering()
    for text in figure.axes[0].texts:
        assert text.get_window_extent().x1 <= 1200, "cut off"


def _notebook(words: str, *codes: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(code) for code in codes]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(words), *cells])


def test_outputs_that_come_from_the_cache_are_offered_too(tmp_path: Path) -> None:
    executed = _notebook("Words", "1 + 1")
    executed.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    bare = copy.deepcopy(executed)
    executed.cells[1].outputs = [
        nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)
    ]
    cache = get_cache(tmp_path / "cache")
    cache.cache_notebook_bundle(CacheBundleIn(executed, "page.md"), check_validity=False)
    assert from_cache(bare, str(tmp_path / "cache")).cells[1].outputs == executed.cells[1].outputs
    other = _notebook("Words", "1 + 3")
    assert from_cache(other, str(tmp_path / "cache")) is other
    assert from_cache(executed, str(tmp_path / "none")) is executed


def test_a_downloaded_notebook_has_plain_words_and_the_outputs_of_the_page() -> None:
    executed = _notebook(":::{admonition} Words", "1 + 1", "x = 2")
    executed.cells[1].outputs = [
        nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)
    ]
    executed.cells[1].execution_count = 1
    once = with_outputs(_notebook("> Words", "1 + 1", "x = 2"), executed)
    assert once.cells[0].source == "> Words"
    assert once.cells[1].outputs[0].data == {"text/plain": "2"}
    assert not once.cells[2].outputs
    again = with_outputs(_notebook("> Words", "1 + 1", "x = 2"), once)  # a page left as it was
    assert again.cells[1].outputs == once.cells[1].outputs
    with pytest.raises(ValueError, match="make notebooks"):
        with_outputs(_notebook("> Words", "1 + 2", "x = 2"), executed)
