"""Ask the book's checkers about the notebooks that a class handed in.

    python book/_tools/grade.py FOLDER                    a line for each notebook
    python book/_tools/grade.py FOLDER --csv grades.csv   and a file, a row for each exercise
    python book/_tools/grade.py FOLDER --csv grades.csv --resume     go on where it was stopped

A notebook runs as it is, in a process and a folder of its own. Behind every cell that answers an
exercise, or calls its checker, the book's own checker is asked, in another process (`judge.py`).
So what counts is the answer and not what the cell shows; of several answers the best counts.

This executes what students wrote, with the rights of whoever runs it: do so in a container or
on an account that has nothing to lose. It finds slips and cut corners, not deceit.
"""

from __future__ import annotations

import csv as csv_files
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import hand_in
import tyro
from hand_in import Question, Run
from questions import Book, Exercise, book_exercises, chapter_of, questions_of, read

from ssl_companion.io.atomic import atomic_file

ROOT = Path(__file__).resolve().parents[2]
RIGHT, NOT_YET, MISSING, NO_ANSWER = "right", "not yet", "missing", "no answer"
_RESULTS = {True: RIGHT, False: NOT_YET, None: NO_ANSWER}
_CHANGED = "the checker is not called"
_LONGEST = 600  # characters of a field


class Row(NamedTuple):
    """What came of one exercise of a notebook, or of a notebook that has no exercises.

    Attributes:
        file: the notebook's path below the folder that is graded.
        chapter: the page that it is of.
        exercise: its name in that chapter.
        result: `right`, `not yet`, `missing` or `no answer`.
        message: what the checker said.
        note: what is wrong with the notebook as a whole.
        sha256: of the notebook, by which `--resume` knows it again.
    """

    file: str
    chapter: str = ""
    exercise: str = ""
    result: str = ""
    message: str = ""
    note: str = ""
    sha256: str = ""


def grade(
    folder: Path, timeout: float = 300, jobs: int = 1, done: Sequence[Row] = ()
) -> Iterator[list[Row]]:
    """What came of every notebook of a folder and its subfolders, each as it ends.

    A row names its notebook by the path below `folder`: where every student has a folder, the
    files in them are called the same.

    Args:
        folder: with the notebooks, under any names.
        timeout: seconds that one cell may take.
        jobs: how many notebooks to run at once.
        done: rows of notebooks that are not graded again unless they have changed.

    Yields:
        The rows of a notebook.

    Raises:
        FileNotFoundError: when there is no notebook.
        RuntimeError: when a hand-in changed the book, after its rows.
    """
    files = sorted(p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if not files:
        raise FileNotFoundError(f"{folder}: no notebook (*.ipynb) in this folder or below it")
    known = {(row.file, row.sha256) for row in done}
    files = [p for p in files if (_name(p, folder), _sha256(p)) not in known]
    book, before = book_exercises(), _state_of_the_book()
    pool = ThreadPoolExecutor(jobs)  # of threads that wait: each notebook has its own process
    try:
        running = {pool.submit(grade_notebook, path, folder, book, timeout) for path in files}
        while running:  # looking up every second, for Ctrl-C
            ended, running = wait(running, 1, FIRST_COMPLETED)
            for rows in (one.result() for one in ended):
                yield rows
                if changed := before ^ _state_of_the_book():
                    raise RuntimeError(
                        f"{rows[0].file}: {min(changed)[0]} was changed while this ran; put the "
                        "book back (git status), look at this notebook, and go on with --resume"
                    )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _state_of_the_book() -> set[tuple[str, int, int]]:
    """Path, size and time of every file of code that grading rests on."""
    patterns = "*.py", "ssl_companion/**/*.py", "book/_tools/*.py", "book/*.ipynb"
    stats = [(path, path.stat()) for pattern in patterns for path in ROOT.glob(pattern)]
    return {(str(path.relative_to(ROOT)), s.st_size, s.st_mtime_ns) for path, s in stats}


def grade_notebook(
    path: Path, folder: Path, book: Book, timeout: float = 300,
    execute: Callable[..., Run] = hand_in.run,
) -> list[Row]:  # fmt: skip
    """Run a notebook that was handed in, and ask the book's checkers.

    Args:
        path: of the notebook; it is not changed.
        folder: the rows name the notebook by its path below it.
        book: the exercises of every chapter.
        timeout: seconds that one cell may take.
        execute: runs the cells, as `hand_in.run` does.

    Returns:
        A row for each exercise, or one with a note for a notebook of no chapter; never none.
    """
    row = Row(_name(path, folder), sha256=_sha256(path))
    try:
        rows = _grade(path, row, book, timeout, execute)
    except Exception as error:  # one hand-in does not end the grading of the others
        rows = [row._replace(note=f"cannot be graded: {type(error).__name__}: {error}")]
    return [Row(*map(_plain, one)) for one in rows]


def _grade(
    path: Path, row: Row, book: Book, timeout: float, execute: Callable[..., Run]
) -> list[Row]:
    try:
        cells, marked = read(path)
    except Exception as error:  # whatever a damaged file makes a reader raise
        return [row._replace(note=f"cannot be read: {type(error).__name__}: {error}")]
    name = chapter_of(marked, cells, book)
    if name is None:
        return [row._replace(note="is of no chapter with exercises")]
    chapter = book[name]
    questions = [question for e in chapter.exercises for question in questions_of(e, cells)]
    stubs = {exercise.name: exercise.stub for exercise in chapter.exercises}
    sources = [cell.source for cell in cells]
    run = execute(sources, questions, chapter.parameters, stubs, timeout)
    note, called = _note(run), {name for cell in cells for name, _ in cell.calls}
    return [
        row._replace(chapter=name, exercise=e.name, result=result, message=message, note=note)
        for e in chapter.exercises
        for result, message in [_answer(e, questions, called, run)]
    ]


def _answer(
    exercise: Exercise, questions: Sequence[Question], called: set[str], run: Run
) -> tuple[str, str]:
    """The result and the message of the best answer, the last among equals."""
    asked = [number for number, q in enumerate(questions) if q.exercise == exercise.name]
    if not asked:
        return MISSING, "its cell is not in the notebook"
    unasked: tuple[bool | None, str] = (None, "the notebook did not get that far")
    said = {number: run.verdicts.get(number, unasked) for number in asked}
    best = max(asked, key=lambda number: ([None, False, True].index(said[number][0]), number))
    ok, message = said[best]
    error = run.errors.get(questions[best].after)
    if error and not ok:
        message = f"its cell: {error[:120]}; {message}"
    if exercise.function not in called:
        message = f"{_CHANGED}; {message}"
    return _RESULTS[ok], message


def _note(run: Run) -> str:
    """Words for the first of the notebook's own code cells that failed, and those left out."""
    errors = {**dict(sorted(run.errors.items())[:1]), **run.stopped}
    words = [f"code cell {cell + 1}: {error[:120]}" for cell, error in sorted(errors.items())]
    return "; ".join(words[:4])


def _name(path: Path, folder: Path) -> str:
    return _plain(path.relative_to(folder).as_posix())


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except OSError:
        return ""


def _plain(text: Any) -> str:
    """A field as every terminal, file and spreadsheet can show it, and none takes for a formula."""
    text = str(text).replace("\n", " ")
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: _LONGEST + 1])
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return f"'{text}" if text[:1] in tuple("=+-@") else text


