"""Docstrings become reStructuredText that says the same."""

from __future__ import annotations

import io
from pathlib import Path

import docutils.core
import pytest
import yaml
from companion_docstrings import restructure
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

ROOT = Path(__file__).resolve().parents[2]


def parsed(docstring: str) -> nodes.document:
    lines = restructure(docstring.split("\n"))
    text = str(GoogleDocstring("\n".join(lines), Config(napoleon_use_ivar=True)))
    settings = {"report_level": 1, "halt_level": 2}  # the mildest complaint raises
    document: nodes.document = docutils.core.publish_doctree(text, settings_overrides=settings)
    return document


@pytest.mark.parametrize(
    "text",
    [
        "mean of |cos + 1/(K-1)| between |a - b| and |c|^2",
        "2 * |mu_i - mu_j|^2, a * b * c",
        "the attribute weight_ and bias_, and a_b",
        "a back\\slash",
        "an *emphasis* that is none",
    ],
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert parsed(text).astext() == text


def test_code_is_code_and_untouched() -> None:
    document = parsed("See `a * b_` and\n`two |lines|`.")
    assert [node.astext() for node in document.findall(nodes.literal)] == ["a * b_", "two |lines|"]


def test_roles_and_double_backticks_are_code_as_well() -> None:
    document = parsed("First :func:`draw`, then ``apply[0]``; `this`.")
    assert document.astext() == "First draw, then apply[0]; this."
    assert len(list(document.findall(nodes.literal))) == 3


def test_a_word_may_go_on_behind_code() -> None:
    assert parsed("columns `x`_low and `y`s").astext() == "columns x_low and ys"


def test_sections_keep_their_names_and_words() -> None:
    document = parsed(
        "What it does.\n\nArgs:\n    x_: the |norm| of it.\n    y: `code`.\n\n"
        "Attributes:\n    means_, counts_: of *each* class.\n"
    )
    text = document.astext()
    assert "x_" in text
    assert "the |norm| of it." in text
    assert "of *each* class." in text


def test_attributes_with_one_description_are_set_apart() -> None:
    lines = restructure(
        [
            "Two.",
            "",
            "Attributes:",
            "    low, high: the ends,",
            "        both of them.",
            "    n: a count, and so: on.",
            "",
            "Returns:",
            "    a, b: both.",
        ]
    )
    assert lines == [
        "Two.", "", "Attributes:", "    low: the ends,", "        both of them.",
        "    high: the ends,", "        both of them.", "    n: a count, and so: on.", "",
        "Returns:", "    a, b: both.",
    ]  # fmt: skip
    assert restructure(["Attributes:", "    a, b: both."])[1:] == ["    a: both.", "    b: both."]


def test_examples_are_left_alone() -> None:
    assert restructure([">>> a * b | c"]) == [">>> a * b | c"]


@pytest.mark.slow
def test_every_docstring_on_the_page_is_sound(tmp_path: Path) -> None:
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["sphinx"]["config"]
    wanted = ("autodoc_", "napoleon_", "nitpick_", "python_")
    config = {k: v for k, v in settings.items() if k.startswith(wanted)}
    config["extensions"] = [
        "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "companion_docstrings",
    ]  # fmt: skip
    pages = sorted((ROOT / "book").glob("api*.md"))
    for page in pages:
        text = page.read_text("utf8").replace("{doc}`", "`")
        (tmp_path / page.name).write_text(text, encoding="utf8")
    names = "\n".join(page.stem for page in pages)
    (tmp_path / "index.md").write_text(f"# All\n\n```{{toctree}}\n{names}\n```\n", encoding="utf8")
    complaints = io.StringIO()
    app = Sphinx(
        tmp_path, None, tmp_path / "out", tmp_path / "trees", "dummy",
        confoverrides=config | {"nitpicky": True}, status=None, warning=complaints,
    )  # fmt: skip
    app.build()
    assert complaints.getvalue() == ""
