"""`ssl-companion measure RECORDING`: NCC accuracies, computed from the features it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ssl_companion.cli.tables import show
from ssl_companion.recordings import (
    Recording,
    RecordingError,
    list_recordings,
    open_recording,
)
from ssl_companion.recordings.format import MEASURES


@dataclass(frozen=True)
class Measure:
    """Measure a recording's kept features again: NCC train and test by epoch, layer, level.

    The class means are those of the run's whole training set; "train" and "test" are the kept
    images of each, whose numbers n are printed. Beside them stands what was recorded, of more
    images: of all test images, or of as many as came with a run from elsewhere.

    Attributes:
        recording: name or path.
        root: folder of recordings; by default SSL_COMPANION_RECORDINGS, else the checkout's,
            else ./recordings.
        json: print JSON.
    """

    recording: Annotated[str, tyro.conf.Positional]
    root: Path | None = None
    json: bool = False

    def run(self) -> int:
        """Print the rows."""
        if Path(self.recording).suffix in (".npy", ".npz"):
            raise ValueError(
                f"{self.recording}: is no recording; for features of your own: "
                f"`ssl-companion measure-features {self.recording} LABELS.npy`"
            )
        recording = open_recording(self.recording, self.root)
        if not recording.has_features:
            raise RecordingError(
                f"{recording.path}: keeps no features to measure again; what was measured of all "
                f"images is in {recording.path / MEASURES}. With features: "
                f"{_with_features(recording.path.parent)}"
            )
        show(ncc_rows(recording), self.json)
        return 0


def _with_features(root: Path) -> str:
    names = [other.name for other in list_recordings(root) if other.has_features]
    return ", ".join(names) or "none of those beside it"


def ncc_rows(recording: Recording) -> list[dict[str, object]]:
    """A row for each epoch, layer and level that the recording keeps features of."""
    import torch

    from ssl_companion.recordings import measure_kept
    from ssl_companion.recordings.measuring import levels_and_controls

    rows: list[dict[str, object]] = []
    recorded = recording.select(measure="ncc", split="test")
    places = zip(recorded["epoch"], recorded["layer"], recorded["level"], strict=True)
    told = dict(zip(places, zip(recorded["value"], recorded["n"], strict=True), strict=True))
    for layer in recording.layers:
        for epoch in recording.kept_epochs(layer):
            means = recording.class_means(epoch, layer)
            for level in levels_and_controls(recording.hierarchy):
                row: dict[str, object] = {"epoch": epoch, "layer": layer, "level": level.name}
                for split in ("train", "test"):
                    if epoch not in recording.kept_epochs(layer, split):
                        row |= {f"ncc_{split}": None, f"n_{split}": 0}
                        continue
                    fine = recording.fine(split)
                    x = torch.from_numpy(recording.features(epoch, layer, split))
                    row[f"ncc_{split}"] = measure_kept(
                        means, recording.class_counts, x, fine, level
                    )
                    row[f"n_{split}"] = len(fine)
                if found := told.get((epoch, layer, level.name)):
                    value, n = found
                    row |= {"ncc_recorded": float(value), "n_recorded": int(n)}
                rows.append(row)
    return rows
