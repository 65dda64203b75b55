"""`ssl-companion record PRESET` and `ssl-companion train`: make recordings."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from ssl_companion.cli.tables import show
from ssl_companion.cluster import ClusterConfig, submit
from ssl_companion.data import load
from ssl_companion.estimates import estimate
from ssl_companion.experiments import PRESET_NAMES, Run, describe, preset
from ssl_companion.recorder import Budget, record_run
from ssl_companion.recordings import MeasureConfig, recordings_root
from ssl_companion.training.config import RunConfig
from ssl_companion.training.distributed import process_group, world
from ssl_companion.training.loop import LoopConfig, pick_device
from ssl_companion.training.snapshots import log_spaced


@dataclass(frozen=True)
class _Where:
    """Where things are and how to run, which no result depends on."""

    #: a folder with the data set; by default SSL_COMPANION_DATA or the user's cache
    data_root: Path | None = None
    #: where unfinished runs live: checkpoints, snapshots
    runs: Path = Path("runs")
    #: where recordings go; by default the checkout's book/recordings
    out: Path | None = None
    #: "auto", "cpu", "cuda" or "cuda:N"
    device: str = "auto"
    #: stop cleanly after so many minutes; the same command then goes on (0: never)
    minutes: float = 0.0
    #: threads of the CPU (0: torch's choice)
    threads: int = 0

    def loop(self) -> LoopConfig:
        return LoopConfig(device=self.device, minutes=self.minutes)

    def destination(self) -> Path:
        return recordings_root(self.out)


@dataclass(frozen=True)
class Record(_Where):
    """Record the runs of presets: train each, measure it, write it down; resumable.

    A run that is recorded already, with this configuration, is left alone.
    """

    #: which presets, in this order (see --list); none means all
    presets: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    #: "full" is for an accelerator, "reduced" for a CPU; auto asks for CUDA
    scale: Literal["auto", "full", "reduced"] = "auto"
    #: only runs whose name fits this pattern, such as "*-s0"
    only: str = "*"
    #: the stand-in glyphs100 needs no data set
    data: Literal["cifar100", "glyphs100"] = "cifar100"
    #: name the presets and their runs
    listing: Annotated[bool, tyro.conf.arg(name="list")] = False
    #: estimate each run's minutes on this device, and its disk, and train nothing
    dry_run: bool = False
    #: print JSON (with --list and --dry-run)
    json: bool = False
    #: queue a job for each run instead: "slurm", or "local" processes (needs the extra `cluster`)
    cluster: Literal["", "slurm", "local"] = ""
    job: ClusterConfig = field(default_factory=ClusterConfig)

    def selected(self) -> list[Run]:
        """The runs that the arguments name."""
        scale = self.scale
        if scale == "auto":
            scale = "full" if pick_device(self.device).type == "cuda" else "reduced"
        runs = [run for name in self.presets or PRESET_NAMES for run in preset(name, scale).runs]
        runs = [replace(run, config=replace(run.config, data=self.data)) for run in runs]
        found = [run for run in runs if fnmatch.fnmatch(run.name, self.only)]
        if not found:
            raise ValueError(f"only: no run fits {self.only!r}; `--list` names them")
        return found

    def run(self) -> int:
        """Record, list, or estimate."""
        if self.threads:
            torch.set_num_threads(self.threads)
        runs = self.selected()
        if self.listing:
            show([{"name": r.name, "what": describe(r.config), "variant": r.variant} for r in runs],
                 self.json)  # fmt: skip
            return 0
        if self.dry_run:
            show(estimate(runs, pick_device(self.device)), self.json)
            return 0
        if self.cluster:
            return self._queue(runs)
        with process_group(pick_device(self.device)):
            return self._record(runs)

    def _record(self, runs: list[Run]) -> int:
        train = load(self.data, "train", self.data_root)
        test = load(self.data, "test", self.data_root)
        budget = Budget(self.minutes)
        for run in runs:
            if not record_run(run, train, test, self.runs, self.destination(), self.loop(), budget):
                _say(f"{run.name}: stopped after {self.minutes:g} minutes; run this again to go on")
                return 0
            _say(f"{run.name}: recorded in {self.destination() / run.name}")
        return 0

    def _queue(self, runs: list[Run]) -> int:
        job = replace(self.job, kind=self.cluster)
        jobs = submit(runs, job, self.runs, self.destination(), self.loop(), self.data_root)
        rows = zip(runs, jobs, strict=True)
        show([{"name": run.name, "job": queued.job_id} for run, queued in rows], self.json)
        return 0


@dataclass(frozen=True)
class Train(_Where):
    """Train and record one run of your own, every setting by hand."""

    #: name of the recording
    name: str = "mine"
    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)
    measure: MeasureConfig = field(default_factory=lambda: MeasureConfig(keep="last"))

    def run(self) -> int:
        """Train, measure, write."""
        if self.threads:
            torch.set_num_threads(self.threads)
        run = Run(self.name, "by hand", self.config, self.measure, log_spaced(self.config.epochs))
        with process_group(pick_device(self.device)):
            train = load(self.config.data, "train", self.data_root)
            test = load(self.config.data, "test", self.data_root)
            budget = Budget(self.minutes)
            done = record_run(run, train, test, self.runs, self.destination(), self.loop(), budget)
            _say(f"{run.name}: {'recorded' if done else 'stopped; run this again to go on'}")
        return 0


def _say(line: str) -> None:
    """Print once, however many processes there are."""
    if world()[0] == 0:
        print(line)
