"""Information, many runs and random targets: likely slips and right answers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
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


def shares(r: Recording, power: int = 2, judged: bool = False, fewer: int = 0) -> np.ndarray:
    """Within and between images, as mean powers of distances; the mean of the latter over
    `fewer` images than there are."""
    epoch = r.kept_epochs()[-1]
    views, image = r.sample_views(epoch)
    means = r.sample_means(epoch)
    if judged:
        means = np.stack([views[image == i].mean(axis=0) for i in range(len(means))])
    parts = views - means[image], means - means.mean(axis=0)
    within, between = (float((np.linalg.norm(x, axis=1) ** power).mean()) for x in parts)
    return np.array([within, between * len(means) / (len(means) - fewer)])


def within(r: Recording, **how: Any) -> float:
    return shares(r, **how)[0] / shares(r, **how).sum()


def rate(r: Recording, groups: str, toward: bool = True) -> float:
    """The rate of the views given their classes, or these shuffled by image or by view."""
    views, image = r.sample_views(r.kept_epochs()[-1])
    classes, shuffled = r.fine("sample"), np.random.default_rng(3).permutation
    given = {
        "own": lambda: classes[image],
        "by image": lambda: shuffled(classes)[image],
        "by view": lambda: shuffled(classes[image]),
    }
    return coding_rate_given(directions(views) if toward else views, given[groups]())


def rate_of_all(r: Recording) -> float:
    return coding_rate(directions(r.sample_views(r.kept_epochs()[-1])[0]))


def change(
    r: Recording, noise: Callable[[float, float, int], float], relative: bool = False, ddof: int = 0
) -> float:
    """Of the lower bound, with a noise made of the variances at both ends and the dimensions."""
    ends = [r.sample_views(r.kept_epochs()[i])[0] for i in (0, -1)]
    variances = [float(x.var(axis=0, dtype=np.float64, ddof=ddof).sum()) for x in ends]
    s2 = noise(variances[0], variances[1], ends[0].shape[1])
    first, last = (kde_information_bounds(x, s2, relative).lower for x in ends)
    return last - first


def wilson(k: int, n: int, level: float = 0.95, method: str = "wilson") -> Any:
    return stats.binomtest(k, n).proportion_ci(level, method=method)


def shares_of(t: pd.DataFrame, within: bool = False) -> list[float]:
    holds, families = properties(t)["holds"], t["family"].unique()
    return [float(holds[(t["family"] == f) == within].mean()) for f in families]


def counts(teacher: Recording, snapshot: int = 0) -> np.ndarray:
    return np.bincount(teacher.targets(teacher.target_epochs()[snapshot]))


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


def ends(
    r: Recording, teacher: Recording, means: str = "fit", judged: str = "judge"
) -> tuple[float, float]:
    """Accuracy at the first and the last epoch, with means of a half, on a half."""
    fit, judge, y = halves_of_kept(r, teacher, teacher.target_epochs()[0])
    halves = {"fit": fit, "judge": judge}
    a, b = halves[means], halves[judged]
    x = (r.features(r.kept_epochs()[i]) for i in (0, -1))
    before, after = (NearestCentroid().fit(v[a], y[a]).score(v[b], y[b]) for v in x)
    return before, after


SLIPS: dict[Any, list[tuple[Any, str]]] = {
    compression.check_ceiling: [
        (lambda k: math.log2(k), "bits"),
        (lambda k: math.log10(k), "natural logarithm"),
        (lambda k: k, "is a logarithm"),
        (lambda k: -math.log(k), "sign"),
        (lambda k: math.log(k - 1), "one is near"),
        (lambda k: 1 / k, "mean of the exponentials"),
    ],
    compression.check_share: [
        (lambda r: 1 - within(r), "between samples"),
        (lambda r: np.divide(*shares(r)), "divide by their sum"),
        (lambda r: within(r, power=1), "mean of squares"),
        (lambda r: within(r, judged=True), "sample_means"),
        (lambda r: within(r, fewer=1), "divides by N - 1"),
        (lambda r: 100 * within(r), "per cent"),
        (lambda r: shares(r)[0], "its own image"),
    ],
    compression.check_shuffled_classes: [
        (lambda r: rate(r, "by view") - rate(r, "own"), "give each view its image's"),
        (lambda r: rate(r, "own") - rate(r, "by image"), "other way round"),
        (lambda r: rate(r, "own"), "compare it with shuffled"),
        (lambda r: rate(r, "by image"), "what does it exceed"),
        (lambda r: rate_of_all(r) - rate(r, "own"), "rate of everything"),
        (lambda r: rate(r, "by image", False) - rate(r, "own", False), "of the directions"),
        (0.0, "two rates"),
    ],
    compression.check_absolute: [
        (lambda r: change(r, lambda a, b, d: 0.01, relative=True), "relative=False"),
        (lambda r: change(r, lambda a, b, d: 0.01 * b), "fixed at the first"),
        (lambda r: change(r, lambda a, b, d: 0.01), "another number"),
        (lambda r: change(r, lambda a, b, d: 0.01 * a / d), "instead of averaging"),
        (lambda r: change(r, lambda a, b, d: (0.01 * a) ** 0.5), "standard deviation"),
        (lambda r: -change(r, lambda a, b, d: 0.01 * a), "minus the first"),
        (lambda r: change(r, lambda a, b, d: a), "a hundredth"),
    ],
    compression.check_choose: [
        (0, "from 0.001"),
        (47, "from 0.001"),
        (0.001, "there is a level with more"),
    ],
    elsewhere.check_wilson: [
        (lambda k, n: k / n - 1.96 * math.sqrt(k / n * (1 - k / n) / n), "textbook"),
        (lambda k, n: wilson(k, n, method="exact").low, "wider"),
        (lambda k, n: wilson(k, n).high, "upper"),
        (lambda k, n: wilson(k, n, 0.9).low, "both ends"),
        (lambda k, n: wilson(k, n), "one number"),
        (lambda k, n: k / n, "share itself"),
        (lambda k, n: 100 * wilson(k, n).low, "per cent"),
        (lambda k, n: stats.binomtest(k, n).pvalue, "names of their authors"),
    ],
    elsewhere.check_weakest: [
        ("none", "some are missed"),
        ("advantage", "count the false"),
        ("ratio", "count the false"),
        ("depths", "is no property"),
        (4, "one of the words"),
    ],
    elsewhere.check_threshold: [
        (lambda t: np.sort(t["ratio"])[2], "at least 9 of the 12"),
        (lambda t: np.sort(t["ratio"])[4], "at least 9 of the 12"),
        (lambda t: np.sort(t["ratio"])[8], "sorted the other way"),
        (lambda t: np.quantile(t["ratio"], 0.25), "largest number"),
        (0.75, "100% of the runs reach"),
    ],
    elsewhere.check_start: [
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
    elsewhere.check_without: [
        (lambda t: min(shares_of(t, within=True)), "within"),
        (lambda t: max(shares_of(t)), "highest"),
        (lambda t: 1 - min(shares_of(t)), "does not hold"),
        (lambda t: properties(t)["holds"].mean(), "all runs"),
        (lambda t: 100 * min(shares_of(t)), "per cent"),
        (lambda t: shares_of(t), "3 entries"),
        (lambda t: properties(t)["advantage"].mean(), "for each family"),
    ],
    targets.check_guess: [
        (lambda r: counts(r).max(), "shares of them"),
        (lambda r: counts(r).argmax(), "how often"),
        (0.01, "count them"),
        (lambda r: np.square(counts(r) / counts(r).sum()).sum(), "fixed guess does better"),
        (lambda r: counts(r, -1).max() / counts(r, -1).sum(), "take the first"),
        (lambda r: 100 * counts(r).max() / counts(r).sum(), "per cent"),
        (lambda r: counts(r) / counts(r).sum(), "one number"),
        (lambda r: np.count_nonzero(counts(r)) / counts(r).sum(), "the same class"),
    ],
    targets.check_p_value: [
        (lambda s, r: np.mean(r >= s), "numerator and denominator"),
        (lambda s, r: np.sum(r >= s) / (1 + len(r)), "in the numerator, too"),
        (lambda s, r: (1 + np.sum(r >= s)) / len(r), "in the denominator, too"),
        (lambda s, r: (1 + np.sum(r > s)) / (1 + len(r)), "tie"),
        (lambda s, r: (1 + np.sum(r <= s)) / (1 + len(r)), "not those below"),
        (lambda s, r: 1 + np.sum(r >= s), "of how many"),
        (lambda s, r: stats.norm.sf((s - r.mean()) / (r.std() + 1e-9)), "with the observed one"),
        (lambda s, r: r >= s, "one number"),
    ],
    targets.check_through: [
        (lambda r, level: hits(r, level)[-1].mean(), "mean of a class first"),
        (lambda r, level: through(r, groups=False), "turn both"),
        (lambda r, level: through(r, epoch=0), "before training"),
        (lambda r, level: through(r, split="train"), "made the means"),
        (lambda r, level: through(r, kept=True), "all training images"),
        (lambda r, level: 100 * through(r), "per cent"),
        (lambda r, level: through(r) * len(r.fine()), "predict a fine class"),
    ],
    targets.check_live: [
        (lambda *r: np.divide(*ends(*r, "fit", "fit")[::-1]), "did not make the means"),
        (lambda *r: np.divide(*ends(*r, "judge", "fit")[::-1]), "changed places"),
        (lambda *r: np.subtract(*ends(*r)[::-1]), "not the difference"),
        (lambda *r: np.divide(*ends(*r)), "not the other way round"),
        (lambda *r: ends(*r)[1], "divide by"),
        (lambda *r: ends(*r)[0], "after over before"),
        (1.0, "fit on the half"),
    ],
}

RIGHT: dict[Any, list[Any]] = {
    compression.check_absolute: [  # whichever variance makes the noise
        lambda r, ddof=ddof: change(r, lambda a, b, d: 0.01 * a, ddof=ddof) for ddof in (0, 1)
    ],
    elsewhere.check_weakest: ["depth"],
    elsewhere.check_threshold: [lambda t: np.sort(t["ratio"])[3]],
    elsewhere.check_without: [lambda t: min(shares_of(t))],
    targets.check_p_value: [
        lambda own, drawn: torch.cat([torch.ones(1), torch.tensor(drawn >= own).float()]).mean()
    ],
}


def test_a_likely_slip_gets_its_own_hint(ask: Any, check: Any, answer: Any, says: str) -> None:
    found = ask(check, answer)
    assert not found.ok
    assert re.search(says, found.message), found.message


def test_a_right_answer_in_another_form_is_right(ask: Any, check: Any, answer: Any) -> None:
    assert ask(check, answer).ok


def test_one_family_has_no_others_to_be_left_out_of(table: pd.DataFrame) -> None:
    found = elsewhere.check_without(0.5, table.assign(family="methods"))
    assert found.message == "there is one family only: record more of them."


def test_a_student_without_a_hit_has_no_ratio(
    recording: Recording, teacher: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NearestCentroid, "score", lambda *_: 0.0)
    assert "ratio is not defined" in targets.check_live(1.0, recording, teacher).message


@pytest.mark.parametrize(("answer", "says"), [("none", "no run misses"), ("depth", "does any run")])
def test_where_no_run_misses_anything_none_is_right(
    answer: str, says: str, table: pd.DataFrame
) -> None:
    found = elsewhere.check_weakest(answer, table.assign(ratio=9.0, time=1.0, depth=1.0))
    assert found.ok == (answer == "none")
    assert says in found.message
