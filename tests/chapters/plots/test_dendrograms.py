"""The drawings of trees: strips in the order of the leaves, colours by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy as scipy_hierarchy

from ssl_companion.chapters.analysis.hierarchy import Tree
from ssl_companion.chapters.plots import dendrograms

GROUPS = {"coarse": np.array([0, 1, 2, 3, 0]), "middle": np.array([0, 0, 1, 1, 0]),
          "top": np.array([0, 0, 1, 1, 0])}  # fmt: skip
NAMES = {"coarse": ("p", "q", "r", "s"), "middle": ("m", "n"), "top": ("x", "y")}


def small_tree() -> Tree:
    points = np.array([[0.0], [1.0], [5.0], [5.5], [0.2]])
    return Tree(scipy_hierarchy.linkage(points, "average"), tuple("abcde"), GROUPS, NAMES)


def agreement() -> pd.DataFrame:
    rows = [(e, m, 0.1 * (e + 1), -0.1, 0.1) for e in (0, 1) for m in ("cophenetic", "cut")]
    return pd.DataFrame(rows, columns=["epoch", "measure", "value", "low", "high"])


def test_strips_follow_the_leaves_and_tell_groups_apart() -> None:
    own = small_tree()
    figure = dendrograms.tree_and_agreement(own, agreement(), mark=1, title="t")
    strips = np.asarray(figure.axes[1].images[0].get_array())
    leaves = scipy_hierarchy.leaves_list(own.linkage)
    assert strips.shape == (3, 5, 3)
    for row, name in enumerate(GROUPS):
        colours = [tuple(c) for c in strips[row]]
        groups = GROUPS[name][leaves].tolist()
        assert len(set(zip(colours, groups, strict=True))) == len(set(groups))
        assert len(set(colours)) == len(set(groups))


def test_the_mark_is_at_the_epoch_and_every_measure_has_a_line() -> None:
    figure = dendrograms.tree_and_agreement(small_tree(), agreement(), mark=1, title="t")
    below = figure.axes[3]
    labels = [str(line.get_label()) for line in below.lines]
    assert {"cophenetic", "cut"} <= set(labels)
    assert any(set(np.ravel(line.get_xdata())) == {1.0} for line in below.lines)


def test_a_panel_a_level_with_its_own_and_its_control() -> None:
    rows = [(e, level, target, 0.3, 0.2, 0.4) for e in (0, 1) for level in ("a", "b", "c")
            for target in ("semantic", "random")]  # fmt: skip
    table = pd.DataFrame(rows, columns=["epoch", "level", "target", "value", "low", "high"])
    figure = dendrograms.panels_of_levels(table, y_label="accuracy")
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["a", "b", "c", ""]
    assert all(len(axis.lines) == 2 for axis in figure.axes[:3])


def test_distances_have_a_line_an_epoch() -> None:
    rows = [(e, meet, 1.0 + e, 0.9, 1.1) for e in (0, 5) for meet in ("coarse", "nowhere")]
    table = pd.DataFrame(rows, columns=["epoch", "meet", "value", "low", "high"])
    axis = dendrograms.distances_by_kinship(table).axes[0]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["coarse", "nowhere"]
    assert {"epoch 0", "epoch 5"} <= {str(line.get_label()) for line in axis.lines}
