"""LARS, the parameter groups that every optimizer here shares, and the schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ssl_companion.training.config import OptimConfig as OptimConfig


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman, Ginsburg, arXiv:1708.03888).

    For each parameter w with gradient g, in a group with `adapt`:
    u = g + weight_decay * w, q = min(1, eta |w| / |u|) (1 where either norm is 0),
    m = momentum * m + q * u, w = w - lr * m. Groups without `adapt` take q = 1.

    The update is written with the multi-tensor operations of torch: a step is a few kernels,
    however many parameters there are, and one more for each matrix or filter that adapts (torch
    fuses no multiplication of each tensor by a number of its own on the device).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eta: float = 0.02,
        adapt: bool = True,
    ) -> None:
        if not lr >= 0:
            raise ValueError(f"lr: {lr!r}; expected 0 or more")
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eta": eta,
             "adapt": adapt},
        )  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(group, params)
        return loss

    def _update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        updates = tuple(p.grad for p in params if p.grad is not None)
        if group["weight_decay"] != 0:
            updates = torch._foreach_add(updates, params, alpha=group["weight_decay"])
        if group["adapt"]:
            sizes = torch.stack(torch._foreach_norm(params))
            steps = torch.stack(torch._foreach_norm(updates))
            trust = torch.where((sizes > 0) & (steps > 0), group["eta"] * sizes / steps, 1.0)
            updates = torch._foreach_mul(updates, trust.clamp(max=1.0).unbind())
        momenta = []
        for parameter in params:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            momenta.append(state["momentum"])
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, updates)
        if isinstance(group["lr"], Tensor):  # of which alpha would ask the device
            torch._foreach_sub_(params, torch._foreach_mul(momenta, group["lr"]))
        else:
            torch._foreach_add_(params, momenta, alpha=-group["lr"])


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and filters decay and adapt; biases and normalisation do neither."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay, "adapt": True},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0, "adapt": False},
    ]


def make_optimizer(module: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimizer that `config` describes, over the parameters of `module`."""
    groups = parameter_groups(module, config.weight_decay)
    if config.name == "lars":
        return LARS(groups, lr=config.lr, momentum=config.momentum, eta=config.eta)
    for group in groups:
        del group["adapt"]
    on_cuda = next(module.parameters()).is_cuda
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=on_cuda)
    return torch.optim.AdamW(groups, lr=config.lr, fused=on_cuda, capturable=on_cuda)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """`load_state_dict`, but that how a step is taken stays as this optimizer has it.

    A checkpoint has the flags of the optimizer that it was made of, on whatever device.
    """
    ways = [{k: g[k] for k in _WAYS if k in g} for g in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, way in zip(optimizer.param_groups, ways, strict=True):
        group.update(way)


_WAYS = ("fused", "foreach", "capturable")


def set_rate(optimizer: torch.optim.Optimizer, rate: float | Tensor) -> None:
    """Let every group descend at `rate`; a tensor on the device may change between replays."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up to `peak` over `warmup` steps, then a half cosine down to 0 at `steps`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
