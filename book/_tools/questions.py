"""The exercises that the book states, and where a notebook that was handed in answers them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import sync
from hand_in import Question
from IPython.core.inputtransformer2 import TransformerManager
from student import MARK

ROOT = Path(__file__).resolve().parents[2]
_CHECKERS = "ssl_companion.chapters.exercises"
_LARGEST = 100 * 2**20  # bytes of a notebook
_MOST_ANSWERS = 20  # to one exercise
# What stands in front of Python: a cell's first line, or the beginning of a line.
_TIMED = re.compile(
    r"(?m)\A\s*%%(?:time|timeit|capture|prun)\b.*$"
    r"|^([ \t]*)%(?:time|timeit|prun)[ \t]+(?:-\S+[ \t]+(?:\d+[ \t]+)?)*"
)


@dataclass(frozen=True)
class Exercise:
    """An exercise as the book states it: the module of its checker, and its cell."""

    name: str
    module: str
    stub: str

    @property
    def call(self) -> ast.Call:
        """The call of the checker, in which the cell ends."""
        last = ast.parse(self.stub).body[-1]
        assert isinstance(last, ast.Expr)
        assert isinstance(last.value, ast.Call)
        return last.value

    @property
    def function(self) -> str:
        """The checker's name, such as `check_chance`."""
        return _function(self.call)


@dataclass(frozen=True)
class Cell:
    """A code cell that was handed in.

    Attributes:
        source: its code.
        exercise: that its tag names, or "".
        calls: of checkers in it: the checker, and the expression that it is asked about.
    """

    source: str
    exercise: str
    calls: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Chapter:
    """The exercises of a chapter, and its cell of parameters."""

    parameters: str
    exercises: Sequence[Exercise]


Book = Mapping[str, Chapter]


def book_exercises(root: Path = ROOT) -> Book:
    """The exercises of every chapter that has some, by its name."""
    found = {}
    for page in sync.chapters(root):
        cells = nbformat.read(page.with_suffix(".ipynb"), as_version=4).cells
        tagged = [(_exercise_of(cell.metadata.get("tags", [])), cell.source) for cell in cells]
        if exercises := [_exercise(name, stub) for name, stub in tagged if name]:
            parameters = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
            found[page.stem] = Chapter("\n".join(parameters), exercises)
    return found


def _exercise(name: str, stub: str) -> Exercise:
    imports = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    names = [name for node in imports if node.module == _CHECKERS for name in node.names]
    (module,) = [name.name for name in names if name.asname == "check"]
    return Exercise(name, module, stub)


def _exercise_of(tags: Sequence[str]) -> str:
    """The name of the exercise that a cell with these tags is for, or ""."""
    return next((tag.removeprefix("exercise-") for tag in tags if tag.startswith("exercise-")), "")


def read(path: Path) -> tuple[list[Cell], object]:
    """The code cells, of as much of a notebook as is there; the chapter it says that it is of."""
    if not path.is_file():
        raise FileNotFoundError("it is no file")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST // 2**20} MB; clear its outputs")
    notebook = json.loads(path.read_bytes().decode("utf-8-sig"))
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("it has no list of cells")
    cells = [cell for cell in notebook["cells"] if isinstance(cell, dict)]
    codes = [_cell(cell) for cell in cells if cell.get("cell_type") == "code"]
    return codes, _part(_part(notebook, "metadata"), MARK).get("chapter")


def _cell(cell: Mapping[str, Any]) -> Cell:
    source, tags = cell.get("source"), _part(cell, "metadata").get("tags")
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str))
    text = text.encode("utf8", "replace").decode()  # half of a pair of surrogates cannot be sent
    named = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return Cell(text, _exercise_of(named), calls_in(text))


def _part(of: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = of.get(key)
    return part if isinstance(part, dict) else {}


def chapter_of(named: object, cells: Sequence[Cell], book: Book) -> str | None:
    """The name that the student edition wrote down, or else the chapter of its checkers."""
    if isinstance(named, str) and named in book:
        return named
    code = "\n".join(cell.source for cell in cells)
    modules = {name: chapter.exercises[0].module for name, chapter in book.items()}
    calls = {name: f"{_CHECKERS} import {module} as" for name, module in modules.items()}
    return next((name for name, call in calls.items() if call in code), None)


def calls_in(source: str) -> list[tuple[str, str]]:
    """The calls of checkers in a cell, whatever the name of their module: checker and answer."""
    try:
        calls = [node for node in ast.walk(_tree(source)) if isinstance(node, ast.Call)]
        asked = [call for call in calls if _function(call).startswith("check_")]
        named = [[k.value for k in call.keywords if k.arg] for call in asked]
        given = [(call, [*call.args, *values]) for call, values in zip(asked, named, strict=True)]
        return [
            (_function(call), ast.unparse(values[0]))
            for call, values in given
            if values and not isinstance(values[0], ast.Starred)
        ]
    except Exception:  # whatever broken code makes a parser raise
        return []


def _tree(source: str) -> ast.Module:
    if len(source) > 10**6:
        raise ValueError("too long")
    try:
        return ast.parse(_TIMED.sub(r"\1", source))
    except SyntaxError:
        if len(source) > 20_000:  # it may take long, and nobody writes such a cell by hand
            raise
        source = _TIMED.sub(r"\1", source)
        return ast.parse(TransformerManager().transform_cell(source))  # with %magic and !commands


def _function(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def questions_of(exercise: Exercise, cells: Sequence[Cell]) -> list[Question]:
    """Behind each cell that has the exercise's tag or calls its checker, for each answer there."""
    found = []
    for place, cell in enumerate(cells):
        answers = [answer for name, answer in cell.calls if name == exercise.function]
        if cell.exercise == exercise.name:
            answers.append(ast.unparse(exercise.call.args[0]))
        found += [Question(exercise.name, place, answer) for answer in dict.fromkeys(answers)]
    return found[-_MOST_ANSWERS:]
