"""Hundreds of odd encoders, images and labels: a table or a recording, or one line that helps.

All is drawn from seeds. A line names the argument, says what it is and what was expected.
"""

from __future__ import annotations

import random
import re
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ssl_companion.data import Hierarchy, Level
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.encoders.evaluate import FURTHER_MEASURES, MEASURES, measure_encoder
from ssl_companion.encoders.inputs.labelled import Labelled
from ssl_companion.encoders.record import record_encoder
from ssl_companion.errors import CompanionError
from ssl_companion.recordings import MeasureConfig, open_recording

N, K = 24, 3
Rng = random.Random
#: What a line may begin with, "test_" in front of some, an index or a layer behind.
NAMES = re.compile(
    r"(test_)?(encoder|outputs|layers|pool|preprocess|images|labels|names|batch|device|hierarchy|which|seed"
    r"|title|config|sample_views|destination|views)\b"
)


def _numbers(rng: Rng, *shape: int) -> np.ndarray:
    return np.random.default_rng(rng.randrange(1000)).normal(size=shape)


def _spoilt(rng: Rng, x: np.ndarray) -> np.ndarray:
    """Numbers at the edge, or none, somewhere or everywhere."""
    x = x.copy()
    odd = rng.choice((np.nan, np.inf, -np.inf, 1e308, 1e-320, 0.0, 3e38, 1e19, -0.0))
    if rng.random() < 0.5:
        x.flat[: rng.choice((1, 2, 50))] = odd
    else:
        x[:] = odd
    return x


SHAPES = (
    (N, 3, 8, 8), (N, 3, 8, 8), (N, 8, 8, 3), (N, 1, 8, 8), (N, 8, 8), (N, 6), (N,), (0, 3, 8, 8),
    (N, 3, 0, 8), (N, 3, 1, 1), (N - 1, 3, 8, 8), (N, 4, 8, 8), (N, 3, 5, 9), (1, 3, 8, 8), (),
    (N, 3, 2, 4, 4), (N, 0),
)  # fmt: skip
DTYPES = (
    "uint8", "uint8", "float32", "float64", "float16", "int64", "bool", "complex64", "object",
    "str", "uint16", ">f4", "longdouble", "datetime64[s]", "int8",
)  # fmt: skip


