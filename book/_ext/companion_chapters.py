"""What a chapter's source says of itself: objectives, minutes, needs, exercises."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_HEAD = re.compile(
    r"^:::\{admonition\} What you will be able to do\n:class: tip\n\n"
    r"(?P<objectives>.*?)\n\n\*\*Time:\*\* (?P<time>.*?)\*\*Needs:\*\*",
    re.DOTALL | re.MULTILINE,
)
_EXERCISE = re.compile(
    r"^(?P<fence>[`:]{3,})\{exercise\}[ ]?(?P<title>[^\n]*)\n:label: (?P<label>\S+)\n"
    r"(?P<body>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)
_STUB = re.compile(
    r"^:tags: \[exercise, exercise-(?P<name>[\w-]+)\]\n(?P<code>.*?)^```", re.S | re.M
)
_SOLUTION = re.compile(
    r"^```+ *python\n# solution: (?P<name>[\w-]+)\n(?P<code>.*?)^```", re.S | re.M
)


@dataclass(frozen=True)
class Exercise:
    """An exercise: its label, its title, and how many lines its solution adds to the stub."""

    label: str
    title: str
    lines: int


@dataclass(frozen=True)
class Chapter:
    """What a chapter says of itself; minutes as integers, objectives as MyST Markdown."""

    name: str
    title: str
    objectives: str
    minutes_to_read: int
    minutes_with_exercises: int
    exercises: tuple[Exercise, ...]


def read_chapter(page: Path) -> Chapter:
    """The chapter that a source file holds.

    Raises:
        ValueError: for a page that does not say its objectives and its time in the form that
            all chapters have, or whose exercises lack a stub or a solution.
    """
    text = page.read_text("utf8")
    head = _HEAD.search(text)
    title = re.search(r"^# (.+)$", re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S), re.M)
    minutes = re.findall(r"\d+", head["time"]) if head else []
    if head is None or title is None or len(minutes) != 2:
        raise ValueError(
            f"{page.name}: expected a box of objectives that ends in '**Time:** 25 minutes to "
            "read, 45 with the exercises. **Needs:** ...'"
        )
    return Chapter(
        page.stem,
        title[1],
        head["objectives"],
        int(minutes[0]),
        int(minutes[1]),
        _exercises(page.name, text),
    )


def _exercises(name: str, text: str) -> tuple[Exercise, ...]:
    stated = list(_EXERCISE.finditer(text))
    stubs = {m["name"]: m["code"] for m in _STUB.finditer(text)}
    solutions = {m["name"]: m["code"] for m in _SOLUTION.finditer(text)}
    if len(stated) != len(stubs) or set(stubs) != set(solutions):
        raise ValueError(
            f"{name}: {len(stated)} exercises, stubs {sorted(stubs)}, solutions {sorted(solutions)}"
        )
    found = []
    for exercise, stub in zip(stated, stubs, strict=True):  # a stub follows its exercise
        title = exercise["title"] or re.sub(r"\s+", " ", _bold(exercise["body"])).rstrip(".")
        lines = _added(stubs[stub], solutions[stub])
        found.append(Exercise(exercise["label"], title, lines))
    return tuple(found)


def _bold(body: str) -> str:
    match = re.search(r"\*\*(.+?)\*\*", body, re.DOTALL)
    return match[1] if match else "Exercise"


def _added(stub: str, solution: str) -> int:
    """Lines of the solution that the stub does not have."""
    there = {line.strip() for line in stub.splitlines()}
    return sum(bool(line.strip()) and line.strip() not in there for line in solution.splitlines())
