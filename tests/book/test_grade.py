"""Notebooks that were handed in: solved, untouched, tampered with, broken; and what is written."""

from __future__ import annotations

import copy
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grade
import nbformat
import psutil  # type: ignore[import-untyped]
import pytest
import questions
import student
import sync
from grade import MISSING, NO_ANSWER, NOT_YET, RIGHT, Row
from hand_in import MARK, Run
from plain_notebook import references

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "book/self-supervision.md"
BOOK = questions.book_exercises(ROOT)
NEEDED = {"setup", "parameters", "exercise"}  # the figures between them only take time
EXERCISES = BOOK["self-supervision"].exercises
FIRST, SECOND, THIRD = (exercise.name for exercise in EXERCISES[:3])


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


def code(source: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source)


def tagged(cell: nbformat.NotebookNode) -> str:
    return questions._exercise_of(cell.metadata.get("tags", []))


def test_every_exercise_of_the_book_can_be_asked() -> None:
    assert set(BOOK) == {p.stem for p in sync.chapters(ROOT) if "{exercise}" in p.read_text("utf8")}
    for name, chapter in BOOK.items():
        exercises = chapter.exercises
        assert all(e.module == name.replace("-", "_") for e in exercises)
        assert all(re.fullmatch(r"check_\w+", e.function) for e in exercises)
        assert len({e.name for e in exercises}) == len({e.function for e in exercises})
        assert len({e.name for e in exercises}) == len(exercises)
        assert "=" in chapter.parameters


@pytest.mark.slow
def test_solutions_are_right_and_stubs_are_not_yet(tmp_path: Path) -> None:
    """Two at once, beside a file that is no notebook."""
    solved = solutions()
    nbformat.write(handed(lambda name, _: solved[name]), tmp_path / "solved.ipynb")
    nbformat.write(handed(), tmp_path / "untouched.ipynb")
    (tmp_path / "broken.ipynb").write_text('{"cells": [')
    rows = {found[0].file: found for found in grade.grade(tmp_path, timeout=120, jobs=2)}
    assert set(rows) == {"broken.ipynb", "solved.ipynb", "untouched.ipynb"}
    assert [row.result for row in rows["broken.ipynb"]] == [""]
    assert [row.result for row in rows["solved.ipynb"]] == [RIGHT] * len(EXERCISES)
    assert [row.result for row in rows["untouched.ipynb"]] == [NOT_YET] * len(EXERCISES)
    assert not any(row.note for name in ("solved", "untouched") for row in rows[f"{name}.ipynb"])
    assert all(len(row.message) > 20 for row in rows["untouched.ipynb"])


@pytest.mark.slow
def test_an_honest_answer_in_another_form_is_right(tmp_path: Path) -> None:
    """As students hand in: something behind the check, other names, cells split, copies."""
    solved, stubs = solutions(), {exercise.name: exercise.stub for exercise in EXERCISES}

    def edit(name: str, source: str) -> str:
        if name == FIRST:
            return f"%time\n# my notes\n{solved[name]}\nprint('done')"
        if name == SECOND:  # another name for the function and for the checkers
            return (
                "%%time\n"
                "from ssl_companion.chapters.exercises import self_supervision as grader\n"
                "hinge = lambda z: (1 - (z.var(dim=0) + 1e-4).sqrt()).clamp(min=0).mean()\n"
                "result = grader.check_variance(variance=hinge)\nresult"
            )
        return solved[name]

    notebook = handed(edit)
    cells = {tagged(cell): cell for cell in notebook.cells}
    third, _, call = cells[THIRD].source.rpartition("check.check_line")
    cells[THIRD].source = third
    notebook.cells += [
        code("!echo a cell between"),
        code(f"{_}{call}  # in a cell of its own, without a tag"),
        code(stubs[EXERCISES[3].name]),  # a stub that was left below the answer
    ]
    notebook.cells[-1].metadata.tags = [f"exercise-{EXERCISES[3].name}"]
    rows = graded(tmp_path, notebook)
    assert {name: row.result for name, row in rows.items()} == dict.fromkeys(rows, RIGHT)
    assert not any(row.note or row.message.startswith(grade._CHANGED) for row in rows.values())


