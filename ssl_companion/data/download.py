"""Fetch CIFAR-100's official archive, resuming what an earlier attempt left."""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from tqdm.auto import tqdm

from ssl_companion.data import archive
from ssl_companion.data.errors import DataError
from ssl_companion.io.atomic import file_digest, fsync_directory, fsync_file
from ssl_companion.io.lock import one_at_a_time

ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
_TIMEOUT = 30.0  # seconds without a byte
_PIECE = 1 << 17
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may change by themselves


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
    target = folder / archive.ARCHIVE_NAME
    part = folder / f"{archive.ARCHIVE_NAME}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(target):
            if target.exists():
                if _is_right(target):
                    return target
                os.replace(target, part)
            if not _is_right(part):
                _complete(url, part, attempts, pause)
            fsync_file(part)
            os.replace(part, target)
            fsync_directory(folder)
    except OSError as error:
        raise DataError(
            f"cannot be written ({error}).",
            path=target,
            mend="Free some space (161 MB), or choose another folder as the data root.",
        ) from error
    return target


def _complete(url: str, part: Path, attempts: int, pause: float) -> None:
    """Attempt until `part` is the archive; raise DataError when there is no hope."""
    reached, failures = 0, 0
    while True:
        try:
            resumed = _continue(url, part)
        except (_Interrupted, urllib.error.URLError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code not in _PASSING:
                raise _unreachable(url, part, error) from error
            size = part.stat().st_size if part.exists() else 0
            failures = 0 if size > reached else failures + 1
            reached = max(reached, size)
            if failures >= attempts:
                raise _unreachable(url, part, error) from error
            time.sleep(min(pause * 2 ** max(failures - 1, 0), 30.0))
            continue
        if _is_right(part):
            return
        found = file_digest(part, "md5")
        part.unlink()
        if not resumed:  # otherwise the beginning may have been of another file: once more
            raise DataError(
                f"sent a file with the MD5 {found}, the official archive's is {archive.MD5}.",
                path=url,
                mend=_by_hand(part),
            )


class _Interrupted(Exception):
    """The connection broke before the whole answer had arrived."""


def _continue(url: str, part: Path) -> bool:
    """Append what is missing; True if what was there before is a part of the result."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "ssl-companion"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        request = urllib.request.Request(url, headers=headers)
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing beyond that byte: no part of this file
            return True
        raise
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Interrupted(str(error)) from error
    with answer:
        sent = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        resumed = start > 0 and answer.status == 206 and sent is not None and int(sent[1]) == start
        start = start if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        with (
            open(part, "ab" if resumed else "wb") as file,
            tqdm(
                desc=archive.ARCHIVE_NAME, total=total, initial=start, unit="B", unit_scale=True
            ) as bar,
        ):
            while piece := _receive(answer):
                file.write(piece)
                bar.update(len(piece))
    if total is not None and part.stat().st_size < total:
        raise _Interrupted(f"{part.stat().st_size:,} of {total:,} bytes arrived")
    return resumed


def _receive(answer: IO[bytes]) -> bytes:
    try:
        return answer.read(_PIECE)
    except (http.client.HTTPException, OSError) as error:  # of the network, not of the disk
        raise _Interrupted(f"{type(error).__name__}: {error}") from error


def _is_right(path: Path) -> bool:
    return path.exists() and file_digest(path, "md5") == archive.MD5


def _unreachable(url: str, part: Path, error: Exception) -> DataError:
    kept = f" What arrived ({part.stat().st_size:,} bytes) is kept." if part.exists() else ""
    return DataError(f"the download failed ({error}).{kept}", path=url, mend=_by_hand(part))


def _by_hand(part: Path) -> str:
    return (
        "Load again later with download=True (it goes on where it stopped), or fetch the "
        f"archive from elsewhere and put it into {part.parent}."
    )
