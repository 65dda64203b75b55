"""What the instructor's guide takes from the chapters, and what a build hands out to a class.

Directives `teach-table`, `teach-chapter` and `teach-week` write Markdown from the chapters'
sources; the role `run-seconds` is the time that a page took to run. After the pages, a build
writes the slides and the student edition into the site, where the guide links to them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from companion_launch import seconds_to_run
from docutils import nodes
from myst_nb.ext.execution_tables import METADATA_KEY
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))

import slides
import student
from chapter_source import Chapter, read_chapter

LOGGER = logging.getLogger(__name__)


class Seconds(nodes.General, nodes.Inline, nodes.Element):
    """A place for the seconds that pages took to run; `pages` names them."""


class RunSeconds(SphinxRole):
    """The seconds that one page, or several with commas between, took to run."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Leave a place: the time is known when all pages have run."""
        NbMetadataCollector.set_doc_data(self.env, self.env.docname, METADATA_KEY, True)
        return [Seconds(pages=[f"book/{name.strip()}" for name in self.text.split(",")])], []


class FillSeconds(SphinxPostTransform):
    """Put the times in, when all pages have run."""

    default_priority = 8

    def run(self, **kwargs: Any) -> None:
        """Replace every place by its number, or by words where a page has not run."""
        for place in list(self.document.findall(Seconds)):
            times = [seconds_to_run(self.env, page) for page in place["pages"]]
            known = [time for time in times if time is not None]
            said = f"{sum(known):.0f} s" if len(known) == len(times) else "not run in this build"
            place.replace_self(nodes.Text(said))


class StatusOfPages(SphinxPostTransform):
    """In myst-nb's table of pages their titles instead of their files, and only what a narrow
    screen has room for."""

    default_priority = 9  # when the table is there, and before its links are made
    _KEPT = ("Document", "Run Time (s)", "Status")

    def run(self, **kwargs: Any) -> None:
        """Name every page by its title, and drop the other columns."""
        if self.env.docname != "book/execution":
            return
        for group in self.document.findall(nodes.tgroup):
            rows = list(group.findall(nodes.row))
            names = [entry.astext() for entry in rows[0]]
            gone = [i for i, name in enumerate(names) if name not in self._KEPT]
            for row in rows:
                for i in reversed(gone):
                    del row[i]
            for column in list(group.findall(nodes.colspec))[: len(gone)]:
                group.remove(column)
            group["cols"] = len(names) - len(gone)
            for row in rows:
                row.children[1]["classes"].append("text-right")
            for text in list(group.findall(nodes.Text)):
                text.parent.replace(text, nodes.Text(_in_words(text)))
            for link in group.findall(pending_xref):
                page = link.astext()
                link.children = [nodes.inline(text=self.env.titles[page].astext())]


def _in_words(cell: str) -> str:
    """A status in characters that every font has, and seconds with one decimal."""
    if re.fullmatch(r"\d+\.\d+", cell):
        return f"{float(cell):.1f}"
    return {"✅": "✓ ran", "❌": "failed"}.get(cell, cell)


class FromChapters(SphinxDirective):
    """Markdown written from the chapters that it names, read as if it stood in the page."""

    required_arguments, final_argument_whitespace = 1, True

    def run(self) -> list[nodes.Node]:
        """Read the chapters, write the Markdown of this directive's name, have it read."""
        chapters = [self._chapter(name) for name in self.arguments[0].split()]
        return self.parse_text_to_nodes(WRITES[self.name](chapters))

    def _chapter(self, name: str) -> Chapter:
        page = Path(self.env.srcdir) / "book" / f"{name}.md"
        self.env.note_dependency(str(page))
        try:
            return read_chapter(page)
        except FileNotFoundError:
            raise self.error(f"{name}: no chapter of this name in book/") from None
        except ValueError as error:
            raise self.error(str(error)) from error


def teach_table(chapters: Sequence[Chapter]) -> str:
    """All chapters with their minutes, seconds and exercises."""
    counts = [(c.minutes_to_read, c.minutes_with_exercises, len(c.exercises)) for c in chapters]
    rows = [
        f"| {{doc}}`{c.name}` | {read} | {whole} | {count} | {{run-seconds}}`{c.name}` |"
        for c, (read, whole, count) in zip(chapters, counts, strict=True)
    ]
    read, whole, count = (sum(column) for column in zip(*counts, strict=True))
    sums = [f"**{hours(read)}**", f"**{hours(whole)}**", f"**{count}**"]
    head = "| Chapter | Minutes to read | with the exercises | Exercises | Runs for |"
    names = ", ".join(c.name for c in chapters)
    total = f"| **Together** | {' | '.join(sums)} | {{run-seconds}}`{names}` |"
    return "\n".join([head, "|---|--:|--:|--:|--:|", *rows, total])


def teach_chapter(chapters: Sequence[Chapter]) -> str:
    """One chapter: what it teaches, its times, its exercises in order, its hand-outs."""
    (chapter,) = chapters
    exercises = "\n".join(
        f"1. [{e.title}](#{e.label}) ({e.lines} line{'s' if e.lines != 1 else ''})"
        for e in chapter.exercises
    )
    name = chapter.name
    return f"""\
Students learn to:

{chapter.objectives}

**Time:** {chapter.minutes_to_read} minutes to read, {chapter.minutes_with_exercises} with the \
exercises; runs in {{run-seconds}}`{name}`.

Exercises:

{exercises}

<p>Hand-outs: <a href="../slides/{name}.html">slides</a>, \
<a href="../student/{name}.ipynb" download>student notebook</a>.</p>"""


def teach_week(chapters: Sequence[Chapter]) -> str:
    """The reading of a week: chapters with their minutes, and the sum."""
    listed = ", ".join(f"{{doc}}`{c.name}` ({c.minutes_to_read} minutes)" for c in chapters)
    read = sum(c.minutes_to_read for c in chapters)
    whole = sum(c.minutes_with_exercises for c in chapters)
    count = sum(len(c.exercises) for c in chapters)
    together = f"{hours(read)} together, {hours(whole)} with all {count} exercises"
    return f"**Reading:** {listed}: {together}."


def hours(minutes: int) -> str:
    """A sum of estimates, as exact as it can be: to five minutes, from three hours on to half an
    hour."""
    if minutes < 180:
        return f"{5 * round(minutes / 5)} minutes"
    whole, half = divmod(round(minutes / 30), 2)
    return f"{whole}{'½' * half} hours"


WRITES = {"teach-table": teach_table, "teach-chapter": teach_chapter, "teach-week": teach_week}


def hand_out(app: Sphinx, exception: Exception | None) -> None:
    """Slides and student edition beside the pages of the site, for the guide that links to them."""
    if exception is not None or app.builder.name != "html":
        return
    if "book/teaching" not in app.env.found_docs:
        return
    out, root = Path(app.outdir), Path(app.srcdir)
    try:
        slides.build(out, out / "slides", root)
        student.build(out / "student", root)
    except (ValueError, FileNotFoundError) as error:
        LOGGER.warning("hand-outs: %s", error, type="companion", subtype="teaching")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_node(Seconds)
    app.add_role("run-seconds", RunSeconds())
    for name in WRITES:
        app.add_directive(name, FromChapters)
    app.add_post_transform(FillSeconds)
    app.add_post_transform(StatusOfPages)
    app.connect("build-finished", hand_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
