"""What the instructor's guide takes from the chapters, and what a build hands out to a class.

Directives `teach-table`, `teach-chapter` and `teach-week` write Markdown from the chapters'
sources; the role `run-seconds` is the time that a page took to run. After the pages, a build
writes the slides and the student edition into the site, where the guide links to them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from companion_chapters import Chapter, read_chapter
from docutils import nodes
from docutils.statemachine import StringList
from myst_nb.ext.execution_tables import METADATA_KEY
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))

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
    """Put the times in, from what myst-nb keeps of every execution."""

    default_priority = 8

    def run(self, **kwargs: Any) -> None:
        """Replace every place by its number, or by words where a page has not run."""
        data = NbMetadataCollector.get_doc_data(self.env)
        for place in list(self.document.findall(Seconds)):
            ran = [(data.get(page) or {}).get("exec_data") or {} for page in place["pages"]]
            times = [one.get("runtime") for one in ran]
            known = [time for time in times if time is not None]
            said = f"{sum(known):.0f} s" if len(known) == len(times) else "not run in this build"
            place.replace_self(nodes.Text(said))


class _FromChapters(SphinxDirective):
    """Markdown written from chapters' sources and read as if it stood in the page."""

    has_content = False
    final_argument_whitespace = True

    def chapters(self, names: list[str]) -> list[Chapter]:
        found = []
        for name in names:
            page = Path(self.env.srcdir) / "book" / f"{name}.md"
            if not page.is_file():
                raise self.error(f"{name}: no chapter of this name in book/")
            self.env.note_dependency(str(page))
            try:
                found.append(read_chapter(page))
            except ValueError as error:
                raise self.error(str(error)) from error
        return found

    def parsed(self, text: str) -> list[nodes.Node]:
        holder = nodes.Element()
        lines = StringList(text.splitlines(), source=self.env.docname)
        self.state.nested_parse(lines, self.content_offset, holder)
        return list(holder.children)


class TeachTable(_FromChapters):
    """All chapters with their minutes, seconds and exercises; names are its arguments."""

    required_arguments, optional_arguments = 1, 0

    def run(self) -> list[nodes.Node]:
        chapters = self.chapters(self.arguments[0].split())
        rows = [
            f"| {{doc}}`{c.name}` | {c.minutes_to_read} | {c.minutes_with_exercises} "
            f"| {len(c.exercises)} | {{run-seconds}}`{c.name}` |"
            for c in chapters
        ]
        head = "| Chapter | Minutes to read | with the exercises | Exercises | Runs for |"
        total = (
            f"| **Together** | **{sum(c.minutes_to_read for c in chapters)}** "
            f"| **{sum(c.minutes_with_exercises for c in chapters)}** "
            f"| **{sum(len(c.exercises) for c in chapters)}** "
            f"| {{run-seconds}}`{', '.join(c.name for c in chapters)}` |"
        )
        return self.parsed("\n".join([head, "|---|--:|--:|--:|--:|", *rows, total]))


class TeachChapter(_FromChapters):
    """One chapter: what it teaches, its times, its hand-outs, its exercises in order."""

    required_arguments, optional_arguments = 1, 0

    def run(self) -> list[nodes.Node]:
        (chapter,) = self.chapters([self.arguments[0]])
        exercises = [
            f"{i}. [{e.title}](#{e.label}) ({e.lines} line{'s' if e.lines != 1 else ''})"
            for i, e in enumerate(chapter.exercises, 1)
        ]
        times = (
            f"**Time:** {chapter.minutes_to_read} minutes to read, "
            f"{chapter.minutes_with_exercises} with the exercises; the page runs for "
            f"{{run-seconds}}`{chapter.name}`."
        )
        name = chapter.name
        links = (
            f'<p>Hand-outs: <a href="../slides/{name}.html">slides</a>, '
            f'<a href="../student/{name}.ipynb" download>student notebook</a>.</p>'
        )
        parts = ["It teaches to:", chapter.objectives, times, "Exercises:", "\n".join(exercises)]
        return [*self.parsed("\n\n".join(parts)), nodes.raw("", links, format="html")]


class TeachWeek(_FromChapters):
    """The reading of a week: chapters with their minutes, and the sum."""

    required_arguments, optional_arguments = 1, 0

    def run(self) -> list[nodes.Node]:
        chapters = self.chapters(self.arguments[0].split())
        listed = ", ".join(f"{{doc}}`{c.name}` ({c.minutes_to_read} minutes)" for c in chapters)
        read = sum(c.minutes_to_read for c in chapters)
        whole = sum(c.minutes_with_exercises for c in chapters)
        count = sum(len(c.exercises) for c in chapters)
        return self.parsed(
            f"**Reading:** {listed}: {read} minutes together, {whole} with all {count} exercises."
        )


def hand_out(app: Sphinx, exception: Exception | None) -> None:
    """Slides and student edition beside the pages of the site, for the guide that links to them."""
    if exception is not None or app.builder.name != "html":
        return
    if "book/teaching" not in app.env.found_docs:
        return
    import slides
    import student

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
    app.add_directive("teach-table", TeachTable)
    app.add_directive("teach-chapter", TeachChapter)
    app.add_directive("teach-week", TeachWeek)
    app.add_post_transform(FillSeconds)
    app.connect("build-finished", hand_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
