"""`ssl-companion claims`: the ledger, computed now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_companion.cli.tables import show


@dataclass(frozen=True)
class Claims:
    """Judge the paper's nine claims: verdict, effect with its interval, threshold, reason.

    Everything is computed from the recordings at each call. Claims about the trajectory are judged
    by runs of several sizes apart; what each of them gives stands below the claim.

    Attributes:
        root: folder of recordings; by default SSL_COMPANION_RECORDINGS, else the checkout's,
            else ./recordings.
        json: print JSON, with statements, measurements and notes in full.
    """

    root: Path | None = None
    json: bool = False

    def run(self) -> int:
        """Print nine claims, and what the parts of their evidence give."""
        from ssl_companion.chapters.claims import ledger, recordings_to_judge
        from ssl_companion.chapters.claims.words import in_lines
        from ssl_companion.chapters.widgets.landing import tally

        rows = ledger(recordings_to_judge(self.root))
        if self.json:
            show([row.as_dict() for row in rows], True)
            return 0
        print(f"{tally(rows)}\n")
        print("\n\n".join("\n".join(in_lines(row, every_part=True)) for row in rows))
        return 0
