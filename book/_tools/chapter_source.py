"""The book's sources, read by MyST's Markdown parser: pages, blocks, figures, exercises."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

_PARSER = MarkdownIt("commonmark").use(front_matter_plugin).use(colon_fence_plugin)
_PARSER.use(dollarmath_plugin)
_DIRECTIVE = re.compile(r"\{([\w-]+)\}\s*(.*)")
_OPTIONS = re.compile(r"\A(?::[\w-]+:[^\n]*(?:\n|\Z))+")
# Where a call that shows a figure has the figure's name among its arguments.
_NAME = {"picture": 1, "frames": 2, "explorer": 1, "diagram": 1, "nearest_photographs": 2}
_COMMENT = re.compile(r"(?:^\s*|\s{2,})#.*")
_OBJECTIVES = "What you will be able to do"


def built_pages(site: Path, root: Path) -> list[tuple[str, Path]]:
    """The files of a built book in the order of `_toc.yml`, each with its part.

    Raises:
        FileNotFoundError: a page is not built.
    """
    pages = [(part, site / f"{page}.html") for part, page in toc(root)]
    for _, page in pages:
        if not page.exists():
            raise FileNotFoundError(f"{page}: this page is not built; run `make book` first")
    return pages


def toc(root: Path) -> list[tuple[str, str]]:
    """The pages in the order of `_toc.yml`, each with its part, which is "" for the first."""
    given = yaml.safe_load((root / "_toc.yml").read_text("utf8"))
    pages = [(part["caption"], c["file"]) for part in given["parts"] for c in part["chapters"]]
    return [("", given["root"]), *pages]


@dataclass(frozen=True)
class Block:
    """A part of a source, from the beginning of a line to the end of one.

    Attributes:
        kind: `directive`, `code` (fenced), `equation` (with a label), or `words`.
        text: the part itself.
        name: of the directive, or the label of the equation.
        title: what stands behind the directive's name.
        options: the directive's, by their names.
        body: the directive's without its options, the code, or the equation's TeX.
    """

    kind: str
    text: str
    name: str = ""
    title: str = ""
    options: dict[str, str] = field(default_factory=dict)
    body: str = ""


def blocks(text: str) -> Iterator[Block]:
    """The parts of MyST Markdown in their order; front matter is none of them."""
    lines, end = text.splitlines(), 0
    for token in _PARSER.parse(text):
        special = token.type in ("fence", "colon_fence", "math_block_label", "front_matter")
        if token.map is None or token.level or not special:
            continue
        begin, behind = token.map
        if words := "\n".join(lines[end:begin]).strip():
            yield Block("words", words)
        end, whole = behind, "\n".join(lines[begin:behind]).strip()
        directive = _DIRECTIVE.fullmatch(token.info.strip())
        if directive is not None:
            options = _OPTIONS.match(token.content)
            given = dict(re.findall(r"^:([\w-]+): *(.*)$", options[0], re.M)) if options else {}
            body = token.content[options.end() if options else 0 :].strip()
            yield Block("directive", whole, directive[1], directive[2].strip(), given, body)
        elif token.type == "math_block_label":
            yield Block("equation", whole, token.info, body=token.content.strip())
        elif token.type != "front_matter":
            yield Block("code", whole, token.info, body=token.content)
    if words := "\n".join(lines[end:]).strip():
        yield Block("words", words)


def title_of(text: str) -> str:
    """A page's heading, or "" for a page without one."""
    tokens = _PARSER.parse(text)
    heads = (i for i, token in enumerate(tokens) if token.type == "heading_open")
    return next((tokens[i + 1].content for i in heads if tokens[i].tag == "h1"), "")


def figures_of(code: str) -> list[str]:
    """The names of the figures that a code cell shows, in their order."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    shown = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id in _NAME]
    shown.sort(key=lambda call: call.lineno)
    return [ast.literal_eval(call.args[_NAME[call.func.id]]) for call in shown]  # type: ignore[attr-defined]


def figures(text: str) -> tuple[str, ...]:
    """The names of a page's figures, in their order."""
    cells = (block for block in blocks(text) if block.name == "code-cell")
    return tuple(name for cell in cells for name in figures_of(cell.body))


def equations(text: str) -> tuple[str, ...]:
    """The labels of a page's equations, in their order, those in boxes that fold among them."""
    found: list[str] = []
    for block in blocks(text):
        if block.kind == "equation":
            found.append(block.name)
        elif block.name == "dropdown":
            found += equations(block.body)
    return tuple(found)


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
    found = list(blocks(text))
    boxes = (block.body for block in found if block.title == _OBJECTIVES)
    objectives, _, rest = next(boxes, "").partition("**Time:**")
    minutes = re.findall(r"\d+", rest.partition("**Needs:**")[0])
    if len(minutes) != 2:
        raise ValueError(
            f"{page.name}: expected a box of objectives that ends in '**Time:** 25 minutes to "
            "read, 45 with the exercises. **Needs:** ...'"
        )
    read, whole = map(int, minutes)
    exercises = _exercises(page.name, found)
    return Chapter(page.stem, title_of(text), objectives.strip(), read, whole, exercises)


def _exercises(page: str, found: list[Block]) -> tuple[Exercise, ...]:
    stated = [block for block in found if block.name == "exercise"]
    answers = [part for b in found if b.name == "solution" for part in blocks(b.body)]
    stub, first = re.compile(r"\[exercise, exercise-([\w-]+)"), re.compile(r"# solution: ([\w-]+)")
    stubs = {m[1]: b.body for b in found if (m := stub.match(b.options.get("tags", "")))}
    solutions = {m[1]: b.body for b in answers if (m := first.match(b.body))}
    if len(stated) != len(stubs) or set(stubs) != set(solutions):
        raise ValueError(
            f"{page}: {len(stated)} exercises, stubs {sorted(stubs)}, solutions {sorted(solutions)}"
        )
    return tuple(  # a stub follows its exercise
        Exercise(e.options["label"], e.title or _bold(e.body), _added(stubs[name], solutions[name]))
        for e, name in zip(stated, stubs, strict=True)
    )


def _bold(body: str) -> str:
    match = re.search(r"\*\*(.+?)\*\*", body, re.DOTALL)
    return " ".join(match[1].split()).rstrip(".") if match else "Exercise"


def _added(stub: str, solution: str) -> int:
    """Lines of the solution that the stub does not have, whatever comments say."""
    there = {_COMMENT.sub("", line).strip() for line in stub.splitlines()}
    lines = [_COMMENT.sub("", line).strip() for line in solution.splitlines()]
    return sum(bool(line) and line not in there for line in lines)