def images(rng: Rng) -> Any:
    """An array or tensor of some shape and type, or something else."""
    shape = rng.choice(SHAPES[:4] if rng.random() < 0.4 else SHAPES)
    dtype = rng.choice(DTYPES[:4] if rng.random() < 0.5 else DTYPES)
    x = np.asarray(255 * np.abs(_numbers(rng, *shape)) % 255)
    if dtype in ("float32", "float64") and rng.random() < 0.3:
        x = _spoilt(rng, x)
    with np.errstate(all="ignore"):
        x = x.astype(np.int64).astype(dtype) if dtype == "datetime64[s]" else x.astype(dtype)
    whole = x.dtype.kind in "biufc" and x.dtype.isnative and dtype != "longdouble"
    kind = rng.choice(("array", "array", "tensor", "tensor", "wrapped"))
    if kind == "tensor" and whole:
        x = torch.from_numpy(np.array(x))
        if x.is_floating_point() and rng.random() < 0.3:
            return rng.choice((x.bfloat16, x.to_sparse, lambda: x.to("meta")))()
        return x.requires_grad_() if x.is_floating_point() and rng.random() < 0.2 else x
    if kind == "wrapped":
        return rng.choice((
            lambda: np.ma.array(x, mask=rng.random() < 0.5),
            lambda: x[::-1],
            lambda: list(x) if x.ndim else [x],
            lambda: {0: x},
            lambda: None,
            lambda: "images",
            lambda: iter([x]),
            lambda: DataLoader(TensorDataset(torch.zeros(3)), batch_size=2),
            lambda: pd.DataFrame({"x": [0.0] * N}),
            lambda: Labelled(x, np.arange(len(x)) % K) if x.ndim else Labelled(x),
            lambda: [(x, np.arange(N) % K)],
            lambda: iter([{"image": x, "label": ["cat", "dog", "oak"] * (N // K)}]),
            lambda: DataLoader(list(zip(x, range(N), strict=False)) if x.ndim else [x]),
            lambda: (one for one in (x, None)),
            lambda: Path("images"),
        ))()  # fmt: skip
    return x


def labels(rng: Rng) -> Any:
    y = np.arange(N) % K
    if rng.random() < 0.5:
        return rng.choice((y, y.tolist(), torch.from_numpy(y), y.astype(np.uint8)))
    return rng.choice((
        y[:-1], y + 1, y - 1, y * 10**15, y * 0, y.astype(float), y + 0.5, y.astype(str),
        y.astype(object), y.reshape(2, -1), y > 0, None, "labels", 7, [], [None] * N, [[1], [2, 3]],
        np.ma.array(y, mask=y == 2), np.where(y == 0, np.nan, y), np.arange(N), {1: y}, iter(y),
        pd.Series(y), pd.Series(y.astype(str)), pd.Series([pd.NA, *y[1:]]), y.astype(complex),
        torch.from_numpy(y).to("meta"), torch.from_numpy(y).bfloat16(), y.astype(np.uint64) + 2**63,
        [torch.tensor(i) for i in y], np.array([2**70] * N, object), [{"a": 1}] * N,
    ))  # fmt: skip


class Net(nn.Module):
    def __init__(self, kind: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.last = nn.Conv2d(3, 5, 3), nn.Linear(5, 4)
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        maps = self.conv(x)
        vectors = self.last(maps.mean(dim=(2, 3)))
        return (maps, vectors, {"a": maps, "b": vectors})[self.kind]


Pair = namedtuple("Pair", "one two")


def encoders(rng: Rng) -> Any:
    def flat(x: Tensor) -> Tensor:
        return x.flatten(1)

    calls: list[int] = []

    def early(x: Tensor) -> Any:  # as a loader that ends
        calls.append(1)
        return next(iter([flat(x)] if len(calls) < 2 else []))

    def shrinking(x: Tensor) -> Tensor:
        calls.append(1)
        return flat(x)[:, : max(1, 9 - len(calls))]

    if rng.random() < 0.4:
        return rng.choice((None, flat, Net(0), Net(1), Net(2), Net(1).half(), Net(1).double()))
    spoil = rng.choice((np.nan, np.inf, 1e38, 0.0, 1e-44))
    return rng.choice((
        lambda x: None, lambda x: (flat(x), None), lambda x: {}, lambda x: {"a": None},
        lambda x: {"a/b": flat(x)}, lambda x: {"": flat(x)}, lambda x: {1: flat(x), "1": flat(x)},
        lambda x: {"NA": flat(x), "a,\n\"b": flat(x)}, lambda x: {None: flat(x)},
        lambda x: flat(x)[:-1],
        lambda x: flat(x)[:, :0], lambda x: flat(x).sum(), lambda x: [flat(x)],
        lambda x: Pair(x, x),
        lambda x: flat(x).numpy(), lambda x: flat(x) * 0 + spoil, lambda x: flat(x).to_sparse(),
        lambda x: flat(x).long(), lambda x: flat(x) > 0, lambda x: flat(x) + 0j, lambda x: x @ x,
        lambda x: x.absent, lambda x: flat(x).to("meta"), lambda x: torch.randn(len(x), 7), early,
        lambda x: 1 / 0, lambda: None, shrinking, lambda x: OrderedDict(last_hidden_state=x[:, :1]),
        lambda x: x.flatten(2), lambda x: (x.flatten(2), flat(x)), lambda x: x.flatten(2)[:, :0],
        nn.LazyLinear(3), nn.Linear(6, 2), nn.Identity(), nn.Module(), nn.Module, "net", 5, [], {},
        nn.Linear(6, 2, device="meta"), {0: flat}, {0: flat, 5: Net(1)}, {-1: flat}, {"a": flat},
        [(0, flat), (0, flat)], [(1, flat), (0, flat)], [flat], iter([]), {0: None}, {2**70: flat},
        {0: Net(1), 1: Net(2)}, lambda x: flat(x).requires_grad_(),
        lambda x: x.to(torch.float8_e5m2),
        lambda x: flat(x).numpy().astype(object), lambda x: torch.zeros(len(x), 2, 0, 3),
    ))  # fmt: skip


def hierarchies(rng: Rng) -> Any:
    fine = Level("fine", ("a", "b", "c"), np.arange(3))
    two = Level("two", ("ab", "c"), np.array([0, 0, 1]))
    return rng.choice((
        Hierarchy("own", (fine, two)), Hierarchy("own", (fine,)), {"fine": 1}, "cifar100",
        {"0": "a", "1": "a", "2": "b"}, {"a": [0, 1], "b": {"c": [2]}}, ["a/0", "a/1", "b/2"],
        pd.DataFrame({"y": [0, 1, 2], "group": list("aab")}), {"a": {"b": []}}, ["a/0", 5], [],
        Hierarchy("own", (fine, Level("one", ("abc",), np.zeros(3, int)))),
        Hierarchy("odd", (Level("fine", ("a", "b"), np.arange(2)),)),
    ))  # fmt: skip


OPTIONS: dict[str, Callable[[Rng], Any]] = {
    "batch": lambda rng: rng.choice((1, 5, 10**9, 0, -1, 2.5, "8", None, True)),
    "seed": lambda rng: rng.choice((1, 2**40, -1, 0.5, "a", None)),
    "device": lambda rng: rng.choice(("cpu", "gpu", "meta", "cuda:99", 99, "")),
    "hierarchy": hierarchies,
    "outputs": lambda rng: rng.choice((
        lambda out: out, lambda out: out[0], lambda out: out["a"], lambda out: None, 3, "last",
        lambda out: out.last_hidden_state[:, 0], lambda out: {"x": out}, lambda out: out.mean(1),
    )),
    "layers": lambda rng: rng.choice((
        ["conv"], ["last", "output"], "conv", ("absent",), [], 5, [5], [None], {"conv": 1},
        ["conv", "conv"], [""],
    )),
    "pool": lambda rng: rng.choice(("cls", "mean", "gap", "avg", "", 3, ["cls"], True)),
    "preprocess": lambda rng: rng.choice((
        lambda x: x.float(), lambda x: x.float()[:, :3], lambda x: x[:-1], lambda x: None, 1,
        lambda x: x.float().numpy(), lambda x: x.half(), lambda x: x.absent,
        lambda x: x.double().div_(255),
        lambda x: x.float()[:, :1].expand(-1, 3, -1, -1),
    )),
    "test_images": images,
    "test_labels": labels,
}  # fmt: skip
MEASURING: dict[str, Callable[[Rng], Any]] = {
    "which": lambda rng: rng.choice((
        "ncc", MEASURES, FURTHER_MEASURES, (), "all", None, 3, ["ncc", None],
        {"ncc"}, ("ncc", "ncc"),
    )),
}  # fmt: skip
RECORDING: dict[str, Callable[[Rng], Any]] = {
    "title": lambda rng: rng.choice(("<b>", "\u2028", 5, b"x", "a\nb")),
    "config": lambda rng: rng.choice((
        MeasureConfig(keep="none"), MeasureConfig(weights=True),
        {"keep": "all"}, MeasureConfig(keep="last"),
    )),
    "sample_views": lambda rng: rng.choice((ViewConfig(), 5, True)),
}  # fmt: skip


def _call(rng: Rng, folder: Path) -> None:
    """One call with a fault or several, or none."""
    good = rng.random() < 0.5  # then one thing is odd, and the others are as they should be
    x: Any = np.abs(_numbers(rng, N, 3, 8, 8)).astype(np.float32)
    y: Any = np.arange(N) % K
    encoder: Any = rng.choice((Net(1), lambda x: x.flatten(1)))
    odd = rng.choice(("images", "labels", "encoder", "options"))
    if not good or odd == "images":
        x = images(rng)
    if not good or odd == "labels":
        y = labels(rng)
    if not good or odd == "encoder":
        encoder = encoders(rng)
    if encoder is None and isinstance(x, np.ndarray) and x.ndim == 4 and rng.random() < 0.7:
        x = x.reshape(len(x), int(np.prod(x.shape[1:])))
        x = {0: x} if rng.random() < 0.2 else x
    records = rng.random() < 0.5
    known = OPTIONS | (RECORDING if records else MEASURING)
    several = rng.sample(sorted(known), rng.choice((1, 1, 2, 3))) if odd == "options" else []
    options = {name: known[name](rng) for name in several}
    if not records:
        options.setdefault("which", rng.choice(("ncc", ("ncc", "knn", "cdnv"))))
        table = measure_encoder(encoder, x, y, **options)
        assert len(table) > 0
        _check(table)
        return
    few = MeasureConfig(
        keep="all", sample_images=4, sample_views=3, sample_fresh=2, map_images=2, map_views=2
    )
    options.setdefault("config", few)
    record_encoder(encoder, x, y, destination=folder, progress=False, **options)
    mine = open_recording(folder)
    _check(mine.measures)
    for layer in mine.layers:
        for epoch in mine.kept_epochs(layer) if mine.has_features else ():
            mine.features(epoch, layer)


def _check(table: pd.DataFrame) -> None:
    shares = table[table["measure"].isin(("ncc", "knn", "linear"))]["value"].dropna()
    assert shares.between(0, 1).all()
    assert not np.isinf(table["value"]).any()


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 400, 50))
def test_odd_encoders_end_in_a_result_or_in_one_line_that_helps(first: int, tmp_path: Path) -> None:
    faults, results = [], 0
    for seed in range(first, first + 50):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _call(Rng(seed), tmp_path / f"{seed}")
            results += 1
        except (CompanionError, ValueError, TypeError) as error:
            said = str(error)
            if "\n" in said or not NAMES.match(said) or "expected" not in said or len(said) > 700:
                faults.append((seed, type(error).__name__, said[:300]))
        except Exception as error:
            faults.append((seed, type(error).__name__, str(error)[:300]))
    assert not faults, "\n".join(map(str, faults))
    assert results > 5
