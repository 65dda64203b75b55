"""What `classifiers` found, as the texts of a page's tables: one row for each thing compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ssl_companion.chapters.english import count_in_words


def _sure(value: float, low: float, high: float, form: str = ".2f") -> str:
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def correlations_table(found: pd.DataFrame) -> pd.DataFrame:
    """`classifiers.correlations`: a row for each kind of points, a column for each classifier."""
    cells = [
        {
            "over": f"{row['n']} {row['over']}",
            "classifier": row["classifier"],
            "cell": _sure(row["value"], row["low"], row["high"]),
        }
        for row in found.to_dict("records")
    ]
    wide = pd.DataFrame(cells).pivot_table(
        index="over", columns="classifier", values="cell", aggfunc="first", sort=False
    )
    return wide.fillna("not measured")


def predictor_in_words(name: str) -> str:
    """A predictor of `classifiers.rivals` without a comma: "NCC accuracy at the fine level"."""
    what, _, where = name.partition(", ")
    what = what.replace("less CDNV", "smaller CDNV").replace("alpha", "α")
    if not where:
        return what
    return f"{what} on shuffled labels" if "shuffled" in where else f"{what} at the {where} level"


def rivals_table(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rank correlations of every predictor with the linear probe.

    Args:
        found: tables of `classifiers.rivals`, by what they are over.

    Returns:
        predictor, and a column for each table with its runs; fewer runs than those stand in the
        cell.
    """
    columns = {}
    for over, table in found.items():
        most = table["n"].max()
        columns[f"{over} ({most})"] = {
            predictor_in_words(row["predictor"]): _sure(row["value"], row["low"], row["high"])
            + (f", {row['n']} runs" if row["n"] < most else "")
            for row in table.to_dict("records")
        }
    return pd.DataFrame(columns).fillna("not measured").reset_index(names="predictor")


def rival_leads_table(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """By how much NCC accuracy correlates more with the linear probe than every rival does.

    Args:
        found: as for `rivals`.

    Returns:
        rival, and a column for each table.
    """
    columns = {
        over: {
            predictor_in_words(row["predictor"]): _sure(
                row["ahead"], row["ahead_low"], row["ahead_high"], "+.2f"
            ).replace("-", "−")
            for row in table.iloc[1:].to_dict("records")
        }
        for over, table in found.items()
    }
    return pd.DataFrame(columns).fillna("not measured").reset_index(names="rival")


def leads_in_words(table: pd.DataFrame) -> str:
    """Which rivals NCC accuracy predicts the probe better than, and which not, in a sentence.

    Args:
        table: of `classifiers.rivals`; the first row is NCC accuracy itself.
    """
    rest = table.iloc[1:]
    better, worse = rest["ahead_low"] > 0, rest["ahead_high"] < 0
    parts = {
        "a better predictor than": better,
        "a worse predictor than": worse,
        "not measurably different from": ~(better | worse),
    }
    said = [
        f"{words} {_listed(rest.loc[those, 'predictor'])}"
        for words, those in parts.items()
        if those.any()
    ]
    return f"NCC accuracy is {'; it is '.join(said)}."


def _listed(names: pd.Series) -> str:
    *first, last = [predictor_in_words(name) for name in names]
    return f"{', '.join(first)} and {last}" if first else last


#: What a table says in short, and the same before the name of the other classifier.
READINGS = {
    "ahead": "ahead of",
    "behind": "behind",
    "no clear difference": "not measurably different from",
}


def few_labels_table(found: pd.DataFrame, own: str, other: str) -> pd.DataFrame:
    """How far training multiplies two classifiers' accuracies, and which is ahead in the end.

    Args:
        found: of `classifiers.few_labels`.
        own, other: the two names in its column `classifier`.

    Returns:
        Texts by labels per class: the factor of each, by how many points `own` is ahead, and what
        that makes it, one of `READINGS`.
    """
    epochs = (found["epoch"].min(), found["epoch"].max())
    before, after = (
        found[found["epoch"] == epoch].pivot(index="labels", columns="classifier", values="value")
        for epoch in epochs
    )
    lead = found[(found["epoch"] == epochs[1]) & (found["classifier"] == own)].set_index("labels")
    ahead, behind, unclear = READINGS
    readings = [
        ahead if row.ahead_low > 0 else behind if row.ahead_high < 0 else unclear
        for row in lead.itertuples()
    ]
    points = [
        _sure(100 * row.ahead, 100 * row.ahead_low, 100 * row.ahead_high, "+.1f")
        for row in lead.itertuples()
    ]
    shown = (after / before)[[own, other]].map("{:.2f}".format)
    shown = shown.rename(columns="{} grows by a factor of".format).rename_axis(columns=None)
    return shown.assign(
        **{
            f"{own} ahead by, points": pd.Series(points, lead.index),
            "in short": pd.Series(readings, lead.index),
        }
    ).rename_axis("labels per class")


def choices_in_words(asked: Sequence[int], kept: int, draws: int) -> str:
    """How many choices of labelled images there were, of the images that a recording keeps.

    Args:
        asked: counts of labels per class.
        kept: training images of each class.
        draws: how many choices are averaged where there are many.
    """

    several = f"{count_in_words(draws)} choice{'s' if draws != 1 else ''}"
    said = f"Averages are over {several} of the labelled images."
    labels = "one label allows" if kept == 1 else f"{count_in_words(kept)} labels allow"
    allowed = [f"{labels} only one choice"] * (kept in asked)
    if above := [count_in_words(count) for count in asked if count > kept]:
        allowed.append(f"{' or '.join(above)}{'' if allowed else ' labels'} allow none")
    if not allowed:
        return said
    images = "image per class was" if kept == 1 else "images per class were"
    few = f"Only {count_in_words(kept)} training {images} kept"
    return f"{said} {few}, so {', and '.join(allowed)}."
