"""Ask the book's checkers about the notebooks that a class handed in.

    python book/_tools/grade.py FOLDER                    a table, a row for each notebook
    python book/_tools/grade.py FOLDER --csv grades.csv   and a file, a row for each exercise

A notebook runs as it is, in a process and a folder of its own. Behind every exercise a cell is
put that loads the chapter's checkers afresh and calls the one that the book calls there, so
what counts is the answer and not what the cell shows.

This executes what students wrote, with the rights of whoever runs it: do so in a container or
on an account that has nothing to lose. It finds slips and cut corners, not deceit.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import nbformat
import pandas as pd
import sync
import tyro
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from student import MARK

from ssl_companion.io.atomic import atomic_file

ROOT = Path(__file__).resolve().parents[2]
RIGHT, NOT_YET, MISSING, NO_ANSWER = "right", "not yet", "missing", "no answer"
_CHANGED = "the checker's call was changed"
_CHECKERS = "ssl_companion.chapters.exercises"
_SAYS = "ssl-companion-grade:"
_ASK = f"""\
import importlib as _importlib, json as _json
import {_CHECKERS} as _base
_importlib.reload(_base)
check = _importlib.reload(_importlib.import_module("{_CHECKERS}.{{module}}"))
try:
    _found = {{call}}
    _said = [bool(_found.ok), str(_found.message)]
except Exception as _error:
    _said = [None, f"{{{{type(_error).__name__}}}}: {{{{_error}}}}"]
print("{_SAYS}" + _json.dumps(_said))
"""


@dataclass(frozen=True)
class Exercise:
    """An exercise as the book states it: the module of its checker, and the call."""

    name: str
    module: str
    call: str

    @property
    def function(self) -> str:
        """The call up to its arguments, such as `check.check_chance(`."""
        return self.call.split("(")[0] + "("


class Row(NamedTuple):
    """What came of one exercise of a notebook, or of a notebook that has no exercises.

    Attributes:
        file: the notebook's path below the folder that is graded.
        chapter: the page that it is of.
        exercise: its name in that chapter.
        result: `right`, `not yet`, `missing` or `no answer`.
        message: what the checker said.
        note: what is wrong with the notebook as a whole.
    """

    file: str
    chapter: str = ""
    exercise: str = ""
    result: str = ""
    message: str = ""
    note: str = ""


Book = Mapping[str, Sequence[Exercise]]


def book_exercises(root: Path = ROOT) -> Book:
    """The exercises of every chapter that has some, by its name."""
    found = {}
    for page in sync.chapters(root):
        notebook = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
        if exercises := [_exercise(cell) for cell in notebook.cells if _tagged(cell)]:
            found[page.stem] = exercises
    return found


def _exercise(cell: NotebookNode) -> Exercise:
    tree = ast.parse(cell.source)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    names = [name for node in imports if node.module == _CHECKERS for name in node.names]
    (module,) = [name.name for name in names if name.asname == "check"]
    return Exercise(_tagged(cell), module, ast.unparse(tree.body[-1]))


def _tagged(cell: NotebookNode) -> str:
    """The name of the exercise that a cell is for, or ""."""
    tags = cell.metadata.get("tags", []) if cell.cell_type == "code" else []
    return next((tag.removeprefix("exercise-") for tag in tags if tag.startswith("exercise-")), "")


def grade(folder: Path, timeout: float = 300, jobs: int = 1) -> list[Row]:
    """What came of every notebook of a folder and its subfolders, in the order of their paths.

    A row names its notebook by the path below `folder`: where every student has a folder, the
    files in them are called the same.

    Args:
        folder: with the notebooks, under any names.
        timeout: seconds that one cell may take.
        jobs: how many notebooks to run at once.

    Raises:
        FileNotFoundError: when there is no notebook.
    """
    files = sorted(p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if not files:
        raise FileNotFoundError(f"{folder}: no notebook (*.ipynb) in this folder or below it")
    book = book_exercises()
    with ThreadPoolExecutor(jobs) as pool:  # which wait: each notebook has a process of its own
        found = pool.map(lambda path: grade_notebook(path, folder, book, timeout), files)
        return [row for rows in found for row in rows]


def grade_notebook(path: Path, folder: Path, book: Book, timeout: float = 300) -> list[Row]:
    """Run a notebook that was handed in, and ask the book's checkers.

    Args:
        path: of the notebook; it is not changed.
        folder: the rows name the notebook by its path below it.
        book: the exercises of every chapter.
        timeout: seconds that one cell may take.

    Returns:
        A row for each exercise, or one with a note for a notebook of no chapter.
    """
    file = path.relative_to(folder).as_posix()
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # whatever a damaged file makes a reader raise
        return [Row(file, note=f"cannot be read: {type(error).__name__}")]
    chapter = _chapter(notebook, book)
    if chapter is None:
        return [Row(file, note="is of no chapter with exercises")]
    cells = {e.name: _cell(notebook, e) for e in book[chapter]}
    questions = {
        e.name: nbformat.v4.new_code_cell(_ASK.format(module=e.module, call=e.call))
        for e in book[chapter]
    }
    own = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for name, cell in cells.items():
        if cell is not None:
            place = next(i for i, one in enumerate(notebook.cells) if one is cell)
            notebook.cells.insert(place + 1, questions[name])
    note = _execute(notebook, timeout) or _first_error(own)
    return [
        Row(file, chapter, e.name, *_answer(e, cells[e.name], questions[e.name]), note)
        for e in book[chapter]
    ]


def _chapter(notebook: NotebookNode, book: Book) -> str | None:
    """The name that the student edition wrote down, or else the chapter of its checkers."""
    named = notebook.metadata.get(MARK, {})
    if isinstance(named, dict) and named.get("chapter") in book:
        return str(named["chapter"])
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    calls = {chapter: f"{_CHECKERS} import {book[chapter][0].module} as check" for chapter in book}
    return next((chapter for chapter, call in calls.items() if call in code), None)


def _cell(notebook: NotebookNode, exercise: Exercise) -> NotebookNode | None:
    """The exercise's cell: by its tag, or by the checker that it calls."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    by_tag = [cell for cell in cells if _tagged(cell) == exercise.name]
    return next(reversed(by_tag or [c for c in cells if exercise.function in c.source]), None)


