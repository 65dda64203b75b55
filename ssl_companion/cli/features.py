"""`ssl-companion measure-features X.npy y.npy`: the book's measures of features of your own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from ssl_companion.cli.tables import show
from ssl_companion.encoders.evaluate import (
    MEASURES,
    known_measures,
    measure_encoder,
    recorded_measures,
)
from ssl_companion.encoders.record import record_encoder


@dataclass(frozen=True)
class MeasureFeatures:
    """Measure features that an encoder gave already, against their labels.

    Without test files the features are split in halves, class by class. Accuracies are fractions
    of the test features, with 95% intervals (bootstrap); level "permuted" is the control.

    Attributes:
        features: a NumPy file (.npy) of [N, D] numbers.
        labels: a NumPy file of N integers, 0 to K-1.
        test_features: of held-out images.
        test_labels: theirs.
        which: measures.
        seed: of the split, the permuted labels and the bootstrap.
        out: besides, write a recording to this folder, for `ssl-companion explore` and the pages
            of the book.
        overwrite: replace a recording that stands there.
        json: print JSON.
    """

    features: Annotated[Path, tyro.conf.Positional]
    labels: Annotated[Path, tyro.conf.Positional]
    test_features: Path | None = None
    test_labels: Path | None = None
    which: tuple[str, ...] = MEASURES
    seed: int = 0
    out: Path | None = None
    overwrite: bool = False
    json: bool = False

    def run(self) -> int:
        """Print the rows."""
        which = known_measures(self.which)
        test, test_labels = (
            None if path is None else _array(path)
            for path in (self.test_features, self.test_labels)
        )
        given: dict[str, Any] = {
            "encoder": None,
            "images": _array(self.features),
            "labels": _array(self.labels),
            "test_images": test,
            "test_labels": test_labels,
            "seed": self.seed,
        }
        if self.out is None:
            table = measure_encoder(**given, which=which)
        else:
            recording = record_encoder(
                **given,
                destination=self.out,
                title=f"features of {self.features.name}",
                overwrite=self.overwrite,
                progress=False,
            )
            table = recorded_measures(recording, which, self.seed)
        rows = table.drop(columns="layer").astype(object).where(table.notna(), None)
        show([{str(k): v for k, v in row.items()} for row in rows.to_dict("records")], self.json)
        return 0


def _array(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: cannot be read as a NumPy file ({error}); `numpy.save` writes one"
        ) from error
    if not isinstance(found, np.ndarray):
        raise ValueError(
            f"{path}: holds several arrays ({', '.join(found.files)}); expected one, as "
            "`numpy.save` writes it"
        )
    return found
