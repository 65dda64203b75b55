"""Checkers of the chapter "Measure your encoder"."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ssl_companion.chapters.exercises import NotYet, array_of, call, checker, word_of
from ssl_companion.encoders.evaluate import MEASURES, measure_encoder

Triple = tuple[float, float, float]
_WIDTHS = (64, 128, 256, 512, 1000)


@checker
def check_colour(encoder: Any) -> str:
    """A function of images that gives their mean colour."""
    stream = torch.Generator().manual_seed(0)
    x = torch.rand(5, 3, 6, 10, generator=stream) * torch.rand(5, 3, 1, 1, generator=stream)
    out = call(encoder, x)
    if out is None:
        raise NotYet("the answer is empty. Return one vector for each image.")
    if isinstance(out, np.ndarray):  # as `measure_encoder` takes it
        out = torch.from_numpy(array_of(out))
    if isinstance(out, Tensor) and out.shape[2:] == (1, 1):
        out = out.flatten(1)  # pooled to a single place
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(x):
        shape = f" with the shape {tuple(out.shape)}" if hasattr(out, "shape") else ""
        kind = type(out).__name__
        raise NotYet(
            f"expected a tensor [5, 3] for five images, but this is of type {kind}{shape}."
        )
    if out.shape[1] != 3:
        raise NotYet(f"three numbers are enough, one for each channel; you return {out.shape[1]}.")
    # To half precision, or a colour in 16 bits would be none.
    if not np.allclose(array_of(out.detach().double()), x.double().mean(dim=(2, 3)), atol=5e-3):
        raise NotYet("take the mean over the pixels of each image; the channels stay apart.")
    return (
        "any function that turns images into vectors is an encoder. This one sees the colour of a "
        "picture and none of its shapes, so its score is what colour alone is worth."
    )


def _features(strength: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(8), 60)
    centres = np.abs(rng.normal(size=(8, 12))) * strength
    return centres[y] + np.abs(rng.normal(size=(len(y), 12))), y


@checker
def check_clustered(clustered: Any) -> str:
    """A rule on the table: is NCC accuracy above its control, intervals and all?"""

    def says(table: pd.DataFrame, level: str = "kinds") -> bool:
        return _truth(call(clustered, table, level))

    for expected, words in ((True, "classes that are well apart"), (False, "pure noise")):
        table = _table(words)
        if (answer := says(table.copy(), "labels")) is not expected:
            raise NotYet(f"for features with {words} your rule returns {answer}.")
    # NCC accuracy below its control, and every other measure above it.
    if says(_told(table, (0.05, 0.04, 0.06), (0.12, 0.08, 0.16), others=(0.9, 0.85, 0.95))):
        raise NotYet(
            "NCC accuracy is 5%, the control's is 12%, and your rule returns True, because other "
            "measures of the level are higher. The rule is about `ncc`."
        )
    # The point above the control's interval and the interval above its point, yet they overlap.
    if says(_told(table, (0.17, 0.13, 0.21), (0.12, 0.08, 0.16))):
        raise NotYet(
            "NCC accuracy is 17%, the control's is 12%, and your rule returns True; but their "
            "intervals, 13% to 21% and 8% to 16%, overlap. Compare an end with an end."
        )
    if not says(_told(table, (0.05, 0.04, 0.06), (0.02, 0.01, 0.03))):
        raise NotYet(
            "the interval 4% to 6% lies above the control's, 1% to 3%, and your rule returns "
            "False. Let the control decide, and no number of your own."
        )
    return (
        "the effect counts when its interval lies above the control's. The rule is strict: even "
        "where two intervals overlap a little, a paired comparison may find a difference."
    )


@functools.lru_cache
def _table(words: str) -> pd.DataFrame:
    x, y = _features(0.0, seed=4) if "noise" in words else _features(1.0)
    return measure_encoder(None, x, y)


def _told(
    table: pd.DataFrame, own: Triple, control: Triple, others: Triple | None = None
) -> pd.DataFrame:
    """The table with another level, "kinds", and these values and intervals; `others` are those
    of all other measures."""
    told, permuted = table.replace({"level": {"labels": "kinds"}}), table["level"] == "permuted"
    told.loc[~permuted, ["value", "low", "high"]] = others or own
    told.loc[~permuted & (told["measure"] == "ncc"), ["value", "low", "high"]] = own
    told.loc[permuted, ["value", "low", "high"]] = control
    return told


def _truth(answer: Any) -> bool:
    if answer is None or answer is ...:
        raise NotYet("the answer is empty. Return True or False.")
    if isinstance(answer, (bool, np.bool_)):
        return bool(answer)
    rows = ": pick one row, by its measure and its level" if getattr(answer, "shape", ()) else ""
    raise NotYet(f"expected True or False, but this is of type {type(answer).__name__}{rows}.")


@checker
def check_moved(changed: Any) -> str:
    """Which measures change when 10 is added to every feature."""
    try:
        if isinstance(changed, str):
            raise TypeError("one name")
        answer = {word_of(name) for name in changed}
    except TypeError:
        raise NotYet(f"expected a set of names from {', '.join(MEASURES)}.") from None
    if unknown := answer - set(MEASURES):
        raise NotYet(f"{sorted(map(str, unknown))[0]!r} is not one of {', '.join(MEASURES)}.")
    first, then = (_values(shift) for shift in (0.0, 10.0))
    expected = {name for name in MEASURES if abs(first[name] - then[name]) > 1e-3 * first[name]}
    if extra := sorted(answer - expected):
        raise NotYet(
            f"not {extra[0]}: it depends on differences between points, or on standardised "
            "features, and a shift changes neither."
        )
    if len(answer) < len(expected):
        raise NotYet(
            f"{len(expected) - len(answer)} more. Which measures use a feature's direction or its "
            "length, both seen from the origin?"
        )
    return (
        "kNN compares angles as seen from the origin, and the effective rank is computed without "
        "centring, so that a large mean adds one large direction. Neither is wrong, but between "
        "encoders with different offsets only the other four can be compared."
    )


@functools.lru_cache
def _values(shift: float) -> pd.Series:
    """Each measure of features that have been moved."""
    x, y = _features(0.4)
    table = measure_encoder(None, x + shift, y).query("level != 'permuted'")
    return table.set_index("measure")["value"]


@checker
def check_layers(encoder: Any) -> str:
    """A function that returns several layers of a torchvision network."""
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = call(encoder, x)
    if not isinstance(out, Mapping):
        raise NotYet("expected a dictionary from the names of layers to their outputs.")
    if len(out) < 3:
        raise NotYet(
            f"{len(out)} layer{'s' * (len(out) != 1)}; three are wanted, such as an early, a "
            "middle and a late one."
        )
    for name, values in out.items():
        if not isinstance(values, Tensor) or values.ndim not in (2, 4) or len(values) != 4:
            raise NotYet(f"{name!r} should be [4, D] or [4, D, h, w] for four images.")
    try:
        table = measure_encoder(
            encoder, torch.rand(16, 3, 32, 32), np.arange(16) % 2, which=("ncc",)
        )
    except Exception as error:
        raise NotYet(f"they cannot be measured on 16 images: {error}") from error
    for (one, a), (other, b) in combinations(out.items(), 2):
        if a.shape == b.shape and torch.equal(a, b):
            raise NotYet(
                f"{one!r} and {other!r} have the same numbers: is it one layer under two names?"
            )
    for name, values in out.items():
        if values.shape[1] not in _WIDTHS:
            raise NotYet(
                f"{name!r} has {values.shape[1]} channels; those of a ResNet-18 have "
                f"{', '.join(map(str, _WIDTHS))}. Is it one of its layers?"
            )
    with torch.no_grad():
        again, others = call(encoder, x), call(encoder, x.flip(0) ** 2)
    for name, values in out.items():
        if not _alike(again.get(name), values):
            raise NotYet(f"{name!r} changes when the same images come again: is it noise?")
        if _alike(others.get(name), values) or _alike(values[:1].expand_as(values), values):
            raise NotYet(f"{name!r} has the same numbers for other images: does it look at them?")
    return (
        f"{table['layer'].nunique()} layers in one table. A layer whose output is a map is "
        "measured by its spatial mean, as the recordings of this book are."
    )


def _alike(one: Any, other: Tensor) -> bool:
    same = isinstance(one, Tensor) and one.shape == other.shape
    return same and torch.allclose(one.double(), other.double(), rtol=1e-3, atol=1e-5)
