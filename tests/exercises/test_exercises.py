"""Every exercise of every chapter: its solution passes its checker, its stub does not.

In a chapter the stub is a code cell tagged `exercise` and `exercise-NAME`, and its solution a
`python` block that begins with `# solution: NAME`. Both end in the call of the checker. They
run in the namespace of the chapter's first cell of parameters, and import what they need.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import matplotlib
import pytest

from ssl_companion.exercises import Checked
from ssl_companion.recordings import list_recordings

ROOT = Path(__file__).resolve().parents[2]
_SOLUTION = re.compile(r"```+ *python\n# solution: (?P<name>[\w-]+)\n(?P<code>.*?)```", re.DOTALL)


@cache
def cells(page: Path, tag: str) -> dict[str, str]:
    """Code cells with a tag, by the name of the exercise (or their number)."""
    found = {}
    for cell in jupytext.read(page).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and tag in tags:
            names = [t.removeprefix("exercise-") for t in tags if t.startswith("exercise-")]
            found[names[0] if names else str(len(found))] = cell.source
    return found


@cache
def solutions(page: Path) -> dict[str, str]:
    return {m["name"]: m["code"] for m in _SOLUTION.finditer(page.read_text("utf8"))}


PAGES = [page for page in sorted((ROOT / "book").glob("*.md")) if "exercise-" in page.read_text()]
EXERCISES = [
    pytest.param(page, name, id=f"{page.stem}:{name}")
    for page in PAGES
    for name in cells(page, "exercise")
]


def answer(page: Path, code: str) -> Any:
    """Run a stub or a solution after the chapter's parameters; the value of its last line."""
    matplotlib.use("agg")
    names: dict[str, Any] = {}
    for parameters in cells(page, "parameters").values():
        exec(parameters, names)
    tree = ast.parse(code)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), f"ends in {ast.unparse(last)!r}, not in a checker's call"
    exec(compile(tree, str(page), "exec"), names)
    return eval(compile(ast.Expression(last.value), str(page), "eval"), names)


def skip_without_its_recording(page: Path) -> None:
    asked = re.findall(r'"([a-z]+-[\w.-]+-s\d+)"', "\n".join(cells(page, "parameters").values()))
    known = {recording.name for recording in list_recordings()}
    if missing := sorted(set(asked) - known):
        where = os.environ.get("SSL_COMPANION_RECORDINGS", "book/recordings")
        pytest.skip(f"{where} lacks {', '.join(missing)}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_chapter_has_three_to_five_exercises_each_with_a_solution(page: Path) -> None:
    stubs = cells(page, "exercise")
    assert 3 <= len(stubs) <= 5
    assert set(stubs) == set(solutions(page))
    text = page.read_text("utf8")
    assert len(re.findall(r"^[:`]{3,}\{exercise\}", text, re.MULTILINE)) == len(stubs)
    assert len(re.findall(r"^[:`]{3,}\{solution\}", text, re.MULTILINE)) == len(stubs)


def test_every_chapter_with_objectives_has_exercises() -> None:
    said = "{admonition} What you will be able to do"
    chapters = {p for p in (ROOT / "book").glob("*.md") if said in p.read_text("utf8")}
    assert chapters == set(PAGES)
    assert len(EXERCISES) == sum(p.read_text("utf8").count("{exercise}") for p in chapters)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_exercise_stub_and_solution_follow_each_other(page: Path) -> None:
    parts = re.findall(
        r"^[:`]{3,}\{exercise\}[^\n]*\n:label: (\S+)$|exercise, exercise-([\w-]+)\]$"
        r"|^[:`]{3,}\{solution\} (\S+)$|^# solution: ([\w-]+)$",
        page.read_text("utf8"),
        re.MULTILINE,
    )
    found = ["".join(part) for part in parts]
    assert len(found) == 4 * len(cells(page, "exercise"))
    for stated, stub, solved, solution in zip(*[iter(found)] * 4, strict=True):
        assert stated == solved
        assert stub == solution


def test_labels_are_the_books_own_once_each() -> None:
    text = "".join(page.read_text("utf8") for page in PAGES)
    labels = re.findall(r"^[:`]{3,}\{exercise\}[^\n]*\n:label: (\S+)$", text, re.MULTILINE)
    assert len(labels) == len(EXERCISES) == len(set(labels))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_stub_and_solution_ask_one_checker_and_every_checker_is_asked(page: Path) -> None:
    asked = []
    for name, stub in cells(page, "exercise").items():
        calls = [ast.parse(code).body[-1] for code in (stub, solutions(page)[name])]
        assert ast.unparse(calls[0]) == ast.unparse(calls[1])
        asked += re.findall(r"^check\.(check_\w+)\(", ast.unparse(calls[0]))
    module = importlib.import_module(f"ssl_companion.exercises.{page.stem.replace('-', '_')}")
    there = [
        name
        for name, value in vars(module).items()
        if name.startswith("check_") and getattr(value, "__module__", "") == module.__name__
    ]
    assert sorted(asked) == sorted(there)


@pytest.mark.parametrize(("page", "name"), EXERCISES)
def test_the_stub_runs_and_gets_a_hint(page: Path, name: str) -> None:
    skip_without_its_recording(page)
    found = answer(page, cells(page, "exercise")[name])
    assert isinstance(found, Checked)
    assert not found.ok
    assert len(found.message) > 20


@pytest.mark.parametrize(("page", "name"), EXERCISES)
def test_the_solution_passes(page: Path, name: str) -> None:
    skip_without_its_recording(page)
    found = answer(page, solutions(page)[name])
    assert isinstance(found, Checked)
    assert found.ok, found.message
