"""One process or several: the same numbers.

Each process holds a slice of the global batch. Embeddings are gathered with their gradients,
so that every process sees the loss of the whole batch; batch normalisation sums its moments
over the processes. `DistributedDataParallel` then averages the gradients, which makes them
those of the global batch (`gather` below says why).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_f
from torch import Tensor, nn

from ssl_companion.training._loss import widened


def world() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the group that `torchrun` describes, if any; yields this process's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def gather(x: Tensor) -> Tensor:
    """Rows [N/W, D] of each of W processes, concatenated to [N, D] in all of them, with gradient.

    Backward sums the incoming gradients over the processes. Each process computes the same
    global loss, so its slice receives W times the gradient; averaging the parameters'
    gradients over the processes divides by W, and the global batch's gradient is left.
    """
    if world()[1] == 1:
        return x
    return torch.cat(dist_f.all_gather(x.contiguous()))


def shard(x: Tensor) -> Tensor:
    """This process's rows of a global batch whose length divides by the number of processes."""
    rank, size = world()
    if len(x) % size:
        raise ValueError(f"batch: {len(x)} rows do not divide among {size} processes")
    return x.view(size, -1, *x.shape[1:])[rank]


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether `flag` holds in at least one process; all of them learn of it together."""
    if world()[1] == 1:
        return flag
    votes = torch.tensor([float(flag)], device=device)
    dist.all_reduce(votes)
    return bool(votes.item() > 0)


class _SyncBatchNorm(nn.Module):
    """Batch normalisation over all processes, for devices that torch's SyncBatchNorm refuses.

    Holds the parameters and buffers of the layer that it replaces, under the same names.
    """

    def __init__(self, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps, self.momentum = layer.eps, layer.momentum if layer.momentum is not None else 0.1
        self.weight, self.bias = layer.weight, layer.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))

    def forward(self, x: Tensor) -> Tensor:
        buffers: Any = self
        if not self.training:
            return nn.functional.batch_norm(
                x, buffers.running_mean, buffers.running_var, self.weight, self.bias, eps=self.eps
            )
        axes = (0, *range(2, x.ndim))
        shape = (1, -1, *(1,) * (x.ndim - 2))
        wide = widened(x)
        count = wide.numel() / wide.shape[1] * world()[1]
        # Two passes (mean first, then squares about it): the one-pass difference cancels.
        mean = dist_f.all_reduce(wide.sum(axes)) / count
        centred = wide - mean.view(shape)
        variance = dist_f.all_reduce(centred.square().sum(axes)) / count
        with torch.no_grad():
            buffers.num_batches_tracked.add_(1)
            buffers.running_mean.lerp_(mean, self.momentum)
            buffers.running_var.lerp_(variance * count / (count - 1), self.momentum)
        y = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.weight is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)


def synchronise_batch_norm(module: nn.Module, device: torch.device) -> nn.Module:
    """Make every batch normalisation in `module` use the global batch; one process: no change."""
    if world()[1] == 1:
        return module
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return converted
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(module, name, _SyncBatchNorm(child))
        else:
            synchronise_batch_norm(child, device)
    return module
