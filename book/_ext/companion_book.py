"""What this book asks of Sphinx beyond Jupyter Book.

Imported before any kernel starts, so that the variable that tells `chapters.widgets.slider` "a
page is being built" reaches the kernels that execute the chapters.
"""

from __future__ import annotations

import html
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import companion_card
from companion_access import mend_pages
from companion_downloads import put_plain_notebooks
from companion_repository import find_repository, leave_out_or_lead, write_address
from companion_stamp import footer, inputs_digest
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util.fileutil import copy_asset

from ssl_companion.chapters.widgets.slider import BOOK_VARIABLE
from ssl_companion.chapters.widgets.static_slider import CAPTION_MARK

os.environ[BOOK_VARIABLE] = "html"

_FIGURE = re.compile(r'<figure class="frames" id="figure-(?P<name>[a-z0-9-]+)">')
# The parts of MathJax that a page with TeX input and CHTML output may ask for.
_MATHJAX = ("tex-chtml.js", "input/tex/extensions", "output/chtml/fonts", "a11y", "sre", "ui")


class NumberFigures(SphinxTransform):
    """Turn what `frames` and `picture` emit into figures that Sphinx numbers and refers to.

    Their HTML is complete in itself; here its <figure> becomes a plain block inside a
    docutils figure, and its caption the docutils caption, so `{numref}` works on its name.
    """

    default_priority = 210

    def apply(self, **kwargs: Any) -> None:
        for bundle in list(self.document.findall(_is_output_bundle)):
            raw = next((r for r in bundle.findall(nodes.raw) if _FIGURE.search(r.astext())), None)
            if raw is not None:
                bundle.replace_self(self._figure(raw.astext()))

    def _figure(self, page: str) -> nodes.figure:
        match = _FIGURE.search(page)
        assert match is not None
        before, caption, after = page.split(CAPTION_MARK)
        block = before.replace(match.group(0), '<div class="frames">') + after.replace(
            "</figure>", "</div>"
        )
        text = re.sub(r"</?figcaption>", "", caption)
        figure = nodes.figure("", nodes.raw("", block, format="html"), classes=["frames-figure"])
        figure += nodes.caption("", html.unescape(text))  # the kernel escaped it
        figure["names"].append(match["name"])
        self.document.note_explicit_target(figure, figure)
        return figure


def _is_output_bundle(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Element) and node.get("nb_element") == "mime_bundle"


def configure(app: Sphinx, config: Any) -> None:
    """Fill in what follows from the repository: its address, version, date, cache folder."""
    root, options = Path(app.srcdir), config.html_theme_options
    repository = find_repository(app, config)
    options["extra_footer"] = footer(root)
    companion_card.set_up(app, repository.url)
    options["navbar_persistent"] = []  # the theme's second search field
    config.html_context["default_mode"] = "auto"  # unset, every page logs an error
    _own_kernel_settings(Path(app.outdir).parent / "ipython")
    digest = inputs_digest(root)
    caches = Path(app.outdir).parent / ".jupyter_cache"
    config.nb_execution_cache_path = str(caches / digest)
    if caches.is_dir():
        for old in caches.iterdir():  # outputs of other code or recordings are never right again
            if old.name != digest:
                shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink()
    config.companion_inputs = digest


def _own_kernel_settings(folder: Path) -> None:
    """Keep the reader's own IPython start-up files out of the chapters, and kernels quiet."""
    profile = folder / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 'ERROR'\n")
    os.environ["IPYTHONDIR"] = str(folder)


def outdated(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    """Every executed page, when what it computes from has changed since the last build."""
    digest = app.config.companion_inputs
    changed = getattr(env, "companion_inputs", digest) != digest
    env.companion_inputs = digest  # type: ignore[attr-defined]
    return [doc for doc in env.found_docs if doc in env.metadata and changed]


def drop_thebe_nodes(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Leave out what sphinx-thebe appends to every notebook page."""
    for raw in list(doctree.findall(nodes.raw)):
        if "x-thebe-config" in raw.astext() or "<script>kernelName" in raw.astext():
            raw.parent.remove(raw)


def mend_bibliography(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Leave out the ARIA roles of a bibliography, which contradict what it contains."""
    if "citation-list" in context.get("body", ""):
        body = context["body"].replace('<div role="list" class="citation-list">', "<div>")
        context["body"] = body.replace(' role="doc-biblioentry"', "")


def drop_thebe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Leave sphinx-thebe's scripts out: emitted twice they throw, and they name another host."""
    for kind in ("script_files", "css_files"):
        context[kind] = [f for f in context.get(kind, []) if "thebe" not in _describe(f).lower()]


def search_without_excerpts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Opened from a file, the search page shows titles alone.

    Sphinx's script fetches each page that it found for a sentence around the word; a browser
    refuses that to a page from `file:`.
    """
    if page == "search":
        mend = "DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = location.protocol !== 'file:';"
        app.add_js_file(None, body=mend)


def _describe(asset: Any) -> str:
    return f"{getattr(asset, 'filename', asset)} {getattr(asset, 'attributes', {})}"


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Put MathJax into the site, from the installed package sphinx-mathjax-offline."""
    if exception is not None or app.builder.format != "html":
        return
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise RuntimeError("sphinx-mathjax-offline is missing: pip install -r requirements.txt")
    source, target = (
        Path(spec.origin).parent / "static/mathjax",
        Path(app.outdir) / "_static/mathjax",
    )
    for part in _MATHJAX:
        if not (target / part).exists():
            folder = (source / part).is_dir()
            copy_asset(source / part, (target / part) if folder else target / Path(part).parent)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_config_value("companion_inputs", "", "")
    app.add_config_value("companion_address", None, "")
    app.connect("config-inited", configure, priority=100)
    app.connect("env-get-outdated", outdated)
    app.connect("source-read", write_address)
    app.connect("html-page-context", leave_out_or_lead, priority=600)  # after the theme's buttons
    app.connect("doctree-resolved", drop_thebe_nodes, priority=900)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", mend_bibliography)
    app.connect("html-page-context", search_without_excerpts)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", mend_pages)
    app.connect("build-finished", put_plain_notebooks)
    app.connect("build-finished", companion_card.draw_card)
    app.connect("build-finished", companion_card.write_front_door, priority=400)
    app.add_transform(NumberFigures)
    app.add_css_file("companion.css")
    app.add_js_file("companion.js", defer="defer")
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
