"""Claims and verdicts as a page shows them: the ledger, a chapter's head, rule and verdict."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ssl_companion.chapters.claims import CLAIMS, Claim, Control, LedgerRow, Part, Rule, judge
from ssl_companion.chapters.claims.decision import Verdict
from ssl_companion.chapters.claims.words import (
    ICONS,
    amount,
    by_part,
    evidence_of,
    finding,
    in_lines,
    is_bare,
    reason,
    span,
)
from ssl_companion.chapters.widgets.slider import in_book
from ssl_companion.chapters.widgets.tables import Table, facts_table
from ssl_companion.measures import Interval


@dataclass(frozen=True)
class Ledger:
    """Claims, a card each: verdict, result, what it was measured on; folded, how sure that is.

    Attributes:
        rows: of the ledger.
        pages: the page ("page" or "page#figure") of a claim by the claim's id, to lead there in
            the book.
    """

    rows: tuple[LedgerRow, ...]
    pages: Mapping[str, str] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        cards = "".join(f"<li>{self._card(row)}</li>" for row in self.rows)
        return f'{_STYLE}<ol class="companion-ledger">{cards}</ol>'

    def _card(self, row: LedgerRow) -> str:
        part = row.deciding
        claim = _escape(row.claim.statement)
        if in_book() and row.claim.id in self.pages:
            page, mark, place = self.pages[row.claim.id].partition("#")
            claim = f'<a href="{page}.html{mark}{place}">{claim}</a>'
        measured = f"Evidence: {_escape(evidence_of(row))}" if part else ""
        folded = f"<details><summary>How sure is that?</summary>{_sure(row)}</details>"
        return (
            f'<div class="claim">{claim}</div>{badge(row)}'
            f'<p class="result">{_escape(finding(row))}</p>'
            f'<p class="measured">{measured}</p>{folded if part else ""}'
        )

    def __repr__(self) -> str:
        return "\n\n".join("\n".join(in_lines(row)) for row in self.rows)


@dataclass(frozen=True)
class VerdictBox:
    """A claim's verdict as its chapter ends with it: badge, sentence, interval, controls, facts."""

    row: LedgerRow

    def _repr_html_(self) -> str:
        facts, folded = facts_table(verdict_facts(self.row))._repr_html_(), ""
        if self.row.evidence:  # else there is nothing but the sentence
            head = "All numbers, runs and controls"
            folded = f"<details><summary>{head}</summary>{facts}</details>"
        result = _escape(f"{finding(self.row)} {_why_reproduced(self.row)}".strip())
        return (
            f'{_STYLE}<div class="companion-verdict"><p>{badge(self.row)}</p>'
            f'<p class="result">{result}</p>{forests(self.row)}'
            f"{folded}</div>"
        )

    def __repr__(self) -> str:
        return repr(facts_table(verdict_facts(self.row)))


@dataclass(frozen=True)
class InShort:
    """The head of a chapter: the claim, what was found, and on what, a sentence each."""

    rows: tuple[LedgerRow, ...]

    def _repr_html_(self) -> str:
        blocks = "".join(self._block(row) for row in self.rows)
        return f'{_STYLE}<div class="companion-short"><p class="head">In short</p>{blocks}</div>'

    def _block(self, row: LedgerRow) -> str:
        part = row.deciding
        measured = f"<dt>Evidence</dt><dd>{_escape(evidence_of(row))}</dd>" if part else ""
        return (
            f"<dl><dt>Claim</dt><dd>{_escape(row.claim.statement)}</dd>"
            f"<dt>Finding</dt><dd>{badge(row)} {_escape(finding(row))}</dd>{measured}</dl>"
        )

    def __repr__(self) -> str:
        return "In short\n\n" + "\n\n".join("\n".join(in_lines(row)) for row in self.rows)


def in_short(*names: str) -> InShort:
    """The box at the head of a chapter: `in_short("clustering")`.

    Args:
        names: the ids of the claims that the chapter judges.

    Raises:
        ValueError: no such claim.
    """
    return InShort(tuple(judge(name) for name in names))


