"""A photograph and its neighbours as HTML: what is shown, said, marked, and refused."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from ssl_companion.chapters.analysis.nearest_images import NearestImages, nearest_images
from ssl_companion.chapters.widgets.nearest_photographs import (
    count_in_words,
    nearest_data,
    nearest_photographs,
    told,
)
from ssl_companion.recordings import Recording

EXAMPLES = [5, 417]


@pytest.fixture(scope="module")
def found(clusters: Recording) -> NearestImages:
    return nearest_images(clusters, k=3)


@pytest.fixture(scope="module")
def pictures(found: NearestImages) -> np.ndarray:
    """Each of one colour, by which it is known again."""
    place = np.arange(len(found.fine))
    colours = np.stack([place % 10 * 25, place // 10 % 10 * 25, place // 100 * 25], axis=1)
    return np.broadcast_to(colours[:, None, None], (len(place), 32, 32, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def page(found: NearestImages, pictures: np.ndarray) -> str:
    return nearest_photographs(found, pictures, "near", "Neighbours & more.", EXAMPLES).html


def _colour(address: str) -> np.ndarray:
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).mean(axis=(0, 1))


def test_every_tile_is_its_image(found: NearestImages, pictures: np.ndarray) -> None:
    data = nearest_data(found, pictures, EXAMPLES)
    for place, shown in zip(EXAMPLES, data["shown"], strict=True):
        assert np.allclose(_colour(data["tiles"][shown["tile"]][0]), pictures[place, 0, 0], atol=8)
        for epoch, tiles in enumerate(shown["near"]):
            for row, tile in zip(found.rows[epoch, place], tiles, strict=True):
                address, name = data["tiles"][tile]
                assert np.allclose(_colour(address), pictures[row, 0, 0], atol=8)
                assert name == found.class_names[found.fine[row]].replace("_", " ")


def test_marks_say_what_a_neighbour_has_in_common(
    found: NearestImages, pictures: np.ndarray
) -> None:
    data = nearest_data(found, pictures, EXAMPLES)
    for place, shown in zip(EXAMPLES, data["shown"], strict=True):
        for row, common in zip(found.rows[-1, place], shown["common"][-1], strict=True):
            same_class = found.fine[row] == found.fine[place]
            same_group = found.groups[row] == found.groups[place]
            assert common == (2 if same_class else 1 if same_group else 0)
    assert len(set(data["marks"])) == len(set(data["words"])) == 3  # not by colour alone


def test_it_begins_after_the_last_epoch_with_the_first_photograph(
    found: NearestImages, pictures: np.ndarray, page: str
) -> None:
    shown = nearest_data(found, pictures, EXAMPLES)["shown"][0]
    assert shown["told"][-1] in page
    last = len(found.epochs) - 1
    assert f'max="{last}" step="1" value="{last}"' in page
    rows = [
        [int(c) for c in re.findall(r'<li data-common="(\d)"', part)]
        for part in re.findall(r"<ol.*?</ol>", page, re.S)
    ]
    assert rows == [shown["common"][0], shown["common"][-1]]


def test_pictures_have_texts_and_the_slider_a_label(page: str) -> None:
    alts = re.findall(r'<img[^>]* alt="([^"]*)"', page)
    assert all(alts)
    assert '<label for="epoch-near">' in page
    assert "Neighbours &amp; more." in page
    assert not re.findall(r"https?://", page)


def test_the_sentence_counts(found: NearestImages) -> None:
    place, counts = EXAMPLES[0], found.same_group()[:, EXAMPLES[0]]
    said = told(found, place, found.epochs[1])
    assert f"{count_in_words(int(counts[0]))} came from its superclass" in said
    assert said.endswith(f"{count_in_words(int(counts[1]))} after 1 epoch.")
    assert told(found, place, found.epochs[-1]).endswith(f"after {found.epochs[-1]} epochs.")


def test_counts_are_words_up_to_ten() -> None:
    assert [count_in_words(n) for n in (0, 1, 6, 10, 11)] == ["none", "one", "six", "ten", "11"]


def test_the_data_cannot_end_the_script(found: NearestImages, pictures: np.ndarray) -> None:
    names = ("</script><b>", *found.class_names[1:])
    renamed = NearestImages(
        found.epochs, found.rows, np.zeros_like(found.fine), found.groups, names, found.group_names
    )
    html = nearest_photographs(renamed, pictures, "near", "Neighbours.", EXAMPLES).html
    assert html.count("</script>") == 1
    data = html.split("})(")[1].split(");\n</script>")[0]
    assert json.loads(data)["tiles"][0][1] == "</script><b>"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Near"}, "name: 'Near'; expected lower-case"),
        ({"caption": " "}, "caption: ' '; expected a sentence"),
        ({"pictures": np.zeros((3, 32, 32, 3), np.uint8)}, "pictures: 3; expected 1000"),
        ({"examples": []}, "examples: none; expected one place or more"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    change: dict, message: str, found: NearestImages, pictures: np.ndarray
) -> None:
    given = {"pictures": pictures, "name": "near", "caption": "Neighbours.", "examples": EXAMPLES}
    with pytest.raises(ValueError, match=message):
        nearest_photographs(found, **(given | change))
