"""What `record` and `train` do once their arguments are known: runs, one after the other or queued.

Apart from the arguments, which `--help` shows without waiting for torch.
"""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import torch

from ssl_companion.cli import DEBUG_VARIABLE
from ssl_companion.cli.record import Record, Train
from ssl_companion.cli.tables import show
from ssl_companion.data import load
from ssl_companion.errors import CompanionError
from ssl_companion.io.provenance import device_name
from ssl_companion.presets.cluster import submit
from ssl_companion.presets.estimate import estimate
from ssl_companion.presets.record import Budget, NoTeacherError, record_run
from ssl_companion.presets.runs import Run, describe_config
from ssl_companion.recordings import OccupiedError, open_recording
from ssl_companion.training.config import LoopConfig, log_spaced
from ssl_companion.training.distributed import process_group, world
from ssl_companion.training.runtime import computed, hindrance, use_threads
from ssl_companion.training.trainer import DivergedError

_KNOWN_TO_ALL = (DivergedError, NoTeacherError, OccupiedError)


def record_presets(asked: Record) -> int:
    """Record the runs that a command names, list them, or estimate them; the exit status."""
    use_threads(asked.threads)
    runs = asked.selected()
    if asked.listing:
        _list(asked, runs)
        return 0
    if asked.dry_run:
        show(estimate(runs, asked.picked, asked.compile), asked.json)
        return 0
    if asked.cluster:
        return _queue(asked, runs)
    with process_group(asked.picked) as device:
        return _record(asked, runs, device)


def _list(asked: Record, runs: list[Run]) -> None:
    rows = [{"name": r.name, "what": describe_config(r.config), "variant": r.variant} for r in runs]
    whys = {preset.name: preset.why for preset in asked.chosen()}
    if asked.json:
        rows = [{**row, "why": whys[r.preset]} for row, r in zip(rows, runs, strict=True)]
    else:
        for name in dict.fromkeys(run.preset for run in runs):
            print(textwrap.fill(f"{name}: {whys[name]}", 100, subsequent_indent="  "))
        print()
    show(rows, asked.json)


def _record(asked: Record, runs: list[Run], device: torch.device) -> int:
    train = load(asked.data, "train", asked.data_root)
    test = load(asked.data, "test", asked.data_root)
    loop = asked.loop(device)
    _say_precision(runs, device)
    _say_uncompiled(loop, device)
    budget, failed = Budget(asked.minutes or None), 0
    where = asked.runs, asked.destination()
    for run in runs:
        try:
            with _said_to_go_on(run):
                done = record_run(run, train, test, *where, loop, budget, asked.overwrite)
        except (CompanionError, ValueError) as error:
            # Of several processes, all know of these errors; one may be alone with others.
            if world()[1] > 1 and not isinstance(error, _KNOWN_TO_ALL):
                raise
            if os.environ.get(DEBUG_VARIABLE):
                traceback.print_exc()
            _say(f"ssl-companion: {run.name}: {error}", sys.stderr)
            failed += 1
            continue
        if not done:
            _say(f"{run.name}: stopped after {asked.minutes:g} minutes; run this again to go on")
            break
        _say(_recorded(run, asked.destination()))
    if failed and len(runs) > 1:
        _say(f"ssl-companion: {failed} of {len(runs)} runs could not be recorded", sys.stderr)
    return 2 if failed else 0


def _queue(asked: Record, runs: list[Run]) -> int:
    job = replace(asked.job, kind=asked.cluster)
    where = asked.runs, asked.destination()
    jobs = submit(
        runs,
        job,
        *where,
        asked.loop(torch.device("cpu")),  # each job picks its own
        asked.data_root,
        asked.threads,
        asked.overwrite,
        asked.device,
    )
    rows, failed = [], False
    for run, queued in zip(runs, jobs, strict=True):
        error = queued.exception() if asked.cluster == "local" else None  # waits for its end
        failed = failed or error is not None
        state = "queued" if asked.cluster == "slurm" else "recorded"
        if error is not None:
            state = f"failed: {_reason(error)}"
        rows.append({"name": run.name, "job": queued.job_id, "state": state})
    show(rows, asked.json)
    return 2 if failed else 0


def train_one(asked: Train) -> int:
    """Train, measure and write the run that a command describes; the exit status."""
    use_threads(asked.threads)
    run = Run(asked.name, "by hand", asked.config, asked.measure, log_spaced(asked.config.epochs))
    if asked.dry_run:
        show(estimate([run], asked.picked, asked.compile), as_json=False)
        return 0
    with process_group(asked.picked) as device:
        train = load(asked.config.data, "train", asked.data_root)
        test = load(asked.config.data, "test", asked.data_root)
        loop = asked.loop(device)
        _say_precision([run], device)
        _say_uncompiled(loop, device)
        budget = Budget(asked.minutes or None)
        where = asked.runs, asked.destination()
        with _said_to_go_on(run):
            done = record_run(run, train, test, *where, loop, budget, asked.overwrite)
        stopped = f"{run.name}: stopped; run this again to go on"
        _say(_recorded(run, asked.destination()) if done else stopped)
    return 0


@contextlib.contextmanager
def _said_to_go_on(run: Run) -> Iterator[None]:
    """Around a run: Ctrl-C says that nothing is lost. Training saves its last step, and measuring
    what it has measured so far."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{run.name}: interrupted and saved; run this again to go on"
        ) from None


def _reason(error: Exception) -> str:
    """The last line of the traceback that a job left, without submitit's lines around it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    ruled = [i for i, line in enumerate(lines) if set(line.strip()) == {"-"}]
    return lines[ruled[-1] - 1] if len(ruled) > 1 else lines[-1]


def _say_precision(runs: list[Run], device: torch.device) -> None:
    """That a wish for bfloat16 is not granted, before hours are spent."""
    if any(computed(run.config.precision, device) != run.config.precision for run in runs):
        _say(
            f"{device_name(device)} has no instructions for bfloat16: computing in float32, as "
            "run.json will say",
            sys.stderr,
        )


def _say_uncompiled(loop: LoopConfig, device: torch.device) -> None:
    """That a GPU will take longer than it might, before hours are spent."""
    if device.type == "cuda" and loop.compile == "auto" and (why := hindrance(device)):
        _say(f"{device_name(device)}: running without compiling, as {why}", sys.stderr)


def _recorded(run: Run, root: Path) -> str:
    """Where the recording is, and the memory that its training took on a GPU."""
    peak = open_recording(root / run.name).run.get("peak_memory_bytes")
    memory = f", at most {peak / 2**30:.2f} GiB of GPU memory in training" if peak else ""
    return f"{run.name}: recorded in {root / run.name}{memory}"


def _say(line: str, where: TextIO | None = None) -> None:
    """Print once, however many processes there are."""
    if world()[0] == 0:
        print(line, file=where)
