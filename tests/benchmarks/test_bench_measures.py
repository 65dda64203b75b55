"""The benchmark itself runs, and its parts are the whole."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).with_name("bench_measures.py")
TINY = ["--device", "cpu", "--rounds", "1", "--backbone", "res-1-4", "--images", "200",
        "--test-images", "200", "--sample-images", "20", "--sample-views", "4"]  # fmt: skip


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(tmp_path))
    spec = importlib.util.spec_from_file_location("bench_measures", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # its dataclass looks there
    spec.loader.exec_module(module)
    return module


def test_prints_the_share_of_every_part(
    bench: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.main([*TINY, "--every-sample", "--probe-layers"])
    printed = capsys.readouterr().out
    shares = dict(re.findall(r"^  (\S.*?) +([\d.]+)%$", printed, re.MULTILINE))
    assert set(shares) == {"loading the snapshot", *bench.PARTS.values(), bench.REST}
    assert sum(map(float, shares.values())) == pytest.approx(100, abs=0.5)
    assert all(float(share) > 0 for share in shares.values())
    assert " s " not in printed  # seconds are a GPU's


def test_seconds_where_they_say_something(
    bench: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.report([2.0, 1.0, 3.0], [{"a": 0.5, "b": 1.5}], seconds=True)
    assert capsys.readouterr().out.splitlines() == [
        f"{'measuring a snapshot':40}     2.00 s   (1.00 to 3.00)",
        f"  {'a':38}     0.50 s    25.0%",
        f"  {'b':38}     1.50 s    75.0%",
    ]
