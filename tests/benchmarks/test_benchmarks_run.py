"""The benchmarks run to their end, on as little as possible, and say what they are to say."""

from __future__ import annotations

import importlib
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
            "--images", "8", "--steps", "1", "--rounds", "1"]  # fmt: skip
ENCODER = ["--images", "300", "--dims", "8", "--classes", "5", "--subset-size", "100"]
VIEWS = ["--device", "cpu", "--images", "4", "--rounds", "1"]
SMALL = {
    "bench_nearest_centroid": {"SIZES": ((400, 16, 5, 400),), "MANY": (50, 4)},
    "bench_classifiers": {"KNN_SIZES": ((500, 16, 4),), "PROBE_SIZES": ((500, 16, 4),), "K": 5},
}
Bench = Callable[[str], ModuleType]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """bench(name): the benchmark's module, of a size for tests."""
    # Thread counts belong to the process: other tests go on with theirs.
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(faiss, "omp_set_num_threads", lambda n: None)
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(tmp_path))

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    for name in [path.stem for path in Path(__file__).parent.glob("*.py")]:
        monkeypatch.delitem(sys.modules, name, raising=False)  # each test has its own sizes

    def load(name: str) -> ModuleType:
        module = importlib.import_module(name)
        for setting, value in SMALL.get(name, {}).items():
            monkeypatch.setattr(module, setting, value)
        return module

    return load


def lines_of(capsys: pytest.CaptureFixture) -> dict[str, str]:
    """What was printed: task -> the rest of its line."""
    split = (re.split(r"  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    return {parts[0]: parts[-1] for parts in split if len(parts) == 2}


def test_one_run_has_a_line_for_each_task_and_says_where_others_are_faster(
    bench: Bench, capsys: pytest.CaptureFixture
) -> None:
    for name in SMALL:
        bench(name)
    training = bench("bench_training")
    whole = training.main
    training.main = lambda arguments, results: whole(TRAINING, results)
    bench("bench").main(["--rounds", "1", "--scale", "0.01"])
    printed = capsys.readouterr().out
    tasks = (
        "fit (400, 16, 5)",
        "predict (400, 16, 5)",
        "cosine (400, 16, 5)",
        "agreement",
        "memory",
        "kNN (500, 16, 4)",
        "probe (500, 16, 4)",
        "views of 256",
        "step res-1-4",
    )
    for task in tasks:
        assert len([line for line in printed.splitlines() if line.startswith(task)]) >= 1, task
    assert re.search(r"^(Not first: .+|First everywhere\.)$", printed.splitlines()[-1])
    agreed = [line for line in printed.splitlines() if line.startswith("agreement")]
    assert len(agreed) == 2
    assert all("ours 100.0000%" in line and "sklearn 100.0000%" in line for line in agreed)


@pytest.mark.parametrize(
    ("name", "arguments", "task", "others"),
    [
        ("bench_training", TRAINING, "step res-1-4, 4, ", ("lightly", "kornia")),
        ("bench_views", VIEWS, "views of 4 images", ("kornia", "torchvision")),
    ],
)
def test_others_are_compared_with_ours(
    name: str, arguments: list[str], task: str, others: tuple[str, ...], bench: Bench
) -> None:
    (found,) = bench(name).main(arguments).ratios.items()
    assert found[0].startswith(task)
    assert tuple(found[1]) == others
    assert all(ratio > 0 for ratio in found[1].values())


def test_a_gpus_report_has_times_and_memory(bench: Bench, capsys: pytest.CaptureFixture) -> None:
    training = bench("bench_training")
    config = training.RunConfig(batch=256)
    training.report(config, torch.device("cpu"), 0.003, 0.0005, {"ours": 2**30})
    printed = capsys.readouterr().out
    for words in ("a step 3.00 ms", "host is busy 0.50 ms", "85,333 images", "0.59 s for 50,000",
                  "rounds of ours: 1.00 GiB"):  # fmt: skip
        assert words in printed


def test_the_summary_names_the_fastest_where_ours_is_not_first(
    bench: Bench, capsys: pytest.CaptureFixture
) -> None:
    results = bench("contest").Results()
    results.add("first", {"ours": [1.0, 9.0, 2.0], "numpy": [4.0], "torch": [3.0]})
    assert results.summary() == "First everywhere."
    results.add("second", {"ours": [2.0], "numpy": [1.5], "torch": [1.0], "faiss": [3.0]})
    assert results.summary() == "Not first: second: torch 0.50"
    assert lines_of(capsys)["first"] == "numpy 2.00  torch 1.50"


def test_every_measure_of_an_encoder_has_its_seconds_and_memory_and_others_agree(
    bench: Bench, capsys: pytest.CaptureFixture
) -> None:
    encoder = bench("bench_encoder_measures")
    found = encoder.main(ENCODER)
    printed = capsys.readouterr().out
    line = re.compile(r"^(  )?(\w+) +[\d.]+ s +[\d.]+ MB   (-?[\d.]+)$", re.MULTILINE)
    values: dict[str, float] = {}
    for other, name, value in line.findall(printed):
        if not other:
            ours, values[name] = float(value), float(value)
        assert float(value) == pytest.approx(ours, abs=0.1)  # of thirty test images
    assert set(values) == set(encoder.CATALOGUE)
    assert set(found.ratios) == {f"{name} over ours" for name in encoder.OTHERS}
    assert "all of ours" in printed
    assert encoder.main([*ENCODER, "--alone", "--only", "knn"]).ratios == {}


def test_sizes_in_words(bench: Bench) -> None:
    words = bench("contest").size_in_words
    assert words(10_000, 64, 100) == "(10k, 64, 100)"
    assert words(1_000_000, 128, 5_000) == "(1M, 128, 5000)"


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
