"""Tables show everything, and provenance says only what run.json says."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from ssl_companion.chapters.widgets.slider import BOOK_VARIABLE
from ssl_companion.chapters.widgets.tables import Table, alike, provenance, words
from ssl_companion.measures import Interval

RUN: dict[str, Any] = {
    "data": {"title": "Glyphs-100 (stand-in)", "train_images": 10_000, "test_images": 2_000},
    "git": {"commit": "0123456789abcdef", "clean": False},
    "seed": 7,
    "device": "CPU (a processor, 2 threads)",
    "train_seconds": 90.0,
    "end": "2026-01-02T03:04:05+00:00",
    "versions": {"torch": "2.6.0"},
    "measured": {"config": {"keep_test": 20, "keep_train": 10}},
}


def recording(**changes: Any) -> Any:
    own = {"name": "tiny", "title": "VICReg, tiny", "stand_in": True, "epochs": (0, 1, 5)}
    own["device"] = RUN["device"]
    return SimpleNamespace(**(own | {"has_features": True, "run": RUN} | changes))


@pytest.mark.parametrize("text", [str, lambda table: table._repr_html_()])
def test_a_table_cuts_nothing_short(text: Any) -> None:
    table = Table(pd.DataFrame({"words": ["long " * 60]}, index=["a"]))
    assert "long " * 59 in text(table)


def test_markup_in_a_table_stays_text() -> None:
    frame = pd.DataFrame({"<b>": ["<b>"]}, index=["<b>"])
    assert "<b>" not in Table(frame)._repr_html_()
    assert "<i>" not in Table(frame.rename_axis("<i>"))._repr_html_()


def test_stacked_cells_carry_the_names_of_their_columns_as_text() -> None:
    frame = pd.DataFrame({"be<fore": ["", "1 < 2"], "after": ["a", 3]})
    page = Table(frame, index=False, stack=True)._repr_html_()
    assert page.count('<div data-head="be&lt;fore">') == page.count('data-head="after"') == 2
    assert '<div data-head="be&lt;fore"></div>' in page, "empty, as the style sheet asks"
    assert "1 &lt; 2" in page
    assert "data-head" not in Table(frame, index=False)._repr_html_()


@pytest.mark.parametrize("building", [True, False])
def test_a_cell_leads_to_its_page_in_the_book_only(
    building: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BOOK_VARIABLE, "html" if building else "")
    page = Table(pd.DataFrame({"claim": ["a & b", "c"]}), pages={"a & b": "there"})._repr_html_()
    assert page.count("<a href") == int(building)
    assert "a &amp; b" in page
    assert ('<a href="there.html">a &amp; b</a>' in page) is building
    place = Table(pd.DataFrame({"claim": ["c"]}), pages={"c": "there#figure"})._repr_html_()
    assert ('<a href="there.html#figure">c</a>' in place) is building


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (Interval(8.314, 7.9, 8.72), "8.31 (7.9 to 8.72)"),
        (Interval(1 / 9, 1 / 9, 1 / 9), "0.111"),
        (Interval(float("nan"), float("nan"), float("nan")), "not defined"),
        (None, "none"),
    ],
)
def test_an_interval_of_no_width_is_left_out(interval: Interval | None, said: str) -> None:
    assert words(interval) == said


def test_provenance_says_what_the_run_says() -> None:
    text = str(provenance(recording()))
    for fact in (
        "0123456789ab, with uncommitted changes", "CPU (a processor, 2 threads)", "1.5 minutes",
        "2026-01-02 03:04 UTC",
        "0, 1, 5", "torch 2.6.0", "drawn by the package, not photographs", "10,000 to train on",
        "of each class, 20 to judge and 10 to train on",
    ):  # fmt: skip
        assert fact in text


def test_a_time_below_a_minute_is_in_seconds() -> None:
    text = str(provenance(recording(run=RUN | {"train_seconds": 13.6, "end": None})))
    assert "14 seconds" in text
    assert "minutes" not in text
    assert re.search(r"finished +unknown", text)


def test_provenance_of_other_code_is_plain_text() -> None:
    about = "trained by a stranger; the column `by` says what was measured how"
    measured = RUN["measured"] | {"git": {"commit": "e" * 40}, "device": "CPU (a chip, 1 threads)"}
    run = RUN | {"source": {"about": about, "by": {}}, "measured": measured}
    text = str(provenance(recording(run=run)))
    assert "`" not in text
    for fact in (r"trained by +a stranger\n", r"measured on +CPU \(a chip, 1 thread\)", "“by”"):
        assert re.search(fact, text), fact


def test_provenance_of_a_run_without_features_or_doubts() -> None:
    clean = RUN | {"git": {"commit": "f" * 40, "clean": True}}
    text = str(provenance(recording(run=clean, stand_in=False, has_features=False)))
    assert "uncommitted" not in text
    assert "photographs" not in text
    assert "held-out and" not in text


def test_numbers_of_a_row_have_the_same_decimals() -> None:
    assert alike(pd.Series([1.7, 1.07])).tolist() == ["1.70", "1.07"]
    assert alike(pd.Series([-3.0, -3.94, -0.325])).tolist() == ["−3.00", "−3.94", "−0.33"]
    assert alike(pd.Series([275.4, 63.5])).tolist() == ["275", "64"]
    assert alike(pd.Series([0.0, 0.0])).tolist() == ["0.00", "0.00"]
