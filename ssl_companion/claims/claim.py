"""A claim, the evidence that a set of recordings gives, and the row of the ledger they make."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ssl_companion.claims.decision import Rule, Verdict, decide
from ssl_companion.findings import NotRecorded
from ssl_companion.findings.live import Runs
from ssl_companion.measures import Interval
from ssl_companion.recordings import RecordingError

CITATION = "Ben-Shaul et al., NeurIPS 2023, arXiv:2305.15614 (abstract)"


@dataclass(frozen=True)
class Evidence:
    """What the recordings say.

    Attributes:
        effect: with its 95% interval, in the rule's unit; NaN where it is not defined.
        control: the same of the negative control; None where there was nothing to make it of.
        over: what the effect's interval is over: "3 seeds", "2000 test images".
        recordings: names of those used.
        note: what else a reader should know, in one or two sentences.
    """

    effect: Interval
    control: Interval | None
    over: str
    recordings: tuple[str, ...]
    note: str = ""


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

    def judge(self, recordings: Runs) -> Row:
        """Measure and decide; recordings that are missing make a row "not measured"."""
        try:
            evidence = self.evidence(recordings)
        except (NotRecorded, RecordingError) as error:
            return Row(self, None, Verdict.NOT_MEASURED, f"{error}. To record: {self.needs}")
        verdict = decide(evidence.effect, self.rule, evidence.control)
        return Row(self, evidence, verdict, evidence.note)


@dataclass(frozen=True)
class Row:
    """A row of the ledger."""

    claim: Claim
    evidence: Evidence | None
    verdict: Verdict
    note: str

    def as_dict(self) -> dict[str, object]:
        """Plain JSON types; numbers that are not defined are None."""
        found, rule = self.evidence, self.claim.rule
        effect = found.effect if found else None
        control = found.control if found else None
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
            "effect": _number(effect, "value"),
            "low": _number(effect, "low"),
            "high": _number(effect, "high"),
            "interval_over": found.over if found else None,
            "control": self.claim.control,
            "control_effect": _number(control, "value"),
            "control_low": _number(control, "low"),
            "control_high": _number(control, "high"),
            "recordings": list(found.recordings) if found else [],
            "verdict": self.verdict.value,
            "note": self.note,
        }

    def short(self) -> dict[str, object]:
        """The columns of a table: claim, effect, interval, rule, control, verdict."""
        found = self.evidence
        return {
            "claim": self.claim.id,
            "effect": _words(found.effect) if found else "-",
            "rule": str(self.claim.rule),
            "control": _words(found.control) if found else "-",
            "over": found.over if found else "-",
            "verdict": self.verdict.value,
        }


def _number(of: Interval | None, name: str) -> float | None:
    value = getattr(of, name) if of is not None else math.nan
    return float(value) if math.isfinite(value) else None


def _words(of: Interval | None) -> str:
    if of is None:
        return "none"
    if not math.isfinite(of.value):
        return "not defined"
    return f"{of.value:.3g} [{of.low:.3g}, {of.high:.3g}]"
