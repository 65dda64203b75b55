"""The same numbers whatever state the caller has put torch into."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch

_AUTOCAST = ("cpu", "cuda")


@contextlib.contextmanager
def plain_torch() -> Iterator[None]:
    """Inside, or in a function that it decorates, torch is as it comes.

    Inference mode would leave tensors that nothing may change later, autocast takes digits away,
    and a default device puts new tensors beside the features' own device. (A default type is met
    by naming types, as it cannot be set for one thread alone.)
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        for kind in _AUTOCAST:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def computing_device(device: torch.device) -> torch.device:
    """`device`, or the CPU where that one has no float64 (Apple's mps)."""
    return device if _has_float64(device.type) else torch.device("cpu")


@functools.cache
def _has_float64(kind: str) -> bool:
    try:
        torch.empty(0, dtype=torch.float64, device=kind)
    except (TypeError, RuntimeError):
        return False
    return True


def known_device(device: torch.device | str | None, name: str = "device") -> torch.device | None:
    """`device` as torch's, there to be used; None stays None.

    Raises:
        ValueError: there is no such device here.
    """
    if device is None:
        return None
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (TypeError, RuntimeError, AssertionError, NotImplementedError):
        found = torch.device("meta")
    if found.type == "meta":
        raise ValueError(
            f"{name}: {str(device)!r}; expected a device of torch that is here, such as 'cpu'"
        )
    return found
