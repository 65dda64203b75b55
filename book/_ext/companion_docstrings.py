"""The package's docstrings as reStructuredText, for the page that lists its functions.

They are written to be read in an editor: plain text with Google's sections, `code` between
single backticks, and bars, stars and trailing underscores that mean nothing but themselves.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_MARKUP = re.compile(
    r"^\s*(?:>>>|\.\.\.).*$"  # an example stays as it is
    r"|^\s*(?P<names>[\w*, ]+): "  # of arguments or attributes; napoleon sees to their stars
    r"|(?::\w+:)?(?P<ticks>`{1,2})(?P<code>[^`]+)(?P=ticks)(?P<joined>(?=\w))?"
    r"|(?P<special>[\\|*]|(?<=\w)_(?!\w))",
    re.MULTILINE,
)
# A section of attributes, and in it several with one description, which may go on below.
_ATTRIBUTES = re.compile(r"^( *)Attributes:\n(?:\1 +.*\n?|\n(?=\1 ))+", re.MULTILINE)
_JOINT = re.compile(
    r"^(?P<indent> +)(\w+(?:, \w+)+):(?P<text> .*\n(?:(?P=indent) +.*\n)*)", re.MULTILINE
)


def restructure(lines: list[str]) -> list[str]:
    """Docstring lines with code marked as such and all other special characters escaped."""
    text = _ATTRIBUTES.sub(lambda section: _JOINT.sub(_apart, section[0]), "\n".join([*lines, ""]))
    return _MARKUP.sub(_marked, text).removesuffix("\n").split("\n")


def _apart(entry: re.Match[str]) -> str:
    """Several attributes with one description, each with it, as napoleon does for arguments."""
    return "".join(f"{entry['indent']}{name}:{entry['text']}" for name in entry[2].split(", "))


def _marked(match: re.Match[str]) -> str:
    if match["code"]:
        joined = "\\ " if match["joined"] is not None else ""  # a word goes on behind it
        return f"``{match['code']}``{joined}"
    if match["names"]:
        return re.sub(r"_(?=[,:])", r"\\_", match[0])
    return f"\\{match[0]}" if match["special"] else match[0]


def _process(
    app: Sphinx, what: str, name: str, what_it_is: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = restructure(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, ahead of napoleon."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
