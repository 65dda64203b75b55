"""Tables that chapters show, against what was put into the recordings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ssl_companion.chapters.analysis import (
    classifiers,
    depth_and_time,
    generality,
    hierarchy,
    random_targets,
    regularizer,
)
from ssl_companion.chapters.analysis.accuracies import NotRecorded, hits
from ssl_companion.data.hierarchy import random_grouping
from ssl_companion.measures import dendrogram
from ssl_companion.recordings import Recording, open_recording


@pytest.fixture(scope="module")
def interventions(
    write_synthetic: Callable[..., Recording], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Recording]:
    root: Path = tmp_path_factory.mktemp("interventions")
    kinds = {"recipe": "clusters", "invariance-only": "collapsed", "weight-0.2": "clusters"}
    made = {}
    for variant, kind in kinds.items():
        name = f"regularizer-{variant}-s0"
        made[name] = write_synthetic(
            name, root, kind=kind, features=False, strength=0.5 if "weight" in variant else 1.0
        )
    return made


@pytest.fixture(scope="module")
def labelled(clusters: Recording, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The clusters of a run that says it was trained on labels."""
    folder = tmp_path_factory.mktemp("labelled") / "methods-supervised-s0"
    shutil.copytree(clusters.path, folder)
    about = json.loads((folder / "run.json").read_text())
    about["config"]["objective"]["name"] = "supervised"
    (folder / "run.json").write_text(json.dumps(about))
    return open_recording(folder)


def test_terms_stand_beside_the_accuracy_of_their_epoch(clusters: Recording) -> None:
    table = regularizer.terms_against_ncc(clusters)
    assert table["epoch"].tolist() == [1, 4, 20]  # epoch 0 has no losses yet
    stored = clusters.select(measure="ncc", level="fine", split="test", layer="block2")
    assert table["ncc"].tolist() == stored["value"].tolist()[1:]


def test_doses_are_in_order_and_hold_their_runs(interventions: dict[str, Recording]) -> None:
    table = regularizer.dose_response(interventions)
    assert table["dose"].tolist() == [0.0, 0.2, 1.0]
    assert table["gain"].is_monotonic_increasing
    np.testing.assert_allclose(table["ncc"] - table["start"], table["gain"])
    removed = regularizer.removed_terms(interventions)
    assert removed["variant"].tolist() == ["recipe", "invariance-only"]
    with pytest.raises(NotRecorded, match="record regularizer"):
        regularizer.outcome({})


@pytest.mark.parametrize("kind", ["spearman", "pearson"])
def test_correlations_agree_with_scipy(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    found = classifiers.correlation(x, y, kind)
    oracle = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[kind]
    assert found.value == pytest.approx(oracle(x, y).statistic)
    drawn = stats.bootstrap(
        (x, y), lambda a, b: oracle(a, b).statistic, paired=True, vectorized=False,
        method="percentile", n_resamples=1000, random_state=0,
    ).confidence_interval  # fmt: skip
    assert found.low == pytest.approx(drawn.low, abs=0.06)
    assert found.high == pytest.approx(drawn.high, abs=0.06)


def test_a_correlation_of_nothing_is_nan() -> None:
    assert np.isnan(classifiers.correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]).value)
    assert np.isnan(classifiers.correlation([1.0, 2.0], [1.0, 2.0]).value)
    with pytest.raises(ValueError, match="kind: 'kendall'"):
        classifiers.correlation([1.0], [1.0], "kendall")


def test_runs_with_labels_are_no_evidence(
    clusters: Recording, untrained: Recording, labelled: Recording
) -> None:
    """The objective says so, whatever the run is called."""
    recordings = {"methods-supervised-s0": labelled, "targets-teacher-s0": labelled,
                  "methods-mine-s0": labelled, "methods-simclr-s0": clusters,
                  "methods-byol-s0": untrained}  # fmt: skip
    assert list(classifiers.self_supervised({"supervised": clusters})) == ["supervised"]
    table = classifiers.over_runs(recordings).set_index("recording")
    assert list(table.index) == ["methods-simclr-s0", "methods-byol-s0"]
    assert table.loc["methods-byol-s0", ["ncc_gain", "linear_gain"]].tolist() == [0, 0]
    assert (table.loc["methods-simclr-s0", ["ncc_gain", "linear_gain"]] > 0.2).all()


