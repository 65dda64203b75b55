"""The built site, a server for it, and a browser that reaches nothing else."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build/html"


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built book."""
    if not (SITE / "index.html").exists():
        pytest.skip("the book is not built here: run `make book` first")
    return SITE


@pytest.fixture(scope="session")
def served(site: Path) -> Iterator[str]:
    """Address of the built book on localhost."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Debian's Chromium instead of a downloaded one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            return {"executable_path": path, "args": quiet}
    pytest.skip("no Chromium on this machine: apt-get install chromium")


@pytest.fixture
def offline_page(context: Any) -> Iterator[Any]:
    """A page without the outside world; afterwards: no console error, no failed request."""
    faults: list[str] = []

    def local_only(route: Any) -> None:
        if route.request.url.startswith(("http://127.0.0.1:", "file:", "data:")):
            route.continue_()
        else:
            faults.append(f"asked another host: {route.request.url}")
            route.abort()

    context.route("**/*", local_only)
    page = context.new_page()
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    # A page that is closed while its icon is on the way aborts that request; nothing failed.
    page.on(
        "requestfailed",
        lambda r: None if r.failure == "net::ERR_ABORTED" else faults.append(f"failed: {r.url}"),
    )
    page.on("response", lambda r: faults.append(f"{r.status} {r.url}") if r.status >= 400 else 0)
    yield page
    assert not faults, faults
