"""The dendrogram of class means against label trees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import pdist

from ssl_companion.measures import (
    cophenetic_correlation,
    cut_agreement,
    dendrogram,
    label_distances,
)

COARSE = np.arange(24) // 3  # 8 groups of 3
UPPER = np.arange(24) // 12  # 2 groups of 12
TREE = [np.arange(24), COARSE, UPPER]


def means_on_the_tree(steps: tuple[float, ...] = (1.0, 2.0, 6.0)) -> np.ndarray:
    """Means whose distances are those of the tree: one coordinate for each node."""
    return np.concatenate(
        [s * np.eye(g.max() + 1)[g] for g, s in zip(TREE, steps, strict=True)], axis=1
    )


def test_label_distances_count_the_levels_that_differ():
    found = label_distances([[0, 0, 1, 2], [0, 0, 0, 1]])
    #            01 02 03 12 13 23
    assert found.tolist() == [0, 1, 2, 1, 2, 2]


def test_a_tree_is_found_again_and_two_heights_correlate_fully():
    means = means_on_the_tree()
    assert cophenetic_correlation(means, TREE) > 0.9
    assert cut_agreement(means, COARSE) == pytest.approx(1.0)
    assert cut_agreement(means, UPPER) == pytest.approx(1.0)
    assert cophenetic_correlation(means_on_the_tree((1, 5, 0)), [COARSE]) == pytest.approx(1.0)


def test_equals_scipy_written_out():
    rng = np.random.default_rng(0)
    means = means_on_the_tree() + 2 * rng.standard_normal((24, 34))
    heights = cophenet(linkage(pdist(means), "average"))
    expected = np.corrcoef(heights, label_distances(TREE))[0, 1]
    assert cophenetic_correlation(means, TREE) == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(dendrogram(means), linkage(means, "average"), rtol=1e-9)


def test_permuted_classes_are_the_control():
    rng = np.random.default_rng(0)
    means = means_on_the_tree() + 0.3 * rng.standard_normal((24, 34))
    true = cophenetic_correlation(means, TREE), cut_agreement(means, COARSE)
    for _ in range(5):
        order = rng.permutation(24)
        assert abs(cophenetic_correlation(means[order], TREE)) < 0.5 < true[0]
        assert cut_agreement(means[order], COARSE) < 0.6 < true[1]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    log_scale=st.integers(-6, 6),
    shift=st.floats(-100, 100),
    method=st.sampled_from(["average", "complete", "ward", "single"]),
)
def test_rotation_shift_scale_and_names_change_nothing(seed, log_scale, shift, method):
    rng = np.random.default_rng(seed)
    means = means_on_the_tree() + rng.standard_normal((24, 34))
    rotation = np.linalg.qr(rng.standard_normal((34, 34)))[0]
    order = rng.permutation(24)
    moved = ((means @ rotation + shift) * 10.0**log_scale)[order]
    tree = [level[order] for level in TREE]
    expected = cophenetic_correlation(means, TREE, method)
    assert cophenetic_correlation(moved, tree, method) == pytest.approx(expected, rel=1e-7)
    expected = cut_agreement(means, COARSE, method)
    assert cut_agreement(moved, tree[1], method) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: dendrogram(m[:2]), "class_means: 2 rows"),
        (lambda m: dendrogram(m, "nearest"), "method: 'nearest'"),
        (lambda m: label_distances([]), "levels: empty"),
        (lambda m: label_distances([COARSE, UPPER[:5]]), r"levels\[1\]: 5 labels; expected 24"),
        (lambda m: label_distances([UPPER, COARSE]), r"levels\[1\]: splits group 0 of levels\[0\]"),
        (lambda m: label_distances([np.arange(24)]), "equally far apart"),
        (lambda m: cophenetic_correlation(m[:20], TREE), "levels: 24 classes; expected 20"),
        (lambda m: cophenetic_correlation(0 * m, TREE), "class_means: all classes join"),
        (lambda m: cophenetic_correlation(np.eye(24), TREE), "class_means: all classes join"),
        (lambda m: cut_agreement(m, COARSE[:20]), "level: 20 labels; expected 24"),
        (lambda m: cut_agreement(m, np.arange(24)), "level: 24 groups of 24 classes"),
        (lambda m: cut_agreement(m, 0 * COARSE), "level: 1 groups of 24 classes"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(means_on_the_tree())
