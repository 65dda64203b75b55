"""A chapter's MyST Markdown as the plain Markdown that Jupyter and Colab draw.

Solutions fold away or are left out; exercises become headings, boxes become quotations, and
references to terms, pages, figures and equations become words and links.
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
_CODE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1[ ]*$", re.DOTALL | re.MULTILINE)
_QUOTED = ("admonition", "note", "tip", "warning", "important", "seealso", "hint", "caution")


@dataclass
class References:
    """What the words of one chapter may refer to.

    Attributes:
        titles: heading of every page, by its name.
        links: address of every page that may be linked to, by its name.
        citations: names and year of every reference, by its key.
        pages: name of the page that a figure or an equation stands on, by its name.
        figures: names of the chapter's own figures, in their order.
        equations: labels of its own equations, in their order.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    citations: Mapping[str, str] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    figures: tuple[str, ...] = ()
    equations: tuple[str, ...] = ()


def plain_markdown(
    text: str, known: References, drawn: int = 0, exercises: int = 0, solutions: bool = False
) -> str:
    """One Markdown cell of a chapter without directives.

    Args:
        text: MyST Markdown.
        known: what it may refer to.
        drawn: how many of the chapter's figures stand before this cell.
        exercises: how many of its exercises do.
        solutions: fold them away; they are left out otherwise.

    Raises:
        ValueError: for a directive or a role that has no form in plain Markdown.
    """
    counted = iter(range(exercises + 1, exercises + 100))
    text = _EQUATION.sub(lambda m: _equation(m["tex"], m["label"], known), text)
    text = _FENCE.sub(lambda m: _directive(m, counted, solutions), text)
    text = _outside_code(text, lambda prose: _words(prose, known, drawn))
    return text.strip()


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """`text` with `change` made to all but its fenced code."""
    done, end = "", 0
    for code in _CODE.finditer(text):
        done += change(text[end : code.start()]) + code[0]
        end = code.end()
    return done + change(text[end:])


def _words(prose: str, known: References, drawn: int) -> str:
    prose = re.sub(r"\n{3,}", "\n\n", re.sub(r"(?<!`)``(?!`)", "`", prose))
    return _ROLE.sub(_roles(prose, known, drawn), prose)


def count_exercises(text: str) -> int:
    """How many exercises a Markdown cell states."""
    return sum(m["name"] == "exercise" for m in _FENCE.finditer(text))


def _equation(tex: str, label: str, known: References) -> str:
    return f"$$\n{tex} \\tag{{{known.equations.index(label) + 1}}}\n$$"


def _directive(match: re.Match[str], counted: object, solutions: bool) -> str:
    name, title = match["name"], match["argument"].strip()
    body = _OPTIONS.sub("", match["body"]).strip()
    if name == "solution":
        return _folded("Solution", body) if solutions else ""
    if name == "exercise":
        number = next(counted)  # type: ignore[call-overload]
        return f"### Exercise {number}{': ' + title if title else ''}\n\n{body}\n"
    if name == "dropdown":
        return _folded(title, body)
    if name in _QUOTED:
        lines = [f"**{title or name.capitalize()}**", "", *body.splitlines()]
        return "\n".join(f"> {line}".rstrip() for line in lines) + "\n"
    raise ValueError(f"directive {{{name}}} {title}: it has no form in plain Markdown yet")


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>\n"


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
            return _link(page, label[1] if label else known.titles[page], known)
        if name == "eq":
            own = target in known.equations
            if not own:
                return f"(an equation of {_elsewhere(target, known)})"
            return f"({known.equations.index(target) + 1})"
        if name == "numref":
            where = _figure(target, known, drawn)
            return where[0].upper() + where[1:] if begins else where
        raise ValueError(f"role {match.group(0)}: it has no form in plain Markdown yet")

    return words


def _link(page: str, title: str, known: References, anchor: str = "") -> str:
    """A page's title, linked if that is possible; notebooks have no anchors."""
    address = known.links.get(page, "")
    anchor = f"#{anchor}" if anchor and address.endswith(".html") else ""
    return f"[{title}]({address}{anchor})" if address else title


def _elsewhere(name: str, known: References) -> str:
    """The page that has the figure or the equation `name`."""
    page = known.pages.get(name)
    return _link(page, known.titles[page], known, name) if page else "the book"


def _figure(name: str, known: References, drawn: int) -> str:
    """Where the figure `name` is, from behind the first `drawn` figures of the notebook."""
    if name not in known.figures:
        return f"a figure of {_elsewhere(name, known)}"
    place = known.figures.index(name)
    if place == drawn - 1:
        return "the figure above"
    if place == drawn:
        return "the figure below"
    return f"figure {place + 1} of this notebook"
