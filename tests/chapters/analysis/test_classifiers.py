"""NCC beside probes: intervals by Wilson's formula, correlations where they are known."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neighbors import NearestCentroid as Oracle

from ssl_companion.chapters.analysis import classifiers
from ssl_companion.data.hierarchy import Level
from ssl_companion.recordings import Recording, open_recording

LAYERS, EPOCHS = ("stem", "block10", "block2"), (0, 4, 9)  # block10 sorts before block2


class Made:
    """A run of which every measure has a value of its own, and none that it was told to lack."""

    def __init__(self, seed: int, lacks: str = "", objective: str = "vicreg") -> None:
        rng = np.random.default_rng(seed)
        self.name = self.title = f"made-{seed}"
        self.run = {"config": {"objective": {"name": objective}}}
        self.layers, self.epochs = LAYERS, EPOCHS
        places = [(e, layer) for e in EPOCHS for layer in LAYERS]
        rows = [
            (*place, level, split, measure, rng.random(), 100)
            for measure, levels in {
                "ncc": ("fine", "coarse", "sample", "random-image"), "cdnv": ("fine", "coarse"),
                "linear": ("fine", "coarse"), "knn": ("fine",), "effective_rank": ("all",),
                "alpha_req": ("all",),
            }.items()
            for level in levels
            for split in ("train", "test")
            for place in places
            if measure != lacks
        ]  # fmt: skip
        columns = ["epoch", "layer", "level", "split", "measure", "value", "n"]
        self.measures = pd.DataFrame(rows, columns=columns)

    def value(self, epoch: int, **where: object) -> float:
        rows = self.select(epoch=epoch, **where)
        return rows["value"].item() if len(rows) else np.nan

    def select(self, **where: object) -> pd.DataFrame:
        chosen = [self.measures[column] == value for column, value in where.items()]
        return self.measures[np.all(chosen, axis=0)]

    def at(self, measure: str, level: str, split: str = "test", epoch: int = 9,
           layer: str = "block2") -> float:  # fmt: skip
        where = {"measure": measure, "level": level, "split": split, "epoch": epoch}
        return float(self.select(layer=layer, **where)["value"].item())

    def without(self, **where: object) -> Made:
        self.measures = self.measures.drop(self.select(**where).index)
        return self

    @property
    def as_recording(self) -> Recording:
        return cast(Recording, self)


def test_accuracies_are_of_test_images_at_every_place_that_was_probed() -> None:
    made = Made(0).without(measure="linear", epoch=4, layer="stem")
    made.without(measure="linear", epoch=9, layer="stem").without(measure="linear", epoch=0)
    made.without(measure="linear", epoch=9, layer="block10")
    table = classifiers.accuracies(made.as_recording)
    places = [(4, "block10"), (4, "block2"), (9, "block2")]
    assert list(zip(table["epoch"], table["layer"], strict=True)) == places
    for measure in ("ncc", "linear", "knn"):
        expected = [made.at(measure, "fine", epoch=e, layer=layer) for e, layer in places]
        assert table[measure].tolist() == expected
    layers = classifiers.probe_accuracies_over_layers(made.as_recording)
    assert list(zip(layers["epoch"], layers["layer"], strict=True)) == places[:2]
    several = classifiers.probe_accuracies_over_layers(Made(0).as_recording)
    assert several["epoch"].tolist() == [9, 9, 9]
    assert several["layer"].tolist() == list(LAYERS)


def test_the_three_classifiers_are_drawn_where_probes_were_fitted() -> None:
    made = Made(1).without(measure="linear", epoch=4)
    table = classifiers.accuracies_through_training(made.as_recording)
    assert table["epoch"].tolist() == [0, 9] * 3
    expected = [made.at(m, "fine", epoch=e) for m in ("ncc", "linear", "knn") for e in (0, 9)]
    assert table["value"].tolist() == expected


def test_a_run_that_was_probed_once_has_no_gain() -> None:
    once, both = Made(2).without(measure="linear", epoch=0), Made(3)
    once.without(measure="linear", epoch=4)
    runs = {"once": once.as_recording, "both": both.as_recording}
    [row] = classifiers.over_runs(runs).to_dict("records")
    assert row["recording"] == "both"
    for measure in ("ncc", "linear", "knn"):
        first, last = (both.at(measure, "fine", epoch=epoch) for epoch in (0, 9))
        assert (row[measure], row[f"{measure}_gain"]) == pytest.approx((last, last - first))


def test_a_probe_is_correlated_over_the_rows_that_have_it() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((8, 3)), columns=["ncc", "linear", "knn"])
    table.loc[[1, 4], "knn"] = np.nan
    found = classifiers.correlations({"runs": table}, resamples=20).set_index("classifier")
    assert found["n"].tolist() == [8, 6]
    for name, probe in (("linear probe", "linear"), ("nearest neighbours", "knn")):
        expected = stats.spearmanr(table["ncc"], table[probe], nan_policy="omit").statistic
        assert found.loc[name, "value"] == pytest.approx(expected)


@pytest.mark.parametrize("gains", [False, True])
def test_each_rival_is_the_measure_that_it_is_called(gains: bool) -> None:
    lacking = ["", "", "effective_rank", "effective_rank", "effective_rank", "effective_rank",
               "alpha_req"]  # fmt: skip
    made = [Made(10 + i, lacks) for i, lacks in enumerate(lacking)]
    runs = {f"r{i}": run.as_recording for i, run in enumerate(made)}
    taught = {"taught": Made(30, objective="supervised").as_recording}
    table = classifiers.rivals({**runs, **taught}, "coarse", gains=gains).set_index("predictor")

    def grown(measure: str, level: str, split: str = "test") -> np.ndarray:
        known = [run for run in made if len(run.select(measure=measure))]
        ends = [[run.at(measure, level, split, epoch) for epoch in (0, 9)] for run in known]
        first, last = np.transpose(ends)
        return last - first if gains else last

    own, linear = grown("ncc", "coarse"), grown("linear", "coarse")
    every = np.arange(7)
    rivals = {
        "NCC accuracy, coarse": (own, every),
        "NCC accuracy, sample": (grown("ncc", "sample"), every),
        "NCC accuracy, shuffled labels": (grown("ncc", "random-image"), every),
        "less CDNV, coarse": (-grown("cdnv", "coarse", "train"), every),
        "effective rank (RankMe)": (grown("effective_rank", "all"), np.array([0, 1, 6])),
        "flatter spectrum (alpha-ReQ)": (-grown("alpha_req", "all"), every[:6]),
    }
    assert list(table.index) == list(rivals)
    first = "NCC accuracy, coarse"
    for name, (values, which) in rivals.items():
        row = table.loc[name]
        assert row["n"] == len(which)
        r = stats.spearmanr(values, linear[which]).statistic
        assert row["value"] == pytest.approx(r)
        if name != first:
            lead = stats.spearmanr(own[which], linear[which]).statistic - r
            assert row["ahead"] == pytest.approx(lead)
            drawn = classifiers.correlation_ahead(own[which], values, linear[which])
            assert (row["ahead_low"], row["ahead_high"]) == pytest.approx((drawn.low, drawn.high))
    assert np.isnan(table.loc[first, "ahead"])


def test_a_rival_that_two_runs_have_is_left_out() -> None:
    made = [Made(40 + i, "effective_rank" if i > 1 else "") for i in range(5)]
    table = classifiers.rivals({run.name: run.as_recording for run in made})
    assert "effective rank (RankMe)" not in set(table["predictor"])
    assert len(table) == 5


class Remembers(KNeighborsClassifier):
    """A stand-in for the probe that is quick to fit, and tells what it was fitted to."""

    fitted: list[tuple[np.ndarray, np.ndarray]]

    def fit(self, x: np.ndarray, y: np.ndarray) -> Remembers:
        self.fitted.append((x, y))
        super().fit(x, y)
        return self


@pytest.mark.parametrize(("last", "choices"), [(5, 4), (3, 1)], ids=["some left", "all of them"])
def test_few_labels_are_of_each_class_and_chosen_anew(
    last: int, choices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    fine = {"train": np.repeat(np.arange(4), [3, 3, 3, last]), "test": np.arange(40) % 4}
    # Every training image has a number of its own, by which it is known again.
    x = {(e, layer, split): 5 * y[:, None] + 20 * rng.random((len(y), 3))
         for e in EPOCHS for layer in ("stem", "top") for split, y in fine.items()}  # fmt: skip
    level = Level("pair", ("a", "b"), np.array([0, 1, 0, 1]))
    run: Any = SimpleNamespace(
        kept_epochs=lambda layer, what: EPOCHS,
        fine=fine.get,
        hierarchy=SimpleNamespace(level=lambda name: {"pair": level}[name]),
        features=lambda epoch, layer, split: x[epoch, layer, split],
    )
    fitted: list[tuple[np.ndarray, np.ndarray]] = []
    Remembers.fitted = fitted
    monkeypatch.setattr(classifiers, "_probe", lambda: Remembers(1))
    table = classifiers.few_labels(
        cast(Recording, run), (1, 3, 4), layer="stem", level="pair", draws=4, seed=2
    )
    assert table["labels"].tolist() == [1, 1, 3, 3] * 2
    assert table["epoch"].tolist() == [0] * 4 + [9] * 4
    assert table["choices"].tolist() == [4, 4, choices, choices] * 2
    z = level.labels(fine["test"])
    at = 0
    for epoch, m, k in ((e, m, k) for e in (0, 9) for m, k in ((1, 4), (3, choices))):
        own, at = fitted[at : at + k], at + k
        train, test = x[epoch, "stem", "train"], x[epoch, "stem", "test"]
        chosen = [[int(np.flatnonzero((train == one).all(axis=1)).item()) for one in rows]
                  for rows, _ in own]  # fmt: skip
        for rows, (_, y) in zip(chosen, own, strict=True):
            assert np.bincount(fine["train"][rows]).tolist() == [m] * 4
            assert y.tolist() == level.labels(fine["train"][rows]).tolist()
        assert len({tuple(sorted(rows)) for rows in chosen}) > 1 or k == 1
        scores = {
            "nearest centroid": np.mean([Oracle().fit(*of).score(test, z) for of in own]),
            "linear probe": np.mean([
                KNeighborsClassifier(1).fit(*of).score(test, z) for of in own
            ]),
        }  # fmt: skip
        here = table[(table["epoch"] == epoch) & (table["labels"] == m)].set_index("classifier")
        for name, other in (tuple(scores), tuple(scores)[::-1]):
            row = here.loc[name]
            assert row["value"] == pytest.approx(scores[name])
            assert row["ahead"] == pytest.approx(scores[name] - scores[other])
            assert row["ahead_low"] <= row["ahead"] <= row["ahead_high"]
            assert row["ahead_low"] == pytest.approx(-here.loc[other, "ahead_high"])


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


def test_runs_whose_accuracies_part() -> None:
    table = pd.DataFrame({
        "recording": ["together", "apart", "further", "still"],
        "ncc_gain": [0.2, 0.1, -0.1, 0.0],
        "linear_gain": [0.1, -0.1, 0.3, 0.2],
    })  # fmt: skip
    assert classifiers.apart(table)["recording"].tolist() == ["further", "apart"]
    turned = table.assign(ncc_gain=-table["ncc_gain"], linear_gain=-table["linear_gain"])
    assert classifiers.apart(turned)["recording"].tolist() == ["further", "apart"]
    assert classifiers.apart(table.iloc[[0]]).empty


@pytest.mark.slow  # torch's L-BFGS takes seconds to import
def test_the_probe_of_few_labels_is_scikit_learns_with_that_penalty() -> None:
    y = np.arange(12) % 3
    x = np.random.default_rng(0).normal(size=(12, 5)) + y[:, None]
    found = classifiers._probe().fit(x, y)
    wide = x.std(axis=0)
    expected = LogisticRegression(C=1 / (1e-2 * 12), tol=1e-8).fit(x / wide, y)
    np.testing.assert_allclose(found.weight_, expected.coef_ / wide, atol=1e-3)
