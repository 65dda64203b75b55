"""The explorer in the built page: it moves, by keyboard and pointer, and says what Python says."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist, pdist

from ssl_companion.chapters.analysis.accuracies import hits, measured
from ssl_companion.chapters.analysis.feature_maps import overview
from ssl_companion.chapters.photographs import photographs
from ssl_companion.chapters.widgets.explorer import explorer_page
from ssl_companion.data import Hierarchy, Level
from ssl_companion.encoders.record import record_encoder
from ssl_companion.recordings import Recording, open_recording

pytestmark = pytest.mark.browser
LABELS = ["100 classes", "20 superclasses", "7 groups", "living / not living"]


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


def choose(page: Any, text: str) -> None:
    """A class by what a reader types."""
    page.locator("[data-class]").click()
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def class_rows(page: Any) -> list[str]:
    """What the table of nearest class means lists: "oak tree 0.31"."""
    rows = page.locator("[data-found] table").first.locator("tbody tr").all()
    return [" ".join(row.locator("td").all_inner_texts()[1:]).replace("\n", " ") for row in rows]


def nearest_means(recording: Recording, name: str, epoch: int, layer: str) -> list[str]:
    names = recording.hierarchy.levels[0].class_names
    means = recording.class_means(epoch, layer).astype(np.float64)
    own = names.index(name.replace(" ", "_"))
    apart = cdist(means[[own]], means)[0] / pdist(means).mean()
    nearest = [k for k in apart.argsort() if k != own][:5]
    return [f"{names[k].replace('_', ' ')} {apart[k]:.2f}" for k in nearest]


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_it_opens_on_the_maple_tree_after_training(
    scheme: str, offline_page: Any, served: str, site: Path, recording: Recording
) -> None:
    page = offline_page
    page.goto(f"{served if scheme == 'http' else site.as_uri()}/book/explorer.html")
    settled(page)
    last, layer = recording.kept_epochs()[-1], recording.layers[-1]
    expected = nearest_means(recording, "maple tree", last, layer)
    assert page.locator("[data-class]").input_value() == "maple tree"
    assert status(page).startswith(f"Epoch {last}, {layer}.")
    assert f"Nearest class means: {', '.join(expected)}." in status(page)
    assert class_rows(page) == expected


def test_its_questions_can_be_answered_as_the_page_says(
    explorer: Any, recording: Recording
) -> None:
    """Step by step, in the page's words, from the figure as it opens."""
    page, layers = explorer, recording.layers
    first, last = recording.kept_epochs()[0], recording.kept_epochs()[-1]
    epoch, layer = page.locator("[data-epoch]"), page.locator("[data-layer]")
    assert class_rows(page) == nearest_means(recording, "maple tree", last, layers[-1])
    epoch.press("Home")
    assert class_rows(page) == nearest_means(recording, "maple tree", first, layers[-1])
    epoch.press("End")
    layer.press("Home")
    assert class_rows(page) == nearest_means(recording, "maple tree", last, layers[0])
    layer.press("End")
    choose(page, "sunfl")
    assert page.locator("[data-class]").input_value() == "sunflower"
    epoch.press("Home")
    k = recording.hierarchy.levels[0].class_names.index("sunflower")
    own = recording.fine("test") == k
    right = hits(recording, "fine", [first])[0][own].sum()
    said = f"Nearest to their own class mean: {right} of {own.sum()} images shown."
    assert page.locator("[data-found] p").first.inner_text() == said
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('[data-play]').textContent === 'Play'")
    page.locator("[data-image]").select_option(index=1)
    tables = page.locator("[data-found] table")
    assert tables.last.locator("caption").inner_text() == "Nearest images"
    assert tables.last.locator("tbody tr").count() == 5
    before = settled(page)
    epoch.press("Home")
    assert settled(page) != before


