"""Maps of features, scenes of a few images, and the overview of a whole recording."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist
from sklearn.manifold import trustworthiness

from ssl_companion.chapters.analysis.accuracies import hits
from ssl_companion.chapters.analysis.feature_maps import (
    Overview,
    classes,
    neighbour_share,
    overview,
    umap_embedding,
    umap_series,
)
from ssl_companion.chapters.widgets.explorer import explorer, explorer_page, packed
from ssl_companion.measures import nearest_neighbours
from ssl_companion.recordings import Recording, RecordingError, group_means


@pytest.fixture(scope="module")
def clouds() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 25)
    return rng.normal(size=(75, 8)) + 8 * rng.normal(size=(3, 8))[labels], labels


@pytest.mark.slow  # UMAP compiles for a while
def test_clusters_stay_clusters_and_a_seed_fixes_the_map(
    clouds: tuple[np.ndarray, np.ndarray],
) -> None:
    features, labels = clouds
    points = umap_embedding(features)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(len(points))
    assert (labels[distances.argmin(axis=1)] == labels).all()
    assert points.std() == pytest.approx(1, abs=1e-4)
    np.testing.assert_array_equal(points, umap_embedding(features))
    turned = features @ np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
    first, second = umap_series([features, turned])
    np.testing.assert_array_equal(first, points)
    assert np.linalg.norm(first - second, axis=1).mean() < 1, "begun where the first one ended"


@pytest.mark.slow  # UMAP compiles for a while
def test_neighbours_that_were_found_already_make_a_map_as_good(
    clouds: tuple[np.ndarray, np.ndarray],
) -> None:
    # Not the same map: UMAP finds neighbours in float32, and a last digit moves points far.
    features = clouds[0]
    rows, distances = nearest_neighbours(features, 14)
    ours = umap_embedding(features, found=(rows, distances))
    np.testing.assert_array_equal(ours, umap_embedding(features, found=(rows, distances)))
    searched = trustworthiness(features, umap_embedding(features))
    assert trustworthiness(features, ours) == pytest.approx(searched, abs=0.03)
    others = np.random.default_rng(3).permuted(np.arange(75))[rows]
    wrong = umap_embedding(features, found=(others, distances))
    assert trustworthiness(features, wrong) < searched - 0.1, "it uses what it is given"


@pytest.mark.slow  # UMAP compiles for a while
def test_few_rounds_leave_the_points_near_where_they_begin_and_more_order_them(
    clouds: tuple[np.ndarray, np.ndarray],
) -> None:
    features = clouds[0]
    start = np.random.default_rng(2).normal(size=(75, 2))
    begun = (start - start.mean(axis=0)) / (start - start.mean(axis=0)).std()
    maps = {n: umap_embedding(features, start=start, rounds=n) for n in (1, 200)}
    near = {n: trustworthiness(begun, made) for n, made in maps.items()}
    order = {n: trustworthiness(features, made) for n, made in maps.items()}
    assert near[1] > near[200] + 0.1
    assert order[200] > order[1] + 0.1


def test_bad_input_is_refused(clouds: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"\(75, 8\); expected \[N, D\] with N > 80"):
        umap_embedding(clouds[0], neighbours=80)
    with pytest.raises(ValueError, match="start: shape"):
        umap_embedding(clouds[0], start=np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"found: shapes .*; expected \(75, 14\) twice"):
        umap_embedding(clouds[0], found=nearest_neighbours(clouds[0], 5))


@pytest.fixture(scope="module")
def whole(clusters: Recording) -> Overview:
    return overview(clusters, rounds=5)


@pytest.mark.slow  # UMAP compiles for a while
def test_neighbours_and_hits_equal_a_brute_force(whole: Overview, clusters: Recording) -> None:
    assert len(whole.snapshots) == len(clusters.layers) * len(clusters.epochs)
    for one in whole.snapshots[:: len(whole.snapshots) - 1]:
        x = clusters.features(one.epoch, one.layer).astype(np.float64)
        apart = cdist(x, x)
        np.fill_diagonal(apart, np.inf)
        expected = np.sort(apart, axis=1)[:, :5] / pdist(x).mean()
        np.testing.assert_allclose(one.distances, expected)
        found = np.take_along_axis(apart, one.nearest, axis=1) / pdist(x).mean()
        np.testing.assert_allclose(found, expected)
        assert one.points.shape == (len(x), 2)
        for level in clusters.hierarchy.levels:
            means = group_means(
                clusters.class_means(one.epoch, one.layer), clusters.class_counts, level
            )
            between = cdist(means, means) / pdist(means).mean()
            np.fill_diagonal(between, np.inf)
            groups = one.groups[level.name]
            np.testing.assert_allclose(
                groups.distances, np.sort(between, axis=1)[:, : groups.distances.shape[1]]
            )
            assert groups.right.sum() == hits(clusters, level, [one.epoch], one.layer).sum()


@pytest.mark.slow  # UMAP compiles for a while
def test_the_page_needs_nothing_outside_itself(whole: Overview) -> None:
    page = explorer(whole, "the-explorer", "A <caption>.").html
    assert page.count("<!--caption-->") == 2
    assert "A &lt;caption&gt;." in page
    assert page.count("</figure>") == page.count("</script>") == 1
    with pytest.raises(ValueError, match="name: "):
        explorer(whole, "Bad name", "A caption.")
    with pytest.raises(ValueError, match="epoch, layer: "):
        explorer(whole, "a", "A caption.", epoch=999)
    with pytest.raises(ValueError, match="chosen: 'unicorn'; expected a class, one of "):
        explorer(whole, "a", "A caption.", chosen="unicorn")
    assert 'data-photographs="0"' in page, "the stand-in has none"
    assert "data:image" not in page


class _Scripts(HTMLParser):
    """The scripts of a page, as HTML's grammar has them end."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.inside = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found.append(data)


