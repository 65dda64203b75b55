"""When a run is compiled, and compilation that cannot be spoilt by another run's."""

from __future__ import annotations

import os
import shutil
import types
from collections.abc import Callable
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
