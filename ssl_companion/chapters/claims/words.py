"""What a row of the ledger says to a reader who knows none of its names: effects in plain units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ssl_companion.chapters.claims import rules
from ssl_companion.chapters.claims.decision import Rule, Verdict, least
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
        "points",
        "As a share of the gain in accuracy, weakening the regularizer to a fifth costs {x} {more} "
        "than weakening the invariance to a fifth",
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
    said = _rounded(value, rule)
    # What falls short of the threshold does not read as if it reached it.
    hidden = said == _rounded(rule.least, rule) and not math.isclose(value, rule.least)
    return _rounded(value, rule, more=1) if hidden else said


def _rounded(value: float, rule: Rule, more: int = 0) -> str:
    kind = _plain(rule).kind
    if kind == "points":
        return f"{value * 100:.{1 + more}f} points".replace("-", "−")
    if kind == "share":
        return f"{value:.{more}%}".replace("-", "−")
    return f"{value:.{(1 if kind == 'times' else 2) + more}f}".replace("-", "−")


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
    rule, value = part.rule or rule, part.effect.value
    if not math.isfinite(value):
        return "The effect is not defined"
    up = value >= 0
    return _sentence(part, rule).format(
        x=amount(-value if _is_turned(part, rule) else value, rule),
        grows="grows" if up else "shrinks",
        falls="falls" if up else "rises",
        more="more" if up else "less",
    )


def _sentence(part: Part, rule: Rule) -> str:
    plain = _plain(rule)
    return plain.of_part.get(part.what, plain.sentence)


def _is_turned(part: Part, rule: Rule) -> bool:
    """Whether a word of the sentence, as "shrinks", stands for the sign of a negative effect."""
    words = ("{grows}", "{falls}", "{more}")
    return part.effect.value < 0 and any(word in _sentence(part, rule) for word in words)


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


def evidence_of(row: LedgerRow) -> str:
    """What a row's result was measured on, and how many judgements stand beside it.

    "Full size (1 run: 800 test images). All 3 judgements agree."
    """
    part = row.deciding
    if part is None:
        return ""
    runs = measured_on(part)
    verdicts = [verdict for _, verdict in row.counted]
    many = f"{len(verdicts)} judgements"
    if len(verdicts) == 1:
        beside = ""
    elif len(set(verdicts)) == 1:
        beside = f" {'Both judgements' if len(verdicts) == 2 else f'All {many}'} agree."
    elif row.verdict is least(verdicts):
        beside = f" This is the weakest of {many}."
    else:
        beside = f" This is one of {many}, which are put together."
    return f"{runs[:1].upper()}{runs[1:]}.{beside}"


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
            "The effect lies clearly beyond its null value and every negative control, but not all "
            "of its interval reaches the threshold."
        )
    if row.verdict is Verdict.NOT_REPRODUCED:
        return _why_not_reproduced(part, rule)
    return _why_undecided(part, rule)


def _why_not_reproduced(part: Part, rule: Rule) -> str:
    if part.lost:
        return f"{_begun(part.lost)}."
    near, _ = rule.ends(part.effect)
    if not rule.beyond(near, rule.null):
        return f"The interval does not exclude the null value ({amount(rule.null, rule)})."
    ends = [(rule.ends(of.effect)[1], of) for of in part.controls_that("no")]
    known = [(end, of) for end, of in ends if math.isfinite(end)]
    _, farthest = (max if rule.direction == "above" else min)(known, key=lambda pair: pair[0])
    return (
        "The interval overlaps that of a negative control, where the effect should be absent: "
        f"{farthest.words}, {span(farthest.effect, rule)}."
    )


def _why_undecided(part: Part, rule: Rule) -> str:
    if part.fails:
        return f"{_begun(part.fails)}."
    if not all(map(math.isfinite, (part.effect.value, part.effect.low, part.effect.high))):
        return "The effect or its interval is not defined."
    for answer, kind in (("yes", "positive"), ("no", "negative")):
        controls = part.controls_that(answer)
        if not controls:
            return f"No {kind} control has been recorded."
        for control in controls:
            if not control.is_right(rule):
                if control.lost:
                    misses = f"does not count: {control.lost}"
                elif not math.isfinite(control.effect.value):
                    misses = "is not defined"
                else:
                    misses = f"at {span(control.effect, rule)}, "
                    reaches = rule.reaches(control.effect.value)
                    misses += _misses(answer == "yes", reaches)
                return (
                    f"The {kind} control, {control.words}, {misses}, so the measurement cannot "
                    "tell."
                )
    return "The interval holds both the null value and the threshold: it is too wide to decide."


def _misses(has_to_reach: bool, reaches: bool) -> str:
    if not has_to_reach:
        return "reaches the threshold"
    return "does not exclude the null value" if reaches else "does not reach the threshold"


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def finding(row: LedgerRow) -> str:
    """The result with interval and threshold, and what keeps it from being reproduced, if anything.

    Where nothing was measured: why not.
    """
    part = row.deciding
    if part is None:
        return row.note
    rule, needed = part.rule or row.claim.rule, f"needed: {threshold(part, row.claim.rule)}"
    if not is_bare(part.effect):
        ends = (part.effect.low, part.effect.high)
        said = " to ".join(amount(end, rule).removesuffix(" points") for end in ends)
        needed = f"{part.effect.confidence:.0%} interval {said}; {needed}"
    if _is_turned(part, rule):  # "shrinks by 2.0 points", and the rule asks by how much it grows
        needed = f"{amount(part.effect.value, rule)}, {needed}"
    found = f"{result(part, row.claim.rule)} ({needed})."
    return found if row.verdict is Verdict.REPRODUCED else f"{found} {reason(row)}"


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
    if row.deciding:
        lines += [f"  Evidence: {evidence_of(row)}"]
        lines += [f"  {reason(row)}"] * (row.verdict is Verdict.REPRODUCED)
    if every_part and row.evidence:
        lines += [f"  - {said}" for said in by_part(row) if len(row.verdicts) > 1]
        lines += [f"  {row.note}"] * bool(row.note)
    return lines