def test_every_class_of_every_level_is_found_by_typing(explorer: Any, recording: Recording) -> None:
    page, box = explorer, explorer.locator("[data-class]")
    shown = page.locator("[data-list] [role=option]:visible")
    box.click()
    assert box.get_attribute("aria-expanded") == "true"
    assert shown.count() == sum(level.k for level in recording.hierarchy.levels)
    active = page.locator(f"[id='{box.get_attribute('aria-activedescendant')}']")
    assert active.inner_text().startswith("maple tree"), "the list opens at the class chosen"
    page.keyboard.type("trees")
    coarse = recording.hierarchy.levels[1]
    members = np.flatnonzero(coarse.of_fine == coarse.class_names.index("trees"))
    assert shown.count() == len(members) + 1, "the superclass and its classes"
    page.keyboard.press("Enter")
    assert box.input_value() == "trees"
    assert page.locator("[data-found] h3").inner_text() == "trees"
    page.keyboard.type("nothing like it")
    assert shown.all_inner_texts() == ["no class of that name"]
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert box.get_attribute("aria-expanded") == "false"
    assert box.input_value() == "trees", "what was typed in vain is taken back"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert box.input_value() == "trees"
    page.keyboard.press("Escape")
    assert box.input_value() == ""
    assert page.locator("[data-found] table").count() == 0


