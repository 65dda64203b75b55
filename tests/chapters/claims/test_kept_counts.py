"""A recording that keeps counts in place of its features is judged as before, to the last digit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch

from ssl_companion.chapters.analysis import (
    depth_and_time,
    hierarchy,
    level_controls,
    random_targets,
)
from ssl_companion.chapters.analysis.balanced_accuracy import (
    epochs_judged,
    images_judged,
    recalls,
)
from ssl_companion.chapters.claims.kept_counts import counts_for_verdicts
from ssl_companion.chapters.claims.runs import is_looked_at
from ssl_companion.data.hierarchy import Hierarchy, random_grouping
from ssl_companion.recordings import Recording, RecordingError, open_recording
from ssl_companion.recordings.format import GROUPINGS_FILE
from ssl_companion.recordings.groupings import read_groupings, write_groupings
from ssl_companion.recordings.looks import LOOKS_FILE

ALONG = ("epoch", "depth", "depth before training")


def _dropped(run: Recording, to: Path) -> Recording:
    """A copy that keeps counts, and neither features nor the list of images."""
    folder = Path(shutil.copytree(run.path, to / run.name))
    if (beside := run.path.parent / LOOKS_FILE).exists():
        shutil.copy(beside, to)
    write_groupings(folder / GROUPINGS_FILE, counts_for_verdicts(open_recording(folder)))
    for name in ("features.safetensors", "subset.csv.gz"):
        (folder / name).unlink()
    return open_recording(folder)


@pytest.fixture(scope="module")
def thin(clusters: Recording, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return _dropped(clusters, tmp_path_factory.mktemp("thin"))


def test_the_advantages_are_the_same(clusters: Recording, thin: Recording) -> None:
    for level in hierarchy.upper_levels(clusters):
        for places in (
            random_targets.ends(clusters),
            depth_and_time.places_along(clusters, "depth"),
        ):
            kept, counted = (
                random_targets.advantage(run, level, places) for run in (clusters, thin)
            )
            for name in ("own", "own_draws", "others", "value", "draws"):
                np.testing.assert_array_equal(getattr(counted, name), getattr(kept, name))
        assert random_targets.growth_of_advantage(thin, level) == (
            random_targets.growth_of_advantage(clusters, level)
        )
        pd.testing.assert_frame_equal(
            random_targets.against_groupings(thin, level),
            random_targets.against_groupings(clusters, level),
        )


def test_so_are_their_growth_and_their_order(clusters: Recording, thin: Recording) -> None:
    pairs = [tuple(map(level_controls.growth_of_leads, (clusters, thin)))]
    for along in ALONG:
        assert depth_and_time.places_along(thin, along) == depth_and_time.places_along(
            clusters, along
        )
        pairs.append(tuple(level_controls.order_of_leads(run, along) for run in (clusters, thin)))
    for one, same in pairs:
        pd.testing.assert_frame_equal(one.table, same.table)
        assert one.least == same.least
        np.testing.assert_array_equal(one.lots, same.lots)


def test_epochs_and_images_are_those_that_were_kept(clusters: Recording, thin: Recording) -> None:
    assert epochs_judged(thin) == epochs_judged(clusters) == clusters.kept_epochs()
    assert epochs_judged(thin, "stem") == (0, 20)  # the first and the last that keep all
    assert images_judged(thin) == images_judged(clusters) == len(clusters.fine())
    assert is_looked_at(thin)
    assert is_looked_at(clusters)


def test_features_come_before_counts(clusters: Recording, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clusters.path, tmp_path / "both"))
    counts = counts_for_verdicts(clusters)
    none = {place: np.zeros_like(hits) for place, hits in counts.hits.items()}
    write_groupings(folder / GROUPINGS_FILE, replace(counts, hits=none))
    levels, places = [clusters.hierarchy.level("coarse")], [(20, None)]
    both = recalls(open_recording(folder), levels, places)
    np.testing.assert_array_equal(both, recalls(clusters, levels, places))


def test_what_was_not_counted_is_said_in_a_line(thin: Recording) -> None:
    level, last = thin.hierarchy.level("coarse"), thin.layers[-1]
    with pytest.raises(RecordingError) as raised:
        recalls(thin, [level, random_grouping(level, 200)], [(20, None)])
    said = str(raised.value)
    assert said.startswith(str(thin.path / GROUPINGS_FILE))
    assert "'random-coarse'; it has 1 of 'fine', 1 of 'coarse', " in said
    assert "100 of 'random-coarse'" in said
    assert "\n" not in said
    for place in ((4, "stem"), (3, None)):
        wanted = f"epoch {place[0]}, layer '{place[1] or last}'; there are 0/"
        with pytest.raises(RecordingError, match=wanted):
            recalls(thin, [level], [place])
    with pytest.raises(RecordingError):  # of training images there are none
        recalls(thin, [level], [(20, None)], "train")
    with pytest.raises(RecordingError, match="keeps no features"):
        thin.kept_epochs()


def test_a_class_without_an_image_is_left_out_of_both(clusters: Recording, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clusters.path, tmp_path / "with" / clusters.name))
    subset = pd.read_csv(folder / "subset.csv.gz")
    subset.loc[(subset["split"] == "test") & (subset["fine"] == 3), "fine"] = 4
    subset.to_csv(folder / "subset.csv.gz", index=False)
    run = open_recording(folder)
    levels, places = list(run.hierarchy.levels), random_targets.ends(run)
    kept, counted = (recalls(r, levels, places) for r in (run, _dropped(run, tmp_path)))
    np.testing.assert_array_equal(counted, kept)
    assert np.isnan(counted[..., 3]).all()
    assert np.isfinite(np.delete(counted, 3, axis=-1)).all()


def test_a_run_that_keeps_the_last_layer_alone_is_counted_there(
    clusters: Recording, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(clusters.path, tmp_path / "with" / clusters.name))
    path, last = folder / "features.safetensors", clusters.layers[-1]
    tensors = safetensors.torch.load_file(path)
    tensors = {name: x for name, x in tensors.items() if name.split("/")[1] == last}
    safetensors.torch.save_file(tensors, path)
    counts = read_groupings(_dropped(open_recording(folder), tmp_path))
    assert set(counts.hits) == {(epoch, last) for epoch in clusters.kept_epochs()}


def test_a_single_level_is_counted_too(clusters: Recording) -> None:
    run = open_recording(clusters.path)
    object.__setattr__(run, "hierarchy", Hierarchy("flat", clusters.hierarchy.levels[:1]))
    assert counts_for_verdicts(run).kinds.tolist() == ["fine"]


def test_the_same_counts_are_the_same_bytes(clusters: Recording, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_groupings(tmp_path / name, counts_for_verdicts(clusters))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_counts_of_other_classes_are_foreign(
    thin: Recording, tmp_path: Path, write_synthetic: Callable[..., Recording]
) -> None:
    run = write_synthetic("bare", tmp_path, features=False)
    assert not is_looked_at(run)
    counts = read_groupings(thin)
    fewer = {place: hits[:, :50] for place, hits in counts.hits.items()}
    write_groupings(
        run.path / GROUPINGS_FILE, replace(counts, groups=counts.groups[:, :50], hits=fewer)
    )
    with pytest.raises(RecordingError, match="truncated or foreign"):
        is_looked_at(open_recording(run.path))
