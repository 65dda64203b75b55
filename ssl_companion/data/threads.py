"""How many cores computations use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits


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


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """One core for this thread's tensor operations, and for NumPy, SciPy and FAISS in any thread.

    As `tensor_threads(1)`, where much is done by matrices that are no tensors: their libraries
    have threads of their own, which spin while they wait for each other. It is also what makes
    sums come out alike to the last digit on any number of cores.
    """
    with tensor_threads(1), threadpool_limits(1):
        yield
