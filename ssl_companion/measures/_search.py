"""Exact nearest-centre search: float32 FAISS, and float64 wherever float32 cannot tell.

FAISS computes |x|^2 - 2 x.c + |c|^2 (of few rows, sums of squared differences), which loses the
answer when the features share a large offset, or when two centres are nearly as close. So the mean
of the centres is taken away in float64 first, and an answer is kept only if the gap to the next
centre exceeds the rounding error that float32 can have made. The few rows where it does not are
decided in float64.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures._faiss import nearest

# Memory and time, and no answer: rows searched at a time, and numbers in float64 at a time on a CPU
# (1 MB stays in its cache).
_ROWS, _CACHED = 16384, 2**17
# A margin: a smaller one would give wrong answers, a larger one costs time.
_SHORT = 1e-130  # squares of the numbers in rows below 1e-146 lose digits, or are zero
_NEAR_MEAN = 0.01  # share of the longest centre by which rounding may move the mean: time alone
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
        first = self._centres[0]
        sums = [(block - first).sum(0) for _, block in _blocks(self._centres)]
        self._mean = first + torch.stack(sums).sum(0) / len(centres)
        # A mean that is float32 can be taken from rows that are, without a way by float64.
        self._mean32 = self._mean.float()
        norms = [torch.linalg.vector_norm(rows - self._mean, dim=1).max()
                 for _, rows in _blocks(self._centres)]  # fmt: skip
        moved = torch.linalg.vector_norm(self._mean32.double() - self._mean)
        self._by_float32 = bool(moved <= _NEAR_MEAN * torch.stack(norms).max())
        if self._by_float32:
            self._mean = self._mean32.double()
        self._centred32 = self._less_mean(self._centres)
        self._largest_norm = float(_norms(self._centred32).max())

    def __call__(self, x: Tensor) -> Tensor:
        """Nearest centre, int64 [N], of each row of x [N, D], finite, on the centres' device.

        Raises:
            UndefinedMeasure: by angle, a row of zeros.
        """
        return torch.cat([self._nearest(rows, i * _ROWS) for i, rows in enumerate(x.split(_ROWS))])

    def _nearest(self, x: Tensor, first: int) -> Tensor:
        """The same of some rows, the first of which is row `first` to a message."""
        by_float32 = self._by_float32 and x.dtype == torch.float32
        centred = self._from_float32(x) if by_float32 else self._from_float64(x, first)
        squares, indices = nearest(centred, self._centred32, 2)
        norms = _norms(centred)
        # A row divided by its length was rounded, too, before the mean was taken away.
        rounded = 2 * _FLOAT32 * (norms + 1) if by_float32 and self._cosine else 0 * norms
        near, far = squares.unbind(1)
        sure = surely_nearer(near, far, norms, x.shape[1], self._largest_norm, rounded)
        best = indices[:, 0]
        doubtful = (~sure).nonzero()[:, 0]  # also where float32 overflowed
        if len(doubtful):
            rows = x[doubtful].double()
            if self._cosine:
                rows = unit(rows, "X", first + doubtful)
            best[doubtful] = self._in_float64(rows)
        return best

    def _less_mean(self, x: Tensor) -> Tensor:
        """Rows of float64 [N, D] less the mean, float32."""
        centred = torch.empty(x.shape, dtype=torch.float32, device=x.device)
        for at, rows in _blocks(x):
            centred[at] = rows - self._mean
        return centred

    def _from_float64(self, x: Tensor, first: int) -> Tensor:
        """What is searched for in place of the rows [N, D], float32, by way of float64."""
        centred = torch.empty(x.shape, dtype=torch.float32, device=x.device)
        for at, rows in _blocks(x):
            wide = unit(rows, "X", first + at.start) if self._cosine else rows.double()
            centred[at] = wide - self._mean
        return centred

    def _from_float32(self, x: Tensor) -> Tensor:
        """The same of rows of float32, in which it is three times as fast."""
        centred = torch.empty_like(x)
        for at, rows in _blocks(x):
            out = centred[at]
            if not self._cosine:
                torch.sub(rows, self._mean32, out=out)
                continue
            # A length that is 0 or infinite to float32 leaves the row in doubt; one that is merely
            # off moves no centre before another, as all of them have the length one.
            lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
            torch.div(rows, lengths, out=out).sub_(self._mean32)
        return centred

    @cached_property
    def _distinct(self) -> tuple[Tensor, Tensor]:
        """The first of each set of equal centres, of which collapse makes many: ascending rows,
        and half the squared norms of their differences from the mean."""
        first: dict[bytes, int] = {}
        for at, centres in _blocks(self._centres):
            for row, centre in enumerate((centres + 0.0).cpu().numpy(), at.start):  # no -0.0
                first.setdefault(hashlib.blake2b(centre.tobytes()).digest(), row)
        rows = torch.tensor(list(first.values()), device=self._centres.device)
        halves = [(self._centres[some] - self._mean).square().sum(1) / 2
                  for _, some in _blocks(rows, self._centres.shape[1])]  # fmt: skip
        return rows, torch.cat(halves)

    def _in_float64(self, x: Tensor) -> Tensor:
        """The nearest of all centres: by differences among those that products leave."""
        first, half_squares = self._distinct
        dims, found = x.shape[1], []
        for rows in x.split(max(1, 2**22 // len(first))):  # 32 MB at a time, as below
            away = rows - self._mean
            half = torch.empty(len(rows), len(first), dtype=x.dtype, device=x.device)
            for at, some in _blocks(first, dims):
                centred = self._centres[some] - self._mean
                half[:, at] = torch.addmm(half_squares[at], away, centred.T, alpha=-1)
            least = half.amin(1, keepdim=True)
            norms = torch.linalg.vector_norm(away, dim=1, keepdim=True)
            distances = (norms.square() + 2 * least).clamp_(min=0).sqrt()
            reach = torch.clamp(norms + distances, max=self._largest_norm)
            error = float64_error(norms, reach, dims)
            row, centre = (half <= least + error).nonzero(as_tuple=True)
            step = max(1, 2**22 // dims)
            squares = torch.cat([
                (rows[r] - self._centres[first[c]]).square().sum(1)
                for r, c in zip(row.split(step), centre.split(step), strict=True)
            ])  # fmt: skip
            best = torch.full_like(least[:, 0], torch.inf).scatter_reduce_(0, row, squares, "amin")
            is_best = squares == best[row]
            lowest = torch.full((len(rows),), len(first), device=x.device)
            lowest.scatter_reduce_(0, row[is_best], centre[is_best], "amin")
            found.append(first[lowest])
        return torch.cat(found)


def _blocks(x: Tensor, dims: int | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Rows [N, D], or [N] that stand for such, a few at a time, and where they are; on a GPU all
    at once."""
    step = max(1, _CACHED // (dims or x.shape[1])) if x.device.type == "cpu" else len(x)
    for start in range(0, len(x), step):
        at = slice(start, min(start + step, len(x)))
        yield at, x[at]


def _norms(x: Tensor) -> Tensor:
    """Of float32 rows [N, D], float64 [N]."""
    norms = torch.empty(len(x), dtype=x.dtype, device=x.device)
    for at, rows in _blocks(x):
        torch.linalg.vector_norm(rows, dim=1, out=norms[at])
    return norms.double()


def surely_nearer(
    near: Tensor,
    far: Tensor,
    norms: Tensor,
    dims: int,
    largest: float,
    rounded: Tensor | float = 0.0,
) -> Tensor:
    """Whether float32 tells two squared distances apart: no row beyond `far` is nearer than `near`.

    Args:
        near, far: squared distances [N] as float32 computed them.
        norms: of the rows that they are distances of, [N].
        dims: of these rows.
        largest: norm of the longest of the other rows.
        rounded: norms of what rounding added to the rows before they were searched for, [N].

    Returns:
        bool [N].
    """
    norms = norms.double()

    def error(squares: Tensor) -> Tensor:
        moved = 2 * rounded * torch.clamp(norms + squares.sqrt(), max=largest)
        return float32_error(squares, norms, dims, largest) + moved

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


def unit(rows: Tensor, name: str, first: int | Tensor = 0) -> Tensor:
    """Rows [N, D] of `name` divided by their length, in float64.

    Args:
        first: which row of `name` the first of them is, or each of them [N].

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
        where = int(first[where]) if isinstance(first, Tensor) else first + where
        raise UndefinedMeasure(f"{name}[{where}]: all zeros; expected a row with a length")
    return rows / lengths
