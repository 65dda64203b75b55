"""How many cores tensor operations use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def tensor_threads(number: int) -> Iterator[None]:
    """So many cores for this thread's tensor operations while the block runs.

    One is right for work made of many operations of some ten microseconds: sharing each of them
    between the cores gains little on an idle machine, and on a busy one every operation waits
    for the slowest core, which can take tens of times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
