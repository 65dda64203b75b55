"""A way from the landing page into a running chapter, where Colab can open its notebook."""

from __future__ import annotations

import html
from typing import Any

from sphinx.application import Sphinx

CHAPTER = "book/clusters-emerge"  # the first that measures a claim
_DOORS, _FIRST_ENDS = '<div class="companion-doors">', "</a>"


def colab_door(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Put the link after the first of the doors; none where the repository has no address."""
    if page != app.config.root_doc:
        return
    address = next(
        (
            one["url"].replace(f"{page}.ipynb", f"{CHAPTER}.ipynb")
            for group in context.get("header_buttons", [])
            if group.get("label") == "launch-buttons"
            for one in group["buttons"]
            if f"{page}.ipynb" in one["url"]
        ),
        None,
    )
    before, doors, after = context.get("body", "").partition(_DOORS)
    first, end, rest = after.partition(_FIRST_ENDS)
    if address and end and "</div>" not in first:
        link = f' <a class="reference external" href="{html.escape(address)}">Run on Colab</a>'
        context["body"] = before + doors + first + end + link + rest
