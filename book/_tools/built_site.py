"""What a tool needs to open the built book: a server on localhost, and a Chromium."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class NoBrowser(RuntimeError):
    """No Chromium on this machine."""


def browser() -> str:
    """The path of a Chromium.

    Raises:
        NoBrowser: there is none.
    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise NoBrowser(f"none of {', '.join(BROWSERS)} is here: apt-get install chromium")


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address of a folder on a free port of localhost, until the block ends."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
