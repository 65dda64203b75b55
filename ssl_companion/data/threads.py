"""How many cores small tensor operations use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep this thread's tensor operations on one core; other threads keep their number.

    For work made of many operations of some ten microseconds: sharing each of them between the
    cores gains little on an idle machine, and on a busy one every operation waits for the
    slowest core, which can take tens of times as long.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