def _execute(notebook: NotebookNode, timeout: float) -> str:
    """Run all cells, on through errors; words for a run that did not get to the end."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    environment.pop("SSL_COMPANION_BOOK", None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            client = NotebookClient(
                notebook, timeout=timeout, allow_errors=True, kernel_name="python3",
                resources={"metadata": {"path": folder}},
                extra_arguments=["--IPKernelApp.log_level=40"],
            )  # fmt: skip
            client.execute(env=environment)
    except CellTimeoutError:
        return f"stopped: a cell took more than {timeout:g} s"
    except DeadKernelError:
        return "stopped: its process died"
    return ""


def _first_error(own: Sequence[NotebookNode]) -> str:
    """Words for the first of the notebook's own code cells that failed."""
    for number, cell in enumerate(own, 1):
        for output in cell.outputs:
            if output.output_type == "error":
                return f"code cell {number} fails: {output.ename}: {output.evalue[:120]}"
    return ""


def _answer(
    exercise: Exercise, cell: NotebookNode | None, question: NotebookNode
) -> tuple[str, str]:
    """The result and the message of what the book's checker said to the cell that asked it."""
    if cell is None:
        return MISSING, "its cell is not in the notebook"
    lines = "".join(output.get("text", "") for output in question.outputs).splitlines()
    said = [line.removeprefix(_SAYS) for line in lines if line.startswith(_SAYS)]
    ok, message = json.loads(said[-1]) if said else (None, "the notebook did not get that far")
    result = {True: RIGHT, False: NOT_YET, None: NO_ANSWER}[ok]
    return result, f"{_CHANGED}; {message}" if _changed(cell, exercise) else message


def _changed(cell: NotebookNode, exercise: Exercise) -> bool:
    """Whether the exercise's cell no longer ends in the call that the book has there."""
    try:
        body = ast.parse(cell.source).body
    except SyntaxError:
        return exercise.function not in cell.source
    return not body or ast.unparse(body[-1]) != exercise.call


def table(rows: Sequence[Row]) -> str:
    """A line for each notebook: its file, chapter, how many are right, what is not."""
    lines = [("notebook", "chapter", "right", "not right", "note")]
    for file, group in groupby(rows, key=lambda row: row.file):
        answers = list(group)
        missed = [f"{a.exercise} ({a.result})" for a in answers if a.exercise and a.result != RIGHT]
        changed = [a.exercise for a in answers if a.message.startswith(_CHANGED)]
        notes = [answers[0].note, f"checker changed: {', '.join(changed)}" if changed else ""]
        right = sum(a.result == RIGHT for a in answers)
        count = f"{right}/{len(answers)}" if answers[0].exercise else ""
        note = "; ".join(filter(None, notes))
        lines.append((file, answers[0].chapter, count, ", ".join(missed), note))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def main(
    folder: tyro.conf.Positional[Path],
    csv: Path | None = None,
    timeout: float = 300,
    jobs: int = 1,
) -> None:
    """Grade a folder.

    Args:
        folder: with the notebooks, under any names.
        csv: file to write a row into for each exercise.
        timeout: seconds for a cell.
        jobs: notebooks to run at once.
    """
    try:
        rows = grade(folder, timeout, jobs)
    except FileNotFoundError as error:
        sys.exit(str(error))
    print(table(rows))
    if csv:
        with atomic_file(csv) as file:
            pd.DataFrame(rows).to_csv(file, index=False)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
