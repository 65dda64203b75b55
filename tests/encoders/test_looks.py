"""Groups by looks: of the level's sizes, of pixels that are alike, of any kind of array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestCentroid

from ssl_companion.data import load
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.inputs.hierarchies import as_hierarchy
from ssl_companion.encoders.looks import groups_by_looks
from ssl_companion.measures.kmeans import balanced_kmeans

K = 6
NAMES = [str(i) for i in range(K)]
LEVELS = as_hierarchy({"a": ["0", "1", "2"], "b": {"c": ["3", "4"], "d": ["5"]}}, NAMES)
#: By looks 0 and 3, 1 and 4, and 2 and 5 are alike.
Y = np.repeat(np.arange(K), 4)
IMAGES = np.random.default_rng(0).integers(0, 20, (len(Y), 3, 8, 8)).astype(np.uint8)
IMAGES += (100 * (Y % 3 == 1)).astype(np.uint8)[:, None, None, None]
IMAGES[Y % 3 == 2, 2] += 200


def test_classes_that_look_alike_are_together() -> None:
    pairs = as_hierarchy({"a": [0, 1], "b": [2, 3], "c": [4, 5]}, NAMES)
    groups = groups_by_looks(IMAGES, Y, pairs)["level1"]
    found = [tuple(map(tuple, group[:, None] == group)) for group in groups]
    alike = tuple(map(tuple, np.arange(K)[:, None] % 3 == np.arange(K) % 3))
    assert alike in found


@given(seed=st.integers(0, 20))
@settings(max_examples=5, deadline=None)
def test_groups_have_the_sizes_of_the_levels(seed: int) -> None:
    found = groups_by_looks(IMAGES, Y, LEVELS, seed=seed)
    assert list(found) == list(LEVELS.names[1:])
    for level in LEVELS.levels[1:]:
        assert found[level.name].shape == (10, K)
        for group in found[level.name]:
            np.testing.assert_array_equal(np.bincount(group), level.sizes)


def test_they_are_balanced_kmeans_of_mean_images() -> None:
    images = load("glyphs100", "test", n=300)
    level = images.hierarchy.level("coarse")
    found = groups_by_looks(images.images, images.fine, images.hierarchy, seed=3)
    means = [images.images[images.fine == k].astype(float).mean(axis=0) for k in range(100)]
    flat = np.reshape(means, (100, -1))
    expected = balanced_kmeans(flat, level.sizes.tolist(), starts=1, seed=3)
    np.testing.assert_array_equal(found["coarse"][0], expected)


@pytest.mark.parametrize("kind", ["tensor", "floats", "large", "grey", "mapped"])
def test_any_array_of_images_will_do(kind: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGES)
    images = {
        "tensor": torch.from_numpy(IMAGES), "floats": IMAGES / 255,
        "large": IMAGES.repeat(8, axis=2).repeat(8, axis=3),  # whose places are averaged to 32 x 32
        "grey": IMAGES.reshape(len(Y), 24, 8),
        "mapped": np.load(tmp_path / "x.npy", mmap_mode="r"),
    }[kind]  # fmt: skip
    expected = groups_by_looks(IMAGES, Y, LEVELS)
    for level, groups in groups_by_looks(images, Y, LEVELS).items():
        np.testing.assert_array_equal(groups, expected[level])
    assert groups_by_looks(np.where(IMAGES > 210, np.nan, IMAGES), Y, LEVELS) == {}


def test_the_table_has_them_as_scikit_learn_scores_them_where_images_are_an_array() -> None:
    def encoder(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, ::7]

    images = IMAGES.astype(np.float32)
    held = {"test_images": images, "test_labels": Y, "which": "ncc", "hierarchy": LEVELS}
    table = measure_encoder(encoder, images, Y, **held).set_index("level")
    x = images.reshape(len(Y), -1)[:, ::7]
    for level, groups in groups_by_looks(IMAGES, Y, LEVELS).items():
        scores = [NearestCentroid().fit(x, of[Y]).score(x, of[Y]) for of in groups]
        row = table.loc[f"looks-{level}"]
        assert row["value"] == pytest.approx(np.mean(scores))
        assert row["low"] <= row["value"] <= row["high"]
    streamed = measure_encoder(encoder, [(images, Y)], **held)
    features = measure_encoder(None, x, Y, **held | {"test_images": x})
    for other in (streamed, features):
        assert not any(level.startswith("looks") for level in other["level"])
