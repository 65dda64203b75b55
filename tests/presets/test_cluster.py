"""Sweeps through submitit, by its executor for processes on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import ssl_companion.presets.cluster as cluster_module
from ssl_companion.data import load
from ssl_companion.presets.cluster import ClusterConfig, RecordJob, submit
from ssl_companion.presets.record import NoTeacherError
from ssl_companion.presets.runs import Run
from ssl_companion.recordings import MeasureConfig, RecordingError, list_recordings
from ssl_companion.training.config import LoopConfig

from ..conftest import halved
from ..training.tiny import tiny_config

submitit = pytest.importorskip("submitit", reason="needs the extra `cluster`")

LOOP = LoopConfig(device="cpu", progress=False)


def tiny_runs() -> list[Run]:
    measure = MeasureConfig(sample_images=4, sample_views=2, sample_fresh=1, probes=False)
    size = {"images_per_class": 2, "epochs": 1, "batch": 50}
    return [
        Run(f"tiny-s{seed}", "tiny", tiny_config(seed=seed, **size), measure, (0, 1))
        for seed in (0, 1)
    ]


@pytest.mark.slow
def test_local_jobs_record_every_run(tmp_path: Path) -> None:
    cluster = ClusterConfig(kind="local", folder=tmp_path / "jobs", minutes=5, gpus=0, cpus=1)
    out = tmp_path / "recordings"
    jobs = submit(tiny_runs(), cluster, tmp_path / "runs", out, LOOP)
    assert [job.result() for job in jobs] == [True, True]
    assert [found.name for found in list_recordings(out)] == ["tiny-s0", "tiny-s1"]


def test_a_preempted_job_queues_itself_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "load", lambda *given: halved(load(*given)))
    job = RecordJob(tiny_runs()[0], tmp_path / "runs", tmp_path / "out", LOOP, None)
    again = job.checkpoint()
    assert again.function is job
    assert again.function() is True
    assert [found.name for found in list_recordings(tmp_path / "out")] == ["tiny-s0"]


def test_threads_hold_in_the_job_and_after_it_was_preempted(
    executors: list[FakeExecutor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(cluster_module, "load", lambda *_: None)
    monkeypatch.setattr(cluster_module, "record_run", lambda *_, **__: True)
    submit(tiny_runs(), ClusterConfig(kind="local"), tmp_path, tmp_path, LOOP, threads=3)
    (executor,) = executors
    assert all(work() for work in executor.work)
    assert all(work.checkpoint().function() for work in executor.work)
    assert asked == [3, 3, 3, 3]


class FakeExecutor:
    """An executor that writes down what it is asked for."""

    def __init__(self, **made: Any) -> None:
        self.made, self.log, self.parameters = made, list[str](), dict[str, Any]()
        self.work = list[RecordJob]()

    def update_parameters(self, **parameters: Any) -> None:
        self.parameters |= parameters

    def submit(self, work: RecordJob) -> FakeJob:
        self.log.append(f"begin {work.run.name}")
        self.work.append(work)
        return FakeJob(self, work.run.name, dict(self.parameters))

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        self.log.append("batch")
        yield


class FakeJob:
    def __init__(self, executor: FakeExecutor, name: str, parameters: dict[str, Any]) -> None:
        self.executor, self.name, self.parameters = executor, name, parameters
        self.job_id = f"id-{name}"

    def wait(self) -> None:
        self.executor.log.append(f"end {self.name}")


@pytest.fixture
def executors(monkeypatch: pytest.MonkeyPatch) -> list[FakeExecutor]:
    made: list[FakeExecutor] = []

    def make(**parameters: Any) -> FakeExecutor:
        made.append(FakeExecutor(**parameters))
        return made[-1]

    monkeypatch.setattr(submitit, "AutoExecutor", make)
    return made


def test_processes_on_this_machine_run_one_after_the_other(
    executors: list[FakeExecutor], tmp_path: Path
) -> None:
    submit(tiny_runs(), ClusterConfig(kind="local"), tmp_path, tmp_path, LOOP)
    (executor,) = executors
    assert executor.log == ["begin tiny-s0", "end tiny-s0", "begin tiny-s1", "end tiny-s1"]


def test_jobs_of_slurm_are_one_array_and_are_queued_again_as_often_as_asked(
    executors: list[FakeExecutor], tmp_path: Path
) -> None:
    cluster = ClusterConfig(minutes=30, requeues=7)
    jobs = submit(tiny_runs(), cluster, tmp_path, tmp_path, LOOP)
    (executor,) = executors
    assert executor.log == ["batch", "begin tiny-s0", "begin tiny-s1"]
    assert executor.made["slurm_max_num_timeout"] == 7
    assert executor.parameters["timeout_min"] == 30
    assert [job.job_id for job in jobs] == ["id-tiny-s0", "id-tiny-s1"]
    assert "slurm_additional_parameters" not in executor.parameters


def test_submitit_takes_the_number_of_requeues(tmp_path: Path) -> None:
    executor = submitit.AutoExecutor(folder=tmp_path, cluster="debug", slurm_max_num_timeout=7)
    assert executor.cluster == "debug"
    assert submitit.SlurmExecutor.__init__.__defaults__[0] == 3  # what we do not want


def taught() -> tuple[Run, Run]:
    teacher, pupil = tiny_runs()
    pupil = replace(
        pupil, measure=replace(pupil.measure, against=teacher.name), teacher=teacher, scale="full"
    )
    return teacher, pupil


def test_a_run_waits_for_its_teacher(executors: list[FakeExecutor], tmp_path: Path) -> None:
    teacher, pupil = taught()
    jobs = submit([pupil, teacher], ClusterConfig(), tmp_path, tmp_path, LOOP)
    (executor,) = executors
    assert executor.log == ["batch", "begin tiny-s0", "batch", "begin tiny-s1"]
    assert [job.name for job in jobs] == [pupil.name, teacher.name]
    assert "slurm_additional_parameters" not in jobs[1].parameters
    assert jobs[0].parameters["slurm_additional_parameters"] == {"dependency": "afterok:id-tiny-s0"}


@pytest.mark.parametrize("kind", ["slurm", "local"])
def test_a_run_without_its_teacher_is_not_queued(
    kind: str, executors: list[FakeExecutor], tmp_path: Path
) -> None:
    _, pupil = taught()
    with pytest.raises(NoTeacherError, match="'tiny-s0', which is not recorded"):
        submit([pupil], ClusterConfig(kind=kind), tmp_path, tmp_path, LOOP)
    assert not executors


@pytest.mark.parametrize(
    ("cluster", "minutes", "said"),
    [("cloud", None, "'cloud'"), ("slurm", 9, r"minutes: 9; expected none.*--job.minutes")],
)
def test_what_no_cluster_takes_is_refused(
    executors: list[FakeExecutor], tmp_path: Path, cluster: str, minutes: int | None, said: str
) -> None:
    loop = replace(LOOP, minutes=minutes)
    with pytest.raises(ValueError, match=said):
        submit(tiny_runs(), ClusterConfig(kind=cluster), tmp_path, tmp_path, loop)
    assert not executors


def test_nothing_is_queued_for_a_place_that_cannot_be_written(
    executors: list[FakeExecutor], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="no recording can be written there"):
        submit(tiny_runs(), ClusterConfig(), tmp_path, tmp_path / "file/recordings", LOOP)
    assert not executors
