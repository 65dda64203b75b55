"""Whatever state the caller has put torch into, every measure gives the same numbers."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ssl_companion import measures as m
from ssl_companion.measures import _torch_state

RNG = np.random.default_rng(0)
Y = RNG.permutation(np.arange(60) % 6)
X = RNG.standard_normal((6, 5))[Y] + 0.5 * RNG.standard_normal((60, 5))
LEVELS = [np.arange(6), np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])]
WEIGHT, BIAS = RNG.standard_normal((6, 5)), RNG.standard_normal(6)


def _statistics(x: Any, y: Any) -> Any:
    found = m.ClassStatistics("full").update(x, y).update(x[:9], y[:9])
    joined = found.grouped(LEVELS[1])
    return (
        found.means, found.variances, found.scatter_matrix, found.global_mean, joined.means,
        joined.variances, m.cdnv_of(found), m.neural_collapse_of(found, WEIGHT),
        m.directional_cdnv_of(found, [(x, y), (x[:9], y[:9])]),
        m.conditional_rates(found, 0.1),
    )  # fmt: skip


def _probe(x: Any, y: Any) -> Any:
    probe = m.LinearProbe(l2=1e-2).fit(x, y)
    raw = m.LinearProbe(l2=1e-2, standardise=False).fit(x, y)
    return probe.weight_, probe.bias_, probe.predict(x), probe.score(x, y), raw.weight_


def _ncc(x: Any, y: Any) -> Any:
    found = []
    for metric in ("euclidean", "cosine"):
        model = m.NearestCentroid(metric).fit(x, y)
        score = model.score(x, y)  # before `predict`, which makes the search, too
        given = m.NearestCentroid.from_centroids(x[:6], metric=metric)
        found += [score, model.centroids_, model.predict(x), given.predict(x)]
    return found


def _alike(x: Any, of: np.ndarray) -> Any:
    """As a tensor of the same kind."""
    made = torch.from_numpy(of).to(x.dtype)
    return Mps(made) if isinstance(x, Mps) else made


def _knn(x: Any, y: Any) -> Any:
    model = m.WeightedKNN(7).fit(x, y)
    return model.votes(x), model.predict(x), model.score(x, y)


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "ClassStatistics": _statistics,
    "LinearProbe": _probe,
    "NearestCentroid": _ncc,
    "WeightedKNN": _knn,
    "nearest_neighbours": lambda x, y: m.nearest_neighbours(x, 5),
    "cdnv": m.cdnv,
    "directional_cdnv": m.directional_cdnv,
    "neural_collapse": lambda x, y: m.neural_collapse(x, y, WEIGHT, BIAS),
    "nc4": lambda x, y: m.nc4(x, x[:6], WEIGHT, BIAS),
    "dendrogram": lambda x, y: m.dendrogram(x[:6]),
    "label_distances": lambda x, y: m.label_distances([torch.from_numpy(a) for a in LEVELS]),
    "cophenetic_correlation": lambda x, y: m.cophenetic_correlation(x[:6], LEVELS),
    "cut_agreement": lambda x, y: m.cut_agreement(x[:6], LEVELS[1]),
    "renyi_entropy": lambda x, y: [
        m.renyi_entropy(x, alpha, width, kernel)
        for alpha in (1.0, 1.01, 2.0, 3.0)
        for width in (None, 0.7)
        for kernel in ("gaussian", "linear")
    ],
    "renyi_information": m.renyi_information,
    "kde_information_bounds": lambda x, y: (
        m.kde_information_bounds(x),
        m.kde_information_bounds(x, 0.3, relative=False),
    ),
    "variance_share_within": m.variance_share_within,
    "directions": lambda x, y: m.directions(x),
    "coding_rate": lambda x, y: m.coding_rate(x),
    "coding_rate_given": m.coding_rate_given,
    "gaussian_rate": lambda x, y: m.gaussian_rate(_alike(x, np.cov(X.T)), 0.5),
    "effective_rank": lambda x, y: (m.effective_rank(x), m.effective_rank(x, "variance")),
    "alpha_req": lambda x, y: m.alpha_req(x),
    "participation_ratio": lambda x, y: m.participation_ratio(x),
    "alignment": lambda x, y: m.alignment(x, x.flip(0)),
    "uniformity": lambda x, y: m.uniformity(x),
    "balanced_kmeans": lambda x, y: m.balanced_kmeans(x, [20, 30, 10]),
    "bootstrap_mean": lambda x, y: m.bootstrap_mean(x[:, 0], y),
    "bootstrap_accuracy": lambda x, y: m.bootstrap_accuracy(y, y.flip(0)),
    "bootstrap": lambda x, y: m.bootstrap(lambda rows: X[rows, 0].mean(-1), 60),
}
TYPES = {"Interval", "InformationBounds", "NeuralCollapse"}  # what some of these return
LATER = {
    "cdnv_of",
    "directional_cdnv_of",
    "neural_collapse_of",
    "conditional_rates",
}  # within `_statistics`


def numbers(found: Any) -> list[np.ndarray]:
    found = dataclasses.asdict(found) if dataclasses.is_dataclass(found) else found
    if isinstance(found, Tensor):
        return [found.detach().cpu().numpy()]
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [part for each in found for part in numbers(each)]
    return [] if found is None else [np.asarray(found)]


@contextlib.contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def _default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


STATES: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "float64": lambda: _default_dtype(torch.float64),
    "bfloat16": lambda: _default_dtype(torch.bfloat16),
    "default device": _default_device,
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": _deterministic,
}


def test_every_public_measure_is_called() -> None:
    assert CALLS.keys() | TYPES | LATER == set(m.__all__)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CALLS)
def test_the_state_of_torch_changes_no_number(name: str, dtype: torch.dtype) -> None:
    plain = torch.from_numpy(X).to(dtype), torch.from_numpy(Y)
    expected = numbers(CALLS[name](*plain))
    for state, enter in STATES.items():
        with enter():
            x, y = (a.clone() for a in plain)  # in inference mode these are inference tensors
            if state == "enable_grad":
                x.requires_grad_()
            found = CALLS[name](x, y)
        for ours, theirs in zip(numbers(found), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=state)
        # What was made inside can be used outside, and what is made outside of it, too.
        for ours, theirs in zip(numbers(CALLS[name](x, y)), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=f"after {state}")


class Mps(Tensor):
    """A tensor that stands in for one on a device without float64, as Apple's: it refuses to
    become one, and its numbers leave it by a copy to the CPU only."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Mps:
        made = Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype, device="mps")
        made.held = held
        return made

    def __getitem__(self, index: Any) -> Mps:
        return Mps(self.held[index])

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        leaves = function is torch.ops.aten._to_copy.default and (
            torch.device(kwargs.get("device") or "mps").type == "cpu"
        )
        if kwargs.get("device") is not None:
            kwargs["device"] = "cpu"
        plain = pytree.tree_map(lambda a: a.held if isinstance(a, Mps) else a, (args, kwargs))
        found = function(*plain[0], **plain[1])
        if leaves:
            return found

        def wrapped(out: Any) -> Any:
            if not isinstance(out, Tensor):
                return out
            if out.dtype == torch.float64:
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
            return Mps(out)

        return pytree.tree_map(wrapped, found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int32])
@pytest.mark.parametrize("name", CALLS)
def test_a_device_without_float64_is_served_by_the_cpu(
    monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(_torch_state, "_has_float64", lambda kind: kind == "cpu")
    x, y = torch.from_numpy(8 * X).to(dtype), torch.from_numpy(Y)
    with pytest.raises(TypeError, match="float64"):
        Mps(x).double()
    expected = numbers(CALLS[name](x, y))
    monkeypatch.setattr(
        m._checks, "in_kind", lambda found, X: found if isinstance(X, Tensor) else found.numpy()
    )  # nothing can be put on a device that is not here
    for ours, theirs in zip(numbers(CALLS[name](Mps(x), Mps(y))), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
