"""Exact nearest-centre search: float32 FAISS, and float64 wherever float32 cannot tell.

FAISS computes |x|^2 - 2 x.c + |c|^2, which loses the answer when the features share a large
offset, or when two centres are nearly as close. So the mean of the centres is taken away in
float64 first, and every answer is kept only if the gap to the next centre exceeds the
rounding error that float32 can have made. The few points where it does not are searched
again among more candidates, then in float64.

Changes of unit that keep float64 from overflowing, underflowing or rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ssl_companion.measures._faiss import nearest

_ROWS = 16384  # rows searched at a time: 33 MB of float64 at D = 250
_CACHED = 512  # rows made float32 at a time on a CPU: 1 MB of float64 stays in its cache
_BY_PRODUCTS = 32  # FAISS searches fewer rows than 20 by differences
_CANDIDATES = 8  # centres compared by differences in float64
_FLOAT32, _FLOAT64 = 2.0**-24, 2.0**-53  # unit roundoff

NearestSearch = Callable[[Tensor, int], tuple[Tensor, Tensor]]
Transform = Callable[[Tensor, int], Tensor]


class ExactSearch:
    """Index of the nearest of `centres` by Euclidean distance; ties go to the lowest index.

    Args:
        centres: float64 [K, D], finite, K >= 2, at any scale and offset.
    """

    def __init__(self, centres: Tensor) -> None:
        self.centres = centres
        self._exponent = exponent(centres)
        self._scaled_by: int | None = None

    def __call__(self, x: Tensor, transform: Transform | None = None) -> Tensor:
        """Nearest centre of each row.

        Args:
            x: [N, D], finite, on the centres' device.
            transform: applied to blocks of rows first (a normalisation, for instance); it gets
                the block and the number of its first row.

        Returns:
            int64 [N].
        """
        own = exponent(x) if transform is None else 0
        # Far queries share the centres' unit as long as their squares still fit into float64.
        shared = max(self._exponent, own - 400)
        # Ordinary features need no scaling: float32 squares them with room to spare.
        self._rescale(shared if abs(shared) > 20 else 0)
        found = torch.empty(len(x), dtype=torch.int64, device=x.device)
        for start in range(0, len(x), _ROWS):
            rows = x[start : start + _ROWS]
            rows = rows if transform is None else transform(rows, start)
            found[start : start + _ROWS] = self._block(rows)
        return found

    def _rescale(self, exponent: int) -> None:
        if exponent == self._scaled_by:
            return
        self._scaled_by = exponent
        self._scaled = self._scale(self.centres)
        # Measured from one centre, the mean is exact enough under any offset.
        self._mean = self._scaled[0] + (self._scaled - self._scaled[0]).mean(0)
        self._centred = self._scaled - self._mean
        self._centred32 = self._centred.float()
        squares = self._centred.square().sum(1)
        self._half_squares = squares / 2
        self._largest_norm = float(squares.max().sqrt())

    def _scale(self, x: Tensor) -> Tensor:
        e = self._scaled_by
        return times_power_of_two(x, -e) if e else x.double()

    def _block(self, x: Tensor) -> Tensor:
        centred32 = torch.empty(x.shape, dtype=torch.float32, device=x.device)
        step = _CACHED if x.device.type == "cpu" else len(x)
        for rows, out in zip(x.split(step), centred32.split(step), strict=True):
            out.copy_(self._scale(rows) - self._mean)
        squares, indices = nearest(centred32, self._centred32, 2)
        norms = centred32.square().sum(1).sqrt().double()
        sure = self._separated(squares, norms, _FLOAT32, len(x) >= _BY_PRODUCTS)
        best = indices[:, 0]
        if not bool(sure.all()):
            left = (~sure).nonzero()[:, 0]
            best[left] = self._settle(self._scale(x[left]))
        return best

    def _settle(self, rows: Tensor) -> Tensor:
        """The nearest centre of rows where the nearest two are too close for float32."""
        best = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
        left = torch.arange(len(rows), device=rows.device)
        tiers: tuple[tuple[NearestSearch, float], ...] = (
            (self._in_float32, _FLOAT32),
            (self._in_float64, _FLOAT64),
        )
        for search, roundoff in tiers if len(self.centres) > _CANDIDATES else ():
            centred = rows[left] - self._mean
            squares, indices = search(centred, _CANDIDATES + 1)
            norms = torch.linalg.vector_norm(centred, dim=1)
            sure = self._separated(squares, norms, roundoff, len(left) >= _BY_PRODUCTS)
            best[left[sure]] = self._closest(rows[left[sure]], indices[sure, :-1])
            left = left[~sure]
            if len(left) == 0:
                return best
        best[left] = self._brute_force(rows[left])
        return best

    def _separated(
        self, squares: Tensor, norms: Tensor, roundoff: float, products: bool = True
    ) -> Tensor:
        """Where the nearest centre is certainly among all but the last column of `squares`.

        A square computed as |x|^2 - 2 x.c + |c|^2 is off by the error of |x|^2, which is the
        same for every centre; by at most g (2 |x| |c| + |c|^2), with g about D roundoffs; and
        by a few roundoffs of the sum. Both ends are moved by that against the claim, with |c|
        bounded by the largest norm and by |x| + d. Without `products` the differences were
        summed, and all of (|x| + |c|)^2 may be off by g.
        """
        dims = self.centres.shape[1]
        underflow = dims * (2.0**-120 if roundoff == _FLOAT32 else 2.0**-1000)

        def slack(square: Tensor) -> Tensor:
            reach = torch.clamp(norms + square.sqrt(), max=self._largest_norm)
            cross = reach * (2 * norms + reach) if products else (norms + reach).square()
            error = (dims + 8) * cross + 8 * (norms + reach).square()
            return 1.01 * roundoff * error + underflow

        near, far = squares[:, 0].double(), squares[:, -1].double()
        return near + slack(near) < far - slack(far)  # False for NaN, where float32 overflowed

    def _in_float32(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        return nearest(x.float(), self._centred32, k)

    def _in_float64(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        found = []
        for rows in x.split(max(1, 2**23 // len(self.centres))):
            half = torch.addmm(self._half_squares, rows, self._centred.T, alpha=-1)
            values, indices = half.topk(k, dim=1, largest=False)
            squares = rows.square().sum(1, keepdim=True) + 2 * values
            found.append((squares.clamp_(min=0), indices))
        return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])

    def _closest(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """The nearest among candidates [N, C], by differences in float64."""
        candidates = candidates.sort(dim=1).values  # the lowest index wins a tie
        found = []
        step = max(1, 2**22 // (candidates.shape[1] * rows.shape[1]))
        for some, which in zip(rows.split(step), candidates.split(step), strict=True):
            squares = (some[:, None] - self._scaled[which]).square().sum(-1)
            found.append(which.gather(1, squares.argmin(1, keepdim=True))[:, 0])
        return torch.cat(found) if found else candidates.new_empty(0)

    def _brute_force(self, rows: Tensor) -> Tensor:
        """The nearest of all centres by differences in float64: slow, and settles everything."""
        first = _first_of_each(self._scaled)  # collapsed features have many equal centres
        centres = self._scaled[first]
        found = []
        for some in rows.split(max(1, 2**24 // len(centres))):
            distances = torch.cdist(some, centres, compute_mode="donot_use_mm_for_euclid_dist")
            found.append(first[distances.argmin(1)])
        return torch.cat(found)


def _first_of_each(rows: Tensor) -> Tensor:
    """Ascending indices of the first occurrence of each distinct row."""
    array = np.ascontiguousarray((rows + 0.0).cpu().numpy())  # + 0.0: one kind of zero
    as_bytes = array.view(np.dtype((np.void, array.dtype.itemsize * array.shape[1])))[:, 0]
    first = np.unique(as_bytes, return_index=True)[1]
    return torch.from_numpy(np.sort(first)).to(rows.device)


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
