"""One encoder under every measure: values, intervals, controls; saved and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.neighbors import NearestCentroid

from ssl_companion import measures
from ssl_companion.data import Hierarchy, Level
from ssl_companion.data.hierarchy import random_grouping
from ssl_companion.encoders.catalogue import CATALOGUE
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.examine import EncoderResult, examine

K, D = 6, 5
PAIRS = Hierarchy(
    "own",
    (
        Level("fine", tuple("abcdef"), np.arange(K)),
        Level("pairs", ("ab", "cd", "ef"), np.arange(K) // 2),
    ),
)


def clusters(n: int = 20, seed: int = 0, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features around a mean for each class, and their labels."""
    means = 2 * np.random.default_rng(9).normal(size=(K, D))
    y = np.repeat(np.arange(K), n)
    return means[y] + spread * np.random.default_rng(seed).normal(size=(len(y), D)), y


@pytest.fixture(scope="module")
def result() -> EncoderResult:
    (x, y), (x_test, z) = clusters(), clusters(seed=1)
    return examine(None, x, y, test_images=x_test, test_labels=z, hierarchy=PAIRS)["features"]


def test_values_are_those_of_measure_encoder(result: EncoderResult) -> None:
    (x, y), (x_test, z) = clusters(), clusters(seed=1)
    told = measure_encoder(
        None, x, y, test_images=x_test, test_labels=z, hierarchy=PAIRS, which="all"
    )
    own = result.rows.iloc[: len(told)]
    pd.testing.assert_series_equal(own["value"], told["value"])
    accuracies = told["low"].notna()
    pd.testing.assert_frame_equal(own[accuracies], told[accuracies])


