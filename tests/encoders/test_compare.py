"""Encoders on the same images: paired differences, and what may be said and what may not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

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
    [own] = [one for one in said if "4 class means in the features of “wide”" in one]
    for number in (row["value"], row["low"], row["high"]):
        assert f"{number:.1%}" in own
    assert "drawn points" in own
    assert "permuted labels" in own
    assert any("2 group means (level pairs)" in one and "random groups" in one for one in said)
    assert not [one for one in said if "in the features of “noise”" in one]  # a baseline
    [apart] = [one for one in said if "of “tight” than in those of “wide”" in one]
    assert "percentage points more often" in apart
    assert "drawn points" in apart
    assert "4 class means" in apart
    assert not [one for one in said if "those of its twin" in one]  # no difference at all


def test_best_is_of_those_that_were_trained(comparison: Comparison) -> None:
    assert best(comparison) == "tight"
    turned = Comparison(comparison.results, baselines={"tight": "pixels", "its twin": "pixels"})
    assert best(turned) == "wide"


def test_sentences_that_do_not_hold_come_with_their_reasons(comparison: Comparison) -> None:
    refused = {one.sentence: one.why for one in unsupported(comparison)}
    [tie] = [why for sentence, why in refused.items() if "better than" in sentence]
    assert "+0.0 points (paired 95% interval: +0.0 to +0.0)" in tie
    pixels = "There are clusters in these features that the pixels do not have."
    assert "`--baseline pixels`" in refused[pixels]
    # Noise stands beside, and nobody knows whether it is of the same architecture.
    training = "Training made the clusters in the features of “tight”."
    assert "another architecture" in refused[training]
    assert "It will do as well on other images." in refused


def test_an_encoder_no_better_than_its_baseline_may_not_claim_training() -> None:
    noise = result(1.0, 0 * MEANS)
    other = dataclasses.replace(noise, hits=np.roll(noise.hits, 1, axis=1))  # as often right
    comparison = Comparison({"mine": noise, "random": other}, baselines={"random": "untrained"})
    [said] = [one for one in unsupported(comparison) if one.sentence.startswith("Training made")]
    assert "not clearly above zero" in said.why
    followed = [one for one in unsupported(comparison) if "follow the level pairs" in one.sentence]
    assert len(followed) == 1
    clusters = [one for one in unsupported(comparison) if one.sentence.endswith("by class.")]
    assert len(clusters) == 2  # neither of them is above permuted labels


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
    assert "The features of “mine” follow the level halves." not in sentences
    assert "The features of “noise” follow the level halves." in sentences


def test_training_may_be_claimed_beside_an_untrained_network_of_the_same_architecture() -> None:
    both = {
        name: dataclasses.replace(one, about={"backbone": "res-2-8"})
        for name, one in {"mine": result(0.2), "random": result(1.0, 0 * MEANS)}.items()
    }
    comparison = Comparison(both, baselines={"random": "untrained"})
    assert not [one for one in unsupported(comparison) if one.sentence.startswith("Training")]


@pytest.mark.parametrize(
    ("wins", "losses", "clear"), [(3, 0, False), (5, 0, False), (9, 0, True), (40, 30, False)]
)
def test_a_difference_is_clear_by_the_exact_sign_test(wins: int, losses: int, clear: bool) -> None:
    one = result(0.2)
    hits, n = np.ones((2, 2, len(one.labels)), bool), wins + losses
    hits[1, 0, :wins], hits[0, 0, wins:n] = False, False
    results = {
        name: dataclasses.replace(one, hits=own) for name, own in zip(("a", "b"), hits, strict=True)
    }
    said = [sentence for sentence in quotable(Comparison(results)) if "more often" in sentence]
    assert bool(said) is clear
    assert clear == (stats.binomtest(wins, n).pvalue < 0.05)


def test_the_other_half_of_the_same_images_is_no_pair() -> None:
    x, y = np.random.default_rng(0).normal(size=(80, 3)), np.repeat(np.arange(4), 20)
    one, other = (examine(None, x, y, which="ncc", seed=seed)["features"] for seed in (0, 1))
    with pytest.raises(ValueError, match="others than those of"):
        Comparison({"a": one, "b": other})
    groups = Hierarchy(
        "own", (PAIRS.levels[0], Level("pairs", ("ac", "bd"), np.array([0, 1, 0, 1])))
    )
    paired, crossed = (
        examine(None, x, y, which="ncc", hierarchy=levels)["features"] for levels in (PAIRS, groups)
    )
    with pytest.raises(ValueError, match="others than those of"):
        Comparison({"a": paired, "b": crossed})


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
