"""Compiled, the loop computes what it computes without; and one run cannot spoil another."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import Tensor

from ssl_companion.training import runtime as module
from ssl_companion.training import step as descent_module
from ssl_companion.training import trainer as loop_module
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.runtime import compiled_once, hindrance, to_compile

from .conftest import CPU, CUDA, OBJECTIVES, Make, after


class Counting:
    """A backend of torch.compile that runs what it is given, and notes what it is asked for."""

    def __init__(self) -> None:
        self.batches: list[int] = []  # images in each

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.batches += [len(x) for x in inputs if x.shape[1:] == (3, 16, 16)]
        return graph.forward


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    forget()
    backend = Counting()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    with torch._dynamo.config.patch(error_on_recompile=True):
        yield backend
    forget()


def forget() -> None:
    """What was compiled in this process before."""
    torch.compiler.reset()
    compiled_once.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "backend"),
    [*((objective, "aot_eager") for objective in OBJECTIVES), ("vicreg", "inductor")],
)
def test_compiled_it_computes_the_same(
    new_trainer: Make, monkeypatch: pytest.MonkeyPatch, objective: str, backend: str
) -> None:
    eager = after(new_trainer(objective, compile="no"), 3)
    forget()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    with torch._dynamo.config.patch(error_on_recompile=True):
        found = after(new_trainer(objective, compile="yes"), 3)
    forget()
    torch.testing.assert_close(found, eager, rtol=2e-3, atol=1e-4)


def test_any_number_of_shapes_one_after_another_and_side_by_side(
    new_trainer: Make, counting: Counting
) -> None:
    # That one is compiled *again* is an error here; torch gives a function up the ninth time.
    trainers = []
    for n in (2, 3, 4):
        trainers.append(
            new_trainer(backbone=f"res-1-{n}", batch=n, projector_width=2, compile="yes")
        )
        for _ in range(2):
            trainers[-1].train_step()
        # The views and the network, for this batch: no shape is taken as a variable.
        assert counting.batches == [2 * n] * 2
        counting.batches.clear()
    for trainer in trainers:
        trainer.train_step()
    assert not counting.batches


def test_runs_of_a_shape_share_what_was_compiled(new_trainer: Make, counting: Counting) -> None:
    switched = ObjectiveConfig(on_from=1)
    for objective in (ObjectiveConfig(), ObjectiveConfig(regularizer=0.2, invariance=3), switched):
        for seed in range(2):
            trainer = new_trainer(objective, seed=seed, compile="yes")
            assert trainer.run()
    assert counting.batches == [10, 10]  # the views and the network, once


def test_a_network_goes_though_what_was_compiled_for_it_stays(
    new_trainer: Make, counting: Counting
) -> None:
    trainer = new_trainer(compile="yes")
    trainer.train_step()
    weight = weakref.ref(trainer.learner.head[0].weight)
    del trainer
    gc.collect()
    assert weight() is None


def test_a_function_with_several_inputs(counting: Counting) -> None:
    def add(x: Tensor, y: Tensor) -> Tensor:
        return x + 2 * y

    one, two = compiled_once(add, 3), compiled_once(add, 4)
    assert compiled_once(add, 3) is one
    for n, function in ((3, one), (4, two), (3, one)):
        x = torch.rand((n, 3, 16, 16))
        torch.testing.assert_close(function(x, x + 1), 3 * x + 2)
    assert counting.batches == [3, 3, 4, 4]  # both inputs are images


def test_of_several_processes_only_the_views_are_compiled(
    new_trainer: Make, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descent_module, "world", lambda: (0, 5))
    trainer = new_trainer(ObjectiveConfig(), compile="yes")
    trainer.train_step()
    assert counting.batches == [10]


# --- whether at all ----------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """machine(capability, compiler, triton): a GPU from now on, and what is beside it."""

    def make(
        capability: tuple[int, int] = (8, 0), compiler: str = "gcc", triton: bool = True
    ) -> None:
        monkeypatch.delenv("CC", raising=False)
        if compiler.startswith("CC="):
            monkeypatch.setenv("CC", compiler[3:])
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(
            module.shutil, "which", lambda name: f"/bin/{name}" if name == compiler else None
        )
        monkeypatch.setattr("torch.utils._triton.has_triton", lambda: triton)

    return make


@pytest.mark.parametrize(
    ("gpu", "why"),
    [
        *(({"compiler": compiler}, "") for compiler in ("gcc", "clang", "CC=/opt/bin/cc")),
        ({"capability": (6, 1)}, "compute capability is 6.1"),
        ({"compiler": ""}, "neither gcc nor clang"),
        ({"triton": False}, "no Triton that works"),
        ({"module": None}, "no Triton that works"),
    ],
)
def test_auto_compiles_on_a_gpu_that_lacks_nothing(
    machine: Make, monkeypatch: pytest.MonkeyPatch, gpu: dict[str, Any], why: str
) -> None:
    machine(**{name: value for name, value in gpu.items() if name != "module"})
    if "module" in gpu:  # of a torch in which it is somewhere else
        monkeypatch.delattr("torch.utils._triton.has_triton")
    assert why in hindrance(CUDA)
    assert bool(why) == bool(hindrance(CUDA))
    assert to_compile("auto", CUDA) == (not why)
    assert to_compile("yes", CUDA)
    assert to_compile("yes", CPU)
    assert not to_compile("auto", CPU)
    assert not to_compile("no", CUDA)


@pytest.mark.parametrize("compiles", [True, False])
def test_the_loop_asks(
    new_trainer: Make, counting: Counting, monkeypatch: pytest.MonkeyPatch, compiles: bool
) -> None:
    asked = []
    monkeypatch.setattr(loop_module, "to_compile", lambda *about: asked.append(about) or compiles)
    new_trainer(compile="auto").train_step()
    assert asked == [("auto", CPU)]
    assert bool(counting.batches) == compiles