@pytest.mark.slow  # UMAP compiles for a while
@pytest.mark.parametrize(
    "title", ["<!--<script>", "</script><script>alert(1)</script>", "<!--caption-->", "a \u2028 b"]
)
def test_no_title_ends_the_script_that_it_stands_in(whole: Overview, title: str) -> None:
    recording = copy.copy(whole.recording)
    recording.title = title
    page = explorer_page(dataclasses.replace(whole, recording=recording))
    (script,) = (text for text in _Scripts(page).found if '("explorer", ' in text)
    data = script.partition('("explorer", ')[2].strip().removesuffix(");")
    assert "<" not in data
    assert json.loads(data)["title"] == title


def test_a_recording_without_features_is_refused(write_synthetic) -> None:
    bare = write_synthetic("explorer-bare-s0", features=False)
    with pytest.raises(RecordingError, match="no points to show; choose"):
        overview(bare)


def test_named_classes_come_first_and_others_make_up_the_number(clusters: Recording) -> None:
    level = clusters.hierarchy.level("fine")
    last = level.class_names[-1].replace("_", " ")
    scene = classes(clusters, "fine", 3, seed=1, named=(last, "no such class"))
    assert scene.names[0] == last
    assert len(set(scene.names)) == 3
    own = clusters.features(clusters.epochs[0])[clusters.fine("test") == level.k - 1]
    shown = scene.features(clusters.epochs[0])[scene.labels == 0]
    assert {tuple(row) for row in own} <= {tuple(row) for row in shown}
    alone = classes(clusters, "fine", 1, named=(last, *scene.names[1:]))
    assert alone.names == (last,)


def test_packed_numbers_have_to_fit() -> None:
    assert packed(np.array([[0, 255]]))["bits"] == 8
    assert packed(np.array([256]))["bits"] == 16
    with pytest.raises(ValueError, match="expected 0 to 65535"):
        packed(np.array([-1]))


_NOWHERE = """
import importlib.util, sys
from numba.core import caching
for one in vars(caching).values():  # the folder beside UMAP cannot be written
    if isinstance(one, type) and hasattr(one, "_locator_classes"):
        kept = [c for c in one._locator_classes if "User" in c.__name__]
        one._locator_classes = kept
from ssl_companion.chapters.analysis import feature_maps
feature_maps.importlib.util.find_spec = lambda _: None
if sys.argv[1] == "asked":
    feature_maps._let_numba_write()
import umap
"""


@pytest.mark.slow  # imports UMAP twice
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_maps_are_drawn_where_neither_home_nor_the_packages_can_be_written(tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR")}
    where = clean | {"HOME": "/proc/nowhere", "TMPDIR": str(tmp_path)}
    done = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _NOWHERE, asked],
            env=where, capture_output=True, text=True, check=False,
        )
        for asked in ("not asked", "asked")
    ]  # fmt: skip
    assert "no locator available" in done[0].stderr, "as it was"
    assert done[1].returncode == 0, done[1].stderr
    assert list(tmp_path.glob("numba-*"))


def test_a_single_dimension_has_a_map_as_well() -> None:
    x = np.random.default_rng(0).normal(size=(40, 1)) + 9 * (np.arange(40) % 2)[:, None]
    points = umap_embedding(x, rounds=50)
    assert points.shape == (40, 2)
    assert neighbour_share(points, np.arange(40) % 2) > 0.9
    assert torch.get_num_threads() == 1, "as before"