def ledger_table(rows: Sequence[LedgerRow], pages: Mapping[str, str] | None = None) -> Ledger:
    """All claims, one card each: `ledger_table(claims.ledger())`.

    Args:
        rows: of the ledger.
        pages: the page of a claim by the claim's id, to lead there.
    """
    return Ledger(tuple(rows), pages or {})


def verdict_table(row: LedgerRow) -> VerdictBox:
    """A verdict as a chapter ends with it: `verdict_table(claims.judge("clustering"))`."""
    return VerdictBox(row)


def rule_table(claim: Claim) -> Table:
    """What is measured of a claim, the threshold, and by which runs the rule itself is tested."""
    facts = {
        "claim": claim.statement,
        "measured": _measurement(claim),
        "threshold": _rule_in_words(claim.rule),
        "because": claim.rule.why,
    }
    for measurement, rule in claim.also:
        facts |= {
            "also measured": measurement,
            "its threshold": _rule_in_words(rule),
            "its reason": rule.why,
        }
    each = (claim.rule.known, *(rule.known for _, rule in claim.also))
    known = " ".join(dict.fromkeys(filter(None, each)))
    return facts_table(
        facts
        | {
            "positive control": claim.positive,
            "negative controls": claim.control,
            "known when it was set": known or "nothing of the kind",
        }
    )


def verdict_facts(row: LedgerRow) -> dict[str, object]:
    """What a verdict rests on, by name; of several parts, what each of them gives."""
    facts: dict[str, object] = {"claim": row.claim.statement, "verdict": row.judged}
    if (found := row.evidence) is not None and (part := row.deciding) is not None:
        rule = part.rule or row.claim.rule
        sure = "" if is_bare(part.effect) else f", {part.effect.confidence:.0%} interval"
        facts |= {
            "effect": f"{span(part.effect, rule)}{sure} over {part.over}",
            "threshold": _rule_in_words(rule),
            "positive control": _controls(part, rule, "yes"),
            "negative controls": _controls(part, rule, "no"),
        }
        if len(found.parts) > 1:
            facts["every part"] = "; ".join(by_part(row))
        facts["recordings"] = ", ".join(found.recordings)
    return facts | ({"note": row.note} if row.note else {})


def _measurement(claim: Claim) -> str:
    """What is measured; another claim that it refers to is told by its statement."""
    statements = {other.id: other.statement.rstrip(".") for other in CLAIMS}
    return re.sub(
        r"^as for ([\w-]+)",
        lambda found: f"as for the claim “{statements[found[1]]}”,",
        claim.measurement,
    )


def _rule_in_words(rule: Rule) -> str:
    sign = "≥" if rule.direction == "above" else "≤"
    return f"{rule.unit} {sign} {amount(rule.least, rule)} (null value: {amount(rule.null, rule)})"


def _controls(part: Part, rule: Rule, answer: str) -> str:
    said = (
        f"{control.words}{f' ({control.lost})' * bool(control.lost)}: {span(control.effect, rule)}"
        for control in part.controls_that(answer)
    )
    return "; ".join(said) or "none recorded"


def badge(row: LedgerRow) -> str:
    """The verdict as an icon and a word, HTML."""
    kind = row.verdict.value.replace(" ", "-")
    pilot = (
        ' <span class="pilot" title="single training runs; another seed might differ">pilot</span>'
        if row.pilot
        else ""
    )
    icon = f'<span aria-hidden="true">{ICONS[row.verdict]}</span>'
    return (
        f'<span class="judged"><span class="verdict-badge {kind}">{icon} {row.verdict.value}</span>'
        f"{pilot}</span>"
    )


