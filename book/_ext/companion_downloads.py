"""The notebook that a page offers for download: plain Markdown, with the page's outputs.

The theme offers what was executed, whose words are MyST; Jupyter shows its directives as text.
The notebook beside the page's source says the same in plain Markdown and has no outputs.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from companion_repository import Address
from jupyter_cache import get_cache
from sphinx.application import Sphinx
from sphinx.util import logging

_LOGGER = logging.getLogger(__name__)


def with_outputs(
    plain: nbformat.NotebookNode, executed: nbformat.NotebookNode
) -> nbformat.NotebookNode:
    """The notebook `plain` with the outputs of `executed`, code cell by code cell.

    Raises:
        ValueError: when the two do not hold the same code.
    """
    kept, ran = (
        [cell for cell in notebook.cells if cell.cell_type == "code"]
        for notebook in (plain, executed)
    )
    if [cell.source for cell in kept] != [cell.source for cell in ran]:
        raise ValueError("its code is not that of the page's source: run `make notebooks`")
    for cell, same in zip(kept, ran, strict=True):
        cell.outputs, cell.execution_count = same.outputs, same.execution_count
    nbformat.validate(plain)
    return plain


def from_cache(executed: nbformat.NotebookNode, cache: str) -> nbformat.NotebookNode:
    """The same notebook with its outputs, where the page was made of outputs in the cache.

    Then the theme offers the notebook as it was before they were put in.
    """
    if any(cell.get("outputs") for cell in executed.cells):
        return executed
    try:
        found: nbformat.NotebookNode = get_cache(cache).merge_match_into_notebook(executed)[1]
    except KeyError:  # it could not be executed
        return executed
    return found


def put_plain_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Write the plain notebooks over the theme's, for every page whose notebook follows it.

    Whoever writes a page builds it before its notebook is made: that is told and no fault here.
    """
    if exception is not None or app.builder.format != "html":
        return
    for offered in sorted((Path(app.outdir) / "_sources").rglob("*.ipynb")):
        beside = Path(app.srcdir) / offered.relative_to(Path(app.outdir) / "_sources")
        if not beside.is_file():
            _LOGGER.info("%s is missing: run `make notebooks`", beside)
            continue
        address: Address = app.config.companion_address
        plain = nbformat.reads(address.written(beside.read_text("utf8")), as_version=4)
        executed = nbformat.read(offered, as_version=4)
        executed = from_cache(executed, app.config.nb_execution_cache_path)
        try:
            whole = nbformat.writes(with_outputs(plain, executed))
        except ValueError as error:
            _LOGGER.info("%s: %s", beside, error)
            continue
        offered.write_text(f"{whole}\n", encoding="utf8")
