"""A step that is captured and replayed is the step that it was captured from."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_companion.training import step as module
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.step import Captured

from .conftest import Make, after

VARIANTS: dict[str, dict[str, Any]] = {
    "vicreg": {},
    "simclr": {"name": "sgd", "lr": 0.05},
    "barlow_twins": {"name": "adamw", "lr": 1e-3},
    "byol": {},
    "supervised": {"name": "sgd", "lr": 0.05},
}


class Frozen:
    """A CUDA graph as far as a CPU has it: from the third call on, everything that is no tensor,
    and every place where a tensor stands, is what it was then."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        self.calls += 1
        if self.calls < 3:
            return function(*inputs)
        descent: module.Descent = function.__self__  # type: ignore[attr-defined]
        groups = descent.optimizer.param_groups
        if self.calls == 3:
            self.inputs = [given.clone() for given in inputs]
            self.attributes = dict(vars(descent))
            self.rates = [group["lr"] for group in groups]
        now = dict(vars(descent))
        for static, given in zip(self.inputs, inputs, strict=True):
            static.copy_(given)
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate
        vars(descent).update(self.attributes)
        try:
            return function(*self.inputs).clone()
        finally:
            vars(descent).update(now)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are captured on the CPU, in a manner."""
    monkeypatch.setattr(module, "Captured", Frozen)
    monkeypatch.setattr(module, "_may_capture", lambda device: True)


SWITCHED = {"on": ObjectiveConfig(on_from=1), "off": ObjectiveConfig(on_until=2)}


@pytest.mark.parametrize("objective", [*VARIANTS, *SWITCHED])
@pytest.mark.usefixtures("captures")
def test_nothing_in_a_step_depends_on_numbers_that_change_but_a_switch_which_is_captured_anew(
    new_trainer: Make, objective: str
) -> None:
    config, fields = SWITCHED.get(objective, objective), VARIANTS.get(objective, {})
    plain, found = (
        after(new_trainer(config, capture=capture, **fields), 12) for capture in (False, True)
    )
    rtol, atol = (1e-4, 1e-6) if objective in SWITCHED else (1e-3, 2e-5)
    for part in ("terms", "learner", "teacher"):
        torch.testing.assert_close(found[part], plain[part], rtol=rtol, atol=atol)


@pytest.mark.usefixtures("captures")
def test_a_state_that_is_loaded_is_captured_anew(new_trainer: Make) -> None:
    trainer = new_trainer()
    after(trainer, 2)
    state = copy.deepcopy(trainer.state())
    expected = copy.deepcopy(after(trainer, 4)["learner"])
    before = trainer._descent._captured
    trainer.load(state)
    assert trainer._descent._captured is not before
    torch.testing.assert_close(after(trainer, 4)["learner"], expected)


def test_a_step_that_cannot_be_captured_goes_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Captured, function: Any, inputs: tuple[Tensor, ...]) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(Captured, "_capture", refuse)
    monkeypatch.setattr(Captured, "_aside", lambda self, function, *inputs: function(*inputs))
    total, captured = torch.zeros(1), Captured()

    def step(x: Tensor) -> Tensor:
        return captured(lambda given: total.add_(given).clone(), x)

    for n in range(module._WARM):
        assert step(torch.ones(1)).item() == n + 1
    with pytest.warns(RuntimeWarning, match="could not be captured in a CUDA graph .operation not"):
        step(torch.ones(1))
    for _ in range(3):
        step(torch.ones(1))
    assert total.item() == module._WARM + 4  # each step was taken once
    assert not captured.replays


def test_a_run_leaves_memory_as_soon_as_nobody_holds_it(
    new_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_may_capture", lambda device: True)
    monkeypatch.setattr(Captured, "_aside", lambda self, function, *inputs: function(*inputs))
    trainer = new_trainer()
    for _ in range(module._WARM):
        trainer.train_step()
    weight = weakref.ref(trainer.learner.head[0].weight)
    gc.disable()
    try:
        del trainer
        assert weight() is None  # without the garbage collector
    finally:
        gc.enable()
