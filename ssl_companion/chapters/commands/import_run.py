"""`ssl-companion import-run FOLDER`: a run that other code trained, as a recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ssl_companion.data import load
from ssl_companion.recordings import MeasureConfig, recordings_root
from ssl_companion.recordings.places import refuse_recording, require_writable
from ssl_companion.training.config import pick_device


def _config() -> MeasureConfig:
    return MeasureConfig(keep="last", keep_train=5, keep_test=4, keep_samples=200, map_views=20)


@dataclass(frozen=True)
class ImportRun:
    """Measure a run that other code trained, and write it as a recording.

    The folder has results.json, features_EEEE.npz of every measured epoch, weights_fp16.npz and
    weights_fp16_epoch0.npz (see `ssl_companion.recordings.importing`). Its first and last epoch
    are measured anew from the weights, those between from their features.
    """

    #: the folder of the run
    folder: Annotated[Path, tyro.conf.Positional]
    #: name of the recording
    name: str = "reference-vicreg-s0"
    #: in plain words, for captions
    title: str = "VICReg, RES-5-250, CIFAR-100, 200 epochs; an independent implementation"
    #: what to measure of the first and the last epoch, and how much to keep
    measure: MeasureConfig = field(default_factory=_config)
    #: the data set that the run was trained on
    data: Literal["cifar100", "glyphs100"] = "cifar100"
    #: a folder with the data set; by default SSL_COMPANION_DATA or the user's cache
    data_root: Path | None = None
    #: where recordings go; by default those of the checkout, else ./recordings
    out: Path | None = None
    #: replace a recording of that name, which is refused otherwise
    overwrite: bool = False
    #: "auto", "cpu", "cuda" or "cuda:N"
    device: str = "auto"
    #: threads of the CPU (0: torch's choice)
    threads: int = 0

    def run(self) -> int:
        """Check, measure, write."""
        from ssl_companion.chapters.claims.kept_counts import levels_judged
        from ssl_companion.recordings.importing import import_run
        from ssl_companion.recordings.targets import load_targets
        from ssl_companion.training.runtime import use_threads

        use_threads(self.threads)
        root = recordings_root(self.out)
        destination = root / self.name
        refuse_recording(destination, self.overwrite)
        require_writable(root)
        train = load(self.data, "train", self.data_root)
        test = load(self.data, "test", self.data_root)
        against = self.measure.against
        targets = load_targets(against, root, train, test) if against else []
        path = import_run(
            self.folder, destination, train, test, self.measure,
            title=self.title, targets=tuple(targets), judged=levels_judged(test.hierarchy),
            device=pick_device(self.device), overwrite=self.overwrite,
        )  # fmt: skip
        print(path)
        return 0
