"""The one door to FAISS: exact k-nearest search on tensors, on the CPU or on CUDA."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, Literal

import faiss
import torch
from torch import Tensor

Kind = Literal["l2", "inner-product"]


def nearest(x: Tensor, base: Tensor, k: int, kind: Kind = "l2") -> tuple[Tensor, Tensor]:
    """The k rows of `base` [K, D] nearest to each row of `x` [N, D], both float32, best first.

    Returns:
        Squared distances (kind "l2", ascending) or inner products ("inner-product",
        descending), float32 [N, k], and row numbers, int64 [N, k].
    """
    x, base = x.contiguous(), base.contiguous()
    if x.device.type != "cuda":
        found = faiss.knn(x.numpy(), base.numpy(), k, metric=_metric(kind))
        return torch.from_numpy(found[0]), torch.from_numpy(found[1])
    if not hasattr(faiss, "StandardGpuResources"):  # faiss-cpu beside a CUDA torch
        return _by_torch(x, base, k, kind)
    importlib.import_module("faiss.contrib.torch_utils")  # teaches FAISS to take tensors
    device = x.device.index
    with torch.cuda.device(x.device):  # FAISS works on the current device's current stream
        return faiss.knn_gpu(_resources(device), x, base, k, metric=_metric(kind), device=device)


def _metric(kind: Kind) -> Any:
    return faiss.METRIC_L2 if kind == "l2" else faiss.METRIC_INNER_PRODUCT


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
        values, indices = torch.addmm(offset, rows, wide.T).topk(k, dim=1)
        if kind == "l2":
            values = (rows.square().sum(1, keepdim=True) - 2 * values).clamp_(min=0)
        found.append((values.float(), indices))
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])
