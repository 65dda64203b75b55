"""What the theme's pages lack for a screen reader; axe-core's rules name each.

Buttons and folded code carry an `aria-label` that is not what they show: who says "click Show
the code" to a voice control would not be understood (WCAG 2.5.3, label in name).
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

_MENDS: tuple[tuple[re.Pattern[str], str], ...] = (
    # What is folded says itself whether it shows or hides the code.
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    # The search button's text, its shortcut included, is its name.
    (re.compile(r'(<button class="btn search-button-field[^>]*?) aria-label="Search"'), r"\1"),
    # The icons become drawings whose titles would be read as the button's text.
    (re.compile(r'(<i class="theme-switch [^>]*?)\s+title="[^"]*"'), r"\1"),
)


def mend(page: str) -> str:
    """The page's HTML with names that agree with what is shown."""
    for pattern, replacement in _MENDS:
        page = pattern.sub(replacement, page)
    return page


def mend_pages(app: Sphinx, exception: Exception | None) -> None:
    """Mend every page that was written; what is mended already stays as it is."""
    if exception is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        before = path.read_text(encoding="utf8")
        if (after := mend(before)) != before:
            path.write_text(after, encoding="utf8")
