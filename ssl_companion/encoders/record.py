"""Your own encoder as a recording, which the pages of the book show like theirs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ssl_companion.data import Hierarchy, augmentation
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.hierarchy import hierarchy_to_dict
from ssl_companion.encoders.inputs import (
    Images,
    Labelled,
    Labels,
    Samples,
    Values,
    training_and_test,
)
from ssl_companion.encoders.runner import Encoder, Runner, Running
from ssl_companion.measures import _checks
from ssl_companion.recordings import MeasureConfig, Recording, open_recording
from ssl_companion.recordings.config import Subsets
from ssl_companion.recordings.measuring import (
    Measured,
    measure_features,
    measure_samples,
    require_alike,
    sample_stream,
)
from ssl_companion.recordings.places import held_place, refuse_recording, require_writable
from ssl_companion.recordings.writing import Contents, about_data, about_measuring
from ssl_companion.training.extract import Collected

if TYPE_CHECKING:
    from typing_extensions import Unpack

Encoders = Encoder | Mapping[int, Encoder] | Iterable[tuple[int, Encoder]] | None

DATA = "own"
_NOT_HERE = ("every_sample_at", "weights", "targets", "against")


def record_encoder(
    encoder: Encoders,
    images: Images | Labelled | Mapping[int, Any],
    labels: Labels | None = None,
    *,
    destination: str | Path,
    test_images: Images | Labelled | Mapping[int, Any] | None = None,
    test_labels: Labels | None = None,
    hierarchy: Hierarchy | None = None,
    title: str = "",
    config: MeasureConfig | None = None,
    sample_views: ViewConfig | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
    **running: Unpack[Running],
) -> Recording:
    """Measure an encoder, or its checkpoints, and write down what comes out as a recording.

    It is opened by its path wherever the book opens one of its own: in the explorer, in a chapter
    (`RECORDING = "my-recordings/mine"`), or by `open_recording`.

    Example:
        >>> import tempfile
        >>> rng, y = np.random.default_rng(0), np.repeat([0, 1], 20)
        >>> before, after = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) + 4 * y[:, None]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mine = record_encoder(
        ...         None, {0: before, 100: after}, y, destination=f"{folder}/mine", progress=False
        ...     )
        ...     ncc = mine.select(measure="ncc", level="fine", split="test")
        >>> mine.epochs, float(ncc["value"].iloc[-1])
        ((0, 100), 1.0)

    Args:
        encoder: as in `measure_encoder`; or several, by epoch: a dictionary, or pairs of epoch
            and encoder, asked for one after the other, so that they need not all be in memory.
            None when `images` are features already.
        images: as in `measure_encoder`; without an encoder also features [N, D] by epoch, or
            by epoch and layer, `{0: {"layer1": x, "layer2": y}, 10: {...}}`. A `Labelled` has
            the images' names, too.
        labels: integers [N], 0 to K-1; an `ImageSet` brings its own.
        destination: the recording's folder; its last part is the recording's name.
        test_images, test_labels: held-out ones, of every class; None splits `images` in halves,
            class by class.
        hierarchy: upper levels of the labels, and their classes' names; an `ImageSet` brings that
            of its own labels.
        title: plain words, for captions.
        config: what to measure and keep; by default probes on the last layer, and some features of
            every layer. Its settings of the sample level count with `sample_views` only.
        sample_views: how views of an image vary, at the sample level (every image a class of its
            own); None: no such level. The images then have to be bytes, and views are bytes, too.
        seed: of the split.
        overwrite: replace a recording that stands there.
        progress: show a progress bar.
        running: `preprocess`, `outputs`, `batch` and `device`, as in `measure_encoder`.

    Returns:
        The recording, opened.

    Raises:
        ValueError: bad images, labels, epochs or outputs of the encoder; the message says which.
        OccupiedError: a recording stands there, and no `overwrite`.
        RecordingError: a folder of something else stands there, or the disk is full.
    """
    destination, config = Path(destination), config or MeasureConfig(keep="all")
    refuse_recording(destination, overwrite)
    require_writable(destination.parent)
    seed = _checks.at_least(seed, 0, "seed")
    _check_settings(title, config, sample_views)
    started, begin = time.monotonic(), datetime.now(timezone.utc)
    given, held_out = Labelled.of(images, labels), Labelled.of(test_images, test_labels)
    train, test = training_and_test(given, held_out, hierarchy, encoder is None, seed)
    subsets = Subsets.choose(train.about, test.about, config, samples=sample_views is not None)
    measuring = _Measuring(train, test, config, subsets, sample_views)
    checkpoints = tqdm(_by_epoch(encoder, train.values), destination.name, disable=not progress)
    device = torch.device("cpu")
    for epoch, one in checkpoints:
        runner = Runner(one, **running)
        measuring.add(epoch, runner)
        device = runner.device
    name = _name_of(encoder)
    about = about_measuring(config, device)
    if sample_views is None:
        about["config"] |= {"sample_images": 0, "map_images": 0}
    contents = Contents(
        title=title or f"{name} of {train.about.name}",
        run={
            "digest": "",
            "config": {"encoder": name},
            "seed": seed,
            **{key: about[key] for key in ("git", "versions", "device")},
            "start": begin.isoformat(timespec="seconds"),
            "end": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "complete": True,
            "train_seconds": None,  # trained elsewhere
            "wall_seconds": round(time.monotonic() - started, 2),
            "data": _about_data(train, test),
            "measured": about,
        },
        parts=measuring.in_order(),
        train=train.about,
        test=test.about,
        subsets=subsets,
        losses={"epoch": [], "total": []},
    )
    with held_place(destination, partial(refuse_recording, destination, overwrite)):
        contents.write(destination)
    return open_recording(destination)


def _check_settings(title: str, config: MeasureConfig, sample_views: ViewConfig | None) -> None:
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


class _Measuring:
    """What is measured of one checkpoint after the other.

    Args:
        train, test: images or features.
        config: what to measure and keep.
        subsets: of which images features are kept.
        views: of the sample level; None: no such level.
    """

    def __init__(
        self,
        train: Samples,
        test: Samples,
        config: MeasureConfig,
        subsets: Subsets,
        views: ViewConfig | None,
    ) -> None:
        self.train, self.test, self.config, self.subsets = train, test, config, subsets
        self.views = views
        self._parts: dict[int, Measured] = {}
        self._layers: tuple[str, ...] = ()
        x = train.values
        is_bytes = not isinstance(x, dict) and str(x.dtype).removeprefix("torch.") == "uint8"
        if views is not None and not (is_bytes and x.ndim == 4):  # type: ignore[union-attr]
            raise ValueError(
                "sample_views: given with other images; expected bytes, uint8 [N, 3, H, W], of "
                "which views are made (and a `preprocess`, where the encoder wants another size "
                "or scale), or no sample_views"
            )

    def add(self, given: object, runner: Runner) -> None:
        """Measure the checkpoint of an epoch.

        Raises:
            ValueError: the epoch is no number, or was there before; other layers than before.
        """
        before = list(self._parts)
        if not isinstance(given, int | np.integer) or not 0 <= given < 2**53 or given in before:
            raise ValueError(
                f"encoder: epoch {given!r} after {before or 'none'}; expected whole numbers from "
                "0, each once"
            )
        epoch, about = int(given), (self.train.about, self.test.about)
        x_train = _features(runner, self.train.values, epoch, "images")
        layers = tuple(x_train)
        if unfit := [layer for layer in layers if not layer or "/" in layer]:
            raise ValueError(
                f"encoder: a layer {unfit[0]!r}; expected names without '/', which parts the names "
                "of what is kept; `outputs` can return a dictionary with others"
            )
        if self._layers and self._layers != layers:
            raise ValueError(
                f"encoder: layers {', '.join(layers)} at epoch {epoch}, "
                f"{', '.join(self._layers)} before; expected the same at every epoch"
            )
        self._layers = layers
        x_test = _features(runner, self.test.values, epoch, "test_images")
        require_alike(x_train, x_test, ("images", "test_images"))
        part = measure_features(x_train, x_test, epoch, *about, self.config, self.subsets)
        del x_train, x_test
        if self.views is not None:
            by_layer = _views(runner, self.train.values, self.subsets, self.config, self.views)
            measure_samples(part, by_layer, epoch, self.config, self.subsets)
        self._parts[epoch] = part

    def in_order(self) -> list[Measured]:
        """What was measured, by epoch.

        Raises:
            ValueError: nothing was.
        """
        if not self._parts:
            raise ValueError("encoder: no checkpoint at all; expected one or more, by epoch")
        return [self._parts[epoch] for epoch in sorted(self._parts)]


def _features(runner: Runner, x: Values, epoch: int, name: str) -> dict[str, Tensor]:
    """Features by layer of one epoch."""
    if not isinstance(x, dict):
        return runner(x, name)
    return {
        layer: runner(values, f"{name}[{epoch}][{layer!r}]")["features"]
        for layer, values in x[epoch].items()
    }


def _views(
    runner: Runner, x: Any, subsets: Subsets, config: MeasureConfig, how: ViewConfig
) -> dict[str, Tensor]:
    """Features by layer of many views of each sample-level image: float [images, views, D]."""
    total, stream = config.sample_views + config.sample_fresh, sample_stream()
    rows, per = subsets.sample, max(1, runner.batch // total)
    found = Collected(len(rows))
    for start in range(0, len(rows), per):
        images = _checks.as_tensor(x[rows[start : start + per]], "images").to(runner.device)
        many = images.repeat_interleave(total, dim=0)
        drawn = augmentation.draw_parameters(len(many), how, stream, *many.shape[2:])
        views = augmentation.apply(many, drawn.to(runner.device))
        as_bytes = (views * 255).round().to(torch.uint8)
        by_layer = runner(as_bytes, "views").items()
        found.add({layer: values.unflatten(0, (-1, total)) for layer, values in by_layer})
    return found.whole


def _about_data(train: Samples, test: Samples) -> dict[str, Any]:
    labels = train.about
    k = labels.hierarchy.level("fine").k
    return about_data(labels, test.about) | {
        "name": DATA,
        "whole_train_fingerprint": labels.fingerprint,
        "class_counts": np.bincount(labels.fine, minlength=k).tolist(),
        "hierarchy": hierarchy_to_dict(labels.hierarchy),
    }


def _by_epoch(encoder: Encoders, x: Values) -> Iterator[tuple[Any, Encoder | None]]:
    """Epoch and encoder, one after the other; None for features that are there already.

    Raises:
        ValueError: something else among the checkpoints than such pairs.
    """
    if encoder is None:
        yield from ((epoch, None) for epoch in (x if isinstance(x, dict) else (0,)))
    elif isinstance(encoder, Mapping) and not isinstance(encoder, nn.Module):
        yield from encoder.items()
    elif callable(encoder):
        yield 0, encoder
    elif isinstance(encoder, str) or not isinstance(encoder, Iterable):
        raise ValueError(
            f"encoder: {type(encoder).__name__}; expected a module, a function, or several by epoch"
        )
    else:
        for pair in encoder:
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise ValueError(
                    f"encoder: {type(pair).__name__} among the checkpoints; expected pairs of "
                    "epoch and encoder"
                )
            yield pair


def _name_of(encoder: Encoders) -> str:
    """What the encoder is called in titles."""
    if encoder is None:
        return "features"
    if isinstance(encoder, Mapping) and not isinstance(encoder, nn.Module):
        encoder = next(iter(encoder.values()), None)
    if isinstance(encoder, nn.Module):
        return type(encoder).__name__
    return getattr(encoder, "__name__", "encoder") if callable(encoder) else "checkpoints"
