"""Files are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ssl_companion.io import atomic
from ssl_companion.io.atomic import (
    atomic_directory,
    atomic_file,
    file_digest,
    leftovers,
    recover_directory,
)

from ..conftest import small_disk


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


Kind = Callable[..., AbstractContextManager[Path]]


def fill(temporary: Path, kind: Kind, text: str) -> None:
    """A file's text, or a folder in which a file of that name and text is."""
    if kind is atomic_directory:
        temporary = temporary / text
        temporary.parent.mkdir(exist_ok=True)
    temporary.write_text(text)


def content(target: Path) -> list[str]:
    files = target.iterdir() if target.is_dir() else [target]
    return [file.read_text() for file in files]


@pytest.fixture(params=[atomic_file, atomic_directory])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


def test_it_appears_when_the_block_ends_and_is_replaced_as_a_whole(
    tmp_path: Path, kind: Kind
) -> None:
    target = tmp_path / "new" / "thing"
    for text in ("old", "new"):
        with kind(target) as temporary:
            fill(temporary, kind, text)
            assert target.exists() == (text == "new")
            assert temporary.parent == target.parent  # a rename stays within one file system
        assert content(target) == [text]
        assert names(target.parent) == ["thing"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_interrupted_block_leaves_what_stood_there(
    tmp_path: Path, kind: Kind, error: BaseException
) -> None:
    target = tmp_path / "thing"
    with kind(target) as temporary:
        fill(temporary, kind, "old")
    with pytest.raises(type(error)), kind(target) as temporary:  # noqa: PT012
        fill(temporary, kind, "half")
        raise error
    assert content(target) == ["old"]
    assert names(tmp_path) == ["thing"]


def test_a_disk_that_fills_up_leaves_what_stood_there(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    with small_disk(10_000), pytest.raises(OSError, match="large"):  # noqa: SIM117
        with atomic_file(target) as temporary, open(temporary, "wb") as file:
            file.write(bytes(100_000))
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_a_disk_that_is_found_full_by_fsync_leaves_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "file.txt"
    target.write_text("old")
    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), atomic_file(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_the_file_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        order.append(f"fsync {kind}")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        order.append("rename")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "fsync", noted_fsync)
    monkeypatch.setattr(atomic.os, "replace", noted_replace)
    with atomic_file(tmp_path / "file.txt") as temporary:
        temporary.write_text("x")
    assert order == ["fsync file", "rename", "fsync directory"]


def test_files_follow_the_umask(tmp_path: Path, kind: Kind) -> None:
    before = os.umask(0o027)
    try:
        with kind(tmp_path / "thing") as temporary:
            if kind is atomic_directory:
                descriptor, _ = tempfile.mkstemp(dir=temporary)  # private, as libraries make them
                os.close(descriptor)
            else:
                temporary.write_text("x")
    finally:
        os.umask(before)
    file = tmp_path / "thing"
    (file,) = file.iterdir() if file.is_dir() else [file]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("back", [True, False], ids=["put back", "kept aside"])
def test_a_directory_whose_new_version_cannot_take_its_place_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    target, rename, asked = tmp_path / "folder", os.rename, list[str]()
    target.mkdir()
    (target / "a").write_text("old")

    def failing(source: Path, destination: Path) -> None:
        asked.append(Path(source).suffix)
        # The new one never gets in, neither before nor after the old one was set aside.
        if Path(source).suffix == ".tmp" or (not back and Path(source).name == "old"):
            code = errno.ENOTEMPTY if target.exists() else errno.EIO
            raise OSError(code, os.strerror(code))
        rename(source, destination)

    monkeypatch.setattr(os, "rename", failing)
    monkeypatch.setattr(atomic, "_swap", lambda *_: False)
    with pytest.raises(OSError, match="error"), atomic_directory(target) as temporary:
        (temporary / "a").write_text("new")
    assert asked.count(".tmp") == 2
    (found,) = tmp_path.rglob("a")
    assert found.read_text() == "old"
    assert (found.parent == target) is back


def test_a_directory_that_cannot_be_set_aside_stays_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "a").write_text("old")

    def refused(source: Path, destination: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "rename", refused)
    monkeypatch.setattr(atomic, "_swap", lambda *_: False)
    with pytest.raises(PermissionError), atomic_directory(target) as temporary:
        (temporary / "a").write_text("new")
    assert names(tmp_path) == ["folder"]
    assert (target / "a").read_text() == "old"


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="no such step elsewhere")
def test_a_directory_is_there_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, swap, seen = tmp_path / "folder", atomic._swap, list[list[str]]()
    target.mkdir()
    (target / "a").write_text("old")

    def watched(one: Path, other: Path) -> bool:
        seen.append(content(target))
        done = swap(one, other)
        seen.append(content(target))
        return done

    monkeypatch.setattr(atomic, "_swap", watched)
    monkeypatch.setattr(atomic, "_set_aside", None)  # which would fail
    with atomic_directory(target) as temporary:
        (temporary / "a").write_text("new")
    assert seen == [["old"], ["new"]]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_directory_of_its_own_is_not_swapped(tmp_path: Path, kind: str) -> None:
    target, other = tmp_path / "folder", tmp_path / "other"
    other.mkdir()
    if kind == "file":
        target.write_text("old")
    else:
        target.symlink_to(other)
    with atomic_directory(target) as temporary:
        (temporary / "a").write_text("new")
    assert content(target) == ["new"]
    assert names(tmp_path) == ["folder", "other"]
    assert names(other) == []


