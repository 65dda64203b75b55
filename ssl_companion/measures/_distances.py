"""Distances of rows, in float64, that keep their digits wherever the rows lie."""

from __future__ import annotations

import torch
from torch import Tensor

_NEAR = 1e-4  # shares of the rows' squared lengths; a product keeps twelve digits above it
_AT_ONCE = 2**15  # pairs taken by differences at a time: 64 MB at D = 250


def centred(x: Tensor) -> Tensor:
    """x minus its mean, float64; measured from one row, exact enough under any offset."""
    x = x.double()
    x = x - x[0]
    return x - x.mean(0)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances [A, B] of rows that are centred already, float64.

    By a matrix product, which loses what lies close together far from the mean; such pairs are
    taken again by their differences.
    """
    largest = a.square().sum(1)[:, None] + b.square().sum(1)
    squares = torch.addmm(largest, a, b.T, alpha=-2)
    i, j = (squares < _NEAR * largest).nonzero(as_tuple=True)
    for some in torch.arange(len(i), device=a.device).split(_AT_ONCE):
        squares[i[some], j[some]] = (a[i[some]] - b[j[some]]).square().sum(1)
    return squares.clamp_(min=0)
