"""Likely slips with information, many runs and random targets: each gets a hint of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ssl_companion.chapters.analysis.accuracies import hits
from ssl_companion.chapters.analysis.classifiers import correlation
from ssl_companion.chapters.analysis.random_targets import halves_of_kept
from ssl_companion.chapters.claims.many_runs import properties
from ssl_companion.chapters.exercises import compression, elsewhere
from ssl_companion.chapters.exercises import random_targets as targets
from ssl_companion.measures import (
    NearestCentroid,
    coding_rate,
    coding_rate_given,
    directions,
    kde_information_bounds,
)
from ssl_companion.recordings import Recording


def told(found: Any, says: str) -> None:
    assert not found.ok
    assert re.search(says, found.message), found.message


@pytest.mark.parametrize(
    ("bound", "says"),
    [
        (lambda k: math.log2(k), "bits"),
        (lambda k: math.log10(k), "natural logarithm"),
        (lambda k: k, "is a logarithm"),
        (lambda k: -math.log(k), "sign"),
        (lambda k: math.log(k - 1), "one is near"),
        (lambda k: 1 / k, "mean of the exponentials"),
    ],
)
def test_the_ceiling_is_a_natural_logarithm(bound: Any, says: str) -> None:
    told(compression.check_ceiling(bound), says)


def shares(r: Recording, power: int = 2, judged: bool = False) -> tuple[float, float]:
    """Within and between images, as mean powers of distances."""
    epoch = r.kept_epochs()[-1]
    views, image = r.sample_views(epoch)
    means = r.sample_means(epoch)
    if judged:
        means = np.stack([views[image == i].mean(axis=0) for i in range(len(means))])
    parts = views - means[image], means - means.mean(axis=0)
    within, between = (float((np.linalg.norm(x, axis=1) ** power).mean()) for x in parts)
    return within, between


def by_fewer(r: Recording) -> float:
    """The share within, with a variance of the means that divides by their number less one."""
    within, means = shares(r)[0], r.sample_means(r.kept_epochs()[-1])
    return within / (within + float(means.var(axis=0, ddof=1).sum()))


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda r: shares(r)[1] / sum(shares(r)), "between samples"),
        (lambda r: shares(r)[0] / shares(r)[1], "divide by their sum"),
        (lambda r: shares(r, power=1)[0] / sum(shares(r, power=1)), "mean of squares"),
        (lambda r: shares(r, judged=True)[0] / sum(shares(r, judged=True)), "sample_means"),
        (lambda r: by_fewer(r), "divides by N - 1"),
        (lambda r: 100 * shares(r)[0] / sum(shares(r)), "per cent"),
        (lambda r: shares(r)[0], "its own image"),
    ],
)
def test_the_share_within_samples(slip: Any, says: str, recording: Recording) -> None:
    told(compression.check_share(slip(recording), recording), says)


def rates(r: Recording, groups: Any, toward: bool = True) -> float:
    """The rate given groups, which are made of the classes of images and the image of views."""
    views, image = r.sample_views(r.kept_epochs()[-1])
    return coding_rate_given(directions(views) if toward else views, groups(r, image))


def own(r: Recording, image: np.ndarray) -> np.ndarray:
    return r.fine("sample")[image]


def by_image(r: Recording, image: np.ndarray) -> np.ndarray:
    return np.random.default_rng(3).permutation(r.fine("sample"))[image]


def by_view(r: Recording, image: np.ndarray) -> np.ndarray:
    return np.random.default_rng(3).permutation(own(r, image))


def rate_of_all(r: Recording) -> float:
    return coding_rate(directions(r.sample_views(r.kept_epochs()[-1])[0]))


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda r: rates(r, by_view) - rates(r, own), "give each view its image's"),
        (lambda r: rates(r, own) - rates(r, by_image), "other way round"),
        (lambda r: rates(r, own), "compare it with shuffled"),
        (lambda r: rates(r, by_image), "what does it exceed"),
        (lambda r: rate_of_all(r) - rates(r, own), "rate of everything"),
        (lambda r: rates(r, by_image, False) - rates(r, own, False), "of the directions"),
        (lambda r: 0.0, "two rates"),
    ],
)
def test_what_the_classes_save(slip: Any, says: str, recording: Recording) -> None:
    told(compression.check_shuffled_classes(slip(recording), recording), says)


def change(r: Recording, noise: Callable[[float, float, int], float], relative: bool) -> float:
    """Of the lower bound, with a noise made of the variances at both ends and the dimensions."""
    ends = [r.sample_views(r.kept_epochs()[i])[0] for i in (0, -1)]
    variances = [float(x.var(axis=0, dtype=np.float64).sum()) for x in ends]
    s2 = noise(variances[0], variances[1], ends[0].shape[1])
    first, last = (kde_information_bounds(x, s2, relative).lower for x in ends)
    return last - first


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda r: change(r, lambda a, b, d: 0.01, True), "relative=False"),
        (lambda r: change(r, lambda a, b, d: 0.01 * b, False), "fixed at the first"),
        (lambda r: change(r, lambda a, b, d: 0.01, False), "another number"),
        (lambda r: change(r, lambda a, b, d: 0.01 * a / d, False), "instead of averaging"),
        (lambda r: change(r, lambda a, b, d: (0.01 * a) ** 0.5, False), "standard deviation"),
        (lambda r: -change(r, lambda a, b, d: 0.01 * a, False), "less the first"),
        (lambda r: change(r, lambda a, b, d: a, False), "a hundredth"),
    ],
)
def test_noise_of_a_fixed_size(slip: Any, says: str, collapsing: Recording) -> None:
    told(compression.check_absolute(slip(collapsing), collapsing), says)


@pytest.mark.parametrize("ddof", [0, 1])
def test_whichever_variance_makes_the_noise(ddof: int, collapsing: Recording) -> None:
    first = collapsing.sample_views(collapsing.kept_epochs()[0])[0]
    s2 = 0.01 * float(first.var(axis=0, dtype=np.float64, ddof=ddof).sum())
    found = change(collapsing, lambda a, b, d: s2, False)
    assert compression.check_absolute(found, collapsing).ok


@pytest.mark.parametrize(("level", "says"), [(0, "from 0.0001"), (47, "from 0.0001"),
                                             (0.001, "there is a level with more")])  # fmt: skip
def test_a_level_at_which_little_falls(level: float, says: str, recording: Recording) -> None:
    told(compression.check_choose(level, recording), says)


@pytest.mark.parametrize(
    ("lower", "says"),
    [
        (lambda k, n: k / n - 1.96 * math.sqrt(k / n * (1 - k / n) / n), "textbook"),
        (lambda k, n: stats.binomtest(k, n).proportion_ci(0.95, method="exact").low, "wider"),
        (lambda k, n: stats.binomtest(k, n).proportion_ci(0.95, method="wilson").high, "upper"),
        (lambda k, n: stats.binomtest(k, n).proportion_ci(0.9, method="wilson").low, "both ends"),
        (lambda k, n: stats.binomtest(k, n).proportion_ci(0.95, method="wilson"), "one number"),
        (lambda k, n: k / n, "share itself"),
        (lambda k, n: 100 * stats.binomtest(k, n).proportion_ci(0.95, method="wilson").low,
         "per cent"),
        (lambda k, n: stats.binomtest(k, n).pvalue, "names of their authors"),
    ],
)  # fmt: skip
def test_which_interval(lower: Any, says: str) -> None:
    told(elsewhere.check_wilson(lower), says)


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        ("none", "some are missed"),
        ("advantage", "count the false"),
        ("ratio", "count the false"),
        ("depths", "is no property"),
        (4, "one of the words"),
    ],
)
def test_the_property_that_most_runs_miss(slip: Any, says: str, table: pd.DataFrame) -> None:
    told(elsewhere.check_weakest(slip, table), says)
    assert elsewhere.check_weakest("depth", table).ok


def test_where_no_run_misses_anything_none_is_right(table: pd.DataFrame) -> None:
    fine = table.assign(ratio=9.0, time=1.0, depth=1.0)
    assert elsewhere.check_weakest("none", fine).ok
    told(elsewhere.check_weakest("depth", fine), "does any run miss")


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda t: np.sort(t["ratio"])[::-1][9], "at least 9 of the 12"),
        (lambda t: np.sort(t["ratio"])[::-1][7], "at least 9 of the 12"),
        (lambda t: np.sort(t["ratio"])[8], "sorted the other way"),
        (lambda t: np.quantile(t["ratio"], 0.25), "largest number"),
        (lambda t: 0.75, "100% of the runs reach"),
    ],
)
def test_the_ratio_that_three_quarters_reach(slip: Any, says: str, table: pd.DataFrame) -> None:
    told(elsewhere.check_threshold(slip(table), table), says)
    assert elsewhere.check_threshold(1.6, table).ok


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda t: correlation(t["start"], t["ratio"], "pearson").value, "take the ranks"),
        (
            lambda t: np.corrcoef(*(t[c].argsort().argsort() for c in ("start", "ratio")))[0, 1],
            "share a rank",
        ),
        (lambda t: correlation(t["start"], t["ncc"]).value, "accuracy at the end"),
        (lambda t: -correlation(t["start"], t["ratio"]).value, "sign"),
        (lambda t: correlation(t["start"], t["ratio"]), "expected a number"),
        (lambda t: stats.spearmanr(t["start"], t["ratio"]).pvalue, "two columns"),
    ],
)
def test_a_low_start(slip: Any, says: str, table: pd.DataFrame) -> None:
    told(elsewhere.check_start(slip(table), table), says)


def shares_of(t: pd.DataFrame, within: bool = False) -> list[float]:
    holds = properties(t)["holds"]
    families = t["family"].unique()
    return [float(holds[(t["family"] == f) == within].mean()) for f in families]


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda t: min(shares_of(t, within=True)), "within"),
        (lambda t: max(shares_of(t)), "highest"),
        (lambda t: 1 - min(shares_of(t)), "does not hold"),
        (lambda t: properties(t)["holds"].mean(), "all runs"),
        (lambda t: 100 * min(shares_of(t)), "per cent"),
        (lambda t: shares_of(t), "3 entries"),
        (lambda t: properties(t)["advantage"].mean(), "for each family"),
    ],
)
def test_a_family_left_out(slip: Any, says: str, table: pd.DataFrame) -> None:
    told(elsewhere.check_without(slip(table), table), says)
    assert elsewhere.check_without(min(shares_of(table)), table).ok


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda y, last: np.bincount(y).max(), "shares of them"),
        (lambda y, last: np.bincount(y).argmax(), "how often"),
        (lambda y, last: 0.01, "count them"),
        (lambda y, last: np.square(np.bincount(y) / len(y)).sum(), "fixed guess does better"),
        (lambda y, last: np.bincount(last).max() / len(last), "take the first"),
        (lambda y, last: 100 * np.bincount(y).max() / len(y), "per cent"),
        (lambda y, last: np.bincount(y) / len(y), "one number"),
        (lambda y, last: np.unique(y).size / len(y), "the same class"),
    ],
)
def test_the_best_guess_without_looking(slip: Any, says: str, teacher: Recording) -> None:
    first, *_, last = (teacher.targets(epoch) for epoch in teacher.target_epochs())
    told(targets.check_guess(slip(first, last), teacher), says)


@pytest.mark.parametrize(
    ("p_value", "says"),
    [
        (lambda s, r: np.mean(r >= s), "above and below the line"),
        (lambda s, r: np.sum(r >= s) / (1 + len(r)), "above the line, too"),
        (lambda s, r: (1 + np.sum(r >= s)) / len(r), "below the line"),
        (lambda s, r: (1 + np.sum(r > s)) / (1 + len(r)), "tie"),
        (lambda s, r: (1 + np.sum(r <= s)) / (1 + len(r)), "not those below"),
        (lambda s, r: 1 + np.sum(r >= s), "of how many"),
        (lambda s, r: stats.norm.sf((s - r.mean()) / (r.std() + 1e-9)), "with the observed one"),
        (lambda s, r: r >= s, "one number"),
    ],
)
def test_a_permutation_test_counts_the_observed_one(p_value: Any, says: str) -> None:
    told(targets.check_p_value(p_value), says)


def through(
    r: Recording, epoch: int = -1, split: str = "test", groups: bool = True, kept: bool = False
) -> float:
    epoch = r.kept_epochs()[epoch]
    of = r.hierarchy.level("coarse").labels if groups else np.asarray
    rule = NearestCentroid.from_centroids(r.class_means(epoch))
    if kept:
        rule = NearestCentroid().fit(r.features(epoch, split="train"), r.fine("train"))
    guess = rule.predict(r.features(epoch, split=split))
    return float(np.mean(of(guess) == of(r.fine(split))))


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda r: hits(r, "coarse")[-1].mean(), "mean of a class first"),
        (lambda r: through(r, groups=False), "turn both"),
        (lambda r: through(r, epoch=0), "before training"),
        (lambda r: through(r, split="train"), "made the means"),
        (lambda r: through(r, kept=True), "all training images"),
        (lambda r: 100 * through(r), "per cent"),
        (lambda r: through(r) * len(r.fine()), "predict a fine class"),
    ],
)
def test_by_way_of_the_classes(slip: Any, says: str, recording: Recording) -> None:
    told(targets.check_through(slip(recording), recording, "coarse"), says)


Ends = Callable[[str, str], tuple[float, float]]


@pytest.fixture(scope="module")
def ends(recording: Recording, teacher: Recording) -> Ends:
    """Accuracy at the first and the last epoch, with means of a half, on a half."""
    fit, judge, y = halves_of_kept(recording, teacher, teacher.target_epochs()[0])
    halves = {"fit": fit, "judge": judge}

    def accuracies(means: str, judged: str) -> tuple[float, float]:
        kept, (a, b) = recording.kept_epochs(), (halves[means], halves[judged])
        first, last = (recording.features(kept[i]) for i in (0, -1))
        rules = [NearestCentroid().fit(x[a], y[a]).score(x[b], y[b]) for x in (first, last)]
        return rules[0], rules[1]

    return accuracies


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (lambda ends: np.divide(*ends("fit", "fit")[::-1]), "did not make the means"),
        (lambda ends: np.divide(*ends("judge", "fit")[::-1]), "changed places"),
        (lambda ends: np.subtract(*ends("fit", "judge")[::-1]), "not the difference"),
        (lambda ends: np.divide(*ends("fit", "judge")), "not the other way round"),
        (lambda ends: ends("fit", "judge")[1], "divide by"),
        (lambda ends: ends("fit", "judge")[0], "after over before"),
        (lambda ends: 1.0, "fit on the half"),
    ],
)
def test_a_point_of_the_continuum(
    slip: Any, says: str, ends: Ends, recording: Recording, teacher: Recording
) -> None:
    told(targets.check_live(slip(ends), recording, teacher), says)
