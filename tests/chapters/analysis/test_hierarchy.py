"""Levels against their controls, on features whose clusters are made."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.analysis import hierarchy as analysis
from ssl_companion.chapters.analysis.hierarchy import Tree, tree
from ssl_companion.data.hierarchy import CIFAR100, GLYPHS100, Hierarchy
from ssl_companion.recordings import Recording


@pytest.mark.parametrize("hierarchy", [CIFAR100, GLYPHS100])
def test_shuffled_groups_keep_superclasses_whole_and_sizes(hierarchy: Hierarchy) -> None:
    coarse = hierarchy.levels[1]
    for name in hierarchy.names[2:]:
        own = hierarchy.level(name)
        shuffled = analysis.shuffled_groups(hierarchy, name, seed=3)
        pairs = set(zip(coarse.of_fine.tolist(), shuffled.of_fine.tolist(), strict=True))
        assert len(pairs) == coarse.k
        assert sorted(shuffled.sizes) == sorted(own.sizes)
        assert not np.array_equal(shuffled.of_fine, own.of_fine)


def test_superclasses_cannot_be_shuffled_within_themselves() -> None:
    with pytest.raises(ValueError, match="expected one above 'coarse'"):
        analysis.shuffled_groups(CIFAR100, "coarse", 0)


def test_table_and_lineage_say_what_the_hierarchy_is() -> None:
    table = analysis.table_of_levels(CIFAR100).set_index("level")
    assert table["groups"].tolist() == [100, 20, 7, 2]
    assert table.loc["living", "blind"] == pytest.approx(0.65)
    assert analysis.lineage(CIFAR100, "maple_tree") == ("maple_tree", "trees", "plants", "living")
    with pytest.raises(ValueError, match="expected one of apple"):
        analysis.lineage(CIFAR100, "unicorn")


def test_the_control_of_the_fine_level_stays_at_chance(clusters: Recording) -> None:
    table = analysis.against_chance(clusters, groupings=5)
    assert set(table["level"]) == set(clusters.hierarchy.names)
    fine = table[table["level"] == "fine"].set_index(["target", "epoch"])["value"]
    last = clusters.epochs[-1]
    # 5 x 1000 guesses at 1%: four standard deviations are half a per cent and a bit
    assert fine[analysis.RANDOM, last] == pytest.approx(0.01, abs=0.006)
    gap = fine[analysis.CLASSES, last] - fine[analysis.RANDOM, last]
    assert fine[analysis.ADVANTAGE, last] == pytest.approx(gap)


def test_growth_is_found_where_it_was_made_and_nowhere_else(
    clusters: Recording, untrained: Recording
) -> None:
    table = analysis.growths(clusters, groupings=5).set_index(["control", "level"])
    upper = set(clusters.hierarchy.names[1:])
    assert set(table.loc["classes shuffled"].index) == upper
    assert set(table.loc["superclasses shuffled"].index) == upper - {"coarse"}
    assert (table["low"] > 0).all()  # the synthetic centres have structure at every level
    none = analysis.growths(untrained, groupings=5)
    assert (none[["value", "low", "high"]].to_numpy() == 0).all()


def test_distances_by_kinship_against_a_loop(clusters: Recording) -> None:
    table = analysis.distance_by_kinship(clusters, shuffles=20).set_index(["epoch", "meet"])
    epoch = clusters.epochs[-1]
    means = clusters.class_means(epoch).astype(np.float64)
    found: dict[str, list[float]] = {}
    for a, b in combinations(range(len(means)), 2):
        meet = next(
            (level.name for level in clusters.hierarchy.levels[1:]
             if level.of_fine[a] == level.of_fine[b]), "nowhere",
        )  # fmt: skip
        found.setdefault(meet, []).append(float(np.linalg.norm(means[a] - means[b])))
    everything = np.mean([d for distances in found.values() for d in distances])
    for meet, distances in found.items():
        assert table.loc[(epoch, meet), "value"] == pytest.approx(np.mean(distances) / everything)
        assert table.loc[(epoch, meet), "pairs"] == len(distances)
    line = table.loc[epoch]
    assert line.loc["coarse", "value"] < line.loc["coarse", "low"]
    assert line.loc["nowhere", "value"] > line.loc["nowhere", "high"]


def test_first_joined_names_the_twins() -> None:
    joints = np.array([[0, 1, 0.1, 2], [2, 3, 0.2, 2], [4, 5, 1.0, 4]], dtype=float)
    own = Tree(joints, ("a_1", "b", "c", "d"), {"pairs": np.array([0, 0, 1, 2])}, {})
    table = analysis.first_joined(own)
    assert table[["one", "other", "meet"]].values.tolist() == [
        ["a 1", "b", "pairs"], ["c", "d", "nowhere"],
    ]  # fmt: skip
    assert len(analysis.first_joined(own, 1)) == 1


def test_trees_of_recordings_have_their_twins(clusters: Recording) -> None:
    twins = analysis.first_joined(tree(clusters), 5)
    assert (twins["meet"] != "nowhere").all()


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.1, 0.2, "grew"), (-0.2, -0.1, "shrank"), (-1, 1, "chance")]
)
def test_what_an_interval_says(low: float, high: float, word: str) -> None:
    assert word in analysis.change(low, high)


def test_a_branch_is_the_tree_of_its_classes() -> None:
    linkage = np.array([[0, 1, 1.0, 2], [2, 3, 2.0, 2], [5, 6, 3.0, 4], [4, 7, 9.0, 5]])
    whole = Tree(linkage, tuple("abcde"), {"coarse": np.array([0, 0, 1, 1, 2])}, {"coarse": ("",)})
    part = analysis.branch(whole, "d", most=4)
    assert part.names == tuple("abcd")
    np.testing.assert_array_equal(part.linkage, [[0, 1, 1, 2], [2, 3, 2, 2], [4, 5, 3, 4]])
    np.testing.assert_array_equal(part.groups["coarse"], [0, 0, 1, 1])
    small = analysis.branch(whole, "d", most=3)
    assert small.names == tuple("cd")
    np.testing.assert_array_equal(small.linkage, [[0, 1, 2, 2]])
    alone = analysis.branch(whole, "e", most=4)  # it joins the rest by itself
    assert (alone.names, alone.linkage.shape) == (("e",), (0, 4))
    np.testing.assert_array_equal(whole.linkage, linkage)
    with pytest.raises(ValueError, match="expected one of a, b"):
        analysis.branch(whole, "f")


def test_similarities_are_cosines_of_centred_means(clusters: Recording) -> None:
    last = clusters.kept_epochs()[-1]
    found = analysis.similarity_of_means(clusters, last)
    means = _centred(clusters, last)
    own = means[3] @ means[8] / np.linalg.norm(means[3]) / np.linalg.norm(means[8])
    assert found[3, 8] == pytest.approx(own)
    np.testing.assert_allclose(np.diag(found), 1)


def _centred(recording: Recording, epoch: int) -> np.ndarray:
    means = recording.class_means(epoch).astype(np.float64)
    return np.asarray(means - means.mean(axis=0))


def test_similarity_is_averaged_over_the_pairs_of_a_kind() -> None:
    coarse, living = CIFAR100.level("coarse").of_fine, CIFAR100.level("living").of_fine
    same = coarse[:, None] == coarse[None]
    similarity = np.where(same, 0.8, np.where(living[:, None] == living[None], 0.2, -0.4))
    table = analysis.similarity_by_kinship(similarity, CIFAR100).set_index("meet")
    assert list(table.index) == ["coarse", "seven", "living", "nowhere"]
    np.testing.assert_allclose(table["mean"], [0.8, 0.2, 0.2, -0.4])
    assert table["alike"].tolist() == [1, 0, 0, 0]
    assert table["pairs"].sum() == 100 * 99 / 2
    assert table.loc["coarse", "pairs"] == 20 * 10


@pytest.mark.parametrize("hierarchy", [CIFAR100, GLYPHS100])
def test_the_order_keeps_the_groups_of_every_level_together(hierarchy: Hierarchy) -> None:
    order = analysis.order_by_groups(hierarchy)
    assert sorted(order) == list(range(hierarchy.levels[0].k))
    for level in hierarchy.levels:
        assert np.count_nonzero(np.diff(level.of_fine[order])) == level.k - 1


def agreement(**ends: tuple[float, float]) -> pd.DataFrame:
    names = {"whole": "cophenetic correlation"}
    return pd.DataFrame(
        [
            {"epoch": epoch, "value": value, "low": -0.02, "high": 0.02,
             "measure": names.get(name, f"adjusted mutual information, {name}")}
            for epoch in (0, 200) for name, values in ends.items()
            for value in [values[epoch > 0]]
        ]
    )  # fmt: skip


def test_words_on_the_tree_tell_the_whole_from_its_cuts() -> None:
    said = analysis.agreement_in_words(
        agreement(whole=(0.12, 0.39), coarse=(0.22, 0.15), seven=(0.21, 0.02))
    )
    assert "better with the tree of labels: the cophenetic correlation goes from 0.12 to" in said
    assert "at *coarse* (0.22 to 0.15) and at *seven* (0.21 to 0.02); at *seven* hardly" in said
    said = analysis.agreement_in_words(agreement(whole=(0.39, 0.12), coarse=(0.1, 0.3)))
    assert "no better" in said
    assert "But" not in said
