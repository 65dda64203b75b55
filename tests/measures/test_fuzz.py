"""Anything that somebody may hand to a measure ends in a number within its range, or in a line.

Inputs are made by their structure: shapes, containers, types, values, labels and parameters, each
usual more often than odd, so that most calls get past the first check.
"""

from __future__ import annotations

import dataclasses
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from torch import Tensor

from ssl_companion import measures as m
from ssl_companion.errors import CompanionError

SEEDS = 300


def _values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """float64 of a shape, of some kind that features come in."""
    x = rng.standard_normal(shape)
    kind = rng.integers(14)
    with np.errstate(all="ignore"):
        match kind:
            case 0 | 1:
                x = x * 10.0 ** rng.integers(-320, 309)
            case 2:
                x = x + 10.0 ** rng.integers(0, 17)
            case 3:
                x = np.zeros(shape)
            case 4:
                x = np.full(shape, rng.choice([0.1, 1e9, -1e-9, 1e140]))
            case 5 if x.ndim == 2 and x.size:
                x = x[rng.integers(0, len(x), len(x))]  # duplicates
            case 6 if x.ndim == 2 and x.size:
                x[:, rng.integers(x.shape[1])] = 0.1
                x[rng.integers(len(x))] = 0
            case 7 if x.size:
                x.flat[rng.integers(x.size)] = rng.choice([np.nan, np.inf, -np.inf, 1e200, 1e60])
            case 8 if x.ndim == 2 and x.size:
                x = np.outer(x[:, 0], x[0])  # of rank one
            case 9:
                x = x * 10.0 ** rng.integers(-150, 150, shape[-1:] or ())
            case 10:
                x = np.round(x)
    return x


def _array(rng: np.random.Generator, x: np.ndarray) -> Any:
    """As a numpy array of some type, or as what becomes one."""
    to: list[Callable[[np.ndarray], Any]] = [
        *(lambda a, t=t: a.astype(t) for t in ("f2", "f4", "f8", ">f4", "g", "i1", "i8", "u8")),
        *(lambda a, t=t: a.astype(t) for t in ("?", "O", "c16", "U", "S", "M8[s]", "m8[s]")),
        np.asfortranarray,
        lambda a: a[::-1] if a.ndim else a,
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
        lambda a: np.ma.masked_greater(a, 1.0),
        lambda a: np.ma.masked_invalid(a),
        lambda a: a.tolist(),
        lambda a: [tuple(row) if np.ndim(row) else row for row in a] if a.ndim else a,
        lambda a: [torch.from_numpy(np.atleast_1d(row)) for row in a] if a.ndim else a,
        lambda a: [*a.tolist(), [1.0]] if a.ndim else a,  # ragged
        lambda a: pd.DataFrame(a) if a.ndim == 2 else a,
        lambda a: pd.DataFrame(a).assign(name="x") if a.ndim == 2 else a,
        lambda a: sparse.csr_matrix(a) if a.ndim == 2 else a,
        lambda a: sparse.coo_array(a) if a.ndim == 2 else a,
        lambda a: np.asmatrix(a) if a.ndim <= 2 else a,
        lambda a: memoryview(np.ascontiguousarray(a)),
        lambda a: np.zeros(a.shape, [("a", "f4"), ("b", "f4")]),
        lambda a: iter(a.tolist() if a.ndim else [1.0]),
    ]
    with np.errstate(all="ignore"):
        return to[rng.integers(len(to))](x)


def _tensor(rng: np.random.Generator, x: np.ndarray) -> Any:
    t = torch.from_numpy(np.ascontiguousarray(x)).clone()
    types = [
        torch.float16, torch.bfloat16, torch.float32, torch.float32, torch.int8, torch.uint8,
        torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn,
    ]  # fmt: skip
    to: list[Callable[[Tensor], Any]] = [
        *(lambda a, d=d: a.to(d) for d in types),
        lambda a: a.requires_grad_(),
        lambda a: a.to_sparse(),
        lambda a: a.to("meta"),
        lambda a: torch.stack([a, a], -1)[..., 0],
        lambda a: torch.complex(a, a).conj().imag,  # lazily negated
        lambda a: torch.quantize_per_tensor(a.float().nan_to_num(), 0.1, 0, torch.qint8),
        lambda a: torch.nn.Parameter(a),
    ]
    return to[rng.integers(len(to))](t)


