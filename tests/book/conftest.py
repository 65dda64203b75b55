"""The built site, a server for it, and a browser that reaches nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import built_site
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
    with built_site.served(site) as address:
        yield address


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Debian's Chromium instead of a downloaded one."""
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    try:
        return {"executable_path": built_site.browser(), "args": quiet}
    except built_site.NoBrowser as error:
        pytest.skip(str(error))


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
