"""Checkers of the chapter "Train your own"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_companion.exercises import Checked, call, hint, right
from ssl_companion.own import MEASURES, measure_encoder


def check_colour(encoder: Any) -> Checked:
    """A function of images that gives their mean colour."""
    x = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    out = call(encoder, x)
    if isinstance(out, Checked):
        return out
    if out is None:
        return hint("nothing is returned yet: give one vector for each image.")
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(x):
        shape = tuple(out.shape) if hasattr(out, "shape") else type(out).__name__
        return hint(f"expected a tensor [5, 3] for five images, this is {shape}.")
    if out.shape[1] != 3:
        return hint(f"three numbers are enough: one for each channel, not {out.shape[1]}.")
    if not torch.allclose(out, x.mean(dim=(2, 3)), atol=1e-6):
        return hint("the mean is over the pixels of one image; the channels stay apart.")
    return right(
        "any function that makes vectors of images is an encoder. This one knows the light of a "
        "picture and nothing of its shape; what it scores is what colour alone is worth."
    )


def _features(strength: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(8), 60)
    centres = np.abs(rng.normal(size=(8, 12))) * strength
    return centres[y] + np.abs(rng.normal(size=(len(y), 12))), y


def check_clustered(clustered: Any) -> Checked:
    """A rule on the table: is NCC accuracy above its control, intervals and all?"""
    cases = {
        True: (_features(1.0), "classes that are well apart"),
        False: (_features(0.0, seed=4), "pure noise"),
    }
    for expected, ((x, y), words) in cases.items():
        table = measure_encoder(None, x, y, which=("ncc",))
        answer = call(clustered, table, "labels")
        if isinstance(answer, Checked):
            return answer
        if answer is None:
            return hint("nothing is returned yet: give True or False.")
        if bool(answer) is not expected:
            return hint(f"on features with {words} it says {bool(answer)}.")
    # The point above the control, the intervals overlapping.
    table = measure_encoder(None, *_features(0.0, seed=4), which=("ncc",))
    narrow = table.copy()
    own = narrow["level"] == "labels"
    narrow.loc[own, ["value", "low", "high"]] = (0.14, 0.10, 0.18)
    narrow.loc[~own, ["value", "low", "high"]] = (0.12, 0.09, 0.16)
    if bool(call(clustered, narrow, "labels")):
        return hint(
            "14% against 12% in the control, and it says yes; but the intervals, 10% to 18% and "
            "9% to 16%, overlap by most of their width. Compare an end with an end."
        )
    return right(
        "an effect counts when its interval lies beyond that of its control. It is a strict rule: "
        "intervals may overlap a little where a paired comparison would still tell two apart."
    )


def check_moved(changed: Any) -> Checked:
    """Which measures change when 10 is added to every feature."""
    if changed is None or changed is ... or isinstance(changed, str):
        return hint(f"expected a set of names out of {', '.join(MEASURES)}.")
    try:
        answer = set(changed)
    except TypeError:
        return hint(f"expected a set of names out of {', '.join(MEASURES)}.")
    if unknown := answer - set(MEASURES):
        return hint(f"{sorted(map(str, unknown))[0]!r} is none of {', '.join(MEASURES)}.")
    x, y = _features(0.4)
    first, then = (
        measure_encoder(None, moved, y).query("level != 'permuted'").set_index("measure")["value"]
        for moved in (x, x + 10)
    )
    expected = {name for name in MEASURES if abs(first[name] - then[name]) > 1e-3 * first[name]}
    if extra := sorted(answer - expected):
        return hint(
            f"not {extra[0]}: what it is made of, differences between points or a standardised "
            "copy of them, stays where it was."
        )
    if len(answer) < len(expected):
        return hint(
            f"{len(expected) - len(answer)} more. Which measures look at a feature as it is, as a "
            "direction or a length from the origin?"
        )
    return right(
        "kNN here compares angles seen from the origin, and the effective rank is that of the "
        "features as they come, whose mean makes one large direction. Neither is wrong, but two "
        "encoders with different offsets can only be compared by the others."
    )


def check_layers(encoder: Any) -> Checked:
    """A function that returns several layers of a torchvision network."""
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = call(encoder, x)
    if isinstance(out, Checked):
        return out
    if not isinstance(out, Mapping):
        return hint("expected a dictionary: the name of a layer, and its output.")
    if len(out) < 3:
        return hint(f"{len(out)} layers; three are wanted, such as an early, a middle, a late one.")
    for name, values in out.items():
        if not isinstance(values, Tensor) or values.ndim not in (2, 4) or len(values) != 4:
            return hint(f"{name!r} should be [4, D] or [4, D, h, w] for four images.")
    table = measure_encoder(encoder, torch.rand(16, 3, 32, 32), np.arange(16) % 2, which=("ncc",))
    widths = {values.shape[1] for values in out.values()}
    if len(widths) < 2:
        return hint("all outputs are equally wide: are these really different layers?")
    return right(
        f"{table['layer'].nunique()} layers in one table. A layer whose output is a map is "
        "measured by its spatial mean, as the recordings of this book are."
    )
