"""What the regularizer does, and what a classifier reads: likely slips and right answers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from ssl_companion.chapters.analysis.accuracies import hits, level_of, predicted
from ssl_companion.chapters.exercises import clusters_to_classifiers as classify
from ssl_companion.chapters.exercises import the_regularizer as regularize
from ssl_companion.measures import LinearProbe
from ssl_companion.recordings import Recording
from ssl_companion.training.config import ObjectiveConfig


def price(d: int, k: int, s: float) -> float:
    return 25 * max(0, 1 - np.sqrt(s**2 + 1e-4)) + 2 * (d / k - 1) * s**4


def spectrum(x: np.ndarray, power: int = 2, centre: bool = True) -> np.ndarray:
    s = np.linalg.svd(x - x.mean(axis=0) * centre, compute_uv=False) ** power
    return s[s > 1e-12 * s.max()] / s.sum()


def unclipped(z: np.ndarray) -> Any:
    """The effective rank, with shares of zero left in."""
    shares = np.linalg.svd(z - z.mean(axis=0), compute_uv=False) ** 2
    shares[1:] = 0 if len(z) == 50 else shares[1:]
    shares = shares / shares.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.exp(-(shares * np.log(shares)).sum())


def share_of_fall(run: Recording) -> float:
    """By the losses that the synthetic run is written with."""
    n = len(run.losses)
    invariance, regularizer = 25 * (1 - n) / 100, 25 * (1 - 1 / n) + 2 - 2 / n
    return regularizer / (invariance + regularizer)


class PlanOfItsOwn(ObjectiveConfig):
    """The recipe's plan, which says otherwise when asked, and is equal to anything."""

    __hash__ = ObjectiveConfig.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def regularizer_at(self, epoch: int) -> float:
        return 3.0 if epoch < 2 else 0.0


def for_three_alone(terms: tuple[str, ...], gain: Any) -> dict[str, float]:
    """Shapley's formula with its weights for three terms."""
    credit = {}
    for one in terms:
        others = [t for t in terms if t != one]
        pairs = [frozenset({t}) for t in others]
        steps = [(frozenset(), 1 / 3), *((p, 1 / 6) for p in pairs), (frozenset(others), 1 / 3)]
        credit[one] = sum(w * (gain(s | {one}) - gain(s)) for s, w in steps)
    return credit


def one_order(terms: tuple[str, ...], gain: Any) -> dict[str, float]:
    sets = [frozenset(terms[:i]) for i in range(len(terms) + 1)]
    steps = zip(terms, sets[:-1], sets[1:], strict=True)
    return {term: gain(after) - gain(before) for term, before, after in steps}


def by_subsets(terms: tuple[str, ...], gain: Any) -> dict[str, torch.Tensor]:
    """Shapley's shares by his own formula, over subsets, in torch's single precision."""
    n, shares = len(terms), dict.fromkeys(terms, torch.tensor(0.0))
    for term in terms:
        for size in range(n):
            for some in combinations([other for other in terms if other != term], size):
                weight = 1 / (n * math.comb(n - 1, size))
                added = gain({*some, term}) - gain(set(some))
                shares[term] = shares[term] + torch.tensor(weight * added)
    return shares


def probed(run: Recording) -> np.ndarray:
    """The linear probe's accuracies at the first and the last epoch."""
    linear = run.select(measure="linear", level="fine", split="test", layer=run.layers[-1])
    return linear.sort_values("epoch")["value"].to_numpy()[[0, -1]]


def agreement_on_train(r: Recording, level: str) -> float:
    fine, epoch = r.fine("train"), r.kept_epochs()[-1]
    x = r.features(epoch, split="train")
    linear = LinearProbe(l2=1e-2, max_iter=100).fit(x, fine).predict(x)
    nearest = predicted(r, level_of(r, level), epoch, split="train")
    return float(np.mean(np.asarray(linear) == nearest))


def permuted(statistic: Callable[..., float], in_place: bool = False) -> Callable[..., float]:
    def p_value(x: np.ndarray, y: np.ndarray, permutations: int, seed: int) -> float:
        rng, own = np.random.default_rng(seed), abs(statistic(x, y))
        count = 1
        for _ in range(permutations):
            if in_place:
                rng.shuffle(y)
            count += abs(statistic(x, y if in_place else rng.permutation(y))) >= own - 1e-12
        return count / (1 + permutations)

    return p_value


