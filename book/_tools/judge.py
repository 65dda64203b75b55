"""The checkers in a process of their own, and the wire on which they ask for an answer.

`grade.py` starts this file beside the kernel that runs a notebook, and has the kernel call
`hand_over`. An answer comes over the wire as plain data, never pickled; a function stays in the
kernel and is called there. So nothing that a hand-in defines, patches or prints is in the process
that judges, and an object whose comparisons lie arrives as what it is.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import os
import pickle
import sys
import threading
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import numpy as np

LARGEST = 2**28
"""Bytes of one message from a kernel."""
_CONFIGS = {"ToyConfig": "toy", "ObjectiveConfig": "config"}
_COLLECTIONS: dict[str, Any] = {kind.__name__: kind for kind in (list, tuple, set, frozenset)}
_NUMBERS = "biufc"  # kinds of NumPy's types
# What holds words or numbers as a list does; an array of numbers stays one.
_LISTED: tuple[type, ...] = (range, type({}.keys()), type({}.values()), np.ndarray)


def hand_over(
    address: str, key: str, question: int, expression: str, wanted: list[str], names: dict[str, Any]
) -> None:
    """In the kernel: hand an answer to the judge, and call its functions until it is judged.

    Args:
        address: of the judge.
        key: that it asks for, in hexadecimal.
        question: its number.
        expression: that the answer is the value of.
        wanted: names of the chapter's parameters that are words.
        names: of the notebook.
    """
    process, functions = os.getpid(), list[Any]()

    def reply(value: Any, *arguments: Any) -> dict[str, Any]:
        try:
            return {"value": _pack(value(*arguments), functions)}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() is a way not to answer, too
            return {"raised": [type(error).__name__, str(error)[:500]]}
        finally:
            if os.getpid() != process:  # a fork of the answer's does not answer as well
                os._exit(0)

    with Client(address, authkey=bytes.fromhex(key)) as line:
        own = {name: names[name] for name in wanted if type(names.get(name)) is str}
        answer = reply(lambda: eval(expression, names))
        _send(line, {"question": question, "parameters": own, **answer})
        while asked := line.recv_bytes():
            number, arguments = pickle.loads(asked)
            _send(line, reply(functions[number], *arguments))


def _send(line: Connection, message: dict[str, Any]) -> None:
    try:
        data = json.dumps(message).encode()
    except ValueError as error:  # an integer of more digits than can be written
        data = json.dumps({**message, "value": None, "raised": ["ValueError", str(error)]}).encode()
    line.send_bytes(data)


def _pack(x: Any, functions: list[Any]) -> list[Any]:
    """What JSON can carry of a value: its kind, and what is needed to make it again."""
    kind = type(x).__name__
    torch, pandas = (sys.modules.get(name) for name in ("torch", "pandas"))
    if x is None or x is ...:
        return ["constant", repr(x)]
    if isinstance(x, bool):
        return ["bool", bool(x)]
    if isinstance(x, int):
        return ["int", int.__int__(x)]
    if isinstance(x, float) and not isinstance(x, np.generic):
        return ["float", float.__float__(x)]
    if isinstance(x, str):
        return ["str", str.__str__(x)]
    if torch and isinstance(x, torch.Tensor):
        data = x.detach().cpu()
        data = data.float() if data.dtype == torch.bfloat16 else data
        return ["tensor", _written(data.numpy()), str(x.dtype).removeprefix("torch.")]
    if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in _NUMBERS:
        return ["scalar" if isinstance(x, np.generic) else "array", _written(np.asarray(x))]
    if pandas and isinstance(x, (pandas.Series, pandas.DataFrame)):
        values = x.to_numpy()
        if values.dtype.kind in _NUMBERS:
            return [kind, _written(values)]
    if isinstance(x, Fraction):
        return ["float", float(x)]
    if type(x) in _LISTED or (pandas and isinstance(x, (pandas.Index, pandas.Series))):
        items = x.tolist() if hasattr(x, "tolist") else list(x)
        if isinstance(items, list) and all(isinstance(item, (str, int, float)) for item in items):
            x = items
    for base in _COLLECTIONS.values():
        if isinstance(x, base):
            return [base.__name__, [_pack(item, functions) for item in base.__iter__(x)]]
    if isinstance(x, Mapping):
        return ["dict", [[_pack(k, functions), _pack(v, functions)] for k, v in x.items()]]
    if kind in _CONFIGS and type(x).__module__.startswith("ssl_companion."):
        return ["config", kind, {name: _pack(v, functions) for name, v in vars(x).items()}]
    if callable(x):
        functions.append(x)
        return ["function", len(functions) - 1]
    shape = getattr(x, "shape", ())
    return ["other", kind, [int(n) for n in shape] if isinstance(shape, tuple) else []]


def _written(array: np.ndarray) -> str:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()


class _Gone(KeyboardInterrupt):
    """The kernel ended, or was interrupted, instead of answering. No checker catches this."""


class _Function:
    """A function that is in the kernel."""

    def __init__(self, line: Connection, number: int) -> None:
        self.line, self.number = line, number

    def __call__(self, *arguments: Any) -> Any:
        try:
            self.line.send_bytes(pickle.dumps((self.number, arguments)))
            reply = json.loads(self.line.recv_bytes(LARGEST))
        except (EOFError, OSError) as error:
            raise _Gone from error
        return _value(reply, self.line)


def _value(reply: dict[str, Any], line: Connection) -> Any:
    if raised := reply.get("raised"):
        name, words = map(str, raised)
        raise type(name, (Exception,), {})(words)
    return _unpack(reply["value"], line)


def _unpack(packed: list[Any], line: Connection) -> Any:
    kind, what, *rest = packed
    if kind == "constant":
        return ... if what == "Ellipsis" else None
    if kind in ("bool", "int", "float", "str"):
        return what
    if kind in ("array", "scalar", "tensor", "Series", "DataFrame"):
        array = np.load(io.BytesIO(base64.b64decode(what)), allow_pickle=False)
        if kind == "tensor":
            import torch

            return torch.tensor(array).to(getattr(torch, rest[0]))
        if kind in ("Series", "DataFrame"):
            import pandas as pd

            return (pd.Series if kind == "Series" else pd.DataFrame)(array)
        return array[()] if kind == "scalar" else array
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind](_unpack(item, line) for item in what)
    if kind == "dict":
        return {_unpack(key, line): _unpack(value, line) for key, value in what}
    if kind == "config":
        module = __import__(f"ssl_companion.training.{_CONFIGS[what]}", fromlist=[what])
        return getattr(module, what)(**{k: _unpack(v, line) for k, v in rest[0].items()})
    if kind == "function":
        return _Function(line, int(what))
    return type(str(what), (), {"shape": tuple(rest[0])} if rest[0] else {})()


def words_in(parameters: str) -> list[str]:
    """The names that a cell of parameters sets to a word, such as RECORDING."""
    return [node.targets[0].id for node in _words(ast.parse(parameters))]  # type: ignore[attr-defined]


def _words(tree: ast.Module) -> list[ast.Assign]:
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    return [
        node
        for node in assigned
        if isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


@cache
def _names(parameters: str, own: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """What the book's cell of parameters defines, with the hand-in's own words in it."""
    tree, names, chosen = ast.parse(parameters), dict[str, Any](), dict(own)
    for node in _words(tree):
        name = node.targets[0].id  # type: ignore[attr-defined]
        node.value = ast.copy_location(ast.Constant(chosen.get(name, node.value.value)), node)  # type: ignore[attr-defined]
    exec(compile(tree, "<parameters>", "exec"), names)
    return names


def judge(line: Connection, parameters: str, stubs: list[str]) -> dict[str, Any]:
    """What the checker says of the answer at the other end of a line.

    Args:
        line: to a kernel that runs `hand_over`.
        parameters: the chapter's cell of parameters.
        stubs: for each question, the book's cell of its exercise, which ends in the call.

    Returns:
        question; ok: whether the answer is right, None where there is no answer; message.
    """
    message = json.loads(line.recv_bytes(LARGEST))
    found: dict[str, Any] = {"question": int(message["question"]), "ok": None}
    *before, last = ast.parse(stubs[found["question"]]).body
    assert isinstance(last, ast.Expr)
    assert isinstance(last.value, ast.Call)
    last.value.args[0] = ast.copy_location(ast.Name("_answer", ast.Load()), last)
    try:
        answer = _value(message, line)
        names = dict(_names(parameters, tuple(sorted(message["parameters"].items()))))
        exec(compile(ast.Module(before, []), "<exercise>", "exec"), names)
        said = eval(
            compile(ast.Expression(last.value), "<call>", "eval"), {**names, "_answer": answer}
        )
        return {**found, "ok": bool(said.ok), "message": str(said.message)}
    except _Gone:
        return {**found, "message": "its function was stopped, or ended the process"}
    except BaseException as error:  # another exercise may have an answer
        return {**found, "message": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Judge until the standard input is closed: a line of JSON out for each question."""
    setup = json.loads(sys.stdin.readline())
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the checkers print is no verdict
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    with Listener(setup["address"], authkey=bytes.fromhex(setup["key"])) as listener:
        while True:
            try:
                with listener.accept() as line:
                    verdict = judge(line, setup["parameters"], setup["stubs"])
                    print(json.dumps(verdict), file=out, flush=True)
                    line.send_bytes(b"")
            except Exception:  # whoever called was no `hand_over`, or has hung up
                continue


if __name__ == "__main__":
    main()
