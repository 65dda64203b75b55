"""The report: several encoders side by side on one HTML page that needs nothing outside itself."""

from __future__ import annotations

import html
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from string import Template
from typing import Any

import numpy as np
import pandas as pd

import ssl_companion
from ssl_companion.chapters.analysis.feature_maps import Overview, overview
from ssl_companion.chapters.widgets.explorer import explorer
from ssl_companion.chapters.widgets.static_slider import CAPTION_MARK
from ssl_companion.data.hierarchy import RANDOM, Level
from ssl_companion.encoders.catalogue import CATALOGUE
from ssl_companion.encoders.compare import Comparison, best, quotable, unsupported
from ssl_companion.encoders.evaluate import ALL, LOOKS, PERMUTED
from ssl_companion.encoders.inputs.labelled import Labelled
from ssl_companion.encoders.record import record_encoder
from ssl_companion.recordings import MeasureConfig

_LEAST_FOR_A_MAP = 20  # images


def report_page(
    comparison: Comparison,
    *,
    title: str = "",
    facts: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
    pictures: np.ndarray | None = None,
    maps: bool = True,
) -> str:
    """The report of a comparison as a whole HTML page.

    Args:
        comparison: what is shown.
        title: of the page; by default the encoders' names.
        facts: where it comes from, such as the command, the commit and the date, in the words of
            the page's last table.
        names: what the images are called that maps show, str [m].
        pictures: these images, uint8 [m, 32, 32, 3].
        maps: whether maps are drawn, which takes a while.

    Example:
        ```python
        comparison = Comparison({"mine": examine(mine, images, labels)["output"], ...})
        Path("report.html").write_text(report_page(comparison), encoding="utf8")
        ```
    """
    title = title or _title(comparison)
    sections = [
        _accuracies(comparison),
        _sentences(comparison),
        _measures(comparison),
        _differences(comparison),
        _map(comparison, names, pictures) if maps else "",
        _questions(comparison),
        _facts(comparison, facts or {}),
    ]
    return Template(_asset("document.html")).substitute(
        title=html.escape(title),
        lead=html.escape(_lead(comparison)),
        version=ssl_companion.__version__,
        style=_asset("style.css"),
        sections="\n".join(filter(None, sections)),
    )


@cache
def _asset(name: str) -> str:
    folder = resources.files("ssl_companion.chapters.widgets") / "assets/report"
    return (folder / name).read_text(encoding="utf8")


def _title(comparison: Comparison) -> str:
    names = list(comparison.results)
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}"


def _lead(comparison: Comparison) -> str:
    one = next(iter(comparison.results.values())).about
    levels = ", ".join(f"{level.name} ({level.k})" for level in comparison.hierarchy.levels)
    return (
        "How strongly features cluster by class. Images: "
        + (f"{comparison.data}, " if comparison.data else "")
        + f"{one['train_images']:,} for class means and classifiers and {one['test_images']:,} "
        f"held out. Levels of labels, with their classes: {levels}."
    )


def _section(heading: str, *parts: str) -> str:
    return f"<section>\n<h2>{html.escape(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{html.escape(text)}</p>' if kind else f"<p>{html.escape(text)}</p>"


def _sentences(comparison: Comparison) -> str:
    said = "\n".join(f"<blockquote>{html.escape(one)}</blockquote>" for one in quotable(comparison))
    refused = "\n".join(
        f"<li><b>“{html.escape(one.sentence)}”</b>{_with_code(one.why)}</li>"
        for one in unsupported(comparison)
    )
    return "\n".join([
        _section("Sentences to quote", said),
        _section(
            "Sentences that these numbers do not support",
            f'<ul class="refused">\n{refused}\n</ul>',
        ),
    ])  # fmt: skip


