"""The decision function: where each verdict begins and ends."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_companion.chapters.claims import CLAIMS, Control, Rule, Verdict, decide
from ssl_companion.chapters.claims.decision import least
from ssl_companion.measures import Interval

RULE = Rule("above", 1.0, 1.5, "ratio", "for a test")
BY_VALUE = replace(RULE, whole=False)
NAN = Interval(math.nan, math.nan, math.nan)


def no(low: float, value: float, high: float) -> Control:
    return Control("nothing", Interval(value, low, high), "no")


def yes(low: float, value: float, high: float) -> Control:
    return Control("all of it", Interval(value, low, high), "yes")


SURE, NOTHING = yes(2.5, 3.0, 3.5), no(0.9, 1.0, 1.1)


@pytest.mark.parametrize(
    ("effect", "control", "verdict"),
    [
        (Interval(2.0, 1.5, 2.5), NOTHING, Verdict.REPRODUCED),
        (Interval(2.0, 1.49, 2.5), NOTHING, Verdict.PARTLY),
        (Interval(1.3, 1.2, 1.4), NOTHING, Verdict.PARTLY),
        (Interval(1.2, 1.0, 1.4), NOTHING, Verdict.NOT_REPRODUCED),
        (Interval(0.5, 0.4, 0.6), NOTHING, Verdict.NOT_REPRODUCED),
        # Too wide: it holds both nothing and the least effect.
        (Interval(1.3, 1.0, 1.6), NOTHING, Verdict.UNDECIDED),
        # A control that reaches the least effect says yes to anything.
        (Interval(2.0, 1.9, 2.1), no(1.4, 1.5, 1.6), Verdict.UNDECIDED),
        (Interval(1.3, 1.2, 1.4), no(1.2, 1.25, 1.3), Verdict.NOT_REPRODUCED),
        # A control says as much by its spread as by its middle.
        (Interval(1.8, 1.6, 2.0), no(0.4, 1.0, 1.6), Verdict.NOT_REPRODUCED),
        (Interval(1.8, 1.6, 2.0), no(0.5, 1.0, 1.59), Verdict.REPRODUCED),
        (Interval(1.8, 1.6, 2.0), no(math.nan, 1.0, math.nan), Verdict.REPRODUCED),
        (Interval(2.0, 1.9, 2.1), no(math.nan, math.nan, math.nan), Verdict.REPRODUCED),
        (NAN, NOTHING, Verdict.UNDECIDED),
        (Interval(2.0, math.nan, 2.5), NOTHING, Verdict.UNDECIDED),
        (Interval(2.0, 1.9, math.inf), NOTHING, Verdict.UNDECIDED),
    ],
)
def test_each_verdict_has_its_cases(effect: Interval, control: Control, verdict: Verdict) -> None:
    assert decide(effect, RULE, (SURE, control)) is verdict


@pytest.mark.parametrize(
    "controls",
    [(), (SURE,), (NOTHING,), (yes(0.9, 1.2, 1.4), NOTHING), (yes(0.9, 1.6, 2.0), NOTHING),
     (SURE, NOTHING, no(2.0, 2.1, 2.2)), (SURE, replace(SURE, lost="gone"), NOTHING)],
)  # fmt: skip
def test_no_effect_decides_where_the_rule_does_not_know_what_is_known(
    controls: tuple[Control, ...],
) -> None:
    assert decide(Interval(9.0, 8.9, 9.1), RULE, controls) is Verdict.UNDECIDED


def test_what_is_lost_answers_no_however_large_it_is() -> None:
    lost = replace(no(2.0, 2.1, 2.2), lost="all of the information is gone")
    assert lost.is_right(RULE)
    assert decide(Interval(2.0, 1.6, 2.5), RULE, (SURE, NOTHING, lost)) is Verdict.REPRODUCED


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [
        (Interval(1.6, 1.2, 2.0), Verdict.REPRODUCED),
        (Interval(1.4, 1.2, 1.6), Verdict.PARTLY),
        (Interval(1.6, 1.0, 2.2), Verdict.UNDECIDED),
    ],
)
def test_a_rule_may_ask_the_estimate_to_reach_and_the_interval_to_exclude_nothing(
    effect: Interval, verdict: Verdict
) -> None:
    assert decide(effect, BY_VALUE, (SURE, NOTHING)) is verdict


numbers = st.floats(-10, 10)
triples = st.tuples(numbers, numbers, numbers).map(sorted)


@given(triples, triples)
def test_the_other_direction_is_the_mirror_image(effect: list[float], control: list[float]) -> None:
    mirrored = replace(RULE, direction="below", null=-RULE.null, least=-RULE.least)
    (low, value, high), (bottom, middle, top) = effect, control
    here = decide(Interval(value, low, high), RULE, (SURE, no(bottom, middle, top)))
    there = (yes(-3.5, -3.0, -2.5), no(-top, -middle, -bottom))
    assert decide(Interval(-value, -high, -low), mirrored, there) is here


@given(triples, st.floats(-10, 1.4), st.floats(0, 5), st.booleans())
def test_a_stronger_effect_never_does_worse_and_a_stronger_control_never_better(
    ends: list[float], control: float, more: float, whole: bool
) -> None:
    rule = replace(RULE, whole=whole)

    def verdict(shift: float, control: float) -> Verdict:
        low, value, high = (end + shift for end in ends)
        return decide(Interval(value, low, high), rule, (SURE, no(control, control, control)))

    support = [Verdict.REPRODUCED, Verdict.PARTLY]
    if verdict(0, control) in support:
        assert verdict(more, control) in support
    if verdict(0, control) is Verdict.REPRODUCED:
        assert verdict(more, control) is Verdict.REPRODUCED
    if verdict(0, control) not in support:
        assert verdict(0, control + more) not in support


def test_the_least_of_several_verdicts_is_that_of_the_least_support() -> None:
    assert least([Verdict.REPRODUCED, Verdict.PARTLY]) is Verdict.PARTLY
    assert least([Verdict.PARTLY, Verdict.UNDECIDED]) is Verdict.UNDECIDED
    assert least([Verdict.UNDECIDED, Verdict.NOT_REPRODUCED]) is Verdict.NOT_REPRODUCED


def test_a_rule_has_to_ask_for_more_than_nothing() -> None:
    with pytest.raises(ValueError, match=r"least: 1\.0; expected a value above null, 1\.5"):
        Rule("above", 1.5, 1.0, "ratio", "")
    with pytest.raises(ValueError, match="direction: 'up'"):
        Rule("up", 1.0, 1.5, "ratio", "")  # type: ignore[arg-type]


def test_all_nine_claims_say_what_they_measure_and_why() -> None:
    assert [claim.id for claim in CLAIMS] == [
        "clustering", "regularizer", "downstream", "compression", "semantic-over-random",
        "hierarchy", "time", "depth", "generality",
    ]  # fmt: skip
    for claim in CLAIMS:
        assert claim.statement.endswith(".")
        assert claim.measurement
        assert claim.control
        assert claim.positive
        assert claim.rule.why
        assert all(measurement and rule.why for measurement, rule in claim.also)
        assert "ssl-companion record" in claim.needs
