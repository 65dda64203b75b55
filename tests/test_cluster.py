"""Sweeps through submitit, by its executor for processes on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_companion.cluster import ClusterConfig, RecordJob, submit
from ssl_companion.experiments import Run
from ssl_companion.recordings import MeasureConfig, list_recordings
from ssl_companion.training.config import RunConfig
from ssl_companion.training.loop import LoopConfig

pytest.importorskip("submitit", reason="needs the extra `cluster`")

LOOP = LoopConfig(device="cpu", progress=False)


def tiny_runs() -> list[Run]:
    measure = MeasureConfig(sample_images=4, sample_views=2, sample_fresh=1, probes=False)
    return [
        Run(
            f"tiny-s{seed}",
            "tiny",
            RunConfig(
                backbone="res-1-4",
                projector_width=8,
                data="glyphs100",
                images_per_class=2,
                epochs=1,
                batch=50,
                seed=seed,
            ),
            measure,
            (0, 1),
        )
        for seed in (0, 1)
    ]


@pytest.mark.slow
def test_local_jobs_record_every_run(tmp_path: Path) -> None:
    cluster = ClusterConfig(kind="local", folder=tmp_path / "jobs", minutes=5, gpus=0, cpus=1)
    out = tmp_path / "recordings"
    jobs = submit(tiny_runs(), cluster, tmp_path / "runs", out, LOOP)
    assert [job.result() for job in jobs] == [True, True]
    assert [found.name for found in list_recordings(out)] == ["tiny-s0", "tiny-s1"]


def test_a_preempted_job_queues_itself_again(tmp_path: Path) -> None:
    job = RecordJob(tiny_runs()[0], tmp_path / "runs", tmp_path / "out", LOOP, None)
    again = job.checkpoint()
    assert again.function is job
    assert again.function() is True
    assert [found.name for found in list_recordings(tmp_path / "out")] == ["tiny-s0"]


def test_an_unknown_cluster_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'cloud'"):
        submit([], ClusterConfig(kind="cloud"), tmp_path, tmp_path, LOOP)
