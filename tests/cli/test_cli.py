"""The command line as its user meets it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_companion import cli
from ssl_companion.__main__ import main
from ssl_companion.chapters import commands
from ssl_companion.chapters.analysis.feature_maps import NEIGHBOURS
from ssl_companion.chapters.commands.explore import Explore
from ssl_companion.cli import runs as command
from ssl_companion.cli.features import MeasureFeatures
from ssl_companion.cli.record import Record, Train
from ssl_companion.cli.recordings import Recordings
from ssl_companion.encoders.evaluate import MEASURES
from ssl_companion.presets.catalogue import PRESET_NAMES, preset
from ssl_companion.presets.record import NoTeacherError
from ssl_companion.presets.runs import Run
from ssl_companion.recordings import Recording, list_recordings
from ssl_companion.training import runtime
from ssl_companion.training.checkpoint import CheckpointError
from ssl_companion.training.config import LoopConfig
from ssl_companion.training.trainer import DivergedError

from .conftest import Call

COMMANDS = {**cli.COMMANDS, **commands.COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_all_says_what_each_command_says_of_itself(name: str) -> None:
    entry = COMMANDS[name]
    doc = entry.load().__doc__ or ""
    assert entry.summary == doc.split("\n\n")[0].strip()


HEAVY = ("torch", "faiss", "pandas", "scipy", "sklearn", "matplotlib", "torchvision")
RUN = "from ssl_companion.__main__ import main; main"


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        ("import sys", (*HEAVY, "numpy", "tyro")),
        (f"{RUN}(['--help'])", (*HEAVY, "numpy")),
        ("import ssl_companion.measures", ("scipy", "pandas", "matplotlib", "sklearn")),
        ("import ssl_companion.recordings", HEAVY),
        *((f"{RUN}(['{name}', '--help'])", HEAVY) for name in COMMANDS),
        (f"{RUN}(['recordings'])", (*HEAVY, "ssl_companion.presets.catalogue")),
        (f"{RUN}(['recordings', '--json'])", HEAVY),
        (f"{RUN}(['recordings', '--verify'])", HEAVY),
    ],
)
def test_nothing_waits_for_what_it_does_not_need(arguments: str, absent: tuple[str, ...]) -> None:
    code = (
        f"import contextlib, ssl_companion, sys\nwith contextlib.suppress(SystemExit): "
        f"{arguments}\nprint('imported:', [m for m in {absent} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        (["train", "--data", "glyphs100", "--backbone", "res-1-4"], "matplotlib", "train"),
        (["explore", "a recording"], "matplotlib", "plots"),
    ],
)
def test_a_command_whose_extra_is_absent_says_so_in_one_line(
    command: list[str], module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(tmp_path))  # which has no glyphs yet
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from ssl_companion.io import extras; extras.checkout = lambda: None\n"
        f"from ssl_companion.__main__ import main; sys.exit(main({command!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert f"`pip install 'ssl-companion[{extra}]'` brings it" in line
    assert module in line


def test_defaults_are_those_of_what_is_called() -> None:
    assert MeasureFeatures(Path("x.npy"), Path("y.npy")).which == MEASURES
    assert Explore("a recording").neighbours == NEIGHBOURS


def test_list_names_every_run(call: Call) -> None:
    made = [preset(name, "full") for name in PRESET_NAMES]
    listed = call("record", "--list", "--json", "--scale", "full").rows
    expected = {run.name: one.why for one in made for run in one.runs}
    assert {row["name"]: row["why"] for row in listed} == expected


@pytest.mark.parametrize("scale", ["full", "reduced"])
def test_list_says_why(scale: str, call: Call) -> None:
    found = call("record", "regularizer", "methods", "--list", "--scale", scale)
    assert found.status == 0
    printed = " ".join(found.out.split())
    for name in ("regularizer", "methods"):
        assert f"{name}: {preset(name, scale).why}" in printed  # type: ignore[arg-type]
    assert "Width, depth and kind" not in printed  # of another preset
    assert "regularizer-off-midway-s0" in printed


def test_both_scales_share_their_names() -> None:
    for name in PRESET_NAMES:
        full = {run.name for run in preset(name, "full").runs}
        reduced = [run.name for run in preset(name, "reduced").runs]
        if name == "terms":  # at full scale, VICReg's are those of the preset regularizer
            reduced = [run for run in reduced if not run.startswith("terms-vicreg")]
        if name == "controls":  # the larger ones are called after their network
            reduced = [run for run in reduced if "-64-" not in run]
            full = {run for run in full if "-250-" not in run}
        assert set(reduced) <= full
        assert len(set(reduced)) == len(reduced)
        assert {run.rsplit("-s", 1)[0] for run in full} == {
            run.rsplit("-s", 1)[0] for run in reduced
        }


def test_every_run_of_a_preset_is_another_configuration() -> None:
    runs = [run for name in PRESET_NAMES for run in preset(name, "full").runs]
    digests = [run.config.digest() for run in runs]
    twins = {run.name for run in runs if digests.count(run.config.digest()) > 1}
    # The recipes are in two presets, of one length at this scale, and so is what labels do: each
    # preset is whole by itself.
    recipes = {f"{p}-recipe-s{s}" for p in ("regularizer", "architecture") for s in range(3)}
    others = {
        f"{p}-s{s}"
        for o in ("simclr", "barlow-twins")
        for p in (f"methods-{o}", f"terms-{o}-recipe")
        for s in range(3)
    } | {f"{p}-supervised{w}-s{s}" for p, w in (("methods", ""), ("controls", "-250"))
         for s in range(3)}  # fmt: skip
    assert twins <= recipes | others


def test_dry_run_names_minutes_and_disk(call: Call) -> None:
    chosen = ["regularizer", "--only", "*recipe-s0", "--scale", "reduced"]
    (row,) = call("record", *chosen, "--dry-run", "--json", "--device", "cpu").rows
    assert row["name"] == "regularizer-recipe-s0"
    assert row["compile_minutes"] >= 0
    assert row["train_minutes"] > 0
    assert row["measure_minutes"] > 0
    assert row["work_mb"] > row["disk_mb"] > 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["record", "nothing"], "nothing"),
        (["record", "--only", "no-such-run", "--list"], "no-such-run"),
        (["measure", "no-such-recording"], "no-such-recording"),
        (["record", "targets", "--device", "cuda:0", "--dry-run"], "cuda:0"),
        (["measure", "architecture-vit-s0"], "With features: clustering-vicreg-s0"),
        (["recordings", "--root", "no-such-folder"], "no-such-folder: there is no such folder"),
        (["claims", "--root", "no-such-folder"], "no-such-folder: there is no such folder"),
        (["train", "--name", "", "--data", "glyphs100"], "expected a folder's name"),
        (["record", "methods", "--minutes", "5", "--cluster", "slurm"], "minutes: 5;"),
        (["record", "--threads", "-1", "--list"], "threads: -1; expected an integer of 0 or more"),
        (["train", "--threads", "-1"], "threads: -1; expected an integer of 0 or more"),
        (["import-run", ".", "--threads", "-1"], "threads: -1; expected an integer of 0 or more"),
        (["explore", "reference-vicreg-s0", "--seed", "-1"], "seed: -1; expected an integer from"),
        (["baselines", "--images-per-class", "-1"], "images_per_class: (-1,); expected one number"),
        (["baselines", "--out", "/dev/null/x"], "no recording can be written there"),
        (["measure-features", "x.npy", "y.npy", "--out", "."], "x.npy: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], named: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = call(*arguments)
    assert found.status == 2
    assert named in found.err
    assert "\n" not in found.err.strip()


Sweep = Callable[..., list[str]]


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Runs of a sweep that end as they are told; gives the names of those that were begun."""

    def prepare(**ends: Exception | bool) -> list[str]:
        begun: list[str] = []

        def record_run(run: Run, *_: object) -> bool:
            begun.append(run.name)
            end = ends.get(run.name.split("-")[1], True)
            if isinstance(end, Exception):
                raise end
            return end

        monkeypatch.setattr(command, "record_run", record_run)
        monkeypatch.setattr(command, "load", lambda *_: None)
        monkeypatch.setattr(command, "_recorded", lambda run, _: f"{run.name}: recorded")
        return begun

    return prepare


