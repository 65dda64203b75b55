"""Run a notebook that was handed in, in a kernel of its own, with the judge beside it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import judge
import psutil  # type: ignore[import-untyped]
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parents[2]
MARK = "SSL_COMPANION_GRADING"
"""The variable by which the processes of a hand-in are known."""
_OWN = secrets.token_hex(8)
_RUNS = 4  # of a notebook whose cells end its process; each leaves the last such cell out
_SECONDS_TO_OBEY = 10.0  # after an interrupt
_BOUNDS = """\
try:
    import resource as _resource
    _resource.setrlimit(_resource.RLIMIT_FSIZE, (2**30, 2**30))
    _resource.setrlimit(_resource.RLIMIT_CORE, (0, 0))
    del _resource
except ImportError:
    pass
"""
_ASK = "__import__('runpy').run_path({path!r})['hand_over']({arguments}, globals())"


@dataclass(frozen=True)
class Question:
    """An exercise to ask about: behind which cell, and which expression is the answer."""

    exercise: str
    after: int
    expression: str


@dataclass
class Run:
    """What came of running a notebook.

    Attributes:
        errors: of code cells, by their index: words for each that failed or was left out.
        stopped: those among them that did not end, or ended the process.
        verdicts: by the number of the question: whether it is right, and what was said.
    """

    errors: dict[int, str] = field(default_factory=dict)
    stopped: dict[int, str] = field(default_factory=dict)
    verdicts: dict[int, tuple[bool | None, str]] = field(default_factory=dict)


class _Stopped(Exception):
    """The kernel is lost; the message says why."""


def run(
    sources: Sequence[str], questions: Sequence[Question], parameters: str, stubs: dict[str, str],
    timeout: float,
) -> Run:  # fmt: skip
    """Run code cells one after the other and ask about the exercises on the way.

    A cell that takes too long is interrupted, and the run goes on. One that takes the kernel with
    it is left out of another run.

    Args:
        sources: of the notebook's code cells.
        questions: to ask.
        parameters: the book's cell of parameters for this chapter.
        stubs: the book's cells of its exercises, by their names.
        timeout: seconds for a cell. Once all have taken four times that, a second each; at eight
            times it the run ends.
    """
    found, lost, key = Run(), dict[tuple[int, int], str](), secrets.token_hex(16)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as private:
        address = str(Path(private) / "judge")
        setup = {"address": address, "key": key, "parameters": parameters,
                 "stubs": [stubs[question.exercise] for question in questions]}  # fmt: skip
        with _judging(setup, private, found):
            wanted = judge.words_in(parameters)
            steps = [((-1, -1), _BOUNDS)]
            for cell, source in enumerate(sources):
                steps.append(((cell, -1), source))
                for number, question in enumerate(questions):
                    if question.after == cell:
                        arguments = (
                            f"{address!r}, {key!r}, {number}, {question.expression!r}, {wanted!r}"
                        )
                        ask = _ASK.format(path=judge.__file__, arguments=arguments)
                        steps.append(((cell, number), ask))
            start = time.monotonic()
            for _ in range(_RUNS):
                try:
                    left = [step for step in steps if step[0] not in lost]
                    _run_once(left, found, timeout, start, lost)
                    break
                except _Stopped as error:
                    if not lost:  # no cell did it
                        raise RuntimeError(str(error)) from None
    for (cell, number), why in lost.items():
        if number < 0:
            found.errors[cell] = found.stopped[cell] = why
        elif found.verdicts.get(number, (None,))[0] is None:
            found.verdicts[number] = (None, why)
    return found


def _run_once(
    steps: Sequence[tuple[tuple[int, int], str]], found: Run, timeout: float, start: float,
    lost: dict[tuple[int, int], str],
) -> None:  # fmt: skip
    found.errors.clear()
    with _kernel() as kernel:
        for (cell, number), source in steps:
            taken = time.monotonic() - start
            if taken > 8 * timeout:
                found.errors[cell] = found.stopped[cell] = f"not run after {taken:.0f} s in all"
                return
            seconds = min(timeout, max(1.0, 4 * timeout - taken))
            try:
                error = kernel(source, seconds)
            except _Stopped as why:
                lost[cell, number] = str(why)
                raise
            if error == "timeout":
                lost[cell, number] = f"took more than {seconds:g} s"
            elif error and number < 0:
                found.errors[cell] = error
            elif error:
                found.verdicts.setdefault(number, (None, error))


@contextlib.contextmanager
def _judging(setup: dict[str, Any], folder: str, found: Run) -> Iterator[None]:
    """The judge's process; at the end its verdicts are in `found`."""
    with tempfile.TemporaryFile() as verdicts:  # which has no name that a hand-in could open
        command = [sys.executable, "-s", judge.__file__]
        environment = {**_environment(), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=verdicts, stderr=subprocess.DEVNULL,
            cwd=folder, env=environment, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(setup).encode() + b"\n")
            process.stdin.flush()
            while not Path(setup["address"]).exists() and process.poll() is None:
                time.sleep(0.05)
            yield
        finally:
            process.kill()
            process.wait()
            verdicts.seek(0)
            for line in verdicts.read().splitlines():
                said = json.loads(line)
                verdict = (said["ok"], said["message"])
                before = found.verdicts.get(said["question"], (None, ""))
                if verdict[0] or not before[0]:
                    found.verdicts[said["question"]] = verdict


