"""The explorer's numbers are those of the measures and of a float64 brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from ssl_companion.chapters.analysis.accuracies import hits
from ssl_companion.chapters.analysis.feature_maps import Overview, overview
from ssl_companion.chapters.widgets.explorer import explorer, packed
from ssl_companion.recordings import Recording, RecordingError, group_means


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
    with pytest.raises(ValueError, match="name="):
        explorer(whole, "Bad name", "A caption.")
    with pytest.raises(ValueError, match="not kept"):
        explorer(whole, "a", "A caption.", epoch=999)


def test_a_recording_without_features_is_refused(write_synthetic) -> None:
    bare = write_synthetic("explorer-bare-s0", features=False)
    with pytest.raises(RecordingError, match="no points to show; choose"):
        overview(bare)


def test_packed_numbers_have_to_fit() -> None:
    assert packed(np.array([[0, 255]]))["bits"] == 8
    assert packed(np.array([256]))["bits"] == 16
    with pytest.raises(ValueError, match="expected 0 to 65535"):
        packed(np.array([-1]))
