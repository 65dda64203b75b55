"""A report in a browser: opened from its file, in both themes, as wide as a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_companion.chapters.widgets.report import report_page
from ssl_companion.data import Hierarchy, Level
from ssl_companion.encoders.compare import Comparison
from ssl_companion.encoders.examine import examine

pytestmark = pytest.mark.browser
K = 8
OWN = Hierarchy(
    "own",
    (
        Level("fine", tuple("abcdefgh"), np.arange(K)),
        Level("halves", ("first", "second"), np.arange(K) // 4),
    ),
)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    rng, y = np.random.default_rng(0), np.repeat(np.arange(K), 30)
    means = 3 * rng.normal(size=(K, 6))
    x = {
        "tight": means[y] + rng.normal(size=(len(y), 6)),
        "wide & <noisy>": rng.normal(size=(240, 6)),
    }
    results = {
        name: examine(None, one, y, hierarchy=OWN, which=("ncc", "cdnv", "effective_rank"))[
            "features"
        ]
        for name, one in x.items()
    }
    return Comparison(results, "drawn points", {"wide & <noisy>": "untrained"})


@pytest.fixture(scope="module")
def file(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    shown = len(comparison.results["tight"].shown)
    pictures = np.random.default_rng(1).integers(0, 256, (shown, 32, 32, 3), dtype=np.uint8)
    path.write_text(report_page(comparison, pictures=pictures, facts={"seed": "0"}), "utf8")
    return path


def opened(page: Any, file: Path) -> Any:
    page.goto(file.as_uri())
    page.wait_for_function("document.querySelector('.explorer').dataset.moving === 'no'")
    return page


def test_the_page_says_what_python_says(
    file: Path, comparison: Comparison, offline_page: Any
) -> None:
    page = opened(offline_page, file)
    row = comparison.row("tight", "fine")
    assert row is not None
    numbers = page.locator(".bars").first.locator(".number").all_inner_texts()
    assert numbers[0] == f"{row['value']:.1%}"
    assert page.locator(".bars").first.locator(".name").all_inner_texts()[1] == "wide & <noisy>"
    dot = page.locator(".bars").first.locator(".track").first
    track, mark = dot.bounding_box(), dot.locator(".dot").bounding_box()
    axis = page.locator(".bars").first.locator(".axis span").last.inner_text()
    share = (mark["x"] + mark["width"] / 2 - track["x"]) / track["width"]
    assert share == pytest.approx(row["value"] / (float(axis.rstrip("%")) / 100), abs=0.02)


def test_the_map_moves_between_encoders(file: Path, offline_page: Any) -> None:
    page = opened(offline_page, file)
    assert page.locator("label[for=layer-map]").inner_text() == "Encoder"
    first = page.locator("[data-status]").inner_text()
    page.locator("[data-layer]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.explorer').dataset.moving === 'no'")
    assert page.locator("[data-status]").inner_text() != first
    assert page.locator("[data-layer-shown]").inner_text() == "wide & <noisy>"
    assert page.locator(".explorer-photographs button").count() > 0


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(file: Path, offline_page: Any, width: int, scheme: str) -> None:
    offline_page.emulate_media(color_scheme=scheme)
    offline_page.set_viewport_size({"width": width, "height": 900})
    page = opened(offline_page, file)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(11, 15, 20)"
    assert dark is (scheme == "dark")
    contrasts = page.evaluate(
        """() => {
          const light = c => {
            const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
              .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const card = light(getComputedStyle(document.querySelector("section")).backgroundColor);
          return [...document.querySelectorAll("section > *, small, td, th, dd, .number, .name")]
            .map(one => light(getComputedStyle(one).color))
            .map(own => (Math.max(own, card) + 0.05) / (Math.min(own, card) + 0.05));
        }"""
    )
    assert min(contrasts) >= 4.5
    assert page.locator("details[open] summary").all_inner_texts() == [
        "fine: 8 classes", "features without labels",
    ]  # fmt: skip
    page.locator("details:not([open]) summary").click()
    assert page.locator("details[open]").count() == 3


def test_links_lead_to_what_a_measure_asks(file: Path, offline_page: Any) -> None:
    page = opened(offline_page, file)
    for link in page.locator("th a").all():
        name = link.get_attribute("href").removeprefix("#")
        assert page.locator(f"dt[id='{name}']").count() == 1
