"""The one door to FAISS: exact k-nearest search on tensors, on the CPU or on CUDA.

Where FAISS cannot serve, torch searches as exactly, in float64 and so more slowly.
"""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

_cause = ""  # why there is no FAISS
try:
    faiss: Any = importlib.import_module("faiss")
except (ImportError, OSError, RuntimeError) as error:
    # Its wheel for GPUs loads CUDA's libraries first, also where nobody asks for a GPU.
    faiss, _cause = None, str(error) or type(error).__name__

Kind = Literal["l2", "inner-product"]

_MOST_ON_CUDA = 2048  # neighbours; for more of them FAISS ends the process


def nearest(x: Tensor, base: Tensor, k: int, kind: Kind = "l2") -> tuple[Tensor, Tensor]:
    """The k rows of `base` [K, D] nearest to each row of `x` [N, D], both float32, best first.

    A warning says once if FAISS cannot be imported, or fails on a GPU; the results are no worse.

    Returns:
        Squared distances (kind "l2", ascending) or inner products ("inner-product",
        descending), float32 [N, k], and row numbers, int64 [N, k].
    """
    x, base = x.contiguous(), base.contiguous()
    if faiss is None:
        _warn_once(
            "import",
            f"FAISS cannot be imported ({_cause}); torch searches in its place, more slowly. If "
            "CUDA's libraries are what is missing: `pip uninstall faiss-gpu`, then `pip install "
            "faiss-cpu`.",
        )
        return _by_torch(x, base, k, kind)
    if x.device.type != "cuda":
        found = faiss.knn(x.numpy(), base.numpy(), k, metric=_metric(kind))
        return torch.from_numpy(found[0]), torch.from_numpy(found[1])
    # faiss-cpu may stand beside a CUDA torch.
    if k > _MOST_ON_CUDA or not hasattr(faiss, "StandardGpuResources"):
        return _by_torch(x, base, k, kind)
    try:
        return _on_cuda(x, base, k, kind)
    except (ImportError, RuntimeError) as error:
        # It allocates scratch memory of its own, for which torch's cache may leave no room.
        _warn_once("cuda", f"FAISS failed on {x.device} ({error}); torch searches in its place.")
    return _by_torch(x, base, k, kind)


_warned: set[str] = set()


def _warn_once(about: str, message: str) -> None:
    if about not in _warned:
        _warned.add(about)
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def _metric(kind: Kind) -> Any:
    return faiss.METRIC_L2 if kind == "l2" else faiss.METRIC_INNER_PRODUCT


def _on_cuda(x: Tensor, base: Tensor, k: int, kind: Kind) -> tuple[Tensor, Tensor]:
    importlib.import_module("faiss.contrib.torch_utils")  # teaches FAISS to take tensors
    device = x.device.index
    with torch.cuda.device(x.device):  # FAISS works on the current device's current stream
        found: tuple[Tensor, Tensor] = faiss.knn_gpu(
            _resources(device), x, base, k, metric=_metric(kind), device=device
        )
    return found


@cache
def _resources(device: int) -> Any:
    """FAISS's scratch memory, one piece a device."""
    return faiss.StandardGpuResources()


def _by_torch(x: Tensor, base: Tensor, k: int, kind: Kind) -> tuple[Tensor, Tensor]:
    # Products are summed in float64: torch's float32 may be TF32 by a global switch.
    found = []
    wide = base.double()
    offset = wide.square().sum(1) / -2 if kind == "l2" else wide.new_zeros(len(wide))
    for rows in x.double().split(max(1, 2**24 // len(base))):
        values, indices = _largest(torch.addmm(offset, rows, wide.T), k)
        if kind == "l2":
            values = (rows.square().sum(1, keepdim=True) - 2 * values).clamp_(min=0)
        found.append((values.float(), indices))
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row [N, k], descending, and where; `scores` may be written over."""
    if k > 2:
        return scores.topk(k, dim=1)
    # A GPU's topk sorts, which for the one or two that a search of centres asks for takes longer
    # than all the products.
    found = [scores.max(dim=1, keepdim=True)]
    if k == 2:
        scores.scatter_(1, found[0].indices, -torch.inf)
        found.append(scores.max(dim=1, keepdim=True))
    return torch.cat([f.values for f in found], 1), torch.cat([f.indices for f in found], 1)
