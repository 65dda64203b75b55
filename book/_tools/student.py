"""The student edition: every chapter's notebook without solutions, in plain Markdown.

    python book/_tools/student.py            -> _build/student/<chapter>.ipynb and a zip of all
    python book/_tools/student.py --out O    into another folder

The stubs, their checkers and the hints stay, and so does the first cell, which fetches the rest
of the book where it is missing. `grade.py` reads what is handed in.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import sys
import zipfile
from pathlib import Path

import nbformat
import sync
from plain_markdown import References, count_exercises, plain_markdown

import ssl_companion

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = "student-edition.zip"
MARK = "ssl_companion"  # key of the notebook's metadata: edition, chapter, version
_NAME = {"picture": 1, "frames": 2, "explorer": 1}  # place of the figure's name among the arguments
_LABEL = re.compile(r"^\$\$ \(([\w-]+)\)$", re.MULTILINE)
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
    notebook = nbformat.reads(page.with_suffix(".ipynb").read_text("utf8"), as_version=4)
    known = references(notebook, root)
    drawn = exercises = 0
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            before = exercises
            exercises += count_exercises(cell.source)
            try:
                cell.source = plain_markdown(cell.source, known, drawn, before)
            except (KeyError, ValueError) as error:
                raise ValueError(f"{page.name}: {error}") from error
            if not cell.source:
                continue
        else:
            drawn += len(_figures(cell.source))
        cells.append(cell)
    version = ssl_companion.__version__
    if exercises:
        last = nbformat.v4.new_markdown_cell(_LINE.format(version=version))
        last["id"] = f"{page.stem}-hand-in"
        cells.append(last)
    notebook.cells = cells
    notebook.metadata[MARK] = {"edition": "student", "chapter": page.stem, "version": version}
    notebook.metadata.pop("jupytext", None)  # it is no pair of a Markdown file any more
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def references(notebook: nbformat.NotebookNode, root: Path = ROOT) -> References:
    """What a chapter's Markdown may refer to."""
    source = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    code = [c.source for c in notebook.cells if c.cell_type == "code"]
    return References(
        titles={page.stem: _title(page) for page in sorted((root / "book").glob("*.md"))},
        notebooks=tuple(page.stem for page in sync.chapters(root)),
        citations=citations((root / "book/references.bib").read_text("utf8")),
        figures=tuple(name for cell in code for name in _figures(cell)),
        equations=tuple(_LABEL.findall(source)),
    )


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
    import unicodedata

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


def _figures(code: str) -> list[str]:
    """Names of the figures that a cell shows."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    shown = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id in _NAME]
    shown.sort(key=lambda call: call.lineno)
    return [ast.literal_eval(call.args[_NAME[call.func.id]]) for call in shown]  # type: ignore[attr-defined]


def _title(page: Path) -> str:
    match = re.search(
        r"(?m)^# (.+)$", re.sub(r"\A---\n.*?\n---\n", "", page.read_text("utf8"), flags=re.S)
    )
    return match[1] if match else page.stem


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
