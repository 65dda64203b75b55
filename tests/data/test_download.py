from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ssl_companion.data import DataError, archive
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


def test_fetches_once(tmp_path: Path, server: Behaviour) -> None:
    folder = tmp_path / "new" / "folder"
    path = quick(folder, server)
    assert path.read_bytes() == server.content
    assert visible(folder) == [NAME]
    assert quick(folder, server) == path
    assert server.seen == [None]


def test_goes_on_after_interruptions(tmp_path: Path, server: Behaviour) -> None:
    server.cuts = [1000, 0, 5000, 7]
    assert quick(tmp_path, server).read_bytes() == server.content
    assert server.seen == [None, "bytes=1000-", "bytes=1000-", "bytes=6000-", "bytes=6007-"]


def test_the_next_call_goes_on_where_the_last_one_stopped(
    tmp_path: Path, server: Behaviour
) -> None:
    server.cuts = [2000, 0, 0]
    with pytest.raises(DataError, match=r"2,000 bytes\) is kept"):
        quick(tmp_path, server, attempts=2)
    assert visible(tmp_path) == [f"{NAME}.part"]
    assert quick(tmp_path, server).read_bytes() == server.content
    assert server.seen[-1] == "bytes=2000-"


def test_a_server_that_ignores_ranges(tmp_path: Path, server: Behaviour) -> None:
    server.ranges = False
    server.cuts = [1000, 3000]
    assert quick(tmp_path, server).read_bytes() == server.content
    assert server.seen == [None, "bytes=1000-", "bytes=3000-"]


def test_gives_up_when_nothing_more_arrives(tmp_path: Path, server: Behaviour) -> None:
    server.ranges = False
    server.cuts = [1000] * 100
    with pytest.raises(DataError, match="download failed") as caught:
        quick(tmp_path, server)
    assert server.url in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert len(server.seen) == 4  # the first gained something, the next three nothing


def test_a_server_that_does_not_say_how_long(tmp_path: Path, server: Behaviour) -> None:
    server.length = False
    assert quick(tmp_path, server).read_bytes() == server.content


def test_wrong_checksum(tmp_path: Path, server: Behaviour) -> None:
    server.content = server.content[:-1] + bytes([server.content[-1] ^ 1])
    with pytest.raises(DataError, match=f"official archive's is {archive.MD5}"):
        quick(tmp_path, server)
    assert visible(tmp_path) == []


def test_a_part_of_another_file_is_fetched_anew(tmp_path: Path, server: Behaviour) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(b"something else")
    assert quick(tmp_path, server).read_bytes() == server.content
    assert server.seen == ["bytes=14-", None]


def test_a_part_that_is_too_long(tmp_path: Path, server: Behaviour) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(server.content + b"more")
    assert quick(tmp_path, server).read_bytes() == server.content
    assert server.seen == [f"bytes={len(server.content) + 4}-", None]


def test_a_whole_part_needs_no_server(tmp_path: Path, server: Behaviour) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(server.content)
    assert quick(tmp_path, server).read_bytes() == server.content
    assert server.seen == []


def test_a_truncated_archive_is_completed(tmp_path: Path, server: Behaviour) -> None:
    (tmp_path / NAME).write_bytes(server.content[:9000])
    assert quick(tmp_path, server).read_bytes() == server.content
    assert server.seen == ["bytes=9000-"]


def test_passing_errors_are_waited_out(tmp_path: Path, server: Behaviour) -> None:
    server.statuses = [503, 500]
    assert quick(tmp_path, server).read_bytes() == server.content
    assert len(server.seen) == 3


@pytest.mark.parametrize("status", [403, 404])
def test_lasting_errors_are_not(tmp_path: Path, server: Behaviour, status: int) -> None:
    server.statuses = [status] * 5
    with pytest.raises(DataError, match=str(status)):
        quick(tmp_path, server)
    assert len(server.seen) == 1


def test_no_server(tmp_path: Path, server: Behaviour) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        server.url = f"http://127.0.0.1:{closed.server_port}/{NAME}"
    with pytest.raises(DataError, match=r"download failed.*refused"):
        quick(tmp_path, server, attempts=2)


def test_a_folder_that_cannot_be_written(tmp_path: Path, server: Behaviour) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written") as caught:
        quick(tmp_path / "file", server)
    assert str(tmp_path / "file") in str(caught.value)


def test_two_at_once_fetch_once(tmp_path: Path, server: Behaviour) -> None:
    threads = [threading.Thread(target=quick, args=(tmp_path, server)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / NAME).read_bytes() == server.content
    assert server.seen == [None]
