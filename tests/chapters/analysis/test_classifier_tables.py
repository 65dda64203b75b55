"""Tables of what was found about classifiers: every number in its place, no cell empty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.analysis import classifier_tables, classifiers


def rival(name: str, value: float, n: int, *ahead: float) -> dict[str, object]:
    lead = dict(zip(("ahead", "ahead_low", "ahead_high"), ahead or [np.nan] * 3, strict=True))
    return {"predictor": name, "value": value, "low": value - 0.1, "high": 1.0, "n": n, **lead}


RIVALS = pd.DataFrame([
    rival("NCC accuracy, coarse", 0.9, 8),
    rival("NCC accuracy, sample", 0.8, 8, 0.1, -0.1, 0.2),
    rival("NCC accuracy, shuffled labels", 0.1, 8, 0.8, 0.4, 1.2),
    rival("less CDNV, coarse", 0.99, 8, -0.09, -0.2, -0.01),
    rival("flatter spectrum (alpha-ReQ)", 0.5, 3, 0.4, 0.1, 0.9),
])  # fmt: skip
FEWER = RIVALS[:2].assign(n=5)


def test_correlations_have_a_row_for_each_kind_of_points() -> None:
    row = {"over": "runs", "classifier": "linear probe", "value": 0.5, "low": 0.25, "n": 9}
    one = {**row, "high": 0.75}
    table = classifier_tables.correlations_table(
        pd.DataFrame([one, {**one, "over": "epochs", "classifier": "nearest neighbours"}])
    )
    assert table.loc["9 runs"].tolist() == ["0.50 (0.25 to 0.75)", "not measured"]
    assert table.loc["9 epochs"].tolist() == ["not measured", "0.50 (0.25 to 0.75)"]


def test_every_predictor_is_named_without_a_comma() -> None:
    assert [classifier_tables.predictor_in_words(name) for name in RIVALS["predictor"]] == [
        "NCC accuracy at the coarse level",
        "NCC accuracy at the sample level",
        "NCC accuracy on shuffled labels",
        "smaller CDNV at the coarse level",
        "flatter spectrum (α-ReQ)",
    ]


def test_rivals_stand_side_by_side() -> None:
    found = {"all": RIVALS, "few": FEWER}
    table = classifier_tables.rivals_table(found).set_index("predictor")
    assert table.columns.tolist() == ["all (8)", "few (5)"]
    assert table["all (8)"].iloc[0] == "0.90 (0.80 to 1.00)"
    assert table["all (8)"].iloc[-1] == "0.50 (0.40 to 1.00), 3 runs"
    assert table["few (5)"].tolist()[2:] == ["not measured"] * 3
    ahead = classifier_tables.rival_leads_table(found).set_index("rival")
    assert ahead["all"].tolist()[0] == "+0.10 (−0.10 to +0.20)"
    assert ahead["few"].tolist()[1:] == ["not measured"] * 3


def test_a_lead_is_what_its_interval_says() -> None:
    assert classifier_tables.leads_in_words(RIVALS) == (
        "NCC accuracy is a better predictor than NCC accuracy on shuffled labels and flatter "
        "spectrum (α-ReQ); it is a worse predictor than smaller CDNV at the coarse level; it is "
        "not measurably different from NCC accuracy at the sample level."
    )


@pytest.mark.parametrize(
    ("low", "high", "reading"),
    [(0.01, 0.1, "ahead"), (-0.1, -0.01, "behind"), (0.0, 0.1, "no clear difference"),
     (-0.1, 0.0, "no clear difference")],
)  # fmt: skip
def test_few_labels_say_what_training_multiplies_and_who_is_ahead(
    low: float, high: float, reading: str
) -> None:
    names = (classifiers.CLASSIFIER_NAMES["ncc"], "probe")
    rows = [
        {"epoch": epoch, "labels": 2, "classifier": name, "value": value * (epoch + 1),
         "ahead": 0.05, "ahead_low": low, "ahead_high": high, "choices": 7}
        for epoch in (0, 1, 3)
        for name, value in zip(names, (0.1, 0.2), strict=True)
    ]  # fmt: skip
    table = classifier_tables.few_labels_table(pd.DataFrame(rows), *names)
    assert table.index.name == "labels per class"
    assert table.loc[2].tolist() == [
        "4.00", "4.00", f"+5.0 ({100 * low:+.1f} to {100 * high:+.1f})", reading,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "kept", "words"),
    [((1, 2, 5, 10), 5, " Only five training images per class were kept, so five labels allow only "
      "one choice, and ten allow none."),
     ((1, 2, 10), 5, " Only five training images per class were kept, so ten labels allow none."),
     ((1, 2), 5, "")],
)  # fmt: skip
def test_what_the_kept_images_allow_is_said(asked: tuple[int, ...], kept: int, words: str) -> None:
    said = classifier_tables.choices_in_words(asked, kept, 10)
    assert said == "Averages are over ten choices of the labelled images." + words


def test_one_image_and_one_choice_are_singular() -> None:
    said = classifier_tables.choices_in_words([1, 5], 1, 1)
    assert said.startswith("Averages are over one choice of the labelled images. Only one training")
    assert "image per class was kept, so one label allows only one choice, and five" in said
