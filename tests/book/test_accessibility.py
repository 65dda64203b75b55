"""The built book by axe-core's rules (WCAG 2), in both themes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .test_browser import PAGES, ROOT

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
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-save", "--no-audit", "--prefix", str(folder), AXE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"axe-core cannot be had from npm: {done.stderr.strip()[-300:]}")
    return script


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_breaks_no_serious_rule(
    name: str, theme: str, axe: Path, offline_page: Any, served: str
) -> None:
    page = offline_page
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.goto(f"{served}/{name}.html", wait_until="networkidle")
    page.add_script_tag(path=str(axe))
    found = page.evaluate(RUN)
    assert not [v for v in found if v["impact"] in BINDING], _words(found)


def test_a_bad_page_is_found_out(axe: Path, offline_page: Any, served: str) -> None:
    """The check itself: a field without a label and grey words on grey."""
    offline_page.goto(f"{served}/{PAGES[0]}.html", wait_until="networkidle")
    offline_page.evaluate(
        "document.querySelector('article').insertAdjacentHTML('afterbegin', "
        "'<input type=range><p style=\"color:#888;background:#999\">unreadable</p>')"
    )
    offline_page.add_script_tag(path=str(axe))
    rules = {v["rule"] for v in offline_page.evaluate(RUN)}
    assert {"label", "color-contrast"} <= rules


def _words(found: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{v['impact']}: {v['rule']} ({v['help']}) at {v['count']} places\n  "
        + "\n  ".join(v["nodes"])
        for v in found
    )
