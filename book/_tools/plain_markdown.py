"""A chapter's MyST Markdown as the plain Markdown that Jupyter and Colab draw.

Solutions are left out; exercises become headings, boxes become quotations, and references to
terms, pages, figures and equations become words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_FENCE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w-]+)\}[ ]?(?P<argument>[^\n]*)\n"
    r"(?P<body>.*?)^(?P=fence)[ ]*$\n?",
    re.DOTALL | re.MULTILINE,
)
_OPTIONS = re.compile(r"\A(?::[\w-]+:[^\n]*\n)+\n?")
_ROLE = re.compile(r"\{(?P<name>[a-z:]+)\}`(?P<text>[^`]+)`")
_EQUATION = re.compile(
    r"^\$\$\n(?P<tex>.*?)\n\$\$ \((?P<label>[\w-]+)\)$", re.DOTALL | re.MULTILINE
)
# Words that a citation completes: "the abstract of ...", "as ... claim".
_GOVERNING = re.compile(r"\b(of|what|as|by|from|in|to|see)\s+$")
_QUOTED = ("admonition", "note", "tip", "warning", "important", "seealso", "hint", "caution")


@dataclass
class References:
    """What the words of one chapter may refer to.

    Attributes:
        titles: heading of every page, by its name.
        notebooks: names of the pages that are notebooks, and may be linked to.
        citations: names and year of every reference, by its key.
        figures: names of the chapter's own figures, in their order.
        equations: labels of its own equations, in their order.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    notebooks: tuple[str, ...] = ()
    citations: Mapping[str, str] = field(default_factory=dict)
    figures: tuple[str, ...] = ()
    equations: tuple[str, ...] = ()


def plain_markdown(text: str, known: References, drawn: int = 0, exercises: int = 0) -> str:
    """One Markdown cell of a chapter without solutions and directives.

    Args:
        text: MyST Markdown.
        known: what it may refer to.
        drawn: how many of the chapter's figures stand before this cell.
        exercises: how many of its exercises do.

    Raises:
        ValueError: for a directive or a role that has no form in plain Markdown.
    """
    counted = iter(range(exercises + 1, exercises + 100))
    text = _EQUATION.sub(lambda m: _equation(m["tex"], m["label"], known), text)
    text = _FENCE.sub(lambda m: _directive(m, counted), text)
    text = re.sub(r"(?<!`)``(?!`)", "`", text)
    text = _ROLE.sub(_roles(text, known, drawn), text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def count_exercises(text: str) -> int:
    """How many exercises a Markdown cell states."""
    return sum(m["name"] == "exercise" for m in _FENCE.finditer(text))


def _equation(tex: str, label: str, known: References) -> str:
    return f"$$\n{tex} \\tag{{{known.equations.index(label) + 1}}}\n$$"


def _directive(match: re.Match[str], counted: object) -> str:
    name, title = match["name"], match["argument"].strip()
    body = _OPTIONS.sub("", match["body"]).strip()
    if name == "solution":
        return ""
    if name == "exercise":
        number = next(counted)  # type: ignore[call-overload]
        return f"### Exercise {number}{': ' + title if title else ''}\n\n{body}\n"
    if name == "dropdown":
        return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>\n"
    if name in _QUOTED:
        lines = [f"**{title or name.capitalize()}**", "", *body.splitlines()]
        return "\n".join(f"> {line}".rstrip() for line in lines) + "\n"
    raise ValueError(f"directive {{{name}}} {title}: it has no form in plain Markdown yet")


def _roles(text: str, known: References, drawn: int) -> Callable[[re.Match[str]], str]:
    def words(match: re.Match[str]) -> str:
        name, target = match["name"], " ".join(match["text"].split())
        label = re.fullmatch(r"(.*?)\s*<(.*)>", target)
        begins = re.search(r"(^|[.?!*]\s+|\n\n)\**$", text[: match.start()]) is not None
        if name == "cite":
            said = [known.citations[key.strip()] for key in target.split(",")]
            if _GOVERNING.search(text[: match.start()]):
                return " and ".join(re.sub(r", (\d+)$", r" (\1)", one) for one in said)
            return f"({'; '.join(said)})"
        if name == "term":
            return label[1] if label else target
        if name == "doc":
            page = (label[2] if label else target).strip("/")
            title = label[1] if label else known.titles[page]
            return f"[{title}]({page}.ipynb)" if page in known.notebooks else title
        if name == "eq":
            own = target in known.equations
            return f"({known.equations.index(target) + 1})" if own else "(an equation of the book)"
        if name == "numref":
            where = _figure(target, known.figures, drawn)
            return where.capitalize() if begins else where
        raise ValueError(f"role {match.group(0)}: it has no form in plain Markdown yet")

    return words


def _figure(name: str, figures: tuple[str, ...], drawn: int) -> str:
    """Where the figure `name` is, from behind the first `drawn` figures of the notebook."""
    if name not in figures:
        return "a figure of the book"
    place = figures.index(name)
    if place == drawn - 1:
        return "the figure above"
    if place == drawn:
        return "the figure below"
    return f"figure {place + 1} of this notebook"
