"""A claim, the evidence that a set of recordings gives, and the row of the ledger they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ssl_companion.chapters.analysis.accuracies import NotRecorded, Runs
from ssl_companion.chapters.claims.decision import Control, Rule, Verdict, decide, least
from ssl_companion.data.threads import one_core
from ssl_companion.measures import Interval
from ssl_companion.recordings import DamagedError, RecordingError

CITATION = "Ben-Shaul et al., NeurIPS 2023, arXiv:2305.15614 (abstract)"


@dataclass(frozen=True)
class Part:
    """One row of evidence, judged apart: one rule on one run, or on some that differ by their seed.

    Attributes:
        effect: with its 95% interval, in the rule's unit; NaN where it is not defined.
        controls: the same measurement where the answer is known, of both kinds.
        over: what the effect's interval is over: "3 seeds", "1 run: 800 test images".
        recordings: names of those used.
        size: of the runs, in words, where there are runs of several sizes: "full size".
        which: of those of that size, in words: "3 seeds", "an independent implementation".
        what: is measured of them, in words, where a claim measures several things: "elasticity".
        rule: by which it is judged; None: the claim's first.
        pilot: whether it rests on a single training run, so that another seed might change it.
        lost: why the effect does not count, in words: it is *not reproduced* then.
        fails: why the row cannot tell, in words ("the reference recipe misses"): *undecided* then.
    """

    effect: Interval
    controls: tuple[Control, ...]
    over: str
    recordings: tuple[str, ...]
    size: str = ""
    which: str = ""
    what: str = ""
    rule: Rule | None = None
    pilot: bool = False
    lost: str = ""
    fails: str = ""

    @property
    def name(self) -> str:
        """Size, which and what; "" where there is nothing to distinguish it from."""
        return ", ".join(filter(None, (self.size, self.which, self.what)))

    def controls_that(self, answer: str) -> tuple[Control, ...]:
        """The controls whose known answer is "yes", or "no"."""
        return tuple(control for control in self.controls if control.answer == answer)

    @property
    def control(self) -> Interval | None:
        """That of the first negative control."""
        return next((control.effect for control in self.controls_that("no")), None)

    def can_tell(self, rule: Rule) -> bool:
        """Whether its reference stands, and both kinds of controls are answered rightly."""
        if self.fails or {control.answer for control in self.controls} != {"yes", "no"}:
            return False
        return all(control.is_right(self.rule or rule) for control in self.controls)

    def judged(self, rule: Rule) -> Verdict:
        """Its verdict by its own rule, or by `rule` where it has none."""
        if self.fails:
            return Verdict.UNDECIDED
        if self.lost:
            return Verdict.NOT_REPRODUCED
        return decide(self.effect, self.rule or rule, self.controls)


@dataclass(frozen=True)
class Evidence:
    """What the recordings say.

    Attributes:
        parts: one or more; the first is the one that a row of the ledger shows.
        note: what else a reader should know, in one or two sentences.
        together: what the verdicts of the parts that count come to; the least of them unless a
            claim says otherwise. Of a part that does not count it is given None.

    Raises:
        ValueError: no part.
    """

    parts: tuple[Part, ...]
    note: str = ""
    together: Callable[[Sequence[Verdict | None]], Verdict] = least

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("parts: none; expected one or more")

    @property
    def effect(self) -> Interval:
        """That of the first part."""
        return self.parts[0].effect

    @property
    def control(self) -> Interval | None:
        """That of the first part's first negative control."""
        return self.parts[0].control

    @property
    def over(self) -> str:
        """That of the first part."""
        return self.parts[0].over

    @property
    def recordings(self) -> tuple[str, ...]:
        """Those of all parts."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.recordings))


@dataclass(frozen=True)
class Claim:
    """One of the paper's claims and how it is decided here.

    Attributes:
        id: short name.
        statement: what the abstract claims, in one sentence.
        measurement: what the effect is, in words.
        rule: what it has to be.
        control: what the negative controls are, in words.
        positive: what the positive control is, in words.
        needs: the command that records what is needed.
        evidence: recordings by name -> evidence; raises `NotRecorded` where they do not do.
        also: further rows of evidence that the claim takes: what is measured, and its rule.
    """

    id: str
    statement: str
    measurement: str
    rule: Rule
    control: str
    positive: str
    needs: str
    evidence: Callable[[Runs], Evidence]
    also: tuple[tuple[str, Rule], ...] = ()

    def judge(self, recordings: Runs) -> LedgerRow:
        """Measure and decide; recordings that are missing make a row "not measured".

        Each part is decided by its rule, and the least of their verdicts is the claim's, unless
        the evidence puts them together otherwise. Of rows that measure the same by the same rule
        on runs of several sizes, those that cannot tell (a failed reference, a control answered
        wrongly) speak neither for the claim nor against it: they do not count where others can.
        """
        try:
            with one_core():  # many small searches, which gain nothing by sharing cores
                evidence = self.evidence(recordings)
        except DamagedError:
            raise
        except (NotRecorded, RecordingError) as error:
            return LedgerRow(self, None, Verdict.NOT_MEASURED, f"{error}. To record: {self.needs}")
        verdicts = tuple(part.judged(self.rule) for part in evidence.parts)
        counts = _that_count(evidence.parts, self.rule)
        verdict = evidence.together(
            [one if counted else None for one, counted in zip(verdicts, counts, strict=True)]
        )
        said = (
            evidence.note,
            *_why_not(self, evidence.parts),
            _agreement(evidence.parts, verdicts, counts, verdict),
        )
        return LedgerRow(self, evidence, verdict, " ".join(filter(None, said)), verdicts, counts)


def _that_count(parts: Sequence[Part], rule: Rule) -> tuple[bool, ...]:
    """Which parts count: those that can tell, and those that none stands beside that can."""
    told = [part.can_tell(rule) for part in parts]
    able = [(one.what, one.rule) for one, can in zip(parts, told, strict=True) if can]
    return tuple(
        can or (part.what, part.rule) not in able for part, can in zip(parts, told, strict=True)
    )


def _why_not(claim: Claim, parts: Sequence[Part]) -> list[str]:
    """What keeps parts from being judged by their effect, a sentence each."""
    said: dict[str, list[Part]] = {}
    for part in parts:
        rule, reasons = part.rule or claim.rule, [part.fails or part.lost]
        for answer, kind in (("yes", "positive"), ("no", "negative")) if not any(reasons) else ():
            controls = part.controls_that(answer)
            if not controls:
                reasons.append(f"no {kind} control is recorded")
            reasons += [
                f"the {kind} control ({control.words}) fails"
                for control in controls
                if not control.is_right(rule)
            ]
        for reason in filter(None, reasons):
            said.setdefault(reason[0].upper() + reason[1:], []).append(part)
    return [
        f"{reason} ({names})." if (names := _names(list(dict.fromkeys(of)))) else f"{reason}."
        for reason, of in said.items()
    ]


def _names(parts: Sequence[Part]) -> str:
    """Of several parts, what is common said once: "small size, 3 seeds: elasticity, necessity"."""
    whats: dict[str, list[str]] = {}
    for part in parts:
        runs = ", ".join(filter(None, (part.size, part.which)))
        whats.setdefault(runs or part.what, []).extend([part.what] * bool(runs and part.what))
    return "; ".join(f"{runs}: {', '.join(of)}" if of else runs for runs, of in whats.items())


def _agreement(
    parts: Sequence[Part], verdicts: Sequence[Verdict], counts: Sequence[bool], together: Verdict
) -> str:
    """Whether the parts that count agree, in a sentence or two; "" for a single part."""
    if len(parts) == 1:
        return ""
    blind = [part for part, counted in zip(parts, counts, strict=True) if not counted]
    if blind:
        own = [i for i, counted in enumerate(counts) if counted]
        rest = _agreement([parts[i] for i in own], [verdicts[i] for i in own],
                          [True] * len(own), together)  # fmt: skip
        rest = rest.replace(f"{len(own)} judgements", f"{len(own)} other judgements")
        return f"Not counted, because they cannot tell: {_names(blind)}. {rest}".strip()
    if len(set(verdicts)) == 1:
        return f"The {len(parts)} judgements agree."
    who: dict[Verdict, list[Part]] = {}
    for part, verdict in zip(parts, verdicts, strict=True):
        who.setdefault(verdict, []).append(part)
    of_each = [f"{verdict.value} ({_names(own)})" for verdict, own in who.items()]
    said = "The weakest of them counts"
    if together is not least(verdicts):
        said = f"Together they come to {together.value}"
    return f"The {len(parts)} judgements differ: {'; '.join(of_each)}. {said}."


@dataclass(frozen=True)
class LedgerRow:
    """A row of the ledger.

    Attributes:
        claim: what was judged.
        evidence: what it was judged by; None where that is not recorded.
        verdict: the least of those `verdicts` that count, or "not measured".
        note: what else a reader should know; whether the parts of the evidence agree.
        verdicts: one for each part of the evidence.
        counts: whether each counts: those that cannot tell do not where others can.
    """

    claim: Claim
    evidence: Evidence | None
    verdict: Verdict
    note: str
    verdicts: tuple[Verdict, ...] = ()
    counts: tuple[bool, ...] = ()

    @property
    def counted(self) -> list[tuple[Part, Verdict]]:
        """The parts that count, each with its verdict."""
        if self.evidence is None:
            return []
        counts = self.counts or (True,) * len(self.verdicts)
        judged = zip(self.evidence.parts, self.verdicts, counts, strict=True)
        return [(part, verdict) for part, verdict, counted in judged if counted]

    @property
    def deciding(self) -> Part | None:
        """The part that the verdict follows: the first that counts whose own is that; else the
        first that counts."""
        own = [part for part, verdict in self.counted if verdict is self.verdict]
        return next(iter([*own, *(part for part, _ in self.counted)]), None)

    @property
    def pilot(self) -> bool:
        """Whether the verdict rests on single training runs: no row that has it has several."""
        if self.evidence is None:
            return False
        those = [part.pilot for part, verdict in self.counted if verdict is self.verdict]
        return all(those or [part.pilot for part, _ in self.counted])

    @property
    def judged(self) -> str:
        """The verdict in words: "reproduced", "undecided (pilot)"."""
        return f"{self.verdict.value} (pilot)" if self.pilot else self.verdict.value

    def as_dict(self) -> dict[str, object]:
        """Plain JSON types; numbers that are not defined are None.

        The numbers of a row are those of its first part; `parts` has all of them.
        """
        found, rule = self.evidence, self.claim.rule
        parts = found.parts if found else ()
        return {
            "id": self.claim.id,
            "statement": self.claim.statement,
            "citation": CITATION,
            "measurement": self.claim.measurement,
            "why": rule.why,
            "known": rule.known,
            **_numbers(parts[0] if parts else None, rule),
            "control": self.claim.control,
            "recordings": list(found.recordings) if found else [],
            "verdict": self.verdict.value,
            "pilot": self.pilot,
            "note": self.note,
            "parts": [
                {
                    "name": part.name,
                    **_numbers(part, rule),
                    "verdict": verdict.value,
                    "pilot": part.pilot,
                }
                for part, verdict in zip(parts, self.verdicts, strict=True)
            ],
        }


def _numbers(part: Part | None, rule: Rule) -> dict[str, object]:
    """What a part's effect is, what it had to be, and its controls."""
    rule = part.rule or rule if part else rule
    effect = part.effect if part else None
    positive, negative = (
        [_control(one, rule) for one in (part.controls_that(answer) if part else ())]
        for answer in ("yes", "no")
    )
    return {
        "effect": _number(effect, "value"),
        "low": _number(effect, "low"),
        "high": _number(effect, "high"),
        "unit": part.over if part else None,
        "rule": str(rule),
        "measured_in": rule.unit,
        "direction": rule.direction,
        "null": rule.null,
        "least_effect": rule.least,
        "positive_control": positive[0] if positive else None,
        "negative_controls": negative,
        "measured_on": list(part.recordings) if part else [],
    }


def _control(of: Control, rule: Rule) -> dict[str, object]:
    return {
        "words": of.words,
        "effect": _number(of.effect, "value"),
        "low": _number(of.effect, "low"),
        "high": _number(of.effect, "high"),
        "measured_on": list(of.recordings),
        "lost": of.lost,
        "right": of.is_right(rule),
    }


def _number(of: Interval | None, name: str) -> float | None:
    value = getattr(of, name) if of is not None else math.nan
    return float(value) if math.isfinite(value) else None
