"""Terms, gains and spectra: by hand, by scikit-learn, and on the recordings that are there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from ssl_companion.chapters.analysis import interventions, regularizer
from ssl_companion.chapters.analysis.accuracies import NotRecorded, hits
from ssl_companion.measures.resampling import draw_counts, percentiles
from ssl_companion.recordings import Recording, list_recordings, open_recording


def changed(run: Recording, folder: Path, **objective: object) -> Recording:
    """The same recording under another name and another objective."""
    shutil.copytree(run.path, folder)
    facts = json.loads((folder / "run.json").read_text())
    facts["config"]["objective"] |= objective
    (folder / "run.json").write_text(json.dumps(facts))
    return open_recording(folder)


def test_weights_are_those_of_the_objective_in_that_epoch(
    clusters: Recording, tmp_path: Path
) -> None:
    recipe = {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}
    assert interventions.recorded_term_weights(clusters) == recipe
    run = changed(clusters, tmp_path / "a", regularizer=0.2, on_until=3)
    assert interventions.recorded_term_weights(run, 2)["variance"] == pytest.approx(5.0)
    assert interventions.recorded_term_weights(run, 3) == {
        **recipe,
        "variance": 0.0,
        "covariance": 0.0,
    }
    late = changed(clusters, tmp_path / "b", on_from=1)
    assert interventions.recorded_term_weights(late)["variance"] == 0, "before training"


def test_a_total_whose_weights_change_is_not_shared_out(
    clusters: Recording, tmp_path: Path
) -> None:
    switched = changed(clusters, tmp_path / "switched", on_until=3)
    taught = changed(clusters, tmp_path / "taught", name="supervised")
    for shared_out in (interventions.decrease, interventions.weighted_course):
        with pytest.raises(ValueError, match="switched: its regularizer is switched after epoch 3"):
            shared_out(switched)
        with pytest.raises(ValueError, match="taught: was trained on labels"):
            shared_out(taught)


def test_weighted_terms_add_up_to_the_total_of_every_recording() -> None:
    steady = [
        run
        for run in list_recordings()
        if run.run["config"]["objective"]["name"] != "supervised"
        and np.isnan(regularizer.switch_epoch(run))
    ]
    if not steady:
        pytest.skip("no self-supervised recordings")
    for run in steady:
        weights = interventions.recorded_term_weights(run)
        total = sum(weight * run.losses[term] for term, weight in weights.items())
        np.testing.assert_allclose(total, run.losses["total"], rtol=1e-3, err_msg=run.name)


def test_the_fall_of_the_total_is_divided_by_hand(clusters: Recording) -> None:
    table = interventions.decrease(clusters).set_index("term")
    n = len(clusters.losses)
    expected = {
        "invariance": 25 * (1 - n) / 100,
        "variance": 25 * (1 - 1 / n),
        "covariance": 2 - 2 / n,
    }
    assert table["decrease"].to_dict() == pytest.approx(expected)
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["kind"].to_dict() == {
        "invariance": "invariance", "variance": "regularizer", "covariance": "regularizer",
    }  # fmt: skip
    course = interventions.weighted_course(clusters)
    ends = course[course["epoch"] == n].set_index("term")["value"]
    assert (-ends).to_dict() == pytest.approx(expected)


def test_falling_terms_go_with_the_gain_and_rising_ones_against_it(clusters: Recording) -> None:
    table = interventions.decrease_against_gain(clusters)
    so_far = table[table["over"] == "so far"].set_index("term")
    assert so_far["value"].to_dict() == pytest.approx(
        {"invariance": -1.0, "variance": 1.0, "covariance": 1.0}
    )
    assert so_far["low"].isna().all()
    steps = table[table["over"] == "each step"]
    assert (steps["n"] == so_far["n"].iloc[0] - 1).all()


def test_steps_are_what_changed_since_the_measured_epoch_before() -> None:
    rng = np.random.default_rng(0)
    losses = pd.DataFrame(rng.random((9, 2)), columns=["invariance", "variance"])
    losses = losses.assign(epoch=range(1, 10), total=0.0, lr=0.1, seconds=1.0)
    measured = [0, 1, 3, 4, 7, 8, 9]
    ncc = pd.DataFrame({"epoch": measured, "level": "coarse", "value": rng.random(7)})

    def select(**where: str) -> pd.DataFrame:
        assert where == {"measure": "ncc", "level": "coarse", "split": "test", "layer": "top"}
        return ncc

    run = cast(Recording, SimpleNamespace(layers=("stem", "top"), losses=losses, select=select))
    table = interventions.decrease_against_gain(run, "coarse").set_index(["term", "over"])
    gains = ncc["value"].to_numpy()[1:]  # epoch 0 has no losses
    for term in ("invariance", "variance"):
        fell = -losses.set_index("epoch").loc[measured[1:], term].to_numpy()
        so_far, step = (table.loc[(term, over)] for over in ("so far", "each step"))
        assert so_far["value"] == pytest.approx(stats.spearmanr(fell, gains).statistic)
        expected = stats.spearmanr(np.diff(fell), np.diff(gains)).statistic
        assert step["value"] == pytest.approx(expected)
        assert (so_far["n"], step["n"]) == (6, 5)
        assert np.isnan([so_far["low"], so_far["high"]]).all()
        assert step["low"] <= step["value"] <= step["high"]


def test_the_run_that_keeps_features_is_looked_into(
    write_synthetic: Callable[..., Recording], tmp_path: Path
) -> None:
    runs = {
        name: write_synthetic(name, tmp_path, features=kept, epochs=(0, 1), layers=1)
        for name, kept in (("regularizer-recipe-s0", False), ("regularizer-recipe-s1", True))
    }
    found = interventions.run_with_features(runs, "recipe")
    assert found is runs["regularizer-recipe-s1"]


def test_outcomes_are_the_hits_of_the_first_and_last_epoch(
    write_synthetic: Callable[..., Recording],
) -> None:
    names = {"recipe": "clusters", "invariance-only": "collapsed"}
    runs = {
        f"regularizer-{variant}-s0": write_synthetic(f"regularizer-{variant}-s0", kind=kind)
        for variant, kind in names.items()
    }
    table = interventions.live_outcomes(runs, list(names)).set_index("variant")
    for variant in names:
        hit = hits(runs[f"regularizer-{variant}-s0"], "fine").mean(axis=1)
        row = table.loc[variant]
        assert (row["start"], row["value"]) == pytest.approx((hit[0], hit[-1]))
        assert row["gain"] == pytest.approx(hit[-1] - hit[0])
        assert row["low"] <= row["value"] <= row["high"]
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]
    assert table.loc["recipe", "gain_low"] > 0
    lot = interventions.live_outcomes(runs, ["recipe"], "random-coarse", seed=3).iloc[0]
    hit = hits(runs["regularizer-recipe-s0"], "random-coarse", [0, 20], seed=3)
    assert (lot["start"], lot["value"]) == pytest.approx(tuple(hit.mean(axis=1)))
    n = hit.shape[1]
    first, last = hit @ draw_counts(n, 1000, 3).T / n
    assert (lot["low"], lot["high"]) == pytest.approx(percentiles(last))
    assert (lot["gain_low"], lot["gain_high"]) == pytest.approx(percentiles(last - first))
    with pytest.raises(NotRecorded, match="regularizer-no-variance"):
        interventions.live_outcomes(runs, ["no-variance"])
    asked = ["shuffled", "invariance-only", "recipe"]
    assert interventions.recorded(runs, asked) == asked[1:]


def test_correlations_are_shown_a_row_a_term() -> None:
    row = {"term": "variance", "low": np.nan, "high": np.nan}
    table = interventions.one_row_per_term(pd.DataFrame([
        {**row, "over": "so far", "value": 1.0, "n": 6},
        {**row, "over": "each step", "value": 0.7, "low": -0.87, "high": 1.0, "n": 5},
        {**row, "term": "invariance", "over": "so far", "value": np.nan, "n": 6},
        {**row, "term": "invariance", "over": "each step", "value": -0.3, "n": 5},
    ]))  # fmt: skip
    assert table.to_dict("list") == {
        "term": ["variance", "invariance"],
        "so far (6 epochs)": ["+1.00", "not defined"],
        "each step (5 steps)": ["+0.70 (-0.87 to +1.00)", "-0.30"],
    }


def test_runs_above_a_value_are_named_with_their_seeds() -> None:
    words = ["the recipe", "the recipe", "invariance only", "regularizer at 5"]
    ends = pd.DataFrame({"words": words, "ncc": [0.1, 0.3, 0.1, 0.4]})
    said = regularizer.runs_above(ends, 0.2)
    assert said == "the recipe (1 of 2 seeds), regularizer at 5"
    assert regularizer.runs_above(ends, 0.4) == "none"


def test_losses_are_shown_a_column_a_size() -> None:
    row = {"gain": 0.25, "low": np.nan, "high": np.nan}
    table = regularizer.losses_by_size(pd.DataFrame([
        {**row, "size": "large", "intervention": "without", "seeds": 1, "value": 1.19},
        {**row, "size": "small", "intervention": "at 1/5", "seeds": 1, "value": 1.4},
        {"size": "small", "intervention": "without", "seeds": 3, "gain": 0.08, "value": 1.48,
         "low": 1.1, "high": 1.85},
    ]))  # fmt: skip
    assert table.to_dict() == {
        "large": {"(gain of the recipe)": "+25.0 points", "without": "119%", "at 1/5": "not run"},
        "small": {"(gain of the recipe)": "+8.0 points", "without": "148% (110% to 185%)",
                  "at 1/5": "140%"},
    }  # fmt: skip


def test_the_spectrum_is_that_of_scikit_learn(clusters: Recording) -> None:
    epoch = clusters.kept_epochs()[-1]
    found = interventions.variance_spectrum(clusters, epoch)
    expected = PCA().fit(clusters.features(epoch).astype(np.float64)).explained_variance_ratio_
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    table = interventions.spectra({"a": clusters, "b": clusters}, epoch)
    assert table["line"].unique().tolist() == ["a", "b"]
    own = table[table["line"] == "b"]
    np.testing.assert_allclose(own["value"], expected[: len(own)], rtol=1e-6)
    assert own["direction"].tolist() == list(range(1, len(own) + 1))


def test_spectra_are_of_the_last_epoch_and_leave_rounding_out() -> None:
    rng = np.random.default_rng(0)
    x = {0: np.eye(3)[[0, 1, 2]], 5: rng.normal(size=(50, 3)) * [1e-5, 1.0, 0.1] + 7}
    run = cast(Recording, SimpleNamespace(kept_epochs=lambda: (0, 5), features=x.get))
    table = interventions.spectra({"run": run})
    shares = PCA().fit(x[5]).explained_variance_ratio_
    assert shares[2] < 1e-6
    np.testing.assert_allclose(table["value"], shares[:2])


def test_directions_needed_counts_up_to_the_share() -> None:
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    assert interventions.directions_needed(shares, 0.79) == 2
    assert interventions.directions_needed(shares, 0.81) == 3
    assert interventions.directions_needed(shares, 0.5) == 1
    assert interventions.directions_needed(np.array([0.8, 0.12, 0.08])) == 2, "nine tenths"
    assert interventions.directions_needed(np.array([0.8, 0.08, 0.12])) == 3
    assert interventions.directions_needed(np.zeros(4)) == 0
    with pytest.raises(ValueError, match="of: 1"):
        interventions.directions_needed(shares, 1.0)
