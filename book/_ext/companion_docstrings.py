"""The package's docstrings as reStructuredText, for the page that lists its functions.

They are written to be read in an editor: plain text with Google's sections, `code` between
single backticks, and bars, stars and trailing underscores that mean nothing but themselves.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(?::\w+:)?(`{1,2})([^`]+)\1")  # with the role that may stand before it
_ITEM = re.compile(r"\s*[\w*, ]+: ")  # names of arguments or attributes; napoleon sees to stars
_SPECIAL = re.compile(r"[\\|*]|(?<=\w)_(?!\w)")


def restructure(lines: list[str]) -> list[str]:
    """Docstring lines with code marked as such and all other special characters escaped."""
    text = "\n".join(lines)
    marked, end = [], 0
    for code in _CODE.finditer(text):
        joined = "\\ " if re.match(r"\w", text[code.end() :]) else ""  # a word goes on behind it
        marked += [_escaped(text[end : code.start()]), f"``{code[2]}``{joined}"]
        end = code.end()
    return "".join([*marked, _escaped(text[end:])]).split("\n")


def _escaped(text: str) -> str:
    return "\n".join(map(_escaped_line, text.split("\n")))


def _escaped_line(line: str) -> str:
    if line.lstrip().startswith((">>>", "...")):
        return line
    item = _ITEM.match(line)
    names, rest = (line[: item.end()], line[item.end() :]) if item else ("", line)
    return re.sub(r"_(?=[,:])", r"\\_", names) + _SPECIAL.sub(lambda m: "\\" + m.group(), rest)


def _process(
    app: Sphinx, what: str, name: str, what_it_is: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = restructure(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, ahead of napoleon."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
