"""What two runs differ in is all that they differ in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ssl_companion.chapters.analysis.config_differences import differing
from ssl_companion.recordings import Recording, open_recording


def _with(recording: Recording, folder: Path, **config: object) -> Recording:
    shutil.copytree(recording.path, folder)
    run = json.loads((folder / "run.json").read_text())
    run["config"] |= config
    (folder / "run.json").write_text(json.dumps(run))
    return open_recording(folder)


def test_only_what_differs_is_named_and_in_words(clusters: Recording, tmp_path: Path) -> None:
    objective = clusters.run["config"]["objective"]
    one = _with(clusters, tmp_path / "one", objective=objective | {"regularizer": 1.0},
                optim={"name": "lars", "lr": 0.15}, batch=128)  # fmt: skip
    other = _with(clusters, tmp_path / "other", objective=objective | {"regularizer": 0.0},
                  optim={"name": "sgd", "lr": 0.1}, batch=128, held_out=True)  # fmt: skip
    found = differing({"with": one, "without": other})
    assert found.to_dict("index") == {
        "factor on the regularizer": {"with": "1", "without": "0"},
        "optimizer": {"with": "LARS", "without": "SGD"},
        "learning rate": {"with": "0.15", "without": "0.1"},
        "classes held out": {"with": "-", "without": "True"},
    }


@pytest.mark.parametrize("count", [1, 2])
def test_runs_that_were_trained_alike_differ_in_nothing(clusters: Recording, count: int) -> None:
    assert differing({str(i): clusters for i in range(count)}).empty