def test_levels_have_names_and_are_explained(explorer: Any) -> None:
    buttons = explorer.locator("[data-levels] label").all_inner_texts()
    assert buttons == LABELS
    note, seen = explorer.locator("[data-note]"), []
    for label in buttons:
        before = settled(explorer)
        explorer.locator("[data-levels] label", has_text=label).click()
        seen.append(note.inner_text())
        assert label == "7 groups" or settled(explorer) != before, "the colours follow"
    assert len(set(seen)) == len(buttons)
    assert "such as plants: flowers, fruit and vegetables, trees." in seen[2]
    assert explorer.locator("[data-class]").input_value() == "maple tree", "and nothing else does"


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_or_far_away(width: int, explorer: Any) -> None:
    explorer.set_viewport_size({"width": width, "height": 844})
    settled(explorer)
    root = explorer.locator(".explorer")
    faults = root.evaluate(
        """root => {
          const faults = [], frame = root.getBoundingClientRect();
          root.querySelectorAll(".explorer-charts svg").forEach(chart => {
            const texts = [...chart.querySelectorAll("text")].map(text => ({
              said: text.textContent, box: text.getBoundingClientRect(),
              size: parseFloat(getComputedStyle(text).fontSize) * chart.clientWidth
                / chart.viewBox.baseVal.width }));
            texts.forEach(({ said, box, size }, i) => {
              if (box.left < frame.left || box.right > frame.right) faults.push(`cut: ${said}`);
              if (size < 11) faults.push(`small: ${said} ${size}`);
              texts.slice(i + 1).forEach(other => {
                const o = other.box;
                if (box.left < o.right && o.left < box.right && box.top + 2 < o.bottom
                  && o.top + 2 < box.bottom) faults.push(`overlap: ${said}, ${other.said}`);
              });
            });
          });
          return faults;
        }"""
    )
    assert not faults
    stage, found = (
        explorer.locator(f".explorer-{part}").bounding_box() for part in ("stage", "found")
    )
    if width == 390:
        below = found["y"] - stage["y"] - stage["height"]
        assert 0 < below < 250, "the tables come right below the map and its sliders"
    else:
        assert found["x"] > stage["x"] + stage["width"], "beside it"
    boxes = [chart.bounding_box() for chart in explorer.locator("[data-chart]").all()]
    gap = max(boxes[1]["x"] - boxes[0]["x"] - boxes[0]["width"],
              boxes[1]["y"] - boxes[0]["y"] - boxes[0]["height"])  # fmt: skip
    assert gap < 40, "no hole between the charts"
    assert explorer.evaluate("document.documentElement.scrollWidth") <= width


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
    named = tip.inner_text().split(" · ")[0].strip()
    tile = tip.locator(".explorer-photograph").evaluate(
        "tile => { const style = getComputedStyle(tile); return [style.backgroundImage, "
        "style.backgroundPosition, tile.offsetWidth]; }"
    )
    explorer.mouse.click(x, y)
    image = int(explorer.locator("[data-image]").input_value())
    epoch = int(explorer.locator("[data-epoch-shown]").inner_text())
    fine = recording.hierarchy.levels[0]
    names = [name.replace("_", " ") for name in fine.class_names]
    assert names[recording.fine("test")[image]] == named

    # The photograph of the very image, up to the compression.
    left, top = (-float(part.removesuffix("px")) * 32 / tile[2] for part in tile[1].split())
    data = base64.b64decode(tile[0].split("base64,")[1].removesuffix('")'))
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float)
    shown = sheet[round(top) : round(top) + 32, round(left) : round(left) + 32]
    given = photographs(recording)
    assert given is not None
    errors = [np.abs(shown - other).mean() for other in given]
    assert int(np.argmin(errors)) == image
    assert explorer.locator(".explorer-image .explorer-photograph").is_visible()
    assert explorer.locator("[data-found] table .explorer-photograph").count() == 10

    features = recording.features(epoch, recording.layers[-1]).astype(np.float64)
    apart = cdist(features[[image]], features)[0] / pdist(features).mean()
    apart[image] = np.inf
    nearest = apart.argsort()[:5]
    table = explorer.locator("[data-found] table").last
    own = np.flatnonzero(recording.fine("test") == recording.fine("test")[image]).tolist()
    called = f"{named}, photograph {own.index(image) + 1} of {len(own)}"
    shown_as = explorer.locator(".explorer-image")
    assert shown_as.inner_text().strip() == called
    assert shown_as.locator("[title]").get_attribute("title") == recording.files("test")[image]
    option = explorer.locator("[data-image] option:checked")
    assert option.inner_text() == called
    rows = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    assert [row[1].strip().split("\n")[0] for row in rows] == [
        names[k] for k in recording.fine("test")[nearest]
    ]
    assert [row[-1] for row in rows] == [f"{apart[k]:.2f}" for k in nearest]

    canvas.click(position={"x": 2, "y": 2})  # no point lies in the corner
    assert explorer.locator("[data-class]").input_value() == ""
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
    labels = dict(zip(recording.hierarchy.names, LABELS, strict=True))
    expected = ", ".join(f"{labels[name]} {value[name]:.1%}" for name in labels)
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
          range.value = 0;
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
    said = f"NCC accuracy over 180 held-out images: 6 classes {accuracy['value'].item():.1%}."
    assert status(page).startswith(said), "neither epoch nor layer where there is one of each"
    first = page.locator("[data-class]").input_value()
    assert page.locator("[data-found] h3").inner_text() == first, "the first class"
    for part in ("data-play", "data-epoch", "data-layer", "data-levels", "data-chart=epochs"):
        assert not page.locator(f"[{part}]").is_visible(), part
    page.goto((own / "many.html").as_uri())
    settled(page)
    assert status(page).startswith("Epoch 4, high. NCC accuracy over 180 held-out images")
    page.locator("[data-epoch]").focus()
    page.keyboard.press("Home")
    page.locator("[data-layer]").focus()
    page.keyboard.press("Home")
    settled(page)
    assert status(page).startswith("Epoch 0, low.")
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
    page.locator("[data-image]").select_option(index=1)
    image = page.locator("[data-found] table").last.locator("tbody tr").first
    second = image.locator("small").inner_text()
    assert re.fullmatch(r"image \d+ of \d+", second), "where there is no level above"
    assert page.locator(".explorer-photograph").count() == 0


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of few images of thirty classes, in six groups and two halves."""
    folder, k = tmp_path_factory.mktemp("grouped"), 30
    rng, y = np.random.default_rng(0), np.repeat(np.arange(k), 12)
    halves = Level("halves", ("first", "second"), np.arange(k) // 15)
    groups = Level("groups", tuple("ABCDEF"), np.arange(k) // 5)
    fine = Level("fine", tuple(f"class {i}" for i in range(k)), np.arange(k))
    mine = record_encoder(
        None,
        0.7 * rng.normal(size=(k, 16))[y] + rng.normal(size=(len(y), 16)),
        y,
        hierarchy=Hierarchy("own", (fine, groups, halves)),
        destination=folder / "grouped",
        progress=False,
    )
    (folder / "grouped.html").write_text(explorer_page(overview(mine, rounds=40)), "utf8")
    return folder / "grouped.html"


def picture_of(found: Any) -> np.ndarray:
    """An element as it is on the screen, [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(found.screenshot())).convert("RGB")).astype(int)


