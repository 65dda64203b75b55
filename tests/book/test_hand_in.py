"""Kernels that run what was handed in, and the judge beside them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from fractions import Fraction
from multiprocessing import Pipe
from threading import Thread
from typing import Any

import hand_in
import judge
import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped]
import pytest
import torch
from hand_in import Question
from hypothesis import given
from hypothesis import strategies as st

from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.toy import ToyConfig

STUB = """\
from types import SimpleNamespace
def check_two(answer, word):
    print('{"question": 0, "ok": true, "message": "printed by a checker"}')
    value = answer() if callable(answer) else answer
    return SimpleNamespace(ok=type(value) is int and value == 2, message=f"{value!r}, {word}")
answer = ...
check_two(answer, WORD)
"""
RIGHT = (True, "2, so")


def run(*sources: str, timeout: float = 20, answer: str = "answer") -> hand_in.Run:
    """Run cells, and ask whether the answer is two behind each that has the word."""
    questions = [Question("two", i, answer) for i, cell in enumerate(sources) if "answer" in cell]
    return hand_in.run(sources, questions, "WORD = 'so'", {"two": STUB}, timeout)


def over_the_wire(value: Any) -> Any:
    """What the judge has of a value."""
    return judge._unpack(judge._pack(value, []), None)  # type: ignore[arg-type]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_plain_values_come_over_the_wire_as_they_are(value: Any) -> None:
    assert over_the_wire(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *(np.arange(6.0).reshape(2, 3), np.zeros((0, 3)), np.array(3, np.int16), np.array([True])),
        *(np.float32(0.1), np.int64(7), np.bool_(True), 1j * np.ones(2), np.ones((3, 2)).T),
        *(torch.ones(2, 3), torch.arange(3), torch.tensor(0.5, dtype=torch.bfloat16)),
        torch.ones(2, requires_grad=True).sum(),
    ],
)  # fmt: skip
def test_arrays_and_tensors_keep_type_shape_and_values(value: Any) -> None:
    found = over_the_wire(value)
    assert type(found) is type(value)
    assert found.dtype == value.dtype
    assert found.shape == value.shape
    assert (found == value).all()


@pytest.mark.parametrize("value", [{1, 2}, frozenset({"a"}), ..., ToyConfig(wobble=0.5),
                                   ObjectiveConfig(name="simclr")])  # fmt: skip
def test_sets_stubs_and_configurations_come_over_the_wire(value: Any) -> None:
    assert over_the_wire(value) == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.array(["knn", "ncc"])[1], "ncc"),
        (np.array(["knn", "ncc"]), ["knn", "ncc"]),
        (np.array(["knn", "ncc"], dtype=object), ["knn", "ncc"]),
        (pd.Index(["knn", "ncc"]), ["knn", "ncc"]),
        (pd.Series(["knn", "ncc"], index=[5, 7]), ["knn", "ncc"]),
        ({"knn": 1, "ncc": 2}.keys(), ["knn", "ncc"]),
        (range(3), [0, 1, 2]),
        (Fraction(1, 4), 0.25),
    ],
)
def test_what_a_page_takes_for_words_and_numbers_is_that_over_the_wire(
    value: Any, plain: Any
) -> None:
    assert over_the_wire(value) == plain


def test_tables_of_numbers_come_over_the_wire() -> None:
    assert over_the_wire(pd.Series([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert over_the_wire(pd.DataFrame({"a": [1, 2]})).to_numpy().tolist() == [[1], [2]]


class Agreeable(float):
    __hash__ = float.__hash__

    def __eq__(self, other: object) -> bool:
        return True


@pytest.mark.parametrize("value", [Agreeable(3.0), type("Word", (str,), {})("a"),
                                   type("Many", (list,), {})([1])])  # fmt: skip
def test_what_compares_in_its_own_way_arrives_plain(value: Any) -> None:
    assert type(over_the_wire(value)) in (float, str, list)
    assert over_the_wire(Agreeable(3.0)) != 4.0


def test_anything_else_arrives_as_an_empty_object_of_its_name() -> None:
    found = over_the_wire(np.array([object()]))
    assert type(found).__name__ == "ndarray"
    assert found.shape == (1,)
    assert type(over_the_wire(pd.Series([{}]))).__name__ == "Series"
    assert type(over_the_wire(subprocess.Popen.__new__(subprocess.Popen))).__name__ == "Popen"


@pytest.mark.parametrize(
    "sent",
    [
        *(b"", b"[", b"[" * 100_000, b'{"question": 7}', b'{"question": "a"}', b'{"question": 0}'),
        b'{"question": 0, "value": ["array", "AA"]}',
        b'{"question": 0, "value": ["tensor", "", "load"]}',
        b'{"question": 0, "value": ["config", "os", {}]}',
        b'{"question": 0, "value": ["list", 3], "parameters": []}',
        b'{"question": 0, "raised": 3, "parameters": {}}',
    ],
)
def test_what_is_no_answer_is_no_verdict_of_right(sent: bytes) -> None:
    here, there = Pipe()
    Thread(target=lambda: (there.send_bytes(sent), there.close()), daemon=True).start()
    try:
        found = judge.judge(here, "WORD = 'so'", [STUB])
    except Exception:  # such a call is hung up on
        return
    assert found["ok"] is None
    assert found["message"]


def test_an_answer_that_cannot_be_written_is_an_error_of_its_own() -> None:
    here, there = Pipe()
    judge._send(there, {"question": 0, "value": ["int", 10**5000]})
    name, words = json.loads(here.recv_bytes())["raised"]
    assert name == "ValueError"
    assert "4300 digits" in words


def test_a_function_whose_kernel_is_gone_is_named() -> None:
    here, there = Pipe()
    there.send_bytes(b'{"question": 0, "value": ["function", 0], "parameters": {}}')
    there.close()
    found = judge.judge(here, "WORD = 'so'", [STUB])
    assert found["ok"] is None
    assert found["message"] == "its function was stopped, or ended the process"


@pytest.mark.slow
def test_a_right_answer_is_right_whatever_is_printed_or_redefined() -> None:
    found = run(
        'print(\'{"question": 0, "ok": true}\')\ncheck_two = print',
        "answer = 1\nimport ast, base64\nast.parse = base64.b64encode = lambda *_: 2",
        "import importlib\nimportlib.reload(base64)\nanswer = 2",
        "answer = lambda: 2",
        "import os\ndef answer():\n    os.fork()\n    return 2",
        "class Two(int):\n    __eq__ = lambda *_: True\nanswer = Two(3)",
        "WORD = 'thus'\nanswer = 3",
    )
    said = [found.verdicts[number] for number in range(6)]
    assert said == [(False, "1, so"), RIGHT, RIGHT, RIGHT, (False, "3, so"), (False, "3, thus")]
    assert not found.errors


@pytest.mark.slow
def test_what_an_answer_does_when_it_is_asked_is_its_own_fault() -> None:
    found = run(
        "import sys, os",
        "def answer(): sys.exit(0)",
        "def answer(): return 1 / 0",
        "answer = [1]\nanswer.append(answer)",
        "answer = 10**5000",
        "del answer",
        "def answer(): os._exit(0)",
        "answer = 2",
    )
    said = [found.verdicts[i] for i in range(7)]
    assert [ok for ok, _ in said] == [*[None] * 6, True]
    for (_, message), words in zip(said, ["SystemExit", "ZeroDivisionError", "RecursionError",
                                          "ValueError", "NameError", "ended the process"],
                                   strict=False):  # fmt: skip
        assert words in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("while True: pass", "took more than 4 s"),
        ("import os; os._exit(3)", "ended the process"),
        ("exit()", "ended the process"),
        ("get_ipython().kernel.session.key = b'another'", "broke its kernel"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended the process"),
        ("import sys; sys.exit('enough')", "SystemExit: enough"),
        ("input('name?')", "StdinNotImplementedError"),
        ("raise KeyboardInterrupt('no')", "KeyboardInterrupt"),
        ("open('large', 'wb').truncate(2**40)", "File too large"),
        ("print('x' * 10**8)\nimport os\nos.write(1, b'y' * 10**6)\n1 / 0", "ZeroDivisionError"),
        ("import sys; sys.stdout.close(); sys.stderr.close(); 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_cell_that_ends_badly_is_named_and_the_rest_is_run(cell: str, words: str) -> None:
    found = run("answer = 1", cell, "answer = 2", timeout=4)
    said = found.errors.pop(1)
    assert words in said
    assert "interrupted or not" not in said, "an interrupt is enough, and the kernel goes on"
    assert not found.errors
    assert found.verdicts == {0: (False, "1, so"), 1: RIGHT}


@pytest.mark.slow
def test_a_cell_that_cannot_be_interrupted_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_in, "_SECONDS_TO_OBEY", 2)
    stubborn = """\
import time
while True:
    try:
        time.sleep(1)
    except BaseException:
        pass
"""
    found = run(stubborn, "answer = 2", timeout=3)
    assert found.stopped == {0: "took more than 3 s, interrupted or not"}
    assert found.verdicts == {0: RIGHT}


@pytest.mark.slow
def test_a_function_that_does_not_return_is_stopped_and_the_next_answer_asked() -> None:
    found = run("def answer():\n    while True: pass", "answer = 2", timeout=4)
    assert found.verdicts == {0: (None, "took more than 4 s"), 1: RIGHT}


def _sleeping(seconds: int) -> list[Any]:
    command = ["sleep", str(seconds)]
    return [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == command]


def _gone(there: Callable[[], list[Any]]) -> bool:
    for _ in range(50):
        if not there():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_no_process_of_a_hand_in_is_left() -> None:
    started = """\
import os, subprocess, sys
subprocess.Popen(["sleep", "71717"])
subprocess.Popen(["sleep", "71718"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "71719"])
    os._exit(0)
"""
    assert not run(started, "answer = 2").errors
    assert all(
        _gone(lambda seconds=seconds: _sleeping(seconds)) for seconds in (71717, 71718, 71719)
    )  # type: ignore[misc]
