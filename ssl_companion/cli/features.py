"""`ssl-companion measure-features X.npy y.npy`: the book's measures of features of your own."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.lib.format import MAGIC_PREFIX

from ssl_companion.cli.tables import show


@dataclass(frozen=True)
class MeasureFeatures:
    """Measure features that an encoder gave already, against their labels.

    Without test files the features are split in halves, class by class. Accuracies are fractions
    of the test features, with 95% intervals (bootstrap); level "permuted" is the control: labels
    in another order, twenty times, with the interval over these.

    Attributes:
        features: a NumPy file (.npy) of [N, D] numbers.
        labels: a NumPy file of N integers, 0 to K-1.
        test_features: of held-out images.
        test_labels: theirs.
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
    which: tuple[str, ...] = ("ncc", "cdnv", "nc1", "effective_rank", "linear", "knn")
    seed: int = 0
    out: Path | None = None
    overwrite: bool = False
    json: bool = False

    def run(self) -> int:
        """Print the rows."""
        import pandas as pd

        from ssl_companion.encoders import evaluate
        from ssl_companion.encoders.record import record_encoder

        which = evaluate.known_measures(self.which)
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
            table = evaluate.measure_encoder(**given, which=which)
        else:
            recording = record_encoder(
                **given,
                destination=self.out,
                title=f"features of {self.features.name}",
                overwrite=self.overwrite,
                progress=False,
            )
            table = evaluate.recorded_measures(recording, which, self.seed)
            if "ncc" in which:
                anew = evaluate.measure_encoder(**given, which="ncc")
                permuted = anew[anew["level"] == evaluate.PERMUTED]
                table = pd.concat([table, permuted], ignore_index=True)
        rows = table.drop(columns="layer").astype(object).where(table.notna(), None)
        show([{str(k): v for k, v in row.items()} for row in rows.to_dict("records")], self.json)
        return 0


# How to have the arrays of other files in Python, for `numpy.save`.
_READ_BY = {
    ".npz": "numpy.load({})[NAME]",
    ".csv": "numpy.loadtxt({}, delimiter=',')",
    ".tsv": "numpy.loadtxt({}, delimiter='\\t')",
    ".txt": "numpy.loadtxt({})",
    ".parquet": "pandas.read_parquet({}).to_numpy()",
    ".pt": "torch.load({}).numpy()",
    ".pth": "torch.load({}).numpy()",
    ".safetensors": "safetensors.numpy.load_file({})[NAME]",
}


def _array(path: Path) -> np.ndarray:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = ", ".join(Path(name).stem for name in archive.namelist())
            raise ValueError(f"it holds several arrays ({names}) or something else")
        with path.open("rb") as file:
            if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
                raise ValueError("it does not begin as one")
        # Mapped, an array that says it is larger than its file is refused before room is made.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # of whatever kind reading a foreign file ends in
        reason = (isinstance(error, OSError) and error.strerror) or error
        read_by = _READ_BY.get(path.suffix.lower(), "ARRAY").format(repr(path.name))
        raise ValueError(
            f"{path}: cannot be read as a NumPy file ({reason}); "
            f"`numpy.save('{path.stem}.npy', {read_by})` writes one"
        ) from error
