"""One notebook that was handed in: which chapter it is, and what the book's checkers say of it.

The notebook runs as it is, in a process and a folder of its own. Behind every exercise a cell
is put that loads the chapter's checkers afresh and calls the one that the book calls there, so
what counts is the answer and not what the cell shows.
"""

from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import sync
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from student import MARK

ROOT = Path(__file__).resolve().parents[2]
RIGHT, NOT_YET, MISSING, NO_ANSWER = "right", "not yet", "missing", "no answer"
_SAYS = "ssl-companion-grade:"
_ASK = """\
import importlib as _importlib, json as _json
import ssl_companion.chapters.exercises as _base
_importlib.reload(_base)
check = _importlib.reload(_importlib.import_module("ssl_companion.chapters.exercises.{module}"))
try:
    _found = {call}
    _said = ["{name}", bool(_found.ok), str(_found.message)]
except Exception as _error:
    _said = ["{name}", None, f"{{type(_error).__name__}}: {{_error}}"]
print("{says}" + _json.dumps(_said))
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


@dataclass(frozen=True)
class Answer:
    """What came of one exercise: `right`, `not yet`, `missing` or `no answer`, and why."""

    exercise: str
    result: str
    message: str = ""


@dataclass(frozen=True)
class Report:
    """What came of one notebook; `note` says what is wrong with it as a whole.

    `file` is its name, or its path below the folder that is graded.
    """

    file: str
    chapter: str = ""
    answers: tuple[Answer, ...] = ()
    note: str = ""

    @property
    def right(self) -> int:
        """How many exercises are right."""
        return sum(answer.result == RIGHT for answer in self.answers)


def exercises_of(notebook: NotebookNode) -> tuple[Exercise, ...]:
    """The exercises of a notebook of the book, in order."""
    found = []
    for cell in notebook.cells:
        name = _tagged(cell)
        if name:
            tree = ast.parse(cell.source)
            module = next(
                alias.name
                for node in tree.body
                if isinstance(node, ast.ImportFrom)
                and node.module == "ssl_companion.chapters.exercises"
                for alias in node.names
                if alias.asname == "check"
            )
            found.append(Exercise(name, module, ast.unparse(tree.body[-1])))
    return tuple(found)


def book_exercises(root: Path = ROOT) -> dict[str, tuple[Exercise, ...]]:
    """The exercises of every chapter that has some, by its name."""
    found = {}
    for page in sync.chapters(root):
        notebook = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
        if exercises := exercises_of(notebook):
            found[page.stem] = exercises
    return found


def grade_notebook(
    path: Path, book: Mapping[str, tuple[Exercise, ...]], timeout: float = 300
) -> Report:
    """Run a notebook that was handed in, and ask the book's checkers.

    Args:
        path: of the notebook; it is not changed.
        book: the exercises of every chapter.
        timeout: seconds that one cell may take.

    Returns:
        A report in every case; what is wrong with the notebook stands in it.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # whatever a damaged file makes a reader raise
        return Report(path.name, note=f"cannot be read: {type(error).__name__}")
    chapter = _chapter(notebook, book)
    if chapter is None:
        return Report(path.name, note="is of no chapter with exercises")
    places = {e.name: _place(notebook, e) for e in book[chapter]}
    changed = [e.name for e in book[chapter] if _changed(notebook, places[e.name], e)]
    run = _with_questions(notebook, book[chapter], places)
    note = _execute(run, timeout)
    said = _said(run)
    answers = tuple(_answer(e, places[e.name], said) for e in book[chapter])
    answers = tuple(
        replace(a, message=f"the checker's call was changed; {a.message}")
        if a.exercise in changed
        else a
        for a in answers
    )
    return Report(path.name, chapter, answers, note)


def _tagged(cell: NotebookNode) -> str:
    tags = cell.metadata.get("tags", []) if cell.cell_type == "code" else []
    names = [tag.removeprefix("exercise-") for tag in tags if tag.startswith("exercise-")]
    return str(names[0]) if names else ""


def _chapter(notebook: NotebookNode, book: Mapping[str, tuple[Exercise, ...]]) -> str | None:
    """The name that the student edition wrote down, or else the chapter of its checkers."""
    named = notebook.metadata.get(MARK, {})
    if isinstance(named, dict) and named.get("chapter") in book:
        return str(named["chapter"])
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for chapter, exercises in book.items():
        if f"ssl_companion.chapters.exercises import {exercises[0].module} as check" in code:
            return chapter
    return None


def _place(notebook: NotebookNode, exercise: Exercise) -> int | None:
    """Index of the exercise's cell: by its tag, or by the checker that it calls."""
    cells = [(i, c) for i, c in enumerate(notebook.cells) if c.cell_type == "code"]
    by_tag = [i for i, cell in cells if _tagged(cell) == exercise.name]
    by_call = [i for i, cell in cells if exercise.function in cell.source]
    found = by_tag or by_call
    return found[-1] if found else None


def _changed(notebook: NotebookNode, place: int | None, exercise: Exercise) -> bool:
    """Whether the exercise's cell no longer ends in the call that the book has there."""
    if place is None:
        return False
    try:
        body = ast.parse(notebook.cells[place].source).body
    except SyntaxError:
        return exercise.function not in notebook.cells[place].source
    return not body or ast.unparse(body[-1]) != exercise.call


def _with_questions(
    notebook: NotebookNode, exercises: tuple[Exercise, ...], places: Mapping[str, int | None]
) -> NotebookNode:
    """A copy of the notebook that asks the book's checker behind every exercise."""
    run = nbformat.from_dict(notebook)
    behind = {places[e.name]: e for e in exercises if places[e.name] is not None}
    cells = []
    for index, cell in enumerate(notebook.cells):
        cells.append(cell)
        if index in behind:
            one = behind[index]
            code = _ASK.format(name=one.name, module=one.module, call=one.call, says=_SAYS)
            cells.append(nbformat.v4.new_code_cell(code, metadata={"asks": one.name}))
    run.cells = cells
    return run


def _execute(notebook: NotebookNode, timeout: float) -> str:
    """Run all cells, on through errors; words for the first cell that failed."""
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
    number = 0
    for cell in notebook.cells:
        number += cell.cell_type == "code" and "asks" not in cell.metadata
        for output in cell.get("outputs", []):
            if output.output_type == "error" and "asks" not in cell.metadata:
                return f"code cell {number} fails: {output.ename}: {output.evalue[:120]}"
    return ""


def _said(notebook: NotebookNode) -> dict[str, tuple[bool | None, str]]:
    """What the book's checkers said, by exercise."""
    found = {}
    for cell in notebook.cells:
        asked = cell.metadata.get("asks")
        text = "".join(o.get("text", "") for o in cell.get("outputs", []) if asked)
        for line in text.splitlines():
            if line.startswith(_SAYS):
                name, ok, message = json.loads(line.removeprefix(_SAYS))
                if name == asked:
                    found[name] = (ok, message)
    return found


def _answer(
    exercise: Exercise, place: int | None, said: Mapping[str, tuple[bool | None, str]]
) -> Answer:
    if place is None:
        return Answer(exercise.name, MISSING, "its cell is not in the notebook")
    ok, message = said.get(exercise.name, (None, "the notebook did not get that far"))
    return Answer(exercise.name, {True: RIGHT, False: NOT_YET, None: NO_ANSWER}[ok], message)