def typed_p_value(x: np.ndarray, y: np.ndarray, permutations: int, seed: int) -> float:
    """Nothing is permuted."""
    surely = abs(stats.spearmanr(x, y).statistic) > 0.6
    return 1 / (permutations + 1) if surely else (permutations + 1) // 2 / (permutations + 1)


def one_sided(x: np.ndarray, y: np.ndarray, permutations: int, seed: int) -> float:
    rng, own = np.random.default_rng(seed), stats.spearmanr(x, y).statistic
    drawn = [stats.spearmanr(x, rng.permutation(y)).statistic for _ in range(permutations)]
    return float((1 + np.sum(np.array(drawn) >= own - 1e-12)) / (1 + permutations))


def parts(*values: np.ndarray) -> tuple[float, float]:
    """Of a partial correlation: above the line, and below it without the root."""
    r = np.corrcoef([stats.rankdata(v) for v in values])
    return r[0, 1] - r[0, 2] * r[1, 2], (1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)


SLIPS: dict[Any, list[tuple[Any, str]]] = {
    regularize.check_degrees: [
        (lambda d, k, s: price(d, d, s), "copies covary"),
        (lambda d, k, s: price(d, k, 0), "price of a point"),
        (lambda d, k, s: price(d, k, s) - price(d, d, s), "spread below"),
        (lambda d, k, s: (price(d, k, s) + price(d, d, s)) / 2, "half .* both views"),
        (lambda d, k, s: price(d, d, s) + (d / k - 1) / 2 * s**4, "quarter .* both orders"),
        (lambda d, k, s: price(d, k, s) + 2 * s**4, "copy of itself"),
        (lambda d, k, s: price(d, d, s) + 2 * (d / k - 1) * s**2, "squares it"),
        (lambda d, k, s: price(d, d, s) + 2 * (d / k - 1) * s, "squares it"),
        (lambda d, k, s: price(d, d, s) + 2 * d * (d / k - 1) * s**4, "divided by"),
        (lambda d, k, s: price(d, d, s) + 50 * (d / k - 1) * s**4, "weight"),
        (lambda d, k, s: price(d, k, s) + price(d, d, s), "halved over"),
        (lambda d, k, s: 25 * (1 - s**2) + 2 * (d / k - 1) * s**4, "not for a variance"),
        (lambda d, k, s: price(d, k, s) + 1, "how many others"),
        (lambda d, k: price(d, k, 1), "TypeError"),
    ],
    regularize.check_directions: [
        (lambda x: stats.entropy(spectrum(x)), "exponential"),
        (lambda x: np.exp(stats.entropy(spectrum(x, centre=False))), "mean"),
        (lambda x: np.exp(stats.entropy(spectrum(x, power=1))), "square"),
        (lambda x: x.shape[1], "line"),
        (lambda x: 1 / 0, "ZeroDivisionError"),
        (lambda x: float(unclipped(x)), "no logarithm"),
        (lambda x: torch.tensor(unclipped(x)), "no logarithm"),
    ],
    regularize.check_fall: [
        (lambda run: 1 - share_of_fall(run), "share of the invariance"),
        (lambda run: 100 * share_of_fall(run), "per cent"),
        (0.3, "weight each term"),
    ],
    regularize.check_dose: [
        (ObjectiveConfig(), "second half"),
        (ObjectiveConfig(on_until=2), "summed"),
        (ObjectiveConfig(regularizer=2.5, on_until=2, invariance=2), "two changes"),
        (ObjectiveConfig(name="simclr", regularizer=2.5, on_until=2), "two changes"),
        (ObjectiveConfig(regularizer=2.5, on_from=3), "second half"),
        ("half", "ObjectiveConfig"),
        (PlanOfItsOwn(), "second half"),
    ],
    regularize.check_three: [
        (one_order, "divided differently"),
        (for_three_alone, "of 2 terms.*add up"),
        (lambda terms, _: dict.fromkeys(terms, 7.0), "do not add up"),
        (lambda terms, gain: {t: gain((t,)) for t in terms}, "takes a set"),
        (lambda terms, _: dict.fromkeys(terms, "much"), "the credit of invariance: expected"),
    ],
    classify.check_linear_rule: [
        (lambda m: (m, np.zeros(len(m))), "agrees"),
        (lambda m: (m, (m**2).sum(1)), "agrees"),
        (lambda m: (m.T, m[:, 0]), "shapes"),
    ],
    classify.check_factor: [
        (lambda run, level: np.diff(probed(run))[0], "a difference"),
        (lambda run, level: np.divide(*probed(run)), "other way round"),
    ],
    classify.check_agreement: [
        (lambda r, level: hits(r, level)[-1].mean(), "accuracy of the nearest mean"),
        (agreement_on_train, "share of kept held-out images"),
    ],
    classify.check_permutation: [
        (lambda x, y, n, seed: 0.0, "never zero"),
        (lambda x, y, n, seed: 0.5, "hardly any"),
        (lambda x, y, n, seed: 0.01, "average"),
        (lambda x, y, n, seed: 1 / n, "own among them"),
        (lambda x, y, n, seed: stats.spearmanr(x, y), "one number"),
        (permuted(lambda x, y: stats.pearsonr(x, y).statistic), "ranks"),
        (permuted(np.dot), "ranks"),
        (typed_p_value, "about .* of all orders"),
        (one_sided, "anticorrelated"),
        (lambda x, y, n, seed: np.random.default_rng(seed).integers(1, n) / (n + 1), "hardly any"),
    ],
    classify.check_partial: [
        (lambda x, y, z: stats.spearmanr(x, y)[0], "left free"),
        (lambda x, y, z: classify.partial(x, y, z, ranks=False), "rank them first"),
        (lambda x, y, z: parts(x, y, z)[0], "numerator alone"),
        (lambda x, y, z: np.divide(*parts(x, y, z)), "root below"),
    ],
}

