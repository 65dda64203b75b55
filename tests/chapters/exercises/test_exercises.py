"""Every exercise of every chapter: its solution passes its checker; its stub and junk do not.

In a chapter the stub is a code cell tagged `exercise` and `exercise-NAME`, and its solution a
`python` block that begins with `# solution: NAME`. Both end in the call of the checker. They
run in the namespace of the chapter's first cell of parameters, and import what they need.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

from ssl_companion.chapters.exercises import Checked, clusters_emerge
from ssl_companion.recordings import list_recordings, open_recording
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.toy import ToyConfig

ROOT = Path(__file__).resolve().parents[3]
_SOLUTION = re.compile(r"```+ *python\n# solution: (?P<name>[\w-]+)\n(?P<code>.*?)```", re.DOTALL)


@cache
def cells(chapter: Path, tag: str) -> dict[str, str]:
    """Code cells with a tag, by the name of the exercise (or their number)."""
    found = {}
    for cell in jupytext.read(chapter).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and tag in tags:
            names = [t.removeprefix("exercise-") for t in tags if t.startswith("exercise-")]
            found[names[0] if names else str(len(found))] = cell.source
    return found


@cache
def solutions(chapter: Path) -> dict[str, str]:
    return {m["name"]: m["code"] for m in _SOLUTION.finditer(chapter.read_text("utf8"))}


CHAPTERS = [
    chapter
    for chapter in sorted((ROOT / "book").glob("*.md"))
    if "exercise-" in chapter.read_text()
]
EXERCISES = [
    pytest.param(chapter, name, id=f"{chapter.stem}:{name}")
    for chapter in CHAPTERS
    for name in cells(chapter, "exercise")
]
assert EXERCISES, f"no exercises in {ROOT / 'book'}: without any, the tests below would pass"


@cache
def named(chapter: Path) -> dict[str, Any]:
    """What the chapter's parameters cell names; to be copied."""
    names: dict[str, Any] = {}
    for parameters in cells(chapter, "parameters").values():
        exec(parameters, names)
    return names


@cache
def recorded() -> set[str]:
    return {recording.name for recording in list_recordings()}


def answer(chapter: Path, code: str) -> Any:
    """Run a stub or a solution after the chapter's parameters; the value of its last line."""
    matplotlib.use("agg")
    names = dict(named(chapter))
    tree = ast.parse(code)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), f"ends in {ast.unparse(last)!r}, not in a checker's call"
    exec(compile(tree, str(chapter), "exec"), names)
    return eval(compile(ast.Expression(last.value), str(chapter), "eval"), names)


def skip_without_its_recording(chapter: Path) -> None:
    asked = re.findall(r'"([a-z]+-[\w.-]+-s\d+)"', "\n".join(cells(chapter, "parameters").values()))
    if missing := sorted(set(asked) - recorded()):
        where = os.environ.get("SSL_COMPANION_RECORDINGS", "book/recordings")
        pytest.skip(f"{where} lacks {', '.join(missing)}")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_chapter_has_three_to_five_exercises_and_a_stub_and_a_solution_follow_each(
    chapter: Path,
) -> None:
    stubs = cells(chapter, "exercise")
    assert 3 <= len(stubs) <= 5
    assert set(stubs) == set(solutions(chapter))
    parts = re.findall(
        r"^[:`]{3,}\{exercise\}[^\n]*\n:label: (\S+)$|exercise, exercise-([\w-]+)\]$"
        r"|^[:`]{3,}\{solution\} (\S+)$|^# solution: ([\w-]+)$",
        chapter.read_text("utf8"),
        re.MULTILINE,
    )
    found = ["".join(part) for part in parts]
    assert len(found) == 4 * len(stubs)
    for stated, stub, solved, solution in zip(*[iter(found)] * 4, strict=True):
        assert (stated, stub) == (solved, solution)


def test_every_chapter_with_objectives_has_exercises_whose_labels_are_the_books_own() -> None:
    said = "{admonition} What you will be able to do"
    texts = {p: p.read_text("utf8") for p in (ROOT / "book").glob("*.md")}
    assert {p for p, text in texts.items() if said in text} == set(CHAPTERS)
    labels = re.findall(
        r"\{exercise\}[^\n]*\n:label: (\S+)$", "".join(texts.values()), re.MULTILINE
    )
    assert len(labels) == len(EXERCISES) == len(set(labels))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_stub_and_solution_ask_one_checker_and_every_checker_is_asked(chapter: Path) -> None:
    asked = []
    for name, stub in cells(chapter, "exercise").items():
        calls = [ast.parse(code).body[-1] for code in (stub, solutions(chapter)[name])]
        assert ast.unparse(calls[0]) == ast.unparse(calls[1])
        asked += re.findall(r"^check\.(check_\w+)\(", ast.unparse(calls[0]))
    module = importlib.import_module(
        f"ssl_companion.chapters.exercises.{chapter.stem.replace('-', '_')}"
    )
    there = [
        name
        for name, value in vars(module).items()
        if name.startswith("check_") and getattr(value, "__module__", "") == module.__name__
    ]
    assert sorted(asked) == sorted(there)


@cache
def slips() -> dict[str, int]:
    """How many wrong answers that come near the other files here try, by their checkers."""
    found: dict[str, int] = {}
    for path in {*Path(__file__).parent.glob("test_*.py")} - {Path(__file__)}:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= {check.__name__: len(rows) for check, rows in getattr(module, "SLIPS", {}).items()}
    return found


@pytest.mark.parametrize(("chapter", "name"), EXERCISES)
def test_wrong_answers_that_come_near_are_tried_of_every_exercise(chapter: Path, name: str) -> None:
    asked = ast.unparse(ast.parse(cells(chapter, "exercise")[name]).body[-1])
    assert slips()[asked.removeprefix("check.").split("(")[0]] >= 2


