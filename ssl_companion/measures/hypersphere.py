"""Features on the unit sphere: how near the views of an image lie, and how evenly all images do."""

from __future__ import annotations

import math

import torch

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._search import unit
from ssl_companion.measures._torch_state import plain_torch

_ROWS = 2048  # rows in float64 at a time: blocks of 32 MB of pairs, and no answer


@plain_torch()
def alignment(X: ArrayLike, X2: ArrayLike, alpha: float = 2.0) -> float:
    """Mean distance of two views of an image: E |u - v|^alpha of rows of length one.

    The first of the two measures of Wang and Isola (2020, arXiv:2005.10242). Zero where an encoder
    says the same of both views. It needs pairs of views, and so no table of single images has it.

    Args:
        X, X2: features of two views of the same N images, [N, D]; divided by their length here.
        alpha: power of the distance, above 0 and up to 1000.

    Returns:
        A number from 0 to 2^alpha.

    Raises:
        ValueError: bad features, of other shapes, or an alpha outside its range.
        UndefinedMeasure: a row of zeros.

    Example:
        >>> round(alignment([[1.0, 0.0], [0.0, 3.0]], [[2.0, 0.0], [1.0, 0.0]]), 4)  # (0 + 2) / 2
        1.0
    """
    x = _checks.features(X, "X")
    x2 = _checks.features(X2, "X2", dims=x.shape[1], device=x.device)
    alpha = _exponent(alpha, "alpha")
    if len(x2) != len(x):
        raise ValueError(f"X2: {len(x2)} rows; expected {len(x)}, a second view of each row of X")
    total = 0.0
    for start in range(0, len(x), _ROWS):
        at = slice(start, start + _ROWS)
        apart = unit(x[at], "X", start) - unit(x2[at], "X2", start)
        total += float(torch.linalg.vector_norm(apart, dim=1).pow(alpha).sum()) / len(x)
    return total


def _exponent(value: float, name: str) -> float:
    number = _checks.positive(value, name)
    if number > 1000:  # powers of 2 beyond that are more than float64 holds
        raise ValueError(f"{name}: {number:g}; expected 1000 or less")
    return number


@plain_torch()
def uniformity(X: ArrayLike, t: float = 2.0) -> float:
    """How evenly features lie on the sphere: log E exp(-t |u - v|^2) over pairs of different rows.

    The second of the two measures of Wang and Isola (2020, arXiv:2005.10242), over all pairs as in
    their code. Lower is more even: 0 where all rows point the same way; about -2t for large D and
    rows that point anywhere. It takes N^2 D / 2 multiplications in float64 and no copy of X.

    Args:
        X: features [N, D], N >= 2; divided by their length here.
        t: of the Gaussian kernel, above 0 and up to 1000.

    Returns:
        A number from -4t to 0.

    Raises:
        ValueError: bad features, or a t outside its range.
        UndefinedMeasure: a row of zeros, or a single row.

    Example:
        >>> round(uniformity([[1.0, 0.0], [-5.0, 0.0]]), 4)  # opposite: -2 * 2**2
        -8.0
    """
    x = _checks.features(X, "X")
    t = _exponent(t, "t")
    n = len(x)
    if n < 2:
        raise UndefinedMeasure("X: a single row; expected two or more, as pairs are compared")
    found = []
    for start in range(0, n, _ROWS):
        rows = unit(x[start : start + _ROWS], "X", start)
        for other in range(start, n, _ROWS):
            columns = rows if other == start else unit(x[other : other + _ROWS], "X", other)
            logs = (rows @ columns.T - 1).clamp_(-2, 0).mul_(2 * t)  # |u - v|^2 = 2 - 2 <u, v>
            if other == start:  # each pair once
                later = torch.ones_like(logs, dtype=torch.bool).triu_(1)
                logs.masked_fill_(~later, -torch.inf)
            found.append(logs.flatten().logsumexp(0))
    return min(0.0, float(torch.stack(found).logsumexp(0)) - math.log(n * (n - 1) / 2))
