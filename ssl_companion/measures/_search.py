"""Exact nearest-centre search: float32 FAISS, and float64 wherever float32 cannot tell.

FAISS computes |x|^2 - 2 x.c + |c|^2, which loses the answer when the features share a large
offset, or when two centres are nearly as close. So the mean of the centres is taken away in
float64 first, and every answer is kept only if the gap to the next centre exceeds the
rounding error that float32 can have made. The few points where it does not are searched
again among more candidates, then in float64.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import faiss
import numpy as np
import torch
from torch import Tensor

from . import _checks

_ROWS = 16384  # rows searched at a time: 33 MB of float64 at D = 250
_CANDIDATES = 9  # width of the second and third search
_FLOAT32, _FLOAT64 = 2.0**-24, 2.0**-53  # unit roundoff

Search = Callable[[Tensor, int], tuple[Tensor, Tensor]]


class ExactSearch:
    """Index of the nearest of `centres` by Euclidean distance; ties go to the lowest index.

    Args:
        centres: float64 [K, D], finite, K >= 2, at any scale and offset.
    """

    def __init__(self, centres: Tensor) -> None:
        self.centres = centres
        self._exponent = _checks.exponent(centres)
        self._scaled_by: int | None = None

    def __call__(self, x: Tensor, transform: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Nearest centre of each row.

        Args:
            x: [N, D], finite, on the centres' device.
            transform: applied to blocks of rows first (a normalisation, for instance).

        Returns:
            int64 [N].
        """
        exponent = _checks.exponent(x) if transform is None else 0
        # Far queries share the centres' unit as long as their squares still fit into float64.
        self._rescale(max(self._exponent, exponent - 400))
        found = torch.empty(len(x), dtype=torch.int64, device=x.device)
        for start in range(0, len(x), _ROWS):
            rows = x[start : start + _ROWS]
            rows = rows if transform is None else transform(rows)
            found[start : start + _ROWS] = self._block(rows)
        return found

    def _rescale(self, exponent: int) -> None:
        if exponent == self._scaled_by:
            return
        self._scaled_by = exponent
        self._scaled = _checks.times_power_of_two(self.centres, -exponent)
        # Measured from one centre, the mean is exact enough under any offset.
        self._mean = self._scaled[0] + (self._scaled - self._scaled[0]).mean(0)
        self._centred = self._scaled - self._mean
        self._centred32 = self._centred.float()
        self._half_squares = self._centred.square().sum(1) / 2

    def _block(self, x: Tensor) -> Tensor:
        assert self._scaled_by is not None
        rows = _checks.times_power_of_two(x, -self._scaled_by)
        centred = rows - self._mean
        norms = torch.linalg.vector_norm(centred, dim=1)
        best = torch.empty(len(x), dtype=torch.int64, device=x.device)
        left = torch.arange(len(x), device=x.device)
        tiers: tuple[tuple[Search, float, int], ...] = (
            (self._in_float32, _FLOAT32, 2),
            (self._in_float32, _FLOAT32, _CANDIDATES),
            (self._in_float64, _FLOAT64, _CANDIDATES),
        )
        for search, roundoff, k in tiers:
            if k > len(self.centres):
                continue
            some = centred if len(left) == len(x) else centred[left]
            squares, indices = search(some, k)
            sure = self._separated(squares, norms[left], roundoff)
            if k == 2:
                best[left[sure]] = indices[sure, 0]
            else:
                best[left[sure]] = self._closest(rows[left[sure]], indices[sure, :-1])
            left = left[~sure]
            if len(left) == 0:
                return best
        best[left] = self._brute_force(rows[left])
        return best

    def _separated(self, squares: Tensor, norms: Tensor, roundoff: float) -> Tensor:
        """Where the nearest centre is certainly among all but the last column of `squares`.

        A computed square d^2 is off by at most g (|x| + |c|)^2, with g about D roundoffs, and
        |c| <= |x| + d; so both ends are moved by g (2|x| + d)^2 against the claim. The term
        in 2**-120 stands for products that underflow.
        """
        dims = self.centres.shape[1]
        slack = 1.01 * (dims + 16) * roundoff
        floor = dims * (2.0**-120 if roundoff == _FLOAT32 else 2.0**-1000)
        near, far = squares[:, 0].double(), squares[:, -1].double()
        highest = near + slack * (2 * norms + near.sqrt()).square() + floor
        lowest = far - slack * (2 * norms + far.sqrt()).square() - floor
        return highest < lowest  # False for NaN, where float32 overflowed

    def _in_float32(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        return _knn(x.float(), self._centred32, k)

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


def _knn(x: Tensor, centres: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Squared distances float32 [N, k], ascending, and indices int64 [N, k], by FAISS."""
    if x.device.type == "cuda":
        return _knn_cuda(x, centres, k)
    squares, indices = faiss.knn(x.numpy(), centres.numpy(), k)
    return torch.from_numpy(squares), torch.from_numpy(indices)


def _knn_cuda(x: Tensor, centres: Tensor, k: int) -> tuple[Tensor, Tensor]:
    if not hasattr(faiss, "StandardGpuResources"):  # faiss-cpu beside a CUDA torch
        return _knn_torch(x, centres, k)
    importlib.import_module("faiss.contrib.torch_utils")  # teaches FAISS to take tensors

    with torch.cuda.device(x.device):
        return faiss.knn_gpu(_gpu_resources(x.device.index), x, centres, k, device=x.device.index)


@cache
def _gpu_resources(device: int) -> Any:
    return faiss.StandardGpuResources()  # one per device: it owns scratch memory


def _knn_torch(x: Tensor, centres: Tensor, k: int) -> tuple[Tensor, Tensor]:
    # The sum of float32 products is done in float64: no global TF32 switch to touch.
    found = []
    half = centres.double().square().sum(1) / 2
    for rows in x.double().split(max(1, 2**24 // len(centres))):
        values, indices = torch.addmm(half, rows, centres.double().T, alpha=-1).topk(
            k, dim=1, largest=False
        )
        squares = (rows.square().sum(1, keepdim=True) + 2 * values).clamp_(min=0)
        found.append((squares.float(), indices))
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])
