"""The built site, a server for it, and a browser that reaches nothing else."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pdf
import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build/html"


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built book."""
    if not (SITE / "index.html").exists():
        pytest.skip("the book is not built here: run `make book` first")
    return SITE


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def served(site: Path) -> Iterator[str]:
    """Address of the built book on localhost."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Debian's Chromium instead of a downloaded one."""
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    quiet.append("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    try:
        return {"executable_path": pdf.browser(), "args": quiet}
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def watched_page(context: Any) -> tuple[Any, list[str]]:
    """A page, and what goes wrong in it: requests of other hosts, failed ones, console errors."""
    faults: list[str] = []
    local = ("http://127.0.0.1:", "file:", "data:")

    def local_only(request: Any) -> None:  # the browser itself finds no other host
        if not request.url.startswith(local):
            faults.append(f"asked another host: {request.url}")

    context.on("request", local_only)
    page = context.new_page()
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    # A page that is closed while its icon is on the way aborts that request; nothing failed.
    page.on(
        "requestfailed",
        lambda r: None if r.failure == "net::ERR_ABORTED" else faults.append(f"failed: {r.url}"),
    )
    page.on("response", lambda r: faults.append(f"{r.status} {r.url}") if r.status >= 400 else 0)
    return page, faults


@pytest.fixture
def offline_page(watched_page: tuple[Any, list[str]]) -> Iterator[Any]:
    """A page without the outside world; afterwards: no console error, no failed request."""
    page, faults = watched_page
    yield page
    assert not faults, faults


@pytest.fixture
def visit(offline_page: Any, served: str, site: Path) -> Callable[..., Any]:
    """`visit("book/glossary")` opens a page of the book and waits until it is drawn.

    With `scheme="file"` it comes from the folder instead of a server.
    """

    def open_page(name: str, scheme: str = "http") -> Any:
        offline_page.goto(f"{served if scheme == 'http' else site.as_uri()}/{name}.html")
        drawn(offline_page)
        return offline_page

    return open_page


def drawn(page: Any) -> None:
    """Wait for formulas and fonts, the icons' among them."""
    page.evaluate(
        """async () => {
          if (window.MathJax) await MathJax.startup.promise;
          await document.fonts.ready;
        }"""
    )


def unfold(page: Any) -> None:
    """Open code, solutions and whatever else is folded; let the explorer name an image."""
    page.evaluate(
        """() => {
          for (const details of document.querySelectorAll("details")) details.open = true;
          for (const title of document.querySelectorAll(".toggle-hidden > .admonition-title"))
            title.click();
        }"""
    )
    assert page.locator("details:not([open]), .toggle-hidden").count() == 0
    if page.locator(".explorer").count():
        page.locator("[data-image]").select_option(index=1)
        page.wait_for_function("document.querySelector('.explorer').dataset.moving === 'no'")
        assert page.locator("[data-found] table").count() > 0
