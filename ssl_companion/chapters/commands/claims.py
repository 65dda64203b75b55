"""`ssl-companion claims`: the ledger, computed now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_companion.cli.tables import show


@dataclass(frozen=True)
class Claims:
    """Judge the paper's nine claims: effect, interval, rule, negative control, verdict.

    Everything is computed from the recordings at each call. Claims about the trajectory are judged
    by runs of several sizes apart; what each of them gives stands below the table.

    Attributes:
        root: folder of recordings; by default SSL_COMPANION_RECORDINGS, else the checkout's,
            else ./recordings.
        json: print JSON, with statements, measurements and notes in full.
    """

    root: Path | None = None
    json: bool = False

    def run(self) -> int:
        """Print nine rows, and what the parts of their evidence give."""
        from ssl_companion.chapters.claims import ledger, recordings_to_judge
        from ssl_companion.chapters.claims.evidence import in_brackets

        rows = ledger(recordings_to_judge(self.root))
        if self.json:
            show([row.as_dict() for row in rows], True)
            return 0
        show([row.short() for row in rows], False)
        for row in rows:
            if row.note:
                print(f"\n{row.claim.id}: {row.note}")
            if apart := row.by_runs(in_brackets):
                print(f"  {apart}.")
        return 0
