"""A page's code cells, run in this process, without a kernel and with few pictures."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from ssl_companion.chapters.analysis import feature_maps
from ssl_companion.chapters.widgets import slider

ROOT = Path(__file__).resolve().parents[2]


def tagged(cell: nbformat.NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def parameters_of(page: str) -> str:
    """The code of a page's parameters cell."""
    cells = nbformat.read(ROOT / f"book/{page}.ipynb", as_version=4).cells
    return str(next(cell.source for cell in cells if tagged(cell, "parameters")))


def with_parameters(code: str, **values: object) -> str:
    """The cell with other values."""
    for name, value in values.items():
        code, found = re.subn(
            rf"(?m)^{name} = .*$", lambda _, n=name, v=value: f"{n} = {v!r}", code
        )
        assert found == 1, name
    return code


def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps are projections, and of a slider's values the ends are drawn."""

    def flat(features: np.ndarray, *, seed: int = 0, **_: object) -> np.ndarray:
        points = features @ np.random.default_rng(seed).normal(size=(features.shape[1], 2))
        points = points - points.mean(axis=0)
        scaled: np.ndarray = (points / points.std()).astype(np.float32)
        return scaled

    def ends(
        render: Callable[[Any], Any], values: Sequence[Any], caption: str,
        alt: Callable[[Any], str], label: str, show: Callable[[Any], str], start: int,
    ) -> str:  # fmt: skip
        for value in (values[0], values[-1]):
            slider._pixels(render(value))
        return caption + "".join(slider._text(alt(value)) + show(value) for value in values)

    monkeypatch.delenv(slider.BOOK_VARIABLE, raising=False)
    monkeypatch.setattr(feature_maps, "umap_embedding", flat)
    monkeypatch.setattr(slider, "_widget", ends)


def run_page(page: str, **values: object) -> dict[str, Any]:
    """Execute a page with other parameters; raises what a cell raises.

    Returns:
        What the page has defined, by name.
    """
    names: dict[str, Any] = {"__name__": "__main__", "display": repr}
    for number, cell in enumerate(nbformat.read(ROOT / f"book/{page}.ipynb", as_version=4).cells):
        if cell.cell_type != "code" or tagged(cell, "setup"):
            continue
        code = with_parameters(cell.source, **values) if tagged(cell, "parameters") else cell.source
        tree = ast.parse(code)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(tree, f"{page}, cell {number}", "exec"), names)
            if isinstance(last, ast.Expr):
                shown = eval(
                    compile(ast.Expression(last.value), f"{page}, cell {number}", "eval"), names
                )
                getattr(shown, "_repr_html_", lambda: "")()
    return names
