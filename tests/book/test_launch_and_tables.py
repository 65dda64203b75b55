"""What the extension puts into a page's HTML, and what it takes out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bs4 import BeautifulSoup
from companion_html import aligned, drop_scripts, mend_body, with_minus_signs
from companion_launch import launch_rows

LAUNCH = {"label": "launch-buttons", "buttons": [{"text": "Colab", "url": "https://colab/x?a&b"}]}
BODY = '<h1>A<a href="#">#</a></h1><p>b</p><h2>Exercises<a href="#e">#</a></h2><p>c</p>'


def row_of(
    tmp_path: Path, page: str, buttons: list[Any], seconds: float | None = 51.3, body: str = BODY
) -> BeautifulSoup:
    """The page with its rows, where `book/chapter` has a notebook."""
    (tmp_path / "book").mkdir(exist_ok=True)
    (tmp_path / "book/chapter.ipynb").touch()
    (tmp_path / "book/landing.ipynb").touch()
    ran = {page: {"exec_data": {"runtime": seconds}}} if seconds else {}
    app: Any = SimpleNamespace(
        srcdir=tmp_path,
        config=SimpleNamespace(root_doc="book/landing"),
        env=SimpleNamespace(nb_metadata=ran),
    )
    context = {"body": body, "header_buttons": buttons, "pathto": lambda name, _: f"../{name}"}
    launch_rows(app, page, "page.html", context, None)
    return BeautifulSoup(str(context["body"]), "html.parser")


def test_under_the_title_stands_where_to_run_what_to_download_and_how_long(tmp_path: Path) -> None:
    page = row_of(tmp_path, "book/chapter", [LAUNCH])
    top, exercises = page.select(".companion-launch")
    assert top.find_previous_sibling().name == "h1"
    colab, download = top.select("a")
    assert (colab["href"], colab.text) == ("https://colab/x?a&b", "Open in Colab")
    assert download["href"] == "../_sources/book/chapter.ipynb"
    assert download.has_attr("download")
    assert "runs in 51 s" in top.text
    assert exercises.find_previous_sibling().name == "h2"
    assert len(exercises.select("a")) == 2
    assert "runs" not in exercises.text


def test_without_an_address_or_a_run_the_row_says_nothing_of_them(tmp_path: Path) -> None:
    page = row_of(tmp_path, "book/chapter", [{"label": "download-buttons", "buttons": []}], None)
    assert page.select_one(".companion-launch").text == "Download the notebook"


@pytest.mark.parametrize("page", ["book/landing", "book/glossary"])
def test_the_landing_page_and_pages_without_a_notebook_have_no_row(
    page: str, tmp_path: Path
) -> None:
    assert not row_of(tmp_path, page, [LAUNCH]).select(".companion-launch")


def table(*rows: tuple[str, ...]) -> str:
    head = "".join("<th>head</th>" for _ in rows[0])
    cells = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    rows_of = f"<thead><tr>{head}</tr></thead><tbody>{cells}</tbody>"
    return f'<table class="companion-table">{rows_of}</table>'


def column(*cells: str) -> tuple[str | None, list[str]]:
    """How a column of these stands, and its cells."""
    page = BeautifulSoup(aligned(table(*((cell,) for cell in cells))), "html.parser")
    classes = {tuple(cell.get("class", ())) for cell in page.select("td, th")}
    assert len(classes) == 1, "the head stands as its column does"
    return next(iter(classes), ()), [cell.text for cell in page.select("td")]


def test_numbers_stand_by_their_decimal_points() -> None:
    kind, cells = column("-0.0007", "0.023", "12", "none")
    assert kind == ("number",)
    assert cells == ["−0.0007", "0.023\u2007", "12\u2008\u2007\u2007\u2007\u2007", "none"]


def test_intervals_stand_by_the_points_before_them() -> None:
    kind, cells = column("8.31 (7.9 to 8.72)", "12.1 (-1 to 3)")
    assert kind == ("estimate",)
    assert cells == ["\u20078.31 (7.9 to 8.72)", "12.1 (−1 to 3)"]


def test_a_stacked_number_keeps_the_name_of_its_column() -> None:
    _, cells = column("8.5", "12")
    named = '<div data-head="kB">{}</div>'
    page = aligned(table((named.format("8.5"),), (named.format("12"),)))
    assert all(f"{named.format(cell)}</td>" in page for cell in cells)
    assert page.count('class="number"') == 3


def test_words_stay_as_they_are() -> None:
    assert column("maple", "12") == ((), ["maple", "12"])
    assert column("", "none") == ((), ["", "none"])


def test_the_head_of_a_group_is_no_number_and_a_cell_over_two_rows_leaves_a_table_alone() -> None:
    grouped = table(("a", "1.5"), ("b", "12")).replace(
        "<tbody>", '<tbody><tr><th colspan="2">group</th></tr>'
    )
    assert aligned(grouped).count('class="number"') == 3
    spanning = table(("a", "1.5")).replace("<td>a", '<td rowspan="1">a')
    assert "number" not in aligned(spanning)


def test_a_solution_s_link_begins_with_its_first_letter_and_a_title_is_said_once() -> None:
    title = '<p class="admonition-title">Solution to<a href="#x"> Exercise 34</a></p>'
    context = {"body": title, "title": "Book", "docstitle": "Book"}
    mend_body(None, "", "", context, None)  # type: ignore[arg-type]
    assert 'Solution to <a href="#x">Exercise 34</a>' in context["body"]
    assert context["docstitle"] == ""


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<p>-1% (-47% to -40%)</p>", "<p>−1% (−47% to −40%)</p>"),
        ("<p>by -0% or -0.0 points, not -0.02</p>", "<p>by 0% or 0.0 points, not −0.02</p>"),
        ("2026-11-27, run-s0, 3-5, 1e-6, --k -x", "2026-11-27, run-s0, 3-5, 1e-6, --k -x"),
        ('<p a="-1">\\(-1\\) \\[-2\\]</p>', '<p a="-1">\\(-1\\) \\[-2\\]</p>'),
        ("<pre>x = -1</pre><code>-2</code> -3", "<pre>x = -1</pre><code>-2</code> −3"),
        ("<svg><path d='m-1'/><i>-1</i></svg>-1", "<svg><path d='m-1'/><i>-1</i></svg>−1"),
        ("<script src='a'/>-1", "<script src='a'/>−1"),
    ],
)  # fmt: skip
def test_a_number_below_nothing_has_a_minus_sign(written: str, shown: str) -> None:
    assert with_minus_signs(written) == shown


def test_hidden_output_is_not_called_code() -> None:
    words = "<summary><p>Show how this is made</p></summary>-1"
    fold = f'<details class="admonition hide below-input">{words}'
    context = {"body": fold + fold.replace("below", "above")}
    mend_body(None, "", "", context, None)  # type: ignore[arg-type]
    assert context["body"].count("Show the output") == 1
    assert context["body"].count("Show how this is made") == 1


def test_pages_lose_the_scripts_that_they_do_not_need(tmp_path: Path) -> None:
    scripts = "".join(
        f'\n <script {how}src="../_static/{name}.js?v=1"></script>'
        for how, name in (
            ("defer ", "scripts/fontawesome"), ("", "searchtools"), ("", "language_data"),
            ("", "doctools"),
        )
    )  # fmt: skip
    for name in ("page", "search"):
        (tmp_path / f"{name}.html").write_text(f"<head>{scripts}</head>")
    (tmp_path / "_static/scripts").mkdir(parents=True)
    icons = tmp_path / "_static/scripts/fontawesome.js"
    icons.touch()
    app: Any = SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(format="html"))
    drop_scripts(app, None)
    page, search = ((tmp_path / f"{n}.html").read_text() for n in ("page", "search"))
    assert "doctools" in page
    assert not [n for n in ("fontawesome", "searchtools", "language_data") if n in page]
    assert "searchtools" in search
    assert "fontawesome" not in search
    assert not icons.exists()
