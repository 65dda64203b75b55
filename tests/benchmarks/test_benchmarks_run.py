"""The benchmarks run to their end, on as little as possible, and say what they are to say."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import faiss
import pytest
import torch

MEASURES = ["--device", "cpu", "--rounds", "1", "--backbone", "res-1-4", "--images", "200",
            "--test-images", "200", "--sample-images", "20", "--sample-views", "4"]  # fmt: skip
TRAINING = ["--device", "cpu", "--backbone", "res-1-4", "--projector-width", "8", "--batch", "4",
            "--images", "8", "--steps", "1", "--rounds", "1", "--workers", "0",
            "--threads", "1"]  # fmt: skip
VIEWS = ["--device", "cpu", "--images", "4", "--rounds", "1", "--no-compile"]
Bench = Callable[[str], ModuleType]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """bench(name): the benchmark's module, of a size for tests."""
    # Thread counts belong to the process: other tests go on with theirs.
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(faiss, "omp_set_num_threads", lambda n: None)
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(tmp_path))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)  # its dataclasses look there
        spec.loader.exec_module(module)
        if name == "bench_nearest_centroid":
            for setting, value in {
                "SIZES": ((20, 1000), (5_000, 1000)), "GPU_SIZES": (), "DIMS": 16,
            }.items():  # fmt: skip
                monkeypatch.setattr(module, setting, value)
        return module

    return load


@pytest.mark.parametrize(
    ("name", "arguments", "rows"),
    [
        ("bench_training", TRAINING, ("ours ", "lightly ", "ratio ")),
        ("bench_views", VIEWS, ("torchvision v2, PIL ", "ours ")),
    ],
)
def test_prints_a_row_for_each(
    name: str,
    arguments: list[str],
    rows: tuple[str, ...],
    bench: Bench,
    capsys: pytest.CaptureFixture,
) -> None:
    bench(name).main(arguments)
    lines = capsys.readouterr().out.splitlines()
    for row in rows:
        assert len([line for line in lines if line.startswith(row)]) == 1, row


def test_the_shares_of_measuring_are_those_of_all_its_parts(
    bench: Bench, capsys: pytest.CaptureFixture
) -> None:
    measuring = bench("bench_measures")
    measuring.main([*MEASURES, "--every-sample", "--probe-layers"])
    printed = capsys.readouterr().out
    shares = dict(re.findall(r"^  (\S.*?) +([\d.]+)%$", printed, re.MULTILINE))
    assert set(shares) == {"loading the snapshot", *measuring.PARTS.values(), measuring.REST}
    assert sum(map(float, shares.values())) == pytest.approx(100, abs=0.5)
    assert all(float(share) > 0 for share in shares.values())
    assert " s " not in printed  # seconds are a GPU's
    measuring.report([2.0, 1.0, 3.0], [{"a": 0.5, "b": 1.5}], seconds=True)
    whole, a, b = (re.split(r"  +", line.strip()) for line in capsys.readouterr().out.splitlines())
    assert whole == ["measuring a snapshot", "2.00 s", "(1.00 to 3.00)"]
    assert [a, b] == [["a", "0.50 s", "25.0%"], ["b", "1.50 s", "75.0%"]]


def test_searches_agree_and_their_ratio_is_printed(
    bench: Bench, capsys: pytest.CaptureFixture
) -> None:
    assert bench("bench_nearest_centroid").main(["--repetitions", "1"]) == 0
    printed = capsys.readouterr().out
    for expected in ("20 centroids", "5,000 centroids", "ours", "torch", "sklearn", "worst ratio"):
        assert expected in printed
    ours = [line for line in printed.splitlines() if line.startswith("  ours  ")]
    assert len(ours) == 2
    assert all(line.count("100.0000%") == 2 for line in ours)


@pytest.mark.parametrize(("ratio", "code"), [(1.05, 0), (1.3, 1)])
def test_a_search_slower_than_allowed_fails_the_check(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ratio: float, code: int
) -> None:
    search = bench("bench_nearest_centroid")
    monkeypatch.setattr(search, "compare", lambda k, n, repetitions, device="cpu": ratio)
    assert search.main(["--check"]) == code
