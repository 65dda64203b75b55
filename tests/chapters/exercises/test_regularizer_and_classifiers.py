"""Checkers tell likely slips apart, on a synthetic run; none accepts a wrong answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ssl_companion.chapters.exercises import clusters_to_classifiers as classify
from ssl_companion.chapters.exercises import the_regularizer as regularize
from ssl_companion.recordings import Recording
from ssl_companion.training.config import ObjectiveConfig


@pytest.fixture(scope="module")
def recipe(write_synthetic: Callable[..., Recording]) -> Recording:
    recording = write_synthetic("exercises-recipe-s0", kind="clusters", features=False)
    recording.run["config"]["projector_width"] = 32
    return recording


@pytest.fixture(scope="module")
def run(write_synthetic: Callable[..., Recording]) -> Recording:
    return write_synthetic("exercises-clusters-s0", kind="clusters", epochs=(0, 1, 3, 5))


def price(d: int, k: int, s: float) -> float:
    return 25 * max(0, 1 - np.sqrt(s**2 + 1e-4)) + 2 * (d / k - 1) * s**4


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (lambda d, k, s: price(d, d, s), "copies covary"),
        (lambda d, k, s: price(d, k, 0), "price of a point"),
        (lambda d, k, s: price(d, k, s) - price(d, d, s), "spread below"),
        (lambda d, k, s: (price(d, k, s) + price(d, d, s)) / 2, "both views"),
        (lambda d, k, s: price(d, d, s) + (d / k - 1) / 2 * s**4, "both orders"),
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
)
def test_the_price_of_fewer_directions(function: Any, word: str, recipe: Recording) -> None:
    found = regularize.check_degrees(function, recipe)
    assert not found.ok
    assert word in found.message


@pytest.mark.parametrize("constant", [0, 1e-4])
def test_the_constant_under_the_root_may_be_left_out(constant: float, recipe: Recording) -> None:
    def total(d: int, k: int, s: float) -> float:
        return 25 * (1 - np.sqrt(s**2 + constant)) + 2 * (d / k - 1) * s**4

    assert regularize.check_degrees(total, recipe).ok


@pytest.mark.parametrize("d", [2, 3, 32, 256])
def test_what_is_said_of_a_line_and_of_the_directions_that_pay(d: int) -> None:
    said = regularize._degrees(d)
    spreads = np.linspace(0, 1, 2001)
    prices = [price(d, 1, s) for s in spreads]
    least, at = min(prices), spreads[np.argmin(prices)]
    assert f"costs least, {least:.1f}, at a standard deviation of {at:.2f}." in said
    enough = [k for k in range(1, d + 1) if price(d, k, 1) < price(d, d, 0)]
    assert f"from {enough[0]} directions on" in said


def spectrum(x: np.ndarray, power: int = 2, centre: bool = True) -> np.ndarray:
    s = np.linalg.svd(x - x.mean(axis=0) * centre, compute_uv=False) ** power
    return s[s > 1e-12 * s.max()] / s.sum()


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (lambda x: stats.entropy(spectrum(x)), "exponential"),
        (lambda x: np.exp(stats.entropy(spectrum(x, centre=False))), "mean"),
        (lambda x: np.exp(stats.entropy(spectrum(x, power=1))), "square"),
        (lambda x: x.shape[1], "line"),
        (lambda x: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_the_directions_in_use(function: Any, word: str, run: Recording) -> None:
    found = regularize.check_directions(function, run)
    assert not found.ok
    assert word in found.message
    assert regularize.check_directions(lambda x: np.exp(stats.entropy(spectrum(x))), run).ok


def test_the_share_of_the_fall(run: Recording) -> None:
    n = len(run.losses)
    inv, reg = 25 * (1 - n) / 100, 25 * (1 - 1 / n) + 2 - 2 / n
    share = reg / (inv + reg)
    assert regularize.check_fall(share, run).ok
    for wrong in (1 - share, 100 * share, 0.3, None, "much"):
        assert not regularize.check_fall(wrong, run).ok


@pytest.mark.parametrize(
    ("plan", "word"),
    [
        (ObjectiveConfig(), "second half"),
        (ObjectiveConfig(on_until=2), "summed"),
        (ObjectiveConfig(regularizer=2.5, on_until=2, invariance=2), "two changes"),
        (ObjectiveConfig(name="simclr", regularizer=2.5, on_until=2), "two changes"),
        (ObjectiveConfig(regularizer=2.5, on_from=3), "second half"),
        ("half", "ObjectiveConfig"),
    ],
)
def test_the_same_dose(plan: Any, word: str, run: Recording) -> None:
    found = regularize.check_dose(plan, run)
    assert not found.ok
    assert word in found.message
    assert regularize.check_dose(ObjectiveConfig(regularizer=2.5, on_until=2), run).ok


def test_a_division_in_one_order_only_is_refused() -> None:
    def one_order(terms: tuple[str, ...], gain: Any) -> dict[str, float]:
        sets = [frozenset(terms[:i]) for i in range(len(terms) + 1)]
        steps = zip(terms, sets[:-1], sets[1:], strict=True)
        return {term: gain(after) - gain(before) for term, before, after in steps}

    found = regularize.check_three(one_order)
    assert not found.ok
    assert "divided otherwise" in found.message
    assert "add up" in regularize.check_three(lambda terms, _: dict.fromkeys(terms, 7.0)).message


def test_the_nearest_mean_as_a_linear_rule() -> None:
    assert classify.check_linear_rule(lambda m: (m, -0.5 * (m**2).sum(1))).ok
    no_bias = classify.check_linear_rule(lambda m: (m, np.zeros(len(m))))
    assert "agrees" in no_bias.message
    assert "shapes" in classify.check_linear_rule(lambda m: (m.T, m[:, 0])).message
    assert not classify.check_linear_rule(lambda m: (m, (m**2).sum(1))).ok


def test_the_factor_of_the_probe_is_not_that_of_the_means(run: Recording) -> None:
    linear = run.select(measure="linear", level="fine", split="test", layer=run.layers[-1])
    first, last = linear.sort_values("epoch")["value"].to_numpy()[[0, -1]]
    assert classify.check_factor(last / first, run, "fine").ok
    assert not classify.check_factor(last - first, run, "fine").ok
    assert not classify.check_factor(first / last, run, "fine").ok


def test_agreement_is_not_accuracy(run: Recording) -> None:
    from ssl_companion.chapters.analysis.accuracies import hits

    accuracy = float(hits(run, "fine")[-1].mean())
    found = classify.check_agreement(accuracy, run, "fine")
    assert not found.ok
    assert "accuracy of the nearest mean" in found.message
    assert not classify.check_agreement(None, run, "fine").ok


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (lambda x, y, n, seed: 0.0, "never zero"),
        (lambda x, y, n, seed: 0.5, "hardly any"),
        (lambda x, y, n, seed: 0.01, "average"),
        (lambda x, y, n, seed: 1 / n, "own among them"),
        (lambda x, y, n, seed: stats.spearmanr(x, y), "one number"),
        (lambda x, y, n, seed: None, "nothing is returned"),
        (lambda x, y, n, seed: [][0], "IndexError"),
    ],
)
def test_a_p_value_that_is_none(function: Any, word: str) -> None:
    found = classify.check_permutation(function)
    assert not found.ok
    assert word in found.message


def test_the_partial_correlation_is_that_of_residuals(run: Recording) -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=40)
    x, y = z + rng.normal(size=(2, 40))
    a, b, c = (stats.rankdata(v) for v in (x, y, z))
    rest = [v - np.polyval(np.polyfit(c, v, 1), c) for v in (a, b)]
    assert classify.partial(x, y, z) == pytest.approx(np.corrcoef(*rest)[0, 1])
    free = classify.check_partial(lambda x, y, z: stats.spearmanr(x, y)[0], run, "fine")
    assert "left free" in free.message
    for wrong, word in (
        (lambda x, y, z: classify.partial(x, y, z, ranks=False), "rank them first"),
        (lambda x, y, z: _parts(x, y, z)[0], "numerator alone"),
        (lambda x, y, z: np.divide(*_parts(x, y, z)), "root below"),
    ):
        assert word in classify.check_partial(wrong, run, "fine").message
    assert classify.check_partial(classify.partial, run, "fine").ok


def _parts(*values: np.ndarray) -> tuple[float, float]:
    """Above the line, and below it without the root."""
    r = np.corrcoef([stats.rankdata(v) for v in values])
    return r[0, 1] - r[0, 2] * r[1, 2], (1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)
