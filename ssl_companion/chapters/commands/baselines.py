"""`ssl-companion baselines`: what nearest class means reach on the pixels, for the chapters."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ssl_companion.cli.tables import show
from ssl_companion.data import load
from ssl_companion.recordings import recordings_root
from ssl_companion.recordings.places import require_writable


@dataclass(frozen=True)
class Baselines:
    """Measure the pixels themselves, plain and whitened, and keep that beside the recordings.

    Attributes:
        data: which data set.
        data_root: where it is; by default as `ssl-companion data` finds it.
        images_per_class: of the training set, one measurement each; 0 takes all.
        out: the folder of the recordings.
        json: print JSON instead of a table.
    """

    data: Literal["cifar100", "glyphs100"] = "cifar100"
    data_root: Path | None = None
    images_per_class: tuple[int, ...] = (0, 100)
    out: Path | None = None
    json: bool = False

    def run(self) -> int:
        """Measure, write, print."""
        from ssl_companion.chapters.analysis.pixel_baselines import pixel_baselines, write_baselines

        if not self.images_per_class or min(self.images_per_class) < 0:
            raise ValueError(
                f"images_per_class: {self.images_per_class or 'none'}; expected one number or "
                "more, each 0 or more (0 takes all)"
            )
        require_writable(recordings_root(self.out))
        train = load(self.data, "train", self.data_root)
        test = load(self.data, "test", self.data_root)
        rows: list[dict[Hashable, Any]] = []
        parts = [train.subset(count) if count else train for count in self.images_per_class]
        for part in parts:
            table = pixel_baselines(part, test)
            path = write_baselines(table, self.out)
            rows += table.to_dict("records")
        show(rows, self.json)
        if not self.json:
            print(path)
        return 0
