"""NCC beside probes: intervals by Wilson's formula, correlations where they are known."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ssl_companion.chapters.analysis import classifiers
from ssl_companion.recordings import Recording, open_recording


@pytest.fixture(scope="module")
def probed(clusters: Recording, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Probes of every layer at the last epoch, in the order of NCC; kNN in the reverse order."""
    folder = tmp_path_factory.mktemp("probed") / "probed-s0"
    shutil.copytree(clusters.path, folder)
    table = pd.read_csv(folder / "measures.csv.gz")
    last = clusters.epochs[-1]
    ncc = table[
        (table["epoch"] == last) & (table["level"] == "fine") & (table["split"] == "test")
        & (table["measure"] == "ncc")
    ]  # fmt: skip
    own = table["measure"].isin(["linear", "knn"]) & table["epoch"].eq(last)
    linear = ncc.assign(measure="linear", value=ncc["value"] * 0.5 + 0.4)
    knn = ncc.assign(measure="knn", value=0.9 - ncc["value"] * 0.5)
    pd.concat([table[~own], linear, knn]).to_csv(folder / "measures.csv.gz", index=False)
    return open_recording(folder)


def test_courses_have_wilsons_interval(probed: Recording) -> None:
    table = classifiers.accuracies_through_training(probed)
    assert set(table["classifier"]) == set(classifiers.CLASSIFIER_NAMES.values())
    z = 1.959963984540054
    for row in table.to_dict("records"):
        p, n = round(row["value"] * row["n"]) / row["n"], row["n"]
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        assert row["low"] == pytest.approx(max(0.0, centre - half), abs=1e-9)
        assert row["high"] == pytest.approx(min(1.0, centre + half), abs=1e-9)


def test_epochs_are_of_the_last_layer_and_layers_of_the_last_epoch(probed: Recording) -> None:
    epochs, layers = (
        classifiers.probe_accuracies_over_epochs(probed),
        classifiers.probe_accuracies_over_layers(probed),
    )
    assert set(epochs["layer"]) == {probed.layers[-1]}
    assert epochs["epoch"].is_monotonic_increasing
    assert layers["layer"].tolist() == list(probed.layers)
    assert set(layers["epoch"]) == {probed.epochs[-1]}


def test_no_layers_without_probes_of_them(clusters: Recording) -> None:
    assert classifiers.probe_accuracies_over_layers(clusters).empty


def test_correlations_find_the_order_and_its_reverse(probed: Recording) -> None:
    table = classifiers.correlations(
        {"layers": classifiers.probe_accuracies_over_layers(probed)}, resamples=50
    )
    found = table.set_index("classifier")["value"]
    assert found["linear probe"] == pytest.approx(1.0)
    assert found["nearest neighbours"] == pytest.approx(-1.0)
    two = classifiers.correlations(
        {"epochs": classifiers.probe_accuracies_over_layers(probed).head(2)}
    )
    assert two["value"].isna().all()


def test_the_long_form_has_a_row_for_each_probe_that_was_fitted() -> None:
    table = pd.DataFrame({"ncc": [0.1, 0.2], "linear": [0.3, 0.4], "knn": [np.nan, 0.5]})
    long = classifiers.long_form(table)
    assert len(long) == 3
    assert long["classifier"].value_counts()["linear probe"] == 2


def test_rivals_are_correlated_with_the_linear_probe(clusters: Recording, tmp_path: Path) -> None:
    """NCC goes with the probe by construction, the effective rank against it."""
    runs = {}
    for i in range(5):
        folder = tmp_path / f"methods-{i}-s0"
        shutil.copytree(clusters.path, folder)
        table = pd.read_csv(folder / "measures.csv.gz")
        last = table["epoch"].eq(clusters.epochs[-1]) & table["layer"].eq(clusters.layers[-1])
        test = last & table["split"].eq("test")
        table.loc[test & table["measure"].isin(["ncc", "linear"]), "value"] = 0.1 * (i + 1)
        rank = {"epoch": clusters.epochs[-1], "layer": clusters.layers[-1], "level": "all",
                "split": "test", "measure": "effective_rank", "value": 9.0 - i, "n": 1}  # fmt: skip
        kept = table[table["measure"] != "effective_rank"]
        pd.concat([kept, pd.DataFrame([rank])]).to_csv(folder / "measures.csv.gz", index=False)
        runs[folder.name] = open_recording(folder)
    gained = classifiers.rivals(runs, gains=True)
    own = classifiers.over_runs(runs)
    expected = stats.spearmanr(own["ncc_gain"], own["linear_gain"]).statistic
    assert gained["value"][0] == pytest.approx(expected)
    table = classifiers.rivals(runs).set_index("predictor")
    assert table.loc["NCC accuracy, fine", "value"] == pytest.approx(1.0)
    assert table.loc["effective rank (RankMe)", "value"] == pytest.approx(-1.0)
    assert (table["n"] == 5).all()
    assert np.isnan(table.loc["NCC accuracy, fine", "ahead"])
    assert table.loc["effective rank (RankMe)", "ahead"] == pytest.approx(2.0)
    assert table.loc["effective rank (RankMe)", "ahead_low"] == pytest.approx(2.0)


def test_runs_whose_accuracies_part() -> None:
    table = pd.DataFrame({
        "recording": ["together", "apart", "further", "still"],
        "ncc_gain": [0.2, 0.1, -0.1, 0.0],
        "linear_gain": [0.1, -0.1, 0.3, 0.2],
    })  # fmt: skip
    assert classifiers.apart(table)["recording"].tolist() == ["further", "apart"]
    assert classifiers.apart(table.iloc[[0]]).empty
