"""Against the real CIFAR-100, where SSL_COMPANION_DATA points at it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ssl_companion.data import CIFAR100, ImageSet, load
from ssl_companion.data.cifar100 import find
from ssl_companion.data.images import fingerprint

ROOT = os.environ.get("SSL_COMPANION_DATA")  # as it is before the tests' own surroundings
SIZES = {"train": 50_000, "test": 10_000}


def _complete() -> bool:
    return ROOT is not None and all(find(Path(ROOT), split) for split in SIZES)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _complete(), reason="SSL_COMPANION_DATA holds no CIFAR-100"),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cifar100")


@pytest.fixture(params=SIZES)
def images(
    request: pytest.FixtureRequest, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> ImageSet:
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(cache))
    return load(split=request.param, root=ROOT)


def test_sizes_and_class_counts(images: ImageSet) -> None:
    n = SIZES[images.split]
    assert images.images.shape == (n, 3, 32, 32)
    assert images.images.dtype == np.uint8
    assert images.images.flags.c_contiguous
    assert np.bincount(images.fine, minlength=100).tolist() == [n // 100] * 100
    assert np.bincount(images.labels("coarse")).tolist() == [n // 20] * 20
    assert fingerprint(images.images, images.fine) == images.fingerprint


@pytest.mark.parametrize("images", ["train"], indirect=True)
def test_published_statistics_of_the_training_pixels(images: ImageSet) -> None:
    values = np.arange(256) / 255
    expected = [(0.5071, 0.2673), (0.4866, 0.2564), (0.4409, 0.2762)]
    for colour, (mean, deviation) in enumerate(expected):
        share = np.bincount(images.images[:, colour].ravel(), minlength=256) / (50_000 * 1024)
        found = share @ values
        assert found == pytest.approx(mean, abs=2e-4)
        assert np.sqrt(share @ (values - found) ** 2) == pytest.approx(deviation, abs=2e-4)


def test_every_image_and_both_labels_are_the_file_s(images: ImageSet) -> None:
    source = find(Path(ROOT), images.split)
    assert source is not None
    if source.layout != "parquet":
        pytest.skip("reads parquet files")
    coarse = images.labels("coarse")
    ours = pd.Series(
        [(image.tobytes(), int(c)) for image, c in zip(images.images, coarse, strict=True)],
        index=pd.MultiIndex.from_arrays([images.files, images.fine]),
    )
    assert ours.index.is_unique
    for path in source.files:
        table = pq.read_table(path)
        rows = table.take(np.random.default_rng(0).integers(table.num_rows, size=400)).to_pylist()
        for row in rows:
            image = np.asarray(Image.open(io.BytesIO(row["img"]["bytes"])))
            pixels, label = ours[row["img"]["path"], row["fine_label"]]
            assert pixels == image.transpose(2, 0, 1).tobytes()
            assert label == row["coarse_label"]
        published = pd.crosstab(
            table["fine_label"].to_numpy(), table["coarse_label"].to_numpy()
        ).to_numpy()
        assert np.array_equal(published.argmax(1), CIFAR100.level("coarse").of_fine)
        assert (published > 0).sum() == 100
