"""Maps of layer by epoch and profiles over the depth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

from ssl_companion.chapters.plots import layer_maps, target_comparisons
from ssl_companion.chapters.plots.theme import colour_contrast, on_dark


def test_maps_write_every_number_and_put_the_deepest_layer_on_top() -> None:
    epochs = pd.Index([0, 1, 10], name="epoch")
    table = pd.DataFrame(
        [[0.1, 0.2, 0.3], [0.1, 0.3, 0.6]], index=["stem", "block1"], columns=epochs
    )
    figure = layer_maps.two_maps(table, table.div(table[0], axis=0), title="fine")
    written = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert written == [["10", "20", "30", "10", "30", "60"],
                       ["1.0", "2.0", "3.0", "1.0", "3.0", "6.0"]]  # fmt: skip
    low, high = figure.axes[0].get_ylim()
    assert low < high  # rows count upwards: the first layer lies at the bottom


def test_a_map_without_growth_is_drawn_in_one_shade() -> None:
    flat = pd.DataFrame(np.ones((2, 3)), index=["stem", "block1"], columns=[0, 1, 2])
    figure = layer_maps.two_maps(0.01 * flat, flat, title="control")
    mesh = figure.axes[1].collections[0]
    assert len(np.unique(mesh.get_facecolors(), axis=0)) == 1


def test_every_digit_can_be_read_on_a_light_page_and_on_a_dark_one() -> None:
    table = pd.DataFrame(np.linspace(0.01, 1, 63).reshape(7, 9)).rename(index=str)
    drawn = [
        layer_maps.two_maps(table, 1 + 10 * table, title="fine"),
        target_comparisons.map_of_differences(table - 0.5, title="differences"),
    ]
    for axis in (axis for figure in drawn for axis in figure.axes):
        faces = axis.collections[0].get_facecolors()
        assert len(np.unique(faces, axis=0)) > 50
        for text, face in zip(axis.texts, faces[:, :3], strict=True):
            ink = np.array(to_rgb(text.get_color()))
            assert colour_contrast(ink, face) >= 4.5
            assert colour_contrast(on_dark(ink), on_dark(face)) >= 4.5


def test_profiles_begin_with_a_dashed_line_and_name_the_layers() -> None:
    rows = [
        (layer, depth, "fine", when, 0.1 * depth, 0.0, 0.5)
        for depth, layer in enumerate(("stem", "block1"))
        for when in ("before", "after")
    ]
    table = pd.DataFrame(rows, columns=["layer", "depth", "level", "when", "value", "low", "high"])
    axis = layer_maps.profiles(table, hue="when", y_label="accuracy").axes[0]
    assert [line.get_linestyle() for line in axis.lines] == ["--", "-"]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["stem", "b1"]