@pytest.mark.slow
def test_what_a_notebook_says_of_itself_does_not_count(tmp_path: Path) -> None:
    patches = """\
import ssl_companion.chapters.exercises as base, ssl_companion.training.objectives as terms
base.near = lambda *_, **__: None
base.Checked.ok = True
check.check_nt_xent = terms.vicreg = terms.variance_term = lambda *_, **__: 1
print('{"question": 3, "ok": true, "message": "Right"}')
"""

    def edit(name: str, source: str) -> str:
        if name == FIRST:  # keeps its wrong answer, and says otherwise
            return "collapsed_loss = 3\nprint('**Right:** well done')"
        if name == SECOND:
            return source.replace("...  # your lines", "raise SystemExit")
        return "1 / 0" if name == THIRD else f"{source}\n{patches}"

    notebook = handed(edit)
    notebook.cells.append(code("raise KeyError('late')"))
    rows = graded(tmp_path, notebook)
    assert rows[FIRST].result == NOT_YET
    assert rows[FIRST].message.startswith("the checker is not called")
    assert "SystemExit" in rows[SECOND].message
    assert rows[THIRD].result == NO_ANSWER
    assert "ZeroDivisionError" in rows[THIRD].message
    assert "NameError" in rows[THIRD].message
    assert re.match(r"code cell \d+: ZeroDivisionError", rows[FIRST].note)
    assert not any(row.result == RIGHT for row in rows.values())


@pytest.mark.slow
def test_a_notebook_that_lost_its_marks_and_a_cell_that_does_not_end(tmp_path: Path) -> None:
    """It is known by its checkers; what comes after the endless cell is asked all the same."""
    solved = solutions()
    notebook = handed(lambda name, _: solved[name])
    notebook.metadata.pop(student.MARK)
    for cell in notebook.cells:
        cell.metadata.pop("tags")
    notebook.cells = [c for c in notebook.cells if "check_variance" not in c.source]
    notebook.cells.insert(3, code("while True: pass"))
    rows = graded(tmp_path, notebook, timeout=20)
    results = {name: row.result for name, row in rows.items()}
    assert {row.note for row in rows.values()} == {"code cell 4: took more than 20 s"}
    assert results.pop("variance") == MISSING
    assert set(results.values()) == {RIGHT}


def run_of(*verdicts: tuple[bool | None, str] | None, errors: dict[int, str] | None = None) -> Any:
    """In place of kernels: a run that ends in these verdicts."""
    said = {number: verdict for number, verdict in enumerate(verdicts) if verdict is not None}
    return lambda *_: Run(errors=errors or {}, verdicts=said)


def unrun(folder: Path, notebook: nbformat.NotebookNode, execute: Any) -> dict[str, Row]:
    """The rows of a notebook whose cells are not run."""
    nbformat.write(notebook, folder / "one.ipynb")
    rows = grade.grade_notebook(folder / "one.ipynb", folder, BOOK, 1, execute)
    return {row.exercise: row for row in rows}


def test_a_hand_in_that_cannot_be_graded_is_a_row_that_says_why(tmp_path: Path) -> None:
    def execute(*_: object) -> Run:
        raise RuntimeError("the kernel did not start")

    (row,) = unrun(tmp_path, handed(), execute).values()
    assert row.file == "one.ipynb"
    assert row.note == "cannot be graded: RuntimeError: the kernel did not start"


@pytest.mark.parametrize(
    ("verdicts", "result"),
    [
        (((True, "yes"), (False, "stub")), RIGHT),
        (((False, "stub"), (True, "yes")), RIGHT),
        (((None, "broken"), (False, "stub")), NOT_YET),
        (((False, "stub"), None), NOT_YET),
        ((None, None), NO_ANSWER),
    ],
)
def test_the_best_of_several_answers_counts(verdicts: Any, result: str, tmp_path: Path) -> None:
    notebook = handed()
    first = next(cell for cell in notebook.cells if tagged(cell) == FIRST)
    second = copy.deepcopy(first)
    second["id"] = "another"
    notebook.cells = [first, second]
    row = unrun(tmp_path, notebook, run_of(*verdicts))[FIRST]
    assert row.result == result