def _sure(row: LedgerRow) -> str:
    """What is folded: why, the intervals, the rule, and where its history is told."""
    rule = (row.deciding.rule if row.deciding else None) or row.claim.rule
    # Two rules may be the same, so the first measurement stands unless another's rule decided.
    others = (words for words, of in row.claim.also if of == rule)
    own = _measurement(row.claim)
    measured = own if rule == row.claim.rule else next(others, own)
    why = f"<p>{_escape(_why_reproduced(row))}</p>" if _why_reproduced(row) else ""
    where = "how-the-rules-came-about"
    told = f'<a href="{where}.html">How the rules came about</a>' if in_book() else f"book/{where}"
    return (
        f"{why}{forests(row)}"
        f"<p><b>Rule.</b> {_escape(measured[:1].upper() + measured[1:])}. "
        f"Threshold: {_escape(_rule_in_words(rule))}. {_escape(rule.why)}</p>"
        f"<p>{_escape(row.note)}</p><p>{told} has every version of the rule.</p>"
    )


def _why_reproduced(row: LedgerRow) -> str:
    """The reason that `finding` does not give."""
    return reason(row) if row.verdict is Verdict.REPRODUCED else ""


def forests(row: LedgerRow) -> str:
    """A forest plot for each rule that a row is judged by: effects, controls, null, threshold."""
    if row.evidence is None:
        return ""
    by_rule: dict[Rule, list[Part]] = {}
    for part in row.evidence.parts:
        by_rule.setdefault(part.rule or row.claim.rule, []).append(part)
    deciding, counted = row.deciding, [part for part, _ in row.counted]
    return "".join(
        _forest(rule, parts, deciding if deciding in parts else parts[0], counted)
        for rule, parts in by_rule.items()
    )


def _forest(rule: Rule, parts: Sequence[Part], shown: Part | None, counted: Sequence[Part]) -> str:
    """Parts of one rule, and the controls of one of them, on one axis; factors on a log scale."""
    several = len({part.what for part in parts}) > 1
    lines = [
        ("effect", _name(part, several), part.effect) if part in counted
        else ("aside", f"{_name(part, several)} (not counted)", part.effect)
        for part in parts
    ]  # fmt: skip
    for answer, kind in (("yes", "positive"), ("no", "negative")):
        controls: tuple[Control, ...] = shown.controls_that(answer) if shown else ()
        of = f" ({shown.what})" if several and shown else ""
        lines += [
            (
                kind,
                f"{kind} control{of}: {control.words}" + f" ({control.lost})" * bool(control.lost),
                control.effect,
            )
            for control in controls
        ]
    ends = [rule.null, rule.least]
    ends += [end for _, _, of in lines for end in (of.value, of.low, of.high)]
    known = [end for end in ends if math.isfinite(end)]
    factors = rule.null == 1 and min(known) > 0  # as many times more as times less
    scale = math.log if factors else float
    low, high = scale(min(known)), scale(max(known))
    margin = 0.04 * (high - low)

    def at(value: float) -> float:
        return 1000 * (scale(value) - low + margin) / (high - low + 2 * margin)

    drawn = "".join(
        f'<div class="row {kind}"><span class="name">{_escape(name)}</span>'
        f"{_track(of, rule, at)}"
        f'<span class="value">{_escape(span(of, rule))}</span></div>'
        for kind, name, of in lines
    )
    key = (
        f"Dotted line: null value ({amount(rule.null, rule)}). "
        f"Solid line: threshold ({amount(rule.least, rule)})."
        + " The scale is logarithmic."
        * factors
    )
    return (
        f'<div class="forest"><p class="unit">{_escape(rule.unit)}</p>{drawn}'
        f'<p class="key">{_escape(key)}</p></div>'
    )


def _name(part: Part, with_what: bool) -> str:
    names = (part.size, part.which, part.what if with_what else "")
    return ", ".join(filter(None, names)) or part.over


