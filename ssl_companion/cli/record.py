"""`ssl-companion record PRESET` and `ssl-companion train`: make recordings."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import os
import sys
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, TextIO

import torch
import tyro

from ssl_companion.cli import DEBUG_VARIABLE
from ssl_companion.cli.tables import show
from ssl_companion.data import load
from ssl_companion.errors import CompanionError
from ssl_companion.io.provenance import device_name
from ssl_companion.presets.catalogue import PRESET_NAMES, preset
from ssl_companion.presets.cluster import ClusterConfig, submit
from ssl_companion.presets.estimate import estimate
from ssl_companion.presets.record import (
    Budget,
    NoTeacherError,
    record_run,
)
from ssl_companion.presets.runs import Preset, Run, describe_config, teachers_first
from ssl_companion.recordings import (
    MeasureConfig,
    OccupiedError,
    open_recording,
    recordings_root,
)
from ssl_companion.training.config import LoopConfig, RunConfig, pick_device
from ssl_companion.training.distributed import process_group, world
from ssl_companion.training.runtime import computed, hindrance, use_threads
from ssl_companion.training.snapshots import log_spaced
from ssl_companion.training.trainer import DivergedError

_KNOWN_TO_ALL = (DivergedError, NoTeacherError, OccupiedError)


@dataclass(frozen=True)
class _Where:
    """Where things are and how to run, which no result depends on."""

    #: a folder with the data set; by default SSL_COMPANION_DATA or the user's cache
    data_root: Path | None = None
    #: where unfinished runs live: checkpoints, snapshots
    runs: Path = Path("runs")
    #: where recordings go; by default SSL_COMPANION_RECORDINGS, else the checkout's
    #: book/recordings, else ./recordings
    out: Path | None = None
    #: replace another run's recording of the same name, which is refused otherwise
    overwrite: bool = False
    #: "auto", "cpu", "cuda" or "cuda:N"
    device: str = "auto"
    #: stop cleanly after so many minutes; the same command then goes on (0: never)
    minutes: float = 0.0
    #: threads of the CPU (0: torch's choice)
    threads: int = 0
    #: compile the network and the views; auto means on CUDA, where Triton and a C compiler are
    compile: Literal["auto", "yes", "no"] = "auto"

    @functools.cached_property
    def picked(self) -> torch.device:
        """The device in torch's terms."""
        return pick_device(self.device)

    def loop(self, device: torch.device) -> LoopConfig:
        """How to run on a device."""
        return LoopConfig(device=device, minutes=self.minutes or None, compile=self.compile)

    def destination(self) -> Path:
        return recordings_root(self.out)


