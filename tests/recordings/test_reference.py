"""The run of other code, measured here, against what its own code measured on its own device.

The figures below are the source's, in per cent: class means of 50,000 images, 10,000 test images;
the sample level of other images and other views than here.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ssl_companion.chapters.analysis.balanced_accuracy import images_judged, recalls
from ssl_companion.chapters.analysis.clustering import ncc_over_epochs
from ssl_companion.cli.measure import ncc_rows
from ssl_companion.recordings import Recording, open_recording
from ssl_companion.recordings.groupings import read_groupings

NCC = {
    0: {
        "fine": (5.78, 5.65, 5.70, 5.62, 5.61, 5.53),
        "coarse": (13.14, 12.96, 12.89, 12.84, 12.83, 12.82),
        "sample": (10.20, 10.35, 10.33, 10.45, 10.51, 10.55),
    },
    200: {
        "fine": (10.79, 16.64, 22.72, 28.40, 35.66, 45.69),
        "coarse": (19.22, 24.46, 27.90, 32.07, 38.46, 54.47),
        "sample": (23.00, 47.19, 74.76, 94.20, 98.20, 98.94),
    },
}
LINEAR = {0: {"fine": 24.19, "coarse": 33.39}, 200: {"fine": 60.02, "coarse": 68.00}}
LINEAR_BY_LAYER = (27.47, 38.46, 45.96, 54.11, 58.33, 60.08)


@pytest.fixture(scope="module")
def reference() -> Recording:
    return open_recording("reference-vicreg-s0")


def measured(run: Recording, epoch: int, layer: str, level: str, measure: str = "ncc") -> float:
    where = {"epoch": epoch, "layer": layer, "level": level, "measure": measure, "split": "test"}
    [row] = run.select(**where).to_dict("records")
    assert row["by"] == "weights"
    return 100 * float(row["value"])


@pytest.mark.parametrize("epoch", [0, 200])
@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_ncc_accuracy_is_the_sources_within_half_a_point(
    reference: Recording, epoch: int, level: str
) -> None:
    found = [measured(reference, epoch, layer, level) for layer in reference.layers]
    assert found == pytest.approx(NCC[epoch][level], abs=0.5)


@pytest.mark.parametrize("epoch", [0, 200])
def test_the_sample_level_is_near_to_it_with_other_images_and_views(
    reference: Recording, epoch: int
) -> None:
    found = [measured(reference, epoch, layer, "sample") for layer in reference.layers]
    assert found == pytest.approx(NCC[epoch]["sample"], abs=5.0)
    if epoch == 200:
        assert found == sorted(found)  # as the source's: deeper layers know more samples


@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_linear_probes_are_within_two_points(reference: Recording, level: str) -> None:
    """After training. Before it the features have nearly one direction, and a probe takes long:
    scikit-learn's LogisticRegression on the fine classes has 27.7% of the training and 24.6% of the
    test images after 100 steps, as the source (27.3, 24.2), and 31.5% and 27.0% after 300, as here.
    """
    found = measured(reference, 200, reference.layers[-1], level, "linear")
    assert found == pytest.approx(LINEAR[200][level], abs=2.0)
    before = measured(reference, 0, reference.layers[-1], level, "linear")
    assert LINEAR[0][level] - 2.0 <= before <= LINEAR[0][level] + 4.0


def test_linear_probes_of_every_layer_are(reference: Recording) -> None:
    found = [measured(reference, 200, layer, "fine", "linear") for layer in reference.layers]
    assert found == pytest.approx(LINEAR_BY_LAYER, abs=2.0)


def test_files_are_those_that_run_json_tells_of(reference: Recording) -> None:
    told = reference.run["sha256"]
    there = {f.name for f in reference.path.iterdir()} - {"run.json"}
    assert set(told) == there
    for name, digest in told.items():
        assert hashlib.sha256((reference.path / name).read_bytes()).hexdigest() == digest, name


def test_features_stay_in_their_room(reference: Recording) -> None:
    assert (reference.path / "features.safetensors").stat().st_size < 9e6
    for layer in reference.layers:
        assert reference.kept_epochs(layer) == reference.epochs == (0, 1, 3, 10, 30, 100, 200)
    assert reference.kept_epochs(what="train") == (0, 200)


def test_measured_again_beside_what_was_recorded(reference: Recording) -> None:
    rows = ncc_rows(reference)
    assert len(rows) == 7 * 6 * 7  # epochs, layers, levels with their controls
    for row in rows:
        of_all = row["epoch"] in (0, 200)
        assert row["n_recorded"] == (10_000 if of_all else 2_000)
        kept = of_all and row["layer"] == reference.layers[-1]
        assert (row["n_train"], row["n_test"]) == (500 if kept else 0, 400)
        assert (row["ncc_train"] is None) != kept
        p = row["ncc_recorded"]
        assert row["ncc_test"] == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / 400))


def test_the_sample_level_is_of_one_kind_where_views_are_not_kept(reference: Recording) -> None:
    line = ncc_over_epochs(reference, ["sample"])
    assert line["epoch"].tolist() == list(reference.epochs)
    assert line["low"].isna().all()
    assert set(line["n"]) == {10_000}  # fresh views of 500 images, at the ends as between
    searched = ncc_over_epochs(reference, ["sample"], epochs=(0, 200))
    assert set(searched["n"]) == {400}
    assert (searched["low"] < searched["value"]).all()


def test_verdicts_take_counts_and_pages_search(reference: Recording) -> None:
    level, places = reference.hierarchy.level("coarse"), [(200, None)]
    [[live]] = recalls(reference, [level], places)
    [[counted]] = recalls(reference, [level], places, live=False)
    assert set(np.unique(live * 4)) <= set(range(5))  # of 4 kept images of a class
    assert set(np.unique((counted * 20).round(9))) <= set(range(21))  # of the 20 that came
    other = reference.hierarchy.level("random-coarse", 77)  # counted of no image
    assert np.array_equal(
        recalls(reference, [other], places), recalls(reference, [other], places, live=False)
    )
    assert (images_judged(reference), images_judged(reference, live=False)) == (400, 2000)


def test_kept_images_are_a_part_of_those_that_groupings_count(reference: Recording) -> None:
    found = read_groupings(reference)
    [own] = found.of("semantic")
    for (epoch, layer), hits in found.hits.items():
        assert found.images[epoch, layer].sum() == 2000
        of_2000 = hits[own].sum() / 2000
        few = reference.features(epoch, layer)
        assert len(few) < 2000
        if epoch in (0, 200):  # of all 10,000: within what 2,000 images leave open
            of_all = measured(reference, epoch, layer, "coarse") / 100
            assert of_2000 == pytest.approx(of_all, abs=4 * np.sqrt(of_all * (1 - of_all) / 2000))
