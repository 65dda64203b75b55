"""What a row of the ledger says in plain units, and why its verdict is what it is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_companion.chapters.claims import CLAIMS, Claim, Control, Evidence, Part, Rule, rules
from ssl_companion.chapters.claims.decision import Verdict
from ssl_companion.chapters.claims.evidence import LedgerRow
from ssl_companion.chapters.claims.words import (
    PLAIN,
    amount,
    evidence_of,
    finding,
    in_lines,
    measured_on,
    reason,
    result,
    span,
)
from ssl_companion.measures import Interval

NAN = math.nan
YES = Control("trained on the labels", Interval(0.2, 0.1, 0.3), "yes")
NO = Control("not trained", Interval(0.0, -0.01, 0.01), "no")


def part(value: float, low: float = NAN, high: float = NAN, **more: object) -> Part:
    own = {"over": "3 seeds", "recordings": ("a",), "controls": (YES, NO)} | more
    return Part(Interval(value, low, high), **own)  # type: ignore[arg-type]


def judged(*found: Part, rule: Rule = rules.SEMANTIC) -> LedgerRow:
    claim = Claim("x", "It is so.", "what", rule, "no", "yes", "run", lambda _: Evidence(found))
    return claim.judge({})


def test_every_rule_of_the_ledger_has_its_words() -> None:
    asked = {rule for claim in CLAIMS for rule in (claim.rule, *(r for _, r in claim.also))}
    assert asked <= set(PLAIN)
    assert {"elasticity", "necessity"}.isdisjoint(PLAIN)  # by rule, not by name


@pytest.mark.parametrize(
    ("rule", "value", "said"),
    [
        (rules.CLUSTERING, 6.56, "6.6"),
        (rules.SEMANTIC, 0.0697, "7.0 points"),
        (rules.SEMANTIC, -0.0129, "−1.3 points"),
        (rules.ELASTICITY, 1.66, "166.0 points"),
        (rules.NECESSITY, 1.19, "119%"),
        (rules.TIME, 0.881, "0.88"),
        (rules.GENERALITY, 0.783, "78%"),
        (rules.TIME, NAN, "not defined"),
        (Rule("above", 0.0, 1.0, "nats", "for a test"), 0.5, "0.50"),
    ],
)
def test_an_effect_in_its_plain_unit(rule: Rule, value: float, said: str) -> None:
    assert amount(value, rule) == said


def test_an_interval_names_the_unit_once_and_is_left_out_where_it_has_no_width() -> None:
    assert span(Interval(0.07, 0.016, 0.124), rules.SEMANTIC) == "7.0 points (1.6 to 12.4)"
    assert span(Interval(0.07, 0.07, 0.07), rules.SEMANTIC) == "7.0 points"
    assert span(Interval(0.07, NAN, NAN), rules.SEMANTIC) == "7.0 points"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.07, "grows by 7.0 points more than"), (-0.07, "grows by 7.0 points less than")],
)
def test_a_sentence_follows_the_sign(value: float, said: str) -> None:
    assert said in result(part(value), rules.SEMANTIC)
    assert ("falls" if value > 0 else "rises") in result(part(value), rules.VIEW_SHARE)
    assert ("grows" if value > 0 else "shrinks") in result(part(value), rules.TRANSFER)


def test_what_a_part_measures_and_what_it_was_measured_on() -> None:
    other = part(0.1, what="against random functions")
    assert "random function of the image" in result(other, rules.SEMANTIC)
    assert measured_on(other) == "3 seeds"
    assert measured_on(part(0.1, size="full size", over="1 run: 5 images")) == (
        "full size (1 run: 5 images)"
    )
    assert measured_on(part(0.1, size="small size", which="3 seeds")) == "small size, 3 seeds"


ends = st.floats(-0.5, 0.5)


@given(st.tuples(ends, ends, ends).map(sorted), st.floats(0.0, 0.3), st.floats(-0.3, 0.3))
def test_the_reason_fits_the_verdict(of: list[float], yes: float, no: float) -> None:
    controls = (
        Control("trained", Interval(yes, yes - 0.01, yes + 0.01), "yes"),
        Control("void", Interval(no, no - 0.02, no + 0.02), "no"),
    )
    row = judged(part(of[1], of[0], of[2], controls=controls))
    said = reason(row)
    wanted = {
        Verdict.REPRODUCED: ("whole interval reaches",),
        Verdict.PARTLY: ("beyond its null value",),
        Verdict.NOT_REPRODUCED: ("does not exclude the null", "overlaps that of a negative"),
        Verdict.UNDECIDED: ("so the measurement cannot tell", "too wide"),
    }[row.verdict]
    assert any(words in said for words in wanted), (row.verdict, said)
    rule = row.claim.rule
    if "does not reach" in said:
        assert not controls[0].is_right(rule)
    if "control, void, at" in said:
        assert not controls[1].is_right(rule)
    if "does not exclude" in said:
        assert of[0] <= rule.null
    if "overlaps" in said:
        assert of[0] <= no + 0.02


def test_why_a_part_cannot_tell_comes_before_its_numbers() -> None:
    assert reason(judged(part(0.3, 0.2, 0.4, fails="the recipe misses"))) == "The recipe misses."
    lost = judged(part(0.3, 0.2, 0.4, lost="the information fell"))
    assert reason(lost) == "The information fell."
    assert "No positive control" in reason(judged(part(0.3, 0.2, 0.4, controls=(NO,))))
    assert "not defined" in reason(judged(part(NAN)))


def test_a_claim_in_lines() -> None:
    rows = [judged(part(0.3, 0.2, 0.4)), judged(part(0.0, -0.1, 0.01)), judged(part(0.3, 0.2, 0.4))]
    text = "\n".join(in_lines(rows[0], every_part=True))
    assert text.startswith("✔ reproduced | x: It is so.")
    assert "(95% interval 20.0 to 40.0; needed: at least 5.0 points)" in finding(rows[0])
    assert text.count(reason(rows[0])) == text.count("Evidence: ") == 1
    missing = LedgerRow(rows[0].claim, None, Verdict.NOT_MEASURED, "nothing. To record: run")
    assert "To record: run" in "\n".join(in_lines(missing))
    assert reason(missing) == ""


def test_what_keeps_a_large_effect_from_being_reproduced_stands_beside_it() -> None:
    """Where the estimate reaches the threshold, the sentence would contradict its badge else."""
    wide = judged(part(0.3, 0.02, 0.6))
    assert wide.verdict is Verdict.PARTLY
    assert "not all of its interval reaches the threshold" in finding(wide)
    lots = Control("by chance", Interval(0.03, 0.0, 0.25), "no")
    overlapping = judged(part(0.3, 0.2, 0.4, controls=(YES, lots)))
    assert overlapping.verdict is Verdict.NOT_REPRODUCED
    assert finding(overlapping).endswith("should be absent: by chance, 3.0 points (0.0 to 25.0).")


def test_a_fall_is_told_with_the_signs_that_the_threshold_has() -> None:
    said = finding(judged(part(-0.02, -0.05, 0.01), rule=rules.TRANSFER))
    assert "shrinks by 2.0 points (−2.0 points, 95% interval −5.0 to 1.0; needed" in said


def test_a_number_below_its_threshold_does_not_read_as_if_it_reached_it() -> None:
    assert amount(0.7968, rules.DEPTH) == "0.797"
    assert amount(0.8, rules.DEPTH) == "0.80"
    assert amount(0.1004, rules.TRANSFER) == "10.04 points"


def test_how_many_judgements_stand_beside_a_result() -> None:
    agree, weaker = part(0.3, 0.2, 0.4), part(0.3, 0.02, 0.4)
    assert evidence_of(judged(agree)) == "3 seeds."
    assert evidence_of(judged(agree, agree)).endswith("Both judgements agree.")
    assert evidence_of(judged(agree, agree, agree)).endswith("All 3 judgements agree.")
    assert evidence_of(judged(agree, weaker)).endswith("This is the weakest of 2 judgements.")


@pytest.mark.parametrize(
    ("control", "said"),
    [
        (Control("taught", Interval(0.01, 0.0, 0.02), "yes"), "(0.0 to 2.0), does not reach"),
        (Control("taught", Interval(0.3, -0.1, 0.7), "yes"), "does not exclude the null value"),
        (Control("taught", Interval(NAN, NAN, NAN), "yes"), "taught, is not defined, so"),
        (Control("taught", Interval(0.3, 0.2, 0.4), "yes", lost="all gone"), "not count: all gone"),
        (Control("void", Interval(0.3, 0.2, 0.4), "no"), "30.0 points (20.0 to 40.0), reaches"),
    ],
)  # fmt: skip
def test_why_a_control_fails(control: Control, said: str) -> None:
    other = NO if control.answer == "yes" else YES
    row = judged(part(0.3, 0.2, 0.4, controls=(control, other)))
    assert row.verdict is Verdict.UNDECIDED
    assert said in reason(row)


def test_names_keep_their_capitals_in_a_reason() -> None:
    row = judged(part(0.3, 0.2, 0.4, fails="the RES-5-32 misses"))
    assert reason(row) == "The RES-5-32 misses."
