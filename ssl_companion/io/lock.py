"""One process at a time, where the file system can say so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ssl_companion.errors import CompanionError


class BusyError(CompanionError, RuntimeError):
    """Another process is at work in the same place."""


@contextlib.contextmanager
def one_at_a_time(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock named after `path`, beside it, while the block runs.

    Only to save the work of making the same thing twice: what it guards is right without a
    lock too, which is why a file system that has none is no error. The lock of a process that
    was killed is free.

    Args:
        path: what is made.
        wait: for another process to end; otherwise it is an error.

    Raises:
        BusyError: another process holds the lock and `wait` is false.
    """
    lock = FileLock(path.parent / f".{path.name}.lock", timeout=-1 if wait else 0)
    with contextlib.suppress(OSError, NotImplementedError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:  # an OSError too, by its ancestry
            raise BusyError(
                f"{path}: another process is at work here; wait for it to end, or choose another "
                "folder"
            ) from None
    try:
        yield
    finally:
        lock.release()  # of no effect where none was acquired
