"""Claims: the paper's nine, each with a rule, controls whose answer is known, and a verdict."""

from __future__ import annotations

from ssl_companion.chapters.claims.decision import Control, Rule, Verdict, decide
from ssl_companion.chapters.claims.evidence import (
    CITATION,
    Claim,
    Evidence,
    LedgerRow,
    Part,
)
from ssl_companion.chapters.claims.ledger import CLAIMS, claim, judge, ledger
from ssl_companion.chapters.claims.runs import (
    recordings_by_name,
    recordings_to_judge,
)

__all__ = [
    "CITATION",
    "CLAIMS",
    "Claim",
    "Control",
    "Evidence",
    "LedgerRow",
    "Part",
    "Rule",
    "Verdict",
    "claim",
    "decide",
    "judge",
    "ledger",
    "recordings_by_name",
    "recordings_to_judge",
]