@pytest.mark.slow  # torch's L-BFGS takes seconds to import
def test_more_labels_help_and_the_trained_network_needs_fewer(clusters: Recording) -> None:
    table = classifiers.few_labels(clusters, (1, 5, 50))
    assert set(table["labels"]) == {1, 5}  # 12 images of each class are kept
    wide = table.pivot_table(index=["epoch", "classifier"], columns="labels", values="value")
    assert (wide[5] > wide[1]).all()
    assert (wide.loc[20] > wide.loc[0]).all().all()
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()


@pytest.mark.slow
def test_the_lead_with_few_labels_is_paired(clusters: Recording) -> None:
    table = classifiers.few_labels(clusters, (1, 12), [20], draws=6, resamples=200)
    assert table.groupby("labels")["choices"].first().to_dict() == {1: 6, 12: 1}  # 12 are kept
    one, other = (
        table[table["classifier"] == name].set_index("labels")
        for name in ("nearest centroid", "linear probe")
    )
    np.testing.assert_allclose(one["ahead"], one["value"] - other["value"])
    np.testing.assert_allclose(one["ahead_low"], -other["ahead_high"])
    assert (one["ahead_low"] <= one["ahead"]).all()
    # Both err on the same images, so their difference is known better than either.
    assert (one["ahead_high"] - one["ahead_low"] < one["high"] - other["low"]).all()


def test_the_choice_of_labels_widens_the_interval() -> None:
    rng = np.random.default_rng(0)
    same = np.repeat(rng.random((1, 400)) < 0.3, 8, axis=0).astype(float)
    by_choice = np.linspace(0.1, 0.5, 8)[:, None]
    other = (rng.random((8, 400)) < by_choice).astype(float)
    of_images = classifiers._drawn_again(same, 4000, 0).std()
    p = same[0].mean()
    assert of_images == pytest.approx(np.sqrt(p * (1 - p) / 400), rel=0.05)
    both = classifiers._drawn_again(other, 4000, 0)
    assert both.std() > np.std(by_choice) / np.sqrt(8)
    assert both.mean() == pytest.approx(other.mean(), abs=0.01)


def test_a_lead_in_correlation_is_paired() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=60)
    x, y, noise = common, common + 0.3 * rng.normal(size=60), rng.normal(size=60)
    twin = x + 1e-3 * rng.normal(size=60)
    near = classifiers.correlation_ahead(x, twin, y)
    alone = classifiers.correlation(x, y)
    assert near.high - near.low < 0.2 * (alone.high - alone.low)
    far = classifiers.correlation_ahead(x, noise, y)
    assert far.low > 0
    expected = stats.spearmanr(x, y).statistic - stats.spearmanr(noise, y).statistic
    assert far.value == pytest.approx(expected)
    back = classifiers.correlation_ahead(noise, x, y)
    assert (back.value, back.low, back.high) == pytest.approx((-far.value, -far.high, -far.low))
    assert np.isnan(classifiers.correlation_ahead(x[:2], noise[:2], y[:2]).value)
    with pytest.raises(ValueError, match="expected \\[N\\] each"):
        classifiers.correlation_ahead(x, noise[:5], y)


def test_the_advantage_is_the_level_less_its_groupings(clusters: Recording) -> None:
    table = random_targets.against_groupings(clusters, "coarse", [0, 20], groupings=3)
    wide = table.pivot_table(index="epoch", columns="target", values="value")
    np.testing.assert_allclose(wide["semantic"] - wide["random groupings"], wide["advantage"])
    level = clusters.hierarchy.level("coarse")
    by_hand = [hits(clusters, random_grouping(level, s), [20]).mean() for s in range(3)]
    assert wide.loc[20, "random groupings"] == pytest.approx(np.mean(by_hand))
    grown = random_targets.growth_of_advantage(clusters, "coarse", groupings=3)
    assert grown.value == pytest.approx(wide.loc[20, "advantage"] - wide.loc[0, "advantage"])
    assert grown.low < grown.value < grown.high


