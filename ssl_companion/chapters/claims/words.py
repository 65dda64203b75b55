"""What a row of the ledger says to a reader who knows none of its names: effects in plain units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ssl_companion.chapters.claims import rules
from ssl_companion.chapters.claims.decision import Rule, Verdict
from ssl_companion.chapters.claims.evidence import LedgerRow, Part
from ssl_companion.measures import Interval

ICONS = {
    Verdict.REPRODUCED: "✔",
    Verdict.PARTLY: "◐",
    Verdict.UNDECIDED: "?",
    Verdict.NOT_REPRODUCED: "✘",
    Verdict.NOT_MEASURED: "–",
}


@dataclass(frozen=True)
class Plain:
    """How an effect reads.

    Attributes:
        kind: the unit it is written in: a factor, points of accuracy (or of a share), a share in
            percent, or a bare number such as a correlation.
        sentence: with {x} for the effect; {grows}, {falls} and {more} follow its sign.
        of_part: other sentences, for parts that measure something else, by `Part.what`.
    """

    kind: Literal["times", "points", "share", "number"]
    sentence: str
    of_part: Mapping[str, str] = field(default_factory=dict, hash=False)


PLAIN: dict[Rule, Plain] = {
    rules.CLUSTERING: Plain("times", "Training multiplies NCC accuracy on the classes by {x}"),
    rules.ELASTICITY: Plain(
        "share",
        "Dividing the regularizer's weight by five costs {x} of the gain {more} than dividing the "
        "invariance's",
    ),
    rules.NECESSITY: Plain("share", "Without the regularizer, {x} of the gain is lost"),
    rules.DOWNSTREAM: Plain(
        "number",
        "Across training runs, gains in NCC accuracy and in linear-probe accuracy have a rank "
        "correlation of {x}",
    ),
    rules.TRANSFER: Plain(
        "points",
        "From five labelled images per class, accuracy on classes never trained on {grows} by {x}",
    ),
    rules.VIEW_SHARE: Plain(
        "points", "The share of the entropy that is specific to the view {falls} by {x}"
    ),
    rules.CLASS_SHARE: Plain(
        "points",
        "The share of the entropy that is specific to the image within its class {falls} by {x}",
    ),
    rules.SEMANTIC: Plain(
        "points",
        "NCC accuracy on the superclasses grows by {x} {more} than on the strongest control "
        "groupings",
        {
            "against random functions": "NCC accuracy on the classes grows by {x} {more} than on a "
            "random function of the image"
        },
    ),
    rules.HIERARCHY: Plain(
        "points",
        "At the weakest level, NCC accuracy grows by {x} {more} than on the strongest control "
        "groupings",
    ),
    rules.TIME: Plain(
        "number", "The advantage over control groupings has a rank correlation of {x} with time"
    ),
    rules.DEPTH: Plain(
        "number", "The advantage over control groupings has a rank correlation of {x} with depth"
    ),
    rules.GENERALITY: Plain("share", "{x} of the settings meet the thresholds all together"),
}


def _plain(rule: Rule) -> Plain:
    """How the effect of a rule reads; a rule that is not the book's own, by its unit."""
    unit = rule.unit[:1].upper() + rule.unit[1:]
    return PLAIN.get(rule) or Plain("number", unit.replace("{", "(").replace("}", ")") + ": {x}")


def amount(value: float, rule: Rule) -> str:
    """A size in the rule's plain unit, without its sign: "6.6", "7.0 points", "78%", "0.88"."""
    if not math.isfinite(value):
        return "not defined"
    kind = _plain(rule).kind
    if kind == "points":
        return f"{value * 100:.1f} points".replace("-", "−")
    if kind == "share":
        return f"{value:.0%}".replace("-", "−")
    return f"{value:.{1 if kind == 'times' else 2}f}".replace("-", "−")


def span(of: Interval, rule: Rule) -> str:
    """An estimate with its interval in the plain unit: "7.0 points (1.6 to 12.4)"."""
    said = amount(of.value, rule)
    if is_bare(of):
        return said
    low, high = (amount(end, rule).removesuffix(" points") for end in (of.low, of.high))
    return f"{said} ({low} to {high})"


def is_bare(of: Interval) -> bool:
    """Whether an estimate has no interval, or one of no width."""
    return not (math.isfinite(of.low) and math.isfinite(of.high)) or of.low == of.high


