"""One descent step: views, network, objective, optimizer, and on CUDA all of it in one launch.

What changes from step to step reaches `Descent._descend` in tensors, so that it can be compiled
once for all runs of a shape. On CUDA `Captured` records it as one graph, which the host launches
whole, so that the device never waits for it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ssl_companion.training.batches import Batches
from ssl_companion.training.config import RunConfig
from ssl_companion.training.distributed import data_parallel, shard, world
from ssl_companion.training.model import (
    Learner,
    Teacher,
    batch_loss,
    teacher_momentum,
    term_weights,
)
from ssl_companion.training.objectives import Weight
from ssl_companion.training.optim import set_rate
from ssl_companion.training.runtime import autocast, compiled_once


class Descent:
    """What a step does to a learner, in place.

    Args:
        config: the run's.
        batches: where its images and views come from; on the learner's device.
        learner, teacher, optimizer: what is trained, BYOL's teacher or None, and how.
        compiles: compile network and objective, if there is one process.
        captures: capture the step in a CUDA graph, if there is one process on CUDA.

    Attributes:
        names: "total", then the objective's terms: what a call returns.
    """

    def __init__(
        self,
        config: RunConfig,
        batches: Batches,
        learner: Learner,
        teacher: Teacher | None,
        optimizer: torch.optim.Optimizer,
        compiles: bool = False,
        captures: bool = False,
    ) -> None:
        self.config, self.batches, self.device = config, batches, batches.device
        self.learner, self.teacher, self.optimizer = learner, teacher, optimizer
        self._module = data_parallel(learner)
        self._through: Callable[..., tuple[Tensor, ...]] = _through
        self._taught: Callable[..., Tensor] = _through
        self._objective: Callable[..., tuple[Tensor, Tensor]] = _objective
        # The collectives of several processes would break the network into many small graphs.
        alone = world()[1] == 1
        self._shape: tuple[Hashable, ...] = ()  # of what is compiled
        if compiles and alone:
            self._shape = (config.backbone, config.objective.name, config.projector_width,
                           config.batch, batches.images.shape[1:], config.precision)  # fmt: skip
            self._through = compiled_once(_through, *self._shape)
            self._taught = compiled_once(_through, "teacher", *self._shape)
        self._captures = captures and alone and _may_capture(self.device)
        self._rate, self._momentum = self._number(0.0), self._number(0.0)
        self._weights = term_weights(config.objective)
        self.names = ("total", *self._weights)
        self.renew()

    @property
    def unweighted(self) -> frozenset[str]:
        """The terms that have weight 0 at the moment."""
        return frozenset(name for name, weight in self._weights.items() if weight == 0)

    @property
    def replays(self) -> bool:
        """Whether steps are replayed from a CUDA graph by now."""
        return self._captured is not None and self._captured.replays

    def __call__(self, step: int, steps: int, rate: float) -> Tensor:
        """Descend once.

        Args:
            step, steps: its number, and how many there are in all.
            rate: learning rate.

        Returns:
            The total and the raw terms [1 + T], as in `names`, on the device; not waited for.
        """
        kind = self.config.objective
        self.learner.train()
        weights = term_weights(kind, step // self.batches.per_epoch)
        if weights != self._weights:
            self._weights = weights
            self.renew()
        self._rate = _put(self._rate, rate)
        if self.teacher is not None:
            momentum = teacher_momentum(step, steps, kind.momentum)
            self._momentum = _put(self._momentum, momentum)
        set_rate(self.optimizer, self._rate)
        inputs = self.batches.rows(step), self.batches.parameters(step)
        if self._captured is None:
            return self._descend(*inputs)
        return self._captured(self._descend, *inputs)

    def renew(self) -> None:
        """Capture the step anew: for terms of other weights, as which of them are 0 is part of what
        is captured, or for tensors in other places."""
        # A number would be part of what is compiled, too, and runs of other weights share that.
        tensors = self._captures or bool(self._shape)
        self._weighed: Mapping[str, Weight] = {
            name: torch.tensor(weight, device=self.device) if weight and tensors else weight
            for name, weight in self._weights.items()
        }
        if self._shape:
            kind = self.config.objective
            settings = kind.temperature, kind.positives, self.unweighted
            self._objective = compiled_once(_objective, *settings, *self._shape)
        self._captured = Captured() if self._captures else None

    def _number(self, value: float) -> float | Tensor:
        """Where a step is captured, in a tensor, which can change between replays."""
        return torch.tensor(value, device=self.device) if self._captures else value

    def _descend(self, rows: Tensor, parameters: Tensor) -> Tensor:
        config = self.config
        self.optimizer.zero_grad(set_to_none=True)
        x = self.batches.shown(rows, parameters)
        with _timed_algorithms():
            with autocast(config.precision, self.device):
                outputs = self._through(self._module, x)
                target = None
                if self.teacher is not None:
                    with torch.no_grad():
                        target = self._taught(self.teacher, x)
            labels = self.batches.labels[shard(rows)]
            total, terms = self._objective(outputs, config, self._weighed, labels, target)
            total.backward()
        self.optimizer.step()
        if self.teacher is not None:
            self.teacher.follow(self.learner, self._momentum)
        return terms


def _may_capture(device: torch.device) -> bool:
    return device.type == "cuda"


def _put(number: float | Tensor, value: float) -> float | Tensor:
    """A number as it is to be; a tensor is filled, and stays where a captured step reads it."""
    return number.fill_(value) if isinstance(number, Tensor) else value


@contextlib.contextmanager
def _timed_algorithms() -> Iterator[None]:
    """cuDNN times its algorithms for a convolution once: in training no shape ever changes."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


