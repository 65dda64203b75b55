"""Notebooks that were handed in: solved, untouched, tampered with, broken."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import grade
import handed_in
import nbformat
import pytest
import student
import sync
from handed_in import Answer, Report

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "book/self-supervision.md"
BOOK = handed_in.book_exercises(ROOT)
NEEDED = {"setup", "parameters", "exercise"}  # the figures between them only take time
FIRST, SECOND, THIRD = (exercise.name for exercise in BOOK["self-supervision"][:3])


def solutions() -> dict[str, str]:
    found = re.findall(
        r"```+ *python\n# solution: ([\w-]+)\n(.*?)```", CHAPTER.read_text("utf8"), re.DOTALL
    )
    return dict(found)


def handed(edit: object = None) -> nbformat.NotebookNode:
    """The student notebook without what only draws; `edit` is applied to every exercise's cell."""
    notebook = nbformat.reads(student.student_notebook(CHAPTER, ROOT), as_version=4)
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


def graded(folder: Path, notebook: nbformat.NotebookNode) -> Report:
    path = folder / "one.ipynb"
    nbformat.write(notebook, path)
    return handed_in.grade_notebook(path, BOOK, timeout=120)


def test_every_exercise_of_the_book_can_be_asked() -> None:
    assert set(BOOK) == {p.stem for p in sync.chapters(ROOT) if "{exercise}" in p.read_text("utf8")}
    for chapter, exercises in BOOK.items():
        assert all(e.module == chapter.replace("-", "_") for e in exercises)
        assert all(re.match(r"check\.check_\w+\(", e.function) for e in exercises)
        assert len({e.name for e in exercises}) == len(exercises)


@pytest.mark.slow
def test_solutions_are_right_and_stubs_are_not_yet(tmp_path: Path) -> None:
    solved = solutions()
    answered = graded(tmp_path, handed(lambda name, _: solved[name]))
    assert (answered.note, answered.right) == ("", len(BOOK["self-supervision"]))
    untouched = graded(tmp_path, handed())
    assert untouched.note == ""
    assert {a.result for a in untouched.answers} == {handed_in.NOT_YET}
    assert all(len(a.message) > 20 for a in untouched.answers)


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
    report = graded(tmp_path, notebook)
    results = {a.exercise: a for a in report.answers}
    assert results[FIRST].result == handed_in.NOT_YET
    assert results[FIRST].message.startswith("the checker's call was changed")
    assert results[THIRD].result == handed_in.NO_ANSWER
    assert "NameError" in results[THIRD].message
    assert re.match(r"code cell \d+ fails: ZeroDivisionError", report.note)
    assert report.right == 0


@pytest.mark.slow
def test_a_notebook_that_lost_its_marks_is_recognised_by_its_checkers(tmp_path: Path) -> None:
    solved = solutions()
    notebook = handed(lambda name, _: solved[name])
    notebook.metadata.pop(student.MARK)
    for cell in notebook.cells:
        cell.metadata.pop("tags")
    notebook.cells = [c for c in notebook.cells if "check_variance" not in c.source]
    report = graded(tmp_path, notebook)
    assert report.chapter == "self-supervision"
    results = {a.exercise: a.result for a in report.answers}
    assert results.pop("variance") == handed_in.MISSING
    assert set(results.values()) == {handed_in.RIGHT}


@pytest.mark.slow
def test_a_notebook_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    notebook = handed()
    notebook.cells = [nbformat.v4.new_code_cell("while True: pass"), notebook.cells[-1]]
    path = tmp_path / "endless.ipynb"
    nbformat.write(notebook, path)
    report = handed_in.grade_notebook(path, BOOK, timeout=5)
    assert report.note == "stopped: a cell took more than 5 s"
    assert {a.result for a in report.answers} == {handed_in.MISSING, handed_in.NO_ANSWER}


def test_files_that_are_no_notebooks_of_the_book_are_rows_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "broken.ipynb").write_text('{"cells": [')
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    nbformat.write(other, tmp_path / "other.ipynb")
    (tmp_path / "notes.txt").write_text("none of this")
    reports = grade.grade(tmp_path)
    assert [r.file for r in reports] == ["broken.ipynb", "other.ipynb"]
    assert reports[0].note.startswith("cannot be read")
    assert reports[1].note == "is of no chapter with exercises"
    assert "cannot be read" in grade.table(reports)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_for_each_student_tells_their_files_apart(jobs: int, tmp_path: Path) -> None:
    for student_name in ("Bob", "Alice"):
        (tmp_path / student_name).mkdir()
        (tmp_path / student_name / "clusters-emerge.ipynb").write_text('{"cells": [')
    reports = grade.grade(tmp_path, jobs=jobs)
    files = ["Alice/clusters-emerge.ipynb", "Bob/clusters-emerge.ipynb"]
    assert [r.file for r in reports] == files
    assert [line.split()[0] for line in grade.table(reports).splitlines()[1:]] == files
    grade.write_csv(reports, tmp_path / "grades.csv")
    with (tmp_path / "grades.csv").open(encoding="utf8") as file:
        assert [row["file"] for row in csv.DictReader(file)] == files


@pytest.mark.slow
def test_two_at_once_say_what_one_after_another_says(tmp_path: Path) -> None:
    solved = solutions()
    nbformat.write(handed(lambda name, _: solved[name]), tmp_path / "solved.ipynb")
    nbformat.write(handed(), tmp_path / "untouched.ipynb")
    (tmp_path / "broken.ipynb").write_text('{"cells": [')
    reports = grade.grade(tmp_path, timeout=120, jobs=2)
    assert reports == grade.grade(tmp_path, timeout=120)
    assert [r.file for r in reports] == ["broken.ipynb", "solved.ipynb", "untouched.ipynb"]
    assert [r.right for r in reports] == [0, len(BOOK["self-supervision"]), 0]


def test_the_table_and_the_file_say_the_same(tmp_path: Path) -> None:
    answers = (
        Answer("a", "right", "so"),
        Answer("b", "not yet", "the checker's call was changed; x"),
    )
    reports = [Report("one.ipynb", "hierarchy", answers, ""), Report("two.ipynb", note="is broken")]
    shown = grade.table(reports).splitlines()
    assert re.search(r"one\.ipynb +hierarchy +1/2 +b \(not yet\) +checker changed: b", shown[1])
    assert shown[2].endswith("is broken")
    grade.write_csv(reports, tmp_path / "grades.csv")
    with (tmp_path / "grades.csv").open(encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    assert [row["result"] for row in rows] == ["right", "not yet", ""]
    assert tuple(rows[0]) == grade.COLUMNS


def test_a_folder_without_notebooks_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        grade.grade(tmp_path)
