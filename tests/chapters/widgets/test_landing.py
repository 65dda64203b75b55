"""What the landing page counts, and the commands that it gives."""

from __future__ import annotations

import re

from ssl_companion.chapters.claims import CLAIMS, LedgerRow, Verdict
from ssl_companion.chapters.widgets.landing import install_commands, tally


def test_every_claim_is_counted_once() -> None:
    verdicts = [Verdict.PARTLY, Verdict.REPRODUCED, Verdict.PARTLY, Verdict.NOT_REPRODUCED]
    rows = [LedgerRow(CLAIMS[0], None, verdict, "") for verdict in verdicts]
    found = tally(rows)
    expected = "Of four claims: 1 reproduced, 2 partly, 0 undecided, 1 not reproduced"
    assert repr(found) == expected
    shown = re.sub(r' <span aria-hidden="true">.</span>', "", found._repr_html_())
    assert re.sub(r"<[^>]+>", "", shown) == expected.replace(", ", " ")


def test_a_claim_without_a_recording_is_not_left_out() -> None:
    assert "1 not measured" in repr(tally([CLAIMS[0].judge({})]))


def test_commands_name_an_address_only_where_there_is_one() -> None:
    known = install_commands("https://github.com/somebody/their-book")
    assert "git clone https://github.com/somebody/their-book\ncd their-book\nmake book" in known
    assert "pip install git+https://github.com/somebody/their-book" in known
    unknown = install_commands("https://github.com/OWNER/ssl-companion")
    assert "http" not in unknown
    assert "make book" in unknown
    assert "pip install ." in unknown