@pytest.mark.parametrize(("chapter", "name"), EXERCISES)
def test_the_stub_gets_a_hint_and_the_solution_passes(chapter: Path, name: str) -> None:
    skip_without_its_recording(chapter)
    stub = answer(chapter, cells(chapter, "exercise")[name])
    assert isinstance(stub, Checked)
    assert not stub.ok
    assert len(stub.message) > 20
    solved = answer(chapter, solutions(chapter)[name])
    assert isinstance(solved, Checked)
    assert solved.ok, solved.message


def test_the_numbers_told_of_the_solutions_are_those_of_the_solutions() -> None:
    chapter = ROOT / "book/clusters-emerge.md"
    titles = dict(re.findall(r":label: ex-(\S+)\n\*\*(.+?)\.?\*\*", chapter.read_text("utf8")))
    told = clusters_emerge.solved(open_recording("reference-vicreg-s0"))
    assert list(titles) == list(solutions(chapter))
    for (name, code), (title, text) in zip(solutions(chapter).items(), told.items(), strict=True):
        assert title.rstrip(":") == titles[name]
        assert answer(chapter, code).message == text


class Agreeable:
    """Equal to anything, and as near to it as is asked for."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __abs__(self) -> float:
        return 0.0

    def __float__(self) -> float:
        return -77.25

    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    __sub__ = __rsub__ = __add__ = __radd__ = __truediv__ = lambda self, other: self


class AgreeableWord(str):
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True


class Leaving:
    """Ends the process when it is looked at."""

    def __float__(self) -> float:
        sys.exit(0)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        sys.exit(0)


def leave(*_: Any) -> None:
    sys.exit(0)


# Whatever ends up in an answer: nothing, words, numbers far off, arrays of any shape and content.
JUNK = [
    *(None, ..., "", "seven", "0.5", b"1", True, False, np.True_, 1j, object(), int),
    *(float("nan"), float("inf"), 0, -1, 1e9, 10**400, np.float32("nan"), pd.NA),
    *([], [None], [[1], [2, 3]], (), (None, None), ("a", "b"), {}, {"a": "b"}, {1}, iter([1])),
    *(np.array([]), np.zeros((3, 0)), np.full((2, 3), np.nan), np.ones((2, 2, 2)), np.ones((1, 1))),
    *(np.array([object()] * 2), np.array("seven"), np.full((9, 2), 1e300), np.datetime64("NaT")),
    *(torch.ones(3), torch.zeros(0), torch.tensor(float("nan")), torch.tensor(True)),
    *(pd.Series([1.0, 2.0]), pd.DataFrame({"a": [1]}), pd.Series(dtype=float)),
    *((np.full((9, 2), np.nan), np.zeros(9)), (np.ones((9, 2)), np.ones(4)), 9 * [["a", "b"]]),
    *(ToyConfig(noise=1e30), ToyConfig(columns=1000), ToyConfig(columns=6.0)),  # type: ignore
    *(Agreeable(), AgreeableWord("the other"), Leaving(), (Leaving(), 1.0), (0.5, Leaving())),
    *({AgreeableWord("a")}, np.random.default_rng(0).normal(size=(20, 2)), (Agreeable(),) * 2),
    *(ObjectiveConfig(on_until="half"), ObjectiveConfig(name="simclr")),  # type: ignore[arg-type]
]
FUNCTIONS = [
    *(lambda: 0, lambda *_: 1 / 0, lambda x, *_: x, lambda x, *_: [x, x], lambda x, *_: str(x)),
    *(lambda x, *_: dict.fromkeys("abc", x), lambda x, *_: dict.fromkeys("abc", x * np.nan)),
    *(lambda terms, *_: dict.fromkeys(terms, np.nan), lambda terms, *_: dict.fromkeys(terms, "a")),
    lambda k, *_: np.full((k, k), np.nan),
    lambda x, *_: (np.full_like(x, np.nan), np.full(len(x), np.nan)),
    *(lambda x, *_: x.mean(dim=(2, 3)).long(), lambda x, *_: x.mean(dim=(2, 3)).bool()),
    lambda x, *_: {"a": x * 1.0, "b": x[:, :1], "c": x[:, :2]} if len(x) == 4 else None,
    *(leave, lambda *_: Agreeable(), lambda terms, *_: dict.fromkeys(terms, Agreeable())),
    *(
        lambda *_: np.random.default_rng().normal(),
        lambda x, *_: np.random.default_rng().normal(size=np.shape(x)),
    ),
    *([lambda *_, value=value: value for value in JUNK]),
]


@pytest.mark.parametrize(("chapter", "name"), EXERCISES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_junk_passes_or_raises_and_all_of_it_gets_a_hint(
    chapter: Path, name: str, table: pd.DataFrame
) -> None:
    skip_without_its_recording(chapter)
    names = {"table": table, **named(chapter)}
    module = f"ssl_companion.chapters.exercises.{chapter.stem.replace('-', '_')}"
    names["check"] = importlib.import_module(module)
    asked = ast.parse(cells(chapter, "exercise")[name]).body[-1]
    assert isinstance(asked, ast.Expr)
    assert isinstance(asked.value, ast.Call)
    asked.value.args[0] = ast.copy_location(ast.Name("junk", ast.Load()), asked)
    code = compile(ast.Expression(asked.value), str(chapter), "eval")
    for junk in (*JUNK, *FUNCTIONS):
        found = eval(code, {**names, "junk": junk})
        assert isinstance(found, Checked), junk
        assert not found.ok, junk
        assert len(found.message) > 15, junk