def features(rng: np.random.Generator) -> Any:
    n, d = int(rng.choice([0, 1, 2, 3, 8, 24, 60])), int(rng.choice([0, 1, 2, 5, 7]))
    if rng.random() < 0.8:
        n, d = max(n, 8), max(d, 1)
    shape = (n, d) if rng.random() < 0.93 else [(n,), (n, d, 2), ()][rng.integers(3)]
    x = _values(rng, shape)
    where = rng.random()
    if where < 0.45:
        return x
    if where < 0.55:
        return x.astype(np.float32) if np.abs(x).max(initial=0) < 1e38 else x
    if where < 0.78:
        return _array(rng, x)
    if where < 0.97:
        return _tensor(rng, x)
    return [None, "x.npy", 3.5, {}, object(), float("nan"), [], [[]], [None]][rng.integers(9)]


def labels(rng: np.random.Generator, n: int) -> Any:
    k = int(rng.choice([1, 2, 3, 5]))
    y = rng.permutation(np.arange(n) % k)
    names = np.array(["oak", "elm", "", "NA", "a\nb"])
    odd: list[Callable[[], Any]] = [
        lambda: 3 * y,  # gaps
        lambda: names[y],
        lambda: names[y].astype(object),
        lambda: y.astype(object),
        lambda: y.astype(float),
        lambda: y > 0,
        lambda: y - 1,
        lambda: np.where(y == 0, 2**62, y),
        lambda: np.where(y == 0, 10**30, y.astype(object)),
        lambda: y.astype("u8") + 2**63,
        lambda: np.where(y == 0, np.nan, y),
        lambda: np.where(y == 0, None, y.astype(object)),
        lambda: y[:-1],
        lambda: y[:, None],
        lambda: np.arange(n),
        lambda: y[:0],
        lambda: torch.from_numpy(y).to(torch.uint8),
        lambda: torch.from_numpy(y).float(),
        lambda: torch.from_numpy(y).to("meta"),
        lambda: torch.from_numpy(y).to_sparse(),
        lambda: pd.Series(y),
        lambda: pd.Series(names[y]),
        lambda: pd.Series(names[y]).astype("category"),
        lambda: pd.Series(y.astype(float)).where(y > 0).astype("Int64"),
        lambda: np.ma.masked_equal(y, 0),
        lambda: y.tolist(),
        lambda: [torch.tensor(i) for i in y],
        lambda: y.astype("i1"),
        lambda: y.astype("c16"),
        lambda: y.astype("M8[D]"),
        lambda: None,
        lambda: 0,
        lambda: "labels.npy",
    ]
    if rng.random() < 0.6:
        return y if rng.random() < 0.5 else torch.from_numpy(y)
    return odd[rng.integers(len(odd))]()


def number(rng: np.random.Generator, usual: Any) -> Any:
    if rng.random() < 0.6:
        return usual
    odd = [
        0, -1, 1, 2, 3, 2.5, 1 + 2e-16, 1 - 1e-12, 1e-300, 5e-324, 1e300, 1.7e308, math.nan,
        math.inf, -math.inf, True, "2", "many", None, 10**400, np.float32(0.5), np.int64(2),
        torch.tensor(2.0), np.array([1.0, 2.0]), [1], 1j, {},
    ]  # fmt: skip
    return odd[rng.integers(len(odd))]


def word(rng: np.random.Generator, *usual: str) -> Any:
    odd = ["", "Euclidean", None, 3, ["euclidean"], np.array(["a", "b"]), b"cosine"]
    return usual[rng.integers(len(usual))] if rng.random() < 0.85 else odd[rng.integers(len(odd))]


Range = tuple[float, float]
SHARE: Range = (0, 1)
ANY: Range = (-math.inf, math.inf)
MORE: Range = (0, math.inf)


