"""What is trained, and how a configuration becomes a loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ssl_companion.training import objectives
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.model import Learner, Teacher, batch_loss, projector, teacher_momentum

from .conftest import Make


def embeddings(count: int = 1, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return [torch.randn((12, 5), generator=g).to(dtype) for _ in range(count)]


def test_a_projector_has_no_bias_that_normalisation_would_cancel() -> None:
    kinds = [type(layer).__name__ for layer in projector(4, 8)]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert all(layer.bias is None for layer in projector(4, 8) if isinstance(layer, nn.Linear))
    assert projector(4, 8)(torch.ones((3, 4))).shape == (3, 8)


@pytest.mark.parametrize("objective", ["vicreg", "byol", "supervised"])
def test_outputs(tiny: Make, objective: str) -> None:
    outputs = Learner(tiny(objective), classes=7)(torch.randn((6, 3, 16, 16)))
    widths = {"vicreg": [8], "byol": [8, 8], "supervised": [7]}[objective]
    assert [tuple(o.shape) for o in outputs] == [(6, width) for width in widths]


def test_the_seed_decides_backbone_and_head_and_nothing_global_does(tiny: Make) -> None:
    before = torch.get_rng_state()
    first, again, other = (Learner(tiny(seed=s)).state_dict() for s in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    for key in ("backbone.stem.0.weight", "head.0.weight"):
        assert not torch.equal(first[key], other[key])


# --- the loss that a configuration asks for ----------------------------------------------


@pytest.mark.parametrize(
    ("name", "factors", "weights"),
    [
        ("simclr", {}, {"alignment": 0.2, "uniformity": 3.0}),
        ("barlow_twins", {}, {"invariance": 0.2, "redundancy": 0.015}),
        ("vicreg", {}, {"invariance": 5.0, "variance": 75.0, "covariance": 3.0}),
        ("vicreg", {"variance": 0.5, "covariance": 2.0},
         {"invariance": 5.0, "variance": 37.5, "covariance": 6.0}),
    ],
)  # fmt: skip
def test_factors_scale_the_recipe_and_the_regularizer_is_off_outside_its_epochs(
    tiny: Make, name: str, factors: dict[str, float], weights: dict[str, float]
) -> None:
    kind = ObjectiveConfig(name, 0.2, regularizer=3.0, on_from=1, on_until=3, **factors)  # type: ignore[arg-type]
    (z,) = embeddings()
    first = next(iter(weights))
    for epoch, on in enumerate([False, True, True, False]):
        loss = batch_loss((z,), tiny(kind), epoch)
        assert loss.terms.keys() == weights.keys()
        expected = sum(weights[n] * term for n, term in loss.terms.items() if on or n == first)
        torch.testing.assert_close(loss.total, torch.as_tensor(expected))


def test_simclrs_temperature_and_supervisions_labels_for_both_views_arrive(tiny: Make) -> None:
    (z,) = embeddings()
    found = batch_loss((z,), tiny(ObjectiveConfig("simclr", temperature=0.07)), 0)
    assert torch.equal(found.total, objectives.simclr(*z.chunk(2), temperature=0.07).total)
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    loss = batch_loss((z,), tiny("supervised"), 0, labels)
    halves = [nn.functional.cross_entropy(half, labels) for half in z.chunk(2)]
    torch.testing.assert_close(loss.total, (halves[0] + halves[1]) / 2)


def test_byol_compares_each_view_with_the_teachers_other(tiny: Make) -> None:
    z, prediction, teacher = embeddings(3)
    loss = batch_loss((z, prediction), tiny("byol"), 0, teacher=teacher)
    (p1, p2), (t1, t2) = prediction.chunk(2), teacher.chunk(2)
    cosine = nn.functional.cosine_similarity
    expected = 4 - 2 * (cosine(p1, t2).mean() + cosine(p2, t1).mean())
    torch.testing.assert_close(loss.total, expected)


def test_the_loss_is_computed_in_float32_within_autocast(tiny: Make) -> None:
    (z,) = embeddings(dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = batch_loss((z,), tiny(), 0)
    assert loss.total.dtype == torch.float32
    assert torch.equal(loss.total, batch_loss((z.float(),), tiny(), 0).total)


# --- the teacher -------------------------------------------------------------------------


def test_the_teacher_begins_as_the_student_and_follows_it(tiny: Make) -> None:
    learner = Learner(tiny("byol"))
    teacher = Teacher(learner)
    students = [*learner.backbone.parameters(), *learner.head.parameters()]
    pairs = list(zip(teacher.parameters(), students, strict=True))
    assert all(torch.equal(t, s) and t is not s for t, s in pairs)
    assert not any(t.requires_grad for t, _ in pairs)
    old = [t.clone() for t, _ in pairs]
    with torch.no_grad():
        for s in students:
            s.add_(1.0)
    teacher.follow(learner, 0.9)
    for (t, s), before in zip(pairs, old, strict=True):
        torch.testing.assert_close(t.detach(), 0.9 * before + 0.1 * s.detach())
    assert teacher(torch.randn((4, 3, 16, 16))).requires_grad is False


def test_the_teachers_momentum_rises_to_1() -> None:
    values = [teacher_momentum(step, 10, 0.99) for step in range(11)]
    assert values[0] == pytest.approx(0.99)
    assert values[5] == pytest.approx(0.995)
    assert values[10] == 1.0
    assert values == sorted(values)
