"""`ssl-companion record PRESET` and `ssl-companion train`: make recordings."""

from __future__ import annotations

import fnmatch
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ssl_companion.presets.catalogue import PRESET_NAMES, preset
from ssl_companion.presets.cluster_config import ClusterConfig
from ssl_companion.presets.runs import Preset, Run, teachers_first
from ssl_companion.recordings import MeasureConfig, recordings_root
from ssl_companion.training.config import LoopConfig, RunConfig, pick_device

if TYPE_CHECKING:
    import torch


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
        runs = [run.on(self.data) for preset in self.chosen() for run in preset.runs]
        found = [run for run in runs if fnmatch.fnmatch(run.name, self.only)]
        if not found:
            raise ValueError(f"only: no run fits {self.only!r}; `--list` names them")
        return teachers_first(found)

    def chosen(self) -> list[Preset]:
        """The presets that the arguments name, at their scale."""
        scale = self.scale
        if scale == "auto":
            scale = "full" if self.picked.type == "cuda" else "reduced"
        return [preset(name, scale) for name in self.presets or PRESET_NAMES]

    def run(self) -> int:
        """Record, list, or estimate."""
        from ssl_companion.cli import runs

        return runs.record_presets(self)


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
        from ssl_companion.cli import runs

        return runs.train_one(self)
