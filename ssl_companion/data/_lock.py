"""One process at a time, where the file system can say so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock named after `path`, beside it, while the block runs.

    Only to save the work of making the same thing twice: what it guards is right without a
    lock too, which is why a file system that has none is no error.
    """
    lock = FileLock(path.parent / f".{path.name}.lock")
    with contextlib.suppress(OSError, NotImplementedError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()  # of no effect where none was acquired
