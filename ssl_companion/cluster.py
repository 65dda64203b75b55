"""A sweep over runs on a cluster, one job a run, through submitit (extra `cluster`).

A job that its cluster pre-empts or whose time is up is queued again and resumes from the run's
last checkpoint; nothing is kept in the job itself.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_companion.data import load
from ssl_companion.experiments import Run
from ssl_companion.recorder import Budget, record_run
from ssl_companion.training.loop import LoopConfig


@dataclass(frozen=True)
class ClusterConfig:
    """Where and how jobs run.

    Attributes:
        kind: "slurm", or "local" for processes on this machine.
        folder: gets the jobs' scripts and logs.
        minutes: time limit of a job; a run that needs more is queued again.
        partition: of Slurm; empty means its default.
        gpus: GPUs of a job (0: CPU only).
        cpus: processor cores of a job.
        memory_gb: of a job.
    """

    kind: str = "slurm"
    folder: Path = Path("runs/jobs")
    minutes: int = 60
    partition: str = ""
    gpus: int = 1
    cpus: int = 8
    memory_gb: int = 32


class RecordJob:
    """What a job does: record one run, within the job's minutes."""

    def __init__(
        self,
        run: Run,
        runs_folder: Path,
        destination: Path,
        loop: LoopConfig,
        data_root: Path | None,
    ) -> None:
        self.run, self.loop, self.data_root = run, loop, data_root
        self.runs_folder, self.destination = runs_folder, destination

    def __call__(self) -> bool:
        """True when the recording stands."""
        train = load(self.run.config.data, "train", self.data_root)
        test = load(self.run.config.data, "test", self.data_root)
        budget = Budget(self.loop.minutes)
        folders = self.runs_folder, self.destination
        return record_run(self.run, train, test, *folders, self.loop, budget)

    def checkpoint(self) -> Any:
        """What submitit queues when the job is pre-empted: the same, from the last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit(
    runs: list[Run],
    cluster: ClusterConfig,
    runs_folder: Path,
    destination: Path,
    loop: LoopConfig,
    data_root: Path | None = None,
) -> list[Any]:
    """Queue one job a run.

    Args:
        runs: what to record.
        cluster: where.
        runs_folder, destination, data_root: on a file system that the jobs see.
        loop: how to run.

    Returns:
        submitit's jobs, in the order of `runs`.

    Raises:
        ValueError: an unknown kind of cluster.
        RuntimeError: submitit is not installed.
    """
    if cluster.kind not in ("slurm", "local"):
        raise ValueError(f"cluster: {cluster.kind!r}; expected 'slurm' or 'local'")
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise RuntimeError(
            "submitit is not installed; pip install 'ssl-companion[cluster]'"
        ) from error
    executor = submitit.AutoExecutor(folder=cluster.folder, cluster=cluster.kind)
    executor.update_parameters(
        timeout_min=cluster.minutes,
        gpus_per_node=cluster.gpus,
        cpus_per_task=cluster.cpus,
        mem_gb=cluster.memory_gb,
    )
    if cluster.kind == "slurm" and cluster.partition:
        executor.update_parameters(slurm_partition=cluster.partition)
    loop = dataclasses.replace(loop, progress=False)
    where = runs_folder.resolve(), destination.resolve()
    jobs: list[Any] = []
    with executor.batch():  # one job array, which schedulers prefer to many single jobs
        for run in runs:
            jobs.append(executor.submit(RecordJob(run, *where, loop, data_root)))
    return jobs
