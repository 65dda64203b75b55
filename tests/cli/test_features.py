"""Features from a file, measured by the command: the same numbers as by the function."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.neighbors import NearestCentroid

from ssl_companion import measures
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.inputs.labelled import halves
from ssl_companion.recordings import open_recording

from .conftest import Call


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    x, y = make_blobs(n_samples=400, centers=5, n_features=6, cluster_std=4.0, random_state=0)
    parts = {"x": x[:300], "y": y[:300], "x_test": x[300:], "y_test": y[300:]}
    for name, array in parts.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savez(tmp_path / "both.npz", x=x, y=y)
    (tmp_path / "text.npy").write_text("1, 2, 3")
    np.save(tmp_path / "words.npy", np.array(["cat", "dog"] * 150))
    names = np.array(["ant", "bee", "cat", "dog", "elk"])[y]
    table = pd.DataFrame(x).add_prefix("f").assign(name=names, number=y, kind=y // 2)
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "names.txt").write_text("\n".join(names[:300]))
    tree = {"bug": ["ant", "bee"], "beast": {"pet": ["cat", "dog"], "wild": "elk"}}
    (tmp_path / "tree.json").write_text(json.dumps(tree))
    (tmp_path / "empty.npy").touch()
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


def measured(call: Call, *arguments: str) -> dict[tuple[str, str], float]:
    rows = call("measure-features", *arguments, "--which", "ncc", "cdnv", "--json").rows
    return {(row["level"], row["measure"]): row["value"] for row in rows}


def test_files_of_other_kinds_are_measured_alike(files: dict[str, str], call: Call) -> None:
    both, table = files["both"], files["table"]
    expected = measured(call, f"{both}:x", f"{both}:y")
    columns = ",".join(f"f{i}" for i in range(6))
    assert measured(call, f"{table}:{columns}", f"{table}:number") == pytest.approx(expected)
    assert measured(call, f"{table}:{columns}", f"{table}:name") == pytest.approx(expected)


def test_columns_of_labels_are_levels_and_no_features(files: dict[str, str], call: Call) -> None:
    table = pd.read_csv(files["table"])
    features = table[[f"f{i}" for i in range(6)] + ["number"]].to_numpy()
    found = measured(call, files["table"], f"{files['table']}:kind,name")
    levels = {"fine", "kind", "random-kind", "permuted"}
    assert {level for level, measure in found if measure == "ncc"} == levels
    expected = measure_encoder(None, features, table["name"], which="cdnv")["value"].item()
    assert found["fine", "cdnv"] == pytest.approx(expected)


def test_text_as_labels_and_levels_of_a_file(
    files: dict[str, str], tmp_path: Path, call: Call
) -> None:
    arguments = files["x"], files["names"], "--hierarchy", files["tree"]
    found = measured(call, *arguments)
    assert {level for level, _ in found} >= {"fine", "level1", "level2", "random-level2"}
    x, y = np.load(files["x"]), np.load(files["y"])
    fit = halves(y)[0]
    for level, groups in {"fine": y, "level1": y - (y > 2), "level2": y > 1}.items():
        expected = measures.cdnv(x[fit], groups[fit].astype(int))
        assert found[level, "cdnv"] == pytest.approx(expected), level
    recorded = measured(call, *arguments, "--out", str(tmp_path / "mine"))
    assert recorded == pytest.approx(found)
    mine = open_recording(tmp_path / "mine")
    assert mine.hierarchy.levels[0].class_names == ("ant", "bee", "cat", "dog", "elk")
    assert mine.hierarchy.names == ("fine", "level1", "level2")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["measure-features", "absent.npy", "y"], "absent.npy: cannot be read (No such file"),
        (["measure-features", "text", "y"], "text.npy: cannot be read as .npy (it does not begin"),
        (["measure-features", "text", "y"], "write it again by `numpy.save(PATH, ARRAY)`"),
        (["measure-features", "both", "y"], "both.npz: holds several arrays (x, y); expected one"),
        (["measure-features", "both", "y"], "both.npz:NAME` names one"),
        (["measure-features", "huge", "y"], "huge.npy: cannot be read as .npy"),
        (["measure-features", "empty", "y"], "empty.npy: empty; expected a file"),
        (["measure-features", "x", "y", "--hierarchy", "tree"], "no place for class '0'"),
        (["measure-features", "x", "y", "--hierarchy", "absent.json"], "absent.json: cannot be"),
        (["measure-features", "x", "y", "--hierarchy", "names"], "names.txt: cannot be read (Exp"),
        (["measure-features", "x", "y_test"], "expected 300, one for each row of images"),
        (["measure-features", "x", "y", "--which", "magic"], "which: 'magic'"),
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
    assert call(*arguments, "--which", "magic", "--out", str(tmp_path / "other")).status == 2
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
