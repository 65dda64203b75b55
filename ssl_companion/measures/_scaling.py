"""Changes of unit that keep float64 from overflowing, underflowing or rounding."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def exponent(x: Tensor) -> int:
    """The least e with |x| <= 2**e everywhere (0 for all zeros): multiplying by 2**-e is exact."""
    low, high = torch.aminmax(x)
    return int(np.frexp(max(abs(float(low)), abs(float(high))))[1])


def times_power_of_two(x: Tensor, e: int) -> Tensor:
    """x * 2**e in float64, without rounding unless the result leaves float64's normal range."""
    x = x.double()
    while abs(e) > 1000:  # 2**e itself would not be representable
        step = 1000 if e > 0 else -1000
        x, e = x * 2.0**step, e - step
    return x * 2.0**e


def unit(rows: Tensor, name: str, first: int = 0) -> Tensor:
    """Rows [N, D] of `name`, the first of them row `first` there, divided by their length, in
    float64.

    Raises:
        ValueError: a row of zeros.
    """
    rows = rows.double()
    largest = rows.abs().amax(1, keepdim=True)
    if bool((largest == 0).any()):
        where = int((largest[:, 0] == 0).nonzero()[0, 0])
        raise ValueError(f"{name}[{first + where}] is all zeros; expected rows with a direction")
    rows = rows / largest  # first, so that no square overflows
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
