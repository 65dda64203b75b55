"""What encoders are measured on in a report: a data set, pictures, features, or a recording's."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl_companion.chapters.photographs import TILE, photographs
from ssl_companion.encoders.inputs.files import Place, read_features, read_labels
from ssl_companion.encoders.inputs.hierarchies import read_hierarchy
from ssl_companion.encoders.inputs.labelled import halves
from ssl_companion.encoders.inputs.labels import class_labels
from ssl_companion.encoders.inputs.sources import (
    ImageStream,
    image_folder,
    image_stream,
    read_picture,
    resized,
)
from ssl_companion.recordings import Recording, open_recording, recordings_root
from ssl_companion.recordings.format import RUN

if TYPE_CHECKING:
    from ssl_companion.chapters.commands.report import Report
    from ssl_companion.data import ImageSet
    from ssl_companion.encoders.examine import EncoderResult

_DATA_SETS = ("auto", "cifar100", "glyphs100")
#: Files of features; a file of torch is one if it holds no TorchScript.
_FEATURES = (".npy", ".npz", ".safetensors", ".parquet", ".csv", ".tsv")
_TORCH = (".pt", ".pth")
USUAL = 224  # pixels of pictures, where an encoder does not say
_MOST_EPOCHS = 5  # of a recording, where none is named

Shown = tuple[list[str] | None, np.ndarray | None]


class ReportData:
    """The images that all encoders of a report are measured on.

    Attributes:
        title: what the images are called.
        identity: what tells them from others, and from themselves as they were before.
    """

    title: str
    identity: list[Any]

    def arguments(self, spec: str) -> dict[str, Any]:
        """Those of `examine` for an encoder: images or features with their labels."""
        raise NotImplementedError

    def training(self) -> Any:
        """The training images, for baselines that look at them."""
        raise NotImplementedError

    def shown(self, result: EncoderResult) -> Shown:
        """Names of the images on the map, and the images themselves, uint8 [m, 32, 32, 3]."""
        return None, None


def report_data(asked: Report, specs: Mapping[str, str]) -> tuple[ReportData, dict[str, str]]:
    """The data of a report, and its encoders by title, a recording's epochs each by itself.

    Raises:
        ValueError: encoders of several kinds, or what is missing for theirs.
    """
    kinds = {spec: _kind(spec) for spec in specs.values()}
    if len(set(kinds.values())) > 1:
        first, other = next((a, b) for a in kinds for b in kinds if kinds[a] != kinds[b])
        raise ValueError(
            f"{other}: {kinds[other]} beside {kinds[first]}, {first}; expected one kind for all, "
            "since what is compared has to be of the same images"
        )
    kind = next(iter(kinds.values()), "an encoder")
    if asked.per_class and (kind != "an encoder" or asked.data not in _DATA_SETS):
        raise ValueError(
            f"per_class: {asked.per_class} of {asked.data if kind == 'an encoder' else kind}; "
            f"expected a data set by its name (--data {', '.join(_DATA_SETS)}); of other images "
            "all are taken"
        )
    if kind == "features":
        return _Features(asked, list(specs.values())), dict(specs)
    if kind == "features of a recording":
        return _Recorded(specs), dict(_epochs(specs))
    if asked.data in _DATA_SETS:
        return _DataSet(asked), dict(specs)
    return _OwnImages(asked), dict(specs)


class _DataSet(ReportData):
    """A data set by its name."""

    def __init__(self, asked: Report) -> None:
        from ssl_companion.data import load

        whole = (load(asked.data, split) for split in ("train", "test"))
        self.train, self.test = (
            one.subset(asked.per_class, seed=asked.seed) if asked.per_class else one
            for one in whole
        )
        self.title = self.train.name
        self.identity = [one.fingerprint for one in (self.train, self.test)]

    def arguments(self, spec: str) -> dict[str, Any]:
        return {"images": self.train, "test_images": self.test}

    def training(self) -> np.ndarray:
        return self.train.images

    def shown(self, result: EncoderResult) -> Shown:
        test: ImageSet = self.test
        return test.files[result.shown].tolist(), test.images[result.shown].transpose(0, 2, 3, 1)


class _OwnImages(ReportData):
    """A folder of pictures, or a file of images."""

    def __init__(self, asked: Report) -> None:
        self.asked = asked
        self.title = Path(asked.data).name
        if asked.labels is None and not Path(asked.data).is_dir() and Path(asked.data).exists():
            raise ValueError(
                f"labels: none for the images of {asked.data}; expected a file with one label for "
                "each, a number or a name (--labels)"
            )
        files = (asked.data, asked.labels, asked.test_data, asked.test_labels, asked.hierarchy)
        self.identity = [identity(file) for file in files]

    def arguments(self, spec: str) -> dict[str, Any]:
        asked = self.asked
        return _labels(asked) | {"images": asked.data, "test_images": asked.test_data}

    def training(self) -> Any:
        asked = self.asked
        images = image_stream(asked.data, "data", size=asked.size or USUAL)
        if images is None or asked.test_data is not None:
            return images
        labels = _labels(asked)["labels"]
        if not isinstance(images, ImageStream):
            return images[halves(class_labels(labels).y, asked.seed)[0]]
        own = images.labels if labels is None else labels
        return _RowsOf(images, halves(class_labels(own).y, asked.seed)[0])

    def shown(self, result: EncoderResult) -> Shown:
        place = Path(self.asked.test_data or self.asked.data)
        rows = result.shown if result.rows_given is None else result.rows_given[result.shown]
        if place.is_dir():
            files = image_folder(place).files
            pictures = [read_picture(files[row], TILE).numpy() for row in rows]
            names = [str(files[row].relative_to(place)) for row in rows]
            return names, np.stack(pictures).transpose(0, 2, 3, 1)
        images = read_features(place)[rows]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3:
            return None, None
        from PIL import Image

        small = [resized(Image.fromarray(x.transpose(1, 2, 0)), TILE).numpy() for x in images]
        return None, np.stack(small).transpose(0, 2, 3, 1)


class _RowsOf:
    """Some images of a stream, batch by batch."""

    def __init__(self, stream: ImageStream, rows: np.ndarray) -> None:
        self.stream, self.rows, self.total = stream, rows, len(rows)

    def __iter__(self) -> Iterator[Any]:
        start = 0
        for batch in self.stream:
            here = self.rows[(self.rows >= start) & (self.rows < start + len(batch))] - start
            start += len(batch)
            if len(here):
                yield batch[here]


class _Features(ReportData):
    """Files of features of the same images, with one file of labels."""

    def __init__(self, asked: Report, specs: list[str]) -> None:
        self.asked = asked
        if asked.labels is None:
            raise ValueError(
                f"labels: none for the features of {specs[0]}; expected a file with one label for "
                "each row (--labels)"
            )
        if asked.test_features and len(asked.test_features) != len(specs):
            raise ValueError(
                f"test_features: {len(asked.test_features)} files for {len(specs)} of features; "
                "expected one for each, in the same order"
            )
        self.tests = dict(zip(specs, asked.test_features, strict=False))
        self._require_as_many(specs, asked.labels)
        if asked.test_labels is not None:
            self._require_as_many(asked.test_features, asked.test_labels)
        self.title = Path(asked.labels).name
        files = (asked.labels, asked.test_labels, asked.hierarchy, *asked.test_features)
        self.identity = [identity(file) for file in files]

    def arguments(self, spec: str) -> dict[str, Any]:
        test = self.tests.get(spec)
        return _labels(self.asked) | {
            "encoder": None,
            "images": self._read(spec, self.asked.labels),
            "test_images": None if test is None else self._read(test, self.asked.test_labels),
        }

    def _require_as_many(self, files: Sequence[str | Path], labels: Path) -> None:
        """Make sure, before anything is measured, that every file has a row for each label."""
        n = len(read_labels(labels))
        for file in files:
            if (rows := len(self._read(file, labels))) != n:
                raise ValueError(
                    f"{file}: {rows} rows of features; expected {n}, one for each label of {labels}"
                )

    @staticmethod
    def _read(file: str | Path, labels: Path | None) -> np.ndarray:
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
        first = open_recording(_recording_of(next(iter(specs.values()))))
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


def _labels(asked: Report) -> dict[str, Any]:
    """Labels and their levels, from the files that were given."""
    return {
        "labels": None if asked.labels is None else read_labels(asked.labels),
        "test_labels": None if asked.test_labels is None else read_labels(asked.test_labels),
        "hierarchy": None if asked.hierarchy is None else read_hierarchy(asked.hierarchy),
    }


def _kind(spec: str) -> str:
    """What a name on the command line stands for."""
    path = Path(spec.partition(":")[0])
    if path.suffix in _FEATURES or (path.suffix in _TORCH and _holds_tensors(spec)):
        return "features"
    recording = _recording_of(spec)
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


def _recording_of(spec: str) -> str:
    path, mark, epoch = spec.rpartition("@")
    return path if mark and epoch.isdecimal() else spec


def _is_recording(name: str) -> bool:
    return (Path(name) / RUN).exists() or (recordings_root() / name / RUN).exists()


def _epochs(specs: Mapping[str, str]) -> dict[str, str]:
    """Of a recording without an epoch, some of those that it keeps: the first, the last, and
    others between them."""
    found = {}
    for title, spec in specs.items():
        if _recording_of(spec) != spec:
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


def identity(name: str | Path | None) -> list[Any]:
    """A name, and what the file or the folder of that name is like now.

    Returns:
        The name, and the SHA-256 of the names, sizes and times of all files, if there are any.
    """
    if name is None:
        return []
    text = str(name)
    recording = _recording_of(text)
    own = [text, recording, text.partition(":")[0], text.removeprefix("hf:")]
    places = [Path(one) for one in own] + [recordings_root() / recording]
    path = next((one for one in places if one.exists()), None)
    if path is None:
        return [text]
    files = [path]
    if path.is_dir():
        walked = os.walk(path, followlinks=True)
        files = sorted(Path(folder, file) for folder, _, some in walked for file in some)
    stats = [(str(file), file.stat()) for file in files if file.exists()]
    listed = [(file, stat.st_size, stat.st_mtime_ns) for file, stat in stats]
    return [text, hashlib.sha256(json.dumps(listed).encode()).hexdigest()]
