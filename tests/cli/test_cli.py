"""The command line as its user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ssl_companion.cli import main
from ssl_companion.experiments import PRESET_NAMES, preset
from ssl_companion.recordings import list_recordings


def test_list_names_every_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--list", "--json", "--scale", "full"]) == 0
    listed = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert listed == {run.name for name in PRESET_NAMES for run in preset(name, "full").runs}


def test_both_scales_share_their_names() -> None:
    for name in PRESET_NAMES:
        full = {run.name for run in preset(name, "full").runs}
        reduced = [run.name for run in preset(name, "reduced").runs]
        assert set(reduced) <= full
        assert len(set(reduced)) == len(reduced)
        assert {run.rsplit("-s", 1)[0] for run in full} == {
            run.rsplit("-s", 1)[0] for run in reduced
        }


def test_every_run_of_a_preset_is_another_configuration() -> None:
    runs = [run for name in PRESET_NAMES for run in preset(name, "full").runs]
    digests = [run.config.digest() for run in runs]
    twins = {run.name for run in runs if digests.count(run.config.digest()) > 1}
    # The recipe alone is in two presets, of one length at this scale: each is whole by itself.
    assert twins <= {f"{p}-recipe-s{s}" for p in ("regularizer", "architecture") for s in range(3)}


def test_dry_run_names_minutes_and_disk(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["record", "regularizer", "--only", "*recipe-s0", "--scale", "reduced"]
    assert main([*arguments, "--dry-run", "--json", "--device", "cpu"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "regularizer-recipe-s0"
    assert row["train_minutes"] > 0
    assert row["measure_minutes"] > 0
    assert row["disk_mb"] > 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["record", "nothing"], "nothing"),
        (["record", "--only", "no-such-run", "--list"], "no-such-run"),
        (["measure", "no-such-recording"], "no-such-recording"),
        (["record", "targets", "--device", "cuda:0", "--dry-run"], "cuda:0"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert named in error
    assert "\n" not in error


def test_train_then_measure_by_the_console(tmp_path: Path) -> None:
    def call(*arguments: str) -> str:
        command = [sys.executable, "-m", "ssl_companion", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    out = str(tmp_path / "out")
    call(
        "train", "--name", "mine", "--data", "glyphs100", "--backbone", "res-1-4", "--epochs", "1",
        "--projector-width", "8", "--batch", "50", "--images-per-class", "2", "--threads", "1",
        "--measure.sample-images", "4", "--measure.sample-views", "2", "--measure.no-probes",
        "--measure.sample-fresh", "1", "--runs", str(tmp_path / "runs"), "--out", out,
    )  # fmt: skip
    rows = json.loads(call("measure", "mine", "--root", out, "--json"))
    assert {(row["epoch"], row["level"]) for row in rows} >= {(0, "fine"), (1, "coarse")}
    assert all(0 <= row["ncc_test"] <= 1 and row["n_test"] == 2000 for row in rows)
    assert "VICReg, RES-1-4, Glyphs-100 (stand-in)" in call("recordings", "--root", out)


@pytest.mark.slow
def test_two_processes_by_torchrun_write_one_recording(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "ssl_companion", "train", "--name", "both", "--data", "glyphs100",
        "--backbone", "res-1-4", "--epochs", "1", "--projector-width", "8", "--batch", "50",
        "--images-per-class", "2", "--threads", "1", "--device", "cpu",
        "--measure.sample-images", "4", "--measure.sample-views", "2",
        "--measure.sample-fresh", "1", "--measure.no-probes",
        "--runs", str(tmp_path / "runs"), "--out", str(out),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("both: recorded") == 1
    (recording,) = list_recordings(out)
    assert recording.run["processes"] == 2
