"""The benchmarks without a test file of their own run to their end, on as little as possible."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

TRAINING = ["--device", "cpu", "--backbone", "res-1-4", "--projector-width", "8", "--batch", "4",
            "--images", "8", "--steps", "1", "--rounds", "1", "--workers", "0",
            "--threads", "1"]  # fmt: skip
VIEWS = ["--device", "cpu", "--images", "4", "--rounds", "1", "--no-compile"]


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thread counts belong to the process: other tests go on with theirs."""
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)


def bench(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "arguments", "rows"),
    [
        ("bench_training", TRAINING, ("ours ", "lightly ", "ratio ")),
        ("bench_views", VIEWS, ("torchvision v2, PIL ", "ours ")),
    ],
)
def test_prints_a_row_for_each(
    name: str, arguments: list[str], rows: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    bench(name).main(arguments)
    lines = capsys.readouterr().out.splitlines()
    for row in rows:
        assert len([line for line in lines if line.startswith(row)]) == 1, row
