"""A claim, the evidence that a set of recordings gives, and the row of the ledger they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ssl_companion.chapters.analysis.accuracies import NotRecorded, Runs
from ssl_companion.chapters.claims.decision import Rule, Verdict, decide, least
from ssl_companion.measures import Interval
from ssl_companion.recordings import RecordingError

CITATION = "Ben-Shaul et al., NeurIPS 2023, arXiv:2305.15614 (abstract)"


@dataclass(frozen=True)
class Part:
    """What one run says, or some that differ by their seed alone; it is judged apart.

    Attributes:
        effect: with its 95% interval, in the rule's unit; NaN where it is not defined.
        control: the same of the negative control; None where there was nothing to make it of.
        over: what the effect's interval is over: "3 seeds", "2000 test images".
        recordings: names of those used.
        size: of the runs, in words, where there are runs of several sizes: "full size".
        which: of those of that size, in words: "3 seeds", "an independent implementation".
    """

    effect: Interval
    control: Interval | None
    over: str
    recordings: tuple[str, ...]
    size: str = ""
    which: str = ""

    @property
    def name(self) -> str:
        """Size and which; "" where there is nothing to tell it from."""
        return ", ".join(filter(None, (self.size, self.which)))


@dataclass(frozen=True)
class Evidence:
    """What the recordings say.

    Attributes:
        parts: one or more; the first is the one that a row of the ledger shows.
        note: what else a reader should know, in one or two sentences.

    Raises:
        ValueError: no part.
    """

    parts: tuple[Part, ...]
    note: str = ""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("parts: none; expected one or more")

    @property
    def effect(self) -> Interval:
        """That of the first part."""
        return self.parts[0].effect

    @property
    def control(self) -> Interval | None:
        """That of the first part."""
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
    """One of the paper's claims and how it is decided here; all of it fixed beforehand.

    Attributes:
        id: short name.
        statement: what the abstract claims, in one sentence.
        measurement: what the effect is, in words.
        rule: what it has to be.
        control: what the negative control is, in words.
        needs: the command that records what is needed.
        evidence: recordings by name -> evidence; raises `NotRecorded` where they do not do.
    """

    id: str
    statement: str
    measurement: str
    rule: Rule
    control: str
    needs: str
    evidence: Callable[[Runs], Evidence]

    def judge(self, recordings: Runs) -> LedgerRow:
        """Measure and decide; recordings that are missing make a row "not measured".

        Each part is decided by the same rule, and the least of their verdicts is the claim's.
        """
        try:
            evidence = self.evidence(recordings)
        except (NotRecorded, RecordingError) as error:
            return LedgerRow(self, None, Verdict.NOT_MEASURED, f"{error}. To record: {self.needs}")
        verdicts = tuple(decide(part.effect, self.rule, part.control) for part in evidence.parts)
        said = (evidence.note, _agreement(evidence.parts, verdicts))
        return LedgerRow(self, evidence, least(verdicts), " ".join(filter(None, said)), verdicts)


def _agreement(parts: Sequence[Part], verdicts: Sequence[Verdict]) -> str:
    """Whether the parts agree, in a sentence; "" for a single one."""
    if len(parts) == 1:
        return ""
    counts: dict[str, int] = {}
    for part in parts:
        counts[part.size] = counts.get(part.size, 0) + len(part.recordings)
    runs = " and ".join(f"{n} run{'s' * (n > 1)} at {size}" for size, n in counts.items())
    if len(set(verdicts)) == 1:
        return f"Judged apart, {runs} agree."
    who: dict[Verdict, list[str]] = {}
    for part, verdict in zip(parts, verdicts, strict=True):
        who.setdefault(verdict, []).append(part.name)
    of_each = [f"{verdict.value} ({'; '.join(names)})" for verdict, names in who.items()]
    return f"Judged apart, {runs} differ: {', '.join(of_each)}. The least of these counts."


@dataclass(frozen=True)
class LedgerRow:
    """A row of the ledger.

    Attributes:
        claim: what was judged.
        evidence: what it was judged by; None where that is not recorded.
        verdict: the least of `verdicts`, or "not measured".
        note: what else a reader should know; whether the parts of the evidence agree.
        verdicts: one for each part of the evidence.
    """

    claim: Claim
    evidence: Evidence | None
    verdict: Verdict
    note: str
    verdicts: tuple[Verdict, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Plain JSON types; numbers that are not defined are None."""
        found, rule = self.evidence, self.claim.rule
        parts = found.parts if found else ()
        return {
            "id": self.claim.id,
            "statement": self.claim.statement,
            "citation": CITATION,
            "measurement": self.claim.measurement,
            "rule": str(rule),
            "direction": rule.direction,
            "null": rule.null,
            "least_effect": rule.least,
            "unit": rule.unit,
            "why": rule.why,
            **_numbers(parts[0] if parts else None),
            "control": self.claim.control,
            "recordings": list(found.recordings) if found else [],
            "verdict": self.verdict.value,
            "note": self.note,
            "parts": [
                {
                    "name": part.name,
                    **_numbers(part),
                    "recordings": list(part.recordings),
                    "verdict": verdict.value,
                }
                for part, verdict in zip(parts, self.verdicts, strict=True)
            ],
        }

    def by_runs(self, words: Callable[[Interval | None], str]) -> str:
        """Each part's name, effect and verdict; "" where there are not several.

        Args:
            words: an interval in words.
        """
        parts = self.evidence.parts if self.evidence else ()
        if len(parts) < 2:
            return ""
        return "; ".join(
            f"{part.name}: {words(part.effect)}, {verdict.value}"
            for part, verdict in zip(parts, self.verdicts, strict=True)
        )

    def short(self) -> dict[str, object]:
        """The columns of a table: claim, effect, interval, rule, control, verdict."""
        found = self.evidence
        return {
            "claim": self.claim.id,
            "effect": in_brackets(found.effect) if found else "-",
            "rule": str(self.claim.rule),
            "control": in_brackets(found.control) if found else "-",
            "over": found.over if found else "-",
            "verdict": self.verdict.value,
        }


def _numbers(part: Part | None) -> dict[str, object]:
    effect, control = (part.effect, part.control) if part else (None, None)
    return {
        "effect": _number(effect, "value"),
        "low": _number(effect, "low"),
        "high": _number(effect, "high"),
        "interval_over": part.over if part else None,
        "control_effect": _number(control, "value"),
        "control_low": _number(control, "low"),
        "control_high": _number(control, "high"),
    }


def _number(of: Interval | None, name: str) -> float | None:
    value = getattr(of, name) if of is not None else math.nan
    return float(value) if math.isfinite(value) else None


def in_brackets(of: Interval | None) -> str:
    """An estimate with its interval in three digits: "8.31 [7.9, 8.72]"."""
    if of is None:
        return "none"
    if not math.isfinite(of.value):
        return "not defined"
    return f"{of.value:.3g} [{of.low:.3g}, {of.high:.3g}]"
