"""A world small enough to see: images of four numbers, a small network, embeddings in a plane.

An image is a place on a grid, two numbers. A view of it is the place, moved a little, and two
numbers of noise that say nothing about the image: what a network has to see through. The
objectives are those of real training, from the same functions with the same weights.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ssl_companion.measures import NearestCentroid, effective_rank
from ssl_companion.training.config import ObjectiveConfig, RunConfig
from ssl_companion.training.model import batch_loss, teacher_momentum
from ssl_companion.training.runtime import derived_seed, generator

STEPS = (0, 2, 4, 6, 9, 14, 20, 40, 80, 130, 200)
_FRESH = 3  # of the shown views: they test, the others make the means


@dataclass(frozen=True)
class ToyConfig:
    """The toy world, and how its network is trained.

    Attributes:
        columns, rows: of the grid of images; the images are their product, N.
        width, height: of the grid. The wider side is the easier one to see through the noise.
        wobble: standard deviation by which a view moves the image's place. Views of
            neighbours overlap when it is not small against their distance.
        noise: standard deviation of the two numbers that say nothing.
        pairs: of views of each image in a step.
        shown: views V of each image that are kept, the same ones at every step.
        hidden: units in each of the two hidden layers.
        lr: learning rate of Adam.
        seed: of weights and views.
    """

    columns: int = 6
    rows: int = 4
    width: float = 3.0
    height: float = 2.0
    wobble: float = 0.15
    noise: float = 1.0
    pairs: int = 4
    shown: int = 12
    hidden: int = 64
    lr: float = 6e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("columns", 1), ("rows", 1), ("pairs", 1), ("hidden", 1),
                            ("shown", _FRESH + 1)):  # fmt: skip
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)!r}; expected {least} or more")
        for name in ("width", "height", "wobble", "noise"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: {getattr(self, name)!r}; expected 0 or more")
        if not self.lr > 0:
            raise ValueError(f"lr: {self.lr!r}; expected a positive number")
        if self.columns * self.rows < 2:
            raise ValueError("columns, rows: 1 and 1; expected two images or more")


@dataclass(frozen=True, eq=False)
class ToyRun:
    """What the network made of the shown views, at chosen steps.

    Attributes:
        steps: T of them, ascending; 0 is before training.
        embeddings: float32 [T, N, V, 2].
        terms: the objective's raw terms at each step: step, term, value.
    """

    steps: tuple[int, ...]
    embeddings: np.ndarray
    terms: pd.DataFrame

    def at(self, step: int) -> np.ndarray:
        """Embeddings [N, V, 2] after `step` steps.

        Raises:
            ValueError: they were not kept.
        """
        if step not in self.steps:
            raise ValueError(f"step: {step!r}; expected one of {self.steps}")
        kept: np.ndarray = self.embeddings[self.steps.index(step)]
        return kept

    def states(self) -> pd.DataFrame:
        """`cloud_state` of every kept step: step, measure, value."""
        rows = [
            {"step": step, "measure": measure, "value": value}
            for step, cloud in zip(self.steps, self.embeddings, strict=True)
            for measure, value in cloud_state(cloud).items()
        ]
        return pd.DataFrame(rows)


def cloud_state(cloud: np.ndarray) -> dict[str, float]:
    """Three numbers for embeddings [N, V, 2] of V views of N images.

    "ncc": share of the last three views of each image that are nearest to the mean of its
    other views (the sample level). "spread": standard deviation of an embedding dimension,
    root of the mean over the dimensions. "rank": effective rank of the variance, from 1 (a
    line) to 2 (a plane).
    """
    n, _, d = cloud.shape
    fit, fresh = cloud[:, :-_FRESH], cloud[:, -_FRESH:]
    rule = NearestCentroid().fit(fit.reshape(-1, d), np.repeat(np.arange(n), fit.shape[1]))
    flat = cloud.reshape(-1, d)
    return {
        "ncc": rule.score(fresh.reshape(-1, d), np.repeat(np.arange(n), _FRESH)),
        "spread": float(np.sqrt(flat.astype(np.float64).var(axis=0).mean())),
        "rank": effective_rank(flat, of="variance"),
    }


def train_toy(
    objective: ObjectiveConfig,
    config: ToyConfig | None = None,
    at: Sequence[int] = STEPS,
) -> ToyRun:
    """Train the small network on the toy world.

    Args:
        objective: any but "supervised"; factors of 0 leave terms out.
        config: the world and the training.
        at: steps to keep; the last one ends the training.

    Raises:
        ValueError: a supervised objective, or steps that are negative or too few.
    """
    config, steps = config or ToyConfig(), tuple(sorted(set(at)))
    if objective.name == "supervised":
        raise ValueError("objective: 'supervised'; expected one without labels")
    if not steps or steps[0] < 0:
        raise ValueError(f"at: {tuple(at)!r}; expected steps of 0 or more")
    network = _Network(config, objective)
    shown = _views(config, config.shown, generator(config.seed, "toy-shown", 0))
    kept, terms = [], []
    for step in range(steps[-1] + 1):
        if step in steps:
            kept.append(network.embed(shown))
        values = network.descend(step, steps[-1], learn=step < steps[-1])
        terms += [{"step": step, "term": name, "value": value} for name, value in values.items()]
    return ToyRun(steps, np.stack(kept), pd.DataFrame(terms))


class _Network:
    """The small network, its optimizer, and for BYOL its predictor and teacher."""

    def __init__(self, config: ToyConfig, objective: ObjectiveConfig) -> None:
        self.config, self.run = config, RunConfig(objective=objective)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derived_seed(config.seed, "toy"))
            self.body = _mlp(4, config.hidden)
            self.predictor = _mlp(2, config.hidden) if objective.name == "byol" else None
        trained = [*self.body.parameters()]
        trained += [] if self.predictor is None else [*self.predictor.parameters()]
        teacher = copy.deepcopy(self.body).requires_grad_(False)
        self.teacher = None if self.predictor is None else teacher
        self.optimizer = torch.optim.Adam(trained, lr=config.lr, fused=True)

    @torch.no_grad()
    def embed(self, shown: Tensor) -> np.ndarray:
        """[N * V, 4] -> float32 [N, V, 2]."""
        cloud: np.ndarray = self.body(shown).reshape(-1, self.config.shown, 2).numpy()
        return cloud

    def descend(self, step: int, steps: int, learn: bool) -> dict[str, float]:
        """The raw terms on a fresh batch and, if `learn`, one step down their sum."""
        stream = generator(self.config.seed, "toy-step", step)
        x = torch.cat([_views(self.config, self.config.pairs, stream) for _ in range(2)])
        z = self.body(x)
        outputs = (z,) if self.predictor is None else (z, self.predictor(z))
        target = None if self.teacher is None else self.teacher(x)
        loss = batch_loss(outputs, self.run, epoch=0, teacher=target)
        if learn:
            self.optimizer.zero_grad()
            loss.total.backward()
            self.optimizer.step()
            self._lead(teacher_momentum(step, steps, self.run.objective.momentum))
        return {name: float(value.detach()) for name, value in loss.terms.items()}

    @torch.no_grad()
    def _lead(self, momentum: float) -> None:
        """The teacher, if there is one, moves towards the network."""
        if self.teacher is not None:
            theirs: list[Tensor] = [*self.teacher.parameters()]
            ours: list[Tensor] = [*self.body.parameters()]
            torch._foreach_lerp_(theirs, ours, 1.0 - momentum)


def _mlp(d_in: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(d_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, 2),
    )  # fmt: skip


def _views(config: ToyConfig, n_views: int, stream: torch.Generator) -> Tensor:
    """`n_views` random views of every image in turn, [N * V, 4]."""
    across = torch.linspace(-config.width / 2, config.width / 2, config.columns)
    up = torch.linspace(-config.height / 2, config.height / 2, config.rows)
    places = torch.cartesian_prod(across, up).repeat_interleave(n_views, dim=0)
    moved = places + config.wobble * torch.randn(places.shape, generator=stream)
    return torch.cat([moved, config.noise * torch.randn(places.shape, generator=stream)], dim=1)
