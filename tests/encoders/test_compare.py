"""Encoders on the same images: paired differences, and what may be said and what may not."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_companion.data import Hierarchy, Level
from ssl_companion.encoders.compare import Comparison, best, quotable, unsupported
from ssl_companion.encoders.examine import EncoderResult, examine

K = 4
PAIRS = Hierarchy(
    "own",
    (Level("fine", tuple("abcd"), np.arange(K)), Level("pairs", ("ab", "cd"), np.arange(K) // 2)),
)
MEANS = np.array([[0.0, 0.0], [0.0, 2.0], [9.0, 0.0], [9.0, 2.0]])


def result(spread: float, means: np.ndarray = MEANS, seed: int = 0) -> EncoderResult:
    """An encoder whose features spread so far around means of the classes."""
    y, rng = np.repeat(np.arange(K), 50), np.random.default_rng(seed)
    x, x_test = (means[y] + spread * rng.normal(size=(len(y), 2)) for _ in range(2))
    return examine(
        None, x, y, test_images=x_test, test_labels=y, hierarchy=PAIRS, which=("ncc", "cdnv")
    )["features"]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    one = result(0.2)
    results = {"tight": one, "its twin": one, "wide": result(2.0), "noise": result(1.0, 0 * MEANS)}
    return Comparison(results, "drawn points", {"noise": "untrained"})


def test_differences_are_paired(comparison: Comparison) -> None:
    rows = comparison.differences.set_index(["encoder", "other", "level"])
    twin = rows.loc[("tight", "its twin", "fine")]
    assert (twin["value"], twin["low"], twin["high"]) == (0.0, 0.0, 0.0)  # of the same images
    hits = comparison.results["tight"].hits[0].astype(float), comparison.results["wide"].hits[0]
    wide = rows.loc[("tight", "wide", "fine")]
    assert wide["value"] == pytest.approx((hits[0] - hits[1]).mean())
    assert 0 < wide["low"] < wide["value"] < wide["high"]


def test_table_has_every_row_of_every_encoder(comparison: Comparison) -> None:
    assert comparison.table["encoder"].unique().tolist() == list(comparison.results)
    sizes = {len(one.rows) for one in comparison.results.values()}
    assert len(comparison.table) == len(comparison.results) * sizes.pop()
    row = comparison.row("wide", "fine", "cdnv")
    assert row is not None
    assert row["value"] > 10 * comparison.row("tight", "fine", "cdnv")["value"]  # type: ignore[index]
    assert comparison.row("wide", "fine", "nc1") is None


def test_quotable_sentences_have_value_interval_and_control(comparison: Comparison) -> None:
    said = quotable(comparison)
    row = comparison.row("wide", "fine")
    assert row is not None
    [own] = [one for one in said if "4 class means in the features of wide" in one]
    for number in (row["value"], row["low"], row["high"]):
        assert f"{number:.1%}" in own
    assert "drawn points" in own
    assert "permuted labels" in own
    assert any("2 means of the level pairs" in one and "random groups" in one for one in said)
    assert not [one for one in said if "in the features of noise" in one]  # a baseline
    [apart] = [one for one in said if "tight is right" in one and "than wide" in one]
    assert "points more often" in apart
    assert not [one for one in said if "its twin (" in one]  # no clear difference


def test_best_is_of_those_that_were_trained(comparison: Comparison) -> None:
    assert best(comparison) == "tight"
    turned = Comparison(comparison.results, baselines={"tight": "pixels", "its twin": "pixels"})
    assert best(turned) == "wide"


def test_sentences_that_do_not_hold_come_with_their_reasons(comparison: Comparison) -> None:
    refused = {one.sentence: one.why for one in unsupported(comparison)}
    [tie] = [why for sentence, why in refused.items() if "better than" in sentence]
    assert "holds zero" in tie
    pixels = "The features have clusters that the pixels do not have."
    assert "`--baseline pixels`" in refused[pixels]
    assert "Training made these clusters." not in refused  # noise stands beside
    assert "It will do as well on images other than drawn points." in refused


def test_an_encoder_no_better_than_its_baseline_may_not_claim_training() -> None:
    noise = result(1.0, 0 * MEANS)
    other = result(1.0, 0 * MEANS, seed=3)
    comparison = Comparison({"mine": noise, "random": other}, baselines={"random": "untrained"})
    [said] = [one for one in unsupported(comparison) if one.sentence.startswith("Training made")]
    assert "not surely above zero" in said.why
    followed = [one for one in unsupported(comparison) if "follow the level pairs" in one.sentence]
    assert len(followed) == 1


def test_a_level_that_beats_random_groups_is_not_refused() -> None:
    y = np.repeat(np.arange(8), 40)  # so many classes that random groups are hardly ever the real
    halves = Level("halves", ("first", "second"), np.arange(8) // 4)
    own = Hierarchy("own", (Level("fine", tuple("abcdefgh"), np.arange(8)), halves))
    rng = np.random.default_rng(0)
    x = {"mine": 9.0 * (y[:, None] // 4) + rng.normal(size=(len(y), 2)),
         "noise": rng.normal(size=(len(y), 2))}  # fmt: skip
    results = {
        name: examine(None, one, y, hierarchy=own, which="ncc")["features"]
        for name, one in x.items()
    }
    sentences = [one.sentence for one in unsupported(Comparison(results))]
    assert "The features of mine follow the level halves." not in sentences
    assert "The features of noise follow the level halves." in sentences


def test_bad_comparisons_are_refused() -> None:
    one = result(0.5)
    y = np.repeat(np.arange(K), 30)
    other = examine(None, MEANS[y] + 0.1 * np.eye(2)[y % 2], y, which="ncc")["features"]
    with pytest.raises(ValueError, match="results: none at all"):
        Comparison({})
    with pytest.raises(ValueError, match="test images of 'b' are others than those of 'a'"):
        Comparison({"a": one, "b": other})
    with pytest.raises(ValueError, match="baselines: 'c'; expected some of a"):
        Comparison({"a": one}, baselines={"c": "pixels"})
