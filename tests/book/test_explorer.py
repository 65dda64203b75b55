"""The explorer in the built page: it moves, by keyboard too, and names what Python names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy.spatial.distance import cdist, pdist

from ssl_companion.recordings import open_recording

pytestmark = pytest.mark.browser


def settled(page: Any) -> str:
    page.wait_for_function("document.querySelector('.explorer').dataset.moving === 'no'")
    return str(page.locator("[data-map]").evaluate("canvas => canvas.toDataURL()"))


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_the_keyboard_moves_recolours_and_chooses(
    scheme: str, offline_page: Any, served: str, site: Path
) -> None:
    page = offline_page
    page.goto(f"{served if scheme == 'http' else site.as_uri()}/book/explorer.html")
    status, seen = page.locator("[data-status]"), [settled(page)]
    words = status.inner_text()
    page.locator("[data-epoch]").focus()
    page.keyboard.press("End")
    seen.append(settled(page))
    assert status.inner_text() != words
    recording = open_recording("clustering-vicreg-s0")
    last = recording.kept_epochs()[-1]
    assert status.inner_text().startswith(f"Epoch {last}, {recording.layers[-1]}.")
    page.locator("[data-levels] input:checked").focus()
    page.keyboard.press("Home")
    for _ in range(4):
        if page.locator("[data-levels] input").first.is_checked():
            break
        page.keyboard.press("ArrowLeft")
    seen.append(settled(page))
    page.locator("[data-class]").focus()
    page.keyboard.type("maple")
    page.keyboard.press("Enter")
    seen.append(settled(page))
    assert len(set(seen)) == 4, "every step changes the picture"

    names = recording.hierarchy.levels[0].class_names
    means = recording.class_means(last).astype("float64")
    own = names.index("maple_tree")
    apart = cdist(means[[own]], means)[0] / pdist(means).mean()
    nearest = [k for k in apart.argsort() if k != own][:5]
    expected = ", ".join(f"{names[k].replace('_', ' ')} {apart[k]:.2f}" for k in nearest)
    assert f"Nearest class means: {expected}." in status.inner_text()
    page.keyboard.press("Escape")  # of the list, where Enter opened it
    page.locator("[data-epoch]").focus()
    page.keyboard.press("Escape")
    assert page.locator("[data-class]").input_value() == "-1"
