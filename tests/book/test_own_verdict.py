"""A verdict that a page gives on its own, without recordings, is on its slide as on the page."""

from __future__ import annotations

from bs4 import BeautifulSoup
from deck import _verdict

from ssl_companion.chapters.claims import Claim, Evidence, LedgerRow, Rule, Verdict
from ssl_companion.chapters.widgets.verdicts import verdict_table


def test_a_slide_takes_over_the_word_and_the_result_of_a_page() -> None:
    rule = Rule("above", 0.05, 0.995, "right answers", "measured")
    claim = Claim(
        "search", "The search is exact.", "right answers", rule, control="products",
        positive="brute force", needs="", evidence=lambda runs: Evidence(()),
    )  # fmt: skip
    row = LedgerRow(claim, None, Verdict.REPRODUCED, "Worst offset: 100.0% (99.7% to 100.0%).")
    page = BeautifulSoup(verdict_table(row)._repr_html_(), "html.parser")
    box = page.select_one(".companion-verdict")
    assert box is not None
    slide = BeautifulSoup(_verdict(box), "html.parser")
    said = [p.get_text().strip() for p in slide.find_all("p")]
    assert said == ["✔ reproduced", row.note]
    assert slide.select_one(".verdict-word.yes") is not None
