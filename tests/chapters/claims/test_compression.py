"""Compression is told from loss, and from what has no part in it, on runs whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.analysis.accuracies import NotRecorded
from ssl_companion.chapters.claims import compression, known
from ssl_companion.chapters.claims.compression import IN_CLASS, VIEW, MeasuredEntropies, compresses
from ssl_companion.chapters.claims.decision import Verdict
from ssl_companion.chapters.claims.evidence import Part
from ssl_companion.recordings import Recording, open_recording

KINDS = {"supervised": "clusters", "by-lot": "permuted", "collapsed": "collapsed",
         "untrained": "untrained", "recipe": "clusters"}  # fmt: skip
OWN = "clustering-vicreg-s0"
SHORT = {"epochs": (0, 20), "layers": 1}


@pytest.fixture(scope="module")
def answers(
    write_synthetic: Callable[..., Recording],
    add_entropies: Callable[..., Recording],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Recording]:
    """The known answers, with their entropies in their tables and without features."""
    root, found = tmp_path_factory.mktemp("answers"), {}
    for kind, story in KINDS.items():
        strength = 1.0 if kind == "supervised" else 0.7
        for seed in (0, 1, 2) if kind != "untrained" else (0,):
            name = f"controls-{kind}-s{seed}"
            run = write_synthetic(name, root, kind=story, seed=seed, strength=strength, **SHORT)
            found[name] = add_entropies(run)
            (run.path / "features.safetensors").unlink()
    return found


@pytest.fixture(scope="module")
def own(
    write_synthetic: Callable[..., Recording], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Recording]:
    """A run of full size, with features, of a story."""

    def write(story: str) -> Recording:
        root = tmp_path_factory.mktemp("own")
        return write_synthetic(OWN, root, kind=story, strength=0.7, **SHORT)

    return write


def _parts(recordings: dict[str, Recording], words: str) -> list[Part]:
    return [part for part in compresses(recordings).parts if part.what.endswith(words)]


def test_a_run_that_clusters_compresses(
    answers: dict[str, Recording], own: Callable[[str], Recording]
) -> None:
    evidence = compresses({**answers, OWN: own("clusters")})
    assert [part.judged(VIEW.rule) for part in evidence.parts] == [Verdict.REPRODUCED] * 4
    assert [part.pilot for part in evidence.parts] == [True, False, True, False]
    assert evidence.parts[0].over == "1 run: interval over halves of its 100 images"
    assert evidence.parts[2].over == "1 run: interval over halves of its 1,200 images"
    assert evidence.parts[1].over == "3 seeds"
    assert evidence.parts[1].recordings == tuple(f"controls-recipe-s{s}" for s in range(3))
    assert f"({OWN})" in evidence.note
    assert "specific to the view: reproduced at 1%, reproduced at 10%" in evidence.note


@pytest.mark.parametrize("row", [VIEW, IN_CLASS], ids=lambda row: row.quantity)
def test_every_known_answer_is_given(answers: dict[str, Recording], row: compression.Row) -> None:
    found = {
        control.words: control
        for control in compression.controls_of(answers, row, MeasuredEntropies())
    }
    lot = known.KINDS["by-lot"].words
    apart = {lot} if row is VIEW else set()
    assert set(found) == {kind.words for kind in known.KINDS.values()} - apart
    assert all(control.is_right(row.rule) for control in found.values())
    assert "about the image fell" in found[known.KINDS["collapsed"].words].lost
    assert not found[known.KINDS["supervised"].words].lost
    if row is IN_CLASS:
        assert np.isfinite(found[lot].effect.low)


@pytest.mark.parametrize(
    ("story", "words", "verdict"),
    [("collapsed", VIEW.words, Verdict.NOT_REPRODUCED),
     ("collapsed", IN_CLASS.words, Verdict.NOT_REPRODUCED),
     ("untrained", VIEW.words, Verdict.NOT_REPRODUCED),
     ("untrained", IN_CLASS.words, Verdict.NOT_REPRODUCED),
     ("permuted", IN_CLASS.words, Verdict.NOT_REPRODUCED),
     ("permuted", VIEW.words, Verdict.REPRODUCED)],
)  # fmt: skip
def test_a_run_of_another_kind_in_its_place(
    answers: dict[str, Recording], own: Callable[[str], Recording],
    story: str, words: str, verdict: Verdict,
) -> None:  # fmt: skip
    part = _parts({**answers, OWN: own(story)}, words)[0]
    assert part.judged(VIEW.rule) is verdict
    assert bool(part.lost) is (story == "collapsed")


def test_a_network_that_collapsed_to_a_point_has_lost_everything(
    write_synthetic: Callable[..., Recording],
    add_entropies: Callable[..., Recording],
    tmp_path: Path,
) -> None:
    run = add_entropies(write_synthetic("controls-collapsed-s0", tmp_path, **SHORT))
    (run.path / "features.safetensors").unlink()
    table = pd.read_csv(run.path / "measures.csv.gz")
    gone = table["measure"].str.startswith("rate") & (table["epoch"] == run.epochs[-1])
    table[~gone].to_csv(run.path / "measures.csv.gz", index=False)  # nothing to relate noise to
    point = open_recording(run.path)
    (control,) = compression.controls_of({point.name: point}, VIEW, MeasuredEntropies())
    assert control.lost.endswith("nats to nothing")
    assert control.is_right(VIEW.rule)


def test_without_known_answers_nothing_is_decided(own: Callable[[str], Recording]) -> None:
    evidence = compresses({OWN: own("clusters")})
    assert {part.judged(VIEW.rule) for part in evidence.parts} == {Verdict.UNDECIDED}


def test_runs_of_older_presets_stand_in_for_known_answers(
    own: Callable[[str], Recording], write_synthetic: Callable[..., Recording], tmp_path: Path
) -> None:
    older = {
        name: write_synthetic(name, tmp_path, kind=kind, **SHORT)
        for name, kind in (
            ("methods-supervised-s0", "clusters"),
            ("regularizer-invariance-only-s0", "collapsed"),
        )
    }
    evidence = compresses({**older, OWN: own("clusters")})
    assert {part.judged(VIEW.rule) for part in evidence.parts} == {Verdict.REPRODUCED}
    names = [control.recordings for control in evidence.parts[0].controls]
    assert names == [(name,) for name in older]


def test_three_seeds_with_tables_are_judged_together(
    write_synthetic: Callable[..., Recording],
    add_entropies: Callable[..., Recording],
    answers: dict[str, Recording],
    tmp_path: Path,
) -> None:
    runs = {
        name: add_entropies(write_synthetic(name, tmp_path, seed=seed, strength=0.7, **SHORT))
        for seed, name in enumerate(f"clustering-vicreg-s{s}" for s in range(3))
    }
    part = _parts({**answers, **runs}, VIEW.words)[0]
    assert (part.over, part.pilot, part.recordings) == ("3 seeds", False, tuple(runs))


def test_runs_without_views_are_not_measured(
    write_synthetic: Callable[..., Recording], tmp_path: Path
) -> None:
    run = write_synthetic(OWN, tmp_path, features=False, **SHORT)
    with pytest.raises(NotRecorded, match="entropies in its table"):
        compresses({OWN: run})


def test_everything_that_is_judged_or_known_stands_in_one_table(
    answers: dict[str, Recording], own: Callable[[str], Recording]
) -> None:
    table = compression.answers({**answers, OWN: own("clusters")})
    assert table["answer"].tolist() == ["", "", "yes", "no", "no", "no"]
    assert [bool(lost) for lost in table["lost"]] == [False] * 4 + [True, False]
    first = compresses({**answers, OWN: own("clusters")}).parts[0].effect.value
    assert table["view_share before"][0] - table["view_share after"][0] == pytest.approx(first)
