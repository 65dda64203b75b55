"""Groupings by looks beside recordings: what is kept is what the images give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from ssl_companion.data import DataError, ImageSet, load
from ssl_companion.data.hierarchy import CIFAR100
from ssl_companion.recordings import Recording, RecordingError, open_recording
from ssl_companion.recordings.groupings import PIXELS, WHITENED, read_groupings
from ssl_companion.recordings.looks import (
    LOOKS_FILE,
    Looks,
    looks_beside,
    looks_of_levels,
    write_looks,
)

BOOK = Path(__file__).parents[2] / "book" / "recordings"


def test_the_books_groupings_have_the_sizes_of_the_levels_and_are_those_kept_before() -> None:
    run = open_recording(BOOK / "reference-vicreg-s0")
    found, kept = looks_beside(run), read_groupings(run)
    assert set(found) == {(n, k) for n in CIFAR100.names[1:] for k in (PIXELS, WHITENED)}
    for (name, kind), groups in found.items():
        sizes = [np.bincount(of, minlength=CIFAR100.level(name).k) for of in groups]
        assert (np.array(sizes) == CIFAR100.level(name).sizes).all()
        if name == kept.level:
            np.testing.assert_array_equal(groups, kept.groups[kept.of(kind)])


@pytest.mark.slow
def test_the_books_groupings_are_those_of_the_images() -> None:
    try:
        train = load("cifar100")
    except DataError:
        pytest.skip("no CIFAR-100 here")
    run = open_recording(BOOK / "clustering-vicreg-s0")
    assert train.fingerprint == run.run["data"]["train_fingerprint"]
    made, found = looks_of_levels(train).groups, looks_beside(run)
    assert set(made) == set(found)
    for name, groups in made.items():
        np.testing.assert_array_equal(groups, found[name])


def test_classes_of_one_colour_are_one_group(
    write_synthetic: Callable[..., Recording], tmp_path: Path
) -> None:
    run = write_synthetic("looked", tmp_path, features=False)
    rng, level = np.random.default_rng(0), run.hierarchy.level("coarse")
    colour = rng.permutation(level.of_fine)  # of each class, with no regard to what it means
    fine = np.repeat(np.arange(100), 4)
    images = np.broadcast_to((12 * colour[fine])[:, None, None, None], (400, 3, 8, 8))
    images = (images + rng.integers(0, 3, images.shape)).astype(np.uint8)
    files = np.array([f"{i}.png" for i in range(400)])
    train = ImageSet("made", "train", fine, files, "synthetic", run.hierarchy, True, images=images)
    write_looks(tmp_path / LOOKS_FILE, looks_of_levels(train, components=20, starts=2))
    for groups in looks_beside(run)["coarse", PIXELS]:
        assert len(set(zip(groups.tolist(), colour.tolist(), strict=True))) == level.k


def test_looks_of_other_images_are_none(
    write_synthetic: Callable[..., Recording], tmp_path: Path
) -> None:
    run = write_synthetic("looked", tmp_path, features=False)
    found = looks_beside(run)
    assert found
    write_looks(tmp_path / LOOKS_FILE, Looks("other images", found))
    assert looks_beside(run) == {}
    (tmp_path / LOOKS_FILE).write_bytes((tmp_path / LOOKS_FILE).read_bytes()[:300])
    with pytest.raises(RecordingError, match="truncated or foreign"):
        looks_beside(run)
    stored = {"coarse/pixels": np.full((1, 100), 3.9)}
    about = {"about": json.dumps({"fingerprint": "synthetic"})}
    safetensors.numpy.save_file(stored, tmp_path / LOOKS_FILE, about)
    with pytest.raises(RecordingError, match=r"float64 of shape \[1, 100\]; expected bytes"):
        looks_beside(run)
    (tmp_path / LOOKS_FILE).unlink()
    assert looks_beside(run) == {}