def test_leftovers_of_one_directory_are_cleared_and_its_old_version_put_back(
    tmp_path: Path,
) -> None:
    target = tmp_path / "mine"
    others = [".mine.v2.abcdefgh.tmp", ".mine.lock.old", ".yours.abcdefgh.old", "mine.v2"]
    for name in (*others, ".mine.abcd_fgh.tmp", ".mine.abcdef01.old/old"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".mine.abcdef01.old" / "old" / "a").write_text("old")
    assert [path.suffix for path in leftovers(target)] == [".tmp", ".old"]
    recover_directory(target)
    assert content(target) == ["old"]
    assert names(tmp_path) == sorted(["mine", *others])
    (tmp_path / ".mine.abcdef02.old" / "old").mkdir(parents=True)
    recover_directory(target)  # what is there is newer
    assert content(target) == ["old"]
    assert leftovers(target) == []
    recover_directory(tmp_path / "nowhere" / "mine")


def test_writers_that_race_leave_one_whole_directory(tmp_path: Path) -> None:
    target, failures = tmp_path / "folder", []

    def write(writer: int) -> None:
        try:
            for _ in range(10):
                with atomic_directory(target) as temporary:
                    for part in range(3):
                        (temporary / f"part{part}").write_text(str(writer))
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert names(tmp_path) == ["folder"]
    assert names(target) == ["part0", "part1", "part2"]
    assert len({path.read_text() for path in target.iterdir()}) == 1


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 17])
def test_file_digest_is_hashlibs(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    assert file_digest(path) == hashlib.sha256(content).hexdigest()
    assert file_digest(path, "md5") == hashlib.md5(content).hexdigest()


def test_md5_is_taken_where_it_is_forbidden_for_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with FIPS."""
    real = hashlib.new

    def fips(name: str, data: bytes = b"", *, usedforsecurity: bool = True) -> object:
        if usedforsecurity:
            raise ValueError("disabled for FIPS")
        return real(name, data, usedforsecurity=False)

    (tmp_path / "file.bin").write_bytes(b"some")
    expected = hashlib.md5(b"some").hexdigest()
    monkeypatch.setattr(hashlib, "new", fips)
    assert file_digest(tmp_path / "file.bin", "md5") == expected