def test_hits_and_means_are_scikit_learns(result: EncoderResult) -> None:
    (x, y), (x_test, z) = clusters(), clusters(seed=1)
    rule = NearestCentroid().fit(x, y)
    np.testing.assert_array_equal(result.hits[0], rule.predict(x_test) == z)
    np.testing.assert_allclose(result.means, rule.centroids_, rtol=1e-5, atol=1e-6)
    pairs = NearestCentroid().fit(x, y // 2)
    np.testing.assert_array_equal(result.hits[1], pairs.predict(x_test) == z // 2)


def test_every_measure_has_an_interval(result: EncoderResult) -> None:
    own = result.rows[result.rows["level"].isin(["all", "fine", "pairs"])]
    assert set(own["measure"]) == set(CATALOGUE)
    bounded = own.dropna(subset=["value"])
    assert bounded["low"].notna().all()
    assert ((bounded["low"] <= bounded["value"]) & (bounded["value"] <= bounded["high"])).all()
    assert (bounded.query("measure in ['cdnv', 'nc1']")["low"] > 0).all()


@pytest.mark.parametrize("measure", ["cdnv", "nc3"])
def test_jackknife_intervals_are_as_wide_as_other_draws_of_images_differ(
    measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The standard deviation of a measure's logarithm over draws, beside that which one draw's
    # interval implies.
    monkeypatch.setattr("ssl_companion.encoders.examine._FITTED_IMAGES", 20 * K)
    half = stats.t.ppf(0.975, 9)
    drawn, implied = [], []
    for seed in range(30):
        x, y = clusters(40, seed, spread=2.0)
        given = {"test_images": x, "test_labels": y, "which": measure, "subset_size": len(y)}
        if seed < 5:
            row = examine(None, x, y, **given)["features"].rows.iloc[0]
            implied.append(np.log(row["high"] / row["low"]) / (2 * half))
        drawn.append(np.log(measure_encoder(None, x, y, **given)["value"].iloc[0]))
    assert 0.6 < np.mean(implied) / np.std(drawn) < 1.7


def test_intervals_of_many_images_are_as_wide_as_those_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = clusters(400)
    whole, few = (
        examine(None, x, y, test_images=x, test_labels=y, which=("cdnv", "nc1"), subset_size=size)
        for size in (50_000, 600)
    )
    widths = [
        np.log(one["features"].rows["high"] / one["features"].rows["low"]).iloc[:2]
        for one in (whole, few)
    ]
    assert (widths[1] / widths[0]).between(0.4, 2.5).all()
    values = [one["features"].rows["value"].iloc[:2] for one in (whole, few)]
    pd.testing.assert_series_equal(*values)  # of all images, both


def test_accuracies_without_a_miss_have_wilsons_interval() -> None:
    x, y = clusters(10, spread=0.01)
    row = examine(None, x, y, which="ncc")["features"].rows.iloc[0]
    n = int(row["n"])
    z = stats.norm.ppf(0.975)
    assert row["value"] == 1.0
    assert row["low"] == pytest.approx(1 / (1 + z**2 / n))


@pytest.mark.parametrize("n_test", [1, 2])
def test_few_test_images_leave_intervals_out(n_test: int) -> None:
    x, y = clusters(5)
    found = examine(None, x, y, test_images=x[:n_test], test_labels=y[:n_test])["features"]
    assert found.rows.query("measure == 'cdnv' and level == 'fine'")["value"].notna().all()


def test_controls_are_measured_where_labels_mean_nothing(result: EncoderResult) -> None:
    by_level = {
        level: rows.set_index("measure")["value"] for level, rows in result.rows.groupby("level")
    }
    permuted, fine = by_level["permuted"], by_level["fine"]
    of_classes = {name for name, one in CATALOGUE.items() if one.of != "features"}
    assert set(permuted.index) == set(by_level["random-pairs"].index) == of_classes
    assert permuted[["knn", "linear"]].max() < 0.3 < fine[["knn", "linear"]].min()
    (x, y), drawn = clusters(), [random_grouping(PAIRS.levels[1], seed) for seed in range(5)]
    in_groups = np.mean([measures.cdnv(x, one.labels(y)) for one in drawn])
    assert by_level["random-pairs"]["cdnv"] == pytest.approx(in_groups, rel=1e-5)
    assert permuted["cdnv"] > 5 * fine["cdnv"]
    one = measures.cdnv(x, np.random.default_rng(5).permutation(y))
    assert permuted["cdnv"] == pytest.approx(one, rel=0.8)


def test_images_of_the_maps_are_balanced() -> None:
    x, y = clusters(20)
    result = examine(None, x, y, which="ncc", shown=17)["features"]
    assert np.bincount(result.labels[result.shown]).tolist() == [2] * K
    assert result.features.shape == (2 * K, D)
    assert result.rows_given is not None
    np.testing.assert_allclose(result.features, x[result.rows_given[result.shown]], rtol=1e-6)


def test_a_class_of_one_image_leaves_intervals_out() -> None:
    x, y = np.random.default_rng(0).normal(size=(9, 3)), np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    result = examine(None, x, y, test_images=x, test_labels=y, which=("cdnv", "ncc"))["features"]
    rows = result.rows.set_index(["level", "measure"])
    assert np.isnan(rows.loc[("fine", "cdnv"), "low"])
    assert rows.loc[("fine", "ncc"), "low"] <= rows.loc[("fine", "ncc"), "value"]


def test_features_have_groups_by_looks_where_their_pictures_are_there() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (8 * K, 3, 4, 4), np.uint8)
    y = np.repeat(np.arange(K), 8)
    settings = {"hierarchy": PAIRS, "which": "ncc"}
    own = examine(lambda x: x.flatten(1), pictures, y, preprocess=lambda x: x / 255, **settings)
    x = pictures.reshape(len(y), -1) / 255
    found = examine(None, x, y, pictures=pictures, **settings)["features"].rows
    pd.testing.assert_frame_equal(
        found.drop(columns="layer"), own["output"].rows.drop(columns="layer"), atol=1e-6
    )
    assert "looks-pairs" in set(found["level"])
    with pytest.raises(ValueError, match="pictures: 3; expected 48, one for each row of images"):
        examine(None, x, y, pictures=pictures[:3], **settings)


def test_layers_are_results_of_their_own() -> None:
    x, y = np.random.default_rng(0).random((24, 3, 4, 4), np.float32), np.arange(24) % 3
    found = examine(
        lambda x: {"colour": x.mean(dim=(2, 3)), "pixels": x.flatten(1)}, x, y, which="ncc"
    )
    assert [one.about["dimensions"] for one in found.values()] == [3, 48]
    assert list(found) == [one.about["layer"] for one in found.values()]


def test_what_is_saved_is_read_again(result: EncoderResult, tmp_path: Path) -> None:
    result.save(tmp_path / "one.safetensors")
    again = EncoderResult.load(tmp_path / "one.safetensors")
    pd.testing.assert_frame_equal(again.rows, result.rows)
    np.testing.assert_array_equal(again.hits, result.hits)
    assert again.hierarchy.names == result.hierarchy.names
    assert again.about == dict(result.about)
    assert again.features.equal(result.features)


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "foreign"])
def test_a_damaged_file_is_refused(result: EncoderResult, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "one.safetensors"
    result.save(path)
    whole = path.read_bytes()
    content = {"empty": b"", "cut": whole[: len(whole) // 2], "foreign": b"PK\3\4 no such thing"}
    path.unlink() if damage == "absent" else path.write_bytes(content[damage])
    with pytest.raises(ValueError, match=r"one\.safetensors: no saved result .*measure the"):
        EncoderResult.load(path)
