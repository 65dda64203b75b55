"""Superclasses against groups that merely look alike, on counts whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ssl_companion.chapters.analysis import level_controls, visual_similarity
from ssl_companion.chapters.analysis.balanced_accuracy import drawn_balanced
from ssl_companion.data.hierarchy import CIFAR100
from ssl_companion.measures.resampling import draw_counts, percentiles
from ssl_companion.recordings import Recording, RecordingError, open_recording
from ssl_companion.recordings.format import GROUPINGS_FILE
from ssl_companion.recordings.groupings import (
    PIXELS,
    RANDOM,
    SEMANTIC,
    UNTRAINED,
    WHITENED,
    Groupings,
    groupings_of,
    read_groupings,
    write_groupings,
)

EPOCHS, LAYERS = (0, 3, 30, 200), ("stem", "block1")
IMAGES = np.full(100, 40)
Keeping = Callable[[Groupings], Recording]


@lru_cache
def made_groupings() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    means = {kind: rng.normal(size=(100, 4)) for kind in (PIXELS, WHITENED, UNTRAINED)}
    return groupings_of(CIFAR100.level("coarse"), means, starts=3)


def counts(recall: dict[str, dict[tuple[int, str], float]]) -> Groupings:
    """Hits drawn so that every class has about the same recall under all groupings of a kind."""
    rng = np.random.default_rng(1)
    kinds, groups = made_groupings()
    hits = {}
    for place in ((e, layer) for e in EPOCHS for layer in LAYERS):
        rates = np.array([recall[kind][place] for kind in kinds])
        hits[place] = rng.binomial(IMAGES[0], np.repeat(rates[:, None], 100, axis=1))
    return Groupings("coarse", kinds, groups, dict.fromkeys(hits, IMAGES), hits)


def story(
    meaning: float, at: tuple[float, ...] = (0, 0, 0.5, 1), control: float = 0.0
) -> Groupings:
    """Looks come by epoch 3 and meaning by `at`, in the last layer alone; the stem stays."""
    flat = {(e, layer): 0.2 for e in EPOCHS for layer in LAYERS}
    by_looks = flat | {(e, "block1"): 0.2 + 0.2 * (e > 0) for e in EPOCHS}
    further = {(e, "block1"): meaning * share for e, share in zip(EPOCHS, at, strict=True)}
    semantic = {p: rate + further.get(p, 0.0) for p, rate in by_looks.items()}
    before = {p: rate + control * (p == (200, "block1")) for p, rate in by_looks.items()}
    return counts(
        {SEMANTIC: semantic, PIXELS: by_looks, WHITENED: by_looks, UNTRAINED: before, RANDOM: flat}
    )


@pytest.fixture
def keeping(clusters: Recording, tmp_path: Path) -> Keeping:
    """A recording that keeps these counts."""

    def make(found: Groupings) -> Recording:
        run = Recording(clusters.path)
        run.path = tmp_path
        run.layers, run.epochs = LAYERS, EPOCHS
        write_groupings(tmp_path / GROUPINGS_FILE, found)
        return run

    return make


def test_what_is_written_is_read(keeping: Keeping, tmp_path: Path) -> None:
    made = story(0.2)
    found = read_groupings(keeping(made))
    assert found.level == "coarse"
    assert found.kinds.tolist() == made.kinds.tolist()
    assert np.array_equal(found.groups, made.groups)
    for place in made.hits:
        assert np.array_equal(found.hits[place], made.hits[place])
        assert np.array_equal(found.images[place], IMAGES)
    (tmp_path / GROUPINGS_FILE).write_bytes((tmp_path / GROUPINGS_FILE).read_bytes()[:900])
    with pytest.raises(RecordingError, match="truncated or foreign"):
        read_groupings(_at(tmp_path))


def _at(path: Path) -> Recording:
    run = Recording.__new__(Recording)
    run.path, run.run = path, {}
    return run


def by_hand(found: Groupings, kind: str, place: tuple[int, str]) -> float:
    """Balanced accuracy under the groupings of a kind: the mean over groups of their classes' mean
    recall, and of that the mean."""
    shares = found.hits[place] / 40
    return float(
        np.mean(
            [
                np.mean([shares[g][found.groups[g] == k].mean() for k in range(20)])
                for g in np.flatnonzero(found.kinds == kind)
            ]
        )
    )


def test_a_lead_is_the_difference_of_balanced_accuracies() -> None:
    found, place = story(0.3), (200, "block1")
    values, draws = visual_similarity.ahead(found, WHITENED, [place])
    expected = by_hand(found, SEMANTIC, place) - by_hand(found, WHITENED, place)
    assert values[0] == pytest.approx(expected)
    assert draws.shape == (1, 1000)
    assert draws.mean() == pytest.approx(values[0], abs=0.02)


def test_the_same_classes_are_drawn_for_both_kinds_and_other_groupings_for_each() -> None:
    found, place = story(0.3), (200, "block1")
    draws = visual_similarity.ahead(found, WHITENED, [place], kind=PIXELS, seed=4, resamples=30)[1]
    classes = draw_counts(100, 30, 4)
    expected = 0.0
    for kind, sign, stream in ((PIXELS, 1, 2), (WHITENED, -1, 3)):
        times = draw_counts(3, 30, [4, stream])  # a stream of its own, none of the classes'
        for g, often in zip(np.flatnonzero(found.kinds == kind), times.T, strict=True):
            own = drawn_balanced(found.hits[place][g] / 40, found.groups[g], classes)
            expected = expected + sign * own * often / 3
    np.testing.assert_allclose(draws[0], expected, atol=1e-12)


def test_a_kind_against_itself_has_no_lead() -> None:
    values, draws = visual_similarity.ahead(story(0.3), SEMANTIC, [(200, "block1")])
    assert values[0] == 0
    assert np.allclose(draws, 0)


def test_one_grouping_drawn_again_is_itself() -> None:
    weights = draw_counts(100, 50)
    first, second = (
        visual_similarity.accuracies_of_kind(
            story(0.3), SEMANTIC, [(200, "block1")], weights, seed
        )[1]
        for seed in (0, 1)
    )
    assert np.array_equal(first, second)


def test_where_meaning_comes_later_and_deeper_all_is_as_asked(keeping: Keeping) -> None:
    asked = visual_similarity.questions(keeping(story(0.3)), 3)
    assert asked["met"].tolist() == [True] * 5
    assert asked["asked"].tolist() == ["above 0"] * 4 + ["not above 0"]
    assert all("lead over" in q or "over look-alikes" in q for q in asked["question"])
    assert not asked["question"].str.contains("the same|that lead").any(), "each is read by itself"


def test_the_questions_are_of_the_epochs_layers_and_kinds_that_they_name(keeping: Keeping) -> None:
    rng = np.random.default_rng(3)
    rates = {
        kind: {(e, layer): 0.2 + 0.5 * rng.random() for e in EPOCHS for layer in LAYERS}
        for kind in (SEMANTIC, PIXELS, WHITENED, UNTRAINED, RANDOM)
    }
    found = counts(rates)

    def grown(kind: str, than: str, until: int, layer: str = "block1") -> float:
        early, late = (
            by_hand(found, kind, (epoch, layer)) - by_hand(found, than, (epoch, layer))
            for epoch in (0, until)
        )
        return late - early

    asked = visual_similarity.questions(keeping(found), 30, seed=7)
    by_lot, by_looks = (grown(SEMANTIC, than, 200) for than in (RANDOM, WHITENED))
    early = grown(SEMANTIC, RANDOM, 30)
    assert asked["value"].tolist() == pytest.approx([
        early,
        by_looks,
        by_looks - grown(SEMANTIC, WHITENED, 200, "stem"),
        early / by_lot - grown(SEMANTIC, WHITENED, 30) / by_looks,
        grown(UNTRAINED, WHITENED, 200),
    ])  # fmt: skip
    # Differences and shares are of the same draws.
    places = {t: [(0, t), (30, t), (200, t)] for t in LAYERS}
    draws = {
        (than, layer): visual_similarity.ahead(found, than, places[layer], seed=7)[1]
        for than, layer in ((RANDOM, "block1"), (WHITENED, "block1"), (WHITENED, "stem"))
    }
    lot, looks, stem = ((d[1] - d[0], d[2] - d[0]) for d in draws.values())
    expected = [lot[0], looks[1], looks[1] - stem[1], lot[0] / lot[1] - looks[0] / looks[1]]
    for row, drawn in zip(asked.to_dict("records"), expected, strict=False):
        assert (row["low"], row["high"]) == pytest.approx(percentiles(drawn)), row["question"]


def test_a_question_is_met_where_its_whole_interval_is_above_zero(keeping: Keeping) -> None:
    asked = visual_similarity.questions(keeping(story(0.01)), 3)
    wanted = asked["asked"] == "above 0"
    unsure = (asked["value"] > 0) & (asked["low"] < 0)
    assert unsure.any()
    assert (asked["met"] == ((asked["low"] > 0) == wanted)).all()


@pytest.mark.parametrize(
    ("made", "missed"),
    [
        (story(0.0), "growth of the lead over look-alikes up to epoch 200"),
        (story(0.3, at=(0, 1, 1, 1)), "share of the growth"),
        (story(0.3, control=0.2), "control"),
    ],
    ids=["no meaning", "meaning at once", "a control that gains"],
)
def test_each_question_can_be_answered_otherwise(
    keeping: Keeping,
    made: Groupings,
    missed: str,
) -> None:
    asked = visual_similarity.questions(keeping(made), 3)
    assert any(q.startswith(missed) for q in asked.loc[~asked["met"], "question"])


def test_an_epoch_that_is_not_between(keeping: Keeping) -> None:
    run = keeping(story(0.3))
    for early in (0, 200, 7):
        with pytest.raises(ValueError, match=rf"early: {early}; expected one of \[3, 30\]"):
            visual_similarity.questions(run, early)


def test_maps_and_tables_have_every_place(keeping: Keeping) -> None:
    made = story(0.3)
    run = keeping(made)
    table = visual_similarity.ahead_table(run, (RANDOM, WHITENED), kind=PIXELS, seed=2)
    assert len(table) == 2 * len(EPOCHS) * len(LAYERS)
    assert set(table["n"]) == {4000}
    row = table[(table["than"] == "look-alikes by whitened pixels") & (table["epoch"] == 30)].iloc[
        -1
    ]
    assert (row["layer"], row["depth"]) == ("block1", 1)
    [value], [draws] = visual_similarity.ahead(
        made, WHITENED, [(30, "block1")], kind=PIXELS, seed=2
    )
    expected = (value, *percentiles(draws))
    assert (row["value"], row["low"], row["high"]) == pytest.approx(expected)
    wide = visual_similarity.lead_by_layer_and_epoch(run)
    assert wide.index.tolist() == list(LAYERS)
    assert wide.columns.tolist() == list(EPOCHS)
    lead = by_hand(made, SEMANTIC, (200, "stem")) - by_hand(made, WHITENED, (200, "stem"))
    assert wide.loc["stem", 200] == pytest.approx(lead)


def test_the_map_has_the_epochs_with_every_layer(keeping: Keeping) -> None:
    made = story(0.3)
    hits = {place: found for place, found in made.hits.items() if place != (30, "stem")}
    images = {place: made.images[place] for place in hits}
    wide = visual_similarity.lead_by_layer_and_epoch(
        keeping(replace(made, hits=hits, images=images))
    )
    assert wide.index.tolist() == list(LAYERS)
    assert wide.columns.tolist() == [0, 3, 200]


def test_likeness_is_the_rand_index_with_the_superclasses(keeping: Keeping) -> None:
    alike = visual_similarity.likeness(keeping(story(0.3))).set_index("groups")
    kinds, groups = made_groupings()
    assert len(alike) == 4
    for words, kind in (("random groupings", RANDOM), ("look-alikes by pixels", PIXELS)):
        of_kind = [
            adjusted_rand_score(CIFAR100.level("coarse").of_fine, own)
            for own in groups[kinds == kind]
        ]
        row = alike.loc[words]
        assert row["count"] == len(of_kind)
        assert row["value"] == pytest.approx(np.mean(of_kind))
        assert (row["low"], row["high"]) == (min(of_kind), max(of_kind))


def test_an_unknown_kind_or_place() -> None:
    with pytest.raises(ValueError, match="kind: 'smell'; expected one of semantic, random"):
        story(0.3).of("smell")
    with pytest.raises(RecordingError, match="none measured at epoch 5, layer 'stem'"):
        story(0.3).recalls((5, "stem"))


def test_the_growth_over_look_alikes_is_that_of_the_verdict_with_the_same_interval() -> None:
    run = open_recording("reference-vicreg-s0")
    asked = visual_similarity.questions(run, 3).iloc[1]
    judged = level_controls.growth_of_leads(run, ["coarse"]).each["coarse", WHITENED]
    assert (asked["value"], asked["low"], asked["high"]) == pytest.approx(
        (judged.value, judged.low, judged.high)
    )
