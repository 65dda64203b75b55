"""The images that the encoders of a report are measured on: a data set, a folder, or a file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssl_companion.chapters.photographs import TILE
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
from ssl_companion.recordings import recordings_root

if TYPE_CHECKING:
    from ssl_companion.chapters.commands.report import Report
    from ssl_companion.data import ImageSet
    from ssl_companion.encoders.examine import EncoderResult

USUAL = 224  # pixels of pictures, where an encoder does not say

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
        """The training images, for baselines that look at them; None where they are not at hand."""
        return None

    def shown(self, result: EncoderResult) -> Shown:
        """Names of the images on the map, and the images themselves, uint8 [m, 32, 32, 3]."""
        return None, None

    @property
    def pictures(self) -> np.ndarray | None:
        """The training images, before a split in halves, where they are in memory or in a file."""
        return None


@dataclass(frozen=True)
class ImageRows:
    """Training or held-out images, as files have them: a row for each.

    Attributes:
        row: what a row is for, in messages.
        total: how many rows.
        taken: those that are measured, int64 [n]; None: all.
    """

    row: str
    total: int
    taken: np.ndarray | None = None

    def of(self, file: str | Path, rows: Any, what: str) -> Any:
        """Those rows of a file that are measured.

        Raises:
            ValueError: the file has another number of rows.
        """
        if (found := _count(rows)) != self.total:
            raise ValueError(
                f"{file}: {found} rows of {what}; expected {self.total}, one for each {self.row}, "
                "in the same order; check that both are of the same images"
            )
        return rows if self.taken is None else rows.take(self.taken, axis=0)


def _count(rows: Any) -> int:
    return len(rows) if np.ndim(rows) else 0  # of a file that holds a single number


Splits = tuple[ImageRows, ImageRows | None]  # training, held-out images


class DataSet(ReportData):
    """A data set by its name."""

    def __init__(self, asked: Report, name: str) -> None:
        from ssl_companion.data import balanced_indices, load

        self.asked = asked
        if (asked.labels is None) != (asked.test_labels is None):
            given = "labels" if asked.test_labels is None else "test_labels"
            raise ValueError(
                f"{given}: {getattr(asked, given)} alone; expected both --labels and "
                f"--test-labels, or neither: {name} has training and test images"
            )
        parts = []
        for split in ("train", "test"):
            whole, n = load(name, split), asked.per_class
            taken = balanced_indices(whole.fine, n, asked.seed) if n else None
            part = ImageRows(f"image of load({name!r}, {split!r})", len(whole), taken)
            parts.append((part, whole if taken is None else whole.part(taken)))
        (train, self.train), (test, self.test) = parts
        self.parts: Splits = train, test
        self.title = self.train.name
        files = (asked.labels, asked.test_labels, asked.hierarchy)
        self.identity = [one.fingerprint for one in (self.train, self.test)]
        self.identity += [identity(file) for file in files]

    def labels(self) -> dict[str, Any]:
        """Labels of the images, and their levels, as `examine` takes them."""
        found = given_labels(self.asked, self.parts)
        if found["labels"] is None:
            found |= {"labels": self.train.fine, "test_labels": self.test.fine}
            if self.asked.hierarchy is None:
                return found | {"hierarchy": self.train.hierarchy}
            names = np.array(self.train.hierarchy.levels[0].class_names)  # as the file has them
            found |= {key: names[found[key]] for key in ("labels", "test_labels")}
        for key, own in {"labels": self.train.fine, "test_labels": self.test.fine}.items():
            self._require_order(key, found[key], own)
        return found

    def _require_order(self, key: str, labels: Any, own: np.ndarray) -> None:
        """Refuse the data set's own labels in the order of another reader: other images' rows."""
        given = np.asarray(labels)
        shuffled = given.dtype.kind in "iu" and not np.array_equal(given, own)
        if shuffled and np.array_equal(np.sort(given), np.sort(own)):
            raise ValueError(
                f"{key}: {getattr(self.asked, key)} has the labels of {self.title} in another "
                "order; expected that of `ssl_companion.data.load`, in which the images are "
                "measured; encode `load(...).images`, or give the images too, as a file or a "
                "folder (--data)"
            )

    def arguments(self, spec: str) -> dict[str, Any]:
        return self.labels() | {"images": self.train, "test_images": self.test}

    def training(self) -> np.ndarray:
        return self.train.images

    @property
    def pictures(self) -> np.ndarray:
        return self.train.images

    def shown(self, result: EncoderResult) -> Shown:
        test: ImageSet = self.test
        return test.files[result.shown].tolist(), test.images[result.shown].transpose(0, 2, 3, 1)


class OwnImages(ReportData):
    """A folder of pictures, or a file of images."""

    def __init__(self, asked: Report, data: str) -> None:
        self.asked, self.data = asked, data
        self.title = Path(data).name
        if asked.labels is None and not Path(data).is_dir() and Place.of(data).path.exists():
            raise ValueError(
                f"labels: none for the images of {data}; expected a file with one label for "
                "each, a number or a name (--labels)"
            )
        files = (data, asked.labels, asked.test_data, asked.test_labels, asked.hierarchy)
        self.identity = [identity(file) for file in files]

    @cached_property
    def _sources(self) -> list[Any]:
        """Of the training images and, where there are any, of the held-out ones."""
        given = {"data": self.data, "test_data": self.asked.test_data}
        return [image_stream(place, name) for name, place in given.items() if place is not None]

    @cached_property
    def parts(self) -> Splits:
        totals = [len(x.files) if isinstance(x, ImageStream) else _count(x) for x in self._sources]
        train, test = ImageRows(f"image of {self.data}", totals[0]), None
        if totals[1:]:
            test = ImageRows(f"image of {self.asked.test_data}", totals[1])
        return train, test

    def labels(self) -> dict[str, Any]:
        """Labels of the images, and their levels, as `examine` takes them beside features."""
        found = given_labels(self.asked, self.parts)
        for key, source in zip(("labels", "test_labels"), self._sources, strict=False):
            if found[key] is None and isinstance(source, ImageStream):
                found[key] = source.labels
                if key == "labels" and found["hierarchy"] is None:
                    found["hierarchy"] = source.branches
        return found

    @property
    def pictures(self) -> np.ndarray | None:
        source = self._sources[0]
        return source if isinstance(source, np.ndarray) and source.ndim == 4 else None

    def arguments(self, spec: str) -> dict[str, Any]:
        return given_labels(self.asked) | {"images": self.data, "test_images": self.asked.test_data}

    def training(self) -> Any:
        asked = self.asked
        images = image_stream(self.data, "data", size=asked.size or USUAL)
        if images is None or asked.test_data is not None:
            return images
        labels = given_labels(asked)["labels"]
        if not isinstance(images, ImageStream):
            return images[halves(class_labels(labels).y, asked.seed)[0]]
        own = images.labels if labels is None else labels
        return _RowsOf(images, halves(class_labels(own).y, asked.seed)[0])

    def shown(self, result: EncoderResult) -> Shown:
        place = Path(self.asked.test_data or self.data)
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


class OnlyLabels(ReportData):
    """Labels of images that are not at hand, for features of them."""

    def __init__(self, asked: Report, features: Sequence[str]) -> None:
        if asked.labels is None:
            raise ValueError(
                f"labels: none for the features of {features[0]}; expected a file with one label "
                "for each row (--labels), or images with labels (--data)"
            )
        self.asked, self.title = asked, asked.labels.name
        files = (asked.labels, asked.test_labels, asked.hierarchy)
        self.identity = [identity(file) for file in files]
        train, test = self._part(asked.labels), None
        if asked.test_labels is not None:
            test = self._part(asked.test_labels)
        self.parts: Splits = train, test

    @staticmethod
    def _part(file: Path) -> ImageRows:
        return ImageRows(f"label of {file}", _count(read_labels(file)))

    def labels(self) -> dict[str, Any]:
        """As they were given, and their levels, as `examine` takes them."""
        return given_labels(self.asked)


LabelledImages = DataSet | OwnImages | OnlyLabels


def given_labels(asked: Report, parts: Sequence[ImageRows | None] = (None, None)) -> dict[str, Any]:
    """Labels and their levels, from the files that were given, checked where parts are."""
    found: dict[str, Any] = {"hierarchy": None}
    if asked.hierarchy is not None:
        found["hierarchy"] = read_hierarchy(asked.hierarchy)
    given = {"labels": asked.labels, "test_labels": asked.test_labels}
    for (key, file), part in zip(given.items(), parts, strict=True):
        found[key] = None if file is None else read_labels(file)
        if file is not None and part is not None:
            found[key] = part.of(file, found[key], "labels")
    return found


def identity(name: str | Path | None) -> list[Any]:
    """A name, and what the file or the folder of that name is like now.

    Returns:
        The name, and the SHA-256 of the names, sizes and times of all files, if there are any.
    """
    if name is None:
        return []
    text = str(name)
    recording = recording_of(text)
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


def recording_of(spec: str) -> str:
    """`RECORDING` of `RECORDING@EPOCH`; anything else as it is."""
    path, mark, epoch = spec.rpartition("@")
    return path if mark and epoch.isdecimal() else spec