def test_the_call_of_a_checker_is_found_wherever_and_however_it_is_called() -> None:
    assert questions.calls_in("check.check_a(x)\nprint(1)") == [("check_a", "x")]
    assert questions.calls_in("%time\n!ls\nr = other.check_a((x, y), z)") == [("check_a", "(x, y)")]
    assert questions.calls_in("check_a(1); show(m.check_b(2))") == [
        ("check_a", "1"),
        ("check_b", "2"),
    ]
    for source in (  # magics that run Python, and the answer by its keyword
        "%%time\ncheck.check_a(x)",
        "%%capture out\n\ncheck.check_a(answer=x, recording=recording)",
        "if True:\n    %time r = check.check_a(x)",
        "%timeit -n1 -r 1 check.check_a(x)",
    ):
        assert questions.calls_in(source) == [("check_a", "x")]
    for source in (
        "check.check_a()",
        "check.check_a(*x)",
        "%%bash\ncheck.check_a(x)",
        "check.check_a(x",
        "\0",
        "(" * 10_000,
    ):
        assert questions.calls_in(source) == []


def test_files_that_are_no_notebooks_of_the_book_are_rows_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Bob", "Alice"):  # their files are told apart by their folders
        (tmp_path / name).mkdir()
        (tmp_path / name / "clusters-emerge.ipynb").write_text('{"cells": [')
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    nbformat.write(other, tmp_path / "other.ipynb")
    (tmp_path / "a folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "gone.ipynb").symlink_to(tmp_path / "nowhere")
    (tmp_path / os.fsdecode(b"\xff\x1b[31m\n.ipynb")).write_bytes(b"\xff")
    (tmp_path / "=1+1.ipynb").write_text("")
    (tmp_path / "notes.txt").write_text("none of this")
    grade.main(tmp_path, csv=tmp_path / "grades.csv", jobs=2)
    shown = sorted(capsys.readouterr().out.splitlines()[1:])
    assert len(shown) == 8
    assert sum("cannot be read" in line for line in shown) == 7
    assert any(line.endswith("is of no chapter with exercises") for line in shown)
    with (tmp_path / "grades.csv").open(encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == Row._fields
    assert [row["file"] for row in rows][:3] == [
        "'=1+1.ipynb",
        "Alice/clusters-emerge.ipynb",
        "Bob/clusters-emerge.ipynb",
    ]


def test_half_a_pair_of_surrogates_is_sent_to_no_kernel() -> None:
    assert questions._cell({"source": ["x = '\ud800'\n", "y = 'é'"]}).source == "x = '?'\ny = 'é'"


def test_a_file_too_large_is_named_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "one.ipynb").open("wb") as file:
        file.truncate(questions._LARGEST + 1)
    (row,) = grade.grade_notebook(tmp_path / "one.ipynb", tmp_path, BOOK)
    assert "more than 100 MB; clear its outputs" in row.note


def test_a_line_says_what_is_right_and_what_is_not() -> None:
    rows = [
        Row("one.ipynb", "hierarchy", "a", RIGHT, "so"),
        Row("one.ipynb", "hierarchy", "b", NOT_YET, "the checker is not called; x", "late"),
    ]
    shown = grade.line([rows[1], rows[0]])
    assert re.search(
        r"one\.ipynb +hierarchy +1/2 +b \(not yet\) +late; checker not called: b", shown
    )
    assert grade.line([Row("two.ipynb", note="is broken")]).endswith("is broken")


def test_what_was_written_is_read_again_word_for_word(tmp_path: Path) -> None:
    rows = [Row("NA", "001", "1e5", "", 'a, "b"\nc', "null"), Row("é", note=" x ")]
    grade.write_rows(tmp_path / "grades.csv", rows)
    assert grade.read_rows(tmp_path / "grades.csv") == rows
    (tmp_path / "other.csv").write_text("name,points\nAlice,5\n")
    with pytest.raises(ValueError, match=r"other\.csv: other columns; expected file, chapter"):
        grade.read_rows(tmp_path / "other.csv")


def test_a_folder_without_notebooks_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=re.escape(str(tmp_path))):
        grade.main(tmp_path)


def test_no_grades_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "grades.csv").write_text("mine")
    with pytest.raises(SystemExit, match=r"grades\.csv exists; --resume goes on with it"):
        grade.main(tmp_path, csv=tmp_path / "grades.csv")
    with pytest.raises(SystemExit, match="--resume: expected --csv"):
        grade.main(tmp_path, resume=True)
    assert (tmp_path / "grades.csv").read_text() == "mine"


