"""Claims: the paper's nine, each with a rule fixed beforehand, a control and a verdict."""

from __future__ import annotations

from ssl_companion.claims.claim import CITATION, Claim, Evidence, Part, Row
from ssl_companion.claims.decision import Rule, Verdict, decide
from ssl_companion.claims.ledger import CLAIMS, claim, judge, ledger, table
from ssl_companion.claims.runs import recordings_by_name, recordings_to_judge

__all__ = [
    "CITATION",
    "CLAIMS",
    "Claim",
    "Evidence",
    "Part",
    "Row",
    "Rule",
    "Verdict",
    "claim",
    "decide",
    "judge",
    "ledger",
    "recordings_by_name",
    "recordings_to_judge",
    "table",
]
