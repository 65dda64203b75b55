"""Checkers of the foundations take any answer, name the slip, and do not give the answer away."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from ssl_companion.chapters.exercises import measuring_a_cluster as measuring
from ssl_companion.chapters.exercises import self_supervision as views
from ssl_companion.chapters.exercises import train_your_own as own
from ssl_companion.training.toy import ToyConfig

NOTHING = [None, ..., "seven", [], lambda *_: None, lambda: 1 / 0]
CHECKERS = [
    *(getattr(views, name) for name in vars(views) if name.startswith("check_")),
    *(getattr(measuring, name) for name in vars(measuring) if name.startswith("check_")),
    *(getattr(own, name) for name in vars(own) if name.startswith("check_")),
]


@pytest.mark.parametrize("check", CHECKERS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("answer", NOTHING, ids=["none", "dots", "text", "list", "void", "raises"])
def test_any_answer_gets_a_hint(check: Any, answer: Any) -> None:
    found = check(answer)
    assert not found.ok
    assert found.message


def _by_points_above_a_tenth(table: Any, level: str) -> bool:
    """Points compared without their intervals, and noise told by luck."""
    ncc = table[table["measure"] == "ncc"].set_index("level")["value"]
    return ncc[level] > ncc["permuted"] and not 0.15 < ncc[level] < 0.16


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _wide(paired: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat([0, 1], 200)
    x = np.random.default_rng(seed).normal(size=(400, 2)) * [0.1, 10.0]
    if paired:
        x[1::2, 1] = -x[::2, 1]
    return x + np.outer(y, [1, 0]), y


def _ncc(table: Any, level: str, own_end: str, control_end: str) -> bool:
    ncc = table[table["measure"] == "ncc"].set_index("level")
    return ncc.loc[level, own_end] > ncc.loc["permuted", control_end]


def _control(table: Any) -> float:
    return float(table.loc[table["level"] == "permuted", "high"].max())


SLIPS = [
    (views.check_collapsed, 0.0, "And the variance"),
    (views.check_collapsed, 49.5, "mean over the two views"),
    (views.check_collapsed, 25.0, "under the root"),
    (views.check_variance, lambda z: (1 - z.std(dim=0)).clamp(min=0).mean(), "one point"),
    (views.check_variance, lambda z: (1 - (z.var(dim=0) + 1e-4).sqrt()).mean(), "a wide cloud"),
    (
        views.check_variance,
        lambda z: (1 - (z.var(dim=0, correction=0) + 1e-4).sqrt()).clamp(min=0).mean(),
        "on three samples",
    ),
    (views.check_line, np.zeros((10, 2)), "variance term is 0.990"),
    (views.check_line, np.random.default_rng(0).normal(size=(50, 2)) * 3, "spread over"),
    (views.check_line, np.ones((3, 2)), "8 or more"),
    (views.check_nt_xent, lambda a, b, t: views._with_itself(a, b, t), "strike out the diagonal"),
    (views.check_world, ToyConfig(noise=0.0, wobble=0.0), "leave the noise"),
    (views.check_world, ToyConfig(columns=2, rows=2), "fewer images"),
    (views.check_world, ToyConfig(lr=1e-6), "change the world"),
    (views.check_world, ToyConfig(columns=600), "takes long"),
    (measuring.check_two_clouds, lambda s, d, n: n * s / d**2, "square of a standard"),
    (measuring.check_two_clouds, lambda s, d, n: 2 * n * s**2 / d**2, "2 in the denominator"),
    (measuring.check_ncc, lambda x, y, a, b: measuring.NearestCentroid().fit(x, y).score(x, y),
     "made the means"),
    (measuring.check_ncc, lambda x, y, a, b: measuring.NearestCentroid().fit(a, b).score(a, b),
     "from the training points"),
    (measuring.check_simplex, lambda k: np.arange(k)[:, None] ** 2.0, "differ in length|refuses"),
    (measuring.check_simplex,
     lambda k: np.stack([np.cos(np.arange(k) * 2 * np.pi / k),
                         np.sin(np.arange(k) * 2 * np.pi / k)], axis=1), "for K = 5"),
    (measuring.check_mended, lambda x, c: np.zeros(3), "row numbers"),
    (measuring.check_mended, measuring.in_float32, "too late"),
    (measuring.check_mended,
     lambda x, c: measuring.in_float32(x - x.mean(axis=0), c - c.mean(axis=0)), "same vector"),
    (measuring.check_mended,
     lambda x, c: measuring.in_float32(_unit(x), _unit(c)), "nothing else is done"),
    (measuring.check_wide, (np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 2),
     "99% are wanted. It only depends"),
    (measuring.check_wide, _wide(paired=False), "where you put them"),
    (measuring.check_wide, (np.arange(100.0)[:, None] // 50, np.arange(100) // 50), "10 is wanted"),
    (measuring.check_wide, (np.ones((4, 2)), np.zeros(4, int)), "refuse this cloud"),
    (own.check_colour, lambda x: x.mean(dim=(1, 2, 3)), r"\(5,\)"),
    (own.check_colour, lambda x: x.mean(dim=(2, 3)).numpy(), "type ndarray"),
    (own.check_colour, lambda x: x.flatten(1), "three numbers"),
    (own.check_colour, lambda x: x.amax(dim=(2, 3)), "channels stay apart"),
    (own.check_clustered, lambda table, level: True, "pure noise it says True"),
    (own.check_clustered, lambda table, level: False, "well apart it says False"),
    (own.check_clustered, _by_points_above_a_tenth, "Compare an end with an end"),
    (own.check_clustered, lambda table, level: _ncc(table, level, "low", "value"), "an end"),
    (own.check_clustered, lambda table, level: _ncc(table, level, "value", "high"), "an end"),
    (own.check_clustered, lambda table, level: _ncc(table, "labels", "low", "high"), "KeyError"),
    (own.check_clustered,
     lambda table, level: _ncc(table, level, "low", "high") and table["low"].max() > 0.1,
     "no number of your own"),
    (own.check_clustered, lambda table, level: table["value"] > 0.1, "True or False"),
    (own.check_clustered,
     lambda table, level: (lambda rows: rows["low"].max() > _control(table))(
         table[table["level"] == level]), "about `ncc`"),
    (own.check_clustered,
     lambda table, level: table.set_index("level").loc[level, "low"] > _control(table),
     "choose one row"),
    (own.check_moved, {"ncc", "knn"}, "not ncc"),
    (own.check_moved, {"knn"}, "1 more"),
    (own.check_moved, {"colour"}, "'colour' is none of"),
    (own.check_layers, lambda x: x, "expected a dictionary"),
    (own.check_layers, lambda x: dict.fromkeys("abc", x.flatten(1)), "two names"),
    (own.check_layers, lambda x: {"a": x, "b": x, "c": x.mean()}, "'c' should be"),
    (own.check_layers, lambda x: {"a": x, "b": x[:, 0], "c": x[:, 0].flatten(1)}, "'b' should be"),
    (own.check_layers, lambda x: {"a": x, "b": x[:, :2], "c": x[:4, :1]}, "16 images"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "answer", "says"), SLIPS)
def test_a_likely_slip_gets_its_own_hint(check: Any, answer: Any, says: str) -> None:
    found = check(answer)
    assert not found.ok
    assert re.search(says, found.message), found.message


def test_right_answers_may_come_as_tensors() -> None:
    z = torch.linspace(-3, 3, 20).repeat(2, 1).T
    assert views.check_line(z).ok
    assert views.check_collapsed(torch.tensor(24.75)).ok