def test_resuming_grades_what_is_new_or_has_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "grades.csv"
    for name in ("a", "b", "same"):
        (tmp_path / f"{name}.ipynb").write_text("{")
    grade.main(tmp_path, csv=table)
    before = grade.read_rows(table)
    grade.write_rows(table, [row._replace(message="seen by a teacher") for row in before])
    (tmp_path / "b.ipynb").write_text("[")
    (tmp_path / "c.ipynb").write_text("[")
    (tmp_path / "a.ipynb").rename(tmp_path / "d.ipynb")
    capsys.readouterr()
    grade.main(tmp_path, csv=table, resume=True)
    assert [(row.file, bool(row.message)) for row in grade.read_rows(table)] == [
        ("a.ipynb", True), ("b.ipynb", False), ("c.ipynb", False), ("d.ipynb", False),
        ("same.ipynb", True),
    ]  # fmt: skip
    assert len(capsys.readouterr().out.splitlines()) == 1 + 3 + 3


def test_a_hand_in_that_changes_the_book_ends_the_grading_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.ipynb").write_text("{")
    states = iter([{("x.py", 1, 1)}, {("x.py", 1, 1)}, {("x.py", 1, 2)}])
    monkeypatch.setattr(grade, "_state_of_the_book", lambda: next(states))
    found = grade.grade(tmp_path)
    assert len(next(found)) == len(next(found)) == 1
    with pytest.raises(RuntimeError, match=r"ipynb: x\.py was changed .* --resume"):
        next(found)


def _processes_of(mark: str) -> list[Any]:
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        if environment.get("GRADED_BY_TEST") == mark and environment.get(MARK):
            found.append(process)
    return found


def _until(there: Callable[[], Any], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not there():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_grading_that_is_stopped_keeps_what_it_had_and_goes_on(how: int, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{")
    endless = handed()
    # What it started ends with it, unless the grading was killed and nobody is left to see to that.
    child = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    started = child if how == signal.SIGINT else ""
    endless.cells = [code(f"{started}while True: pass"), endless.cells[-1]]
    nbformat.write(endless, tmp_path / "b.ipynb")
    table = tmp_path / "grades.csv"
    command = [
        sys.executable,
        str(ROOT / "book/_tools/grade.py"),
        str(tmp_path),
        "--csv",
        str(table),
    ]
    environment = {**os.environ, "GRADED_BY_TEST": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        try:
            some = 2 if started else 1
            assert _until(lambda: table.exists() and len(_processes_of(str(tmp_path))) >= some)
            assert [row.file for row in grade.read_rows(table)] == ["a.ipynb"]
            running.send_signal(how)
            _, said = running.communicate(timeout=30)
        finally:
            running.kill()
    assert running.returncode == (130 if how == signal.SIGINT else -how)
    assert ("--resume goes on" in said) == (how == signal.SIGINT)
    assert _until(lambda: not _processes_of(str(tmp_path)))
    (tmp_path / "b.ipynb").write_text("{")
    grade.main(tmp_path, csv=table, resume=True)
    assert [row.file for row in grade.read_rows(table)] == ["a.ipynb", "b.ipynb"]


# Damaged and hostile hand-ins, at the level of reading and reporting.

HOSTILE_TEXT = [
    "",
    "\0",
    "\ud800",
    "\x1b[2J",
    "=cmd()",
    "a\nb\r\nc",
    "é" * 3000,
    "😀",
    "-1",
    "'",
    '"',
]
HOSTILE_NAMES = ["", "=", "-", " ", "\n", "a,", '"', "é\x1b[2J"]
HOSTILE_VALUES: list[Any] = [
    *(None, True, -1, 1e308, 10**400, [], {}, [[]], {"chapter": []}, {"tags": 3}, *HOSTILE_TEXT),
    *(["exercise-"], ["exercise-collapsed"] * 2, [None], {"chapter": "hierarchy"}, [{}] * 3),
]
HOSTILE_CODE = [
    *("\0", "(" * 5000, "-" * 50_000 + "1", "a." * 30_000 + "a", "check.check_line(", "x = \ud800"),
    *("check.check_line(*x)", "check.check_line(x=1)", "check.check_line((yield))", "%%bash\nrm x"),
    *("!" * 3000, "%a\n" * 600, "check.check_line(" * 80 + ")" * 80, "9" * 10_000, "\ufeffx = 1"),
    *("check_line = lambda x: x\ncheck_line(lambda: 1)", "'" * 3, "\\", "match x:\n case", "\t\f"),
]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every key of every object and list in a tree of JSON, with what it is in."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    return [found for key in keys for found in [(value, key), *_places(value[key])]]


def damaged(text: str, rng: random.Random) -> bytes:
    """A notebook after a few changes, as a hand may make them, a disk, or somebody hostile."""
    tree = json.loads(text)
    if rng.random() < 0.1:  # of no chapter any more
        tree["metadata"], tree["cells"] = {}, tree["cells"][:2]
    for _ in range(rng.randint(1, 3)):
        where, key = rng.choice(_places(tree))
        codes = [value for value, key in _places(tree) if key == "source"]
        kind = rng.choice(["value", "code", "gone", "twice", "metadata"])
        if kind == "value":
            where[key] = rng.choice(HOSTILE_VALUES)
        elif kind == "gone":
            del where[key]
        elif kind == "twice" and isinstance(where, list):
            where.insert(0, where[key])
        elif kind == "code" and codes:
            rng.choice(codes)["source"] = rng.choice(HOSTILE_CODE)
        elif codes:
            cell = rng.choice([tree, *codes])
            cell["metadata"] = {rng.choice(["tags", student.MARK, "x"]): rng.choice(HOSTILE_VALUES)}
        if not _places(tree):
            break
    data = json.dumps(tree).encode()
    kind = rng.choice(["none", "none", "none", "cut", "flip", "utf16", "bom", "deep"])
    if kind == "cut":
        return data[: rng.randrange(len(data))]
    if kind == "flip":
        at = rng.randrange(len(data))
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if kind == "deep":
        return b"[" * 100_000 + data
    return {"utf16": data.decode().encode("utf16"), "bom": b"\xef\xbb\xbf" + data}.get(kind, data)


@pytest.mark.slow
def test_every_damaged_or_hostile_notebook_ends_in_rows_that_name_it(tmp_path: Path) -> None:
    rng = random.Random(0)
    bases = [
        student.student_notebook(ROOT / f"book/{name}.md", references(ROOT, {})) for name in BOOK
    ]
    graded, kinds = [], set()

    def execute(sources: Any, asked: Any, *_: Any) -> Run:
        words = [rng.choice(HOSTILE_TEXT) for _ in range(20)]
        verdicts = {n: (rng.choice([True, False, None]), rng.choice(words))
                    for n in range(len(asked)) if rng.random() < 0.8}  # fmt: skip
        errors = {n: rng.choice(words) for n in range(len(sources)) if rng.random() < 0.1}
        return Run(errors, dict([*errors.items()][:2]), verdicts)

    for number in range(400):
        file = tmp_path / f"{rng.choice(HOSTILE_NAMES)}{number}.ipynb"
        file.write_bytes(damaged(rng.choice(bases), rng))
        rows = grade.grade_notebook(file, tmp_path, BOOK, 1, execute)
        graded += rows
        assert rows, number
        shown = grade.line(rows)
        shown.encode("utf8")
        assert shown.isprintable(), number
        for row in rows:
            assert row.file == grade._name(file, tmp_path)
            assert all(f.isprintable() and f[:1] not in ("=", "+", "-", "@") for f in row)
            assert all(len(field) <= grade._LONGEST + 2 for field in row)
            if row.exercise:
                assert row.result in (RIGHT, NOT_YET, MISSING, NO_ANSWER)
            else:
                assert re.match(r"cannot be read: \w+: \S|is of no chapter", row.note), row.note
        kinds |= {row.result or row.note[:14] for row in rows}
    assert {RIGHT, NOT_YET, MISSING, "cannot be read", "is of no chapt"} <= kinds
    grade.write_rows(tmp_path / "grades.csv", graded)
    assert sorted(grade.read_rows(tmp_path / "grades.csv")) == sorted(graded)
