"""How a run is computed on the machine that it is on: precision, compiled code, random streams.

Precision: bfloat16 where the device has instructions for it, float32 elsewhere. A processor or a
GPU without them still accepts bfloat16 and converts back and forth: a convolution then takes ten to
twenty times as long on a CPU with AVX2 alone, and a T4 loses what it gains. What a run asks for is
therefore a wish that the device answers; the answer is written into its `run.json`.

Compiled code: shared by all runs of a shape in a process.

Random streams: functions of (seed, purpose, position). A step draws nothing that depends on more
than the seed and its number, so a run that is killed and resumed draws what an uninterrupted one
draws, on any number of processes, with no generator state to save.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import types
from collections.abc import Callable, Hashable
from typing import Any, Literal

import torch

from ssl_companion.training.config import check_precision

_AMPERE = (8, 0)  # the first compute capability with bfloat16
_X86 = ("avx512_bf16", "amx_bf16")


def computed(precision: str, device: torch.device) -> Literal["bf16", "fp32"]:
    """What a network is computed in on a device, of a run that asks for `precision`.

    Raises:
        ValueError: an unknown precision.
    """
    check_precision(precision)
    if precision == "fp32":
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= _AMPERE else "fp32"
    return "bf16" if _cpu_has_bfloat16() else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context in which a network is computed in `precision` as far as the device has it.

    Raises:
        ValueError: an unknown precision.
    """
    enabled = computed(precision, device) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@functools.cache
def _cpu_has_bfloat16() -> bool:
    """Of x86 only: training in bfloat16 on other processors is not known to be faster."""
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        return any(known.get(name, False) for name in _X86)
    # Before torch 2.10, by names that are not public.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


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


def derived_seed(seed: int, purpose: str, *position: int) -> int:
    """A 63-bit seed for the stream `purpose` at `position`, by SHA-256."""
    text = repr((int(seed), purpose, tuple(int(p) for p in position)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(
    seed: int, purpose: str, *position: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A fresh generator on `device`, seeded with `derived_seed`."""
    return torch.Generator(device=device).manual_seed(derived_seed(seed, purpose, *position))


def random_states(device: torch.device) -> dict[str, Any]:
    """The global random states that code on `device` may draw from, for a checkpoint.

    Of the CUDA devices only that one's: a run may go on where there are fewer of them.
    """
    cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """The inverse of `random_states`, whatever the number of `device` was then."""
    torch.set_rng_state(states["torch"].cpu())
    if device.type == "cuda" and states["cuda"]:
        torch.cuda.set_rng_state(states["cuda"][0].cpu(), device)


def use_threads(number: int) -> None:
    """Compute with so many threads of the CPU; 0 leaves that to torch.

    Raises:
        ValueError: a negative number.
    """
    if number < 0:
        raise ValueError(f"threads: {number}; expected an integer of 0 or more (0: torch's choice)")
    if number:
        torch.set_num_threads(number)
