"""Exact nearest-centre search: float32 FAISS, and float64 wherever float32 cannot tell.

FAISS computes |x|^2 - 2 x.c + |c|^2 (of few rows, sums of squared differences), which loses the
answer when the features share a large offset, or when two centres are nearly as close. So the mean
of the centres is taken away in float64 first, and an answer is kept only if the gap to the next
centre exceeds the rounding error that float32 can have made. The few rows where it does not are
decided in float64.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures._faiss import nearest

# Memory and time, and no answer: rows searched at a time (33 MB of float64 at D = 250), and rows
# made float32 at a time on a CPU (1 MB of float64 stays in its cache).
_ROWS, _CACHED = 16384, 512
# A margin: a smaller one would give wrong answers, a larger one costs time.
_SHORT = 1e-130  # squares of the numbers in rows below 1e-146 lose digits, or are zero
_FLOAT32, _FLOAT64 = 2.0**-24, 2.0**-53  # unit roundoff


class ExactSearch:
    """Index of the nearest of `centres` by Euclidean distance; ties go to the lowest index.

    Args:
        centres: float64 [K, D], finite, K >= 2.
        cosine: search by angle: centres and rows are divided by their length first.
    """

    def __init__(self, centres: Tensor, cosine: bool = False) -> None:
        self._cosine = cosine
        self._centres = unit(centres, "centroids_") if cosine else centres
        # Measured from one centre, the mean is exact enough under any offset. Another point near
        # the centres would leave more rows in doubt, and change no answer.
        self._mean = self._centres[0] + (self._centres - self._centres[0]).mean(0)
        self._centred = self._centres - self._mean
        self._centred32 = self._centred.float()
        self._largest_norm = float(torch.linalg.vector_norm(self._centred, dim=1).max())

    def __call__(self, x: Tensor) -> Tensor:
        """Nearest centre, int64 [N], of each row of x [N, D], finite, on the centres' device.

        Raises:
            UndefinedMeasure: by angle, a row of zeros.
        """
        found = []
        for i, rows in enumerate(x.split(_ROWS)):
            found.append(self._block(unit(rows, "X", i * _ROWS) if self._cosine else rows))
        return torch.cat(found)

    def _block(self, x: Tensor) -> Tensor:
        centred = torch.empty(x.shape, dtype=torch.float32, device=x.device)
        step = _CACHED if x.device.type == "cpu" else len(x)
        for rows, out in zip(x.split(step), centred.split(step), strict=True):
            out.copy_(rows.double() - self._mean)
        squares, indices = nearest(centred, self._centred32, 2)
        sure = surely_nearer(squares[:, 0], squares[:, 1], centred, self._largest_norm)
        best = indices[:, 0]
        doubtful = (~sure).nonzero()[:, 0]  # also where float32 overflowed
        if len(doubtful):
            best[doubtful] = self._in_float64(x[doubtful].double())
        return best

    @cached_property
    def _distinct(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The first of each set of equal centres, of which collapse makes many: ascending rows,
        the centres, centred, and half their squared norms."""
        array = np.ascontiguousarray(
            (self._centres + 0.0).cpu().numpy()
        )  # + 0.0: no -0.0, to have fewer
        as_bytes = array.view(np.dtype((np.void, array.dtype.itemsize * array.shape[1])))[:, 0]
        first = torch.from_numpy(np.sort(np.unique(as_bytes, return_index=True)[1]))
        first = first.to(self._centres.device)
        centred = self._centred[first]
        return first, self._centres[first], centred, centred.square().sum(1) / 2

    def _in_float64(self, x: Tensor) -> Tensor:
        """The nearest of all centres: by differences among those that products leave."""
        first, centres, centred, half_squares = self._distinct
        dims, found = x.shape[1], []
        for rows in x.split(max(1, 2**23 // len(centres))):  # 64 MB at a time, as below
            away = rows - self._mean
            half = torch.addmm(half_squares, away, centred.T, alpha=-1)
            least = half.amin(1, keepdim=True)
            norms = torch.linalg.vector_norm(away, dim=1, keepdim=True)
            distances = (norms.square() + 2 * least).clamp_(min=0).sqrt()
            reach = torch.clamp(norms + distances, max=self._largest_norm)
            error = float64_error(norms, reach, dims)
            row, centre = (half <= least + error).nonzero(as_tuple=True)
            step = max(1, 2**22 // dims)
            squares = torch.cat([
                (rows[r] - centres[c]).square().sum(1)
                for r, c in zip(row.split(step), centre.split(step), strict=True)
            ])  # fmt: skip
            best = torch.full_like(least[:, 0], torch.inf).scatter_reduce_(0, row, squares, "amin")
            is_best = squares == best[row]
            lowest = torch.full((len(rows),), len(centres), device=x.device)
            lowest.scatter_reduce_(0, row[is_best], centre[is_best], "amin")
            found.append(first[lowest])
        return torch.cat(found)


def surely_nearer(near: Tensor, far: Tensor, x: Tensor, largest: float) -> Tensor:
    """Whether float32 tells two squared distances apart: no row beyond `far` is nearer than `near`.

    Args:
        near, far: squared distances [N] as float32 computed them.
        x: the rows [N, D], float32, that they are distances of.
        largest: norm of the longest of the other rows.

    Returns:
        bool [N].
    """
    norms = x.square().sum(1).sqrt().double()

    def error(squares: Tensor) -> Tensor:
        return float32_error(squares, norms, x.shape[1], largest)

    near, far = near.double(), far.double()
    return near + error(near) < far - error(far)


def float32_error(squares: Tensor, norms: Tensor, dims: int, largest: float) -> Tensor:
    """The most by which float32 may have misplaced the squared distances [N] of rows.

    A square computed as |x|^2 - 2 x.c + |c|^2 is off by the error of |x|^2, which is the
    same for every centre; by at most g (2 |x| |c| + |c|^2), with g about D roundoffs; and
    by a few roundoffs of the sum. |c| is bounded by the largest norm and by |x| + d. The sum of
    squared differences is off by at most g d^2. Which of the two FAISS takes, by how many rows
    and centres there are, is its own affair and has changed: the larger error counts.

    Smaller margins would give wrong answers, larger ones cost time.
    """
    reach = torch.clamp(norms + squares.sqrt(), max=largest)
    products = torch.maximum(reach * (2 * norms + reach), squares)
    sums = 8 * (norms + reach).square()
    return 1.01 * _FLOAT32 * ((dims + 8) * products + sums) + dims * 2.0**-120


def float64_error(norms: Tensor, reach: Tensor, dims: int) -> Tensor:
    """The most by which float64 may have misplaced |c|^2 / 2 - x.c of two centres, together."""
    return 4 * (dims + 8) * _FLOAT64 * (norms + reach).square()


def unit(rows: Tensor, name: str, first: int = 0) -> Tensor:
    """Rows [N, D] of `name`, the first of them row `first` there, divided by their length, in
    float64.

    Raises:
        UndefinedMeasure: a row of zeros.
    """
    rows = rows.double()
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    short = (lengths[:, 0] < _SHORT).nonzero()[:, 0]
    if len(short):
        longest = rows[short].abs().amax(1, keepdim=True)
        rows = rows.index_copy(0, short, rows[short] / longest.where(longest > 0, 1.0))
        lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    if bool((lengths == 0).any()):
        where = int((lengths[:, 0] == 0).nonzero()[0, 0])
        raise UndefinedMeasure(f"{name}[{first + where}]: all zeros; expected a row with a length")
    return rows / lengths
