"""Compilation that one run cannot spoil for the next in the same process."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch


def compiled(function: Callable[..., Any], mode: str = "default") -> Callable[..., Any]:
    """`torch.compile`, for the shapes of its calls alone and with a cache of its own.

    torch keeps what it compiles by the code that it compiled, which all networks of a class
    share: from the ninth shape in a process on it would give up, and run without compiling.
    A copy of the code has a cache that belongs to this call and goes when its result does, so
    several networks may also live side by side.

    Args:
        function: what to compile, also an `nn.Module`.
        mode: as of `torch.compile`.
    """

    def call(*inputs: Any) -> Any:
        return function(*inputs)

    own = types.FunctionType(
        call.__code__.replace(), call.__globals__, call.__name__, None, call.__closure__
    )
    result: Callable[..., Any] = torch.compile(own, mode=mode, dynamic=False)
    return result
