"""Decoded splits on disk: one folder each, memory-mapped, verified at every load.

A folder appears whole or not at all (`atomic_directory`), under a name made from the
fingerprint of what it was decoded from. Every load compares checksums of the arrays, so a
truncated or altered cache is never served: it counts as absent and is built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import platformdirs

from ssl_companion.data.errors import CacheError, DataError
from ssl_companion.data.images import Decoded, fingerprint
from ssl_companion.io.atomic import atomic_directory
from ssl_companion.io.lock import one_at_a_time

CACHE_FORMAT = 1  # raise it when the content or the order of the arrays changes: old folders expire
CACHE_VARIABLE = "SSL_COMPANION_CACHE"
_ARRAYS = ("images", "fine", "files")
_ABANDONED = 24 * 3600  # seconds after which what a killed process left may go


def cache_root() -> Path:
    """SSL_COMPANION_CACHE, or the user's cache folder (XDG_CACHE_HOME where it is set).

    Raises:
        CacheError: neither is set, and this user has no home.
    """
    chosen = os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("ssl-companion")
    try:
        return Path(chosen).expanduser()
    except RuntimeError as error:
        raise CacheError(
            f"the home folder of this user cannot be told ({error}).",
            path=chosen,
            mend=f"Set {CACHE_VARIABLE} to a folder with 200 MB of space.",
        ) from error


def key_of(parts: Sequence[object]) -> str:
    """A short name for what determines a folder's content."""
    return hashlib.sha256(json.dumps([CACHE_FORMAT, *parts], default=str).encode()).hexdigest()[:16]


def key_of_files(split: str, files: Sequence[Path]) -> str:
    """A key that changes when a source file does.

    The change time (ctime) belongs to it since, unlike the modification time, nobody can
    set it back: a file rewritten with its old size and date still counts as changed.

    Raises:
        DataError: if a file cannot be read.
    """
    try:
        stats = [(path.resolve(), path.stat()) for path in files]
    except OSError as error:
        raise DataError(f"cannot be read ({error}).", path=error.filename) from error
    return key_of([split, [(p, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for p, s in stats]])


def load_or_build(folder: Path, build: Callable[[], Decoded]) -> tuple[Decoded, str]:
    """What `folder` holds, or what `build` makes, kept in `folder` for the next time.

    Returns:
        The arrays, read only and the images mapped, and their fingerprint.

    Raises:
        CacheError: if the folder cannot be written; and whatever `build` raises.
    """
    if (found := read_split(folder)) is not None:
        return found
    with one_at_a_time(folder):
        if (found := read_split(folder)) is not None:  # another process was faster
            return found
        decoded = build()
        try:
            write_split(folder, decoded)
        except OSError as error:
            raise CacheError(
                f"the cache cannot be written ({error}).",
                path=folder,
                mend=f"Free some space, or set {CACHE_VARIABLE} to a folder with 200 MB of it.",
            ) from error
        _sweep(folder.parent)
    if (found := read_split(folder)) is None:
        raise CacheError(
            "the cache does not hold what was just written.",
            path=folder,
            mend=f"Set {CACHE_VARIABLE} to a folder on another disk.",
        )
    return found


def read_split(folder: Path) -> tuple[Decoded, str] | None:
    """The arrays of a folder and their fingerprint, or None where there is none that is whole."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != CACHE_FORMAT:
            return None
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        fine, files = (np.load(folder / f"{n}.npy", allow_pickle=False) for n in _ARRAYS[1:])
        if [_checksum(a) for a in (images, fine, files)] != [meta["crc32"][n] for n in _ARRAYS]:
            return None
        fine.flags.writeable = files.flags.writeable = False
        return Decoded(images, fine, files), str(meta["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def write_split(folder: Path, decoded: Decoded) -> None:
    """Write a folder aside and put it in place whole."""
    with atomic_directory(folder) as temporary:
        for name in _ARRAYS:
            np.save(temporary / f"{name}.npy", getattr(decoded, name), allow_pickle=False)
        meta = {
            "format": CACHE_FORMAT,
            "fingerprint": fingerprint(decoded.images, decoded.fine),
            "crc32": {name: _checksum(getattr(decoded, name)) for name in _ARRAYS},
        }
        (temporary / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _checksum(array: np.ndarray) -> int:
    # Guards against accidents, and at 150 MB in some 0.04 s is cheap enough for every load.
    contiguous = np.ascontiguousarray(array)
    header = zlib.crc32(f"{array.dtype.str} {array.shape}".encode())
    return zlib.crc32(contiguous.reshape(-1).view(np.uint8).data, header)


def _sweep(parent: Path) -> None:
    """Remove what killed processes left aside, once nobody can be writing it."""
    for leftover in (*parent.glob(".*.tmp"), *parent.glob(".*.old")):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _ABANDONED:
                shutil.rmtree(leftover)
