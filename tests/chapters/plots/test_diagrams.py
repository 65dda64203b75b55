"""The book's diagrams: complete SVG in the theme's colours, and true to what they say."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from ssl_companion.chapters.plots import diagrams
from ssl_companion.chapters.plots.drawing import PANEL_WIDTH, STYLE, TONES, Drawing
from ssl_companion.data.hierarchy import CIFAR100
from ssl_companion.measures import NearestCentroid

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {
    f"{draw.__name__}-{i}": panel
    for draw in (
        diagrams.views, diagrams.nearest_mean_and_width, diagrams.label_tree, diagrams.protocol,
    )
    for i, panel in enumerate(draw())
}  # fmt: skip
each_panel = pytest.mark.parametrize("panel", DRAWN.values(), ids=DRAWN)


@each_panel
def test_a_panel_is_named_and_told_in_words(panel: Drawing) -> None:
    root = ElementTree.fromstring(panel.svg("one"))
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert title.text
    assert description is not None
    assert len((description.text or "").split()) >= 20
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


@each_panel
def test_colours_are_the_pages_own_or_one_of_the_tones(panel: Drawing) -> None:
    root = ElementTree.fromstring(panel.svg("one"))
    known = set(re.findall(r"\.diagram \.([\w-]+)\{", STYLE))
    for element in root.iter():
        assert not {"style", "fill", "stroke", "color"} & element.attrib.keys()
        assert set(element.get("class", "").split()) <= known
    assert not re.sub(r"var\(--companion-tone-[abc],#\w{6}\)", "", STYLE).count("#")


def test_the_style_has_every_tone_and_no_small_type() -> None:
    assert all(f".{tone}{{color:var(--companion-tone-{tone},#" in STYLE for tone in TONES)
    assert min(int(size) for size in re.findall(r"font-size:(\d+)px", STYLE)) >= 12


def test_boundaries_are_where_two_means_are_nearest_and_equally_near() -> None:
    means = np.random.default_rng(0).uniform(0, [PANEL_WIDTH, 260], (5, 2))
    found = diagrams.boundaries(means, PANEL_WIDTH, 260)
    assert len(found) >= 5
    for *start, x_end, y_end in found:
        for share in (0.0, 0.3, 1.0):
            point = (1 - share) * np.array(start) + share * np.array([x_end, y_end])
            first, second, *_ = np.sort(np.linalg.norm(means - point, axis=1))
            np.testing.assert_allclose(first, second)
            assert (point >= -1e-9).all()
            assert (point <= [PANEL_WIDTH + 1e-9, 260 + 1e-9]).all()


def test_every_boundary_between_nearest_regions_is_drawn() -> None:
    means = np.array([[50.0, 130.0], [150.0, 130.0], [250.0, 130.0]])  # one line: two boundaries
    found = diagrams.boundaries(means, 300, 260)
    assert [(x, x_end) for x, _, x_end, _ in found] == [(100.0, 100.0), (200.0, 200.0)]


def test_one_point_lies_on_the_wrong_side() -> None:
    points, labels = diagrams.three_clouds()
    assert (NearestCentroid().fit(points, labels).predict(points) != labels).sum() == 1
    panel = diagrams.nearest_mean_and_width()[0]
    assert f"{len(points) - 1} of {len(points)} points" in panel.description


def test_cdnv_is_that_of_the_circles_and_the_arrow() -> None:
    panel = diagrams.nearest_mean_and_width()[1]
    root = ElementTree.fromstring(panel.svg("one"))
    circles = [c for c in root.iter(f"{SVG}circle") if "dashed" in c.get("class", "")][:4]
    assert len(circles) == 4  # the fifth explains the others
    for pair in (circles[:2], circles[2:]):
        apart = float(pair[1].get("cx", 0)) - float(pair[0].get("cx", 0))
        value = sum(float(c.get("r", 0)) ** 2 for c in pair) / (2 * apart**2)
        assert f"CDNV {value:.2f}" in panel.description


def test_a_lineage_counts_the_groups_and_names_its_own() -> None:
    for fine, panel in zip(("maple_tree", "bus"), diagrams.label_tree(), strict=True):
        own = CIFAR100.levels[0].class_names.index(fine)
        for level in CIFAR100.levels:
            name = level.class_names[level.of_fine[own]].replace("_", " ")
            kind = "classes" if level.name == "fine" else "groups"
            assert f"{level.name}, {level.k} {kind}: {name}, beside" in panel.description
        assert panel.svg("one").count('class="box c"') == len(CIFAR100.levels)


@pytest.mark.parametrize("panel", diagrams.label_tree(), ids=("maple tree", "bus"))
def test_the_boxes_of_a_lineage_stand_beside_each_other(panel: Drawing) -> None:
    root = ElementTree.fromstring(panel.svg("one"))
    boxes = [[float(b.get(k, 0)) for k in ("y", "x", "width")] for b in root.iter(f"{SVG}rect")]
    for (y, x, width), (below, x_next, width_next) in itertools.pairwise(sorted(boxes)):
        assert x >= 0
        assert x_next + width_next <= PANEL_WIDTH
        assert y != below or x + width <= x_next
