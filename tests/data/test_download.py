from __future__ import annotations

import errno
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ssl_companion.data import DataError, cifar100, download
from ssl_companion.data.download import fetch

NAME = "cifar-100-python.tar.gz"


@dataclass
class Behaviour:
    """What the server does, and the requests that it has seen."""

    content: bytes
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)  # after how many bytes an answer breaks off
    statuses: list[int] = field(default_factory=list)  # answered first, one per request
    length: bool = True  # whether it says how long an answer is
    seen: list[str | None] = field(default_factory=list)  # the Range of each request
    url: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        behaviour, content = self.behaviour, self.behaviour.content
        asked = self.headers.get("Range")
        behaviour.seen.append(asked)
        if behaviour.statuses and (status := behaviour.statuses.pop(0)) != 200:
            return self.send_error(status)
        start = 0
        if asked and behaviour.ranges:
            found = re.fullmatch(r"bytes=(\d+)-", asked)
            assert found
            start = int(found[1])
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if behaviour.length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + behaviour.cuts.pop(0) if behaviour.cuts else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server(archive_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behaviour]:
    """A server of `archive_file` on this machine."""
    monkeypatch.setenv("no_proxy", "*")
    behaviour = Behaviour(archive_file.read_bytes())
    handler = type("OneHandler", (Handler,), {"behaviour": behaviour})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        behaviour.url = f"http://127.0.0.1:{running.server_port}/{NAME}"
        yield behaviour
        running.shutdown()
        thread.join()


def quick(folder: Path, server: Behaviour, attempts: int = 3) -> Path:
    return fetch(folder, url=server.url, attempts=attempts, pause=0.01)


def visible(folder: Path) -> list[str]:
    """What has the archive's name or begins with it (the lock is hidden)."""
    return sorted(p.name for p in folder.glob(f"{NAME}*"))


def test_it_fetches_once(tmp_path: Path, server: Behaviour) -> None:
    folder = tmp_path / "new" / "folder"
    path = quick(folder, server)
    assert path.read_bytes() == server.content
    assert visible(folder) == [NAME]
    assert quick(folder, server) == path
    assert server.seen == [None]


@pytest.mark.parametrize(
    ("server_is", "cuts", "asked"),
    [
        ({}, [1000, 0, 5000, 7], [1000, 1000, 6000, 6007]),
        ({"ranges": False}, [1000, 3000], [1000, 3000]),
        ({"length": False}, [], []),
    ],
    ids=["breaks off", "ignores ranges", "says no length"],
)
def test_it_goes_on_after_interruptions(
    tmp_path: Path, server: Behaviour, server_is: dict, cuts: list[int], asked: list[int]
) -> None:
    vars(server).update(server_is, cuts=cuts)
    assert quick(tmp_path, server).read_bytes() == server.content
    assert server.seen == [None, *(f"bytes={start}-" for start in asked)]


def test_the_next_call_goes_on_where_the_last_one_stopped(
    tmp_path: Path, server: Behaviour
) -> None:
    server.cuts = [2000, 0, 0]
    with pytest.raises(DataError, match=r"2,000 bytes\) is kept"):
        quick(tmp_path, server, attempts=2)
    assert visible(tmp_path) == [f"{NAME}.part"]
    assert quick(tmp_path, server).read_bytes() == server.content
    assert server.seen[-1] == "bytes=2000-"


def test_it_gives_up_when_nothing_more_arrives(tmp_path: Path, server: Behaviour) -> None:
    server.ranges = False
    server.cuts = [1000] * 100
    with pytest.raises(DataError, match=r"1,000 of .* bytes arrived") as caught:
        quick(tmp_path, server)
    assert server.url in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert len(server.seen) == 4  # the first gained something, the next three nothing


def test_a_file_with_another_checksum_is_refused(tmp_path: Path, server: Behaviour) -> None:
    server.content = server.content[:-1] + bytes([server.content[-1] ^ 1])
    with pytest.raises(DataError, match=f"instead of {cifar100.ARCHIVE_MD5}"):
        quick(tmp_path, server)
    assert visible(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "left", "asked"),
    [
        ("part", lambda whole: b"something else", ["bytes=14-", None]),
        ("part", lambda whole: whole + b"more", ["bytes={more}-", None]),
        ("part", lambda whole: whole, []),
        ("whole", lambda whole: whole[:9000], ["bytes=9000-"]),
    ],
    ids=["of another file", "too long", "whole", "of the archive's name"],
)
def test_what_is_left_of_an_earlier_attempt_is_used_if_it_is_a_beginning(
    tmp_path: Path,
    server: Behaviour,
    name: str,
    left: Callable[[bytes], bytes],
    asked: list[str | None],
) -> None:
    (tmp_path / (f"{NAME}.part" if name == "part" else NAME)).write_bytes(left(server.content))
    assert quick(tmp_path, server).read_bytes() == server.content
    more = len(server.content) + 4
    assert server.seen == [each and each.format(more=more) for each in asked]
    assert visible(tmp_path) == [NAME]


@pytest.mark.parametrize(("status", "requests"), [(503, 4), (500, 4), (403, 1), (404, 1)])
def test_passing_errors_are_waited_out_and_lasting_ones_are_not(
    tmp_path: Path, server: Behaviour, status: int, requests: int
) -> None:
    server.statuses = [status] * 3
    with pytest.raises(DataError, match=str(status)) if requests == 1 else nullcontext():
        assert quick(tmp_path, server, attempts=4).read_bytes() == server.content
    assert len(server.seen) == requests


def test_a_server_that_is_not_there_is_named(tmp_path: Path, server: Behaviour) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        server.url = f"http://127.0.0.1:{closed.server_port}/{NAME}"
    with pytest.raises(DataError, match=f"{server.url} failed .*refused"):
        quick(tmp_path, server, attempts=2)


def test_a_full_disk_ends_it_at_once(
    tmp_path: Path, server: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "tqdm", full)
    with pytest.raises(DataError, match=r"No space left(.|\n)*161 MB"):
        quick(tmp_path, server)
    assert len(server.seen) == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, server: Behaviour) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="File exists") as caught:
        quick(tmp_path / "file", server)
    assert str(tmp_path / "file") in str(caught.value)
    assert server.seen == []


def test_two_at_once_fetch_once(tmp_path: Path, server: Behaviour) -> None:
    threads = [threading.Thread(target=quick, args=(tmp_path, server)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / NAME).read_bytes() == server.content
    assert server.seen == [None]
