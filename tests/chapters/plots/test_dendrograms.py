"""The drawings of trees: strips in the order of the leaves, colours by group."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from scipy.cluster import hierarchy as scipy_hierarchy

from ssl_companion.chapters.analysis.hierarchy import Tree, order_by_groups
from ssl_companion.chapters.plots import dendrograms
from ssl_companion.data.hierarchy import CIFAR100

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


def test_lines_below_a_tree_have_colours_of_their_own() -> None:
    figure = dendrograms.tree_and_agreement(small_tree(), agreement(), mark=1, title="t")
    strips = np.asarray(figure.axes[1].images[0].get_array()).reshape(-1, 3)
    lines = [line for line in figure.axes[3].lines if line.get_marker() != "None"]
    for line in lines:
        assert (np.abs(strips - to_rgb(line.get_color())).max(axis=1) > 0.05).all()
    assert len({(line.get_linestyle(), line.get_color()) for line in lines}) == len(lines)


def test_similarities_stand_in_the_order_of_the_label_tree() -> None:
    order = order_by_groups(CIFAR100)
    similarity = np.random.default_rng(0).uniform(-1, 1, (100, 100))
    axis = dendrograms.similarities(similarity, CIFAR100, title="t").axes[0]
    np.testing.assert_array_equal(axis.images[0].get_array(), similarity[np.ix_(order, order)])
    named = [label.get_text() for label in axis.get_yticklabels()]
    assert len(set(named)) == 20
    coarse = CIFAR100.level("coarse")
    at = int(axis.get_yticks()[named.index("trees")])
    assert coarse.class_names[coarse.of_fine[order][at]] == "trees"
    bounds = {float(line.get_ydata()[0]) for line in axis.lines if line.get_linewidth() > 1}
    assert len({b for b in bounds if b > 0}) == 6  # between seven groups


def test_a_branch_names_its_classes_and_marks_the_kin() -> None:
    panel = dendrograms.named_branch(small_tree(), "a", "five classes")
    root = ElementTree.fromstring(panel.svg("branch"))
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "five classes"
    assert sorted(texts[1:]) == list("abcde")
    near = texts[1:].index("c"), texts[1:].index("d")  # the first to join stand together
    assert abs(near[0] - near[1]) == 1
    assert panel.svg("branch").count("<circle") == 2  # a and e are of one group
    assert "a (p)" in panel.description


def test_a_branch_of_one_class_is_drawn_too() -> None:
    whole = small_tree()
    alone = Tree(whole.linkage[:0], ("a",), {"coarse": np.array([0])}, NAMES)
    assert "a (p)" in dendrograms.named_branch(alone, "a", "one class").description