def chip_colours(page: Any) -> dict[str, list[np.ndarray]]:
    """The colours of the marks of every chip, on the screen."""
    legend = page.locator("[data-legend]")
    picture = picture_of(legend)
    middles = legend.evaluate(
        """legend => {
          const frame = legend.getBoundingClientRect();
          return [...legend.querySelectorAll("button")].map(chip => [chip.textContent,
            [...chip.querySelectorAll("i, svg")].map(mark => mark.getBoundingClientRect())
              .map(box => [(box.left + box.right) / 2 - frame.left,
                (box.top + box.bottom) / 2 - frame.top])]);
        }"""
    )
    return {text: [picture[int(y), int(x)] for x, y in marks] for text, marks in middles}


def points(page: Any) -> list[tuple[str, np.ndarray]]:
    """The finest class of every point that lies free, and its colour on the screen."""
    script = page.locator(".explorer script").text_content()
    data = json.loads(script.partition('("explorer", ')[2].strip().removesuffix(");"))
    fine, xy = (
        np.frombuffer(base64.b64decode(data[part]["data"][7:]), f"<u{data[part]['bits'] // 8}")
        for part in ("fine", "map")
    )
    picture = picture_of(page.locator("[data-map]"))
    x, y = (xy.reshape(-1, len(fine), 2)[-1] / 65535).T
    at = np.stack([0.03 + 0.94 * x, 0.97 - 0.94 * y], axis=1) * len(picture)
    free = (cdist(at, at) + 1e9 * np.eye(len(at))).min(axis=1) > 8
    names = data["levels"][0]["names"]
    return [(names[fine[i]], picture[int(at[i, 1]), int(at[i, 0])]) for i in np.flatnonzero(free)]


def agree(page: Any, group_of: dict[str, str]) -> int:
    """Hold points to the chips of their groups; how many were compared."""
    chips, compared = chip_colours(page), 0

    def like(colour: np.ndarray, text: str) -> bool:
        return any(np.abs(colour - own).max() <= 3 for own in chips[text])

    for name, colour in points(page):
        # A point under a name on the map has a colour that no chip has.
        if any(like(colour, text) for text in chips):
            assert like(colour, group_of[name]), f"{name}: {colour}, chips {chips}"
            compared += 1
    return compared


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_chips_have_the_colours_of_their_classes_points(
    grouped: Path, offline_page: Any, scheme: str
) -> None:
    page = offline_page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(grouped.as_uri())
    settled(page)
    names = [f"class {i}" for i in range(30)]
    group = {name: "ABCDEF"[i // 5] for i, name in enumerate(names)}
    half = {name: ("first", "second")[i // 15] for i, name in enumerate(names)}
    for chosen in ("", "class 7", "B"):
        page.keyboard.press("Escape")
        page.locator("[data-class]").focus()
        page.keyboard.press("Escape")
        if chosen:
            choose(page, chosen)
        assert page.locator("[data-class]").input_value() == chosen
        marked = page.locator("[data-legend] button", has=page.locator("svg")).count()
        assert (marked > 0) is bool(chosen)
        for level, groups in enumerate((group, group, half)):
            page.locator("[data-levels] label").nth(level).click()
            page.mouse.move(0, 0)
            free = len(points(page))
            assert free > 30
            assert agree(page, groups) > 0.8 * free, (chosen, level)
