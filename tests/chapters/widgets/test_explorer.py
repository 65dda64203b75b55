"""What the explorer's page says of a recording, and the colours that it gives to classes."""

from __future__ import annotations

import copy
import re

import numpy as np
import pandas as pd
import pytest

from ssl_companion.chapters.analysis.feature_maps import ClassGroups, Overview, Snapshot
from ssl_companion.chapters.widgets.explorer import colours, explorer_page, page_data
from ssl_companion.data import Hierarchy, Level
from ssl_companion.recordings import Recording


def hierarchy(*sizes: int) -> Hierarchy:
    """Levels of so many classes, as even as can be."""
    k = sizes[0]
    return Hierarchy(
        "own",
        tuple(
            Level(
                f"l{size}" if size < k else "fine",
                tuple(f"{size}-{i}" for i in range(size)),
                np.arange(k) * size // k,
            )
            for size in sizes
        ),
    )


def drawn(recording: Recording, levels: Hierarchy) -> Overview:
    """An overview without features: maps and neighbours by lot."""
    rng, n = np.random.default_rng(0), 40
    fine = np.arange(n) % levels.levels[0].k
    groups = {
        level.name: ClassGroups(
            nearest=np.stack([np.roll(np.arange(level.k), -1)[:1]] * level.k),
            distances=np.ones((level.k, 1)),
            right=np.zeros(level.k, dtype=np.int64),
        )
        for level in levels.levels
    }
    shot = Snapshot(
        recording.epochs[-1], recording.layers[-1], rng.normal(size=(n, 2)),
        np.zeros((n, 1), dtype=np.int64), np.ones((n, 1)), groups,
    )  # fmt: skip
    names = np.array([f"{i}.png" for i in range(n)])
    ncc = pd.DataFrame(columns=["epoch", "layer", "level", "split", "value", "n"])
    return Overview(recording, levels, fine, names, (shot,), ncc)


def test_a_recording_that_grows_says_so_and_a_complete_one_does_not(clusters: Recording) -> None:
    growing = copy.copy(clusters)
    growing.complete = False
    growing.epochs = (0, 3, 12)
    levels = hierarchy(10, 2)
    page = explorer_page(drawn(growing, levels))
    said = "Training goes on: epochs up to 12 are here; make the page again for later ones."
    assert re.search(rf"</h1>\s*<p[^>]*>{said}</p>", page), "right below the title"
    assert "Training goes on" not in explorer_page(drawn(clusters, levels))
    growing.epochs = (0,)
    assert "Training goes on: epoch 0 is here;" in explorer_page(drawn(growing, levels))


def test_the_first_class_is_the_one_with_most_images_right_and_then_most_kin(
    clusters: Recording,
) -> None:
    levels = hierarchy(6, 2)  # classes 0 to 2 are kin, and 3 to 5
    shown = drawn(clusters, levels)
    groups = shown.snapshots[0].groups
    own = ClassGroups(
        nearest=np.array([[3, 4], [0, 3], [0, 1], [4, 0], [3, 5], [0, 1]]),
        distances=np.ones((6, 2)),
        right=np.array([5, 7, 7, 7, 6, 7]),
    )
    object.__setattr__(shown.snapshots[0], "groups", {**groups, "fine": own})
    start = {"epoch": clusters.epochs[-1], "layer": clusters.layers[-1]}
    assert page_data(shown, "fine", **start)["start"]["group"] == 2
    assert page_data(shown, "fine", **start, chosen="6-4")["start"]["group"] == 4


@pytest.mark.parametrize(
    "sizes",
    [(100, 24, 6, 2), (10, 2), (10,), (20,), (30, 2), (100, 2), (100, 20), (100, 30, 6), (200, 50),
     (24, 12), (40,)],
    ids=str,
)  # fmt: skip
def test_a_class_has_the_colour_of_its_chip(clusters: Recording, sizes: tuple[int, ...]) -> None:
    levels = hierarchy(*sizes)
    start = {"epoch": clusters.epochs[-1], "layer": clusters.layers[-1]}
    data = page_data(drawn(clusters, levels), levels.names[0], **start)
    for level, told in zip(levels.levels, data["levels"], strict=True):
        shown = levels.levels[told["chips"]]
        chips = data["levels"][told["chips"]]["colours"]
        for k in range(level.k):
            group = shown.of_fine[np.flatnonzero(level.of_fine == k)[0]]
            assert told["colours"][k] == chips[group]
        if level.k <= 24 and level.k == shown.k and levels.levels[-1].k <= 8:
            assert len({tuple(one) for one in chips}) == level.k, "told apart"


@pytest.mark.parametrize(("k", "different"), [(8, 8), (10, 10), (24, 24), (40, 24)])
def test_classes_without_groups_are_told_apart_as_far_as_colours_go(k: int, different: int) -> None:
    own = hierarchy(k)
    found = colours(own, own.levels[0])
    assert len(set(found)) == different
    assert {hue for hue, _ in found} == set(range(8))