def _levels(rng: np.random.Generator, k: int) -> Any:
    made = [labels(rng, k) for _ in range(rng.integers(0, 3))]
    return [np.arange(k), np.arange(k) // 2, np.arange(k) // 4] if rng.random() < 0.5 else made


def _fitted(model: Any, x: Any, y: Any, rng: np.random.Generator) -> Any:
    model.fit(x, y)
    other = x if rng.random() < 0.6 else features(rng)
    return model.predict(other), model.score(other, y if rng.random() < 0.7 else labels(rng, 8))


def _batches(x: Any, y: Any, rng: np.random.Generator) -> Any:
    model = m.NearestCentroid(word(rng, "euclidean", "cosine")).partial_fit(x, y)
    other = features(rng)
    for _ in range(2):
        model.partial_fit(other, labels(rng, _length(other)))
    return model.predict(x), model.counts_, model.centroids_


def _statistics(x: Any, y: Any, rng: np.random.Generator) -> Any:
    found = m.ClassStatistics(word(rng, "none", "trace", "full"), number(rng, None)).update(x, y)
    if rng.random() < 0.5:
        found.update(features(rng), y)
    joined = found.grouped(labels(rng, len(found.counts)))
    return found.means, found.global_mean, joined.means, found.sum_of_squares


def _full(x: Any, y: Any) -> m.ClassStatistics:
    return m.ClassStatistics("full").update(x, y)


def _weights(x: Any, y: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    k, d = 3, 5
    if isinstance(x, np.ndarray | Tensor) and x.ndim == 2 and isinstance(y, np.ndarray):
        k, d = len(set(y.ravel().tolist())), x.shape[1]
    weight = _values(rng, (k, d))
    bias = [None, np.zeros(k), _values(rng, (k,)), torch.zeros(k), labels(rng, k)][rng.integers(5)]
    return (weight if rng.random() < 0.8 else features(rng)), bias


Call = Callable[[Any, Any, np.random.Generator], Any]
CALLS: dict[str, tuple[Call, Range]] = {
    "ClassStatistics": (_statistics, ANY),
    "cdnv": (lambda x, y, g: m.cdnv(x, y), MORE),
    "cdnv_of": (lambda x, y, g: m.cdnv_of(_full(x, y)), MORE),
    "directional_cdnv": (lambda x, y, g: m.directional_cdnv(x, y), MORE),
    "directional_cdnv_of": (
        lambda x, y, g: m.directional_cdnv_of(
            _full(x, y), [(x, y)] if g.random() < 0.7 else [(features(g), y)]
        ),
        MORE,
    ),
    "neural_collapse": (lambda x, y, g: m.neural_collapse(x, y), MORE),
    "neural_collapse with a classifier": (
        lambda x, y, g: m.neural_collapse(x, y, *_weights(x, y, g)),
        MORE,
    ),
    "neural_collapse_of": (lambda x, y, g: m.neural_collapse_of(_full(x, y)), MORE),
    "nc4": (
        lambda x, y, g: m.nc4(x, x, *_weights(x, np.arange(_length(x)), g)),
        SHARE,
    ),
    "dendrogram": (lambda x, y, g: m.dendrogram(x, word(g, "average", "ward")), MORE),
    "label_distances": (lambda x, y, g: m.label_distances(_levels(g, 8)), (0, 3)),
    "cophenetic_correlation": (
        lambda x, y, g: m.cophenetic_correlation(x, _levels(g, _length(x)), word(g, "single")),
        (-1, 1),
    ),
    "cut_agreement": (lambda x, y, g: m.cut_agreement(x, y, word(g, "average", "median")), (-1, 1)),
    "renyi_entropy": (
        lambda x, y, g: m.renyi_entropy(
            x, number(g, 2.0), number(g, None), word(g, "gaussian", "linear")
        ),
        (0, math.log(60) + 1e-9),
    ),
    "renyi_information": (
        lambda x, y, g: m.renyi_information(
            x, y, number(g, 2.0), number(g, None), word(g, "gaussian", "linear")
        ),
        (-math.log(60), math.log(60) + 1e-9),
    ),
    "kde_information_bounds": (
        lambda x, y, g: [
            getattr(m.kde_information_bounds(x, number(g, 0.1), g.random() < 0.5), end)
            for end in ("lower", "upper")
        ],
        (0, math.log(60) + 1e-9),
    ),
    "variance_share_within": (lambda x, y, g: m.variance_share_within(x, y), SHARE),
    "directions": (lambda x, y, g: m.directions(x), (-1 - 1e-12, 1 + 1e-12)),
    "coding_rate": (lambda x, y, g: m.coding_rate(x, number(g, 0.5)), MORE),
    "coding_rate_given": (lambda x, y, g: m.coding_rate_given(x, y, number(g, 0.5)), MORE),
    "gaussian_rate": (lambda x, y, g: m.gaussian_rate(_covariance(x, g), number(g, 0.1)), MORE),
    "conditional_rates": (lambda x, y, g: m.conditional_rates(_full(x, y), number(g, 0.1)), MORE),
    "effective_rank": (
        lambda x, y, g: m.effective_rank(x, word(g, "features", "variance")),
        (1 - 2e-7, 7 + 1e-4),
    ),
    "alpha_req": (lambda x, y, g: m.alpha_req(x), ANY),
    "participation_ratio": (lambda x, y, g: m.participation_ratio(x), (1 - 1e-9, 7 + 1e-9)),
    "alignment": (
        lambda x, y, g: m.alignment(x, x if g.random() < 0.5 else features(g), number(g, 2.0)),
        MORE,
    ),
    "uniformity": (lambda x, y, g: m.uniformity(x, number(g, 2.0)), (-4000 - 1e-9, 0)),
    "balanced_kmeans": (
        lambda x, y, g: m.balanced_kmeans(
            x, [[3, 5], [1] * 8, [20, 4], [60], y, [2.5], "ab", None][g.integers(8)],
            starts=number(g, 2), seed=number(g, 0),
        ),
        (0, 59),
    ),
    "nearest_neighbours": (lambda x, y, g: m.nearest_neighbours(x, number(g, 3)), MORE),
    "NearestCentroid": (
        lambda x, y, g: _fitted(m.NearestCentroid(word(g, "euclidean", "cosine")), x, y, g),
        ANY,
    ),
    "NearestCentroid in batches": (_batches, ANY),
    "NearestCentroid.from_centroids": (
        lambda x, y, g: m.NearestCentroid.from_centroids(x, y if g.random() < 0.5 else None),
        ANY,
    ),
    "NearestCentroid with classes": (
        lambda x, y, g: m.NearestCentroid().fit(x, y, classes=labels(g, 3)),
        ANY,
    ),
    "LinearProbe": (
        lambda x, y, g: _fitted(
            m.LinearProbe(
                l2=number(g, 1e-2), standardise=g.random() < 0.6, max_iter=number(g, 30),
                tolerance=number(g, 1e-5), device=[None, None, "cpu", "mps", "gpu"][g.integers(5)],
            ), x, y, g,
        ),
        ANY,
    ),
    "WeightedKNN": (
        lambda x, y, g: _fitted(m.WeightedKNN(number(g, 3), number(g, 0.07)), x, y, g),
        ANY,
    ),
    "bootstrap_mean": (
        lambda x, y, g: m.bootstrap_mean(
            features(g) if g.random() < 0.2 else _values(g, (_length(y),)), y,
            confidence=number(g, 0.9), resamples=min(_small(number(g, 20)), 100),
            seed=number(g, 0),
        ),
        ANY,
    ),
    "bootstrap_accuracy": (
        lambda x, y, g: m.bootstrap_accuracy(y, labels(g, _length(y)), resamples=20),
        SHARE,
    ),
    "bootstrap": (
        lambda x, y, g: m.bootstrap(
            lambda rows: np.asarray(x, float)[rows, 0].mean(-1), number(g, 8),
            resamples=20, confidence=number(g, 0.9),
        ) if type(x) is np.ndarray and x.ndim == 2 and x.dtype.kind == "f" and len(x) > 8
        and x.shape[1] and np.abs(x).max() < 1e150 else None,
        ANY,
    ),
}  # fmt: skip


def _small(value: Any) -> Any:
    return value if isinstance(value, int) else 100


def _length(x: Any) -> int:
    try:
        return min(len(x), 60)
    except TypeError:
        return 8


def _covariance(x: Any, g: np.random.Generator) -> Any:
    if isinstance(x, np.ndarray) and x.ndim == 2 and x.dtype.kind == "f" and g.random() < 0.8:
        x = np.asarray(x)
        with np.errstate(all="ignore"):
            return x.T @ x + (0.1 * np.triu(x.T @ x) if g.random() < 0.2 else 0)
    return x


def _flat(found: Any) -> list[np.ndarray]:
    if isinstance(found, Tensor):
        return [found.detach().cpu().double().numpy()]
    if dataclasses.is_dataclass(found):
        found = list(dataclasses.asdict(found).values())
    if isinstance(found, list | tuple):
        return [part for each in found for part in _flat(each)]
    array = np.asarray(found)
    return [array] if array.dtype.kind in "fiu" else []


_LINE = re.compile(r"[A-Za-z_][\w. ]*(\[[^\]]*\])*: .+; expected .+")


def fault_of(call: Call, span: Range, x: Any, y: Any, rng: np.random.Generator) -> str:
    try:
        found = call(x, y, rng)
    except (CompanionError, ValueError, TypeError) as error:
        said = str(error)
        own = error.__traceback__
        while own is not None and own.tb_next is not None:
            own = own.tb_next
        assert own is not None
        if own.tb_frame.f_code.co_filename == __file__:
            return ""  # an input that this test could not even make
        return "" if _LINE.fullmatch(said) else f"{type(error).__name__}: {said}"
    except Exception as error:
        return repr(error)
    for part in _flat(found):
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            return f"not finite: {part!r}"
        if part.size and not (span[0] <= part.min() and part.max() <= span[1]):
            return f"beyond {span}: {part.min()!r} to {part.max()!r}"
    return ""


def test_every_public_measure_is_tried() -> None:
    types = {"Interval", "InformationBounds", "NeuralCollapse"}  # what some of these return
    assert {name.split()[0].split(".")[0] for name in CALLS} | types == set(m.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_any_input_ends_in_a_number_within_its_range_or_in_a_line(name: str) -> None:
    call, span = CALLS[name]
    faults = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(SEEDS):
            rng = np.random.default_rng([seed, 11])
            x = features(rng)
            y = labels(rng, _length(x))
            if fault := fault_of(call, span, x, y, rng):
                faults.append(f"seed {seed}: {fault}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:12])
