"""Right answers that are not the book's, and slips that look right at a glance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ssl_companion.chapters.analysis.accuracies import level_of, predicted
from ssl_companion.chapters.exercises import clusters_to_classifiers as classifiers
from ssl_companion.chapters.exercises import (
    hierarchy,
    random_targets,
    self_supervision,
    the_regularizer,
)
from ssl_companion.chapters.exercises import measuring_a_cluster as measuring
from ssl_companion.chapters.exercises import time_and_depth as depth
from ssl_companion.chapters.exercises import train_your_own as own
from ssl_companion.measures import LinearProbe, NearestCentroid
from ssl_companion.recordings import Recording


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_colour_in_any_precision(dtype: torch.dtype) -> None:
    assert own.check_colour(lambda x: x.to(dtype).mean(dim=(2, 3))).ok
    assert not own.check_colour(lambda x: x.to(dtype).amax(dim=(2, 3))).ok
    assert not own.check_colour(lambda x: x.mean(dim=(2, 3)).long()).ok


def _permuted(statistic: Callable[..., float], in_place: bool = False) -> Callable[..., float]:
    def p_value(x: np.ndarray, y: np.ndarray, permutations: int, seed: int) -> float:
        rng, own = np.random.default_rng(seed), abs(statistic(x, y))
        count = 1
        for _ in range(permutations):
            if in_place:
                rng.shuffle(y)
            count += abs(statistic(x, y if in_place else rng.permutation(y))) >= own - 1e-12
        return count / (1 + permutations)

    return p_value


def test_who_shuffles_in_place_is_right() -> None:
    spearman = _permuted(lambda x, y: stats.spearmanr(x, y).statistic, in_place=True)
    assert classifiers.check_permutation(spearman).ok


@pytest.mark.parametrize("statistic", [lambda x, y: stats.pearsonr(x, y).statistic, np.dot])
def test_numbers_are_not_ranks(statistic: Callable[..., float]) -> None:
    found = classifiers.check_permutation(_permuted(statistic))
    assert not found.ok
    assert "ranks" in found.message


def test_a_cloud_and_a_rule_may_be_lists() -> None:
    grid = [[[0, -10], [0, 10], [1, -10], [1, 10]], [0, 0, 1, 1]]
    assert measuring.check_wide(grid).ok


@pytest.mark.parametrize("how", [{"requires_grad": True}, {"dtype": torch.bfloat16}])
def test_a_cloud_of_any_tensor_gets_a_hint(how: dict[str, Any]) -> None:
    x = torch.tensor([[0.0, -9.0], [0.0, 3.0], [1.0, -1.0], [1.0, 9.0]], **how)
    found = measuring.check_wide((x, torch.tensor([0, 0, 1, 1])))
    assert not found.ok
    assert "99% are wanted" in found.message or "refuse" in found.message
    assert classifiers.check_linear_rule(lambda m: [m, -0.5 * (m**2).sum(axis=1)]).ok


def test_who_looks_at_training_images_is_told(recording: Recording) -> None:
    fine, epoch = recording.fine("train"), recording.kept_epochs()[-1]
    x = recording.features(epoch, split="train")
    linear = LinearProbe(l2=1e-2, max_iter=100).fit(x, fine).predict(x)
    nearest = predicted(recording, level_of(recording, "fine"), epoch, split="train")
    seen = float(np.mean(np.asarray(linear) == nearest))
    assert not classifiers.check_agreement(seen, recording, "fine").ok


def test_float32_is_precise_enough(recording: Recording) -> None:
    assert measuring.check_two_clouds(lambda s, d, n: np.float32(n * s**2 / d**2)).ok
    found = measuring.check_two_clouds(lambda s, d, n: n * s**2 / (2 * d**2))
    assert "both classes" in found.message
    assert measuring.check_ncc(
        lambda *a: np.float32(NearestCentroid().fit(*a[:2]).score(*a[2:]))
    ).ok
    assert hierarchy.check_blind(
        lambda level: np.float32(level.sizes.max()) / np.float32(level.sizes.sum()), recording
    ).ok
    assert random_targets.check_p_value(
        lambda own, drawn: torch.cat([torch.ones(1), torch.tensor(drawn >= own).float()]).mean()
    ).ok


def test_half_a_point_of_rounding() -> None:
    assert depth.check_same_order(([0.30, 0.303, 0.306, 0.31], [0.2, 0.3, 0.5, 0.7])).ok
    assert not depth.check_same_order(([0.30, 0.303, 0.306, 0.312], [0.2, 0.3, 0.5, 0.7])).ok


def _hinge(reduce: Callable[[Tensor], Tensor], **how: Any) -> Callable[[Tensor], Tensor]:
    return lambda z: reduce((1 - (z.var(0, **how) + 1e-4).sqrt()).clamp(min=0))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda z: (1 - (z.var(0) + 1e-4).sqrt()).mean().clamp(min=0), "before the mean"),
        (_hinge(torch.sum), "not the sum"),
        (_hinge(lambda short: short.square().mean()), "not squared"),
        (_hinge(lambda short: 25 * short.mean()), "weight of the objective"),
        (_hinge(lambda short: short.mean() / 2), "two views"),
        (_hinge(torch.mean, correction=0), "N - 1"),
        (_hinge(lambda short: 2 * short.mean()), "two views"),
        (lambda z: (1 - (z.var(1) + 1e-4).sqrt()).clamp(min=0).mean(), "over the batch"),
        (lambda z: (1 - (z.var() + 1e-4).sqrt()).clamp(min=0), "its own standard deviation"),
        (lambda z: (1 - z.std(0)).clamp(min=0).mean(), "inside the root"),
        (lambda z: (1 - z.std(0) - 1e-4).clamp(min=0).mean(), "inside the root"),
        (lambda z: (z.std(0) - 1).clamp(min=0).mean(), "a variance of 0"),
    ],
)
def test_slips_of_the_variance_term_are_named(function: Any, says: str) -> None:
    found = self_supervision.check_variance(function)
    assert not found.ok
    assert says in found.message


def test_a_parabola_is_no_line() -> None:
    t = np.linspace(-3, 3, 40)
    assert "straight" in self_supervision.check_line(np.stack([t, t**2 / 2], axis=1)).message
    assert self_supervision.check_line(np.stack([t, -t], axis=1)).ok


def test_three_layers_of_one_width_are_three_layers() -> None:
    def encoder(x: Tensor) -> dict[str, Tensor]:
        mean = x.mean(dim=(2, 3))
        return {"a": mean, "b": mean**2, "c": mean**3}

    assert own.check_layers(encoder).ok
    found = own.check_layers(lambda x: dict.fromkeys("abc", x.mean(dim=(2, 3))))
    assert "two names" in found.message


def test_an_entropy_of_nothing_is_named(recording: Recording) -> None:
    def unclipped(z: np.ndarray) -> np.floating[Any]:
        shares = np.linalg.svd(z - z.mean(axis=0), compute_uv=False) ** 2
        shares[1:] = 0 if len(z) == 50 else shares[1:]
        shares = shares / shares.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.exp(-(shares * np.log(shares)).sum())

    for kind in (float, torch.tensor):
        found = the_regularizer.check_directions(lambda z, kind=kind: kind(unclipped(z)), recording)
        assert "no logarithm" in found.message


def test_a_gain_of_something_else_than_a_set_is_named() -> None:
    found = the_regularizer.check_three(lambda terms, gain: {t: gain((t,)) for t in terms})
    assert "takes a set" in found.message
