"""A step as one CUDA graph: the host launches it whole, so that the device never waits for it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

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
