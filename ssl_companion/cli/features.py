"""`ssl-companion measure-features X.npy y.npy`: the book's measures of features of your own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from ssl_companion.cli.tables import show


@dataclass(frozen=True)
class MeasureFeatures:
    """Measure features that an encoder gave already, against their labels.

    Without test files the features are split in halves, class by class. Accuracies are fractions
    of the test features, with 95% intervals (bootstrap); level "permuted" is the control: labels
    in another order, twenty times, with the interval over these.

    Files are .npy, .npz, .pt, .pth, .safetensors, .parquet, .csv or .tsv; behind ":" stands the
    name of one of several arrays, or of columns, as in `table.parquet:species`.

    Attributes:
        features: [N, D] numbers; of a table its columns of numbers.
        labels: N integers, 0 to K-1, or text, also a label a line (.txt); several columns, as in
            `table.csv:species,family`, are levels, from fine to coarse.
        test_features: of held-out images.
        test_labels: theirs.
        hierarchy: upper levels: a JSON file of class and group, {"cat": "animal"}, of groups and
            what is in them, {"animal": ["cat", "dog"]}, or of paths, ["animal/cat"].
        which: measures.
        seed: of the split, the permutations and the bootstrap.
        out: besides, write a recording to this folder, for `ssl-companion explore` and the pages
            of the book.
        overwrite: replace a recording that stands there.
        json: print JSON.
    """

    features: Annotated[Path, tyro.conf.Positional]
    labels: Annotated[Path, tyro.conf.Positional]
    test_features: Path | None = None
    test_labels: Path | None = None
    hierarchy: Path | None = None
    which: tuple[str, ...] = ("ncc", "cdnv", "nc1", "effective_rank", "linear", "knn")
    seed: int = 0
    out: Path | None = None
    overwrite: bool = False
    json: bool = False

    def run(self) -> int:
        """Print the rows."""
        from ssl_companion.encoders import evaluate
        from ssl_companion.encoders.inputs.files import read_labels
        from ssl_companion.encoders.inputs.hierarchies import read_hierarchy
        from ssl_companion.encoders.record import record_encoder

        which = evaluate.known_measures(self.which)
        test, z = self.test_features, self.test_labels
        given: dict[str, Any] = {
            "encoder": None,
            "images": _features(self.features, self.labels),
            "labels": read_labels(self.labels),
            "test_images": None if test is None else _features(test, z or self.labels),
            "test_labels": None if z is None else read_labels(z),
            "hierarchy": None if self.hierarchy is None else read_hierarchy(self.hierarchy),
            "seed": self.seed,
        }
        if self.out is not None:
            record_encoder(
                **given,
                destination=self.out,
                title=f"features of {self.features.name}",
                overwrite=self.overwrite,
                progress=False,
            )
        table = evaluate.measure_encoder(**given, which=which)
        rows = table.drop(columns="layer").astype(object).where(table.notna(), None)
        show([{str(k): v for k, v in row.items()} for row in rows.to_dict("records")], self.json)
        return 0


def _features(path: Path, labels: Path) -> np.ndarray:
    """Features from a file; labels that are columns of the same table are none of them."""
    from ssl_companion.encoders.inputs.files import Place, read_features

    here, there = Place.of(path), Place.of(labels)
    return read_features(path, without=there.names if here.path == there.path else ())
