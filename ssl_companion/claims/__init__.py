"""Claims: the paper's nine, each with a rule fixed beforehand, a control and a verdict."""

from __future__ import annotations

from ssl_companion.claims.claim import CITATION, Claim, Evidence, Row
from ssl_companion.claims.decision import Rule, Verdict, decide
from ssl_companion.claims.ledger import CLAIMS, claim, judge, ledger, recordings_by_name, table

__all__ = [
    "CITATION",
    "CLAIMS",
    "Claim",
    "Evidence",
    "Row",
    "Rule",
    "Verdict",
    "claim",
    "decide",
    "judge",
    "ledger",
    "recordings_by_name",
    "table",
]
