"""An encoder measured epoch after epoch, as a recording that grows."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.encoders.checkpoints import CheckpointMeasures
from ssl_companion.encoders.inputs.hierarchies import HierarchyLike
from ssl_companion.encoders.inputs.labelled import Labelled, Labels
from ssl_companion.encoders.inputs.samples import training_and_test
from ssl_companion.encoders.inputs.sources import SIZE, ImageSource
from ssl_companion.encoders.running.runner import Encoder, Runner, Running
from ssl_companion.io.atomic import leftovers, recover_directory
from ssl_companion.io.lock import one_at_a_time
from ssl_companion.io.provenance import device_name
from ssl_companion.measures import _checks
from ssl_companion.recordings import MeasureConfig, OccupiedError, Recording, open_recording
from ssl_companion.recordings.format import RUN
from ssl_companion.recordings.measuring import Measured
from ssl_companion.recordings.places import (
    held_place,
    refuse_other_folder,
    refuse_recording,
    require_writable,
)
from ssl_companion.recordings.resuming import first_difference, parts_of
from ssl_companion.recordings.writing import Contents, about_measuring

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

_NOT_HERE = ("every_sample_at", "weights", "targets", "against")


class EncoderRecorder:
    """Records an encoder while it is trained: `recorder(epoch, encoder)` in any training loop.

    Each call measures the encoder and replaces the recording by one that has this epoch, too. The
    one before can be read until the new one is whole, and a process that is killed leaves one of
    the two. `ssl-companion explore` and `open_recording` open it at any time. The encoder's mode,
    device and gradients, and torch's random numbers, are afterwards what they were before, so that
    training goes on as it would without the recorder.

    A recorder for a place where it has been at work before goes on with the epochs that are there,
    as long as images, labels, seed and settings are the same. (How the encoder is run, `running`,
    is not compared.) An epoch that comes again is replaced, and those after it are dropped, since
    training that begins again from a checkpoint makes them anew.

    Example:
        >>> import tempfile
        >>> x, y = np.random.default_rng(0).normal(size=(40, 8)), np.repeat([0, 1], 20)
        >>> encoder = nn.Linear(8, 4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with EncoderRecorder(x, y, destination=f"{folder}/mine") as recorder:
        ...         recorder(0, encoder)
        ...         recorder(1, encoder, {"total": 0.5})
        ...         while_it_grows = open_recording(f"{folder}/mine")
        ...     mine = open_recording(f"{folder}/mine")
        >>> mine.epochs, while_it_grows.complete, mine.complete
        ((0, 1), False, True)

    Args:
        images: of any source that `measure_encoder` takes, as long as every epoch can go through it
            again and finds the same images in the same order: no iterator, and no DataLoader that
            shuffles. One pass over it is made at once, to count the images and to gather their
            labels, and one for each epoch, never with all of them in memory. A `Labelled` has the
            images' names, too.
        labels: integers [N], 0 to K-1, text, or a table (see `labels.class_labels`); None where
            `images` brings its own.
        destination: the recording's folder; its last part is the recording's name.
        test_images, test_labels: held-out ones, of every class; None splits `images` in halves,
            class by class.
        hierarchy: upper levels of the labels, and their classes' names (see
            `hierarchies.as_hierarchy`); None takes that of the images or of the labels.
        size: height and width, in pixels, that pictures of a folder or of PIL are brought to.
        title: plain words, for captions.
        config: what to measure and keep. By default probes on the last layer, and its features of
            about 500 training and 1,000 test images, as many of each class: what the explorer
            shows. Its settings of the sample level count with `sample_views` only.
        sample_views: how views of an image vary, at the sample level (every image a class of its
            own); None: no such level. The images then have to be an array of bytes, and views are
            bytes, too.
        seed: of the split.
        overwrite: begin anew; a recording that stands there is replaced after the first epoch.
        features: `images` are features already, as in `record_encoder` without an encoder, and
            every call's encoder is None.
        **running: how the encoder is run, as in `measure_encoder`.

    Attributes:
        destination: the recording's folder.

    Raises:
        ValueError: bad images, labels or settings; the message says which.
        SourceError, DataError: what gives the images failed.
        OccupiedError: a recording of other images or settings stands there, and no `overwrite`.
        RecordingError: a folder of something else stands there, the recording is damaged, or no
            recording can be written there.
    """

    def __init__(
        self,
        images: ImageSource | Labelled | Mapping[int, Any],
        labels: Labels | None = None,
        *,
        destination: str | Path,
        test_images: ImageSource | Labelled | Mapping[int, Any] | None = None,
        test_labels: Labels | None = None,
        hierarchy: HierarchyLike | None = None,
        size: int = SIZE,
        title: str = "",
        config: MeasureConfig | None = None,
        sample_views: ViewConfig | None = None,
        seed: int = 0,
        overwrite: bool = False,
        features: bool = False,
        **running: Unpack[Running],
    ) -> None:
        started, self.destination = time.monotonic(), Path(destination)
        refuse_other_folder(self.destination)
        require_writable(self.destination.parent)
        self._seed = _checks.at_least(seed, 0, "seed")
        _check_settings(title, config, sample_views)
        given, held_out = Labelled.of(images, labels), Labelled.of(test_images, test_labels)
        reading = {"batch": running.get("batch", 256), "size": size}
        for name, value in reading.items():
            _checks.at_least(value, 1, name)
        with _random_numbers_kept():  # a DataLoader draws a seed for its workers
            train, test = training_and_test(
                given, held_out, hierarchy, features, self._seed, **reading
            )
        config = config or _usual(train.about.hierarchy.level("fine").k)
        self._measures = CheckpointMeasures(train, test, config, sample_views)
        self._title, self._name, self._running = title, "", running
        self._parts: dict[int, Measured] = {}
        self._losses: dict[int, dict[str, float]] = {}
        self._start, self._seconds = _now(), 0.0
        self._device: torch.device | None = None  # until something is measured
        self._about = about_measuring(config, torch.device("cpu"))
        if sample_views is None:
            self._about["config"] |= {"sample_images": 0, "map_images": 0}
        self._about["sample_views"] = sample_views and asdict(sample_views)
        self._data = self._measures.data()
        self._overwrite = overwrite
        self._there: bytes | None = None  # run.json, when it was last looked at
        if not overwrite:
            if leftovers(self.destination):
                with one_at_a_time(self.destination):
                    recover_directory(self.destination)
            self._resume()
        self._seconds += time.monotonic() - started

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that were measured, ascending."""
        return tuple(sorted(self._parts))

    def __call__(
        self, epoch: int, encoder: Encoder | None, losses: Mapping[str, float] | None = None
    ) -> None:
        """Measure the encoder and write the recording, which then has this epoch last.

        Args:
            epoch: how many were trained: 0 before training.
            encoder: as in `measure_encoder`; None when `images` are features.
            losses: of the epoch, by name: "total", and the terms that it is the sum of.

        Raises:
            ValueError: another epoch than a whole number from 0, other layers than before, or
                losses that are no finite numbers.
            EncoderError: the encoder itself failed, or `preprocess` or `outputs`.
            OccupiedError: another process has written a recording there meanwhile.
            RecordingError: the disk is full or not writable; the recording stays as it was.
        """
        self._measure(epoch, encoder, losses, again=True)
        self.write()

    def add(
        self, epoch: int, encoder: Encoder | None, losses: Mapping[str, float] | None = None
    ) -> None:
        """Measure the encoder at a new epoch, in any order, without writing; see `__call__`.

        Raises:
            ValueError: as `__call__`, and the epoch was there before.
        """
        self._measure(epoch, encoder, losses, again=False)

    def write(self, complete: bool = False) -> None:
        """Write the recording with the epochs so far.

        Args:
            complete: whether these are all of them.

        Raises:
            ValueError: there is none.
            OccupiedError, RecordingError: as `__call__`.
        """
        if not self._parts:
            raise ValueError("encoder: no checkpoint at all; expected one or more, by epoch")
        started, name, about = time.monotonic(), self._name, self._measures
        losses = [{"epoch": epoch, **self._losses[epoch]} for epoch in sorted(self._losses)]
        contents = Contents(
            title=self._title or f"{name} of {about.train.about.name}",
            run={
                "digest": "",
                "config": {"encoder": name},
                "seed": self._seed,
                **{key: self._about[key] for key in ("git", "versions", "device")},
                "start": self._start,
                "end": _now(),
                "complete": complete,
                "train_seconds": None,  # trained elsewhere
                "wall_seconds": round(self._seconds, 2),
                "data": self._data,
                "measured": self._about,
            },
            parts=[self._parts[epoch] for epoch in self.epochs],
            train=about.train.about,
            test=about.test.about,
            subsets=about.subsets,
            losses=losses or {"epoch": [], "total": []},
        )
        with held_place(self.destination, self._require_unchanged):
            recover_directory(self.destination)
            contents.write(self.destination)
            self._there, self._overwrite = (self.destination / RUN).read_bytes(), False
        self._seconds += time.monotonic() - started

    def finish(self) -> None:
        """Say in the recording that it is complete: no epoch will follow.

        Raises:
            ValueError: no epoch was recorded.
            OccupiedError, RecordingError: as `__call__`.
        """
        self.write(complete=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()

    def _measure(
        self,
        given: object,
        encoder: Encoder | None,
        losses: Mapping[str, float] | None,
        again: bool,
    ) -> None:
        """Measure an epoch; with `again` it takes the place of those from there on."""
        started, before = time.monotonic(), list(self._parts)
        whole = isinstance(given, int | np.integer) and 0 <= given < 2**53
        if not whole or (given in before and not again):
            raise ValueError(
                f"encoder: epoch {given!r} after {before or 'none'}; expected whole numbers from "
                f"0{'' if again else ', each once'}"
            )
        epoch, found = int(given), _finite(losses)  # type: ignore[call-overload]
        stay = [one for one in before if not again or one < epoch]
        layers = {row[1]: None for one in stay[:1] for row in self._parts[one].rows}
        runner = Runner(encoder, **self._running)
        with _random_numbers_kept():  # encoders may draw, also in evaluation mode
            part = self._measures.of(epoch, runner, list(layers))
        if stay:
            _require_as_wide(part, self._parts[stay[0]])
        if gone := [one for one in before if one not in stay and one != epoch]:
            warnings.warn(
                f"{self.destination}: epoch {epoch} comes again; the epochs after it, "
                f"{', '.join(map(str, gone))}, are dropped, since training makes them anew",
                stacklevel=3,
            )
        self._parts = {one: self._parts[one] for one in stay} | {epoch: part}
        self._losses = {one: self._losses[one] for one in stay if one in self._losses}
        if found:
            self._losses[epoch] = found
        self._name = self._name or _name_of(encoder)
        if runner.device != self._device:
            self._device = runner.device
            self._about["device"] = device_name(runner.device)
        self._seconds += time.monotonic() - started

    def _resume(self) -> None:
        """Go on with the recording that is there, if there is one."""
        if not (self.destination / RUN).exists():
            return
        self._there = (self.destination / RUN).read_bytes()
        there = open_recording(self.destination)
        self._require_same(there)
        self._parts = parts_of(there)
        for row in there.losses.to_dict("records"):
            epoch = int(row.pop("epoch"))
            self._losses[epoch] = {str(k): v for k, v in row.items() if math.isfinite(v)}
        self._name, self._seconds = there.run["config"]["encoder"], there.run["wall_seconds"]
        self._start = there.run.get("start", self._start)
        self._about["device"] = there.run["measured"]["device"]

    def _require_same(self, there: Recording) -> None:
        """Refuse to go on with a recording of something else."""
        measured = {key: self._about[key] for key in ("config", "sample_views")}
        here = {"seed": self._seed, "data": self._data, "measured": measured}
        said = first_difference(there.run, here)
        if "encoder" not in there.run["config"]:
            said = "it is of a run that `ssl-companion` trained"
        if said:
            raise OccupiedError(
                f"destination: {self.destination} holds another recording ({said}); expected one "
                "of the same images, labels and settings, to go on with; give another "
                "destination, or lose the one that is there by overwrite=True"
            )

    def _require_unchanged(self) -> None:
        """Replace only what was there before."""
        if self._overwrite or not (self.destination / RUN).exists():
            refuse_other_folder(self.destination)
        elif self._there is None:
            refuse_recording(self.destination, overwrite=False)
        elif (self.destination / RUN).read_bytes() != self._there:
            raise OccupiedError(
                f"destination: {self.destination} was written by another process meanwhile; "
                "expected a single recorder at a time (of distributed training that of rank 0); "
                "give another destination, or make a new recorder to go on with what is there"
            )


def _random_numbers_kept() -> AbstractContextManager[None]:
    """Inside it, whoever draws random numbers of torch does not change those that come after."""
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    return torch.random.fork_rng(cuda)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _usual(k: int) -> MeasureConfig:
    """What to keep of k classes: a recording of 100 epochs x 512 dimensions has some 100 MB."""
    train, test = (min(most, max(1, images // k)) for most, images in ((10, 500), (20, 1000)))
    return MeasureConfig(keep="last", keep_train=train, keep_test=test)


def _check_settings(
    title: str, config: MeasureConfig | None, sample_views: ViewConfig | None
) -> None:
    config = config if config is not None else MeasureConfig()
    for name, value, kind in (
        ("title", title, str), ("config", config, MeasureConfig),
        ("sample_views", sample_views or ViewConfig(), ViewConfig),
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise ValueError(f"{name}: {type(value).__name__}; expected {kind.__name__}")
    for name in _NOT_HERE:
        if getattr(config, name):
            raise ValueError(
                f"config: {name}={getattr(config, name)!r}; expected none of "
                f"{', '.join(_NOT_HERE)}, which need a run that was trained here"
            )


def _require_as_wide(part: Measured, before: Measured) -> None:
    """Features of as many dimensions as those of another epoch, as far as both are kept.

    Raises:
        ValueError: others.
    """
    widths = [
        {name.partition("/")[2]: x.shape[-1] for name, x in one.tensors.items()
         if name.endswith("/class_means")}
        for one in (part, before)
    ]  # fmt: skip
    for name in widths[0].keys() & widths[1].keys():
        if widths[0][name] != widths[1][name]:
            layer = name.partition("/")[0]
            raise ValueError(
                f"encoder: {widths[0][name]} dimensions of {layer!r}, {widths[1][name]} at epochs "
                "before; expected the same network at every epoch"
            )


def _finite(losses: Mapping[str, float] | None) -> dict[str, float]:
    """Losses by name as Python's own numbers, "total" first."""
    if losses is None:
        return {}
    if not isinstance(losses, Mapping) or "total" not in losses:
        said = list(losses) if isinstance(losses, Mapping) else type(losses).__name__
        raise ValueError(f"losses: {said}; expected a dictionary with 'total', as {{'total': 1.2}}")
    found = {}
    for name in dict.fromkeys(("total", *losses)):
        try:
            loss = losses[name]
            value = float(loss.detach() if isinstance(loss, torch.Tensor) else loss)
        except (TypeError, ValueError, RuntimeError):
            value = math.nan
        if not isinstance(name, str) or name in ("", "epoch") or not math.isfinite(value):
            raise ValueError(
                f"losses: {name!r}: {repr(losses[name])[:40]}; expected finite numbers by name "
                "(another than 'epoch'); leave out what has none"
            )
        found[name] = value
    return found


def _name_of(encoder: Encoder | None) -> str:
    """What the encoder is called in titles."""
    if encoder is None:
        return "features"
    if isinstance(encoder, nn.Module):
        return type(encoder).__name__
    return getattr(encoder, "__name__", "encoder")
