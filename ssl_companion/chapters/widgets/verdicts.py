"""What a claim came to, for people who have not read its rule: the box at the head of a chapter."""

from __future__ import annotations

import html
from dataclasses import dataclass

from ssl_companion.chapters.claims import LedgerRow, judge


@dataclass(frozen=True)
class InShort:
    """Claim, finding and what it was measured on: three sentences in a box, as HTML and text."""

    row: LedgerRow

    def __repr__(self) -> str:
        part = self.row.deciding
        measured = f"Measured on {part.over}." if part else "Not measured yet."
        return f"In short. {self.row.claim.statement} {self.row.judged.capitalize()}. {measured}"

    def _repr_html_(self) -> str:
        return f'<div class="companion-short"><p>{html.escape(repr(self))}</p></div>'


def in_short(name: str) -> InShort:
    """The box at the head of a claim's chapter: `in_short("clustering")`.

    Args:
        name: the claim's id.

    Raises:
        ValueError: no such claim.
    """
    return InShort(judge(name))
