"""Files that are either whole or absent: write aside, fsync, rename."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_IN_THE_WAY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def fsync_directory(path: Path) -> None:
    """Make a rename inside `path` durable (a no-op where directories cannot be opened)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # Windows
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Flush what was written to `path` down to the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _publish(path: Path) -> None:
    """Give a file the permissions of any other; temporary ones are private when they are made."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well.

    On any exception, a full disk included, the temporary file is removed and what
    stood at `path` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        _publish(temporary)
        fsync_file(temporary)
        os.replace(temporary, path)
        fsync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary directory that becomes `path` when the block ends well.

    An existing directory at `path` is replaced only after the new one is whole. Two
    processes may race: the last one to finish wins and no reader sees a mixture. Where the system
    cannot swap directories (Windows, network file systems), there is none at `path` for a moment;
    `recover_directory` puts the old one back if the process is killed just then.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        for entry in temporary.rglob("*"):
            if entry.is_file():
                _publish(entry)
                fsync_file(entry)
            elif entry.is_dir():
                fsync_directory(entry)
        fsync_directory(temporary)
        _put(temporary, path)
        fsync_directory(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, path: Path) -> None:
    """Rename a directory into place; what stood there is lost only once the new one is there."""
    retired: list[Path] = []
    try:
        while True:
            try:
                os.rename(temporary, path)  # atomic while `path` is absent or empty
                break
            except OSError as error:
                # Another process may have taken away by now what was in the way a moment ago.
                if error.errno not in _IN_THE_WAY and not path.exists():
                    raise
            if _swap(temporary, path):
                break
            if aside := _set_aside(path):
                retired.append(aside)
    except BaseException:
        if retired and not path.exists():  # else another process has written there since
            try:
                os.rename(retired[-1] / "old", path)
            except OSError:
                retired.pop()  # kept where it is
        raise
    finally:
        for aside in retired:
            shutil.rmtree(aside, ignore_errors=True)


_EXCHANGE, _HERE = 2, -100  # flags of Linux' renameat2 and macOS' renamex_np, and AT_FDCWD


def _swap(one: Path, other: Path) -> bool:
    """Exchange two directories in a single step; False where the system has no such step."""
    if not other.is_dir() or other.is_symlink() or sys.platform not in ("linux", "darwin"):
        return False
    system, a, b = ctypes.CDLL(None), os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "linux":
            return bool(system.renameat2(_HERE, a, _HERE, b, _EXCHANGE) == 0)
        return bool(system.renamex_np(a, b, _EXCHANGE) == 0)
    except AttributeError:  # a C library from before 2018
        return False


def leftovers(path: str | Path) -> list[Path]:
    """What processes that were killed in `atomic_directory(path)` have left beside it, and what
    those that are at work there have there now."""
    path = Path(path)
    ours = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}\.(tmp|old)")
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    return sorted(one for one in beside if ours.fullmatch(one.name) and one.is_dir())


def recover_directory(path: str | Path) -> None:
    """Clear away the leftovers of killed processes.

    If one of them had set the directory aside and not yet put the new one there, the old one is
    put back. Only for a caller that keeps others from writing at `path` meanwhile.
    """
    path = Path(path)
    for leftover in leftovers(path):
        if (leftover / "old").exists() and leftover.suffix == ".old" and not path.exists():
            os.rename(leftover / "old", path)
        shutil.rmtree(leftover, ignore_errors=True)


def _set_aside(path: Path) -> Path | None:
    """A new folder beside `path` that has it as "old"; None when another process moved it."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    try:
        os.rename(path, aside / "old")
    except OSError as error:
        aside.rmdir()
        if isinstance(error, FileNotFoundError):
            return None
        raise
    return aside


def file_digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes, read in pieces of 1 MiB."""
    # Never to keep a secret: without that word, a FIPS build refuses MD5.
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
