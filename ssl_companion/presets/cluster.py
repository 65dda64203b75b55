"""A sweep over runs on a cluster, one job a run, through submitit (extra `cluster`).

A job that Slurm pre-empts or whose time is up is queued again and resumes from the run's last
checkpoint; nothing is kept in the job itself. Processes on this machine ("local") share its
devices, so they run one after the other, each to its end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_companion.data import load
from ssl_companion.io.extras import needs
from ssl_companion.presets.cluster_config import ClusterConfig as ClusterConfig
from ssl_companion.presets.record import (
    NoTeacherError,
    is_recorded,
    record_run,
    require_place,
)
from ssl_companion.presets.runs import Run
from ssl_companion.recordings.places import require_writable
from ssl_companion.training.config import LoopConfig, pick_device
from ssl_companion.training.runtime import use_threads

_MONTH = 30 * 24 * 60  # minutes; submitit wants a limit


class RecordJob:
    """What a job does: record one run."""

    def __init__(
        self,
        run: Run,
        runs_folder: Path,
        destination: Path,
        loop: LoopConfig,
        data_root: Path | None,
        threads: int = 0,
        overwrite: bool = False,
        device: str = "auto",
    ) -> None:
        self.run, self.loop, self.data_root, self.device = run, loop, data_root, device
        self.runs_folder, self.destination = runs_folder, destination
        self.threads, self.overwrite = threads, overwrite

    def __call__(self) -> bool:
        """True when the recording stands."""
        use_threads(self.threads)
        train = load(self.run.config.data, "train", self.data_root)
        test = load(self.run.config.data, "test", self.data_root)
        where = self.runs_folder, self.destination
        loop = dataclasses.replace(self.loop, device=pick_device(self.device))
        return record_run(self.run, train, test, *where, loop, overwrite=self.overwrite)

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
    threads: int = 0,
    overwrite: bool = False,
    device: str = "auto",
) -> list[Any]:
    """Queue one job a run; with "local", run them one after the other.

    In Slurm, a run that is measured against another of `runs` waits for it.

    Args:
        runs: what to record.
        cluster: where.
        runs_folder, destination, data_root: on a file system that the jobs see.
        loop: how to run, without a limit of minutes; its device is picked anew by each job.
        threads: of the CPU in each job (0: torch's choice).
        overwrite: replace other runs' recordings of the same names.
        device: of the jobs, in words as `pick_device` takes them.

    Returns:
        submitit's jobs, in the order of `runs`; those of "local" have ended.

    Raises:
        ValueError: an unknown kind of cluster, or minutes in `loop`.
        NoTeacherError: a run is measured against one that is neither recorded nor among `runs`.
        OccupiedError: other runs are recorded under the same names, and no `overwrite`.
        MissingExtraError: submitit is not installed.
    """
    if cluster.kind not in ("slurm", "local"):
        raise ValueError(f"cluster: {cluster.kind!r}; expected 'slurm' or 'local'")
    if loop.minutes is not None:
        raise ValueError(
            f"minutes: {loop.minutes:g}; expected none, as a job that stops for them would not be "
            "queued again; a job of Slurm has a time limit of its own (`--job.minutes`)"
        )
    _require_teachers(runs, destination)
    for run in () if overwrite else runs:
        require_place(run, destination)
    require_writable(destination)
    with needs("cluster"):
        import submitit
    executor = submitit.AutoExecutor(
        folder=cluster.folder, cluster=cluster.kind, slurm_max_num_timeout=cluster.requeues
    )
    executor.update_parameters(
        timeout_min=cluster.minutes if cluster.kind == "slurm" else _MONTH,
        gpus_per_node=cluster.gpus,
        cpus_per_task=cluster.cpus,
        mem_gb=cluster.memory_gb,
    )
    if cluster.kind == "slurm" and cluster.partition:
        executor.update_parameters(slurm_partition=cluster.partition)
    loop = dataclasses.replace(loop, progress=False)
    where = runs_folder.resolve(), destination.resolve()
    work = [RecordJob(run, *where, loop, data_root, threads, overwrite, device) for run in runs]
    return _one_by_one(executor, work) if cluster.kind == "local" else _arrays(executor, work)


def _require_teachers(runs: list[Run], destination: Path) -> None:
    """Better refused here than by a job that has waited for hours."""
    names = {run.name for run in runs}
    for run in runs:
        teacher = run.teacher
        if teacher is None or teacher.name in names or is_recorded(run, destination):
            continue
        if not is_recorded(teacher, destination):
            raise NoTeacherError(
                f"{run.name} is measured against the targets of {teacher.name!r}, which is not "
                f"recorded in {destination} at this scale; `{teacher.command}` makes it, or name "
                "its preset, too"
            )


def _one_by_one(executor: Any, work: Sequence[RecordJob]) -> list[Any]:
    jobs = []
    for one in work:
        jobs.append(executor.submit(one))
        jobs[-1].wait()
    return jobs


def _arrays(executor: Any, work: Sequence[RecordJob]) -> list[Any]:
    """Job arrays, which schedulers prefer to many single jobs: what waits for nothing, then
    what is measured against one of these."""
    names = {one.run.name for one in work}
    pupils = [one for one in work if one.run.measure.against in names]
    queued = _array(executor, [one for one in work if one not in pupils])
    if pupils:
        teachers = {queued[one.run.measure.against].job_id for one in pupils}
        after = "afterok:" + ":".join(sorted(teachers))
        executor.update_parameters(slurm_additional_parameters={"dependency": after})
        queued |= _array(executor, pupils)
    return [queued[one.run.name] for one in work]


def _array(executor: Any, work: Sequence[RecordJob]) -> dict[str, Any]:
    """One job a run, by its name."""
    with executor.batch():
        return {one.run.name: executor.submit(one) for one in work}