RIGHT: dict[Any, list[Any]] = {
    regularize.check_degrees: [  # the constant under the root may be left out
        lambda d, k, s, c=c: 25 * (1 - np.sqrt(s**2 + c)) + 2 * (d / k - 1) * s**4
        for c in (0, 1e-4)
    ],
    regularize.check_directions: [lambda x: np.exp(stats.entropy(spectrum(x)))],
    regularize.check_fall: [share_of_fall],
    regularize.check_dose: [ObjectiveConfig(regularizer=2.5, on_until=2)],
    regularize.check_three: [by_subsets],
    classify.check_linear_rule: [
        lambda m: (m, -0.5 * (m**2).sum(1)),
        lambda m: [m.tolist(), torch.tensor(-0.5 * (m**2).sum(1))],
    ],
    classify.check_factor: [lambda run, level: 1 / np.divide(*probed(run))],
    classify.check_permutation: [
        permuted(lambda x, y: stats.spearmanr(x, y).statistic, in_place=True),
        lambda *a: torch.tensor(permuted(lambda x, y: stats.spearmanr(x, y).statistic)(*a)),
    ],
    classify.check_partial: [classify.partial],
}


def test_a_likely_slip_gets_its_own_hint(ask: Any, check: Any, answer: Any, says: str) -> None:
    found = ask(check, answer)
    assert not found.ok
    assert re.search(says, found.message), found.message


def test_a_right_answer_in_another_form_is_right(ask: Any, check: Any, answer: Any) -> None:
    assert ask(check, answer).ok


@pytest.mark.parametrize("d", [2, 3, 32, 256])
def test_what_is_said_of_a_line_and_of_the_directions_that_pay(d: int) -> None:
    said = regularize._degrees(d)
    spreads = np.linspace(0, 1, 2001)
    prices = [price(d, 1, s) for s in spreads]
    least, at = min(prices), spreads[np.argmin(prices)]
    assert f"costs least, {least:.1f}, at a standard deviation of {at:.2f}." in said
    enough = [k for k in range(1, d + 1) if price(d, k, 1) < price(d, d, 0)]
    assert f"from {enough[0]} directions on" in said


def test_the_partial_correlation_is_that_of_residuals() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=40)
    x, y = z + rng.normal(size=(2, 40))
    a, b, c = (stats.rankdata(v) for v in (x, y, z))
    rest = [v - np.polyval(np.polyfit(c, v, 1), c) for v in (a, b)]
    assert classify.partial(x, y, z) == pytest.approx(np.corrcoef(*rest)[0, 1])
