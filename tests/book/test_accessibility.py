"""The built book by axe-core's rules (WCAG 2), in both themes."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from .conftest import unfold
from .test_browser import PAGES, ROOT, Visit

AXE = "axe-core@4.14.1"
BINDING = ("serious", "critical")
# Without preloading: axe would look for imported style sheets beside the page.
RUN = """
async () => (await axe.run(document, {resultTypes: ["violations"], preload: false}))
 .violations.map(found => ({
  rule: found.id, impact: found.impact, help: found.help, count: found.nodes.length,
  nodes: found.nodes.slice(0, 4).map(node => `${node.target.join(" ")}: ${node.failureSummary}`),
}))
"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def axe() -> Path:
    """axe-core's script, from npm, beside what is built."""
    folder = ROOT / "_build/npm"
    script = folder / "node_modules/axe-core/axe.min.js"
    if not script.exists():
        if shutil.which("npm") is None:
            pytest.skip("no npm on this machine: apt-get install npm")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as own:  # of this process
            command = ["npm", "install", "--no-save", "--no-audit", "--prefix", own, AXE]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if done.returncode:
                pytest.skip(f"axe-core cannot be had from npm: {done.stderr.strip()[-300:]}")
            folder.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):  # another process was first
                (Path(own) / "node_modules").rename(folder / "node_modules")
    return script


@pytest.mark.parametrize("name", PAGES)
def test_a_page_breaks_no_serious_rule(
    name: str, axe: Path, offline_page: Any, visit: Visit
) -> None:
    """With everything unfolded that a reader can unfold, in both themes."""
    offline_page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page = visit(name)
    unfold(page)
    page.add_script_tag(path=str(axe))
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.wait_for_function("now => document.documentElement.dataset.theme === now", arg=theme)
        found = page.evaluate(RUN)
        assert not [v for v in found if v["impact"] in BINDING], f"{theme}:\n{_words(found)}"


@pytest.mark.parametrize("name", ["book/clusters-emerge", "book/references"])
def test_names_and_roles_agree_with_what_is_shown(name: str, visit: Visit) -> None:
    """What axe-core does not judge by default, and what the theme's pages get wrong."""
    page = visit(name)
    assert page.locator("summary, .citation-list").count() > 0
    wrong = "summary[aria-label], .search-button-field[aria-label], .theme-switch title"
    assert page.locator(f"{wrong}, [role=list].citation-list, [role=doc-biblioentry]").count() == 0


def test_a_bad_page_is_found_out(axe: Path, visit: Visit) -> None:
    """The check itself: a field without a label and grey words on grey."""
    page = visit(PAGES[0])
    page.evaluate(
        "document.querySelector('article').insertAdjacentHTML('afterbegin', "
        "'<input type=range><p style=\"color:#888;background:#999\">unreadable</p>')"
    )
    page.add_script_tag(path=str(axe))
    rules = {v["rule"] for v in page.evaluate(RUN)}
    assert {"label", "color-contrast"} <= rules


def _words(found: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{v['impact']}: {v['rule']} ({v['help']}) at {v['count']} places\n  "
        + "\n  ".join(v["nodes"])
        for v in found
    )
