"""What this book asks of Sphinx beyond Jupyter Book.

Imported before any kernel starts, so that the variable that tells `chapters.widgets.slider` "a
page is being built" reaches the kernels that execute the chapters.
"""

from __future__ import annotations

import html
import os
import re
import shutil
from pathlib import Path
from typing import Any

import companion_card
from companion_downloads import put_plain_notebooks
from companion_html import drop_scripts, mend_body
from companion_landing import colab_door
from companion_launch import launch_rows
from companion_references import offer_style
from companion_repository import find_repository, leave_out_or_lead, write_address
from companion_stamp import footer, inputs_digest
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from ssl_companion.chapters.widgets.slider import BOOK_VARIABLE
from ssl_companion.chapters.widgets.static_slider import CAPTION_MARK

os.environ[BOOK_VARIABLE] = "html"
offer_style()

MATHJAX = ["input/tex", "output/chtml", "a11y/assistive-mml"]
_FIGURE = re.compile(r'<figure class="frames" id="figure-(?P<name>[a-z0-9-]+)">')


class NumberFigures(SphinxTransform):
    """Turn what `frames` and `picture` emit into figures that Sphinx numbers and refers to.

    Their HTML is complete in itself; here its <figure> becomes a plain block inside a
    docutils figure, and its caption the docutils caption, so `{numref}` works on its name.
    """

    default_priority = 210

    def apply(self, **kwargs: Any) -> None:
        """Replace every output that holds such a figure."""
        for bundle in list(self.document.findall(nodes.container)):
            pages = [raw.astext() for raw in bundle.findall(nodes.raw)]
            shown = next(filter(_FIGURE.search, pages), None)
            if bundle.get("nb_element") == "mime_bundle" and shown is not None:
                bundle.replace_self(self._figure(shown))

    def _figure(self, page: str) -> nodes.figure:
        before, caption, after = page.split(CAPTION_MARK)
        opening = _FIGURE.search(page)
        assert opening is not None
        before = before.replace(opening[0], '<div class="frames">')
        block = before + after.replace("</figure>", "</div>")
        text = re.sub(r"</?figcaption>", "", caption)
        figure = nodes.figure("", nodes.raw("", block, format="html"), classes=["frames-figure"])
        figure += nodes.caption("", html.unescape(text))  # the kernel escaped it
        figure["names"].append(opening["name"])
        self.document.note_explicit_target(figure, figure)
        return figure


def configure(app: Sphinx, config: Any) -> None:
    """Fill in what follows from the repository: its address, version, date, cache folder."""
    root, built, options = Path(app.srcdir), Path(app.outdir).parent, config.html_theme_options
    repository = find_repository(app, config)
    config.companion_url = repository.url
    options["extra_footer"] = footer(root)
    companion_card.set_up(app, repository.url)
    # The whole of MathJax is 1.2 MB; these are what formulas need, and a reader of the screen.
    config.mathjax_path = "mathjax/startup.js"
    config.mathjax3_config = {"loader": {"load": MATHJAX}, **(config.mathjax3_config or {})}
    options["navbar_persistent"] = []  # the theme's second search field
    config.html_context["default_mode"] = "auto"  # unset, every page logs an error
    _own_kernel_settings(built / "ipython")
    config.companion_inputs = inputs_digest(root)
    cache = built / ".jupyter_cache" / config.companion_inputs
    config.nb_execution_cache_path = str(cache)
    for old in cache.parent.glob("*"):  # outputs of other code or recordings: never right again
        if old != cache:
            shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink()


def _own_kernel_settings(folder: Path) -> None:
    """Keep the reader's own IPython start-up files out of the chapters, and kernels quiet."""
    profile = folder / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 'ERROR'\n")
    os.environ["IPYTHONDIR"] = str(folder)


def stop_thebe(app: Sphinx, config: Any) -> None:
    """Leave out sphinx-thebe's scripts: emitted twice they throw, and they name another host."""
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if listener.handler.__module__ == "sphinx_thebe":
                app.disconnect(listener.id)
    styles = app.registry.css_files
    styles[:] = [style for style in styles if style[0] != "sphinx-thebe.css"]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_config_value("companion_inputs", "", "env")  # another digest: all is read again
    app.add_config_value("companion_url", "", "env")  # it stands in the first cells
    app.add_config_value("companion_address", None, "")
    app.connect("config-inited", configure, priority=100)
    app.connect("config-inited", stop_thebe)
    app.connect("source-read", write_address)
    app.connect("html-page-context", leave_out_or_lead, priority=600)  # after the theme's buttons
    app.connect("html-page-context", launch_rows, priority=700)  # after those buttons are right
    app.connect("html-page-context", colab_door, priority=700)
    app.connect("html-page-context", mend_body)
    app.connect("build-finished", drop_scripts)
    app.connect("build-finished", put_plain_notebooks)
    app.connect("build-finished", companion_card.draw_card)
    app.add_transform(NumberFigures)
    app.add_css_file("companion.css")
    app.add_js_file("companion.js", defer="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
