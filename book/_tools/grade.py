"""Ask the book's checkers about the notebooks that a class handed in.

    python book/_tools/grade.py FOLDER                    a table, a row for each notebook
    python book/_tools/grade.py FOLDER --csv grades.csv   and a file, a row for each exercise

This executes what students wrote, with the rights of whoever runs it: do so in a container or
on an account that has nothing to lose. It finds slips and cut corners, not deceit.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from handed_in import Report, book_exercises, grade_notebook

COLUMNS = ("file", "chapter", "exercise", "result", "message", "note")


def grade(folder: Path, timeout: float = 300, jobs: int = 1) -> list[Report]:
    """A report on every notebook of a folder and its subfolders, in the order of their paths.

    A report names its notebook by the path below `folder`: where every student has a folder, the
    files in them are called the same.

    Args:
        folder: with the notebooks, under any names.
        timeout: seconds that one cell may take.
        jobs: how many notebooks to run at once.

    Raises:
        FileNotFoundError: when there is no notebook.
    """
    files = sorted(p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if not files:
        raise FileNotFoundError(f"{folder}: no notebook (*.ipynb) in this folder or below it")
    one = partial(grade_notebook, book=book_exercises(), timeout=timeout)
    if jobs == 1:
        reports = [one(path) for path in files]
    else:
        # A fork of a process with threads, which a kernel's client starts, can wait for ever.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            reports = list(pool.map(one, files))
    return [
        replace(report, file=path.relative_to(folder).as_posix())
        for report, path in zip(reports, files, strict=True)
    ]


def table(reports: Sequence[Report]) -> str:
    """The reports as lines of text: file, chapter, how many are right, what is not."""
    rows = [("notebook", "chapter", "right", "not right", "note")]
    for report in reports:
        missed = [f"{a.exercise} ({a.result})" for a in report.answers if a.result != "right"]
        changed = [a.exercise for a in report.answers if a.message.startswith("the checker's call")]
        notes = [report.note, f"checker changed: {', '.join(changed)}" if changed else ""]
        right = f"{report.right}/{len(report.answers)}" if report.answers else ""
        rows.append(
            (report.file, report.chapter, right, ", ".join(missed), "; ".join(filter(None, notes)))
        )
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]).rstrip()
        for row in rows
    )


def write_csv(reports: Sequence[Report], path: Path) -> None:
    """A row for each exercise; one without an exercise for a notebook that has no answers."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for r in reports:
            if not r.answers:
                rows.writerow((r.file, r.chapter, "", "", "", r.note))
            for a in r.answers:
                rows.writerow((r.file, r.chapter, a.exercise, a.result, a.message, r.note))
    os.replace(temporary, path)


def main() -> int:
    """Grade a folder; 1 with a line when it has no notebook."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="with the notebooks, under any names")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row for each exercise")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for a cell (300)")
    parser.add_argument("--jobs", type=int, default=1, help="notebooks to run at once (1)")
    options = parser.parse_args()
    try:
        reports = grade(options.folder, options.timeout, options.jobs)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    print(table(reports))
    if options.csv:
        write_csv(reports, options.csv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
