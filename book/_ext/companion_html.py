"""What is mended in every page's HTML: tables, a solution's link, scripts that it does not need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

_TABLE = re.compile(r"<table\b[^>]*\bcompanion-table\b.*?</table>", re.DOTALL)
# The theme underlines the space that is the link's first letter.
_SOLUTION = re.compile(r'(<p class="admonition-title">[^<]*)(<a\b[^>]*>)\s+')
_FOLDED_OUTPUT = re.compile(r'<details class="[^"]*hide below-input">.*?</summary>', re.DOTALL)
_TAG = re.compile(r"(<[^>]*>)")
_VERBATIM = re.compile(r"<(/?)(?:pre|code|script|style|svg|textarea)\b(?![^>]*/>)")
_HYPHEN = re.compile(r"(?<![\w.,:/#&;−-])-(?=\d)")
_NO_MINUS = re.compile(r"−(0(?:\.0+)?)(?![\d.,])")
# A number: before its decimal point, behind it, its unit, and its interval: "3.1% (2.9% to 3.4%)".
_NUMBER = re.compile(
    r"([-−+×≥≤<>~]?\s?\d[\d,]*)(\.\d+)?(\s?(?:%|m?s|min|points?|[kM]B))?(\s\(.*\))?"
)
_NOTHING = {"", "-", "–", "—", "none", "nan", "NaN"}
_FIGURE_SPACE, _POINT_SPACE = "\u2007", "\u2008"  # as wide as a digit, and as a decimal point
# The theme draws its icons twice: by fonts, and by 1.5 MB of outlines. And it has every page read
# what only the page of search results uses.
_OUTLINES = re.compile(r'\s*<script defer src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
_SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>'
)


def mend_body(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Tables and solutions of a page, before the theme puts its frame around them."""
    if "body" in context:
        body = _TABLE.sub(lambda table: aligned(table[0]), context["body"])
        body = _SOLUTION.sub(r"\1 \2", body)
        body = _FOLDED_OUTPUT.sub(
            lambda fold: fold[0].replace("how this is made", "the output"), body
        )
        context["body"] = with_minus_signs(body)
    if context.get("title") == context.get("docstitle"):  # the theme appends the one to the other
        context["docstitle"] = ""


def with_minus_signs(body: str) -> str:
    """Text with a minus sign where a number has a hyphen, and none before nothing ("-0.0%").

    Code, drawings and formulas stay as they are.
    """
    parts, inside = _TAG.split(body), 0
    for i, part in enumerate(parts):
        if tag := _VERBATIM.match(part):
            inside += -1 if tag[1] else 1
        elif not inside and not part.startswith("<") and "\\(" not in part and "\\[" not in part:
            parts[i] = _NO_MINUS.sub(r"\1", _HYPHEN.sub("−", part))
    return "".join(parts)


def drop_scripts(app: Sphinx, exception: Exception | None) -> None:
    """Leave out of every page the scripts that it does not need."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for path in out.rglob("*.html"):
        before = path.read_text("utf8")
        after = _OUTLINES.sub("", before)
        if path.name != "search.html":
            after = _SEARCH.sub("", after)
        if after != before:
            path.write_text(after, "utf8")
    for path in (out / "_static/scripts").glob("fontawesome.js*"):
        path.unlink()


def aligned(table: str) -> str:
    """A table of `widgets.tables` whose numbers stand by their decimal points, in columns of such.

    Columns of bare numbers stand at the right, with spaces as
    wide as digits behind those of fewer decimals; with intervals behind them at the left, with
    such spaces before those of fewer digits.
    """
    soup = BeautifulSoup(table, "html.parser")
    head = soup.thead
    rows = [row.find_all(["th", "td"], recursive=False) for row in soup.select("tbody > tr")]
    width = max(map(len, rows), default=0)
    rows = [row for row in rows if len(row) == width]  # without the heads of groups
    if any(_spans(cell) for row in rows for cell in row):
        return str(soup)
    for column in range(width):
        kind = _align([row[column] for row in rows if row[column].name == "td"])
        top = head.find_all("tr")[-1].find_all(["th", "td"]) if head is not None else []
        if kind and len(top) == width:
            top[column]["class"] = kind
    return str(soup)


def _spans(cell: Tag) -> bool:
    return cell.has_attr("colspan") or cell.has_attr("rowspan")


def _align(cells: list[Tag]) -> str:
    """Pad the numbers of a column; how it stands, or "" where it is not one of numbers."""
    texts = [cell.get_text(strip=True) for cell in cells]
    found = {text: _NUMBER.fullmatch(text) for text in texts if text not in _NOTHING}
    numbers = [match for match in found.values() if match]
    if not numbers or len(numbers) < len(found):
        return ""
    kind = "estimate" if any(match[4] for match in numbers) else "number"
    before = max(len(match[1]) for match in numbers)
    behind = max(len(match[2] or "") for match in numbers)
    for cell, text in zip(cells, texts, strict=True):
        cell["class"] = kind
        match = found.get(text)
        if match is None or cell.string is None:
            continue
        whole, part, unit, interval = (group or "" for group in match.groups())
        text = (
            whole.replace("-", "−") + part + unit + interval.replace("(-", "(−").replace(" -", " −")
        )
        if kind == "estimate":
            text = _FIGURE_SPACE * (before - len(whole)) + text
        else:
            text += _blank(behind - len(part), point=not part)
        _innermost(cell).string = text
    return kind


def _innermost(cell: Tag) -> Tag:
    """The element that holds a cell's text: in a stacked table, the one with its column's name."""
    inner = cell.find(True, recursive=False)
    return _innermost(inner) if isinstance(inner, Tag) else cell


def _blank(length: int, *, point: bool) -> str:
    """Spaces as wide as that many digits, a decimal point the first of them or not."""
    return _POINT_SPACE * (point and length > 0) + _FIGURE_SPACE * (length - point)
