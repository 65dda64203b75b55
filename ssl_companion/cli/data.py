"""`ssl-companion data`: where the data set was looked for, what was found, how to get it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_companion.data import describe_sources, load


@dataclass(frozen=True)
class Data:
    """Find CIFAR-100, check and decode it once; say how to get it where it is absent.

    Attributes:
        data_root: a folder with the official archive or the parquet files; by default
            SSL_COMPANION_DATA or the user's cache.
        download: fetch the official archive (about 161 MB) where nothing is found.
    """

    data_root: Path | None = None
    download: bool = False

    def run(self) -> int:
        """Print where the data set was looked for and what was found; load it if it is there."""
        found = describe_sources(self.data_root)
        print(found)
        if not (found.complete or self.download):
            return 1
        for split in ("train", "test"):
            images = load("cifar100", split, self.data_root, download=self.download)
            print(f"{images.name} {split}: {len(images)} images, fingerprint {images.fingerprint}")
        return 0