# Functions of what differs from run to run, so that runs of a shape share what is compiled.


def _through(module: nn.Module, x: Tensor) -> Any:
    return module(x)


def _objective(
    outputs: tuple[Tensor, ...],
    config: RunConfig,
    weights: Mapping[str, Weight],
    labels: Tensor,
    target: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The total, with gradient; total and raw terms, without."""
    loss = batch_loss(outputs, config, 0, labels, target, weights)
    terms = (loss.total, *(loss.terms[name] for name in weights))
    return loss.total, torch.stack([term.detach() for term in terms])


_WARM = 3  # calls that compile, choose algorithms and make the optimizer's state, before capture


class Captured:
    """Calls a function of tensors on a CUDA device; after a few calls, replays it from a graph.

    The function gives one tensor, waits for the device nowhere, and depends on nothing that
    changes from call to call but its inputs and tensors that are changed in place: numbers of
    Python's are part of what is captured. It is given with every call and not kept: whoever owns
    both would have to wait for the garbage collector to give the device's memory back.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._output: Tensor | None = None
        self._refused = False
        self._side: torch.cuda.Stream | None = None

    @property
    def replays(self) -> bool:
        """Whether the next call is a replay."""
        return self._graph is not None

    def __call__(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """What `function(*inputs)` gives; the same function with every call."""
        with _on(inputs[0].device):
            if self._calls < _WARM and not self._refused:
                self._calls += 1
                return self._aside(function, *inputs)
            if self._graph is None and not self._refused:
                self._try_to_capture(function, inputs)
            if self._graph is None or self._output is None:
                return function(*inputs)
            for static, given in zip(self._inputs, inputs, strict=True):
                static.copy_(given)
            self._graph.replay()
            return self._output.clone()

    def _aside(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """On a stream that is not the default one, as capturing is: what is made by the way, such
        as workspaces, is then made for streams like it."""
        if self._side is None:  # one for all calls: each stream keeps memory of its own
            self._side = torch.cuda.Stream()
        here, side = torch.cuda.current_stream(), self._side
        side.wait_stream(here)
        with torch.cuda.stream(side):
            output = function(*inputs)
        here.wait_stream(side)
        output.record_stream(here)
        return output

    def _try_to_capture(self, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        try:
            self._capture(function, inputs)
        except RuntimeError as error:  # whatever a driver or a new torch may object to
            warnings.warn(
                f"a step could not be captured in a CUDA graph ({error}); the run goes on "
                "without, more slowly",
                RuntimeWarning,
                stacklevel=3,
            )
            self._refused = True

    def _capture(self, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(given.clone() for given in inputs)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._output = function(*self._inputs)
        self._graph = graph


def _on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Streams and graphs are those of the current device, which need not be that of the run."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