def result(part: Part, rule: Rule) -> str:
    """A part's effect in one sentence without a full stop.

    Args:
        part: of a row's evidence.
        rule: the claim's first, for a part that has none of its own.
    """
    rule = part.rule or rule
    plain, value = _plain(rule), part.effect.value
    if not math.isfinite(value):
        return "The effect is not defined"
    sentence = plain.of_part.get(part.what, plain.sentence)
    up = value >= 0
    signed = any(word in sentence for word in ("{grows}", "{falls}", "{more}"))
    return sentence.format(
        x=amount(abs(value) if signed else value, rule),
        grows="grows" if up else "shrinks",
        falls="falls" if up else "rises",
        more="more" if up else "less",
    )


def threshold(part: Part, rule: Rule) -> str:
    """What the effect had to reach: "at least 5.0 points"."""
    rule = part.rule or rule
    return f"at {'least' if rule.direction == 'above' else 'most'} {amount(rule.least, rule)}"


def measured_on(part: Part) -> str:
    """By which runs a part was measured: "full size (1 run: 800 test images)"."""
    runs = ", ".join(filter(None, (part.size, part.which)))
    if not runs or part.over in runs:
        return runs or part.over
    return f"{runs} ({part.over})"


def reason(row: LedgerRow) -> str:
    """Why the verdict is what it is, in a sentence; "" where nothing was measured.

    It follows the steps of `decision.decide` for the part that decides.
    """
    part = row.deciding
    if part is None:
        return ""
    rule = part.rule or row.claim.rule
    if row.verdict is Verdict.REPRODUCED:
        reached = "The whole interval reaches" if rule.whole else "The estimate reaches"
        return f"{reached} the threshold, and every control gives the known answer."
    if row.verdict is Verdict.PARTLY:
        return (
            "The effect lies clearly beyond its null value and every negative control, but not "
            "all of its interval reaches the threshold."
        )
    if row.verdict is Verdict.NOT_REPRODUCED:
        return _why_not_reproduced(part, rule)
    return _why_undecided(part, rule)


def _why_not_reproduced(part: Part, rule: Rule) -> str:
    if part.lost:
        return f"{part.lost.capitalize()}."
    near, _ = rule.ends(part.effect)
    if not rule.beyond(near, rule.null):
        return "The interval does not exclude the null value."
    ends = {control.words: rule.ends(control.effect)[1] for control in part.controls_that("no")}
    known = {words: end for words, end in ends.items() if math.isfinite(end)}
    farthest = (max if rule.direction == "above" else min)(known, key=lambda w: known[w])
    return (
        f"The interval overlaps that of a negative control ({farthest}), where the effect should "
        "be absent."
    )


def _why_undecided(part: Part, rule: Rule) -> str:
    if part.fails:
        return f"{part.fails.capitalize()}."
    if not all(map(math.isfinite, (part.effect.value, part.effect.low, part.effect.high))):
        return "The effect or its interval is not defined."
    for answer, kind in (("yes", "positive"), ("no", "negative")):
        controls = part.controls_that(answer)
        if not controls:
            return f"No {kind} control has been recorded."
        for control in controls:
            if not control.is_right(rule):
                misses = "does not reach" if answer == "yes" else "reaches"
                return f"The {kind} control ({control.words}) {misses} the threshold."
    return "The interval holds both the null value and the threshold: it is too wide to decide."


def finding(row: LedgerRow) -> str:
    """The result with its threshold in a sentence, or why there is none."""
    part = row.deciding
    if part is None:
        return row.note
    return f"{result(part, row.claim.rule)} (needed: {threshold(part, row.claim.rule)})."


def by_part(row: LedgerRow) -> list[str]:
    """Each part's name, effect and verdict: "full size: 6.6 (5.1 to 8.6), reproduced (pilot)"."""
    parts = row.evidence.parts if row.evidence else ()
    return [
        f"{part.name or part.over}: {span(part.effect, part.rule or row.claim.rule)}, "
        f"{verdict.value}" + " (pilot)" * part.pilot
        for part, verdict in zip(parts, row.verdicts, strict=True)
    ]


def in_lines(row: LedgerRow, every_part: bool = False) -> list[str]:
    """A claim as lines of text: verdict, result, what it was measured on, the reason.

    Args:
        row: of the ledger.
        every_part: whether what each part gives and the note follow.
    """
    claim = f"{row.claim.id}: {row.claim.statement}"
    lines = [f"{ICONS[row.verdict]} {row.judged} | {claim}", f"  {finding(row)}"]
    if part := row.deciding:
        sure = span(part.effect, part.rule or row.claim.rule)
        lines += [f"  Measured on {measured_on(part)}: {sure}.", f"  {reason(row)}"]
    if every_part and row.evidence:
        lines += [f"  - {said}" for said in by_part(row) if len(row.verdicts) > 1]
        lines += [f"  {row.note}"] * bool(row.note)
    return lines