METHODS = ["record", "methods", "--scale", "reduced", "--device", "cpu", "--minutes", "5"]


@pytest.mark.parametrize(
    "error",
    [
        DivergedError("step 7"),
        NoTeacherError("no teacher"),
        CheckpointError("truncated"),
        ValueError("run.json: not a readable description of a run"),
    ],
)
def test_a_run_that_fails_does_not_keep_the_others_from_being_recorded(
    error: Exception, sweep: Sweep, call: Call
) -> None:
    begun = sweep(barlow=error)
    found = call(*METHODS)
    assert found.status == 2
    names = [run.name for run in preset("methods", "reduced").runs]
    assert begun == names
    assert f"methods-barlow-twins-s0: {error}" in found.err
    assert "3 of 12 runs could not be recorded" in found.err
    assert found.out.splitlines() == [f"{n}: recorded" for n in names if "barlow" not in n]


@pytest.mark.parametrize(
    ("error", "ends"), [(CheckpointError("a full disk"), True), (DivergedError("step 7"), False)]
)
def test_of_several_processes_none_goes_on_alone(
    error: Exception, ends: bool, sweep: Sweep, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = sweep(barlow=error)
    monkeypatch.setattr(command, "world", lambda: (0, 2))
    assert call(*METHODS).status == 2
    assert (begun[-1] == "methods-barlow-twins-s0") == ends


@pytest.mark.parametrize("has", [True, False])
def test_float32_in_place_of_bfloat16_is_said_once(
    has: bool, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.setattr(runtime, "_cpu_has_bfloat16", lambda: has)
    sweep()
    found = call(*METHODS)
    assert found.status == 0
    said = "has no instructions for bfloat16: computing in float32"
    assert found.err.count(said) == (not has)


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says it has two GPUs."""
    for name, value in {
        "is_available": True,
        "device_count": 2,
        "get_device_capability": (9, 0),
        "get_device_name": "H-something",
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)


ON_A_GPU = ["record", "methods", "--scale", "reduced", "--device", "cuda:0"]


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize(
    ("why", "choice", "said"),
    [("there is no compiler", "auto", 1), ("there is no compiler", "no", 0), ("", "auto", 0)],
)
def test_that_nothing_is_compiled_is_said_once(
    why: str, choice: str, said: int, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.setattr(command, "hindrance", lambda _: why)
    sweep()
    found = call(*ON_A_GPU, "--compile", choice)
    assert found.status == 0
    assert found.err.count("H-something: running without compiling, as there is no comp") == said


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize(
    "arguments", [ON_A_GPU, ["train", "--data", "glyphs100", "--device", "cuda:0"]]
)
def test_each_of_several_processes_runs_on_its_own_device(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def second(device: torch.device) -> Iterator[torch.device]:
        assert device == torch.device("cuda:0")  # as all of them are told
        yield torch.device("cuda:1")

    seen: set[torch.device] = set()

    def record_run(*of: Any) -> bool:
        seen.update(loop.device for loop in of if isinstance(loop, LoopConfig))
        return True

    monkeypatch.setattr(command, "process_group", second)
    monkeypatch.setattr(command, "record_run", record_run)
    monkeypatch.setattr(command, "load", lambda *_: None)
    monkeypatch.setattr(command, "hindrance", lambda _: "")
    monkeypatch.setattr(command, "_recorded", lambda run, _: f"{run.name}: recorded")
    assert main(arguments) == 0
    assert seen == {torch.device("cuda:1")}


def test_a_sweep_stops_for_the_minutes_and_still_says_that_one_failed(
    sweep: Sweep, call: Call
) -> None:
    begun = sweep(simclr=DivergedError("step 7"), barlow=False)
    found = call(*METHODS)
    assert found.status == 2
    assert len(begun) == 2
    assert "methods-barlow-twins-s0: stopped after 5 minutes" in found.out
    assert len(sweep(simclr=False)) == 0
    assert call(*METHODS).status == 0


def test_the_memory_of_a_gpu_is_said_where_it_is_known(
    write_synthetic: Callable[..., Recording], tmp_path: Path
) -> None:
    recording = write_synthetic("methods-simclr-s0", tmp_path, epochs=(0, 1), features=False)
    (run,) = (run for run in preset("methods", "full").runs if run.name == recording.name)
    path = tmp_path / run.name
    assert command._recorded(run, tmp_path) == f"{run.name}: recorded in {path}"
    for peak, words in ((None, ""), (3 * 2**30, ", at most 3.00 GiB of GPU memory in training")):
        described: dict[str, Any] = recording.run | {"peak_memory_bytes": peak}
        (path / "run.json").write_text(json.dumps(described))
        assert command._recorded(run, tmp_path) == f"{run.name}: recorded in {path}{words}"


@pytest.mark.parametrize("choice", ["auto", "yes", "no"])
def test_compiling_is_chosen_on_the_command_line(choice: str) -> None:
    for words in (["record"], ["train"]):
        parsed = cli.parse(cli.COMMANDS, [*words, "--compile", choice])
        assert isinstance(parsed, Record | Train)
        assert parsed.loop(torch.device("cpu")).compile == choice
    assert Record().loop(torch.device("cpu")).compile == "auto"


def test_what_is_measured_against_comes_first() -> None:
    names = [run.name for run in Record(presets=("clustering", "targets")).selected()]
    assert names[0] == "targets-teacher-s0"
    assert len(names) == 4


def test_local_jobs_say_how_they_ended(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    trace = "Job (task=0) failed during processing with trace:\n----------------------\n" \
        "Traceback (most recent call last):\n  File ...\nDivergedError: step 7\n\n" \
        "----------------------\nYou can check full logs"  # fmt: skip

    class Job:
        def __init__(self, run: Run) -> None:
            self.job_id, self.fails = "1", "byol" in run.name

        def exception(self) -> Exception | None:
            return RuntimeError(trace) if self.fails else None

    monkeypatch.setattr(command, "submit", lambda runs, *_: [Job(run) for run in runs])
    found = call("record", "methods", "--scale", "reduced", "--cluster", "local", "--json")
    assert found.status == 2
    states = {row["name"]: row["state"] for row in json.loads(found.out)}
    assert states["methods-byol-s0"] == "failed: DivergedError: step 7"
    assert states["methods-simclr-s0"] == "recorded"


@pytest.mark.parametrize(
    ("error", "hinted"),
    [
        (RuntimeError("shape mismatch"), True),
        (CheckpointError("a damaged file"), False),
        (DivergedError("step 7"), False),
        (ValueError("a mistake"), False),
    ],
)
def test_an_unexpected_error_says_how_to_see_where_it_comes_from(
    error: Exception, hinted: bool, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    def fail(_: Recordings) -> int:
        raise error

    monkeypatch.delenv("SSL_COMPANION_DEBUG", raising=False)
    monkeypatch.setattr(Recordings, "run", fail)
    brief = call("recordings")
    assert brief.status == 2
    assert str(error) in brief.err
    assert ("SSL_COMPANION_DEBUG" in brief.err) == hinted
    assert "Traceback" not in brief.err

    monkeypatch.setenv("SSL_COMPANION_DEBUG", "1")
    long = call("recordings")
    assert long.status == 2
    assert "Traceback" in long.err
    assert "in fail" in long.err
    assert long.err.splitlines()[-1] == f"ssl-companion: {error}"


@pytest.mark.parametrize("command", ["train", "record"])
def test_every_option_says_what_it_is(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    lines = [line.strip("│ ") for line in capsys.readouterr().out.splitlines()]
    text = "\n".join(line for line in lines if not re.match(r"[╭╰─]", line))
    options = re.findall(r"(?ms)^(--[a-z][\w.-]*)(.*?)(?=^--[a-z]|\Z)", text)
    assert len(options) > 15
    for name, rest in options:
        said = re.sub(r"\(default:.*?\)|\{.*?\}|\[.*?\]|--[\w.-]+|\b[A-Z]+\b", "", rest, flags=re.S)
        assert re.search(r"[a-z]{2}", said), name


def test_train_says_what_it_would_take(call: Call, tmp_path: Path) -> None:
    where = ["--device", "cpu", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    found = call("train", *TINY, *where, "--dry-run")
    assert found.status == 0
    assert "train_minutes" in found.out
    assert not list(tmp_path.iterdir())


TINY = [
    "--data", "glyphs100", "--backbone", "res-1-4", "--epochs", "1", "--projector-width", "8",
    "--batch", "50", "--images-per-class", "2", "--threads", "1", "--measure.no-probes",
    "--measure.sample-images", "4", "--measure.sample-views", "2", "--measure.sample-fresh", "1",
]  # fmt: skip


def test_train_then_measure_by_the_console(tmp_path: Path) -> None:
    def call(*arguments: str) -> str:
        command = [sys.executable, "-m", "ssl_companion", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    out = str(tmp_path / "out")
    runs = str(tmp_path / "runs")
    call("train", "--name", "mine", *TINY, "--measure.no-groupings", "--runs", runs, "--out", out)
    rows = json.loads(call("measure", "mine", "--root", out, "--json"))
    assert {(row["epoch"], row["level"]) for row in rows} >= {(0, "fine"), (1, "coarse")}
    assert all(0 <= row["ncc_test"] <= 1 and row["n_test"] == 2000 for row in rows)
    assert "VICReg, RES-1-4, Glyphs-100 (stand-in)" in call("recordings", "--root", out)


@pytest.mark.slow
def test_two_processes_by_torchrun_write_one_recording(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "ssl_companion", "train", "--name", "both", *TINY, "--device", "cpu",
        "--runs", str(tmp_path / "runs"), "--out", str(out),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("both: recorded") == 1
    (recording,) = list_recordings(out)
    assert recording.run["processes"] == 2