@dataclass(frozen=True)
class Record(_Where):
    """Record the runs of presets: train each, measure it, write it down; resumable.

    A run that is recorded already, with this configuration, is left alone. One that diverges, or
    whose files are damaged, is reported, and the others go on; the exit status is then 2.
    """

    #: which presets (see --list), in this order, but what another is measured against first;
    #: none means all
    presets: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    #: "full" is for an accelerator, "reduced" for a CPU; auto asks for CUDA
    scale: Literal["auto", "full", "reduced"] = "auto"
    #: only runs whose name fits this pattern, such as "*-s0"
    only: str = "*"
    #: the stand-in glyphs100 needs no data set
    data: Literal["cifar100", "glyphs100"] = "cifar100"
    #: name the presets, why they are as they are, and their runs
    listing: Annotated[bool, tyro.conf.arg(name="list")] = False
    #: estimate each run's minutes on this device (of measuring, on a CPU, the forward passes
    #: alone), the room of its recording and that of its unfinished run (snapshots, checkpoints),
    #: and train nothing
    dry_run: bool = False
    #: print JSON (with --list and --dry-run)
    json: bool = False
    #: a job for each run instead: queued in "slurm", or "local" processes one after the other
    #: (needs the extra `cluster`, and has no use for --minutes)
    cluster: Literal["", "slurm", "local"] = ""
    job: ClusterConfig = field(default_factory=ClusterConfig)

    def selected(self) -> list[Run]:
        """The runs that the arguments name."""
        runs = [run.on(self.data) for preset in self._presets() for run in preset.runs]
        found = [run for run in runs if fnmatch.fnmatch(run.name, self.only)]
        if not found:
            raise ValueError(f"only: no run fits {self.only!r}; `--list` names them")
        return teachers_first(found)

    def _presets(self) -> list[Preset]:
        scale = self.scale
        if scale == "auto":
            scale = "full" if self.picked.type == "cuda" else "reduced"
        return [preset(name, scale) for name in self.presets or PRESET_NAMES]

    def run(self) -> int:
        """Record, list, or estimate."""
        use_threads(self.threads)
        runs = self.selected()
        if self.listing:
            self._list(runs)
            return 0
        if self.dry_run:
            show(estimate(runs, self.picked, self.compile), self.json)
            return 0
        if self.cluster:
            return self._queue(runs)
        with process_group(self.picked) as device:
            return self._record(runs, device)

    def _list(self, runs: list[Run]) -> None:
        rows = [
            {"name": r.name, "what": describe_config(r.config), "variant": r.variant} for r in runs
        ]
        whys = {preset.name: preset.why for preset in self._presets()}
        if self.json:
            rows = [{**row, "why": whys[r.preset]} for row, r in zip(rows, runs, strict=True)]
        else:
            for name in dict.fromkeys(run.preset for run in runs):
                print(textwrap.fill(f"{name}: {whys[name]}", 100, subsequent_indent="  "))
            print()
        show(rows, self.json)

    def _record(self, runs: list[Run], device: torch.device) -> int:
        train = load(self.data, "train", self.data_root)
        test = load(self.data, "test", self.data_root)
        loop = self.loop(device)
        _say_precision(runs, device)
        _say_uncompiled(loop, device)
        budget, failed = Budget(self.minutes or None), 0
        where = self.runs, self.destination()
        for run in runs:
            try:
                with _said_to_go_on(run):
                    done = record_run(run, train, test, *where, loop, budget, self.overwrite)
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
                _say(f"{run.name}: stopped after {self.minutes:g} minutes; run this again to go on")
                break
            _say(_recorded(run, self.destination()))
        if failed and len(runs) > 1:
            _say(f"ssl-companion: {failed} of {len(runs)} runs could not be recorded", sys.stderr)
        return 2 if failed else 0

    def _queue(self, runs: list[Run]) -> int:
        job = replace(self.job, kind=self.cluster)
        where = self.runs, self.destination()
        jobs = submit(
            runs,
            job,
            *where,
            self.loop(torch.device("cpu")),  # each job picks its own
            self.data_root,
            self.threads,
            self.overwrite,
            self.device,
        )
        rows, failed = [], False
        for run, queued in zip(runs, jobs, strict=True):
            error = queued.exception() if self.cluster == "local" else None  # waits for its end
            failed = failed or error is not None
            state = "queued" if self.cluster == "slurm" else "recorded"
            if error is not None:
                state = f"failed: {_reason(error)}"
            rows.append({"name": run.name, "job": queued.job_id, "state": state})
        show(rows, self.json)
        return 2 if failed else 0


@dataclass(frozen=True)
class Train(_Where):
    """Train and record one run of your own, every setting by hand."""

    #: name of the recording
    name: str = "mine"
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)
    measure: MeasureConfig = field(default_factory=lambda: MeasureConfig(keep="last"))
    #: estimate minutes and room on this device, and train nothing
    dry_run: bool = False

    def run(self) -> int:
        """Train, measure, write."""
        use_threads(self.threads)
        run = Run(self.name, "by hand", self.config, self.measure, log_spaced(self.config.epochs))
        if self.dry_run:
            show(estimate([run], self.picked, self.compile), as_json=False)
            return 0
        with process_group(self.picked) as device:
            train = load(self.config.data, "train", self.data_root)
            test = load(self.config.data, "test", self.data_root)
            loop = self.loop(device)
            _say_precision([run], device)
            _say_uncompiled(loop, device)
            budget = Budget(self.minutes or None)
            where = self.runs, self.destination()
            with _said_to_go_on(run):
                done = record_run(run, train, test, *where, loop, budget, self.overwrite)
            stopped = f"{run.name}: stopped; run this again to go on"
            _say(_recorded(run, self.destination()) if done else stopped)
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
