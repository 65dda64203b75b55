"""The benchmark itself runs, and says where the search is slower than allowed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).with_name("bench_nearest_centroid.py")


@pytest.fixture
def bench(monkeypatch):
    spec = importlib.util.spec_from_file_location("bench_nearest_centroid", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SIZES", ((20, 1000), (5_000, 1000)))
    monkeypatch.setattr(module, "GPU_SIZES", ())
    monkeypatch.setattr(module, "DIMS", 16)
    # Thread counts belong to the process: other tests go on with theirs.
    monkeypatch.setattr(module.torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(module.faiss, "omp_set_num_threads", lambda n: None)
    return module


def test_prints_ratios_and_agreement(bench, capsys):
    assert bench.main(["--repetitions", "1"]) == 0
    printed = capsys.readouterr().out
    for expected in ("20 centroids", "5,000 centroids", "ours", "torch", "sklearn", "worst ratio"):
        assert expected in printed
    ours = [line for line in printed.splitlines() if line.startswith("  ours  ")]
    assert len(ours) == 2
    assert all(line.count("100.0000%") == 2 for line in ours)


@pytest.mark.parametrize(("ratio", "code"), [(1.05, 0), (1.3, 1)])
def test_check_fails_above_the_allowance(bench, monkeypatch, ratio, code):
    monkeypatch.setattr(bench, "compare", lambda k, n, repetitions, device="cpu": ratio)
    assert bench.main(["--check"]) == code
