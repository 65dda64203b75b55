"""What the chapters' intervals are of: how many draws, of what, drawn together or apart."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import squareform

from ssl_companion.chapters.analysis import (
    accuracies,
    classifiers,
    clustering,
    collapse_signs,
    compression,
    conditional_entropy,
    depth_and_time,
    generality,
    hierarchy,
    interventions,
    level_controls,
    random_targets,
    visual_similarity,
)
from ssl_companion.chapters.analysis.balanced_accuracy import drawn_balanced, over_groupings
from ssl_companion.data.hierarchy import random_grouping
from ssl_companion.measures.resampling import draw_counts, percentiles, spearman
from ssl_companion.recordings import Recording
from ssl_companion.recordings.groupings import STARTS

# How often what is drawn by default, and from which seed on: the numbers on the pages are of these.
DEFAULTS: list[tuple[Callable[..., Any], str, int]] = [
    (clustering.ncc_over_epochs, "resamples", 1000),
    (clustering.gain, "resamples", 1000),
    (clustering.gain_on_permuted_labels, "shuffles", 20),
    (interventions.live_outcomes, "resamples", 1000),
    (classifiers.correlation, "resamples", 2000),
    (classifiers.correlation_ahead, "resamples", 2000),
    (classifiers.few_labels, "resamples", 500),
    (classifiers.few_labels, "draws", 10),
    (classifiers.correlations, "resamples", 2000),
    (random_targets.advantage, "resamples", 1000),
    (random_targets.advantage, "controls", 20),
    (random_targets.against_groupings, "resamples", 1000),
    (random_targets.against_groupings, "groupings", 20),
    (random_targets.grouping_accuracies, "groupings", 20),
    (random_targets.growth_of_advantage, "resamples", 1000),
    (random_targets.growth_of_advantage, "groupings", 20),
    (random_targets.growth_over_function, "resamples", 1000),
    (random_targets.live_growth_over_function, "resamples", 1000),
    (hierarchy.against_random, "groupings", 20),
    (hierarchy.against_chance, "groupings", 20),
    (hierarchy.growths, "groupings", 20),
    (hierarchy.tree_agreement, "shuffles", 30),
    (hierarchy.distance_by_kinship, "shuffles", 200),
    (level_controls.leads, "resamples", 1000),
    (level_controls.growth_of_leads, "resamples", 1000),
    (level_controls.order_of_leads, "resamples", 1000),
    (visual_similarity.ahead, "resamples", 1000),
    (visual_similarity.questions, "seed", 0),
    (generality.properties_with_intervals, "draws", 300),
    (compression.trajectories, "halves", 10),
    (compression.rate_given_shuffled, "shuffles", 5),
    (conditional_entropy.course, "halves", 40),
    (collapse_signs.through_training, "seed", 0),
]


@pytest.mark.parametrize(("function", "name", "expected"), DEFAULTS)
def test_the_numbers_on_the_pages_are_of_so_many_draws(
    function: Callable[..., Any], name: str, expected: int
) -> None:
    usual = {name: of.default for name, of in inspect.signature(function).parameters.items()}
    assert usual[name] == expected
    assert usual.get("seed", 0) == 0


def test_the_controls_are_so_many_and_those_of_the_recordings_come_first() -> None:
    assert accuracies.CONFIDENCE == 0.95
    assert generality.REFERENCE_GROUPINGS == 100
    assert collapse_signs.PERMUTATIONS == 20
    assert STARTS == 10
    assert len(set(level_controls.LOTS)) == 100
    assert level_controls.LOTS[:60] == (*range(20), *range(1000, 1040))


HITS = np.random.default_rng(0).random((30, 40)) < 0.6


@pytest.mark.parametrize(
    ("hits", "deviation"),
    [
        (np.repeat(HITS[:, :1], 40, axis=1), HITS[:, 0].std() / np.sqrt(30)),  # of the choice alone
        (np.repeat(HITS[:1], 30, axis=0), HITS[0].std() / np.sqrt(40)),  # of the images alone
    ],
)
def test_few_labels_draw_choices_and_images_each_on_their_own(
    hits: np.ndarray, deviation: float
) -> None:
    drawn = classifiers._drawn_again(hits.astype(float), 5000, 0)
    assert drawn.mean() == pytest.approx(hits.mean(), abs=0.01)
    assert drawn.std() == pytest.approx(deviation, rel=0.05)
    both = classifiers._drawn_again(HITS.astype(float), 5000, 0)
    rows, columns = HITS.mean(axis=1, keepdims=True), HITS.mean(axis=0)
    rest = (HITS - rows - columns + HITS.mean()).var()
    parts = rows.var() / 30 + columns.var() / 40 + rest / (30 * 40)
    assert both.var() == pytest.approx(parts, rel=0.15)


def test_fewer_than_three_pairs_have_no_correlation_and_three_have_one() -> None:
    x, y = [0.1, 0.2, 0.3], [1.0, 3.0, 2.0]
    for n, known in ((2, False), (3, True)):
        found = classifiers.correlation(x[:n], y[:n])
        assert np.isfinite(found.value) == known
        assert np.isfinite(classifiers.correlation_ahead(x[:n], y[:n], x[:n]).value) == known
    assert classifiers.correlation(x, y).value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_halves_spread_about_their_own_mean_and_stand_about_the_whole() -> None:
    drawn = np.array([1.0, 2.0, np.nan, 3.0, 6.0])
    low, high = percentiles(drawn[np.isfinite(drawn)] - 3.0)
    found = conditional_entropy._jackknife(10.0, drawn)
    assert (found.value, found.low, found.high) == pytest.approx((10.0, 10 + low, 10 + high))
    own = compression.Trajectories(
        "r", ("e",), (0, 1), np.array([[0.0, 10.0]]), np.stack([0 * drawn, drawn], -1)[:, None], 7
    )
    row = own._row({}, 10.0, drawn)
    assert (row["value"], row["low"], row["high"]) == pytest.approx((10.0, 10 + low, 10 + high))
    for value, of in ((10.0, drawn * np.nan), (np.nan, drawn)):
        unknown = conditional_entropy._jackknife(value, of)
        assert np.isnan([unknown.low, unknown.high]).all()


def test_an_interval_of_leads_holds_its_value() -> None:
    drawn = np.linspace(0, 1, 2001)
    for value, low, high in ((0.5, 0.025, 0.975), (-1.0, -1.0, 0.975), (2.0, 0.025, 2.0)):
        found = level_controls._interval(value, drawn)
        assert (found.value, found.low, found.high) == pytest.approx((value, low, high))
    nothing = level_controls._interval(0.5, np.empty(0))
    assert nothing.value == 0.5
    assert np.isnan([nothing.low, nothing.high]).all()


def test_least_is_sought_anew_in_each_draw() -> None:
    draws = [np.array([0.0, 1.0] * 500), np.array([1.0, 0.0] * 500)]
    names = [("coarse", level_controls.RANDOM), ("coarse", level_controls.PIXELS)]
    found = level_controls._against(names, [0.6, 0.5], draws, [np.ones(3), np.zeros(3)])
    assert found.least.value == 0.5
    assert (found.least.low, found.least.high) == (0.0, 0.5)  # zero in every draw; and its value
    assert found.table["value"].tolist() == [0.6, 0.5]
    assert not found.lots.any()


def test_leads_of_lots_are_over_the_other_lots() -> None:
    lots = np.array([[0.1, 0.2], [0.3, 0.1], [0.2, 0.9]])
    own = level_controls.Leads("coarse", np.array([0.5, 0.6]), {"random": lots}, {})
    for g in range(3):
        rest = np.delete(lots, g, axis=0).mean(axis=0)
        np.testing.assert_allclose(
            own.of_lots[level_controls.RANDOM][g], lots[g] - rest, atol=1e-12
        )


def test_orders_of_all_levels_at_once_are_those_of_each(
    clusters: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, kinds, by_level = np.random.default_rng(0), level_controls.CONTROL_KINDS, {}
    for i, name in enumerate(clusters.hierarchy.names[1:]):  # levels with 9, 8 and 7 lots
        others = {kind: rng.random((9 - i if kind == level_controls.RANDOM else 4, 6)).round(1)
                  for kind in kinds}  # fmt: skip
        draws = {kind: rng.random((6, 20)).round(1) for kind in kinds}
        by_level[name] = level_controls.Leads(name, rng.random(6), others, draws)
    monkeypatch.setattr(level_controls, "places_of", lambda *_: ())
    monkeypatch.setattr(level_controls, "leads", lambda _, name, *a, **k: by_level[name])
    found, each = level_controls.order_of_leads(clusters, "epoch"), list(by_level.values())
    lots = []
    for kind in kinds:
        values = [spearman(one.values[kind], np.arange(6)) for one in each]
        drawn = [[spearman(draw, np.arange(6)) for draw in one.draws[kind].T] for one in each]
        expected = level_controls._interval(float(np.mean(values)), np.mean(drawn, axis=0))
        assert found.each["mean of the levels", kind] == expected
        of_lots = [[spearman(lot, np.arange(6)) for lot in one.of_lots[kind][:7]] for one in each]
        lots.append(np.mean(of_lots, axis=0))
    np.testing.assert_array_equal(found.lots, np.min(lots, axis=0))


def test_an_order_takes_three_places() -> None:
    assert np.isnan(level_controls._order(np.zeros((4, 2)))).all()
    np.testing.assert_allclose(level_controls._order(np.array([[1.0, 2, 3], [3, 2, 1]])), [1, -1])


def test_groupings_and_classes_are_drawn_again_apart_from_each_other() -> None:
    rng = np.random.default_rng(0)
    found, groups = rng.random((4, 2, 12)), np.stack([rng.permutation(np.arange(12) % 3)] * 4)
    weights, times = draw_counts(12, 50, 0), draw_counts(4, 50, [0, 1])
    values, draws = over_groupings(found, groups, weights, times)
    for r in range(50):
        each = [
            drawn_balanced(f, of, weights[r : r + 1])[:, 0]
            for f, of in zip(found, groups, strict=True)
        ]
        again = np.repeat(each, times[r].astype(int), axis=0)
        np.testing.assert_allclose(draws[:, r], again.mean(axis=0), rtol=1e-12)
    assert values.shape == (4, 2)


def test_an_advantage_draws_the_same_classes_for_both_and_other_lots_for_groupings(
    clusters: Recording,
) -> None:
    level = clusters.hierarchy.level("coarse")
    others = [random_grouping(level, 5 + i) for i in range(3)]
    places = random_targets.ends(clusters)
    found = random_targets.advantage(clusters, level, places, 3, seed=5, resamples=40)
    weights, times = draw_counts(level.of_fine.size, 40, 5), draw_counts(3, 40, [5, 1])
    own = random_targets.recalls(clusters, [level, *others], places)
    lots = sum(
        drawn_balanced(own[1 + g], one.of_fine, weights) * times[:, g] / 3
        for g, one in enumerate(others)
    )
    np.testing.assert_allclose(found.own_draws, drawn_balanced(own[0], level.of_fine, weights))
    np.testing.assert_allclose(found.draws, found.own_draws - lots, atol=1e-12)
    grown = found.growth
    assert (grown.low, grown.high) == pytest.approx(percentiles(found.draws[-1] - found.draws[0]))
    # Were lots and classes of one stream, twenty groupings would be drawn as twenty classes are.
    assert not np.array_equal(draw_counts(20, 40, 5), draw_counts(20, 40, [5, 1]))


@pytest.mark.parametrize("subtract", [False, True])
def test_a_gain_is_of_the_same_images_before_and_after(clusters: Recording, subtract: bool) -> None:
    kept = clusters.kept_epochs()
    hit = accuracies.hits(clusters, "coarse", (kept[0], kept[-1]), "stem")
    first, last = (draw_counts(hit.shape[1], 1000, 3) @ row / hit.shape[1] for row in hit)
    drawn = last - first if subtract else last / first
    found = clustering.gain(clusters, "coarse", "stem", subtract=subtract, seed=3)
    assert (found.low, found.high) == pytest.approx(percentiles(drawn))
    first, last = hit.mean(axis=1)
    assert found.value == pytest.approx(last - first if subtract else last / first)
    outcome = interventions.live_outcomes
    assert inspect.signature(outcome).parameters["level"].default == "fine"


def test_permuted_labels_are_drawn_as_often_as_asked_and_again(clusters: Recording) -> None:
    found = clustering.gain_on_permuted_labels(clusters, shuffles=6, layer="stem", seed=2)
    rng = np.random.default_rng(2)
    y, z = clusters.fine("train"), clusters.fine("test")
    orders = [(rng.permutation(y), rng.permutation(z)) for _ in range(6)]
    kept = clusters.kept_epochs("stem", "train")
    both = np.array([
        [
            clustering.NearestCentroid()
            .fit(clusters.features(epoch, "stem", "train"), a)
            .score(clusters.features(epoch, "stem", "test"), b)
            for a, b in orders
        ]
        for epoch in (kept[0], kept[-1])
    ])  # fmt: skip
    first, last = both @ draw_counts(6, 1000, 2).T / 6
    assert found.value == pytest.approx(both[1].mean() / both[0].mean())
    assert (found.low, found.high) == pytest.approx(percentiles(last / first))


def test_a_forgotten_function_adds_nothing() -> None:
    of_classes = np.array([0.3, 0.2, 0.25, 0.4])
    fell = random_targets._beyond_function(of_classes, np.array([-0.5, -0.4, -0.1, -0.2]))
    assert (fell.value, fell.low) == pytest.approx((0.3, percentiles(of_classes[1:])[0]))
    grew = random_targets._beyond_function(of_classes, np.full(4, 0.1))
    assert grew.value == pytest.approx(0.2)
    assert (grew.low, grew.high) == pytest.approx(percentiles(of_classes[1:] - 0.1))


def test_accuracies_without_features_are_drawn_from_their_binomials(clusters: Recording) -> None:
    drawn = generality._redrawn(clusters, "fine", 4000, np.random.default_rng(0))
    table = depth_and_time.by_layer_and_epoch(clusters, ["fine"])
    p = table.pivot_table(index="depth", columns="epoch", values="value").to_numpy()
    n = int(table["n"].iloc[0])
    np.testing.assert_allclose(drawn.mean(axis=0), p, atol=5 * np.sqrt(0.25 / n / 4000))
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(p * (1 - p) / n), rtol=0.1, atol=1e-9)
    every = generality._drawn(clusters, "coarse", 50, np.random.default_rng(0))
    assert {len(of) for of in every.values()} == {50}


def test_shuffled_trees_give_the_middle_95_percent(clusters: Recording) -> None:
    epoch = clusters.epochs[-1]
    table = hierarchy.tree_agreement(clusters, [epoch], shuffles=12, seed=4).set_index("measure")
    upper = [level.of_fine for level in clusters.hierarchy.levels[1:]]
    rng = np.random.default_rng(4)
    orders = [rng.permutation(len(upper[0])) for _ in range(12)]
    means = clusters.class_means(epoch)
    drawn = [
        hierarchy.cophenetic_correlation(means, [level[order] for level in upper])
        for order in orders
    ]
    row = table.loc["cophenetic correlation"]
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    assert row["random"] == pytest.approx(np.mean(drawn))
    assert row["value"] == pytest.approx(hierarchy.cophenetic_correlation(means, upper))


def test_shuffled_kinship_gives_the_middle_95_percent(clusters: Recording) -> None:
    epoch = clusters.epochs[-1]
    table = hierarchy.distance_by_kinship(clusters, [epoch], shuffles=50, seed=4)
    apart = hierarchy.label_distances([v.of_fine for v in clusters.hierarchy.levels[1:]])
    square = squareform(apart)
    rng = np.random.default_rng(4)
    distances = hierarchy.pdist(clusters.class_means(epoch).astype(np.float64))
    distances /= distances.mean()
    drawn = []
    for _ in range(50):
        order = rng.permutation(len(square))
        other = squareform(square[np.ix_(order, order)])
        drawn.append(distances[other == 0].mean())
    row = table.iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_the_fine_level_draws_the_classes_that_the_levels_above_draw(clusters: Recording) -> None:
    epoch, level = clusters.epochs[-1], clusters.hierarchy.levels[0]
    table = hierarchy.against_chance(clusters, [epoch], groupings=4, seed=6)
    table = table[table["level"] == "fine"].set_index("target")
    [own] = random_targets.recalls(clusters, [level], [(epoch, None)])
    drawn = drawn_balanced(own, level.of_fine, draw_counts(level.k, seed=6))[0]
    others = hierarchy._permuted_hits(clusters, [epoch], None, 4, 6).mean(axis=2)[:, 0]
    lots = draw_counts(4, seed=6) @ others / 4
    for target, draws in (
        (hierarchy.CLASSES, drawn),
        (hierarchy.RANDOM, others),
        (hierarchy.ADVANTAGE, drawn - lots),
    ):
        row = table.loc[target]
        assert (row["low"], row["high"]) == pytest.approx(percentiles(draws)), target


def test_growths_are_over_the_lots_of_the_seed_and_after_it(clusters: Recording) -> None:
    level = clusters.hierarchy.level("coarse")
    lots = [random_grouping(level, seed) for seed in (6, 7, 8)]
    ends = random_targets.ends(clusters)
    expected = random_targets.advantage(clusters, "coarse", ends, lots, seed=6).growth
    row = hierarchy.growths(clusters, groupings=3, seed=6).iloc[0]
    assert (row["level"], row["control"]) == ("coarse", "classes shuffled")
    assert row["value"] == pytest.approx(expected.value)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))


def test_leads_draw_the_same_classes_for_all_kinds_and_each_kinds_lots_for_themselves(
    clusters: Recording,
) -> None:
    places = random_targets.ends(clusters)
    found = level_controls.leads(clusters, "coarse", places, seed=3, resamples=30)
    kinds = level_controls.groupings_against(clusters, "coarse")
    assert tuple(kinds) == level_controls.CONTROL_KINDS
    level = clusters.hierarchy.level("coarse")
    weights = draw_counts(level.of_fine.size, 30, 3)
    [own] = random_targets.recalls(clusters, [level], places, live=False)
    own_draws = drawn_balanced(own, level.of_fine, weights)
    for i, (kind, groups) in enumerate(kinds.items()):
        levels = [level_controls._level(of) for of in groups]
        each = random_targets.recalls(clusters, levels, places, live=False)
        times = draw_counts(len(groups), 30, [3, 1 + i])
        drawn = over_groupings(each, groups, weights, times)[1]
        np.testing.assert_allclose(found.draws[kind], own_draws - drawn, atol=1e-12)
    grown = level_controls.growth_of_leads(clusters, ["coarse"], seed=3, resamples=30)
    draws = [found.draws[kind][-1] - found.draws[kind][0] for kind in kinds]
    least = level_controls._interval(grown.least.value, np.min(draws, axis=0))
    assert (grown.least.low, grown.least.high) == pytest.approx((least.low, least.high))
