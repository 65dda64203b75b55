"""Checkers of the chapter "Self-supervision in brief"."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from ssl_companion.chapters.exercises import (
    ELSE,
    NotYet,
    array_of,
    call,
    checker,
    near,
    plain_config,
)
from ssl_companion.training import objectives
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.toy import ToyConfig, cloud_state, train_toy

_SLACK = 1e-4


@checker
def check_collapsed(collapsed_loss: Any) -> str:
    """VICReg's total when all embeddings are one point."""
    point = torch.ones(8, 3)
    expected = float(objectives.vicreg(point, point).total)
    hints = {
        0: "the invariance term is 0 there, and so is the covariance term. And the variance term?",
        expected / 25: "that is the variance term; in the total it has a weight.",
        2 * expected: "the variance term is a mean over the two views, not a sum.",
        25: "nearly right: do not forget the small number under the root.",
        ELSE: "put a standard deviation of 0 into each of the three terms, then weight them.",
    }
    near(collapsed_loss, expected, hints, 1e-3)
    return (
        f"{expected:g}. Collapse is the cheapest way to reach perfect invariance, and it costs "
        f"{expected:g}: anything else that the network does only has to be cheaper than that."
    )


@checker
def check_variance(variance: Any) -> str:
    """The variance term, written by the reader."""
    stream = torch.Generator().manual_seed(0)
    scales = ((50, 3.0), (3, 0.5), (50, 0.3), (50, torch.tensor([3.0, 0.3, 3.0, 0.3])))
    wide, few, narrow, mixed = (s * torch.randn(n, 4, generator=stream) for n, s in scales)
    cases = {
        "one point, nothing varies: put a variance of 0 into the formula.": torch.ones(50, 4),
        "a wide cloud: a dimension that is wide enough costs nothing, and a wider one earns "
        "nothing. Where is the hinge?": wide,
        "three samples: with few samples it matters that the variance divides by N - 1.": few,
        "a narrow cloud: compare the standard deviation of each dimension with 1, then average.":
        narrow,
        "a cloud that is wide along some dimensions only: a wide dimension must not make up for a "
        "narrow one, so the hinge comes before the mean.": mixed,
    }  # fmt: skip
    for words, z in cases.items():
        expected = float(objectives.variance_term(z))
        hints = _slips_of_a_point(expected) if not z.var() else _slips_of_a_cloud(z)
        near(call(variance, z), expected, {**hints, ELSE: f"on {words}"}, _SLACK)
    return (
        "above a standard deviation of 1, the hinge is zero. The term rewards *enough* variance, "
        "never more, and so leaves the rest to the invariance term."
    )


def _slips_of_a_point(expected: float) -> dict[Any, str]:
    root = "on one point: the small number belongs inside the root, with the variance."
    return {
        1.0: root,  # without the small number
        1 - 1e-4: root,  # beside the root, or no root at all
        4 * expected: "take the mean over the dimensions, not the sum.",
        expected**2: "the shortfall is not squared.",
        25 * expected: "that includes the weight in the objective; give the term alone.",
        expected / 2: "the half belongs to the mean over the two views; here is only one.",
        2 * expected: "that counts two views; here is only one.",
    }


def _slips_of_a_cloud(z: Tensor) -> dict[Any, str]:
    def term(variance: Tensor) -> float:
        return float((1 - (variance + 1e-4).sqrt()).clamp(min=0).mean())

    each = "each dimension has its own standard deviation, and the hinge comes before the mean."
    return {
        term(z.var(dim=1)): "that is the variance of the numbers within one embedding; take the "
        "variance of each dimension over the batch.",
        term(z.var()): each,
        term(z.var(dim=0).mean()): each,
    }


