"""Hundreds of wrong command lines and damaged files: a result, or words that a user can act on.

All is drawn from seeds. Nothing is trained or fetched: what would take long is replaced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import random
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch

from ssl_companion.__main__ import main
from ssl_companion.chapters.analysis import feature_maps, pixel_baselines
from ssl_companion.chapters.commands import baselines, import_run
from ssl_companion.cli import data as data_command
from ssl_companion.cli import runs
from ssl_companion.data import load
from ssl_companion.encoders.record import record_encoder
from ssl_companion.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

from ..data.conftest import make_fake

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class Said(NamedTuple):
    status: object
    out: str
    err: str


def call(arguments: list[str]) -> Said:
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        try:
            status: object = main(arguments)
        except SystemExit as left:
            status = left.code or 0
    return Said(status, out.getvalue(), err.getvalue())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to be called in, with files of every kind; no network, no training."""
    images = {split: load("glyphs100", split, n=200) for split in ("train", "test")}
    features = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", features)
    np.save(tmp_path / "y.npy", np.arange(60) % 3)
    (tmp_path / "a folder").mkdir()
    (tmp_path / "notes.txt").write_text("no data")
    (tmp_path / "loop").symlink_to("loop")
    record_encoder(
        None, {epoch: features + epoch for epoch in (0, 1)}, np.arange(60) % 3,
        destination=tmp_path / "recordings/mine", title="Mine", progress=False,
    )  # fmt: skip

    def forbidden(*_: object, **__: object) -> None:
        raise OSError("the network is unreachable")

    def small(name: str = "cifar100", split: str = "train", *_: object, **__: object) -> object:
        return images[split]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_COMPANION_RECORDINGS", str(tmp_path / "recordings"))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("SSL_COMPANION_DATA", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", forbidden)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(runs, "record_run", lambda *_: False)
    monkeypatch.setattr(runs, "estimate", lambda runs, *_: [{"name": r.name} for r in runs])
    monkeypatch.setattr(runs, "submit", lambda *_: [])
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(
        pixel_baselines, "pixel_baselines", lambda *_: pd.DataFrame({"value": [0.5]})
    )
    monkeypatch.setattr(pixel_baselines, "write_baselines", lambda *_: tmp_path / "baselines.csv")
    for module in (runs, baselines, import_run):
        monkeypatch.setattr(module, "load", small)
    monkeypatch.setattr(
        feature_maps, "umap_embedding",
        lambda x, **_: np.random.default_rng(0).normal(size=(len(x), 2)).astype(np.float32),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield tmp_path


LINES = {
    "data": ["data"],
    "record": ["record", "methods", "--scale", "reduced", "--device", "cpu"],
    "train": ["train", "--data", "glyphs100", "--device", "cpu", "--epochs", "3"],
    "recordings": ["recordings"],
    "measure": ["measure", "mine"],
    "measure-features": ["measure-features", "x.npy", "y.npy", "--which", "ncc"],
    "import-run": ["import-run", "a folder", "--data", "glyphs100"],
    "explore": ["explore", "mine", "--overwrite"],
    "report": [
        "report", "x.npy", "--labels", "y.npy", "--which", "ncc", "--no-maps", "--overwrite"
    ],
    "baselines": ["baselines", "--data", "glyphs100", "--images-per-class", "1"],
    "claims": ["claims", "--root", "recordings"],
}  # fmt: skip
VALUES = [
    "", " ", "0", "-1", "1", "3.5", "nan", "inf", "1e400", "9" * 40, "1000000000", "--", "-x",
    "None", "True", "[1,2]", "*", "[", "~", "~nobody/x", "cuda:99", "mps", "\ud800", "a" * 5000,
    "\N{GREEK SMALL LETTER PI}\u2028", "x" * 300, ".", "..", "a folder", "notes.txt", "loop",
    "absent", "absent/deep.npy", "x.npy", "/proc/nowhere/x", "mine", "$(touch marked)",
    "--upload-pack=touch marked",
]  # fmt: skip


def options(command: str) -> list[str]:
    return sorted(set(re.findall(r"(?m)^\W*(--[a-z][\w.-]*)", call([command, "--help"]).out)))


def mutated(rng: random.Random, command: str, known: list[str]) -> list[str]:
    """The command's line with one fault or several."""
    line = list(LINES[command])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not line:
            break
        at, word = rng.randrange(len(line)), rng.choice(line)
        kind = rng.choice(("value", "value", "drop", "double", "retype", "shuffle", "extra"))
        if kind == "value":
            line += [rng.choice(known), rng.choice(VALUES)]
        elif kind == "drop":
            del line[at]
        elif kind == "double":
            line.insert(at, word)
        elif kind == "retype":
            line[at] = rng.choice((word[:-1], word.upper(), f"{word}x", rng.choice(VALUES)))
        elif kind == "shuffle":
            rng.shuffle(line)
        else:
            line.insert(at, rng.choice([*VALUES, *known]))
    return line


def fault_of(said: Said) -> str:
    """What is wrong with an answer, or nothing."""
    if "Traceback" in said.err or "an unexpected" in said.err:
        return "a fault of the program"
    if said.status == 0:
        return ""
    if not isinstance(said.status, int):
        return f"status {said.status!r}"
    own = [line for line in said.err.splitlines() if line.startswith("ssl-companion: ")]
    if own:
        rest = said.err.partition("ssl-companion: ")[2].strip().split("\n")
        alone = len(rest) == 1 or "Ways to get CIFAR-100:" in said.err
        return "" if alone and len(rest[0]) > 15 else f"{len(rest)} lines"
    return "" if said.err.strip() or said.out.strip() else "nothing said"


@pytest.mark.parametrize("command", LINES)
def test_a_command_line_ends_in_a_result_or_in_words(command: str, place: Path) -> None:
    rng, known = random.Random(command), options(command)
    faults = []
    for _ in range(45):
        line = mutated(rng, command, known)
        said = call(line)
        if fault := fault_of(said):
            faults.append((fault, [word[:60] for word in line], said.err[-300:]))
    assert not faults, "\n".join(map(str, faults))
    assert not (place / "marked").exists()


@pytest.mark.parametrize("command", LINES)
def test_a_bad_value_is_named_by_its_option_or_as_it_is(command: str, place: Path) -> None:
    rng, faults, without = random.Random(command), [], call(LINES[command]).err
    for option in options(command):
        for value in rng.sample(VALUES, 3):
            said = call([*LINES[command], option, value])
            fault = fault_of(said)
            ours = said.status == 2 and said.err.startswith("ssl-companion")
            if ours and not fault and said.err != without:
                name = option[2:].rpartition(".")[2]
                names = (name, name.replace("-", "_"), value[:30].strip() or ".", repr(value)[:30])
                if not any(one in said.err for one in names):
                    fault = "neither option nor value named"
            if fault:
                faults.append((fault, option, value[:60], said.err[-300:]))
    assert not faults, "\n".join(map(str, faults))


# --- damaged files


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The file with one kind of damage."""
    n = max(len(content), 1)
    kind = rng.choice(("cut", "bits", "bits", "zeros", "more", "head", "swap", "empty"))
    at = rng.randrange(n)
    if kind == "cut":
        return content[:at]
    if kind == "bits":
        changed = bytearray(content)
        for _ in range(rng.choice((1, 8, 64))):
            at = rng.randrange(rng.choice((n, min(n, 200))))  # headers above all
            changed[at] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if kind == "zeros":
        return content[:at] + bytes(min(64, n - at)) + content[at + 64 :]
    if kind == "more":
        return content + rng.randbytes(rng.choice((1, 1000)))
    if kind == "head":  # digits of sizes become larger
        return re.sub(rb"\d(?=\d*[,)\]])", b"9", content, count=rng.choice((1, 3)))
    return content[n // 2 :] + content[: n // 2] if kind == "swap" else b""


def kinds(folder: Path) -> dict[str, bytes]:
    """A file of features of every kind that people keep them in."""
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.save(folder / "a.npy", x)
    np.savez(folder / "a.npz", x=x)
    np.savetxt(folder / "a.csv", x, delimiter=",")
    np.save(folder / "object.npy", np.array([{"a": 1}] * 60), allow_pickle=True)
    torch.save(torch.from_numpy(x), folder / "a.pt")
    safetensors.numpy.save_file({"x": x}, folder / "a.safetensors")
    pd.DataFrame(x, columns=list("abcd")).to_parquet(folder / "a.parquet")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_damaged_features_end_in_a_result_or_in_a_line_that_names_the_file(
    place: Path, tmp_path: Path
) -> None:
    rng, faults = random.Random(1), []
    (tmp_path / "kinds").mkdir()
    for name, content in kinds(tmp_path / "kinds").items():
        for i in range(30 if name == "a.npy" else 15):
            path = place / f"{i}-{name}"
            path.write_bytes(damaged(content, rng) if i else content)
            said = call(["measure-features", str(path), "y.npy", "--which", "ncc"])
            fault = fault_of(said)
            if not fault and said.status and not re.search(rf"{path.name}|\bimages\b", said.err):
                fault = "the file is not named"
            if name == "object.npy" and said.status == 0:
                fault = "accepted"
            if fault:
                faults.append((fault, path.name, said.err[-300:]))
    assert not faults, "\n".join(map(str, faults))


@pytest.mark.parametrize("layout", ["parquet", "archive", "unpacked"])
def test_damaged_cifar_100_ends_in_a_result_or_in_words_that_name_the_file(
    layout: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(data_command, "load", load)
    fake, rng, faults = make_fake(100), random.Random(layout), []
    folder = tmp_path / layout
    folder.mkdir()
    buffer = io.BytesIO()
    fake.table().to_pandas().to_parquet(buffer)
    content = buffer.getvalue() if layout == "parquet" else fake.pickled()
    if layout == "unpacked":
        (folder / "meta").write_bytes(b"")
    names = {
        "parquet": ("train.parquet", "test.parquet"),
        "archive": ("cifar-100-python.tar.gz",),
        "unpacked": ("train", "test"),
    }[layout]
    for _ in range(60 if layout == "parquet" else 25):
        for name in names:
            (folder / name).write_bytes(content)
        (folder / names[0]).write_bytes(damaged(content, rng))
        said = call(["data", "--data-root", str(folder)])
        fault = fault_of(said)
        if not fault and said.status == 2 and str(folder) not in said.err:
            fault = "the file is not named"
        if fault:
            faults.append((fault, said.err[-400:]))
    assert not faults, "\n".join(map(str, faults))


def test_a_damaged_checkpoint_is_refused_with_its_name(tmp_path: Path) -> None:
    rng = random.Random(3)
    state = {"digest": "d" * 64, "step": 3, "x": torch.arange(6.0)}
    path = save_checkpoint(tmp_path, 3, state)
    content = path.read_bytes()
    for _ in range(100):
        path.write_bytes(damaged(content, rng))
        if path.read_bytes() == content:
            continue
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            load_checkpoint(path, "d" * 64, torch.device("cpu"))


def test_every_subcommand_and_option_is_tried() -> None:
    from ssl_companion import cli
    from ssl_companion.chapters import commands

    assert LINES.keys() == {**cli.COMMANDS, **commands.COMMANDS}.keys()
    assert all(dataclasses.is_dataclass(one.load()) for one in cli.COMMANDS.values())
