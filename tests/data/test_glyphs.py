from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier

from ssl_companion.data import GLYPHS100, load
from ssl_companion.data._glyph_masks import BOX, FACES
from ssl_companion.data._glyph_names import COARSE
from ssl_companion.data.glyphs import CHARACTERS, SIZES, _masks, generate
from ssl_companion.data.images import fingerprint

CHANCE = 1 / 100


@pytest.fixture(scope="module")
def train() -> tuple[np.ndarray, np.ndarray]:
    decoded = generate("train", 6000)
    return decoded.images, decoded.fine


@pytest.fixture(scope="module")
def test() -> tuple[np.ndarray, np.ndarray]:
    decoded = generate("test", 1000)
    return decoded.images, decoded.fine


def test_load_says_that_it_is_a_stand_in() -> None:
    assert len(load("glyphs100", "test")) == SIZES["test"] == 2_000
    images = load("glyphs100", "test", n=250)
    assert images.stand_in
    assert "stand-in" in images.name
    assert images.hierarchy is GLYPHS100
    assert images.images.shape == (250, 3, 32, 32)
    assert set(np.bincount(images.fine, minlength=100)) == {2, 3}
    assert len(set(images.files.tolist())) == 250
    names = GLYPHS100.level("fine").class_names
    assert all(f.startswith(names[c]) for f, c in zip(images.files, images.fine, strict=True))
    again = load("glyphs100", "test", n=250)
    assert np.array_equal(images.images, again.images)


def test_a_seed_gives_the_same_images_in_another_process() -> None:
    code = (
        "from ssl_companion.data.glyphs import generate\n"
        "from ssl_companion.data.images import fingerprint\n"
        "drawn = generate('test', 300, seed=7)\n"
        "print(fingerprint(drawn.images, drawn.fine))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    here = generate("test", 300, seed=7)
    assert answer.stdout.strip() == fingerprint(here.images, here.fine)


def test_seeds_and_splits_share_no_image() -> None:
    draws = [generate("train", 300), generate("train", 300, seed=1), generate("test", 300)]
    pixels = [image.tobytes() for drawn in draws for image in drawn.images]
    assert len(set(pixels)) == 900


def test_characters_are_those_that_the_names_say() -> None:
    assert len(set(CHARACTERS)) == 100
    for script in ("latin", "greek", "cyrillic", "armenian", "georgian", "hebrew", "arabic"):
        for name, code in COARSE[script].items():
            official = unicodedata.name(chr(code)).lower()
            assert official.startswith(script)
            assert official.endswith(f" {name}")


def test_every_class_is_in_several_faces_and_never_an_empty_box() -> None:
    fonts = Path(mpl.get_data_path(), "fonts", "ttf")
    known = [set(TTFont(fonts / f"{face}.ttf").getBestCmap()) for face in FACES]
    expected = [sum(ord(character) in face for face in known) for character in CHARACTERS]
    masks = _masks()
    assert masks.count.tolist() == expected
    assert min(expected) >= 2


def test_shapes_fill_their_box() -> None:
    masks = _masks()
    for mask in masks.alpha:
        rows, columns = np.nonzero(mask)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 in (BOX - 1, BOX)
        assert mask[[0, -1]].max() == 0
        assert mask[:, [0, -1]].max() == 0


def test_no_two_classes_look_alike_not_even_in_a_mirror() -> None:
    masks = _masks()
    ink = masks.alpha[masks.first] / 255
    ink /= np.linalg.norm(ink, axis=(1, 2), keepdims=True)
    block = GLYPHS100.level("coarse").of_fine
    for other in (ink, ink[:, :, ::-1]):
        overlap = ink.reshape(100, -1) @ other.reshape(100, -1).T
        np.fill_diagonal(overlap, 0)
        assert overlap.max() < 0.98  # dice differ by a dot, trigrams by a gap
        assert overlap[block[:, None] != block].max() < 0.9


def test_the_whole_glyph_is_in_the_image_and_stands_out() -> None:
    decoded = generate("test", 500)
    grey = decoded.images.astype(np.float64).mean(axis=1)
    spread = grey.reshape(500, -1)
    contrast = np.percentile(spread, 99, axis=1) - np.percentile(spread, 1, axis=1)
    assert np.percentile(contrast, 1) > 50


def test_background_does_not_give_the_class_away(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> None:
    def corners(images: np.ndarray) -> np.ndarray:
        return images[:, :, ::31, ::31].reshape(len(images), -1).astype(np.float64)

    def colour(images: np.ndarray) -> np.ndarray:
        return images.astype(np.float64).mean(axis=(2, 3))

    for feature in (corners, colour):
        for classifier in (LinearDiscriminantAnalysis(), KNeighborsClassifier(15)):
            classifier.fit(feature(train[0]), train[1])
            score = classifier.score(feature(test[0]), test[1])
            # 1,000 images at chance: 1% give or take 0.3%
            assert score < CHANCE + 0.02, (feature.__name__, classifier)


def test_shapes_give_the_class_away(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
) -> None:
    def edges(images: np.ndarray) -> np.ndarray:
        grey = images.astype(np.float64).mean(axis=1)
        down, right = np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]
        size = np.hypot(down, right).reshape(len(images), -1)
        return size / np.linalg.norm(size, axis=1, keepdims=True)

    reduce = PCA(60, random_state=0).fit(edges(train[0]))
    classifier = KNeighborsClassifier(5).fit(reduce.transform(edges(train[0])), train[1])
    assert classifier.score(reduce.transform(edges(test[0])), test[1]) > 10 * CHANCE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"split": "valid"}, "split: 'valid'; expected one of train, test"),
        ({"n": 0}, "n: 0; expected an integer of 1 or more"),
        ({"seed": -1}, "seed: -1; expected an integer of 0 or more"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        generate(**arguments)  # type: ignore[arg-type]
