"""Views and objectives, measures of clusters, encoders of one's own: slips and right answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import resnet18
from torchvision.models.feature_extraction import create_feature_extractor

from ssl_companion.chapters.analysis.search_precision import by_differences, in_float32
from ssl_companion.chapters.exercises import measure_your_encoder as own
from ssl_companion.chapters.exercises import measuring_a_cluster as measuring
from ssl_companion.chapters.exercises import self_supervision as views
from ssl_companion.chapters.exercises import train_your_own as training
from ssl_companion.measures import NearestCentroid
from ssl_companion.training.objectives import simclr
from ssl_companion.training.toy import ToyConfig


def _hinge(reduce: Callable[[Tensor], Tensor], **how: Any) -> Callable[[Tensor], Tensor]:
    return lambda z: reduce((1 - (z.var(0, **how) + 1e-4).sqrt()).clamp(min=0))


def _softmax_over_all(a: Tensor, b: Tensor, t: float) -> Tensor:
    u = torch.nn.functional.normalize(torch.cat([a, b]), dim=1)
    return torch.nn.functional.cross_entropy(u @ u.T / t, torch.arange(len(u)).roll(len(a)))


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _score(x: Any, y: Any, x_test: Any, y_test: Any) -> float:
    return NearestCentroid().fit(x, y).score(x_test, y_test)


def _wide() -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat([0, 1], 200)
    x = np.random.default_rng(0).normal(size=(400, 2)) * [0.1, 10.0]
    return x + np.outer(y, [1, 0]), y


def _noise(n: int, d: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    return scale * np.random.default_rng(0).normal(size=(n, d)), np.arange(n) % 2


def _one_class_of_two() -> tuple[np.ndarray, np.ndarray]:
    """A large class far from any mistake, and a small one inside of it."""
    large = np.array([[0.0, 9.0], [0.0, -9.0]] * 1000)
    small = np.array([[0.3, 9.0], [0.3, -9.0], [-0.1, 5.0], [-0.1, -5.0]])
    return np.concatenate([large, small]), np.repeat([0, 1], [2000, 4])


def _far_out() -> np.ndarray:
    """A round cloud, and one point so far out that nearly all variance is along one line."""
    cloud = np.random.default_rng(0).normal(size=(50, 2)) * 2
    cloud[0] = 1e4
    return cloud


def _in_float64(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    x, centres = x - centres.mean(axis=0), centres - centres.mean(axis=0)
    return ((centres**2).sum(1) - 2 * x @ centres.T).argmin(axis=1)


def _moved_first(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return in_float32(x - centres[0], centres - centres[0])


def _by_medians(x: Any, y: Any, x_test: Any, y_test: Any) -> float:
    middle = np.stack([np.median(x[y == k], axis=0) for k in range(y.max() + 1)])
    return float((((x_test[:, None] - middle) ** 2).sum(2).argmin(1) == y_test).mean())


def _by_cosine(x: Any, y: Any, x_test: Any, y_test: Any) -> float:
    means = np.stack([x[y == k].mean(axis=0) for k in range(y.max() + 1)])
    return float(((x_test @ _unit(means).T).argmax(1) == y_test).mean())


_NETWORK = resnet18(weights=None).eval()


def _stages(x: Tensor) -> dict[str, Tensor]:
    """ResNet-18, part by part."""
    n, found = _NETWORK, {}
    x = n.maxpool(n.relu(n.bn1(n.conv1(x))))
    for name in ("layer1", "layer2", "layer3", "layer4"):
        found[name] = x = getattr(n, name)(x)
    return found


def _ends(own_end: str, control_end: str, level: str = "") -> Callable[[Any, str], bool]:
    """A rule that compares NCC's value or end with one of the control's."""

    def rule(table: Any, asked: str) -> bool:
        ncc = table[table["measure"] == "ncc"].set_index("level")
        return ncc.loc[level or asked, own_end] > ncc.loc["permuted", control_end]

    return rule


def _by_points_above_a_tenth(table: Any, level: str) -> bool:
    """Points compared without their intervals, and noise told by luck."""
    ncc = table[table["measure"] == "ncc"].set_index("level")["value"]
    return ncc[level] > ncc["permuted"] and not 0.15 < ncc[level] < 0.16


def _of_all_measures(table: Any, level: str) -> bool:
    control = table.loc[table["level"] == "permuted", "high"].max()
    return table.loc[table["level"] == level, "low"].max() > control


def _no_fixed_tenth(table: Any, level: str) -> bool:
    return _ends("low", "high")(table, level) and table["low"].max() > 0.1


def _first_and_last(table: Any) -> tuple[Any, Any]:
    by_epoch = table.set_index("level").groupby("epoch")
    return tuple(by_epoch.get_group(end(table["epoch"])) for end in (min, max))


def _risen_for_certain(table: Any) -> set[str]:
    first, last = _first_and_last(table)
    return set(last.index[last["low"] > first["high"]])


def _risen_by_points(table: Any) -> set[str]:
    first, last = _first_and_last(table)
    return set(last.index[last["value"] > first["value"]])


def _risen_at_any_time(table: Any) -> set[str]:
    first, _ = _first_and_last(table)
    most = table.groupby("level")["low"].max().reindex(first.index)
    return set(most.index[most > first["high"]])


def _course(table: Any) -> list[float]:
    """The advantage of the coarse level at the first epoch and at the last."""
    ends = (found["value"] for found in _first_and_last(table))
    return [found["coarse"] - found["random-coarse"] for found in ends]


def _ends_of(table: Any, level: str) -> float:
    first, last = (found["value"][level] for found in _first_and_last(table))
    return float(last - first)


SLIPS: dict[Any, list[tuple[Any, str]]] = {
    views.check_collapsed: [
        (0.0, "And the variance"),
        (49.5, "mean over the two views"),
        (25.0, "under the root"),
    ],
    views.check_variance: [
        (lambda z: (1 - (z.var(dim=0) + 1e-4).sqrt()).mean(), "a wide cloud"),
        (_hinge(torch.mean, correction=0), "on three samples.*N - 1"),
        (lambda z: (1 - (z.var(0) + 1e-4).sqrt()).mean().clamp(min=0), "before the mean"),
        (_hinge(torch.sum), "not the sum"),
        (_hinge(lambda short: short.square().mean()), "not squared"),
        (_hinge(lambda short: 25 * short.mean()), "weight in the objective"),
        (_hinge(lambda short: short.mean() / 2), "mean over the two views"),
        (_hinge(lambda short: 2 * short.mean()), "counts two views"),
        (lambda z: (1 - (z.var(1) + 1e-4).sqrt()).clamp(min=0).mean(), "over the batch"),
        (lambda z: (1 - (z.var() + 1e-4).sqrt()).clamp(min=0), "its own standard deviation"),
        (lambda z: (1 - z.std(0)).clamp(min=0).mean(), "inside the root"),
        (lambda z: (1 - z.std(0) - 1e-4).clamp(min=0).mean(), "inside the root"),
        (lambda z: (z.std(0) - 1).clamp(min=0).mean(), "a variance of 0"),
    ],
    views.check_line: [
        (np.zeros((10, 2)), "variance term is 0.990"),
        (np.random.default_rng(0).normal(size=(50, 2)) * 3, "spread over"),
        (np.ones((3, 2)), "8 or more"),
        (np.stack([np.linspace(-3, 3, 40), np.linspace(-3, 3, 40) ** 2 / 2], axis=1), "straight"),
        (_far_out(), "All of them should lie on it"),
        (np.linspace(-1e200, 1e200, 40)[:, None] * [1, 1], "covariance overflows"),
    ],
    views.check_nt_xent: [
        (_softmax_over_all, "remove the diagonal"),
        (lambda a, b, t: simclr(a, b, temperature=t).terms["alignment"], "that is the alignment"),
        (lambda a, b, t: simclr(a, b, temperature=1.0).total, "at temperature 0.1"),
        (lambda a, b, t: simclr(a, b, temperature=t).total * len(a), "another value"),
    ],
    views.check_world: [
        (ToyConfig(noise=0.0, wobble=0.0), "leave the noise"),
        (ToyConfig(columns=2, rows=2), "fewer images"),
        (ToyConfig(lr=1e-6), "change the world"),
        (ToyConfig(columns=2.5), "columns: 2.5; expected a whole number"),  # type: ignore[arg-type]
        (ToyConfig(columns=600), "takes too long"),
        (ToyConfig(wobble=0.0, width=30.0), "change one setting, not width and wobble"),
        (ToyConfig(seed=3), "Which setting makes them"),
    ],
    measuring.check_two_clouds: [
        (lambda s, d, n: n * s / d**2, "square of a standard"),
        (lambda s, d, n: 2 * n * s**2 / d**2, "2 in the denominator"),
        (lambda s, d, n: n * s**2 / (2 * d**2), "both classes"),
    ],
    measuring.check_ncc: [
        (lambda x, y, a, b: _score(x, y, x, y), "made the means"),
        (lambda x, y, a, b: _score(a, b, a, b), "from the training points"),
        (_by_medians, "nearest class mean"),
        (_by_cosine, "nearest class mean"),
        (lambda x, y, a, b: np.random.default_rng(0).integers(0, len(a)) / len(a), "nearest class"),
    ],
    measuring.check_simplex: [
        (lambda k: np.arange(k)[:, None] ** 2.0, "differ in length|refuses"),
        (lambda k: np.exp(2j * np.pi * np.arange(k) / k)[:, None].view(float), "for K = 5"),
        (lambda k: np.eye(5)[:k] if k < 6 else np.eye(k) * np.arange(1, k + 1), "differ in length"),
        (lambda k: np.random.default_rng(0).normal(size=(k, 900)), "differ in length"),
        (lambda k: np.random.default_rng(0).normal(size=(k, 2000)), "are enough"),
    ],
    measuring.check_mended: [
        (lambda x, c: np.zeros(3), "row numbers"),
        (in_float32, "too late"),
        (lambda x, c: in_float32(x - x.mean(axis=0), c - c.mean(axis=0)), "same vector"),
        (lambda x, c: in_float32(_unit(x), _unit(c)), "nothing else is done"),
        (_in_float64, "still computes in float64"),
        (by_differences, "still computes in float64"),
    ],
    measuring.check_wide: [
        (
            (np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 2),
            "99% is the goal. It depends only",
        ),
        (_wide(), "where you put them"),
        ((np.arange(100.0)[:, None] // 50, np.arange(100) // 50), "10 is the goal"),
        ((np.ones((4, 2)), np.zeros(4, int)), "cannot be computed for this cloud"),
        (_noise(100, 2000), "with permuted labels"),
        (_noise(200, 5000, 10.0), "with permuted labels"),
        (_one_class_of_two(), "only .* in class 1"),
        ((np.broadcast_to(0.0, (5000, 5000)), np.zeros(5000, int)), "a smaller cloud"),
        (([[0.0], [1.0]], np.array([0, None])), "labels y .* of one kind"),
    ],
    own.check_colour: [
        (lambda x: None, "the answer is empty"),
        (lambda x: x.mean(dim=(1, 2, 3)), r"\(5,\)"),
        (lambda x: x.flatten(1), "three numbers"),
        (lambda x: x.amax(dim=(2, 3)), "channels stay apart"),
        (lambda x: x.mean(dim=(2, 3)).long(), "channels stay apart"),
        (lambda x: torch.full((len(x), 3), 0.5), "channels stay apart"),
        (lambda x: x.mean(dim=(2, 3)).flip(1), "channels stay apart"),
    ],
    own.check_clustered: [
        (lambda table, level: None, "the answer is empty"),
        (lambda table, level: True, "pure noise your rule returns True"),
        (lambda table, level: False, "well apart your rule returns False"),
        (_by_points_above_a_tenth, "Compare an end with an end"),
        (_ends("low", "value"), "an end"),
        (_ends("value", "high"), "an end"),
        (_ends("low", "high", level="labels"), "KeyError"),
        (_no_fixed_tenth, "no number of your own"),
        (lambda table, level: table["value"] > 0.1, "True or False.*pick one row"),
        (_of_all_measures, "about `ncc`"),
    ],
    own.check_moved: [
        ("ncc", "expected a set of names"),
        ({"ncc", "knn"}, "not ncc"),
        ({"knn"}, "1 more"),
        ({"colour"}, "'colour' is not one of"),
        (list(own.MEASURES), "not cdnv"),
    ],
    training.check_updates: [
        (lambda n, batch, epochs: -(-n // batch) * epochs, "round down"),
        (lambda n, batch, epochs: n * epochs // batch, "round before"),
        (lambda n, batch, epochs: n * epochs / batch, "no parts of a step"),
        (lambda n, batch, epochs: n // batch, "one epoch"),
        (lambda n, batch, epochs: 2 * (n // batch) * epochs, "two views"),
        (lambda n, batch, epochs: n * epochs, "number of images"),
        (lambda n, batch, epochs: None, "the answer is empty"),
        (780, "expected a function"),
    ],
    training.check_risen: [
        (lambda table: None, "the answer is empty"),
        (lambda table: "coarse", "expected a set"),
        (lambda table: {"superclass"}, "'superclass' is not one of"),
        (lambda table: [0], "among the levels"),
        (lambda table: set(), "leaves it out"),
        (lambda table: set(table["level"]), "from 40% to 20%"),
        (_risen_by_points, "overlap"),
        (_risen_at_any_time, "10% at the first"),
        (lambda table: {"sample"}, "in a second table"),
    ],
    training.check_lead: [
        (lambda table: None, "the answer is empty"),
        (lambda table: _course(table)[1], "at the end"),
        (lambda table: _course(table)[0], "The untrained network|another|take the advantage"),
        (lambda table: -np.subtract(*_course(table)[::-1]), "the sign"),
        (lambda table: _ends_of(table, "coarse"), "superclasses alone"),
        (lambda table: _ends_of(table, "random-coarse"), "of the random groups"),
    ],
    own.check_layers: [
        (lambda x: x, "expected a dictionary"),
        (lambda x: dict.fromkeys("abc", x.flatten(1)), "two names"),
        (lambda x: {"a": x, "b": x, "c": x.mean()}, "'c' should be"),
        (lambda x: {"a": x, "b": x[:, 0], "c": x[:, 0].flatten(1)}, "'b' should be"),
        (lambda x: {"a": x, "b": x[:, :2], "c": x[:4, :1]}, "16 images"),
        (lambda x: {p: x.mean(dim=(2, 3)) ** p for p in (1, 2, 3)}, "those of a ResNet-18"),
        (lambda x: {w: torch.randn(len(x), w) for w in (64, 128, 256)}, "is it noise"),
        (
            lambda x: {w: torch.arange(w * len(x)).view(len(x), w) / w for w in (64, 128, 256)},
            "the same numbers for other images",
        ),
    ],
}

_SPREAD = torch.linspace(-3, 3, 20)
RIGHT: dict[Any, list[Any]] = {
    views.check_collapsed: [torch.tensor(24.75), np.float32(24.75)],
    views.check_line: [torch.stack([_SPREAD, _SPREAD], 1), torch.stack([_SPREAD, -_SPREAD], 1)],
    measuring.check_two_clouds: [lambda s, d, n: np.float32(n * s**2 / d**2)],
    measuring.check_ncc: [lambda *a: np.float32(_score(*a))],
    measuring.check_wide: [[[[0, -10], [0, 10], [1, -10], [1, 10]], [0, 0, 1, 1]]],
    own.check_colour: [
        lambda x, dtype=dtype: x.to(dtype).mean(dim=(2, 3))
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    ]
    + [lambda x: x.numpy().mean(axis=(2, 3)), torch.nn.AdaptiveAvgPool2d(1)],
    own.check_layers: [
        _stages,
        lambda x: {name: values.mean(dim=(2, 3)) for name, values in _stages(x).items()},
        create_feature_extractor(
            _NETWORK, ["conv1", "maxpool", "layer1", "fc"]
        ),  # three of one width
    ],
    training.check_updates: [lambda n, batch, epochs: np.int64(n // batch * epochs)],
    training.check_risen: [_risen_for_certain, lambda table: sorted(_risen_for_certain(table))],
    training.check_lead: [lambda table: np.float32(np.subtract(*_course(table)[::-1]))],
    own.check_moved: [["effective_rank", "knn"], ("knn", "effective_rank", "knn")],
    measuring.check_mended: [_moved_first],
    measuring.check_simplex: [lambda k: 7 * np.eye(k)[::-1] + 1e3],
    views.check_world: [ToyConfig(wobble=0)],
}


def test_a_likely_slip_gets_its_own_hint(ask: Any, check: Any, answer: Any, says: str) -> None:
    found = ask(check, answer)
    assert not found.ok
    assert re.search(says, found.message), found.message


def test_a_right_answer_in_another_form_is_right(ask: Any, check: Any, answer: Any) -> None:
    assert ask(check, answer).ok


@pytest.mark.parametrize("how", [{"requires_grad": True}, {"dtype": torch.bfloat16}])
def test_a_cloud_of_any_tensor_gets_a_hint(how: dict[str, Any]) -> None:
    x = torch.tensor([[0.0, -9.0], [0.0, 3.0], [1.0, -1.0], [1.0, 9.0]], **how)
    found = measuring.check_wide((x, torch.tensor([0, 0, 1, 1])))
    assert not found.ok
    assert "99% is the goal" in found.message or "computed" in found.message