def _environment() -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    environment.pop("SSL_COMPANION_BOOK", None)
    return environment


@contextlib.contextmanager
def _kernel() -> Iterator[Any]:
    """A function that runs a cell: (source, seconds) to "", an error's words, or "timeout".

    What cells print goes nowhere. At the end no process that the cells started is left.
    """
    mark = f"{_OWN}-{secrets.token_hex(8)}"
    manager = KernelManager(kernel_name="python3")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        own = {MARK: mark, "TMPDIR": folder, "IPYTHONDIR": folder, "PYTHONNOUSERSITE": "1"}
        client = None
        try:
            manager.start_kernel(
                cwd=folder, env={**_environment(), **own}, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, extra_arguments=["--IPKernelApp.log_level=50"],
            )  # fmt: skip
            client = manager.client()
            client.start_channels(shell=True, iopub=False, stdin=False, hb=False, control=False)

            def reply(message: str, seconds: float) -> dict[str, Any] | None:
                end = time.monotonic() + seconds
                while (left := end - time.monotonic()) > 0:
                    try:
                        got = client.get_shell_msg(timeout=min(1.0, left))
                    except Empty:
                        if not manager.is_alive():
                            raise _Stopped("ended the process") from None
                        continue
                    except Exception as error:  # not signed, or no message at all
                        raise _Stopped(f"broke its kernel: {error}") from None
                    if got["parent_header"].get("msg_id") == message:
                        return dict(got["content"])
                return None

            def run_cell(source: str, seconds: float) -> str:
                message = client.execute(source, stop_on_error=False, allow_stdin=False)
                content = reply(message, seconds)
                if content is None:
                    manager.interrupt_kernel()
                    if reply(message, _SECONDS_TO_OBEY) is None:
                        raise _Stopped(f"took more than {seconds:g} s, interrupted or not")
                    return "timeout"
                if any(one.get("source") == "ask_exit" for one in content.get("payload", [])):
                    raise _Stopped("ended the process")  # by exit(), which acts a little later
                if content.get("status") != "error":
                    return ""
                return f"{content.get('ename')}: {content.get('evalue')}"

            if reply(client.kernel_info(), 120) is None:
                raise _Stopped("the kernel did not start")
            yield run_cell
        finally:
            if client is not None:
                client.stop_channels()
            manager.shutdown_kernel(now=True)
            end_processes(mark)


def end_processes(mark: str = "") -> None:
    """End every process that a hand-in started, known by the environment that it inherited.

    Args:
        mark: of one run of one notebook; by default that of all that this process runs.
    """
    for _ in range(20):  # some may start others meanwhile
        left = False
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK, "").startswith(mark or _OWN):
                    process.kill()
                    left = True
        if not left:
            return
        time.sleep(0.05)