def line(answers: Sequence[Row], widths: Sequence[int] = (0, 0, 5, 0)) -> str:
    """A line for a notebook: its file, chapter, how many are right, what is not, a note."""
    missed = [f"{a.exercise} ({a.result})" for a in answers if a.exercise and a.result != RIGHT]
    changed = [a.exercise for a in answers if a.message.startswith(_CHANGED)]
    notes = [answers[0].note, f"checker not called: {', '.join(changed)}" if changed else ""]
    right = sum(a.result == RIGHT for a in answers)
    count = f"{right}/{len(answers)}" if answers[0].exercise else ""
    note = "; ".join(filter(None, notes))
    cells = (answers[0].file, answers[0].chapter, count, ", ".join(missed))
    return "  ".join([*map(str.ljust, cells, widths), note]).rstrip()


def read_rows(file: Path) -> list[Row]:
    """The rows of a file that this wrote.

    Raises:
        ValueError: it has other columns.
    """
    with file.open(encoding="utf8", newline="") as text:
        header, *rows = [*csv_files.reader(text)] or [[]]
    if tuple(header) != Row._fields or any(len(row) != len(header) for row in rows):
        raise ValueError(f"{file}: other columns; expected {', '.join(Row._fields)}")
    return [Row(*row) for row in rows]


def write_rows(file: Path, rows: Sequence[Row]) -> None:
    """Write all rows, in the order of their files; a killed grading leaves the file whole."""
    with atomic_file(file) as unfinished, unfinished.open("w", encoding="utf8", newline="") as text:
        csv_files.writer(text).writerows([Row._fields, *sorted(rows, key=lambda row: row.file)])


def main(
    folder: tyro.conf.Positional[Path],
    csv: Path | None = None,
    timeout: float = 300,
    jobs: int = 1,
    resume: bool = False,
) -> None:
    """Grade a folder.

    Args:
        folder: with the notebooks, under any names.
        csv: file to write a row into for each exercise, as each notebook ends.
        timeout: seconds for a cell.
        jobs: notebooks to run at once.
        resume: keep what is in the file, and grade what is not there or has changed since.
    """
    if resume and not csv:
        sys.exit("--resume: expected --csv with the file to go on with")
    if csv and csv.exists() and not resume:
        sys.exit(f"--csv: {csv} exists; --resume goes on with it, or name another file")
    try:
        rows = read_rows(csv) if csv and csv.exists() else []
        files = [_name(path, folder) for path in folder.rglob("*.ipynb")]
        widths = (max(map(len, files), default=0), 24, 5, 40)
        print(
            "  ".join(map(str.ljust, ("notebook", "chapter", "right", "not right"), widths)), "note"
        )
        for _, kept in groupby(rows, key=lambda row: row.file):
            print(line(list(kept), widths))
        for answers in grade(folder, timeout, jobs, rows):
            rows = [row for row in rows if row.file != answers[0].file] + answers
            if csv:
                write_rows(csv, rows)
            print(line(answers, widths), flush=True)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    except (RuntimeError, KeyboardInterrupt) as error:
        hand_in.end_processes()
        said = str(error) or "stopped" + (f"; --csv {csv} --resume goes on" if csv else "")
        print(said, file=sys.stderr, flush=True)
        os._exit(130 if isinstance(error, KeyboardInterrupt) else 1)  # waits for no notebook


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
