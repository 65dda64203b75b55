"""The explorer in the built page: it moves, by keyboard and pointer, and says what Python says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from ssl_companion.chapters.analysis.accuracies import measured
from ssl_companion.chapters.analysis.feature_maps import overview
from ssl_companion.chapters.widgets.explorer import explorer_page
from ssl_companion.encoders.record import record_encoder
from ssl_companion.recordings import Recording, open_recording

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def recording() -> Recording:
    return open_recording("reference-vicreg-s0")


@pytest.fixture
def explorer(offline_page: Any, served: str) -> Any:
    offline_page.goto(f"{served}/book/explorer.html")
    settled(offline_page)
    return offline_page


def status(page: Any) -> str:
    return str(page.locator("[data-status]").inner_text())


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
    recording = open_recording("reference-vicreg-s0")
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


def test_play_goes_on_by_itself_pauses_and_ends_at_the_last_epoch(
    explorer: Any, recording: Recording
) -> None:
    epochs = recording.kept_epochs()
    button = explorer.locator("[data-play]")
    shown = explorer.locator("[data-epoch-shown]")
    explorer.locator("[data-epoch]").focus()
    explorer.keyboard.press("Home")
    button.focus()
    explorer.keyboard.press("Enter")
    assert button.inner_text() == "Pause"
    explorer.wait_for_function(
        "e => +document.querySelector('[data-epoch-shown]').textContent >= e", arg=epochs[1]
    )
    assert explorer.locator("[data-status]").get_attribute("aria-live") == "off", "no chatter"
    explorer.keyboard.press("Enter")
    assert button.inner_text() == "Play"
    assert explorer.locator("[data-status]").get_attribute("aria-live") == "polite"
    paused = shown.inner_text()
    explorer.wait_for_timeout(1500)  # longer than a step of the animation
    assert shown.inner_text() == paused
    explorer.locator("[data-epoch]").focus()
    explorer.keyboard.press("End")
    explorer.keyboard.press("ArrowLeft")
    assert shown.inner_text() == str(epochs[-2])
    button.click()
    explorer.wait_for_function("document.querySelector('[data-play]').textContent === 'Play'")
    assert shown.inner_text() == str(epochs[-1])
    button.click()
    assert shown.inner_text() == str(epochs[0]), "from the end it begins again"


def test_a_point_can_be_clicked_and_has_the_neighbours_that_its_features_have(
    explorer: Any, recording: Recording
) -> None:
    canvas, tip = explorer.locator("[data-map]"), explorer.locator("[data-tip]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    # Whole pixels of the page: a click has no others, and a hair can decide between two points.
    places = [
        (round(box["x"] + x * box["width"]), round(box["y"] + y * box["height"]))
        for x in (0.5, 0.4, 0.6) for y in (0.5, 0.3)
    ]  # fmt: skip
    for x, y in places:
        explorer.mouse.move(x, y)
        explorer.wait_for_timeout(100)  # the tip comes with the next picture
        if tip.is_visible():
            break
    assert tip.is_visible(), "nowhere in the middle of the map is there a point"
    named = tip.inner_text().split(" · ")[0]
    explorer.mouse.click(x, y)
    image = int(explorer.locator("[data-image]").input_value())
    epoch = int(explorer.locator("[data-epoch-shown]").inner_text())
    fine = recording.hierarchy.levels[0]
    names = [name.replace("_", " ") for name in fine.class_names]
    assert names[recording.fine("test")[image]] == named

    features = recording.features(epoch, recording.layers[-1]).astype(np.float64)
    apart = cdist(features[[image]], features)[0] / pdist(features).mean()
    apart[image] = np.inf
    nearest = apart.argsort()[:5]
    table = explorer.locator("[data-found] table").last
    assert recording.files("test")[image] in table.locator("caption").inner_text()
    rows = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    assert [row[1] for row in rows] == [names[k] for k in recording.fine("test")[nearest]]
    assert [row[-1] for row in rows] == [f"{apart[k]:.2f}" for k in nearest]

    explorer.mouse.click(box["x"] + 2, box["y"] + 2)  # no point lies in the corner
    assert explorer.locator("[data-class]").input_value() == "-1"
    assert explorer.locator("[data-found] table").count() == 0


def test_a_layer_is_shown_with_its_own_accuracies(explorer: Any, recording: Recording) -> None:
    before = settled(explorer)
    explorer.locator("[data-layer]").focus()
    explorer.keyboard.press("Home")
    assert settled(explorer) != before
    first = next(layer for layer in recording.layers if recording.kept_epochs(layer))
    epoch = int(explorer.locator("[data-epoch-shown]").inner_text())
    assert epoch in recording.kept_epochs(first)
    ncc = measured(recording, "ncc", recording.hierarchy.names, "all")
    here = ncc.query("epoch == @epoch and layer == @first and split == 'test'")
    value = here.set_index("level").value
    expected = ", ".join(f"{name} {value[name]:.1%}" for name in recording.hierarchy.names)
    assert f"Epoch {epoch}, {first}." in status(explorer)
    assert f"{expected}." in status(explorer)
    chart = explorer.locator('[data-chart="layers"] svg')
    assert f"at {first.removeprefix('block')}: {expected}" in chart.get_attribute("aria-label")


@pytest.mark.parametrize("preference", ["reduce", "no-preference"])
def test_points_glide_only_where_motion_is_welcome(
    preference: str, offline_page: Any, served: str
) -> None:
    offline_page.emulate_media(reduced_motion=preference)
    offline_page.goto(f"{served}/book/explorer.html")
    before = settled(offline_page)
    moving = offline_page.locator("[data-epoch]").evaluate(
        """range => {
          range.value = range.max;
          range.dispatchEvent(new Event("input"));
          return range.closest(".explorer").dataset.moving;
        }"""
    )
    assert moving == ("no" if preference == "reduce" else "yes")
    mark = offline_page.locator('[data-chart="epochs"] .now')
    seconds = mark.evaluate("line => getComputedStyle(line).transitionDuration")
    assert (seconds == "0s") is (preference == "reduce")
    assert settled(offline_page) != before, "and it arrives all the same"


def test_keys_stay_in_the_figure(explorer: Any) -> None:
    explorer.evaluate(
        "window.heard = 0; document.addEventListener('keydown', () => { window.heard += 1; });"
    )
    address = explorer.url
    explorer.locator("[data-epoch]").focus()
    for key in ("ArrowRight", "ArrowLeft", "Home"):
        explorer.keyboard.press(key)
    assert explorer.evaluate("window.heard") == 0
    assert explorer.url == address, "the theme turns pages by the arrow keys"
    explorer.get_by_role("heading", level=1).click()
    explorer.keyboard.press("Shift")
    assert explorer.evaluate("window.heard") == 1, "outside of it they are heard"


def test_the_map_follows_the_theme(explorer: Any) -> None:
    before = settled(explorer)
    explorer.evaluate("document.documentElement.dataset.theme = 'dark'")
    explorer.wait_for_function(
        "old => document.querySelector('[data-map]').toDataURL() !== old", arg=before
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two pages of their own: of one encoder, and of checkpoints with two layers."""
    folder = tmp_path_factory.mktemp("own")
    rng, y = np.random.default_rng(0), np.repeat(np.arange(6), 60)
    means = rng.normal(size=(6, 16))

    def features(strength: float) -> np.ndarray:
        return strength * means[y] + rng.normal(size=(len(y), 16))

    given = {
        "one": features(1.0),
        "many": {e: {"low": features(0.1 * e), "high": features(e)} for e in (0, 1, 4)},
    }
    for name, images in given.items():
        mine = record_encoder(
            None, images, y, destination=folder / name, title=f"Mine & {name}", progress=False
        )
        (folder / f"{name}.html").write_text(explorer_page(overview(mine, rounds=20)), "utf8")
    return folder


