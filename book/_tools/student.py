"""The student edition: every chapter's notebook without solutions, in plain Markdown.

    python book/_tools/student.py            -> _build/student/<chapter>.ipynb and a zip of all
    python book/_tools/student.py --out O    into another folder

The stubs, their checkers and the hints stay, and so does the first cell, which fetches the rest
of the book where it is missing. `grade.py` reads what is handed in.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import nbformat
import sync
import tyro
from address import address
from plain_notebook import References, plain_notebook, references

import ssl_companion
from ssl_companion.io.atomic import atomic_file

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = "student-edition.zip"
MARK = "ssl_companion"  # key of the notebook's metadata: edition, chapter, version
_LINE = "Student edition of version {version}: the exercises have no solutions here. Save the \
notebook with your answers, run from its first cell to its last, and hand in the file."


def build(out: Path, root: Path = ROOT) -> list[Path]:
    """Write the student edition of every page that is a notebook, and a zip of them.

    Args:
        out: the folder; what else is there stays.
        root: of the repository.

    Raises:
        ValueError: for Markdown of a kind that cannot be made plain; the message names the page.
    """
    pages = sync.chapters(root)
    book = references(root, {page.stem: f"{page.stem}.ipynb" for page in pages})
    notebooks = {f"{page.stem}.ipynb": student_notebook(page, book) for page in pages}
    for name, text in notebooks.items():
        with atomic_file(out / name) as file:
            file.write_text(text, encoding="utf8")
    with atomic_file(out / ARCHIVE) as file, zipfile.ZipFile(file, "w") as archive:
        for name, text in notebooks.items():  # without their times: the same bytes at every run
            entry = zipfile.ZipInfo(f"student-edition/{name}")
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return [out / name for name in notebooks]


def student_notebook(page: Path, book: References) -> str:
    """The student edition of one chapter as the text of a notebook."""
    text = address(ROOT).written(page.read_text("utf8"))
    notebook = plain_notebook(page, text, book)
    notebook.cells = [c for c in notebook.cells if "solutions" not in c.metadata.get("tags", [])]
    version = ssl_companion.__version__
    if any("exercise" in cell.metadata.get("tags", []) for cell in notebook.cells):
        last = nbformat.v4.new_markdown_cell(_LINE.format(version=version))
        last["id"] = f"{page.stem}-hand-in"
        notebook.cells.append(last)
    notebook.metadata[MARK] = {"edition": "student", "chapter": page.stem, "version": version}
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(out: Path = ROOT / "_build/student") -> None:
    """Write the student edition: the notebooks without solutions, and a zip of them.

    Args:
        out: folder for the notebooks.
    """
    print(f"{len(build(out))} notebooks and {ARCHIVE}: {out.resolve().as_uri()}")


if __name__ == "__main__":
    tyro.cli(main)
