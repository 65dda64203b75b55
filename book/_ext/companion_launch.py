"""The row under a chapter's title: where its notebook opens, what to download, how long it runs.

A page with a notebook beside its source has one, the landing page excepted; another one, without
the time, stands under the heading *Exercises*, since a page of the book runs no code.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx

_TITLE, _EXERCISES = "</h1>", re.compile(r"<h2>Exercises\b.*?</h2>")


def seconds_to_run(env: Any, page: str) -> float | None:
    """What a page took to run, as myst-nb keeps it of every execution; None if it has not run."""
    data = NbMetadataCollector.get_doc_data(env).get(page) or {}
    runtime: float | None = (data.get("exec_data") or {}).get("runtime")
    return runtime


def launch_rows(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Put the rows in, with the theme's launch buttons as words; without an address it has none."""
    if page == app.config.root_doc or not (Path(app.srcdir) / f"{page}.ipynb").is_file():
        return
    links = [
        _link(button["url"], f"Open in {button['text']}")
        for group in context["header_buttons"]
        if group.get("label") == "launch-buttons"
        for button in group["buttons"]
    ]
    source = context["pathto"](f"_sources/{page}.ipynb", 1)
    links.append(_link(source, "Download the notebook", " download"))
    took = seconds_to_run(app.env, page)
    time = [] if took is None else [f"<span>runs in {took:.0f} s</span>"]
    body = context["body"].replace(_TITLE, _TITLE + _row(links + time), 1)
    context["body"] = _EXERCISES.sub(lambda heading: heading[0] + _row(links), body, count=1)


def _link(address: str, words: str, more: str = "") -> str:
    return f'<a href="{html.escape(address)}"{more}>{words}</a>'


def _row(parts: list[str]) -> str:
    return f'<div class="companion-launch">{"".join(parts)}</div>'
