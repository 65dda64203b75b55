"""What a report measures: encoders on images, features in files, and those of recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl_companion.chapters.commands.report_images import (
    DataSet,
    LabelledImages,
    OnlyLabels,
    OwnImages,
    ReportData,
    Shown,
    identity,
    recording_of,
)
from ssl_companion.chapters.photographs import photographs
from ssl_companion.encoders.inputs.files import Place, read_features
from ssl_companion.recordings import Recording, open_recording, recordings_root
from ssl_companion.recordings.format import RUN

if TYPE_CHECKING:
    from ssl_companion.chapters.commands.report import Report
    from ssl_companion.encoders.examine import EncoderResult

_DATA_SETS = ("auto", "cifar100", "glyphs100")
#: Files of features; a file of torch is one if it holds no TorchScript.
_FEATURES = (".npy", ".npz", ".safetensors", ".parquet", ".csv", ".tsv")
_TORCH = (".pt", ".pth")
_MOST_EPOCHS = 5  # of a recording, where none is named


def report_data(asked: Report, specs: Mapping[str, str]) -> tuple[ReportData, dict[str, str]]:
    """The data of a report, and its encoders by title, a recording's epochs each by itself.

    Raises:
        ValueError: a recording's features beside others, or what is missing for what was named.
    """
    kinds = {spec: _kind(spec) for spec in specs.values()}
    recorded, features, encoders = (
        [spec for spec in specs.values() if kinds[spec] == kind]
        for kind in ("features of a recording", "features", "an encoder")
    )
    if recorded and (others := features + encoders):
        raise ValueError(
            f"{recorded[0]}: features that a recording keeps, beside {others[0]}; expected "
            "recordings alone, since it may be of other images; extract features of your images "
            "to a file, and name that instead"
        )
    if features and encoders and asked.data is None:
        raise ValueError(
            f"data: none, and {features[0]} is beside {encoders[0]}; expected the images that the "
            "features are of, row by row: a folder, a file, or a data set by its name (--data)"
        )
    without = recorded or (features if asked.data is None else [])  # images
    data = asked.data or "auto"
    if asked.per_class and (without or data not in _DATA_SETS):
        raise ValueError(
            f"per_class: {asked.per_class} of {without[0] if without else data}; expected a data "
            f"set by its name (--data {', '.join(_DATA_SETS)}); of other images all are taken"
        )
    if recorded:
        return _Recorded(specs), dict(_epochs(specs))
    images: LabelledImages
    if without:
        images = OnlyLabels(asked, features)
    else:
        images = DataSet(asked, data) if data in _DATA_SETS else OwnImages(asked, data)
    return _Features(asked, features, images) if features else images, dict(specs)


class _Features(ReportData):
    """Files of features, row by row of the same images; and encoders, if these are at hand."""

    def __init__(self, asked: Report, specs: list[str], images: LabelledImages) -> None:
        self.asked, self.images, tests = asked, images, asked.test_features
        (self.train, self.test), self.labels = images.parts, images.labels()
        if len(tests) != len(specs) and (tests or self.test):
            rows = f", with a row for each {self.test.row}" if self.test else ""
            raise ValueError(
                f"test_features: {len(tests)} files for {len(specs)} of features; expected one "
                f"for each, in the same order{rows} (--test-features)"
            )
        if tests and self.test is None:
            only = isinstance(images, OnlyLabels)
            option, what = ("test_labels", "labels") if only else ("test_data", "images")
            raise ValueError(
                f"{option}: none for the features of {tests[0]}; expected their {what} "
                f"(--{option.replace('_', '-')}); without --test-features too, half of the rows "
                "are held out"
            )
        self.tests = dict(zip(specs, tests or [None] * len(specs), strict=True))
        self.title = images.title
        pairs = [[spec, identity(test)] for spec, test in self.tests.items()]
        self.identity = [*images.identity, *pairs]
        for spec in specs:  # before anything is measured
            self.arguments(spec)

    def arguments(self, spec: str) -> dict[str, Any]:
        if spec not in self.tests:
            return self.images.arguments(spec)
        found: dict[str, Any] = self.labels | {"encoder": None, "test_images": None}
        found["pictures"] = self.images.pictures
        x, test = _features(spec, self.asked.labels), self.tests[spec]
        found["images"] = self.train.of(spec, x, "features")
        if self.test is not None and test is not None:
            x = _features(test, self.asked.test_labels)
            found["test_images"] = self.test.of(test, x, "features")
        return found

    def training(self) -> Any:
        return self.images.training()

    def shown(self, result: EncoderResult) -> Shown:
        return self.images.shown(result)


def _features(file: str | Path, labels: Path | None) -> np.ndarray:
    """Features; labels that are columns of the same table are none of them."""
    here, there = Place.of(file), None if labels is None else Place.of(labels)
    same = there is not None and here.path == there.path
    return read_features(file, without=there.names if there and same else ())


@dataclass(frozen=True)
class _Epoch:
    """An epoch of a recording: `PATH@EPOCH`."""

    recording: Recording
    epoch: int

    @classmethod
    def of(cls, spec: str) -> _Epoch:
        path, _, epoch = spec.rpartition("@")
        recording = open_recording(path)
        kept = recording.kept_epochs()
        both = [e for e in kept if e in recording.kept_epochs(what="train")]
        if not epoch.isdecimal() or int(epoch) not in both:
            known = ", ".join(map(str, both)) or "none"
            raise ValueError(
                f"{spec}: expected an epoch whose features are kept of training and of held-out "
                f"images: {known}"
            )
        return cls(recording, int(epoch))


class _Recorded(ReportData):
    """Features that recordings keep, of the same images."""

    def __init__(self, specs: Mapping[str, str]) -> None:
        first = open_recording(recording_of(next(iter(specs.values()))))
        self.first = first
        self.title = str(first.run["data"]["title"])
        self.identity = ["recorded"]

    def arguments(self, spec: str) -> dict[str, Any]:
        found = _Epoch.of(spec)
        recording, data = found.recording, found.recording.run["data"]
        same = all(
            data[f"{split}_fingerprint"] == self.first.run["data"][f"{split}_fingerprint"]
            and np.array_equal(recording.rows(split), self.first.rows(split))
            for split in ("train", "test")
        )
        if not same:
            raise ValueError(
                f"{spec}: keeps features of other images than {self.first.name}; expected "
                "recordings of the same ones"
            )
        train, test = (recording.features(found.epoch, split=s) for s in ("train", "test"))
        return {
            "encoder": None, "images": train, "labels": recording.fine("train"),
            "test_images": test, "test_labels": recording.fine("test"),
            "hierarchy": recording.hierarchy,
        }  # fmt: skip

    def shown(self, result: EncoderResult) -> Shown:
        pictures = photographs(self.first)
        own = None if pictures is None else pictures[result.shown]
        return self.first.files("test")[result.shown].tolist(), own


def _kind(spec: str) -> str:
    """What a name on the command line stands for."""
    path = Path(spec.partition(":")[0])
    if path.suffix in _FEATURES or (path.suffix in _TORCH and _holds_tensors(spec)):
        return "features"
    recording = recording_of(spec)
    if "@" in spec and _is_recording(recording):
        return "features of a recording"
    if _is_recording(recording) and open_recording(recording).weights_path is None:
        return "features of a recording"
    return "an encoder"


def _holds_tensors(spec: str) -> bool:
    try:
        read_features(spec)
    except ValueError:
        return False
    return True


def _is_recording(name: str) -> bool:
    return (Path(name) / RUN).exists() or (recordings_root() / name / RUN).exists()


def _epochs(specs: Mapping[str, str]) -> dict[str, str]:
    """Of a recording without an epoch, some of those that it keeps: the first, the last, and
    others between them."""
    found = {}
    for title, spec in specs.items():
        if recording_of(spec) != spec:
            found[title] = spec
            continue
        recording = open_recording(spec)
        train = set(recording.kept_epochs(what="train"))
        kept = [epoch for epoch in recording.kept_epochs() if epoch in train]
        if not kept:
            raise ValueError(
                f"{spec}: keeps neither weights nor features of training and of held-out images; "
                "expected a recording with either; record it with `keep` set to 'last' or 'all'"
            )
        places = np.unique(np.linspace(0, len(kept) - 1, _MOST_EPOCHS).round().astype(int))
        chosen = [kept[place] for place in places]
        found |= {f"epoch {epoch} of {title}": f"{spec}@{epoch}" for epoch in chosen}
    return found
