"""Where and how jobs of a sweep run; `cluster`, which needs torch, queues them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ClusterConfig:
    """Where and how jobs run.

    Attributes:
        kind: "slurm", or "local" for processes on this machine.
        folder: gets the jobs' scripts and logs.
        minutes: time limit of a job in Slurm; a run that needs more is queued again.
        requeues: how often at most, for that reason; a pre-emption does not count.
        partition: of Slurm; empty means its default.
        gpus: GPUs of a job (0: CPU only).
        cpus: processor cores of a job.
        memory_gb: of a job.
    """

    kind: Annotated[str, tyro.conf.Suppress] = "slurm"  # the command says --cluster
    folder: Path = Path("runs/jobs")
    minutes: int = 60
    requeues: int = 24
    partition: str = ""
    gpus: int = 1
    cpus: int = 8
    memory_gb: int = 32
