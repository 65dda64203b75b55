"""The student edition: every chapter's notebook without solutions, in plain Markdown.

    python book/_tools/student.py            -> _build/student/<chapter>.ipynb and a zip of all
    python book/_tools/student.py --out O    into another folder

The stubs, their checkers and the hints stay, and so does the first cell, which fetches the rest
of the book where it is missing. `grade.py` reads what is handed in.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zipfile
from pathlib import Path

import nbformat
import sync
from address import address
from plain_notebook import plain_notebook, references

import ssl_companion

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
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for page in sync.chapters(root):
        target = out / f"{page.stem}.ipynb"
        _replace(target, student_notebook(page, root).encode("utf8"))
        written.append(target)
    _replace_zip(out / ARCHIVE, written)
    return written


def student_notebook(page: Path, root: Path = ROOT) -> str:
    """The student edition of one chapter as the text of a notebook.

    Raises:
        ValueError: for Markdown of a kind that cannot be made plain; the message names the page.
    """
    links = {chapter.stem: f"{chapter.stem}.ipynb" for chapter in sync.chapters(root)}
    text = address(root).written(page.read_text("utf8"))
    notebook = plain_notebook(page, text, references(root, links))
    version = ssl_companion.__version__
    if any("exercise" in cell.metadata.get("tags", []) for cell in notebook.cells):
        last = nbformat.v4.new_markdown_cell(_LINE.format(version=version))
        last["id"] = f"{page.stem}-hand-in"
        notebook.cells.append(last)
    notebook.metadata[MARK] = {"edition": "student", "chapter": page.stem, "version": version}
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _replace_zip(path: Path, members: list[Path]) -> None:
    """All notebooks in one file, the same bytes at every run."""
    temporary = path.with_suffix(".tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            entry = zipfile.ZipInfo(
                f"student-edition/{member.name}", date_time=(1980, 1, 1, 0, 0, 0)
            )
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.read_bytes())
    os.replace(temporary, path)


def main() -> int:
    """Write the student edition and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT / "_build/student", help="for the notebooks"
    )
    options = parser.parse_args()
    written = build(options.out)
    print(f"{len(written)} notebooks and {ARCHIVE}: {options.out.resolve().as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
