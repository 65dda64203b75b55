"""When a run is compiled, and compilation that runs of a shape share and no other can spoil."""

from __future__ import annotations

import functools
import os
import shutil
import types
from collections.abc import Callable, Hashable
from typing import Any

import torch

_VOLTA = (7, 0)  # the first compute capability that Triton has code for


def to_compile(choice: str, device: torch.device) -> bool:
    """Whether a run on `device` is compiled; `choice` is "yes", "no" or "auto".

    "auto" means on CUDA, unless something is in the way (see `hindrance`).
    """
    if choice == "auto":
        return device.type == "cuda" and not hindrance(device)
    return choice == "yes"


def hindrance(device: torch.device) -> str:
    """Why nothing can be compiled for a CUDA device, in words; empty where it can."""
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < _VOLTA:
        return f"its compute capability is {major}.{minor}, and Triton asks for 7.0"
    # Triton builds its launchers with the compiler that it finds so.
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler, and there is neither gcc nor clang"
    return "" if _has_triton() else "there is no Triton that works with it"


def _has_triton() -> bool:
    try:
        from torch.utils._triton import has_triton  # not public, so it may move
    except ImportError:
        return False
    return bool(has_triton())


@functools.cache
def compiled_once(function: Callable[..., Any], *shape: Hashable) -> Callable[..., Any]:
    """`torch.compile`, shared by all calls in the process that name the same shape.

    torch keeps what it compiles by the code that it compiled, and from the ninth shape of its
    inputs on it would give up, and run without compiling. A copy of the code for each `shape`
    has a cache of its own, and the next run of that shape finds it compiled.

    Args:
        function: a function of tensors, modules and plain values; it may not close over what
            differs from run to run.
        shape: whatever else tells one compilation from another.
    """
    own = types.FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__,
        function.__defaults__, function.__closure__,
    )  # fmt: skip
    result: Callable[..., Any] = torch.compile(own, dynamic=False)
    return result