def _track(of: Interval, rule: Rule, at: object) -> str:
    """One interval between the lines of null and threshold; its numbers stand beside it."""
    assert callable(at)
    marks = (
        f'<path class="null" d="M{at(rule.null):.0f} 0V24"/>'
        f'<path class="least" d="M{at(rule.least):.0f} 0V24"/>'
    )
    if math.isfinite(of.low) and math.isfinite(of.high):
        marks += f'<path class="span" d="M{at(of.low):.0f} 12H{at(of.high):.0f}"/>'
    if math.isfinite(of.value):
        marks += f'<path class="estimate" d="M{at(of.value):.0f} 5V19"/>'
    return (
        '<svg viewBox="0 0 1000 24" preserveAspectRatio="none" aria-hidden="true" '
        f'focusable="false">{marks}</svg>'
    )


def _escape(text: object) -> str:
    return html.escape(str(text))


# Colours of the book's theme where there is one; a notebook has its own ground and text colour.
_STYLE = """<style>
.verdict-badge{display:inline-block;padding:.05rem .6rem;border-radius:1rem;font-weight:600;
 white-space:nowrap;border:1px solid}
.judged{justify-self:start;white-space:nowrap}
.verdict-badge.reproduced{background:#d9f2e3;color:#0b5132}
.verdict-badge.partly,.verdict-badge.undecided{background:#fdf0cf;color:#6b4700}
.verdict-badge.not-reproduced{background:#fce1da;color:#83230c}
.verdict-badge.not-measured{background:#e8eaed;color:#3c4043}
.pilot{font-size:.85em;border-bottom:1px dotted}
.companion-ledger{list-style:none;margin:1rem 0;padding:0}
.companion-ledger>li{display:grid;gap:.1rem 1.2rem;align-items:start;padding:.75rem 0;
 grid-template-columns:minmax(0,1fr) auto;border-top:1px solid var(--pst-color-border,#ccc)}
.companion-ledger .claim{font-weight:600}
.companion-ledger p{margin:.15rem 0}
.companion-ledger :is(.result,.measured,details){grid-column:1/-1}
.companion-ledger .measured,.forest .unit,.forest .key{font-size:.88em;
 color:var(--pst-color-text-muted,inherit)}
.companion-short,.companion-verdict{border:1px solid var(--pst-color-border,#ccc);
 border-radius:8px;padding:.8rem 1rem;margin:1rem 0}
.companion-short .head{font-weight:700;margin:0 0 .3rem}
.companion-short dl{display:grid;grid-template-columns:auto minmax(0,1fr);gap:.25rem .9rem;
 margin:.4rem 0 0}
.companion-short dt{font-weight:600}.companion-short dd{margin:0}
.forest{margin:.9rem 0}.forest p{margin:.2rem 0}
.forest .row{display:grid;grid-template-columns:minmax(0,15rem) minmax(5rem,1fr) 14rem;
 gap:0 .8rem;align-items:center;font-size:.92em;margin:0}
.forest .row>*{padding:0}
.forest svg{width:100%;height:100%;min-height:28px;display:block;overflow:visible}
.forest path{fill:none;stroke:currentColor;stroke-width:1.5;vector-effect:non-scaling-stroke}
.forest .null{stroke-dasharray:2 3;opacity:.75}.forest .least{opacity:.75}
.forest .span{stroke-width:4}.forest .estimate{stroke-width:4}
.forest .effect :is(.span,.estimate){stroke:var(--pst-color-primary,#0a5fb4)}
.forest .effect .name{font-weight:600}
.forest .positive :is(.span,.estimate){stroke:#2e9e68}
.forest .negative :is(.span,.estimate){stroke:#c2571a}
.forest .aside{color:var(--pst-color-text-muted,inherit)}
.forest .aside :is(.span,.estimate){stroke-width:2}
.forest .value{font-variant-numeric:tabular-nums;white-space:nowrap}
@media (max-width:600px){
 .companion-ledger>li{grid-template-columns:minmax(0,1fr)}
 .forest .row{grid-template-columns:minmax(0,1fr);padding:.3rem 0}
 .companion-short dl{grid-template-columns:minmax(0,1fr)}
}
</style>"""
