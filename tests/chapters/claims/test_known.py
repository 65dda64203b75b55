"""The book's own runs whose answer is known, each in the place of the run that a claim judges."""

from __future__ import annotations

import pytest

from ssl_companion.chapters.claims import LedgerRow, Verdict, judge, recordings_by_name
from ssl_companion.chapters.claims.known import KINDS, beside_known, known_runs
from ssl_companion.recordings import Recording

# Of single runs, or of seeds of one training; the others compare many trainings.
CLAIMS = ("clustering", "compression", "semantic-over-random", "hierarchy", "time", "depth")
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def known() -> dict[str, list[Recording]]:
    runs = recordings_by_name()
    return {kind: known_runs(runs, kind) for kind in (*KINDS, "recipe")}


def judged(claim: str, runs: list[Recording]) -> LedgerRow:
    """A claim's row where these are the small trajectories, and the recipe of the controls."""
    places = ("small/clustering-vicreg-s{}", "controls-recipe-s{}")
    own = {place.format(i): run for i, run in enumerate(runs) for place in places}
    return judge(claim, beside_known({}) | own)


@pytest.mark.parametrize("kind", ["supervised", "by-lot", "collapsed"])
def test_there_are_three_seeds_of_each_kind(known: dict[str, list[Recording]], kind: str) -> None:
    assert [run.run["seed"] for run in known[kind]] == list(SEEDS)
    assert all(run.held_out for run in known[kind])


@pytest.mark.parametrize("claim", ["clustering", "compression"])
def test_labels_cluster_and_compress(known: dict[str, list[Recording]], claim: str) -> None:
    row = judged(claim, known["supervised"])
    assert row.verdict is Verdict.REPRODUCED, row.note
    assert not row.pilot


@pytest.mark.parametrize("kind", ["by-lot", "collapsed", "untrained"])
@pytest.mark.parametrize("claim", CLAIMS)
def test_no_rule_says_yes_to_what_cannot_have_learned_classes(
    known: dict[str, list[Recording]], claim: str, kind: str
) -> None:
    row = judged(claim, known[kind])
    assert row.verdict is not Verdict.REPRODUCED, (row.evidence, row.note)


def test_what_a_collapsed_network_compresses_is_lost(known: dict[str, list[Recording]]) -> None:
    row = judged("compression", known["collapsed"])
    assert row.verdict is Verdict.NOT_REPRODUCED
    assert "information about the image fell" in row.note
