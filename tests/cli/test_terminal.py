"""What a terminal does to a command: Ctrl-C, a reader that leaves, letters that it has not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssl_companion.cli import runs as command
from ssl_companion.cli.recordings import Recordings

from .conftest import Call

MAIN = [sys.executable, "-m", "ssl_companion"]
#: Output waits in a buffer, as it does for users; some test machines have it otherwise.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.parametrize(
    "arguments", [["train"], ["record", "methods", "--scale", "reduced", "--minutes", "5"]]
)
def test_ctrl_c_in_a_run_is_one_line_that_says_how_to_go_on(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    def record_run(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "record_run", record_run)
    monkeypatch.setattr(command, "load", lambda *_: None)
    found = call(*arguments, "--device", "cpu")
    name = "mine" if arguments == ["train"] else "methods-simclr-s0"
    line = f"ssl-companion: {name}: interrupted and saved; run this again to go on"
    assert found.err.splitlines()[-1] == line
    assert (found.status, found.out) == (130, "")


def test_ctrl_c_elsewhere_is_one_line(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    def interrupted(_: Recordings) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recordings, "run", interrupted)
    assert call("recordings") == (130, "", "ssl-companion: interrupted\n")


TINY = [
    "--data", "glyphs100", "--backbone", "res-1-4", "--epochs", "400", "--projector-width", "8",
    "--batch", "50", "--images-per-class", "2", "--threads", "1", "--measure.no-probes",
    "--device", "cpu",
]  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_at_the_console_leaves_a_checkpoint(tmp_path: Path) -> None:
    where = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*MAIN, "train", *TINY, *where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "epoch=1," not in (said := process.stderr.read(80)):
        assert said, "it ended by itself"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    last = err.splitlines()[-1]
    assert last == "ssl-companion: mine: interrupted and saved; run this again to go on"
    assert "Traceback" not in err
    assert list(tmp_path.glob("runs/*/checkpoints/*.ckpt"))


NONE = str(Path(__file__).parent)  # where there are none, as one short line says


@pytest.mark.parametrize("arguments", [["recordings", "--json"], ["recordings", "--root", NONE]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str]) -> None:
    process = subprocess.Popen(
        [*MAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=BUFFERED
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_behind_the_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*MAIN, "recordings", "--root", NONE],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=BUFFERED,
        )
    assert done.returncode == 2
    assert done.stderr == "ssl-companion: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_a_terminal_has_not_are_written_out(encoding: str) -> None:
    described = json.dumps(
        {"title": "caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{GREEK SMALL LETTER PI}"}
    )
    code = (
        "import json, sys\nfrom ssl_companion.__main__ import main\n"
        "from ssl_companion.cli import recordings\n"
        f"title = json.loads({described!r})['title']\n"
        "recordings.Recordings.run = lambda self: print(title) or 0\n"
        "sys.exit(main(['recordings']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.strip().endswith(b"\\u03c0")
    assert done.stdout.decode(encoding).startswith("caf")
