"""Verdicts on a page: what is said, what is folded, and where the marks of a forest plot lie."""

from __future__ import annotations

import math
import re

import pytest
from bs4 import BeautifulSoup

from ssl_companion.chapters.claims import Claim, Control, Evidence, LedgerRow, Part, rules
from ssl_companion.chapters.widgets.slider import BOOK_VARIABLE
from ssl_companion.chapters.widgets.verdicts import (
    InShort,
    forests,
    ledger_table,
    rule_table,
    verdict_facts,
    verdict_table,
)
from ssl_companion.measures import Interval

CONTROLS = (
    Control("trained on the labels", Interval(6.0, 5.0, 7.0), "yes", ("yes-run",)),
    Control("<not> trained", Interval(1.0, math.nan, math.nan), "no", ("no-run",)),
)


def row(*parts: Part) -> LedgerRow:
    claim = Claim(
        "clustering", "It <clusters>.", "a ratio", rules.CLUSTERING, "no", "yes", "run",
        lambda _: Evidence(parts, "A note."),
    )  # fmt: skip
    return claim.judge({})


LARGE = Part(Interval(8.0, 4.0, 10.0), CONTROLS, "1 run", ("a",), "full size", pilot=True)
SMALL = Part(Interval(3.0, 2.5, 3.5), CONTROLS, "3 seeds", ("b",), "small size", "3 seeds")


def read(of: object) -> BeautifulSoup:
    return BeautifulSoup(of._repr_html_(), "html.parser")  # type: ignore[attr-defined]


@pytest.mark.parametrize("building", [True, False])
def test_a_card_says_claim_verdict_result_and_on_what(
    building: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BOOK_VARIABLE, "html" if building else "")
    page = read(ledger_table([row(LARGE, SMALL)], {"clustering": "there#figure"}))
    (card,) = page.select("li")
    assert card.select_one(".claim").get_text() == "It <clusters>."
    assert card.select_one(".verdict-badge").get_text().split() == ["✔", "reproduced"]
    result = card.select_one(".result").get_text()
    assert "by 8.0 (95% interval 4.0 to 10.0; needed: at least 2.0)." in result
    measured = card.select_one(".measured").get_text()
    assert measured == "Evidence: Full size (1 run). Both judgements agree."
    assert card.select_one("details")
    assert not card.select_one("details[open]")
    links = [a["href"] for a in card.select("a")]
    wanted = ["there.html#figure", "how-the-rules-came-about.html"] if building else []
    assert links == wanted


def test_a_claim_without_recordings_says_what_to_record() -> None:
    claim = row(LARGE).claim
    missing = LedgerRow(claim, None, row(LARGE).verdict.NOT_MEASURED, "None. To record: run")
    page = read(ledger_table([missing]))
    assert "To record: run" in page.get_text()
    assert not page.select("details, .forest")
    assert "not measured" in read(InShort((missing,))).get_text()
    assert "not measured" in read(verdict_table(missing)).get_text()


def test_the_marks_of_a_forest_lie_in_the_order_of_their_values() -> None:
    page = BeautifulSoup(forests(row(LARGE, SMALL)), "html.parser")
    (plot,) = page.select(".forest")
    names = [line.select_one(".name").get_text() for line in plot.select(".row")]
    assert names == [
        "full size", "small size, 3 seeds", "positive control: trained on the labels",
        "negative control: <not> trained",
    ]  # fmt: skip
    at = {}
    for path in plot.select(".row")[0].select("path"):
        at[path["class"][0]] = [float(x) for x in re.findall(r"[MH](\d+)", path["d"])]
    low, high = at["span"]
    assert 0 <= at["null"][0] < at["least"][0] < low < at["estimate"][0] < high <= 1000
    # In proportion: null 1, threshold 2, estimate 8, three doublings on a scale of factors.
    unit = at["least"][0] - at["null"][0]
    assert at["estimate"][0] - at["null"][0] == pytest.approx(3 * unit, abs=4)
    assert "scale is logarithmic" in plot.get_text()
    assert not plot.select(".row")[3].select(".span"), "a single number has no interval"
    assert "null value (1.0)" in plot.get_text()
    assert "threshold (2.0)" in plot.get_text()


def test_each_rule_has_a_forest_of_its_own() -> None:
    other = Part(Interval(0.3, 0.2, 0.4), (), "3 seeds", ("c",), what="lost", rule=rules.NECESSITY)
    plots = BeautifulSoup(forests(row(LARGE, other)), "html.parser").select(".forest")
    assert [len(plot.select(".row.effect")) for plot in plots] == [1, 1]
    assert "30% (20% to 40%)" in plots[1].get_text()


def test_facts_have_every_part_and_run() -> None:
    facts = verdict_facts(row(LARGE, SMALL))
    assert facts["verdict"] == "reproduced"
    assert facts["every part"] == (
        "full size: 8.0 (4.0 to 10.0), reproduced (pilot); "
        "small size, 3 seeds: 3.0 (2.5 to 3.5), reproduced"
    )
    assert facts["recordings"] == "a, b"
    assert "null value: 1.0" in str(facts["threshold"])
    table = read(verdict_table(row(LARGE, SMALL))).select_one(".companion-verdict details table")
    assert [th.get_text() for th in table.select("tbody th")] == list(facts)
    assert not table.select("thead")


def test_a_rule_is_shown_with_both_controls_and_what_was_known() -> None:
    page = read(rule_table(row(LARGE).claim))
    text = page.get_text()
    assert "≥ 2.0 (null value: 1.0)" in text
    for name in ("positive control", "negative controls", "known when it was set"):
        assert name in text
    assert not page.select("thead")


def test_in_short_has_three_lines_for_each_claim() -> None:
    page = read(InShort((row(LARGE), row(SMALL))))
    assert [dt.get_text() for dt in page.select("dt")] == ["Claim", "Finding", "Evidence"] * 2
    assert page.select_one(".pilot") is not None