@checker
def check_line(cloud: Any) -> str:
    """Embeddings that please invariance and variance and lie on a line."""
    z = torch.from_numpy(array_of(cloud))
    if z.ndim != 2 or z.shape[1] != 2 or len(z) < 8 or not bool(torch.isfinite(z).all()):
        raise NotYet(f"expected finite numbers [N, 2] with N of 8 or more; got {tuple(z.shape)}.")
    terms = {name: float(value) for name, value in objectives.vicreg(z, z).terms.items()}
    if not all(map(math.isfinite, terms.values())):
        raise NotYet("the numbers are so large that the covariance overflows; use smaller ones.")
    if terms["variance"] > _SLACK:
        raise NotYet(
            f"the variance term is {terms['variance']:.3f}; make every dimension wide enough."
        )
    rank = cloud_state(z.float().numpy()[:, None].repeat(4, axis=1))["rank"]
    if rank > 1.01:
        raise NotYet(
            f"the variance is spread over {rank:.2f} dimensions. A curve still has more than one; "
            "a straight line has exactly one."
        )
    along = torch.linalg.svd(z - z.mean(dim=0), full_matrices=False).Vh[0]
    rest = z - z.mean(dim=0) - torch.outer((z - z.mean(dim=0)) @ along, along)
    off = float(rest.norm(dim=1).max())
    if off > 0.05 + 1e-6 * float(z.abs().max()):  # to float32's precision
        raise NotYet(
            f"a few distant points define the line, and others lie up to {off:.2f} away from it. "
            "All of them should lie on it."
        )
    return (
        f"invariance 0, variance {terms['variance']:.3f}, and yet one dimension carries all there "
        f"is. Only the covariance term ({terms['covariance']:.2f}) detects this: it is there for "
        "nothing else."
    )


@checker
def check_nt_xent(nt_xent: Any) -> str:
    """SimCLR's loss as one cross-entropy."""
    stream = torch.Generator().manual_seed(1)
    z1, z2 = (torch.randn(6, 3, generator=stream) for _ in range(2))
    for temperature in (1.0, 0.1):
        expected = objectives.simclr(z1, z2, temperature=temperature)
        hints = {
            _with_itself(z1, z2, temperature): "a view must not be able to choose itself: remove "
            "the diagonal.",
            float(expected.terms["alignment"]): "that is the alignment; the denominator of the "
            "softmax is still missing.",
            ELSE: f"at temperature {temperature:g} another value was expected: unit vectors, "
            "cosines divided by the temperature, and for each of the 2N views a classification: "
            "which of the others is its partner?",
        }
        near(call(nt_xent, z1, z2, temperature), float(expected.total), hints, 1e-3)
    return (
        "the loss is a classification with 2N - 1 choices, and the images are its classes. The "
        "logarithm of the softmax splits it: the numerator is the alignment, the denominator the "
        "uniformity."
    )


def _with_itself(z1: Tensor, z2: Tensor, temperature: float) -> float:
    """The likely slip: every view may choose itself."""
    n = len(z1)
    u = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    target = torch.arange(2 * n).roll(n)
    return float(torch.nn.functional.cross_entropy(u @ u.T / temperature, target))


@checker
def check_world(world: Any) -> str:
    """A toy world in which invariance alone finds the images."""
    world, usual = plain_config(world, ToyConfig), ToyConfig()
    if (world.lr, world.hidden, world.pairs) != (usual.lr, usual.hidden, usual.pairs):
        raise NotYet("leave the network and its training as they are: change the world.")
    if world.noise < usual.noise:
        raise NotYet("leave the noise as large as it is; without it the task is trivial.")
    if world.columns * world.rows < usual.columns * usual.rows:
        raise NotYet("with fewer images there are fewer to confuse: keep them all.")
    if world.columns * world.rows * world.shown > 10 * usual.columns * usual.rows * usual.shown:
        raise NotYet("so large a world takes too long; the answer needs no more images.")
    was, now = (dataclasses.asdict(config) for config in (usual, world))
    if len(changed := [name for name in was if was[name] != now[name]]) > 1:
        raise NotYet(f"change one setting, not {' and '.join(changed)}: which of them did it?")
    try:
        run = train_toy(ObjectiveConfig(regularizer=0), world, (0, 200))
        first, last = (cloud_state(cloud) for cloud in run.embeddings)
    except (TypeError, ValueError, RuntimeError) as error:
        raise NotYet(f"nothing can be trained in this world: {error}") from error
    if last["ncc"] < 0.5:
        raise NotYet(
            f"after 200 steps {last['ncc']:.0%} of the fresh views find their image. Invariance "
            "pulls together all points that can be views of one image, and here the views of "
            "neighbours overlap. Which setting makes them overlap?"
        )
    return (
        f"from {first['ncc']:.0%} to {last['ncc']:.0%} without any regularizer. Where views of "
        "different images never overlap, seeing through the noise is enough for invariance. It is "
        "the overlap that leads to collapse: images are drawn to their neighbours until all are in "
        "one place. With photographs, nobody can promise that crops of two pictures never look "
        "alike."
    )
