"""The claims about levels, on counts whose answer is known: meaning, looks, or neither."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.analysis import level_controls, random_targets
from ssl_companion.chapters.analysis.accuracies import NotRecorded
from ssl_companion.chapters.claims import Verdict, judge
from ssl_companion.chapters.claims.trajectory import _by_rulers
from ssl_companion.data.hierarchy import GLYPHS100, random_grouping
from ssl_companion.recordings import Recording, RecordingError, open_recording
from ssl_companion.recordings.format import GROUPINGS_FILE, LEVELS_FILE
from ssl_companion.recordings.group_accuracies import (
    GroupAccuracies,
    balanced_of_hits,
    write_group_accuracies,
)
from ssl_companion.recordings.groupings import (
    PIXELS,
    RANDOM,
    SEMANTIC,
    UNTRAINED,
    WHITENED,
    Groupings,
    write_groupings,
)

OWN = "clustering-vicreg-s0"
EPOCHS, IMAGES = (0, 1, 2, 4, 8, 20), np.full(100, 100)
UPPER = GLYPHS100.names[1:]
LEVELS = ("semantic-over-random", "hierarchy", "time", "depth")
LOOKS = {PIXELS: 0.15, WHITENED: 0.15, UNTRAINED: 0.05, RANDOM: 0.0}
Gains = Mapping[str, float]
Items = tuple[tuple[str, float], ...]
Write = Callable[..., Recording]
Plant = Callable[..., dict[str, Recording]]
R, P, U, N = Verdict.REPRODUCED, Verdict.PARTLY, Verdict.UNDECIDED, Verdict.NOT_REPRODUCED


def counts(gains: Gains, by_level: Gains, place: Gains | None, seed: int) -> Groupings:
    """Hits of every class: 20% before training and in the stem, and what a kind gains on top, with
    the epoch and with the depth. `by_level` is what a level's own meaning gains.

    With `place`, layers are also read with place kept, and gain what that says.
    """
    of_place = None if place is None else tuple(place.items())
    return _counts(tuple(gains.items()), tuple(by_level.items()), of_place, seed)


@functools.lru_cache(maxsize=32)  # most of the tests hold the same runs beside their own
def _counts(of_kinds: Items, of_levels: Items, of_place: Items | None, seed: int) -> Groupings:
    gains, by_level = dict(of_kinds), dict(of_levels)
    place = None if of_place is None else dict(of_place)
    rng, names, kinds, groups = np.random.default_rng(seed), [], [], []
    for name in UPPER:
        level = GLYPHS100.level(name)
        rows = {SEMANTIC: [level]} | {
            kind: [random_grouping(level, 100 * i + s) for s in range(30 if kind == RANDOM else 5)]
            for i, kind in enumerate(level_controls.CONTROL_KINDS)
        }
        for kind, of_kind in rows.items():
            names += [name if kind == SEMANTIC else f"{kind}-{name}"] * len(of_kind)
            kinds += [by_level[name] if kind == SEMANTIC else gains[kind]] * len(of_kind)
            groups += [one.of_fine for one in of_kind]
    layers = ("stem", *(f"block{i}" for i in range(1, 6)))
    hits = {}
    for e, epoch in enumerate(EPOCHS):
        for depth, layer in enumerate(layers):
            at = e / (len(EPOCHS) - 1) * (depth + 1) / len(layers)
            rates = 0.2 + at * np.array(kinds)
            hits[epoch, layer] = rng.binomial(100, np.repeat(rates[:, None], 100, axis=1))
            if place is not None and epoch == EPOCHS[-1]:
                rates = 0.2 + np.array([place.get(n, 0.0) for n in names]) * at
                for ruler in ("@2x2", "@flat"):
                    drawn = rng.binomial(100, np.repeat(rates[:, None], 100, axis=1))
                    hits[epoch, layer + ruler] = drawn
    return Groupings("", np.array(names), np.stack(groups), dict.fromkeys(hits, IMAGES), hits)


@pytest.fixture(scope="module")
def bare(write_synthetic: Write) -> Recording:
    return write_synthetic("levels-bare", features=False, epochs=EPOCHS, layers=6)


@pytest.fixture
def plant(bare: Recording, tmp_path: Path) -> Plant:
    """A trajectory and the runs whose answer is known."""

    def run(name: str, gains: Gains, meaning: float | Gains, place: Gains | None = None) -> None:
        made = open_recording(shutil.copytree(bare.path, tmp_path / name))
        by_level = meaning if isinstance(meaning, Mapping) else dict.fromkeys(UPPER, meaning)
        found = counts(gains, by_level, place, seed=len(list(tmp_path.iterdir())))
        write_groupings(made.path / GROUPINGS_FILE, found)

    def make(
        meaning: float | Gains,
        looks: Gains = LOOKS,
        supervised: float = 0.4,
        place: Gains | None = None,
    ) -> dict[str, Recording]:
        run(OWN, looks, meaning, place)
        meant = dict.fromkeys(UPPER, 0.3) if place is not None else None
        for seed in (0, 1, 2):
            run(f"controls-supervised-s{seed}", LOOKS, supervised, meant)
            for kind in ("by-lot", "collapsed", "untrained"):
                run(f"controls-{kind}-s{seed}", LOOKS, 0.0, {} if place is not None else None)
        return {path.name: open_recording(path) for path in tmp_path.iterdir() if path.is_dir()}

    return make


def verdicts(runs: dict[str, Recording]) -> dict[str, Verdict]:
    return {name: judge(name, runs).verdict for name in LEVELS}


def test_meaning_beyond_looks_is_reproduced(plant: Plant) -> None:
    runs = plant(0.4)
    # of the depth only one ruler is recorded
    assert verdicts(runs) == dict.fromkeys(LEVELS, R) | {"depth": P}
    row = judge("semantic-over-random", runs)
    assert row.evidence is not None
    [part] = row.evidence.parts
    assert part.effect.value == pytest.approx(0.25, abs=0.03)
    assert (part.pilot, part.over) == (True, "1 run: interval over 100 classes and their groupings")
    assert [control.answer for control in part.controls] == ["no", "yes", "no", "no", "no"]


@pytest.mark.parametrize("strongest", [PIXELS, WHITENED, UNTRAINED])
def test_classes_that_look_alike_and_do_not_mean_alike_are_not(
    plant: Plant, strongest: str
) -> None:
    looks = dict.fromkeys(LOOKS, 0.0) | {strongest: 0.4}
    runs = plant(0.4, looks)
    found = verdicts(runs)
    assert found["semantic-over-random"] is found["hierarchy"] is N
    assert R not in found.values()
    assert P not in found.values()
    table = level_controls.growth_of_leads(runs[OWN], UPPER[:1]).table
    assert table.loc[table["value"].idxmin(), "than"] == level_controls.WORDS[strongest]
    assert table["value"].max() > 0.3  # against groups by lot alone it would be


@pytest.mark.parametrize("meaning", [0.0, -0.2])
def test_nothing_is_reproduced_where_nothing_is_there(plant: Plant, meaning: float) -> None:
    found = verdicts(plant(meaning, dict.fromkeys(LOOKS, 0.0)))
    assert found["semantic-over-random"] is found["hierarchy"] is N
    assert set(found.values()) <= ({N} if meaning else {N, U})


def test_what_stands_still_has_no_order(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = plant(0.4)
    first = (EPOCHS[0], "block5")
    monkeypatch.setattr(level_controls, "places_of", lambda *_: (first,) * 5)
    found = level_controls.order_of_leads(runs[OWN], "epoch")
    assert np.isnan(found.least.value)
    assert judge("time", runs).verdict is U


def test_every_level_is_asked(plant: Plant) -> None:
    found = verdicts(plant(dict.fromkeys(UPPER, 0.4) | {UPPER[-1]: 0.1}))
    assert (found["semantic-over-random"], found["hierarchy"]) == (R, N)


@pytest.mark.parametrize(("supervised", "wanted"), [(0.4, R), (0.15, U)])
def test_a_rule_that_says_no_to_labels_tells_nothing(
    plant: Plant, supervised: float, wanted: Verdict
) -> None:
    found = verdicts(plant(0.4, supervised=supervised))
    assert found["hierarchy"] is found["time"] is wanted


@pytest.mark.parametrize(("place", "wanted"), [(0.4, R), (0.0, P)])
def test_depth_takes_both_rulers(plant: Plant, place: float, wanted: Verdict) -> None:
    row = judge("depth", plant(0.4, place=dict.fromkeys(UPPER, place)))
    assert row.verdict is wanted, row.note
    assert row.evidence is not None
    assert [part.what for part in row.evidence.parts] == [
        "by spatial means", "by means over quarters", "by whole maps"
    ]  # fmt: skip
    assert ("Together they come to partly" in row.note) is (wanted is P)
    assert row.pilot


@pytest.mark.parametrize(
    ("rulers", "found", "wanted"),
    [
        (["", "@2x2", "@flat"], [R, R, R], R),
        (["", "@2x2", "@flat"], [R, R, N], P),
        (["", "@2x2", "@flat"], [N, R, R], P),
        (["", ""], [R, R], P),
        (["", "", "@flat"], [R, N, R], P),
        (["", "@flat"], [P, N], N),
        (["", "@flat"], [U, U], U),
    ],
)
def test_by_one_ruler_only_is_partly(
    rulers: list[str], found: list[Verdict], wanted: Verdict
) -> None:
    assert _by_rulers(rulers, found) is wanted


def test_what_was_not_held_against_looks_is_passed_over(plant: Plant) -> None:
    runs = plant(0.4)
    path = runs[OWN].path / GROUPINGS_FILE
    found = counts(LOOKS, dict.fromkeys(UPPER, 0.4), None, 0)
    kept = np.array([not str(name).startswith(PIXELS) for name in found.kinds])
    hits = {place: of[kept] for place, of in found.hits.items()}
    write_groupings(
        path, replace(found, kinds=found.kinds[kept], groups=found.groups[kept], hits=hits)
    )
    level_controls.leads.cache_clear()
    run = open_recording(runs[OWN].path)
    with pytest.raises(NotRecorded, match="was not compared with groupings by looks"):
        level_controls.growth_of_leads(run)
    assert judge("hierarchy", {**runs, OWN: run}).verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize(
    ("classes", "function", "wanted"),
    [
        ((0.1, 0.4), (0.2, 0.1), 0.3),
        ((0.1, 0.4), (0.1, 0.35), 0.05),
        ((0.1, 0.05), (0.2, 0.0), -0.05),
    ],
)
def test_growth_over_a_random_function(
    write_synthetic: Write, tmp_path: Path,
    classes: tuple[float, float], function: tuple[float, float], wanted: float,
) -> None:  # fmt: skip
    run = write_synthetic(OWN, tmp_path, features=False)
    assert not random_targets.has_random_function(run)
    with pytest.raises(RecordingError, match="was not measured against a teacher"):
        random_targets.growth_over_function(run)
    rows = run.measures[run.measures["level"] != "fine"]
    more = [
        (epoch, run.layers[-1], level, "test", "ncc", values[i], 10_000)
        for level, values in (("fine", classes), ("teacher-000", function))
        for i, epoch in enumerate((0, 20))
    ]
    table = pd.concat([rows, pd.DataFrame(more, columns=rows.columns)])
    table.to_csv(run.path / "measures.csv.gz", index=False)
    found = random_targets.growth_over_function(open_recording(run.path))
    assert found.value == pytest.approx(wanted)
    assert found.low < wanted < found.high
    assert found.high - found.low < 0.06


def _as_accuracies(found: Groupings) -> GroupAccuracies:
    levels = [str(name).rpartition("-")[2] for name in found.kinds]
    kinds = [str(name).rpartition("-")[0] or SEMANTIC for name in found.kinds]
    balanced = {
        place: balanced_of_hits(hits, IMAGES, found.groups).astype(np.float32)
        for place, hits in found.hits.items()
    }
    return GroupAccuracies(np.array(levels), np.array(kinds), found.groups, balanced)


def test_seeds_of_which_accuracies_were_kept_are_judged_together(
    plant: Plant, bare: Recording, tmp_path: Path
) -> None:
    place = dict.fromkeys(UPPER, 0.3)
    runs = plant(0.4, place=place)
    for seed, meaning in enumerate((0.36, 0.4, 0.44)):
        name = f"controls-recipe-s{seed}"
        folder = Path(shutil.copytree(bare.path, tmp_path / name))
        found = counts(LOOKS, dict.fromkeys(UPPER, meaning), place, 50 + seed)
        write_group_accuracies(folder / LEVELS_FILE, _as_accuracies(found))
        runs[name] = open_recording(folder)
        both = Path(shutil.copytree(bare.path, tmp_path / f"counted-{seed}"))
        write_groupings(both / GROUPINGS_FILE, found)
        for measure in (
            level_controls.growth_of_leads,
            lambda run: level_controls.order_of_leads(run, "depth", "@flat"),
        ):
            kept, counted = map(measure, (runs[name], open_recording(both)))
            assert kept.least.value == pytest.approx(counted.least.value, abs=1e-4)
            assert np.isnan(kept.least.low)
    for name, parts in (("hierarchy", 2), ("depth", 6)):
        row = judge(name, runs)
        assert row.evidence is not None
        assert len(row.evidence.parts) == parts
        assert row.verdict is R, row.note
        assert not row.pilot
        last = row.evidence.parts[-1]
        assert (last.over, last.size, last.pilot) == ("3 seeds", "small size", False)
        values = [
            (level_controls.growth_of_leads(runs[one]) if name == "hierarchy" else
             level_controls.order_of_leads(runs[one], "depth", "@flat")).least.value
            for one in last.recordings
        ]  # fmt: skip
        assert last.effect.value == pytest.approx(np.mean(values))
        assert last.effect.low <= min(values)
