"""Tables that a page shows, and where a recording came from as one of them."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from ssl_companion.chapters.widgets.slider import in_book
from ssl_companion.measures import Interval
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import MEASURES
from ssl_companion.recordings.wording import current_words


@dataclass(frozen=True, eq=False)
class Table:
    """A table as HTML that follows the page's theme, and as text elsewhere.

    Attributes:
        frame: what it shows; nothing is cut short.
        index: whether the rows' names are shown.
        head: whether the columns' names are; a table of facts has none.
        pages: cells that lead to a page of the book, by their text: the page's name, or
            "page#figure" for a place on it.
        stack: whether a narrow page of the book shows a row's cells below each other, each under
            its column's name; for columns of long texts.
    """

    frame: pd.DataFrame
    index: bool = True
    head: bool = True
    pages: Mapping[str, str] = field(default_factory=dict)
    stack: bool = False

    def _repr_html_(self) -> str:
        frame = self.frame.rename_axis(columns=None)
        if named := self.index and frame.index.name is not None:
            frame = frame.reset_index()  # one row of headings, the index's own among them
        with pd.option_context("display.max_colwidth", None):
            cells = frame.map(self._cell)
            if self.stack:  # the style sheet shows the name where there is no room for columns
                for name in cells.columns:
                    cells[name] = f'<div data-head="{_escape(name)}">' + cells[name] + "</div>"
            cells = cells.rename(index=_escape, columns=_escape)
            page: str = cells.to_html(
                classes="companion-table stacked" if self.stack else "companion-table",
                border=0,
                index=self.index and not named,
                header=self.head,
                escape=False,
            )
        return page.replace("<th></th>", "<td></td>")  # a corner heads nothing

    def _cell(self, value: object) -> str:
        text = _escape(value)
        if in_book() and str(value) in self.pages:
            page, mark, place = self.pages[str(value)].partition("#")
            return f'<a href="{page}.html{mark}{place}">{text}</a>'
        return text

    def __repr__(self) -> str:
        with pd.option_context("display.max_colwidth", None, "display.width", 160):
            return str(self.frame.to_string(index=self.index, header=self.head))


def alike(values: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers of one row or column with equally many decimals: three digits of the middle one.

    Example:
        ```python
        alike(pd.Series([-3.0, -3.94, -0.325])).tolist()  # ["−3.00", "−3.94", "−0.33"]
        alike(pd.Series([1.0, -0.001])).tolist()  # ["1.00", "0.00"]
        ```
    """
    middle = float(values.abs().median())
    digits = 2 - math.floor(math.log10(middle)) if middle > 0 else 2
    # "z" is for a negative number that rounds to zero: it loses its sign.
    return values.map(lambda value: f"{value:z.{min(max(digits, 0), 6)}f}".replace("-", "−"))


def _escape(value: object) -> str:
    return html.escape(str(value))


def words(interval: Interval | None) -> str:
    """An estimate with its interval in three digits: "8.31 (7.9 to 8.72)".

    An interval of no width says nothing and is left out, as where a count was taken of all; and a
    single run has none over seeds.
    """
    if interval is None:
        return "none"
    if interval.value != interval.value:
        return "not defined"
    if not _has_width(interval):
        return f"{interval.value:.3g}"
    return f"{interval.value:.3g} ({interval.low:.3g} to {interval.high:.3g})"


def _has_width(interval: Interval) -> bool:
    unknown = interval.low != interval.low
    return not (unknown or interval.low == interval.value == interval.high)


def facts_table(facts: Mapping[str, object]) -> Table:
    """Names and what they are, a row each: `facts_table({"seed": 0, "device": "CPU"})`."""
    return Table(pd.DataFrame({"": list(facts.values())}, index=pd.Index(list(facts))), head=False)


def _took(run: Mapping[str, Any]) -> dict[str, str]:
    """How long it took; an encoder of somebody's own was trained elsewhere."""
    if run["train_seconds"] is None:
        return {"measuring took": _time(run["wall_seconds"])}
    return {"training took": _time(run["train_seconds"])}


def _time(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 60 else f"{seconds / 60:.1f} minutes"


def _moment(stamp: str | None) -> str:
    """A time of run.json to the minute: "2026-01-02 03:04 UTC"."""
    if stamp is None:
        return "unknown"
    return f"{datetime.fromisoformat(stamp).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _measured_elsewhere(run: Mapping[str, Any]) -> dict[str, str]:
    """Where a run was measured, if not where it was trained."""
    device = current_words(run["measured"].get("device", run["device"]))
    return {} if device == current_words(run["device"]) else {"measured on": device}


def _made(run: Mapping[str, Any]) -> dict[str, object]:
    """By which code and when; of a run of other code little is known."""
    if "source" in run:
        commit = run["measured"]["git"]["commit"] or "unknown"
        about = run["source"]["about"].partition("; ")[0]
        made: dict[str, object] = {"trained by": about.removeprefix("trained by ")}
        if "by" in run["source"]:
            made["its numbers"] = f"the column “by” of {MEASURES} states how each was obtained"
        return made | {"imported at commit": commit[:12]}
    commit = run["git"]["commit"] or "unknown"
    state = "" if run["git"]["clean"] else ", with uncommitted changes"
    return {
        "seed": run["seed"],
        "finished": _moment(run["end"]),
        "commit": f"{commit[:12]}{state}",
        "versions": ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
    }


def provenance(recording: Recording) -> Table:
    """Where a recording came from, every word of it read from its run.json."""
    run, data = recording.run, recording.run["data"]
    drawn = " (drawn by the package, not photographs)" if recording.stand_in else ""
    facts = {
        "recording": recording.name,
        "run": recording.title,
        "images": f"{data['title']}{drawn}: {data['train_images']:,} to train on, "
        f"{data['test_images']:,} held out",
        "epochs measured": ", ".join(str(epoch) for epoch in recording.epochs),
        "device": recording.device,
        **_measured_elsewhere(run),
        **_took(run),
        **_made(run),
    }
    if recording.has_features:
        kept = run["measured"]["config"]
        facts["features kept"] = (
            f"of each class, {kept['keep_test']} to judge and {kept['keep_train']} to train on"
        )
    return facts_table(facts)
