from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_companion.data import CIFAR100, ImageSet, balanced_indices
from ssl_companion.data.images import fingerprint

from .conftest import make_fake


@pytest.fixture
def images() -> ImageSet:
    fake = make_fake(600)
    fine = np.array(fake.fine)
    files = np.array(fake.names)
    print_ = fingerprint(fake.images, fine)
    return ImageSet("CIFAR-100", "train", fine, files, print_, CIFAR100, images=fake.images)


def test_labels_at_any_level(images: ImageSet) -> None:
    assert len(images) == 600
    assert np.array_equal(images.labels(), images.fine)
    assert np.array_equal(images.labels("living"), CIFAR100.level("living").of_fine[images.fine])
    assert np.array_equal(
        images.labels("random-coarse", seed=2),
        CIFAR100.level("random-coarse", 2).of_fine[images.fine],
    )


def test_subset_is_balanced_consistent_and_repeatable(images: ImageSet) -> None:
    subset = images.subset(3, seed=1)
    assert np.bincount(subset.fine).tolist() == [3] * 100
    place = {name: i for i, name in enumerate(images.files.tolist())}
    rows = [place[name] for name in subset.files.tolist()]
    assert rows == balanced_indices(images.fine, 3, seed=1).tolist()
    assert np.array_equal(subset.images, images.images[rows])
    assert np.array_equal(subset.fine, images.fine[rows])
    assert (subset.name, subset.split, subset.stand_in) == ("CIFAR-100", "train", False)
    assert subset.fingerprint == images.subset(3, seed=1).fingerprint
    assert subset.fingerprint != images.subset(3, seed=2).fingerprint
    assert not subset.images.flags.writeable


@given(seed=st.integers(0, 2**31), n=st.integers(1, 4), labels=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_smaller_draws_are_part_of_larger_ones(seed: int, n: int, labels: int) -> None:
    fine = np.random.default_rng(labels).permutation(np.arange(35) % 7)
    small, large = (set(balanced_indices(fine, k, seed).tolist()) for k in (n, n + 1))
    assert small < large
    assert np.bincount(fine[sorted(small)]).tolist() == [n] * 7


def test_every_image_can_be_drawn() -> None:
    fine = np.repeat([0, 1], 10)
    drawn = [balanced_indices(fine, 2, seed) for seed in range(100)]
    assert set(np.concatenate(drawn).tolist()) == set(range(20))


def test_subset_rejects_what_it_cannot_draw(images: ImageSet) -> None:
    with pytest.raises(ValueError, match=r"n_per_class: 7; expected at most 6.*class 0"):
        images.subset(7)
    with pytest.raises(ValueError, match="n_per_class: 0; expected an integer of 1 or more"):
        images.subset(0)


def test_fingerprint_is_sha256_of_shape_pixels_and_labels() -> None:
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    fine = np.array([5, 258])
    expected = hashlib.sha256(
        b"(2, 3, 4, 4)"
        + bytes(range(96))
        + bytes([5, 0, 0, 0, 0, 0, 0, 0])
        + bytes([2, 1, 0, 0, 0, 0, 0, 0])
    ).hexdigest()
    assert fingerprint(images, fine) == expected
    assert fingerprint(images, fine.astype(np.int32)) == expected
    assert fingerprint(images[:, :, ::-1], fine) != expected
    assert fingerprint(images, fine[::-1]) != expected