def test_a_page_of_its_own_has_what_there_is_to_move(own: Path, offline_page: Any) -> None:
    page = offline_page
    page.goto((own / "one.html").as_uri())
    settled(page)
    assert page.title() == "Mine & one"
    accuracy = open_recording(own / "one").select(level="fine", split="test", measure="ncc")
    said = f"NCC accuracy over 180 held-out images: fine {accuracy['value'].item():.1%}."
    assert status(page) == said, "neither epoch nor layer where there is one of each"
    for part in ("data-play", "data-epoch", "data-layer", "data-levels", "data-chart=epochs"):
        assert not page.locator(f"[{part}]").is_visible(), part
    page.goto((own / "many.html").as_uri())
    settled(page)
    assert status(page).startswith("Epoch 0, high. NCC accuracy over 180 held-out images")
    page.locator("[data-epoch]").focus()
    page.keyboard.press("End")
    page.locator("[data-layer]").focus()
    page.keyboard.press("Home")
    settled(page)
    assert status(page).startswith("Epoch 4, low.")
    assert page.locator("[data-play]").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_of_its_own_follows_the_system_and_fits_a_phone(
    own: Path, offline_page: Any, scheme: str
) -> None:
    page = offline_page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 380, "height": 800})
    page.goto((own / "many.html").as_uri())
    settled(page)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in ground[4:-1].split(",")) > 3 * 128
    assert light == (scheme == "light")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 380, "nothing is cut off or has to be scrolled to the side"
    page.locator("[data-class]").select_option("2")
    page.locator("[data-image]").select_option(index=1)
    heads = page.locator("[data-found] table").last.locator("th").all_inner_texts()
    assert heads == ["", "class", "image", "distance"], "there is no level above to name"
