"""Networks beside pixels: values that are measured now, recorded ones, and their controls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.analysis import encoder_comparison, pixel_baselines
from ssl_companion.chapters.analysis.encoder_comparison import networks_and_pixels
from ssl_companion.chapters.analysis.pixel_baselines import BASELINE_COLUMNS, PIXELS, WHITENED
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings import Recording, group_means


@pytest.fixture
def with_baselines(
    clusters: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Recording]:
    """A recording, and a file of baselines of its training images."""
    of = clusters.run["data"]["train_fingerprint"]
    rows = [
        ("glyphs", 9, of, encoder, dims, level, value, 50)
        for encoder, dims, value in ((PIXELS, 3072, 0.25), (WHITENED, 8, 0.5))
        for level in clusters.hierarchy.names
    ]
    pixel_baselines.write_baselines(pd.DataFrame(rows, columns=list(BASELINE_COLUMNS)), tmp_path)
    from_file = functools.partial(pixel_baselines.compare_with_pixels, root=tmp_path)
    monkeypatch.setattr(encoder_comparison, "compare_with_pixels", from_file)
    return {"one": clusters}


@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_networks_are_measured_now_and_pixels_are_as_recorded(
    with_baselines: dict[str, Recording], level: str
) -> None:
    run = with_baselines["one"]
    table = networks_and_pixels(with_baselines, level).set_index("name")
    assert table.index.tolist() == [PIXELS, WHITENED, "one, untrained", "one, trained"]
    assert table["live"].tolist() == [False, False, True, True]
    assert table.loc[[PIXELS, WHITENED], "value"].tolist() == [0.25, 0.5]
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    epoch, chosen = run.kept_epochs()[-1], run.hierarchy.level(level)
    means = group_means(run.class_means(epoch), run.class_counts, chosen)
    rule = NearestCentroid.from_centroids(means)
    expected = rule.score(run.features(epoch), chosen.labels(run.fine("test")))
    assert table.loc["one, trained", "value"] == pytest.approx(expected)
    assert table.loc["one, trained", "recorded"] == run.value(
        epoch, run.layers[-1], level, "test", "ncc"
    )
    assert table.loc["one, trained", "n"] == len(run.fine("test"))


def test_the_control_is_chance_for_classes_and_less_than_the_level_above(
    with_baselines: dict[str, Recording],
) -> None:
    fine, coarse = (
        networks_and_pixels(with_baselines, level).set_index("name").loc["one, trained"]
        for level in ("fine", "coarse")
    )
    k = with_baselines["one"].hierarchy.level("fine").k
    assert fine["control"] == pytest.approx(1 / k, abs=0.5 / k)
    assert fine["control"] < fine["value"]
    assert 0 < coarse["control"] <= coarse["value"]


def test_without_baselines_there_are_networks_alone(
    write_synthetic: Callable[..., Recording],
) -> None:
    run = write_synthetic("comparison-alone-s0", kind="untrained")
    table = networks_and_pixels({"alone": run})
    assert table["name"].tolist() == ["alone, untrained", "alone, trained"]
    assert np.isfinite(table[["value", "low", "high", "control"]].to_numpy()).all()
