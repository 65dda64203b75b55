"""Another seed and another level in a chapter's first cell: the whole chapter follows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
import sync
from nbclient import NotebookClient

from ssl_companion.frames import BOOK_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
OTHER_LEVEL = {"fine": "coarse", "coarse": "seven", "seven": "coarse"}


def parameters(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """The cell that a reader is invited to change."""
    cells = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    return next(cells, None)


def changed(code: str) -> str:
    """The cell with another seed, and another level where it names one."""
    code = re.sub(r"^SEED = 0", "SEED = 1", code, flags=re.M)
    code = re.sub(r'^DATA, SEED = "auto", 0', 'DATA, SEED = "auto", 1', code, flags=re.M)
    level = r'^LEVEL = "(\w+)"'
    return re.sub(level, lambda m: f'LEVEL = "{OTHER_LEVEL[m[1]]}"', code, flags=re.M)


CHAPTERS = [
    chapter
    for chapter in sync.chapters(ROOT)
    if parameters(nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)) is not None
]


def test_every_finding_has_something_to_change() -> None:
    names = {chapter.stem for chapter in CHAPTERS}
    assert {"clusters-emerge", "the-regularizer", "compression", "time-and-depth"} <= names
    for chapter in CHAPTERS:
        cell = parameters(nbformat.read(chapter.with_suffix(".ipynb"), as_version=4))
        assert cell is not None
        assert changed(cell.source) != cell.source, f"{chapter.stem}: neither seed nor level"


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_the_chapter_follows(chapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)
    cell = parameters(notebook)
    assert cell is not None
    cell.source = changed(cell.source)
    monkeypatch.setenv(BOOK_VARIABLE, "html")  # every value of every slider is drawn
    monkeypatch.delenv("SSL_COMPANION_DATA", raising=False)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": ROOT / "book"}},
    )
    client.execute()
    outputs = json.dumps([c.get("outputs", []) for c in notebook.cells if c.cell_type == "code"])
    assert '"output_type": "error"' not in outputs