def test_the_tree_of_the_means_comes_to_be_the_tree_of_the_labels(clusters: Recording) -> None:
    table = hierarchy.tree_agreement(clusters, shuffles=5)
    table = table[~table["measure"].str.endswith("kind")]  # two clusters, often one leaf and all
    first, last = (table[table["epoch"] == epoch].set_index("measure") for epoch in (0, 20))
    assert len(last) == 3
    assert (last["value"] > first["value"] + 0.2).all()
    assert (last["value"] > last["high"]).all()
    assert (last["random"].abs() < 0.1).all()
    found = hierarchy.tree(clusters)
    np.testing.assert_array_equal(found.linkage, dendrogram(clusters.class_means(20)))
    assert len(found.names) == 100


def test_the_matrix_holds_every_layer_and_epoch(clusters: Recording) -> None:
    matrix = depth_and_time.layer_by_epoch(clusters, "coarse")
    assert list(matrix.index) == ["stem", "block1", "block2"]
    assert list(matrix.columns) == [0, 1, 4, 20]
    row = clusters.select(epoch=4, layer="block1", level="coarse", split="test", measure="ncc")
    assert matrix.loc["block1", 4] == row["value"].item()
    assert (depth_and_time.relative_matrix(clusters).iloc[:, 0] == 1).all()


def test_rank_order_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).integers(0, 4, (6, 9)).astype(float)  # with ties
    expected = [stats.spearmanr(row, np.arange(9)).statistic for row in values]
    np.testing.assert_allclose(depth_and_time.rank_order(values), expected)
    np.testing.assert_allclose(depth_and_time.rank_order(values.T, axis=0), expected)
    assert np.isnan(depth_and_time.rank_order(np.ones(4)))


def test_order_along_epochs_and_layers(clusters: Recording, untrained: Recording) -> None:
    for along in ("epoch", "depth"):
        assert (depth_and_time.order_of_rows(clusters, along)["value"] > 0.9).all()
        assert depth_and_time.order_of_rows(untrained, along)["value"].isna().all()
    levels = ["random-coarse", "fine", "of nothing"]
    for along, line in {
        "epoch": np.s_[-1],
        "depth": np.s_[:, -1],
        "depth before training": np.s_[:, 0],
    }.items():
        orders = depth_and_time.order_of_rows(clusters, along, levels).set_index("level")["value"]
        assert orders.index.tolist() == levels[:2], "what was not measured has no row"
        for level in levels[:2]:
            values = depth_and_time.layer_by_epoch(clusters, level).to_numpy()[line]
            assert orders[level] == float(depth_and_time.rank_order(values))
    with pytest.raises(ValueError, match="along: 'width'"):
        depth_and_time.order_of_rows(clusters, "width")


def test_every_run_is_in_the_table_and_one_seed_counts(
    clusters: Recording, untrained: Recording, labelled: Recording
) -> None:
    recordings = {"methods-simclr-s1": untrained, "methods-simclr-s0": clusters,
                  "methods-supervised-s0": labelled, "regularizer-recipe-s0": clusters}  # fmt: skip
    table = generality.every_run(recordings).set_index("recording")
    assert list(table.index) == list(recordings)
    assert table.loc["methods-simclr-s1", "ratio"] == 1
    assert table.loc["methods-simclr-s0", "ratio"] > 2
    assert set(generality.intact_runs(recordings)) == {"methods-simclr-s0"}


def test_a_switched_run_is_held_against_the_recipe_of_its_seed(
    write_synthetic: Callable[..., Recording], tmp_path: Path
) -> None:
    how = {"recipe-s0": (1.0, 0), "recipe-s1": (0.3, 1), "off-midway-s1": (0.6, 1),
           "off-midway-s2": (0.6, 2)}  # fmt: skip
    runs = {}
    for name, (strength, seed) in how.items():
        full = f"regularizer-{name}"
        runs[full] = write_synthetic(full, tmp_path, strength=strength, seed=seed, features=False)
        if "off" in name:
            runs[full].run["config"]["objective"]["on_until"] = 4
    table = regularizer.switch_effect(runs).set_index("recording")
    own = regularizer.outcome(runs).set_index("recording")["ncc"]
    assert table.loc["regularizer-off-midway-s1", "recipe"] == own["regularizer-recipe-s1"]
    assert own["regularizer-recipe-s1"] != own["regularizer-recipe-s0"]
    assert np.isnan(table.loc["regularizer-off-midway-s2", "recipe"])
    assert table.loc["regularizer-off-midway-s1", "end"] == own["regularizer-off-midway-s1"]
