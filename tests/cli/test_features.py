"""Features from a file, measured by the command: the same numbers as by the function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.neighbors import NearestCentroid

from .conftest import Call


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    x, y = make_blobs(n_samples=400, centers=5, n_features=6, cluster_std=4.0, random_state=0)
    parts = {"x": x[:300], "y": y[:300], "x_test": x[300:], "y_test": y[300:]}
    for name, array in parts.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savez(tmp_path / "both.npz", x=x, y=y)
    (tmp_path / "text.npy").write_text("1, 2, 3")
    np.savetxt(tmp_path / "table.csv", x[:3], delimiter=",")
    np.save(tmp_path / "words.npy", np.array(["cat", "dog"] * 150))
    whole = (tmp_path / "x.npy").read_bytes()
    huge = whole.replace(b"(300, 6), }" + b" " * 6, b"(300000000, 6), }", 1)
    (tmp_path / "huge.npy").write_bytes(huge)  # its header says more than there is
    return {path.stem: str(path) for path in tmp_path.iterdir()}


def test_features_of_ones_own_are_measured(files: dict[str, str], call: Call) -> None:
    held = ["--test-features", files["x_test"], "--test-labels", files["y_test"]]
    arguments = ["measure-features", files["x"], files["y"], *held, "--which", "ncc", "nc1"]
    rows = {(r["level"], r["measure"]): r for r in call(*arguments, "--json").rows}
    rule = NearestCentroid().fit(np.load(files["x"]), np.load(files["y"]))
    expected = rule.score(np.load(files["x_test"]), np.load(files["y_test"]))
    found = rows["labels", "ncc"]
    assert found["value"] == pytest.approx(expected)
    assert found["low"] < expected < found["high"]
    assert found["n"] == 100
    assert rows["permuted", "ncc"]["value"] < expected
    assert rows["labels", "nc1"]["low"] is None  # JSON has no NaN
    assert "permuted" in call(*arguments).out


def test_without_test_files_they_are_split(files: dict[str, str], call: Call) -> None:
    rows = call("measure-features", files["x"], files["y"], "--which", "ncc", "--json").rows
    (n,) = {row["n"] for row in rows}
    assert n == (np.bincount(np.load(files["y"])) // 2).sum()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["measure-features", "absent.npy", "y"], "absent.npy: cannot be read as a NumPy file"),
        (["measure-features", "text", "y"], "text.npy: cannot be read as a NumPy file"),
        (["measure-features", "both", "y"], "holds several arrays (x, y)"),
        (["measure-features", "both", "y"], "numpy.save('both.npy', numpy.load('both.npz')[NAME])"),
        (["measure-features", "table", "y"], "numpy.loadtxt('table.csv', delimiter=',')"),
        (["measure-features", "huge", "y"], "cannot be read as a NumPy file"),
        (["measure-features", "x", "words"], "such as 'cat'; expected integer labels"),
        (["measure-features", "x", "y_test"], "expected 300, one for each row of images"),
        (["measure-features", "x", "y", "--which", "all"], "which: 'all'"),
        (["measure", "x"], "`ssl-companion measure-features"),
    ],
)
def test_files_that_do_not_do_are_named(
    files: dict[str, str], arguments: list[str], said: str, call: Call
) -> None:
    found = call(*(files.get(argument, argument) for argument in arguments))
    assert found.status == 2
    assert said in found.err
    assert "pickle" not in found.err, "nobody is to be told to load a file unsafely"
    assert found.err.count("\n") == 1


def test_the_table_of_what_is_recorded_is_that_of_what_is_measured(
    files: dict[str, str], tmp_path: Path, call: Call
) -> None:
    """Measured once: the recording's numbers and their intervals; the control is measured anew."""
    held = ["--test-features", files["x_test"], "--test-labels", files["y_test"], "--json"]
    arguments = ["measure-features", files["x"], files["y"], *held]
    tables = [call(*arguments, *out).rows for out in ([], ["--out", str(tmp_path / "mine")])]
    for measured, recorded in zip(*tables, strict=True):
        for column, expected in measured.items():
            if isinstance(expected, float):
                assert recorded[column] == pytest.approx(expected, rel=1e-6), measured
            else:
                assert recorded[column] == expected, measured
    assert call(*arguments, "--which", "all", "--out", str(tmp_path / "other")).status == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.slow  # UMAP compiles for a while
def test_features_become_a_recording_and_its_explorer_one_file(
    files: dict[str, str], tmp_path: Path, call: Call
) -> None:
    mine, page = tmp_path / "recordings" / "mine", tmp_path / "mine.html"
    arguments = ["measure-features", files["x"], files["y"], "--which", "ncc", "--out", str(mine)]
    assert call(*arguments).status == 0
    again = call(*arguments)
    assert again.status == 2
    assert "holds a recording already" in again.err
    assert call(*arguments, "--overwrite").status == 0
    explored = call("explore", "mine", "--root", str(mine.parent), "--out", str(page))
    assert explored.status == 0
    assert explored.out.splitlines()[-1] == str(page)
    whole = page.read_text("utf8")
    assert whole.startswith("<!doctype html>")
    assert "features of x.npy" in whole
    assert "<!--caption-->" not in whole
    again = call("explore", str(mine), "--out", str(page))
    assert again.status == 2
    assert "stands there already" in again.err
    assert page.read_text("utf8") == whole
    assert call("explore", str(mine), "--out", str(page), "--overwrite").status == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [("small/clustering-vicreg-s1", "keeps no features"), ("nowhere", "no recording 'nowhere'")],
)
def test_an_explorer_needs_features_and_a_place(
    name: str, said: str, tmp_path: Path, call: Call
) -> None:
    found = call("explore", name, "--out", str(tmp_path / "a.html"))
    assert found.status == 2
    assert said in found.err
    assert not (tmp_path / "a.html").exists()
