"""Notebooks that were handed in: solved, untouched, tampered with, broken."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import grade
import nbformat
import pytest
import student
import sync
from grade import MISSING, NO_ANSWER, NOT_YET, RIGHT, Row
from plain_notebook import references

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "book/self-supervision.md"
BOOK = grade.book_exercises(ROOT)
NEEDED = {"setup", "parameters", "exercise"}  # the figures between them only take time
FIRST, SECOND, THIRD = (exercise.name for exercise in BOOK["self-supervision"].exercises[:3])


def solutions() -> dict[str, str]:
    found = re.findall(
        r"```+ *python\n# solution: ([\w-]+)\n(.*?)```", CHAPTER.read_text("utf8"), re.DOTALL
    )
    return dict(found)


def handed(edit: object = None) -> nbformat.NotebookNode:
    """The student notebook without what only draws; `edit` is applied to every exercise's cell."""
    notebook = nbformat.reads(student.student_notebook(CHAPTER, references(ROOT, {})), as_version=4)
    notebook.cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and NEEDED & set(cell.metadata.get("tags", []))
    ]
    for cell in notebook.cells:
        names = [t.removeprefix("exercise-") for t in cell.metadata.tags if "exercise-" in t]
        if names and callable(edit):
            cell.source = edit(names[0], cell.source)
    return notebook


def graded(folder: Path, notebook: nbformat.NotebookNode, timeout: float = 120) -> dict[str, Row]:
    """The rows of a notebook that was handed in, by their exercises."""
    nbformat.write(notebook, folder / "one.ipynb")
    rows = grade.grade_notebook(folder / "one.ipynb", folder, BOOK, timeout)
    return {row.exercise: row for row in rows}


def test_every_exercise_of_the_book_can_be_asked() -> None:
    assert set(BOOK) == {p.stem for p in sync.chapters(ROOT) if "{exercise}" in p.read_text("utf8")}
    for chapter, exercises in BOOK.items():
        assert all(e.module == chapter.replace("-", "_") for e in exercises)
        assert all(re.match(r"check\.check_\w+\(", e.function) for e in exercises)
        assert len({e.name for e in exercises}) == len(exercises)


@pytest.mark.slow
def test_solutions_are_right_and_stubs_are_not_yet(tmp_path: Path) -> None:
    """One after another and two at once, beside a file that is no notebook."""
    solved = solutions()
    nbformat.write(handed(lambda name, _: solved[name]), tmp_path / "solved.ipynb")
    nbformat.write(handed(), tmp_path / "untouched.ipynb")
    (tmp_path / "broken.ipynb").write_text('{"cells": [')
    rows = grade.grade(tmp_path, timeout=120, jobs=2)
    assert rows == grade.grade(tmp_path, timeout=120)
    count = len(BOOK["self-supervision"])
    files = ["broken.ipynb"] + ["solved.ipynb"] * count + ["untouched.ipynb"] * count
    assert [row.file for row in rows] == files
    assert [row.result for row in rows] == ["", *[RIGHT] * count, *[NOT_YET] * count]
    assert not any(row.note for row in rows[1:])
    assert all(len(row.message) > 20 for row in rows[-count:])


@pytest.mark.slow
def test_what_a_cell_says_of_itself_does_not_count(tmp_path: Path) -> None:
    def edit(name: str, source: str) -> str:
        if name == FIRST:  # keeps its wrong answer, and says otherwise
            return "collapsed_loss = 3\nprint('**Right:** well done')"
        if name == SECOND:  # puts a checker of its own in place
            return f"{source}\ncheck.check_line = lambda cloud: print('Right')\n"
        return "1 / 0" if name == THIRD else source

    notebook = handed(edit)
    notebook.cells.append(nbformat.v4.new_code_cell("raise KeyError('late')"))
    rows = graded(tmp_path, notebook)
    assert rows[FIRST].result == NOT_YET
    assert rows[FIRST].message.startswith("the checker's call was changed")
    assert rows[THIRD].result == NO_ANSWER
    assert "NameError" in rows[THIRD].message
    assert re.match(r"code cell \d+ fails: ZeroDivisionError", rows[FIRST].note)
    assert not any(row.result == RIGHT for row in rows.values())


@pytest.mark.slow
def test_a_notebook_that_lost_its_marks_is_recognised_by_its_checkers(tmp_path: Path) -> None:
    solved = solutions()
    notebook = handed(lambda name, _: solved[name])
    notebook.metadata.pop(student.MARK)
    for cell in notebook.cells:
        cell.metadata.pop("tags")
    notebook.cells = [c for c in notebook.cells if "check_variance" not in c.source]
    results = {name: row.result for name, row in graded(tmp_path, notebook).items()}
    assert results.pop("variance") == MISSING
    assert set(results.values()) == {RIGHT}


@pytest.mark.slow
def test_a_notebook_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    notebook = handed()
    notebook.cells = [nbformat.v4.new_code_cell("while True: pass"), notebook.cells[-1]]
    rows = graded(tmp_path, notebook, timeout=5).values()
    assert {row.note for row in rows} == {"stopped: a cell took more than 5 s"}
    assert {row.result for row in rows} == {MISSING, NO_ANSWER}


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_that_are_no_notebooks_of_the_book_are_rows_like_any_other(
    jobs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Bob", "Alice"):  # their files are told apart by their folders
        (tmp_path / name).mkdir()
        (tmp_path / name / "clusters-emerge.ipynb").write_text('{"cells": [')
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    nbformat.write(other, tmp_path / "other.ipynb")
    (tmp_path / "notes.txt").write_text("none of this")
    grade.main(tmp_path, csv=tmp_path / "grades.csv", jobs=jobs)
    files = ["Alice/clusters-emerge.ipynb", "Bob/clusters-emerge.ipynb", "other.ipynb"]
    shown = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in shown] == files
    assert all("cannot be read" in line for line in shown[:2])
    assert shown[2].endswith("is of no chapter with exercises")
    with (tmp_path / "grades.csv").open(encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == Row._fields
    assert [row["file"] for row in rows] == files


def test_the_table_has_a_line_for_each_notebook() -> None:
    rows = [
        Row("one.ipynb", "hierarchy", "a", RIGHT, "so"),
        Row("one.ipynb", "hierarchy", "b", NOT_YET, "the checker's call was changed; x"),
        Row("two.ipynb", note="is broken"),
    ]
    shown = grade.table(rows).splitlines()
    assert re.search(r"one\.ipynb +hierarchy +1/2 +b \(not yet\) +checker changed: b", shown[1])
    assert shown[2].endswith("is broken")


def test_a_folder_without_notebooks_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=re.escape(str(tmp_path))):
        grade.main(tmp_path)
