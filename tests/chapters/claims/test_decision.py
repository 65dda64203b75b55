"""The decision function: where each verdict begins and ends."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_companion.chapters.claims import CLAIMS, Rule, Verdict, decide
from ssl_companion.measures import Interval

RULE = Rule("above", 1.0, 1.5, "ratio", "for a test")
NO_EFFECT = Interval(1.0, 0.9, 1.1)
NAN = Interval(math.nan, math.nan, math.nan)


@pytest.mark.parametrize(
    ("effect", "control", "verdict"),
    [
        (Interval(2.0, 1.5, 2.5), NO_EFFECT, Verdict.REPRODUCED),
        (Interval(2.0, 1.49, 2.5), NO_EFFECT, Verdict.PARTLY),
        (Interval(1.3, 1.2, 1.4), NO_EFFECT, Verdict.PARTLY),
        (Interval(1.3, 1.0, 1.6), NO_EFFECT, Verdict.NOT_REPRODUCED),
        (Interval(0.5, 0.4, 0.6), NO_EFFECT, Verdict.NOT_REPRODUCED),
        (Interval(2.0, 1.9, 2.1), Interval(1.5, 1.4, 1.6), Verdict.NOT_REPRODUCED),
        (Interval(1.3, 1.2, 1.4), Interval(1.25, 1.2, 1.3), Verdict.NOT_REPRODUCED),
        # A control says as much by its spread as by its middle.
        (Interval(1.8, 1.6, 2.0), Interval(1.0, 0.4, 1.6), Verdict.NOT_REPRODUCED),
        (Interval(1.8, 1.6, 2.0), Interval(1.0, 0.5, 1.59), Verdict.REPRODUCED),
        (Interval(1.8, 1.6, 2.0), Interval(1.0, math.nan, math.nan), Verdict.REPRODUCED),
        (Interval(2.0, 1.9, 2.1), None, Verdict.PARTLY),
        (Interval(2.0, 1.9, 2.1), NAN, Verdict.REPRODUCED),
        (NAN, NO_EFFECT, Verdict.NOT_REPRODUCED),
        (Interval(2.0, math.nan, 2.5), NO_EFFECT, Verdict.NOT_REPRODUCED),
        (Interval(2.0, 1.9, math.inf), NO_EFFECT, Verdict.NOT_REPRODUCED),
    ],
)
def test_each_verdict_has_its_cases(
    effect: Interval, control: Interval | None, verdict: Verdict
) -> None:
    assert decide(effect, RULE, control) is verdict


numbers = st.floats(-10, 10)


triples = st.tuples(numbers, numbers, numbers).map(sorted)


@given(triples, triples)
def test_the_other_direction_is_the_mirror_image(effect: list[float], control: list[float]) -> None:
    mirrored = Rule("below", -RULE.null, -RULE.least, "ratio", "for a test")
    (low, value, high), (least, middle, most) = effect, control
    assert decide(Interval(value, low, high), RULE, Interval(middle, least, most)) is decide(
        Interval(-value, -high, -low), mirrored, Interval(-middle, -most, -least)
    )


@given(triples, numbers, st.floats(0, 5))
def test_a_stronger_effect_never_does_worse_and_a_stronger_control_never_better(
    ends: list[float], control: float, more: float
) -> None:
    order = [Verdict.NOT_REPRODUCED, Verdict.PARTLY, Verdict.REPRODUCED]

    def rank(shift: float, control: float) -> int:
        low, value, high = (end + shift for end in ends)
        verdict = decide(Interval(value, low, high), RULE, Interval(control, control, control))
        return order.index(verdict)

    assert rank(more, control) >= rank(0, control)
    assert rank(0, control + more) <= rank(0, control)


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
        assert claim.rule.why
        assert "ssl-companion record" in claim.needs
