"""Superclasses against groups that merely look alike, on counts whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssl_companion.chapters.analysis import visual_similarity
from ssl_companion.data.hierarchy import CIFAR100
from ssl_companion.measures.resampling import draw_counts
from ssl_companion.recordings import Recording, RecordingError
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


def counts(recall: dict[str, dict[tuple[int, str], float]], seed: int = 0) -> Groupings:
    """Hits drawn so that every class has about the same recall under all groupings of a kind."""
    rng = np.random.default_rng(seed)
    level = CIFAR100.level("coarse")
    means = {kind: rng.normal(size=(100, 4)) for kind in (PIXELS, WHITENED, UNTRAINED)}
    kinds, groups = groupings_of(level, means, starts=3)
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


def test_a_lead_is_the_difference_of_balanced_accuracies() -> None:
    found, place = story(0.3), (200, "block1")
    values, draws = visual_similarity.ahead(found, WHITENED, [place])
    recalls = found.recalls(place)
    brute = []
    for g in range(len(found.kinds)):  # the mean over groups of their classes' mean recall
        own = found.groups[g]
        brute.append(np.mean([recalls[g][own == k].mean() for k in range(20)]))
    of_kind = [np.mean([b for b, k in zip(brute, found.kinds, strict=True) if k == kind])
               for kind in (SEMANTIC, WHITENED)]  # fmt: skip
    assert values[0] == pytest.approx(of_kind[0] - of_kind[1])
    assert draws.shape == (1, 1000)
    assert draws.mean() == pytest.approx(values[0], abs=0.02)


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
    assert asked["value"][1] == pytest.approx(0.3, abs=0.03)
    assert asked["asked"].tolist() == ["above 0"] * 4 + ["not above 0"]


@pytest.mark.parametrize(
    ("made", "missed"),
    [
        (story(0.0), "growth over groups by looks until epoch 200"),
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
    for early in (0, 200, 7):
        with pytest.raises(ValueError, match=rf"early: {early}; expected one of \[3, 30\]"):
            visual_similarity.questions(keeping(story(0.3)), early)


def test_maps_and_tables_have_every_place(keeping: Keeping) -> None:
    run = keeping(story(0.3))
    table = visual_similarity.ahead_table(run)
    assert len(table) == 4 * len(EPOCHS) * len(LAYERS)
    assert (table["low"] <= table["high"]).all()
    assert set(table["n"]) == {4000}
    wide = visual_similarity.lead_by_layer_and_epoch(run)
    assert wide.index.tolist() == list(LAYERS)
    assert wide.columns.tolist() == list(EPOCHS)
    alike = visual_similarity.likeness(run).set_index("groups")
    assert alike["count"].tolist() == [20, 3, 3, 3]
    assert alike["value"].abs().max() < 0.1  # of noise


def test_an_unknown_kind_or_place() -> None:
    with pytest.raises(ValueError, match="kind: 'smell'; expected one of semantic, random"):
        story(0.3).of("smell")
    with pytest.raises(RecordingError, match="none measured at epoch 5, layer 'stem'"):
        story(0.3).recalls((5, "stem"))
