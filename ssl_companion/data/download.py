"""Fetch CIFAR-100's official archive, resuming what an earlier attempt left.

Neither torchvision nor pooch resumes a download.
"""

from __future__ import annotations

import errno
import http.client
import os
import time
import urllib.request
from pathlib import Path

from tqdm.auto import tqdm

from ssl_companion.data import cifar100
from ssl_companion.data.errors import DataError
from ssl_companion.io.atomic import file_digest, fsync_directory, fsync_file
from ssl_companion.io.lock import one_at_a_time

ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
_TIMEOUT = 30.0  # seconds without a byte
_PASSING = (408, 416, 425, 429, 500, 502, 503, 504)  # HTTP answers that may not come again


def fetch(folder: Path, url: str = ARCHIVE_URL, attempts: int = 5, pause: float = 1.0) -> Path:
    """Download the archive into `folder` unless it is there already, whole.

    What has arrived is kept in a `.part` file beside it and continued by the next attempt
    or the next call; the archive takes its name once its MD5 is right. An archive with a
    wrong MD5 counts as such a part.

    Args:
        folder: where the archive goes; made if need be.
        url: where it comes from.
        attempts: how many in a row may fail without a byte gained.
        pause: seconds before the second attempt, doubled before each further one.

    Returns:
        The path of the archive.

    Raises:
        DataError: if the server cannot be reached, answers with an error, or sends another
            file, or the disk is full; the message says what to do.
    """
    target = folder / cifar100.ARCHIVE_NAME
    part = folder / f"{cifar100.ARCHIVE_NAME}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(target):
            if _is_official(target):
                return target
            if target.exists():
                os.replace(target, part)
            _complete(url, part, attempts, pause)
            fsync_file(part)
            os.replace(part, target)
            fsync_directory(folder)
    except (OSError, http.client.HTTPException) as error:
        kept = f" What arrived ({_size(part):,} bytes) is kept." if _size(part) else ""
        raise DataError(
            f"the download from {url} failed ({error}).{kept}",
            path=target,
            mend="Load again later with download=True (it goes on where it stopped; it needs "
            f"161 MB), or fetch the archive from elsewhere and put it into {folder}.",
        ) from error
    return target


def _complete(url: str, part: Path, attempts: int, pause: float) -> None:
    """Attempt until `part` is the archive; raise what makes it hopeless."""
    reached, failures = _size(part), 0
    while not _is_official(part):
        try:
            resumed = _continue(url, part)
        except (OSError, http.client.HTTPException) as error:
            failures = 0 if _size(part) > reached else failures + 1
            reached = max(reached, _size(part))
            answer = getattr(error, "code", None)  # of a server that was reached
            lasting = answer is not None and answer not in _PASSING
            full = getattr(error, "errno", None) == errno.ENOSPC
            if lasting or full or failures >= attempts:
                raise
            if answer == 416:  # it has nothing beyond that byte: the part is of another file
                part.unlink()
            else:
                time.sleep(min(pause * 2 ** max(failures - 1, 0), 30.0))
        else:
            if not _is_official(part):
                found = file_digest(part, "md5")
                part.unlink()
                if not resumed:  # else the beginning may have been of another file: once more
                    raise OSError(f"it has the MD5 {found} instead of {cifar100.ARCHIVE_MD5}")


def _continue(url: str, part: Path) -> bool:
    """Append what is missing; True if what was there before is a part of the result."""
    start = _size(part)
    headers = {"User-Agent": "ssl-companion"} | ({"Range": f"bytes={start}-"} if start else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        resumed = answer.status == 206
        start = start if resumed else 0
        total = start + int(answer.headers.get("Content-Length", 0))
        with (
            open(part, "ab" if resumed else "wb") as file,
            tqdm(
                desc=cifar100.ARCHIVE_NAME, total=total, initial=start, unit="B", unit_scale=True
            ) as bar,
        ):
            while piece := answer.read(1 << 17):
                file.write(piece)
                bar.update(len(piece))
    if _size(part) < total:  # http.client does not mind an answer that breaks off
        raise ConnectionError(f"{_size(part):,} of {total:,} bytes arrived")
    return resumed


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_official(path: Path) -> bool:
    return path.exists() and file_digest(path, "md5") == cifar100.ARCHIVE_MD5
