"""What only the landing page shows: how many claims held, and how to install the book."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ssl_companion.chapters.claims import LedgerRow, Verdict
from ssl_companion.chapters.claims.words import ICONS
from ssl_companion.chapters.english import count_in_words

#: Verdicts that every tally names, also where no claim has them.
_ALWAYS = (Verdict.REPRODUCED, Verdict.PARTLY, Verdict.UNDECIDED, Verdict.NOT_REPRODUCED)


@dataclass(frozen=True)
class Tally:
    """How many claims have each verdict, as HTML and as text.

    Attributes:
        counts: by verdict, the best first.
    """

    counts: dict[Verdict, int]

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {verdict.value}" for verdict, n in self.counts.items())
        return f"Of {self._claims()}: {counts}"

    def _repr_html_(self) -> str:
        parts = (
            f'<span class="verdict-badge {verdict.value.replace(" ", "-")}">{n} {verdict.value} '
            f'<span aria-hidden="true">{ICONS[verdict]}</span></span>'
            for verdict, n in self.counts.items()
        )
        return f'<p class="companion-tally">Of {self._claims()}: {" ".join(parts)}</p>'

    def _claims(self) -> str:
        n = sum(self.counts.values())
        return f"{count_in_words(n)} claim{'s' if n != 1 else ''}"


def tally(rows: Sequence[LedgerRow]) -> Tally:
    """Count the verdicts of the ledger: `tally(claims.ledger())`.

    Example:
        >>> from ssl_companion.chapters.claims import CLAIMS
        >>> tally([CLAIMS[0].judge({})])
        Of one claim: 0 reproduced, 0 partly, 0 undecided, 0 not reproduced, 1 not measured
    """
    found = Counter(row.verdict for row in rows)
    return Tally({v: found[v] for v in Verdict if v in _ALWAYS or found[v]})


def install_commands(repository: str) -> str:
    """The lines of a shell that fetch the book, build it, or install the package by itself.

    Args:
        repository: its address; while that is the placeholder, the lines begin in a clone.
    """
    known = "/OWNER/" not in repository
    folder = repository.rstrip("/").split("/")[-1]
    fetch = [f"git clone {repository}", f"cd {folder}"]
    if not known:
        fetch = ["cd ssl-companion    # a clone of the repository"]
    rest = [
        "make book           # the whole book: install, execute every page, build",
        "pip install .       # or the package alone, to measure an encoder of yours",
    ]
    alone = [f"pip install git+{repository}  # the same, without a clone"] if known else []
    return "\n".join(["```text", *fetch, *rest, *alone, "```"])
