"""One process or several: the same numbers.

Each process holds a slice of the global batch. Embeddings are gathered with their gradients,
so that every process sees the loss of the whole batch; batch normalisation sums its moments
over the processes. `DistributedDataParallel` then averages the gradients, which makes them
those of the global batch (`gather` below says why).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ssl_companion.training.objectives import widened

# The first process measures and writes while the others wait for it, which may take hours; one
# that has died is noticed by torchrun.
_PATIENCE = timedelta(hours=12)
_joined = itertools.count()  # how often this process has joined a group


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
    store, rank, size = _rendezvous()
    # What an earlier group of these processes left in the store would mislead a later one.
    own = dist.PrefixStore(f"ssl-companion-{next(_joined)}", store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=own, rank=rank, world_size=size, timeout=_PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


@functools.cache
def _rendezvous() -> tuple[dist.Store, int, int]:
    """The store of the processes that `torchrun` started, this one's rank, and their number."""
    store, rank, size = next(iter(dist.rendezvous("env://")))
    return store, rank, size


def wait_for_all() -> None:
    """Return when every process is here: what any of them wrote before can then be read."""
    if world()[1] > 1:
        dist.barrier()


# torch.distributed.nn.functional has both, but deprecates them from torch 2.15 on.


class _Gather(torch.autograd.Function):
    """Rows of all processes; backward sums the gradients and takes this process's rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(world()[1])]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return shard(summed)


class _Sum(torch.autograd.Function):
    """The sum over all processes; backward sums their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        summed = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


def gather(x: Tensor) -> Tensor:
    """Rows [N/W, D] of each of W processes, concatenated to [N, D] in all of them, with gradient.

    Backward sums the incoming gradients over the processes. Each process computes the same
    global loss, so its slice receives W times the gradient; averaging the parameters'
    gradients over the processes divides by W, and the global batch's gradient is left.
    """
    if world()[1] == 1:
        return x
    whole: Tensor = _Gather.apply(x.contiguous())
    return whole


def shard(x: Tensor) -> Tensor:
    """This process's rows of a global batch whose length divides by the number of processes."""
    rank, size = world()
    if len(x) % size:
        raise ValueError(f"batch: {len(x)} rows; expected a multiple of {size}, the processes")
    return x.view(size, -1, *x.shape[1:])[rank]


def largest(values: Sequence[float], device: torch.device) -> list[float]:
    """The largest that any process has of each value; all of them learn of it together."""
    if world()[1] == 1:
        return list(values)
    votes = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    found: list[float] = votes.tolist()
    return found


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether `flag` holds in at least one process; all of them learn of it together."""
    return bool(largest([flag], device)[0])


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
        mean = _Sum.apply(wide.sum(axes)) / count
        centred = wide - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / count
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


def data_parallel(module: nn.Module) -> nn.Module:
    """Average the gradients of `module` over the processes; one process: no change.

    Buffers are not sent around: synchronised batch normalisation keeps them equal.
    """
    if world()[1] == 1:
        return module
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {name: False}  # the same under its newer and its older name
    return DistributedDataParallel(module, **options)
