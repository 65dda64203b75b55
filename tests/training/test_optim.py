"""LARS against its formula in loops and against lightly's; schedules against torch's."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.utils.lars import LARS as LightlyLARS
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from ssl_companion.training.optim import (
    LARS,
    OptimConfig,
    learning_rate,
    make_optimizer,
    parameter_groups,
)

SHAPES = ((3, 4), (2, 3, 2, 2), (5,))


def parameters(seed: int = 0, scale: float = 1.0) -> list[nn.Parameter]:
    g = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(s, generator=g, dtype=torch.float64) * scale) for s in SHAPES]


def gradients(step: int, scale: float = 1.0) -> list[Tensor]:
    g = torch.Generator().manual_seed(1000 + step)
    return [torch.randn(s, generator=g, dtype=torch.float64) * scale for s in SHAPES]


def descend(
    make: Callable[[list[nn.Parameter]], torch.optim.Optimizer], steps: int = 6, scale: float = 1.0
) -> list[Tensor]:
    """Where the parameters are after some steps along given gradients."""
    params = parameters()
    optimizer = make(params)
    for step in range(steps):
        for parameter, gradient in zip(params, gradients(step, scale), strict=True):
            parameter.grad = gradient
        optimizer.step()
    return [p.detach() for p in params]


def by_hand(
    lr: float, momentum: float, weight_decay: float, eta: float, adapt: bool, scale: float
) -> list[list[float]]:
    """The formula of the docstring, a number at a time."""
    result = []
    for index, parameter in enumerate(parameters()):
        w = parameter.detach().flatten().tolist()
        m = [0.0] * len(w)
        for step in range(6):
            g = gradients(step, scale)[index].flatten().tolist()
            u = [a + weight_decay * b for a, b in zip(g, w, strict=True)]
            size, length = (math.sqrt(math.fsum(x * x for x in v)) for v in (w, u))
            q = min(1.0, eta * size / length) if adapt and size > 0 and length > 0 else 1.0
            m = [momentum * a + q * b for a, b in zip(m, u, strict=True)]
            w = [a - lr * b for a, b in zip(w, m, strict=True)]
        result.append(w)
    return result


# With gradients of 0.01 the trust ratio is clipped at 1, with 1 and 100 it is not.
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("adapt", [True, False])
def test_lars_is_its_formula(scale: float, weight_decay: float, adapt: bool) -> None:
    settings_ = {"lr": 0.3, "momentum": 0.9, "weight_decay": weight_decay, "eta": 0.05}
    ours = descend(lambda p: LARS(p, adapt=adapt, **settings_), scale=scale)
    for mine, theirs in zip(ours, by_hand(**settings_, adapt=adapt, scale=scale), strict=True):
        expected = torch.tensor(theirs, dtype=torch.float64).view(mine.shape)
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-12)


def test_lars_is_lightlys_where_nothing_is_clipped_or_decays() -> None:
    # lightly adapts only what decays, so it decays by next to nothing there.
    ours = descend(lambda p: LARS(p, lr=0.3, momentum=0.9, eta=0.02))
    theirs = descend(
        lambda p: LightlyLARS(
            p, lr=0.3, momentum=0.9, weight_decay=1e-30, trust_coefficient=0.02, eps=0.0
        )
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_lars_without_adaptation_is_torchs_sgd(momentum: float, weight_decay: float) -> None:
    fields = {"lr": 0.1, "momentum": momentum, "weight_decay": weight_decay}
    ours = descend(lambda p: LARS(p, adapt=False, **fields))
    theirs = descend(lambda p: torch.optim.SGD(p, **fields))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(1.0, 1e6))
def test_an_adapted_step_does_not_see_the_gradients_scale(factor: float) -> None:
    once = descend(lambda p: LARS(p, lr=0.3, eta=0.02))
    scaled = descend(lambda p: LARS(p, lr=0.3, eta=0.02), scale=factor)
    for a, b in zip(once, scaled, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_a_norm_of_0_means_an_unscaled_step_and_no_gradient_none() -> None:
    zero, still, left = (nn.Parameter(torch.full((3,), value)) for value in (0.0, 1.0, 1.0))
    zero.grad, still.grad = torch.tensor([3.0, 0.0, 4.0]), torch.zeros(3)
    optimizer = LARS([zero, still, left], lr=0.1, eta=0.02)
    optimizer.step()
    torch.testing.assert_close(zero.detach(), torch.tensor([-0.3, 0.0, -0.4]))
    assert torch.equal(still.detach(), torch.ones(3))
    assert torch.equal(left.detach(), torch.ones(3))
    assert left not in optimizer.state


def test_the_closure_is_evaluated_with_gradient() -> None:
    parameter = nn.Parameter(torch.tensor([2.0]))
    optimizer = LARS([parameter], lr=0.1, adapt=False)

    def closure() -> float:
        loss = parameter.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 4.0
    torch.testing.assert_close(parameter.detach(), torch.tensor([1.6]))


def test_lars_goes_on_from_its_state() -> None:
    params = parameters()
    optimizer = LARS(params, lr=0.3)
    for step in range(3):
        for p, g in zip(params, gradients(step), strict=True):
            p.grad = g
        optimizer.step()
    copies = [nn.Parameter(p.detach().clone()) for p in params]
    resumed = LARS(copies, lr=99.0)  # the state brings its own
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for some, one in ((params, optimizer), (copies, resumed)):
        for p, g in zip(some, gradients(3), strict=True):
            p.grad = g
        one.step()
    for a, b in zip(params, copies, strict=True):
        assert torch.equal(a, b)


# --- groups and configuration ------------------------------------------------------------


def network() -> nn.Sequential:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    net[3].bias.requires_grad_(False)
    return net


def test_matrices_and_filters_decay_and_adapt_the_rest_does_not() -> None:
    net = network()
    names = {parameter: name for name, parameter in net.named_parameters()}
    decaying, other = parameter_groups(net, 0.1)
    assert [names[p] for p in decaying["params"]] == ["0.weight", "3.weight"]
    assert [names[p] for p in other["params"]] == ["0.bias", "1.weight", "1.bias"]
    assert (decaying["weight_decay"], decaying["adapt"]) == (0.1, True)
    assert (other["weight_decay"], other["adapt"]) == (0.0, False)


@pytest.mark.parametrize(
    ("name", "kind"), [("lars", LARS), ("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)]
)
def test_each_name_makes_its_optimizer_with_the_configured_values(name: str, kind: type) -> None:
    config = OptimConfig(name, lr=0.5, weight_decay=0.2, momentum=0.7, eta=0.1)  # type: ignore[arg-type]
    optimizer = make_optimizer(network(), config)
    assert type(optimizer) is kind
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]
    assert all(group["lr"] == 0.5 for group in optimizer.param_groups)
    if name != "adamw":
        assert all(group["momentum"] == 0.7 for group in optimizer.param_groups)
    if name == "lars":
        assert [group["adapt"] for group in optimizer.param_groups] == [True, False]
        assert all(group["eta"] == 0.1 for group in optimizer.param_groups)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("lr", 0.0, "a positive number"),
        ("lr", -0.1, "a positive number"),
        ("lr", math.nan, "a positive number"),
        ("lr", math.inf, "a positive number"),
        ("eta", 0.0, "a positive number"),
        ("weight_decay", -1e-4, "0 or more"),
        ("weight_decay", math.nan, "0 or more"),
        ("warmup_epochs", -1.0, "0 or more"),
        ("warmup_epochs", math.inf, "0 or more"),
        ("momentum", 1.0, r"a number in \[0, 1\)"),
        ("momentum", -0.1, r"a number in \[0, 1\)"),
        ("momentum", math.nan, r"a number in \[0, 1\)"),
        ("name", "adam", "'lars', 'sgd' or 'adamw'"),
    ],
)
def test_configurations_that_make_no_sense(field: str, value: object, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: .*expected {expected}"):
        OptimConfig(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lr: -1; expected 0 or more"):
        LARS([nn.Parameter(torch.ones(1))], lr=-1)


# --- the schedule ------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "warmup"), [(40, 10), (7, 2), (100, 1)])
def test_the_schedule_is_that_of_torchs_schedulers(steps: int, warmup: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.3)
    ramp = LinearLR(optimizer, 1 / warmup, total_iters=max(1, warmup - 1))
    fall = CosineAnnealingLR(optimizer, T_max=steps - warmup)
    scheduler = SequentialLR(optimizer, [ramp, fall], milestones=[warmup])
    for step in range(steps):
        ours = learning_rate(step, steps, warmup, 0.3)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        scheduler.step()


@given(steps=st.integers(1, 500), data=st.data(), peak=st.floats(1e-6, 1e3))
def test_the_rate_stays_between_0_and_the_peak(
    steps: int, data: st.DataObject, peak: float
) -> None:
    warmup = data.draw(st.integers(0, steps))
    rates = [learning_rate(step, steps, warmup, peak) for step in range(steps)]
    assert all(0 < rate <= peak * (1 + 1e-12) for rate in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert rates[max(warmup - 1, 0)] == pytest.approx(peak)  # the end of the warm-up
