"""What is trained, a backbone with a projector and BYOL's teacher, and the loss that trains it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ssl_companion.training import objectives
from ssl_companion.training.backbones import make_backbone
from ssl_companion.training.config import ObjectiveConfig, RunConfig
from ssl_companion.training.distributed import gather
from ssl_companion.training.objectives import Loss, Weight, widened
from ssl_companion.training.runtime import derived_seed


class Learner(nn.Module):
    """Backbone and head; `forward` maps both views of a batch to what the loss needs.

    Args:
        config: the run's configuration.
        classes: number K of classes, for the supervised control.
        pad_to: see `backbones.ResLH`.
    """

    def __init__(self, config: RunConfig, classes: int = 100, pad_to: int = 1) -> None:
        super().__init__()
        self.objective = config.objective.name
        self.backbone = make_backbone(
            config.backbone, seed=derived_seed(config.seed, "backbone"), pad_to=pad_to
        )
        width = config.projector_width
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derived_seed(config.seed, "head"))
            if self.objective == "supervised":
                self.head: nn.Module = nn.Linear(self.backbone.width, classes)
            else:
                self.head = projector(self.backbone.width, width)
            self.predictor = projector(width, width, layers=2) if self.objective == "byol" else None

    def forward(self, views: Tensor) -> tuple[Tensor, ...]:
        """[2N, 3, H, W] -> (embeddings,) or, for BYOL, (embeddings, predictions), each [2N, D]."""
        z = self.head(self.backbone(views))
        return (z,) if self.predictor is None else (z, self.predictor(z))


def projector(d_in: int, width: int, layers: int = 3) -> nn.Sequential:
    """Linear-BN-ReLU blocks and a last Linear; no layer has a bias that BN would cancel."""
    parts: list[nn.Module] = []
    for _ in range(layers - 1):
        parts += [nn.Linear(d_in, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        d_in = width
    return nn.Sequential(*parts, nn.Linear(d_in, width, bias=False))


class Teacher(nn.Module):
    """BYOL's teacher: an exponential moving average of the student, without gradient."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(learner.backbone)
        self.head = copy.deepcopy(learner.head)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, views: Tensor) -> Tensor:
        """[2N, 3, H, W] -> embeddings [2N, D]."""
        z: Tensor = self.head(self.backbone(views))
        return z

    @torch.no_grad()
    def follow(self, learner: Learner, momentum: float | Tensor) -> None:
        """teacher = momentum * teacher + (1 - momentum) * student, parameters only."""
        student: list[Tensor] = [*learner.backbone.parameters(), *learner.head.parameters()]
        teacher: list[Tensor] = [*self.parameters()]
        if isinstance(momentum, Tensor):  # torch's lerp would ask the device for its value
            away = torch._foreach_sub(student, teacher)
            torch._foreach_add_(teacher, torch._foreach_mul(away, 1.0 - momentum))
        else:
            torch._foreach_lerp_(teacher, student, 1.0 - momentum)


def teacher_momentum(step: int, steps: int, start: float) -> float:
    """From `start` up to 1 along a half cosine (Grill et al., arXiv:2006.07733, section 3.2)."""
    return 1.0 - (1.0 - start) * (math.cos(math.pi * step / steps) + 1) / 2


def term_weights(kind: ObjectiveConfig, epoch: int = 0) -> dict[str, float]:
    """The weight of each term in the objective's total during `epoch` (from 0), by name."""
    factor = kind.regularizer_at(epoch)
    if kind.name == "vicreg":
        return {
            "invariance": 25.0 * kind.invariance,
            "variance": 25.0 * factor * kind.variance,
            "covariance": 1.0 * factor * kind.covariance,
        }
    if kind.name == "simclr":
        return {"alignment": kind.invariance, "uniformity": factor}
    if kind.name == "barlow_twins":
        return {"invariance": kind.invariance, "redundancy": 5e-3 * factor}
    return {"cross_entropy" if kind.name == "supervised" else "invariance": 1.0}


def batch_loss(
    outputs: tuple[Tensor, ...],
    config: RunConfig,
    epoch: int = 0,
    labels: Tensor | None = None,
    teacher: Tensor | None = None,
    weights: Mapping[str, Weight] | None = None,
) -> Loss:
    """The objective on the *global* batch.

    Args:
        outputs: what `Learner.forward` gave for this process's slice, [2N/W, D] each.
        config: the run's.
        epoch: number of the epoch, from 0, for a regularizer that is switched.
        labels: [N/W] class labels (supervised).
        teacher: the teacher's embeddings of the slice, [2N/W, D] (BYOL).
        weights: of the terms, in place of those of `config` in `epoch`; as tensors, they may
            change without another compilation. BYOL and the supervised control have one term, of
            weight 1.
    """
    kind = config.objective
    weights = term_weights(kind, epoch) if weights is None else weights
    # Out of autocast: the terms are computed in float32 at least, or they overflow.
    with torch.autocast(outputs[0].device.type, enabled=False):
        wide = [widened(output) for output in outputs]
        z1, z2 = (gather(half) for half in wide[0].chunk(2))
        if kind.name == "supervised":
            assert labels is not None
            both = gather(labels)
            return objectives.supervised(torch.cat([z1, z2]), torch.cat([both, both]))
        if kind.name == "byol":
            assert teacher is not None
            p1, p2 = (gather(half) for half in wide[1].chunk(2))
            t1, t2 = (_partner(gather(half), kind) for half in widened(teacher).chunk(2))
            return objectives.byol(p1, p2, t1, t2)
        z2 = _partner(z2, kind)
        by_name: dict[str, Any] = dict(weights)
        if kind.name == "vicreg":
            return objectives.vicreg(z1, z2, **by_name)
        if kind.name == "simclr":
            return objectives.simclr(z1, z2, temperature=kind.temperature, **by_name)
        return objectives.barlow_twins(z1, z2, **by_name)


def _partner(z: Tensor, kind: ObjectiveConfig) -> Tensor:
    """What a row's first view is compared with: the second view of its own image, or (shuffled)
    that of the image before it in the batch, which is another one in every epoch."""
    return z.roll(1, dims=0) if kind.positives == "shuffled" else z
