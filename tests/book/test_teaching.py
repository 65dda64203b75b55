"""The instructor's guide: what it says of the chapters is what they say of themselves."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from chapter_source import Chapter, read_chapter, toc
from companion_teaching import StatusOfPages
from docutils import nodes
from docutils.utils import new_document
from myst_nb.ext.execution_tables import make_stat_table

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "book/teaching.md").read_text("utf8")
OBJECTIVES = "{admonition} What you will be able to do"
CHAPTERS = [
    Path(page).name
    for _, page in toc(ROOT)
    if OBJECTIVES in (ROOT / f"{page}.md").read_text("utf8")
]
PAGE = """\
---
jupytext:
  formats: md
---

# Clouds

:::{admonition} What you will be able to do
:class: tip

- See {term}`clouds <Cloud>`.
- Tell them apart.

**Time:** 7 minutes to read, 19 with
the exercises. **Needs:** nothing.
:::

```{exercise}
:label: ex-near
**How
near?** Look.
```

```{code-cell} ipython3
:tags: [exercise, exercise-near]

x = ...  # a number
check(x)
```

````{solution} ex-near
```python
# solution: near
y = 1
x = y + 1
check(x)
```
````
"""


def read(tmp_path: Path, text: str) -> Chapter:
    page = tmp_path / "clouds.md"
    page.write_text(text)
    return read_chapter(page)


def test_a_chapter_is_read(tmp_path: Path) -> None:
    chapter = read(tmp_path, PAGE)
    assert (chapter.name, chapter.title) == ("clouds", "Clouds")
    assert (chapter.minutes_to_read, chapter.minutes_with_exercises) == (7, 19)
    assert chapter.objectives == "- See {term}`clouds <Cloud>`.\n- Tell them apart."
    (exercise,) = chapter.exercises
    assert (exercise.label, exercise.title, exercise.lines) == ("ex-near", "How near?", 2)


def test_a_line_that_only_loses_its_comment_is_not_added(tmp_path: Path) -> None:
    stub, answer = (
        "def f(x):  # a number\n    return ...",
        "def f(x):\n    # half\n    return x / 2",
    )
    page = PAGE.replace("x = ...  # a number", stub).replace("y = 1\nx = y + 1", answer)
    assert [exercise.lines for exercise in read(tmp_path, page).exercises] == [1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("7 minutes", "some minutes", "Time:"),
        ("What you will be able to do", "Aims", "box of objectives"),
        ("# solution: near", "# solution: far", "solutions"),
        (":tags: [exercise, exercise-near]", "", "stubs"),
    ],
)
def test_a_chapter_of_another_form_is_refused(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=rf"clouds\.md.*{said}"):
        read(tmp_path, PAGE.replace(old, new))


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_chapter_says_its_times_and_exercises(name: str) -> None:
    chapter = read_chapter(ROOT / f"book/{name}.md")
    assert 0 < chapter.minutes_to_read < chapter.minutes_with_exercises
    assert 3 <= len(chapter.exercises) <= 5
    assert all(exercise.lines >= 1 for exercise in chapter.exercises)
    assert len({exercise.title for exercise in chapter.exercises}) == len(chapter.exercises)


def test_the_guide_has_every_chapter_in_the_books_order() -> None:
    (table,) = re.findall(r"```\{teach-table\} (.*)", GUIDE)
    assert table.split() == CHAPTERS
    assert re.findall(r"```\{teach-chapter\} (\S+)", GUIDE) == CHAPTERS
    assert re.findall(r":::\{container\} discuss-(\S+)", GUIDE) == CHAPTERS
    weeks = " ".join(re.findall(r"```\{teach-week\} (.*)", GUIDE)).split()
    assert sorted(weeks) == sorted(CHAPTERS)


def test_the_exercises_that_a_week_names_exist() -> None:
    weeks = re.split(r"(?m)^### Week \d", GUIDE)[1:]
    assert len(weeks) == 4
    for week in weeks:
        (names,) = re.findall(r"\{teach-week\} (.*)", week)
        chapters = [read_chapter(ROOT / f"book/{name}.md") for name in names.split()]
        titles = {e.title.rstrip(".") for chapter in chapters for e in chapter.exercises}
        set_ = re.search(r"- \*\*Exercises\.\*\*(.*?)\n- ", week, re.DOTALL)
        for said in re.findall(r"\*([^*]+)\*", set_[1] if set_ else ""):
            assert " ".join(said.split()) in titles


def test_the_rubric_adds_up_and_the_lab_lasts_two_hours() -> None:
    points = re.findall(r"(?m)^\| (\d) \| \w+ \|", GUIDE)
    assert sum(map(int, points)) == 10
    lab = GUIDE.split("## A lab of two hours")[1].split("\n## ")[0]
    minutes = [int(m) for m in re.findall(r"(?m)^\| (\d+) \|", lab)]
    assert minutes == sorted(set(minutes))
    assert minutes[0] == 0
    assert 100 < minutes[-1] < 120
    assert len(read_chapter(ROOT / "book/clusters-emerge.md").exercises) >= 4


@pytest.fixture(scope="module")
def built(site: Path) -> BeautifulSoup:
    return BeautifulSoup((site / "book/teaching.html").read_text("utf8"), "html.parser")


def test_the_table_of_pages_has_words_and_seconds_of_one_decimal() -> None:
    ran = {"mtime": 0, "method": "cache", "runtime": 12.345, "succeeded": True, "error": None}
    pages = {"book/a": {"exec_data": ran}, "book/b": {"exec_data": ran | {"succeeded": False}}}
    table = make_stat_table("book/execution", pages)
    document = new_document("book/execution")
    document += table
    env = SimpleNamespace(
        docname="book/execution",
        titles={page: nodes.title(text=f"Page {page[-1].upper()}") for page in pages},
    )
    page = SimpleNamespace(env=env, document=document, _KEPT=StatusOfPages._KEPT)
    StatusOfPages.run(page)  # type: ignore[arg-type]
    rows = [[cell.astext() for cell in row] for row in table.findall(nodes.row)]
    assert rows[1:] == [["Page A", "12.3", "✓ ran"], ["Page B", "12.3", "failed"]]
    right = [entry.astext() for entry in table.findall(nodes.entry) if entry["classes"]]
    assert right == ["Run Time (s)", "12.3", "12.3"]


@pytest.mark.browser
def test_the_built_guide_shows_what_the_sources_say(built: BeautifulSoup) -> None:
    chapters = [read_chapter(ROOT / f"book/{name}.md") for name in CHAPTERS]
    rows = built.select_one("#the-chapters-at-a-glance table").select("tbody tr")
    shown = [[cell.get_text().strip() for cell in row.select("td")] for row in rows]
    for chapter, row in zip(chapters, shown, strict=False):
        counted = (chapter.minutes_to_read, chapter.minutes_with_exercises, len(chapter.exercises))
        assert row[1:4] == [str(number) for number in counted]
        assert re.fullmatch(r"\d+ s", row[4]), "seconds of the run that made the page"
    assert shown[-1][3] == str(sum(len(chapter.exercises) for chapter in chapters))
    text = built.select_one("article").get_text()
    assert all(exercise.title in text for chapter in chapters for exercise in chapter.exercises[:1])


@pytest.mark.browser
def test_hand_outs_are_beside_the_pages(built: BeautifulSoup, site: Path) -> None:
    links = {str(a["href"]) for a in built.select("article a[href]")}
    given = {a for a in links if a.startswith(("../slides/", "../student/"))}
    assert {f"../slides/{name}.html" for name in CHAPTERS} <= given
    assert {f"../student/{name}.ipynb" for name in CHAPTERS} <= given
    assert {"../slides/index.html", "../student/student-edition.zip"} <= given
    assert all((site / "book" / link).is_file() for link in given)


@pytest.mark.browser
def test_seconds_are_those_of_the_status_page(built: BeautifulSoup, site: Path) -> None:
    status = BeautifulSoup((site / "book/execution.html").read_text("utf8"), "html.parser")
    times = {}
    for row in status.select("table tbody tr"):
        cells = [cell.get_text().strip() for cell in row.select("td")]
        times[Path(str(row.select_one("a")["href"])).stem] = float(cells[1])  # type: ignore[index]
        assert len(cells) == 3, "of a narrow screen's width: page, seconds, status"
        assert not cells[0].startswith("book/"), "a page has its title"
    for row, name in zip(built.select("table tbody tr")[4:], CHAPTERS, strict=False):
        seconds = row.select("td")[-1].get_text().strip().removesuffix(" s")
        assert float(seconds) == pytest.approx(times[name], abs=0.6)  # both are rounded


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_minutes_to_read_fit_the_words(name: str) -> None:
    # The guide calls them estimates, at 35 to 55 words a minute.
    chapter = read_chapter(ROOT / "book" / f"{name}.md")
    text = (ROOT / "book" / f"{name}.md").read_text("utf8")
    prose = re.split(r"^## Exercises", text, flags=re.M)[0]
    code = r"^```(?:\{code-cell\}|python|bash).*?^```$"
    prose = re.sub(rf"\A---\n.*?\n---\n|{code}", "", prose, flags=re.S | re.M)
    rate = len(re.findall(r"[A-Za-z]{2,}", prose)) / chapter.minutes_to_read
    assert 35 <= rate <= 55, f"{rate:.0f} words a minute"