def _with_code(text: str) -> str:
    """Text in which what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _accuracies(comparison: Comparison) -> str:
    looks = any(level.startswith(LOOKS) for level in comparison.table["level"].unique())
    parts = [
        '<div class="key" aria-hidden="true"><span><i class="dot"></i>encoder, with 95% interval '
        'over images</span><span><i class="ring"></i>control: permuted labels, above the finest '
        "level random groups of the same sizes</span>"
        + ('<span><i class="square"></i>groups of classes that look alike</span>' if looks else "")
        + "</div>"
    ]
    for level in comparison.hierarchy.levels:
        parts += [f"<h3>{html.escape(_label(level))}</h3>", _bars(comparison, level)]
    return _section("NCC accuracy, level by level", *parts)


def _label(level: Level) -> str:
    return f"{level.name}: {level.k} classes"


def _control(comparison: Comparison, name: str, level: str, measure: str = "ncc") -> Any:
    finest = level == comparison.hierarchy.names[0]
    return comparison.row(name, PERMUTED if finest else RANDOM + level, measure)


def _bars(comparison: Comparison, level: Level) -> str:
    """A row an encoder: its accuracy on a scale from 0, with its control on the same scale."""
    rows = {name: comparison.row(name, level.name) for name in comparison.results}
    controls = {name: _control(comparison, name, level.name) for name in comparison.results}
    looks = [comparison.row(name, LOOKS + level.name) for name in rows]
    ends = [row["high"] for row in (*rows.values(), *controls.values(), *looks) if row]
    top = min(1.0, math.ceil(max(ends, default=1.0) * 10) / 10) or 1.0
    found = []
    for name, row in rows.items():
        if row is None:
            continue
        control = controls[name]
        alike = comparison.row(name, LOOKS + level.name)
        marks = _mark(control, top, "ring", " control") if control else ""
        marks += _mark(alike, top, "square", " looks") if alike else ""
        marks += _mark(row, top, "dot", "")
        number = f"{row['value']:.1%}"
        found.append(
            f'<span class="name">{html.escape(name)}</span>'
            f'<span class="track" aria-hidden="true">{marks}</span>'
            f'<span class="number">{number}</span>'
        )
    axis = "".join(f"<span>{top * part:.0%}</span>" for part in (0, 0.5, 1))
    return (
        f'<div class="bars">{"".join(found)}<span class="axis" aria-hidden="true">{axis}</span>'
        "</div>"
    )


def _mark(row: Mapping[str, Any], top: float, shape: str, kind: str) -> str:
    low, high, value = (100 * row[key] / top for key in ("low", "high", "value"))
    return (
        f'<i class="range{kind}" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
        f'<i class="{shape}" style="left:{value:.2f}%"></i>'
    )


def _measures(comparison: Comparison) -> str:
    parts = [
        _paragraph(
            "Below a value stands its 95% interval: of accuracies by the bootstrap over test "
            "images, of other measures by the jackknife over ten parts of the images. It says how "
            "far the value varies with other images, as many as these; more of them may move it. "
            "Below that stands the control, where there is one: the same "
            "measure with permuted labels or, above the finest level, with random groups. An "
            "arrow says which way means more clustered.",
            "note",
        )
    ]
    finest, *upper = comparison.hierarchy.levels
    for level, heading in [
        (finest.name, _label(finest)),
        (ALL, "features without labels"),
        *((one.name, _label(one)) for one in upper),
    ]:
        opened = " open" if level in (finest.name, ALL) else ""
        if table := _measure_table(comparison, level, heading):
            parts.append(
                f"<details{opened}><summary>{html.escape(heading)}</summary>\n{table}</details>"
            )
    return _section("Every measure", *parts)


def _measure_table(comparison: Comparison, level: str, heading: str) -> str:
    names = list(comparison.results)
    rows = [
        _measure_row(comparison, level, measure)
        for measure in CATALOGUE
        if any(comparison.row(name, level, measure) for name in names)
    ]
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    return _table(f"Every measure, {heading}", f'<th scope="col">measure</th>{head}', rows)


def _table(label: str, head: str, rows: Sequence[str]) -> str:
    """A table that scrolls sideways where it is wider than the page; "" without rows."""
    if not rows:
        return ""
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{html.escape(label)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _measure_row(comparison: Comparison, level: str, measure: str) -> str:
    cells = []
    for name in comparison.results:
        row = comparison.row(name, level, measure)
        control = None if level == ALL else _control(comparison, name, level, measure)
        if row is None or math.isnan(row["value"]):
            cells.append("<td>not defined</td>" if row else "<td>–</td>")
            continue
        interval = "" if math.isnan(row["low"]) else (
            f"<small>{_number(row['low'], measure)} to {_number(row['high'], measure)}</small>"
        )  # fmt: skip
        beside = "" if not control or math.isnan(control["value"]) else (
            f'<small class="control">control {_number(control["value"], measure)}</small>'
        )  # fmt: skip
        cells.append(f"<td>{_number(row['value'], measure)}{interval}{beside}</td>")
    about = CATALOGUE[measure]
    arrow = {"higher": " ↑", "lower": " ↓", None: ""}[about.clustered]
    heading = f'<a href="#{measure}">{html.escape(about.title)}</a>{arrow}'
    return f'<tr><th scope="row">{heading}</th>{"".join(cells)}</tr>'


def _number(value: float, measure: str) -> str:
    if CATALOGUE[measure].of == "accuracy" or CATALOGUE[measure].unit.startswith("fraction"):
        return f"{value:.1%}"
    value = 0.0 if abs(value) < 1e-9 else value  # what is left of rounding
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _differences(comparison: Comparison) -> str:
    if len(comparison.results) < 2:
        return ""
    rows = []
    for row in comparison.differences.to_dict("records"):
        points = {key: round(100 * float(row[key]), 1) + 0.0 for key in ("value", "low", "high")}
        rows.append(
            f'<tr><th scope="row">{html.escape(row["encoder"])} less {html.escape(row["other"])}'
            f"</th><td>{html.escape(row['level'])}</td><td>{points['value']:+.1f}</td>"
            f"<td>{points['low']:+.1f} to {points['high']:+.1f}</td></tr>"
        )
    head = "".join(f'<th scope="col">{one}</th>' for one in
                   ("encoders", "level", "points", "95% interval"))  # fmt: skip
    return _section(
        "Differences on the same images",
        _paragraph(
            "NCC accuracy of one encoder less that of another, in percentage points. The interval "
            "is paired: both are asked about the same images in every draw. Where it contains "
            "zero, no difference is shown.",
            "note",
        ),
        _table("Differences", head, rows),
    )


def _map(comparison: Comparison, names: Sequence[str] | None, pictures: np.ndarray | None) -> str:
    first = next(iter(comparison.results.values()))
    enough = len(first.shown) >= _LEAST_FOR_A_MAP
    all_there = len(np.unique(first.labels[first.shown])) == first.hierarchy.levels[0].k
    if not (enough and all_there):
        return ""
    drawn = comparison_maps(comparison, names)
    figure = explorer(
        drawn, "map", _map_words(comparison), pictures=pictures, layers_are="Encoder",
        layer=_layer_name(best(comparison)),
    )  # fmt: skip
    return _section(
        "The images, as each encoder places them", figure.html.replace(CAPTION_MARK, "")
    )


def _map_words(comparison: Comparison) -> str:
    shown = len(next(iter(comparison.results.values())).shown)
    return (
        f"{shown:,} held-out images, laid out by UMAP from the features of each encoder. Distances "
        "and neighbours come from the features, not from the map."
    )


def _layer_name(encoder: str) -> str:
    return encoder.replace("/", "∕")  # a slash parts the names of what a recording keeps


def comparison_maps(comparison: Comparison, names: Sequence[str] | None = None) -> Overview:
    """Maps of a comparison: those of a recording whose layers are the encoders.

    Args:
        comparison: of features that were kept for maps.
        names: of the images that are shown.
    """
    results = {_layer_name(name): one for name, one in comparison.results.items()}
    first = next(iter(results.values()))
    with tempfile.TemporaryDirectory() as folder:
        recording = record_encoder(
            None,
            {0: {name: one.means for name, one in results.items()}},  # class means, one of each
            np.arange(len(first.means)),
            test_images=Labelled(
                {0: {name: one.features for name, one in results.items()}},
                first.labels[first.shown],
                names,
            ),
            hierarchy=comparison.hierarchy,
            destination=f"{folder}/report",
            config=MeasureConfig(
                keep="all", keep_train=1, keep_test=len(first.shown), probes=False
            ),
            title=_title(comparison),
            progress=False,
        )
        drawn = overview(recording)
    # Its accuracies are of the images shown, by class means of equal weight; these are of all.
    rows = comparison.table.query("measure == 'ncc'").assign(epoch=0)
    rows = rows.assign(layer=rows["encoder"].map(_layer_name))
    return replace(drawn, ncc=rows[["epoch", "layer", "level", "split", "value", "n"]])


def _questions(comparison: Comparison) -> str:
    measured = set(comparison.table["measure"])
    found = []
    for name, about in CATALOGUE.items():
        if name in measured:
            more = {"higher": "Higher means more clustered.", "lower":
                    "Lower means more clustered.", None: ""}[about.clustered]  # fmt: skip
            found.append(
                f'<dt id="{name}">{html.escape(about.title)}</dt><dd>{html.escape(about.question)} '
                f"{more} Unit: {html.escape(about.unit)}, {html.escape(about.range)}. "
                f'<a href="{html.escape(about.link)}">{html.escape(about.paper)}</a>.</dd>'
            )
    return _section("What each measure asks", f"<dl>{''.join(found)}</dl>")


def _facts(comparison: Comparison, facts: Mapping[str, str]) -> str:
    rows = {"images": comparison.data or "of the reader's own", **facts}
    for name, one in comparison.results.items():
        rows[name] = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in
                               one.about.items() if value not in ("", None))  # fmt: skip
    body = "".join(
        f'<tr><th scope="row">{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>'
        for key, value in rows.items()
    )
    return _section("Measured on", f'<div class="facts"><table><tbody>{body}</tbody></table></div>')


def report_json(comparison: Comparison, facts: Mapping[str, str]) -> dict[str, Any]:
    """All that the report says, for JSON; absent numbers are null."""

    def records(table: pd.DataFrame) -> list[dict[str, Any]]:
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        return [{str(key): value for key, value in row.items()} for row in rows]

    return {
        "format": 1,
        "data": comparison.data,
        "facts": dict(facts),
        "encoders": {name: dict(one.about) for name, one in comparison.results.items()},
        "baselines": dict(comparison.baselines),
        "measures": records(comparison.table),
        "differences": records(comparison.differences),
        "quotable": quotable(comparison),
        "unsupported": [
            {"sentence": one.sentence, "why": one.why} for one in unsupported(comparison)
        ],
    }
